// SPDX-License-Identifier: GPL-2.0

//! Devices that raise several interrupts by one message.

use super::{
    on,
    Model,
    OneOf, //
};
use aia_core::vector::{
    block::{
        self,
        BlockOwners, //
    },
    operations::{
        self,
        MoveError, //
    },
    slot::{
        Sender,
        SlotOwner, //
    },
    VectorId,
    Vectors, //
};
use std::cell::Cell;

/// A PCI device with a block of vectors.
pub(crate) struct BlockDevice<'a> {
    model: &'a Model,
    /// Of the vectors that it asked for.
    pub(crate) owners: Vec<SlotOwner>,
    all: BlockOwners,
    pub(crate) vectors: Cell<Vectors>,
    /// The first of what it sends.
    pub(crate) message: Cell<VectorId>,
}

/// So many owners, the first of which is number `first`.
pub(crate) fn owners(first: u64, count: u64) -> impl Iterator<Item = SlotOwner> {
    (first..first + count).map(|owner| SlotOwner::new(0x1000 * owner).unwrap())
}

impl<'a> BlockDevice<'a> {
    pub(crate) fn new(model: &'a Model, first: u64, count: u64, cpus: &[u32]) -> Option<Self> {
        let all = BlockOwners::new(owners(first, count)).unwrap();
        let current = block::alloc(&model.on(0), &OneOf(model, cpus), &all)?;

        Some(Self {
            model,
            owners: owners(first, count).collect(),
            all,
            vectors: Cell::new(Vectors {
                current,
                previous: None,
            }),
            message: Cell::new(current),
        })
    }

    pub(crate) fn size(&self) -> u32 {
        self.all.size()
    }

    pub(crate) fn current(&self) -> VectorId {
        self.vectors.get().current
    }

    /// All that it could send.
    pub(crate) fn ids(&self) -> impl Iterator<Item = u32> {
        let first = self.current().eiid().get();

        first..first + self.size()
    }

    pub(crate) fn fire(&self, n: u32) {
        self.model.store(self.message.get().further(n).unwrap());
    }

    pub(crate) fn unmask(&self, here: u32, n: u32) {
        operations::unmask(&self.model.on(here), self.current().further(n).unwrap());
    }

    pub(crate) fn unmask_all(&self, here: u32) {
        (0..self.owners.len() as u32).for_each(|n| self.unmask(here, n));
    }

    /// As [`super::Device::move_by`].
    pub(crate) fn move_by(
        &self,
        here: u32,
        cpus: &[u32],
        each: impl Fn(&Self),
    ) -> Result<(), MoveError> {
        let moved = block::move_to(
            &self.model.on(here),
            self.vectors.get(),
            &self.all,
            Sender::Ordered,
            &OneOf(self.model, cpus),
            |message: VectorId| {
                // The address first, then the data.
                self.message
                    .set(on(message.cpu().get(), self.message.get().eiid()));
                each(self);
                self.message.set(message);
                each(self);
            },
        )?;

        self.vectors.set(moved);
        Ok(())
    }

    pub(crate) fn move_to(&self, here: u32, cpus: &[u32]) -> Result<(), MoveError> {
        self.move_by(here, cpus, |_| ())
    }

    pub(crate) fn free(self, here: u32) {
        block::free(&self.model.on(here), self.vectors.get(), &self.all);
    }

    /// How often each of its interrupts was handled, on any CPU.
    pub(crate) fn handled(&self) -> Vec<usize> {
        let handled: Vec<_> = self
            .model
            .harts
            .iter()
            .flat_map(|hart| hart.handled.borrow().clone())
            .collect();

        self.owners
            .iter()
            .map(|owner| handled.iter().filter(|one| *one == owner).count())
            .collect()
    }
}
