// SPDX-License-Identifier: GPL-2.0

//! A vCPU takes the guest file of one that does not run.

use aia_core::{
    guest::{
        config::Mode,
        imsic::steal,
        victim::{
            rest,
            Demand,
            NoVictim, //
        },
    },
    ids::Cpu, //
};
use kernel::cpu::CpuId;
use kernel_ext::time::monotonic_ns;
use kvm_ext::Vcpu;

use crate::{
    ops::owners::{
        Owners,
        OwnersAndThief, //
    },
    state::{
        guest_file::GuestFile,
        handle::VcpuImsicRef,
        imsic::VcpuImsic, //
    },
};

impl VcpuImsic {
    /// Takes a guest file of `cpu`, the running one, from a vCPU that does not run ([`steal::steal`]). The
    /// task does not leave the CPU meanwhile, and nothing keeps it from going on.
    #[cold]
    pub(crate) fn steal(&self, vcpu: &Vcpu, cpu: CpuId) -> Result<GuestFile, NoVictim> {
        let hart = self.host.harts.on(cpu).ok_or(NoVictim::NoLine)?;
        let demand = if self.mode == Mode::Hwaccel {
            Demand::Must
        } else {
            Demand::May
        };

        steal::steal(
            &OwnersAndThief {
                owners: Owners(hart),
                thief: vcpu,
            },
            VcpuImsicRef::new(vcpu, self),
            Cpu::new(cpu.as_u32()),
            demand,
        )
    }

    /// A vCPU has taken another one's guest file of `cpu`, from `begun` until now, by the monotonic clock in
    /// nanoseconds: the next vCPU that can do without one waits for a while.
    #[cold]
    pub(crate) fn rest(&self, cpu: CpuId, begun: u64) {
        if let Some(hart) = self.host.harts.on(cpu) {
            let now = monotonic_ns();

            // Who comes at the same time may make it another one.
            hart.next_steal
                .store_release(now + rest(now.saturating_sub(begun)));
        }
    }
}
