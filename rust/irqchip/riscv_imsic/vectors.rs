// SPDX-License-Identifier: GPL-2.0

//! Vectors of this IMSIC: where they are, and what raises them.
//!
//! What can be done with them is in [`aia_core::vector::operations`].

use aia_core::{
    ids::Cpu,
    vector::{
        operations::{
            self,
            Choice, //
        },
        VectorId,
        POKE, //
    },
};
use kernel::{
    cpu::CpuId,
    cpumask::Cpumask,
    interrupt::LocalInterruptDisabled, //
};
use kernel_ext::{
    cpumask,
    msi,
    time::timer::Expired, //
};

use crate::{
    ffi,
    hart::ThisHart,
    state::Imsic, //
};

/// The CPU number as the pure logic knows it.
#[inline]
pub(crate) fn to_cpu(cpu: CpuId) -> Cpu {
    Cpu::new(cpu.as_u32())
}

/// The CPUs of a mask.
pub(crate) struct OneOf<'a>(pub(crate) &'a Cpumask);

impl Choice for OneOf<'_> {
    fn is_any(&self) -> bool {
        cpumask::subset(cpumask::online_mask(), self.0)
    }

    fn cpus(&self) -> impl Iterator<Item = Cpu> {
        cpumask::iter(self.0).map(to_cpu)
    }
}

/// What has to wait for the time to pass is looked at again: forwarders of posted messages.
pub(crate) struct LookAgain;

impl Expired for LookAgain {
    fn expired(irqs_off: &LocalInterruptDisabled) {
        if let Some(imsic) = ffi::imsic() {
            operations::sync(&ThisHart::new(imsic, irqs_off));
        }
    }
}

impl Imsic {
    /// Sends an MSI to `to`.
    #[inline]
    pub(crate) fn send(&self, to: VectorId) {
        if let Some(doorbell) = self.local(to.cpu()).and_then(|local| local.doorbell) {
            doorbell.register.write(to.eiid().get());
        }
    }

    /// The message that raises `vector`; [`None`] if its CPU has no interrupt file.
    pub(crate) fn message(&self, vector: VectorId) -> Option<msi::Message> {
        let doorbell = self.local(vector.cpu())?.doorbell?;

        Some(msi::Message {
            address: doorbell.address,
            data: vector.eiid().get(),
        })
    }

    /// Makes `cpu` look at what waits for it.
    pub(crate) fn poke(&self, cpu: Cpu) {
        if let Some(vector) = VectorId::new(cpu, POKE) {
            self.send(vector);
        }
    }
}
