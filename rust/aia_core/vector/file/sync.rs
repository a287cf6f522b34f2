// SPDX-License-Identifier: GPL-2.0

//! The own hart looks at its file: applies what waits for it, ends what nothing can be in flight to,
//! comes up, and goes away.

use core::ops::Deref;

use super::File;
use crate::{
    bits::Ones,
    eix::{
        self,
        EixWord, //
    },
    ids::Eiid,
    vector::{
        access::{
            Fence,
            HartAccess, //
        },
        pool,
        proof,
        slot::{
            InFlight,
            Sender,
            Slot,
            SlotOwner, //
        },
        tick::Tick,
        VectorId, //
    },
    word::Word, //
};

/// How many whole ticks a posted write to a device may take at most.
const POSTED_TICKS: u32 = 1;

/// When any write that was posted at `since` must have arrived: the first tick may have ended at
/// once.
fn arrived_at(since: Tick) -> Tick {
    since.after(POSTED_TICKS + 1)
}

/// What remains to be done after a [`File::sync`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[must_use]
pub struct SyncOutcome {
    /// Something waits for the time to pass: synchronise again at that tick.
    pub due: Option<Tick>,
}

impl<S: Deref<Target = [Word]>> File<S> {
    /// Applies everything that waits for the own hart.
    pub fn sync(&self, hart: &impl HartAccess) -> SyncOutcome {
        self.look(hart, self.summary.swap(0));
        self.leave(hart, None::<Nobody>)
    }

    /// Looks at all identities that are marked in the words of `summary`.
    pub(super) fn look(&self, hart: &impl HartAccess, summary: u64) {
        for index in Ones(summary) {
            // CAST: A bit number below 64.
            let index = index as usize;
            let dirty = self.dirty.get(index).map_or(0, |word| word.swap(0));

            for bit in Ones(dirty) {
                if let Some(eiid) = pool::eiid_at(index, bit) {
                    self.look_at(hart, eiid);
                }
            }
        }
    }

    /// Applies what waits for `eiid`, but for its end as a forwarder, which may need a proof that is
    /// given to all of them at once.
    fn look_at(&self, hart: &impl HartAccess, eiid: Eiid) {
        // What the owner wants was written before the slot.
        match self.slot_acquire(eiid) {
            // Enabled, so that what arrives by mistake is claimed and dropped, and no pending bit
            // waits for the next owner.
            Slot::Free => hart.enable(eiid),
            Slot::Off | Slot::Marker => hart.disable(eiid),
            Slot::Assigned(_) => {
                if self.is_enabled(eiid) {
                    hart.enable(eiid);
                } else {
                    hart.disable(eiid);
                }
            }
            Slot::Drain => self.drain(hart, eiid),
            // Its mover marks the identity again when the device has been told.
            Slot::Forward(_, InFlight::Redirecting) => {}
            Slot::Forward(..) | Slot::Away(..) => {
                // Nothing shall wait here even if its owner has masked it: that is up to the new
                // vector.
                hart.enable(eiid);
                self.set_leaving(eiid);
            }
        }
    }

    /// Ends a drained identity. Nobody else changes that state.
    fn drain(&self, hart: &impl HartAccess, eiid: Eiid) {
        if hart.take_pending(eiid) {
            self.dropped.add(1);
        }
        hart.enable(eiid);
        // What is told of it as a forwarder is over: its next owner may move away before this hart has
        // looked at it again, and nothing that was proven before says anything of that.
        self.clear_leaving(eiid);
        self.retire(eiid, Slot::Drain);
    }

    fn clear_leaving(&self, eiid: Eiid) {
        let (index, mask) = pool::position(eiid);

        // The summary may say more than there is.
        if let Some(word) = self.leaving.get(index) {
            word.store_release(word.load() & !mask);
        }
    }

    fn set_leaving(&self, eiid: Eiid) {
        let (index, mask) = pool::position(eiid);

        if let Some(word) = self.leaving.get(index) {
            word.store_release(word.load() | mask);
            self.leaving_summary
                .store_release(self.leaving_summary.load() | 1 << index);
        }
    }

    /// Ends all leaving identities to which nothing can be in flight any more. With `last`, which
    /// knows the owners of vectors, the hart goes away and does not wait.
    fn leave<F: Fn(VectorId) -> Option<SlotOwner>>(
        &self,
        hart: &impl HartAccess,
        last: Option<F>,
    ) -> SyncOutcome {
        let mut remains = SyncOutcome::default();
        let summary = self.leaving_summary.load();

        if summary == 0 {
            return remains;
        }

        let mut proofs = Proofs::new(self, hart);
        let mut left = 0;

        for index in Ones(summary) {
            // CAST: A bit number below 64.
            let index = index as usize;
            let Some(word) = self.leaving.get(index) else {
                continue;
            };
            let mut stay = 0;

            for bit in Ones(word.load()) {
                let due = pool::eiid_at(index, bit)
                    .and_then(|eiid| self.leave_one(hart, &mut proofs, eiid, last.as_ref()));
                if let Some(due) = due {
                    stay |= 1 << bit;
                    remains.due = Some(match remains.due {
                        Some(first) if due.since(first) > 0 => first,
                        _ => due,
                    });
                }
            }
            word.store_release(stay);
            left |= u64::from(stay != 0) << index;
        }
        self.leaving_summary.store_release(left);
        remains
    }

    /// Ends `eiid` if nothing can be in flight to it any more; else returns when to look again.
    fn leave_one<H: HartAccess, F: Fn(VectorId) -> Option<SlotOwner>>(
        &self,
        hart: &H,
        proofs: &mut Proofs<'_, S, H>,
        eiid: Eiid,
        last: Option<&F>,
    ) -> Option<Tick> {
        // An MSI was taken, but not sent on yet.
        let mut owed = false;

        // Others may retarget or abandon it meanwhile: then look again.
        //
        // No order is needed but that of the look before what is done because of it: the marker is
        // stored by a branch that depends on the slot, and an older time makes it wait for longer.
        loop {
            let slot = self.slot(eiid);

            match slot {
                Slot::Drain => {
                    self.drain(hart, eiid);
                    return None;
                }
                Slot::Forward(to, InFlight::Ordered) if !proofs.of(Sender::Ordered) => {
                    self.wait(eiid, slot, to, proofs.now());
                }
                Slot::Forward(to, InFlight::Fenced) if !proofs.of(Sender::Fenced) => {
                    self.wait(eiid, slot, to, proofs.now());
                }
                Slot::Forward(to, InFlight::Posted(since)) if !proofs.have_arrived(since) => {
                    let Some(owner_of) = last else {
                        return Some(arrived_at(since));
                    };

                    // What has come goes on, what still comes waits until the hart is back.
                    self.send_on(hart, eiid, &mut owed);
                    let ended = match owner_of(to) {
                        Some(owner) => self.go_away(hart, eiid, slot, owner),
                        None => self.retire(eiid, slot),
                    };
                    if ended {
                        return None;
                    }
                }
                // Its mover sees that the hart is away, if that is so.
                Slot::Forward(_, InFlight::Redirecting) => return None,
                Slot::Forward(_, in_flight) => {
                    self.send_on(hart, eiid, &mut owed);
                    if self.retire(eiid, slot) {
                        hart.moved(eiid, in_flight.sender());
                        return None;
                    }
                }
                Slot::Away(..) if last.is_some() => return None,
                // It has to be taken once more, by interrupt entry.
                Slot::Away(..) if owed => {
                    hart.send_here(eiid);
                    return None;
                }
                Slot::Away(owner, sender) if !proofs.of(sender) && sender != Sender::Posted => {
                    self.replace(eiid, slot, Slot::Away(owner, Sender::Posted));
                }
                Slot::Away(_, Sender::Posted) if !proofs.have_arrived(self.away_since(eiid)) => {
                    return Some(arrived_at(self.away_since(eiid)));
                }
                Slot::Away(..) => {
                    // When it has been handled, the identity is marked again.
                    if hart.is_pending(eiid) {
                        return None;
                    }
                    if self.retire(eiid, slot) {
                        hart.away().add(u64::MAX);
                        return None;
                    }
                }
                // Ended, and maybe in use again.
                Slot::Free | Slot::Assigned(_) | Slot::Off | Slot::Marker => return None,
            }
        }
    }

    /// Makes sure that all MSIs that were written to the file before are pending or have been taken;
    /// of those that come from devices, all that came before what the hart has read from them.
    /// Returns `false` if that cannot be told; then nothing can until the hart is reset.
    pub fn has_arrived(&self, hart: &impl HartAccess) -> bool {
        if self.lost.load() != 0 {
            return false;
        }

        let outcome = proof::ask(hart, self.marker, || {
            hart.send_here(self.marker);
            true
        });
        self.is_proven(hart, outcome)
    }

    /// As [`Self::has_arrived`], for MSIs of senders of the [`Sender::Fenced`] kind.
    fn is_fenced(&self, hart: &impl HartAccess) -> bool {
        self.lost.load() == 0 && self.is_proven(hart, hart.fence(self.marker))
    }

    fn is_proven(&self, hart: &impl HartAccess, outcome: Fence) -> bool {
        if outcome == Fence::Lost {
            self.lost.store_release(1);
            hart.marker_lost();
        }
        outcome == Fence::Proven
    }

    /// Since when `eiid`, which is [`Slot::Away`], may wait.
    fn away_since(&self, eiid: Eiid) -> Tick {
        // Written before the slot.
        let _ = self.slot_acquire(eiid);

        Tick::new(self.away_since.load())
    }

    /// What is kept waits from `now` on, not from a moment that somebody else read before and writes
    /// after.
    pub(super) fn wait_from(&self, now: impl Fn() -> Tick) {
        loop {
            // Before the clock: the time that is replaced is not a later one.
            let since = self.away_since.load_acquire();

            if self.away_since.replace(since, now().get().into()) {
                break;
            }
        }
    }

    /// The own hart comes up, with all its enable bits set: clears the pending bits of what is
    /// nobody's, and applies the desired state of every identity in use.
    pub fn go_online(&self, hart: &impl HartAccess) -> SyncOutcome {
        // Not online yet: nobody gets an identity whose pending bit is not clear.
        for (word, used) in (0..).map_while(EixWord::new).zip(self.pool.used()) {
            hart.clear_pending(word, !self.owned(word, used.load()));
        }
        self.readmit();
        self.lost.store_release(0);
        self.online.set(1);
        self.wait_from(|| hart.now());
        self.refresh(hart)
    }

    /// Those of the identities `bits` of a word at which something may have arrived, or may still
    /// arrive, that has an owner.
    fn owned(&self, word: EixWord, bits: u64) -> u64 {
        word.ids(bits)
            .filter(|eiid| {
                matches!(
                    self.slot(*eiid),
                    Slot::Assigned(_) | Slot::Forward(..) | Slot::Away(..)
                )
            })
            .fold(0, |owned, eiid| owned | eix::mask(eiid))
    }

    /// Applies the desired state of every identity in use again, after the hart lost its enables.
    pub fn refresh(&self, hart: &impl HartAccess) -> SyncOutcome {
        self.mark_all();
        self.sync(hart)
    }

    /// Marks every identity in use.
    fn mark_all(&self) {
        for (index, (dirty, used)) in self.dirty.iter().zip(self.pool.used()).enumerate() {
            dirty.set(used.load());
            self.summary.set(1 << index);
        }
    }

    /// The own hart goes away. Its own interrupts have moved away before, as far as they could.
    ///
    /// Forwarders to which nothing is in flight end. What may still arrive at the others waits until
    /// the hart is back, for the owner that `owner_of` finds for their targets.
    pub fn go_offline(
        &self,
        hart: &impl HartAccess,
        owner_of: impl Fn(VectorId) -> Option<SlotOwner>,
    ) {
        self.online.swap(0);
        self.mark_all();
        self.look(hart, self.summary.swap(0));
        let _ = self.leave(hart, Some(owner_of));
    }

    /// Takes the identities that are switched off back into the pool.
    fn readmit(&self) {
        for eiid in self.pool.iter() {
            if self.slot(eiid) == Slot::Off {
                self.retire(eiid, Slot::Off);
            }
        }
    }
}

/// Nobody's owners.
type Nobody = fn(VectorId) -> Option<SlotOwner>;

/// What proves that nothing is in flight, asked for once for all that leave at the same time.
struct Proofs<'a, S, H> {
    file: &'a File<S>,
    hart: &'a H,
    arrived: Option<bool>,
    fenced: Option<bool>,
    now: Option<Tick>,
}

impl<'a, S: Deref<Target = [Word]>, H: HartAccess> Proofs<'a, S, H> {
    fn new(file: &'a File<S>, hart: &'a H) -> Self {
        Self {
            file,
            hart,
            arrived: None,
            fenced: None,
            now: None,
        }
    }

    /// Whether it is proven that no MSI of a sender of that kind is on its way.
    fn of(&mut self, sender: Sender) -> bool {
        match sender {
            Sender::Ordered => *self
                .arrived
                .get_or_insert_with(|| self.file.has_arrived(self.hart)),
            Sender::Fenced => *self
                .fenced
                .get_or_insert_with(|| self.file.is_fenced(self.hart)),
            Sender::Posted => false,
        }
    }

    /// See [`HartAccess::now`].
    fn now(&mut self) -> Tick {
        *self.now.get_or_insert_with(|| self.hart.now())
    }

    /// Whether any write that was posted at `since` must have arrived.
    fn have_arrived(&mut self, since: Tick) -> bool {
        self.now().since(since) > POSTED_TICKS
    }
}
