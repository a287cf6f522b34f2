// SPDX-License-Identifier: GPL-2.0

//! The interrupt chip.

use aia_core::vector::{
    operations::{
        self,
        MoveError,
        MoveSource, //
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
        data::ChipWord,
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
    state::Imsic,
    trace, //
};

/// The chip of the IMSIC's own domain. Its data are the [`Vectors`] of the interrupt.
struct ImsicChip;

pub(crate) static CHIP: Chip<ChipWord> = Chip::new::<ImsicChip>(
    c"IMSIC",
    chip::flags::SKIP_SET_WAKE | chip::flags::MASK_ON_SUSPEND,
);

/// The IMSIC and the vectors of an interrupt.
#[inline(always)]
fn context(data: &IrqData<ChipWord>) -> Option<(&'static Imsic, Vectors)> {
    Some((published::imsic()?, vectors(data)?))
}

#[vtable]
impl chip::Operations for ImsicChip {
    type Data = ChipWord;

    fn mask(data: &IrqData<ChipWord>, locked: &Locked) {
        if let Some((imsic, vectors)) = context(data) {
            operations::mask(&ThisHart::new(imsic, locked), vectors.current);
        }
    }

    fn unmask(data: &IrqData<ChipWord>, locked: &Locked) {
        if let Some((imsic, vectors)) = context(data) {
            operations::unmask(&ThisHart::new(imsic, locked), vectors.current);
        }
    }

    /// The claim has acknowledged the interrupt; only a move that waited for it is left.
    #[inline]
    fn ack(data: &IrqData<ChipWord>, locked: &Locked) {
        data.move_pending(locked);
    }

    fn retrigger(data: &IrqData<ChipWord>, _locked: &Locked) -> bool {
        let Some((imsic, vectors)) = context(data) else {
            return false;
        };

        imsic.send(vectors.current);
        true
    }

    fn compose_msi(data: &IrqData<ChipWord>) -> Result<msi::Message> {
        let (imsic, vectors) = context(data).ok_or(ENODEV)?;

        imsic.message(vectors.current).ok_or(ENODEV)
    }

    fn set_affinity(
        data: &IrqData<ChipWord>,
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
        let source = MoveSource {
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

        trace::moves(data.irq(), vectors.current, moved.current);
        data.set_chip_data(pack(moved)?, locked);
        if let Some(cpu) = CpuId::from_u32(moved.current.cpu().get()) {
            data.set_effective_affinity(cpu, locked);
        }
        Ok(())
    }
}
