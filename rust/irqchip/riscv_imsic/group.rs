// SPDX-License-Identifier: GPL-2.0

//! What is done with interrupts that share a [`Block`].
//!
//! Multiple messages of PCI without extended MSIs: the device has one address and one number, in which
//! it sets the lowest bits. So all of its interrupts arrive at one CPU, and who moves one of them moves
//! all.

use aia_core::vector::{
    block::{
        self,
        BlockOwners, //
    },
    operations,
    slot::SlotOwner,
    VectorId,
    Vectors, //
};
use kernel::{
    cpu::CpuId,
    cpumask::Cpumask,
    interrupt::local_interrupt_disable,
    prelude::*, //
};
use kernel_ext::{
    cpumask,
    irq::{
        desc::Locked,
        new::NewIrqs,
        IrqData, //
    },
    msi, //
};

use crate::{
    alloc::{
        alloc_by,
        or_anywhere,
        Anywhere,
        OneOf, //
    },
    block::{
        Block,
        Members, //
    },
    chip_data::ImsicData,
    hart::ThisHart,
    sender,
    state::Imsic,
    trace, //
};

/// Gives all new interrupts a block on one of `cpus`, or else on any. May sleep.
pub(crate) fn alloc(
    imsic: &Imsic,
    new: &NewIrqs<'_, ImsicData>,
    cpus: &Cpumask,
) -> Result<&'static Block> {
    let owner = |index| SlotOwner::new(new.descriptor(index)?.addr() as u64);
    let count = new.count();

    if !(0..count).all(|index| owner(index).is_some()) {
        return Err(EINVAL);
    }
    let owners = BlockOwners::new((0..count).filter_map(owner)).ok_or(EINVAL)?;
    let block = imsic.idle_blocks.take()?;
    let take = |cpus| {
        alloc_by(imsic, cpus, |hart| {
            block::alloc(hart, &OneOf(cpus), &owners)
        })
    };
    let Some(current) = take(cpus).or_else(|| take(cpumask::online_mask())) else {
        imsic.idle_blocks.put(block);
        return Err(ENOSPC);
    };

    block.lock().members = Some(Members {
        first_irq: new.irq(),
        count,
        freed: 0,
        active: 0,
        vectors: Vectors {
            current,
            previous: None,
        },
        owners,
    });
    Ok(block)
}

/// Where the interrupts of `block` are; [`None`] if it has none.
pub(crate) fn vectors(block: &Block, irq: u32) -> Option<Vectors> {
    block.lock().members.as_ref()?.vectors(irq)
}

/// `irq`, which has been shut down, is freed. With the last one of them, the block is. May sleep.
pub(crate) fn free(imsic: &Imsic, block: &'static Block, irq: u32) {
    let freed = {
        let mut contents = block.lock();
        let Some(members) = &mut contents.members else {
            return;
        };

        if let Some(vector) = members.vector(irq) {
            trace::free(irq, vector);
        }
        members.freed += 1;
        if members.freed < members.count {
            return;
        }
        contents.members.take()
    };

    if let Some(members) = freed {
        release(imsic, &members);
    }
    imsic.idle_blocks.put(block);
}

/// None of the new interrupts of `block` is set up.
pub(crate) fn abort(imsic: &Imsic, block: &'static Block) {
    let members = block.lock().members.take();

    if let Some(members) = members {
        release(imsic, &members);
    }
    imsic.idle_blocks.put(block);
}

fn release(imsic: &Imsic, members: &Members) {
    let irqs_off = local_interrupt_disable();

    block::free(
        &ThisHart::new(imsic, &irqs_off),
        members.vectors,
        &members.owners,
    );
}

/// Calls `f` with the vector of an interrupt, which does not move meanwhile.
#[cold]
fn with_vector<R>(
    block: &Block,
    irq: u32,
    locked: &Locked,
    f: impl FnOnce(VectorId) -> R,
) -> Option<R> {
    let contents = block.lock_for(locked)?;
    let vector = contents.members.as_ref()?.vector(irq)?;

    Some(f(vector))
}

/// See [`operations::mask`].
pub(crate) fn mask(imsic: &Imsic, block: &Block, irq: u32, locked: &Locked) {
    with_vector(block, irq, locked, |vector| {
        operations::mask(&ThisHart::new(imsic, locked), vector);
    });
}

/// See [`operations::unmask`].
pub(crate) fn unmask(imsic: &Imsic, block: &Block, irq: u32, locked: &Locked) {
    with_vector(block, irq, locked, |vector| {
        operations::unmask(&ThisHart::new(imsic, locked), vector);
    });
}

/// Raises an interrupt; returns whether there is one.
pub(crate) fn retrigger(imsic: &Imsic, block: &Block, irq: u32, locked: &Locked) -> bool {
    with_vector(block, irq, locked, |vector| imsic.send(vector)).is_some()
}

/// `irq` becomes active, or is so no more. The device has the message of all as long as one of them is:
/// without one it would go on to store what it sends, at address 0.
pub(crate) fn activate(
    imsic: &Imsic,
    block: &Block,
    irq: u32,
    active: bool,
    group: &msi::Group<'_>,
) {
    let mut contents = block.lock();
    let Some(members) = &mut contents.members else {
        return;
    };
    let before = members.active;
    let Some(bit) = members.number(irq).and_then(|n| 1_u32.checked_shl(n)) else {
        return;
    };

    if active {
        members.active |= bit;
    } else {
        members.active &= !bit;
    }
    match (before, members.active) {
        // Where they are now: they may have moved since the core looked.
        (0, 1..) => {
            if let Some(message) = imsic.message(members.vectors.current) {
                group.write_message(&message);
            }
        }
        (1.., 0) => group.write_message(&msi::Message::default()),
        _ => {}
    }
}

/// Moves all interrupts of `block` to one of `cpus`; `data` is one of them.
#[cold]
pub(crate) fn set_affinity(
    imsic: &Imsic,
    block: &Block,
    data: &IrqData<ImsicData>,
    cpus: &Cpumask,
    locked: &Locked,
) -> Result {
    let group = msi::Group::of(data, locked).ok_or(ENODEV)?;
    let mut contents = block.lock_for(locked).ok_or(EBUSY)?;
    let members = contents.members.as_mut().ok_or(EINVAL)?;
    let old = members.vectors.current;
    let cpu = CpuId::from_u32(old.cpu().get()).ok_or(EINVAL)?;

    // Another one of them may have moved it meanwhile.
    if cpus.test(cpu) && cpumask::is_online(cpu) {
        return Ok(());
    }

    let write = |message| group.write_message(&message);
    let hart = ThisHart::new(imsic, locked);
    let sender = sender::kind(group.device());
    let (vectors, owners) = (members.vectors, &members.owners);
    let moved = or_anywhere(
        block::move_to(&hart, vectors, owners, sender, &OneOf(cpus), write),
        data,
        cpu,
        || block::move_to(&hart, vectors, owners, sender, &Anywhere, write),
    )?;

    members.vectors = moved;
    for (n, irq) in (0..).zip(members.irqs()) {
        if let Some((old, new)) = old.further(n).zip(moved.current.further(n)) {
            imsic.raise_if_mixed(group.device(), old, new);
            trace::moves(irq, old, new);
        }
    }
    if let Some(cpu) = CpuId::from_u32(moved.current.cpu().get()) {
        group.set_effective_affinity(cpu, locked);
    }
    Ok(())
}
