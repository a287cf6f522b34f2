// SPDX-License-Identifier: GPL-2.0

//! A vCPU takes the guest file of one that does not run.

use aia_core::{
    guest::{
        config::Mode,
        imsic::steal,
        victim::{
            Demand,
            NoVictim, //
        },
    },
    ids::Cpu, //
};
use kernel::cpu::CpuId;
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
}
