// SPDX-License-Identifier: GPL-2.0

//! What a vCPU that does not run consists of.

use super::Vcpu;
use crate::{
    fixture::errno,
    sys,
    Context,
    Error,
    Result, //
};
use kvm_bindings::{
    kvm_mp_state,
    KVM_REG_RISCV_TIMER,
    KVM_REG_RISCV_TYPE_MASK,
    KVM_REG_SIZE_MASK,
    KVM_REG_SIZE_SHIFT, //
};
use serde::{
    Deserialize,
    Serialize, //
};

/// The registers of a vCPU, and whether it runs.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct VcpuState {
    /// By their IDs.
    registers: Vec<(u64, Vec<u8>)>,
    /// As in `struct kvm_mp_state`.
    mp_state: u32,
}

/// The time, in `struct kvm_riscv_timer`: all vCPUs have the same.
const TIMER_TIME: u64 = 1;

/// Whether the timer is set.
const TIMER_STATE: u64 = 3;

fn is_timer(id: u64, register: u64) -> bool {
    id & u64::from(KVM_REG_RISCV_TYPE_MASK) == u64::from(KVM_REG_RISCV_TIMER)
        && id & 0xff_ffff == register
}

impl Vcpu {
    /// All that [`Self::restore`] needs. It has [settled](Self::settle).
    pub(crate) fn save(&self) -> Result<VcpuState> {
        let fd = self.idle()?;
        let registers = sys::reg_list(fd)
            .context("KVM_GET_REG_LIST")?
            .into_iter()
            .map(|id| {
                let size = 1 << ((id & KVM_REG_SIZE_MASK) >> KVM_REG_SIZE_SHIFT);
                let mut value = vec![0; size];

                fd.get_one_reg(id, &mut value)
                    .map_err(errno)
                    .context(format!("KVM_GET_ONE_REG {id:#x}"))?;
                Ok((id, value))
            })
            .collect::<Result<_>>()?;

        Ok(VcpuState {
            registers,
            mp_state: fd.get_mp_state().context("KVM_GET_MP_STATE")?.mp_state,
        })
    }

    /// Makes it one that another one was, before it runs for the first time. The time of the machine is
    /// set with the first vCPU.
    pub(crate) fn restore(&self, state: &VcpuState) -> Result<()> {
        let fd = self.idle()?;

        for (id, value) in &state.registers {
            // KVM refuses to switch a timer off that is off, as it is before the vCPU runs.
            let is_off = is_timer(*id, TIMER_STATE) && value.iter().all(|&byte| byte == 0);

            if is_off || is_timer(*id, TIMER_TIME) && self.index != 0 {
                continue;
            }
            fd.set_one_reg(*id, value)
                .map_err(errno)
                .map_err(|e| Error::new(format!("KVM_SET_ONE_REG {id:#x} = {value:x?}: {e}")))?;
        }
        fd.set_mp_state(kvm_mp_state {
            mp_state: state.mp_state,
        })
        .context("KVM_SET_MP_STATE")
    }
}
