// SPDX-License-Identifier: GPL-2.0

//! The interrupt chip.

use aia_core::vector::{
    operations::{
        self,
        MoveSource, //
    },
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
        desc::Locked,
        Chip,
        IrqData, //
    },
    msi, //
};

use crate::{
    alloc::{
        or_anywhere,
        Anywhere,
        OneOf, //
    },
    block::Block,
    chip_data::{
        owner,
        pack,
        unpack,
        ImsicData, //
    },
    group,
    hart::ThisHart,
    published,
    sender,
    state::Imsic,
    trace, //
};

/// The chip of the IMSIC's own domain.
struct ImsicChip;

/// What the core reaches beneath the chip of a device's interrupt.
pub(crate) static CHIP: Chip<ImsicData> = Chip::new::<ImsicChip>(c"IMSIC", 0);

/// Where an interrupt has its vectors.
enum Place {
    /// By itself.
    Own(Vectors),
    /// In a block.
    In(&'static Block),
}

/// The IMSIC, and where the interrupt has its vectors there.
#[inline(always)]
fn context(data: &IrqData<ImsicData>) -> Option<(&'static Imsic, Place)> {
    let place = match data.chip_data() {
        ImsicData::Word(word) => Place::Own(unpack(word)?),
        ImsicData::Ref(block) => Place::In(block),
    };

    Some((published::imsic()?, place))
}

#[vtable]
impl chip::Operations for ImsicChip {
    type Data = ImsicData;

    #[inline]
    fn mask(data: &IrqData<ImsicData>, locked: &Locked) {
        match context(data) {
            Some((imsic, Place::Own(vectors))) => {
                operations::mask(&ThisHart::new(imsic, locked), vectors.current);
            }
            Some((imsic, Place::In(block))) => group::mask(imsic, block, data.irq(), locked),
            None => {}
        }
    }

    #[inline]
    fn unmask(data: &IrqData<ImsicData>, locked: &Locked) {
        match context(data) {
            Some((imsic, Place::Own(vectors))) => {
                operations::unmask(&ThisHart::new(imsic, locked), vectors.current);
            }
            Some((imsic, Place::In(block))) => group::unmask(imsic, block, data.irq(), locked),
            None => {}
        }
    }

    /// The claim has acknowledged the interrupt; only a move that waited for it is left.
    #[inline]
    fn ack(data: &IrqData<ImsicData>, locked: &Locked) {
        data.move_pending(locked);
    }

    #[inline]
    fn retrigger(data: &IrqData<ImsicData>, locked: &Locked) -> bool {
        match context(data) {
            Some((imsic, Place::Own(vectors))) => {
                imsic.send(vectors.current);
                true
            }
            Some((imsic, Place::In(block))) => group::retrigger(imsic, block, data.irq(), locked),
            None => false,
        }
    }

    #[inline]
    fn compose_msi(data: &IrqData<ImsicData>) -> Result<msi::Message> {
        let (imsic, place) = context(data).ok_or(ENODEV)?;
        let vectors = match place {
            Place::Own(vectors) => vectors,
            Place::In(block) => group::vectors(block, data.irq()).ok_or(ENODEV)?,
        };

        imsic.message(vectors.current).ok_or(ENODEV)
    }

    #[inline]
    fn set_affinity(
        data: &IrqData<ImsicData>,
        cpus: &Cpumask,
        _force: bool,
        locked: &Locked,
    ) -> Result {
        let (imsic, place) = context(data).ok_or(ENODEV)?;
        let vectors = match place {
            Place::Own(vectors) => vectors,
            Place::In(block) => return group::set_affinity(imsic, block, data, cpus, locked),
        };
        let owner = owner(data).ok_or(EINVAL)?;
        let cpu = CpuId::from_u32(vectors.current.cpu().get()).ok_or(EINVAL)?;

        if cpus.test(cpu) && cpumask::is_online(cpu) {
            return Ok(());
        }

        let device = msi::Outermost::of(data);
        let source = MoveSource {
            owner,
            at_once: match device.bus() {
                msi::Bus::WiredToMsi => device.moves_at_once(),
                // Masked while it is written.
                msi::Bus::PciMsix => true,
                // Others have address and data in registers of their own, which are written one by one.
                _ => false,
            },
            sender: sender::kind(&device),
        };
        let hart = ThisHart::new(imsic, locked);
        let write = |message| device.write_message(&message, locked);
        let moved = or_anywhere(
            operations::move_to(&hart, vectors, source, &OneOf(cpus), write),
            data,
            cpu,
            || operations::move_to(&hart, vectors, source, &Anywhere, write),
        )?;

        imsic.raise_if_mixed(&device, vectors.current, moved.current);
        trace::moves(data.irq(), vectors.current, moved.current);
        data.set_chip_data(pack(moved)?, locked);
        if let Some(cpu) = CpuId::from_u32(moved.current.cpu().get()) {
            data.set_effective_affinity(cpu, locked);
        }
        Ok(())
    }
}
