// SPDX-License-Identifier: GPL-2.0

//! Blocks of identities, for devices that raise several interrupts by one message.

use core::ops::Deref;

use super::File;
use crate::{
    ids::Eiid,
    vector::{
        block::BlockOwners,
        slot::{
            InFlight,
            Slot, //
        },
        VectorId, //
    },
    word::Word, //
};

/// Where a block begins is all that tells one from another of its size.
impl<S: Deref<Target = [Word]>> File<S> {
    /// As [`Self::assign`], for a block: gives each of its identities to the owner of that number, who
    /// wants it to be enabled if `enabled` says so. Returns the first one.
    pub fn assign_block(
        &self,
        owners: &BlockOwners,
        enabled: impl Fn(u32) -> bool,
    ) -> Option<Eiid> {
        let first = self.pool.alloc_block(owners.size())?;

        self.give_block(first, owners, enabled);
        Some(first)
    }

    /// As [`Self::assign_block`], but gives the block that begins with `first`; returns whether it was
    /// free.
    pub fn assign_block_at(
        &self,
        first: Eiid,
        owners: &BlockOwners,
        enabled: impl Fn(u32) -> bool,
    ) -> bool {
        let free = self.pool.claim_block(first, owners.size());

        if free {
            self.give_block(first, owners, enabled);
        }
        free
    }

    fn give_block(&self, first: Eiid, owners: &BlockOwners, enabled: impl Fn(u32) -> bool) {
        for (n, owner) in owners.iter() {
            if let Some(eiid) = Eiid::new(first.get() + n) {
                self.give(eiid, owner, enabled(n));
            }
        }
    }

    /// As [`Self::assign_forwarder`], for a block of `size` that forwards to that which begins with
    /// `to`.
    pub fn assign_forwarders(&self, first: Eiid, to: VectorId, size: u32) -> bool {
        if !self.pool.claim_block(first, size) {
            return false;
        }
        for n in 0..size {
            if let Some((eiid, to)) = Eiid::new(first.get() + n).zip(to.further(n)) {
                self.publish(eiid, Slot::Forward(to, InFlight::Redirecting));
            }
        }
        true
    }
}
