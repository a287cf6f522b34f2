// SPDX-License-Identifier: GPL-2.0

//! The interrupt chip.

use aia_core::vector::{
    operations::{
        self,
        MoveError,
        Source, //
    },
    slot::Sender,
    Vectors, //
};
use kernel::{
    cpu::CpuId,
    cpumask::Cpumask,
    prelude::*, //
};
use kernel_ext::{
    cpumask,
    irq::{
        chip,
        data::Packed,
        desc::Locked,
        Chip,
        IrqData, //
    },
    msi, //
};

use crate::{
    alloc::OneOf,
    chip_data::{
        owner,
        pack,
        vectors, //
    },
    hart::ThisHart,
    published,
    sender,
    state::Imsic, //
};

/// The chip of the IMSIC's own domain. Its data are the [`Vectors`] of the interrupt.
struct ImsicChip;

pub(crate) static CHIP: Chip<Packed> = Chip::new::<ImsicChip>(
    c"IMSIC",
    chip::flags::SKIP_SET_WAKE | chip::flags::MASK_ON_SUSPEND,
);

/// The IMSIC and the vectors of an interrupt.
#[inline(always)]
fn context(data: &IrqData<Packed>) -> Option<(&'static Imsic, Vectors)> {
    Some((published::imsic()?, vectors(data)?))
}

#[vtable]
impl chip::Operations for ImsicChip {
    type Data = Packed;

    fn mask(data: &IrqData<Packed>, locked: &Locked) {
        if let Some((imsic, vectors)) = context(data) {
            operations::mask(&ThisHart::new(imsic, locked), vectors.current);
        }
    }

    fn unmask(data: &IrqData<Packed>, locked: &Locked) {
        if let Some((imsic, vectors)) = context(data) {
            operations::unmask(&ThisHart::new(imsic, locked), vectors.current);
        }
    }

    /// The claim has acknowledged the interrupt; only a move that waited for it is left.
    #[inline]
    fn ack(data: &IrqData<Packed>, locked: &Locked) {
        data.move_pending(locked);
    }

    fn retrigger(data: &IrqData<Packed>, _locked: &Locked) -> bool {
        let Some((imsic, vectors)) = context(data) else {
            return false;
        };

        imsic.send(vectors.current);
        true
    }

    fn compose_msi(data: &IrqData<Packed>) -> Result<msi::Message> {
        let (imsic, vectors) = context(data).ok_or(ENODEV)?;

        imsic.message(vectors.current).ok_or(ENODEV)
    }

    fn set_affinity(
        data: &IrqData<Packed>,
        cpus: &Cpumask,
        _force: bool,
        locked: &Locked,
    ) -> Result {
        let (imsic, vectors) = context(data).ok_or(ENODEV)?;
        let owner = owner(data).ok_or(EINVAL)?;
        let cpu = CpuId::from_u32(vectors.current.cpu().get()).ok_or(EINVAL)?;

        if cpus.test(cpu) && cpumask::is_online(cpu) {
            return Ok(());
        }

        let device = msi::Outermost::of(data);
        let sender = match device.bus() {
            msi::Bus::PciMsi | msi::Bus::PciMsix => Sender::Ordered,
            msi::Bus::WiredToMsi if sender::is_known(device.controller()) => Sender::Fenced,
            // Of these, nothing tells when all that they sent has arrived.
            msi::Bus::WiredToMsi | msi::Bus::Device | msi::Bus::Other => Sender::Posted,
        };
        let source = Source {
            owner,
            at_once: device.moves_at_once(),
            sender,
        };
        let hart = ThisHart::new(imsic, locked);
        let moved = operations::move_to(&hart, vectors, source, &OneOf(cpus), |message| {
            device.write_message(&message, locked)
        })
        .map_err(|error| match error {
            MoveError::Busy => EBUSY,
            MoveError::Full => ENOSPC,
            MoveError::NotOwned => EINVAL,
            MoveError::NoMessage => ENODEV,
        })?;

        data.set_chip_data(pack(moved)?, locked);
        if let Some(cpu) = CpuId::from_u32(moved.current.cpu().get()) {
            data.set_effective_affinity(cpu);
        }
        Ok(())
    }
}
