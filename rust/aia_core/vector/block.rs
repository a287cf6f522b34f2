// SPDX-License-Identifier: GPL-2.0

//! Blocks of vectors: for a device that raises several interrupts by one message, whose lowest bits it
//! sets itself (PCI, Multiple Message Enable).
//!
//! They are contiguous identities of one CPU, of which the first is a multiple of their number. So they
//! move together; else, each of them is a vector like any other, with an owner of its own.

use core::ops::Deref;

use super::{
    file::File,
    operations::{
        abandon,
        abandon_away,
        disable_lazily,
        give_back,
        has_sent_on,
        look_at_settled,
        messages,
        place,
        settle_one,
        still_holds,
        Choice,
        Machine,
        MoveError,
        MoveSource, //
    },
    slot::{
        Sender,
        Slot,
        SlotOwner, //
    },
    VectorId,
    Vectors, //
};
use crate::{
    ids::Eiid,
    word::Word, //
};

/// How many vectors a block can have.
pub const MAX_SIZE: usize = 32;

/// Who the vectors of a block belong to, in their order: 2 to 32, a power of two.
#[derive(Clone, Copy, Debug)]
pub struct BlockOwners {
    owners: [SlotOwner; MAX_SIZE],
    size: u32,
}

impl BlockOwners {
    /// Makes room for these owners: the smallest power of two that is enough. A device that got more
    /// than it asked for may raise the others, too: they are the last owner's, who leaves them disabled.
    ///
    /// [`None`] if they are fewer than 2 or more than 32.
    pub fn new(owners: impl Iterator<Item = SlotOwner>) -> Option<Self> {
        let mut owners = owners.fuse();
        let mut last = owners.next()?;
        let mut count: u32 = 1;
        let all = core::array::from_fn(|n| {
            if n != 0 {
                if let Some(owner) = owners.next() {
                    last = owner;
                    count += 1;
                }
            }
            last
        });

        (count > 1 && owners.next().is_none()).then(|| Self {
            owners: all,
            size: count.next_power_of_two(),
        })
    }

    /// How many vectors the block has.
    pub fn size(&self) -> u32 {
        self.size
    }

    /// All of them, with their numbers.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, SlotOwner)> + '_ {
        (0..self.size).zip(self.owners)
    }
}

/// Gives the owners a block on one of the CPUs of `choice`, disabled; returns the first vector.
///
/// As [`operations::alloc`](super::operations::alloc). [`None`] also if what is left is in pieces.
pub fn alloc<M: Machine>(
    machine: &M,
    choice: &impl Choice,
    owners: &BlockOwners,
) -> Option<VectorId> {
    let first = place(machine, choice, owners.size(), |file| {
        file.assign_block(owners, |_| false)
    })?;

    for vector in vectors(first, owners) {
        disable_lazily(machine, vector);
    }
    Some(first)
}

/// The vectors of the block that begins with `first`.
fn vectors(first: VectorId, owners: &BlockOwners) -> impl Iterator<Item = VectorId> {
    (0..owners.size()).filter_map(move |n| first.further(n))
}

/// Takes the block away from its owners, whose device no longer sends. `block` are the first vectors,
/// now and before the last move.
pub fn free<M: Machine>(machine: &M, block: Vectors, owners: &BlockOwners) {
    let current = block.current;

    // As in `operations::free`.
    if let Some(previous) = block.previous {
        let temporary = VectorId::new(previous.cpu(), current.eiid());

        for (from, n) in [Some(previous), temporary]
            .into_iter()
            .flatten()
            .flat_map(|first| (0..owners.size()).map(move |n| (first, n)))
        {
            if let Some((from, to)) = from.further(n).zip(current.further(n)) {
                abandon(machine, from, to);
            }
        }
    }
    for (_, owner) in owners.iter() {
        abandon_away(machine, owner);
    }
    give_all_back(machine, current, owners);
}

fn give_all_back<M: Machine>(machine: &M, first: VectorId, owners: &BlockOwners) {
    for (n, owner) in owners.iter() {
        if let Some(vector) = first.further(n) {
            give_back(machine, vector, owner);
        }
    }
}

/// Whether the last move of the block is in flight. Ends it if that is possible here.
fn is_moving<M: Machine>(machine: &M, block: Vectors, owners: &BlockOwners) -> bool {
    let Some(previous) = block.previous else {
        return false;
    };
    let Some(file) = machine.file(previous.cpu()) else {
        return false;
    };

    still_holds(machine, previous.cpu(), || {
        vectors(previous, owners)
            .zip(vectors(block.current, owners))
            .any(|(from, to)| file.forwards_to(from.eiid(), to) || file.forwards_to(to.eiid(), to))
    })
}

/// Moves the block to one of the CPUs of `choice`, and hands the new message of the first vector to
/// `write`, which gives it to the device. Returns the first vectors, now and before.
///
/// One move of a block at a time, and nobody masks or unmasks one of it meanwhile. The device may send
/// any of its messages at any time, and mix the old and the new address and data.
pub fn move_to<M: Machine>(
    machine: &M,
    block: Vectors,
    owners: &BlockOwners,
    sender: Sender,
    choice: &impl Choice,
    write: impl Fn(M::Message),
) -> Result<Vectors, MoveError> {
    let size = owners.size();
    let from = block.current;
    let old = machine.file(from.cpu()).ok_or(MoveError::NotOwned)?;
    let moving = is_moving(machine, block, owners);

    if moving && machine.is_online(from.cpu()) {
        return Err(MoveError::Busy);
    }
    if !are_owned(old, from, owners) {
        return Err(MoveError::NotOwned);
    }

    let enabled = |n| from.further(n).is_some_and(|v| old.is_enabled(v.eiid()));
    let to = place(machine, choice, size, |file| {
        assign_like(file, from, old, owners, enabled)
    })
    .ok_or(MoveError::Full)?;
    let temporary =
        VectorId::new(from.cpu(), to.eiid()).filter(|temporary| temporary.eiid() != from.eiid());
    let Some((message, passing)) = messages(machine, to, temporary) else {
        give_all_back(machine, to, owners);
        return Err(MoveError::NoMessage);
    };

    // Before the device hears of them; that they were free was only a hint.
    if temporary.is_some_and(|t| !old.assign_forwarders(t.eiid(), to, size)) {
        give_all_back(machine, to, owners);
        return Err(MoveError::Busy);
    }
    if temporary.is_some() {
        machine.placement().take(from.cpu(), size);
    }
    for vector in (0..size)
        .filter(|n| !enabled(*n))
        .filter_map(|n| to.further(n))
    {
        disable_lazily(machine, vector);
    }
    for (n, owner) in owners.iter() {
        if let Some((from, to)) = from.further(n).zip(to.further(n)) {
            // Nobody else takes it away.
            old.begin_move(from.eiid(), owner, to);
        }
    }

    if let Some(passing) = passing {
        write(passing);
    }
    write(message);
    machine.here().count_move();

    // As for a single vector, here and below.
    machine.barrier();

    let previous = match block.previous {
        Some(first) if moving => pass_on(machine, first, from, to, owners),
        _ => from,
    };

    let mut online = false;
    for first in [Some(from), temporary].into_iter().flatten() {
        for (n, owner) in owners.iter() {
            let source = MoveSource {
                owner,
                at_once: false,
                sender,
            };

            if let Some((from, to)) = first.further(n).zip(to.further(n)) {
                online |= settle_one(machine, old, from.eiid(), to, source);
            }
        }
    }
    if online {
        look_at_settled(machine, from.cpu());
    }

    Ok(Vectors {
        current: to,
        previous: Some(previous),
    })
}

/// Whether the block of `file` that begins with `first` belongs to `owners`.
fn are_owned<S: Deref<Target = [Word]>>(
    file: &File<S>,
    first: VectorId,
    owners: &BlockOwners,
) -> bool {
    owners.iter().all(|(n, owner)| {
        first
            .further(n)
            .is_some_and(|vector| file.slot(vector.eiid()) == Slot::Assigned(owner))
    })
}

/// Takes a block of `file`: the same identities, so that only the address changes, or else some that
/// are free on the old CPU, too, so that they can forward. Others, of which an MSI would be somebody
/// else's on the way, will not do.
fn assign_like<S: Deref<Target = [Word]>>(
    file: &File<S>,
    from: VectorId,
    old: &File<S>,
    owners: &BlockOwners,
    enabled: impl Fn(u32) -> bool,
) -> Option<Eiid> {
    let mut first = from.eiid();

    // Whenever it fails, somebody else has got something.
    while !file.assign_block_at(first, owners, &enabled) {
        first = file.pool().common_free_block(old.pool(), owners.size())?;
    }
    Some(first)
}

/// As for a single vector: no forwarder of the move from `first` may be left that sends anything to
/// `from`.
fn pass_on<M: Machine>(
    machine: &M,
    first: VectorId,
    from: VectorId,
    to: VectorId,
    owners: &BlockOwners,
) -> VectorId {
    let Some(file) = machine.file(first.cpu()) else {
        return from;
    };
    let mut along = false;
    let mut kept = false;

    for (n, owner) in owners.iter() {
        let vectors = first.further(n).zip(from.further(n)).zip(to.further(n));

        if let Some(((first, from), to)) = vectors {
            along |= file.retarget(first.eiid(), from, to);
            kept |= from.eiid() != first.eiid() && file.keep(machine, from.eiid(), owner, from);
        }
    }
    if along || kept {
        has_sent_on(machine, from);
    }
    if along {
        first
    } else {
        from
    }
}
