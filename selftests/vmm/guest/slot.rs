// SPDX-License-Identifier: GPL-2.0

//! MSIs with sequence numbers: what the sender and the receiver, either of them
//! in the guest or, for the sender, on the host, have in memory.
//!
//! Each identity of each vCPU is a slot, which one sender uses. The sender
//! stores the number of the MSI, counted from 1, and then sends it. For each
//! interrupt that it claimed the receiver looks up the number and notes it.
//!
//! What holds whatever the interrupt file does, as long as it is as specified:
//!
//! - An interrupt that is claimed takes one pending bit along, which at least
//!   one MSI has set, whose number was stored before. Hence the k-th interrupt
//!   of a slot finds k or more; see [`Slot::extra`].
//! - The claim that follows an MSI finds its number, or a later one. Hence the
//!   last number is noted, in time.
//! - MSIs of an identity that is pending already are merged with the one before
//!   them. A sender that waits until each number was noted before it sends the
//!   next has nothing to merge: there is one interrupt for each MSI, and each of
//!   them finds a new number.
//! - A sender that does not wait lets the receiver see a number before its MSI
//!   is there, by the interrupt of an MSI before it. That MSI then gives an
//!   interrupt that finds nothing new.

use core::sync::atomic::{
    AtomicU32,
    AtomicU64,
    Ordering, //
};

/// Guest-physical address of the slots, [`SLOTS`] of them for each vCPU.
pub const SLOTS_BASE: u64 = super::abi::RAM_BASE + 0x20_0000;
/// One for each identity that every interrupt file has, and the unused 0.
pub const SLOTS: usize = 256;

/// One identity of one vCPU.
#[repr(C)]
#[derive(Debug)]
pub struct Slot {
    /// The number of the last MSI, stored before it is sent.
    pub sent: AtomicU64,
    /// The last number noted.
    pub seen: AtomicU64,
    /// Interrupts.
    pub came: AtomicU64,
    /// Those among them that found no new number.
    pub again: AtomicU32,
    /// Those that no MSI can have made: there were fewer MSIs than interrupts.
    pub extra: AtomicU32,
}

impl Slot {
    /// Notes an interrupt. Only the receiver calls it, after the claim.
    pub fn note(&self) {
        let sent = self.sent.load(Ordering::Acquire);
        let came = self.came.load(Ordering::Relaxed) + 1;

        if sent == self.seen.load(Ordering::Relaxed) {
            self.again
                .store(self.again.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        }
        if sent < came {
            self.extra
                .store(self.extra.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        }
        self.came.store(came, Ordering::Relaxed);
        self.seen.store(sent, Ordering::Release);
    }

    /// Whether all numbers were noted.
    pub fn settled(&self) -> bool {
        self.seen.load(Ordering::Acquire) == self.sent.load(Ordering::Relaxed)
    }
}

/// The identities that a sender uses for one receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ids {
    /// The first of them.
    pub first: u32,
    /// So many that are sent in bursts, which may merge.
    pub bursts: u32,
    /// So many after them that are sent one at a time: each MSI is an interrupt.
    pub singles: u32,
}

impl Ids {
    /// Longest burst.
    const BURST: u64 = 8;

    /// All of them, and whether each is sent one at a time.
    pub fn iter(&self) -> impl Iterator<Item = (u32, bool)> + '_ {
        (0..self.bursts + self.singles).map(|i| (self.first + i, i >= self.bursts))
    }

    /// Sends `count` MSIs or a few more, of one identity after the other and over
    /// again; their number. `wait` waits until its slot has settled, or tells why
    /// it does not; `post` sends.
    ///
    /// The last of the identities is the one that is claimed last of those that
    /// are pending. When it has come, so has anything that should not have. Were
    /// it not waited for, an interrupt too many could merge with the next MSI.
    pub fn send<E>(
        &self,
        slots: &[Slot],
        count: u64,
        mut wait: impl FnMut(u32, &Slot) -> Result<(), E>,
        mut post: impl FnMut(u32) -> Result<(), E>,
    ) -> Result<u64, E> {
        let mut sent = 0;

        while sent < count {
            let mut last = None;

            for (id, single) in self.iter() {
                let Some(slot) = slots.get(id as usize) else {
                    return Ok(sent);
                };

                wait(id, slot)?;
                let mut number = slot.sent.load(Ordering::Relaxed);
                let burst = match single {
                    true => 1,
                    // Of any length, one after the other.
                    false => 1 + (number + u64::from(id)) % Self::BURST,
                };

                for _ in 0..burst {
                    number += 1;
                    slot.sent.store(number, Ordering::Release);
                    post(id)?;
                }
                sent += burst;
                last = Some((id, slot));
            }
            match last {
                Some((id, slot)) => wait(id, slot)?,
                None => return Ok(sent),
            }
        }
        Ok(sent)
    }
}
