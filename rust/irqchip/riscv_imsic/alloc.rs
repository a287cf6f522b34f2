// SPDX-License-Identifier: GPL-2.0

//! Vectors for interrupts.

use aia_core::{
    ids::Cpu,
    vector::{
        operations::{
            self,
            Choice,
            MoveError, //
        },
        slot::SlotOwner,
        VectorId,
        Vectors, //
    },
};
use kernel::{
    cpu::CpuId,
    cpumask::Cpumask,
    interrupt::local_interrupt_disable,
    prelude::*, //
};
use kernel_ext::{
    cpumask,
    irq::IrqData,
    irqflags,
    smp, //
};

use crate::{
    chip_data::ImsicData,
    hart::ThisHart,
    state::{
        to_cpu,
        Imsic, //
    }, //
};

/// The CPUs of a mask.
pub(crate) struct OneOf<'a>(pub(crate) &'a Cpumask);

impl Choice for OneOf<'_> {
    fn is_any(&self) -> bool {
        cpumask::subset(cpumask::online_mask(), self.0)
    }

    fn cpus(&self) -> impl Iterator<Item = Cpu> {
        // Others are of no use.
        cpumask::common(self.0, cpumask::online_mask()).map(to_cpu)
    }
}

/// Any CPU that is online.
pub(crate) struct Anywhere;

impl Choice for Anywhere {
    fn is_any(&self) -> bool {
        true
    }

    fn cpus(&self) -> impl Iterator<Item = Cpu> {
        cpumask::iter(cpumask::online_mask()).map(to_cpu)
    }
}

/// What becomes of a move of `data`'s interrupt, which is on `cpu`; `move_anywhere` moves it to any CPU.
///
/// If there is no room, the core asks for any CPU next if `cpu` has gone: but not for a managed interrupt,
/// which nobody would get any more.
#[inline(always)]
pub(crate) fn or_anywhere<T>(
    moved: Result<T, MoveError>,
    data: &IrqData<ImsicData>,
    cpu: CpuId,
    move_anywhere: impl FnOnce() -> Result<T, MoveError>,
) -> Result<T> {
    match moved {
        Err(MoveError::Full) => refused_for_room(data, cpu, move_anywhere),
        moved => moved,
    }
    .map_err(refusal)
}

#[cold]
fn refused_for_room<T>(
    data: &IrqData<ImsicData>,
    cpu: CpuId,
    move_anywhere: impl FnOnce() -> Result<T, MoveError>,
) -> Result<T, MoveError> {
    if data.is_managed() && !cpumask::is_online(cpu) {
        move_anywhere()
    } else {
        Err(MoveError::Full)
    }
}

/// What the core is told of a move that does not take place.
fn refusal(error: MoveError) -> Error {
    match error {
        MoveError::Busy => EBUSY,
        MoveError::Full => ENOSPC,
        MoveError::NotOwned => EINVAL,
        MoveError::NoMessage => ENODEV,
    }
}

/// Gives `owner` a vector on one of `cpus` that is online. May sleep.
pub(crate) fn alloc(imsic: &Imsic, cpus: &Cpumask, owner: SlotOwner) -> Option<VectorId> {
    alloc_by(imsic, cpus, |hart| {
        operations::alloc(hart, &OneOf(cpus), owner)
    })
}

/// Takes by `take` what is on one of `cpus`; again, after they have looked, if there is nothing. May
/// sleep.
pub(crate) fn alloc_by(
    imsic: &Imsic,
    cpus: &Cpumask,
    take: impl Fn(&ThisHart<'_>) -> Option<VectorId>,
) -> Option<VectorId> {
    let alloc = || {
        let irqs_off = local_interrupt_disable();

        take(&ThisHart::new(imsic, &irqs_off))
    };

    alloc().or_else(|| {
        // Identities that were freed may only wait for their CPUs.
        for cpu in cpumask::iter(cpus).filter(|cpu| cpumask::is_online(*cpu)) {
            let local = imsic.locals.on(cpu)?;

            if local.file.needs_sync() {
                // One that has gone meanwhile has none to give.
                let _ = smp::call_on(cpu, |irqs_off| {
                    operations::sync(&ThisHart::new(imsic, irqs_off));
                });
            }
        }
        alloc()
    })
}

/// Takes the vectors of an interrupt that has been shut down.
pub(crate) fn free(imsic: &Imsic, vectors: Vectors, owner: SlotOwner) {
    irqflags::with_interrupts_off(|irqs_off| {
        operations::free(&ThisHart::new(imsic, irqs_off), vectors, owner);
    });
}
