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
    cpuhp,
    cpumask,
    irq_work,
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

/// The hart looks at what waits for it.
pub(crate) struct Look;

impl Look {
    fn look(irqs_off: &LocalInterruptDisabled) {
        if let Some(imsic) = ffi::imsic() {
            operations::sync(&ThisHart::new(imsic, irqs_off));
        }
    }
}

/// The time that something had to wait for is over.
impl Expired for Look {
    fn expired(irqs_off: &LocalInterruptDisabled) {
        Self::look(irqs_off);
    }
}

/// Another CPU has changed something.
impl irq_work::Run for Look {
    fn run(irqs_off: &LocalInterruptDisabled) {
        Self::look(irqs_off);
    }
}

/// Changes that came while the CPU was not quite online, when nobody could ask it to look.
impl cpuhp::Online for Look {
    fn online(_cpu: CpuId, irqs_off: &LocalInterruptDisabled) {
        Self::look(irqs_off);
    }

    fn offline(_cpu: CpuId, _irqs_off: &LocalInterruptDisabled) {}
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

    /// Makes `cpu` take a poke.
    pub(crate) fn ring(&self, cpu: Cpu) {
        if let Some(vector) = VectorId::new(cpu, POKE) {
            self.send(vector);
        }
    }

    /// Makes `cpu` look at what waits for it, soon.
    ///
    /// If IPIs are ours, one hart's MSIs reach another one, or else there would be no other one. If
    /// they are not, that may be because they do not: the IMSIC may be trapped by a hypervisor.
    #[inline]
    pub(crate) fn poke(&self, cpu: Cpu, irqs_off: &LocalInterruptDisabled) {
        if self.ipis.load() != 0 {
            self.ring(cpu);
        } else {
            self.ask(cpu, irqs_off);
        }
    }

    #[cold]
    fn ask(&self, cpu: Cpu, irqs_off: &LocalInterruptDisabled) {
        let cpu = CpuId::from_u32(cpu.get()).filter(|cpu| cpumask::is_online(*cpu));

        // One that comes up looks when it is there.
        if let Some((cpu, local)) = cpu.and_then(|cpu| Some((cpu, self.locals.on(cpu)?))) {
            local.changes.queue_on(cpu, irqs_off);
        }
    }
}
