// SPDX-License-Identifier: GPL-2.0

//! One CPU's supervisor interrupt file: slots, desired enables, deferred changes and moves.

use core::ops::Deref;

use super::{
    pool::{
        self,
        Pool, //
    },
    slot::{
        InFlight,
        Owner,
        Slot, //
    },
    tick::Tick,
    VectorId,
};
use crate::{
    ids::{
        Eiid,
        NrIds, //
    },
    word::Word, //
};

/// What only the file's own hart can do.
///
/// An implementation stands for the executing hart with its interrupts disabled: nothing else
/// accesses the same registers meanwhile.
pub trait Hart {
    /// Sets the enable bit of `eiid`.
    fn enable(&self, eiid: Eiid);

    /// Clears the enable bit of `eiid`.
    fn disable(&self, eiid: Eiid);

    /// Clears the pending bit of `eiid` and returns whether it was set.
    fn take_pending(&self, eiid: Eiid) -> bool;

    /// Sends an MSI to `to`. Returns without waiting for its arrival.
    fn send(&self, to: VectorId);

    /// Makes sure that no MSI of a sender of the [`InFlight::Fenced`] kind is on its way to this
    /// hart. Returns `false` if that cannot be told.
    fn fence(&self) -> bool;

    /// What the clock says.
    fn now(&self) -> Tick;
}

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
pub struct Remains {
    /// Something waits for the time to pass: synchronise again at that tick.
    pub due: Option<Tick>,
}

/// What has become of an MSI that arrived at an identity without owner.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Arrival {
    /// The identity has an owner after all.
    For(Owner),
    /// It was sent on to where its interrupt has moved.
    Forwarded,
    /// It was for an interrupt that is no more.
    Dropped,
    /// It was for nobody.
    Stray,
}

/// One CPU's supervisor interrupt file.
///
/// The words are borrowed: one per identity for the slots, [`pool::words_for`] for each bitmap.
/// Everything can be called from any CPU at any time, except what takes a [`Hart`].
pub struct File<S> {
    /// A set bit per word of `dirty` that is not zero; all that interrupt entry has to look at.
    summary: Word,
    slots: S,
    enabled: S,
    dirty: S,
    /// A bit per identity that ends when nothing can be in flight to it any more. Only the own hart
    /// looks at it.
    leaving: S,
    /// A set bit per word of `leaving` that is not zero.
    leaving_summary: Word,
    pool: Pool<S>,
    online: Word,
    forwarded: Word,
    dropped: Word,
}

impl<S: Deref<Target = [Word]>> File<S> {
    /// Creates the file of an offline CPU.
    ///
    /// All words must be zero. Returns [`None`] if a number of words does not fit `nr_ids`.
    pub fn new(nr_ids: NrIds, slots: S, enabled: S, dirty: S, leaving: S, used: S) -> Option<Self> {
        let words = pool::words_for(nr_ids);

        if slots.len() != words * 64
            || [&enabled, &dirty, &leaving, &used]
                .iter()
                .any(|bitmap| bitmap.len() != words)
        {
            return None;
        }

        Some(Self {
            summary: Word::new(0),
            slots,
            enabled,
            dirty,
            leaving,
            leaving_summary: Word::new(0),
            pool: Pool::new(used)?,
            online: Word::new(0),
            forwarded: Word::new(0),
            dropped: Word::new(0),
        })
    }

    /// What `eiid` means now. [`Slot::Free`] for identities that the file does not have.
    #[inline]
    pub fn slot(&self, eiid: Eiid) -> Slot {
        self.slots
            .get(eiid.index())
            .map_or(Slot::Free, |slot| Slot::from_bits(slot.load()))
    }

    /// Whether changes wait for the own hart. This is the check of interrupt entry: one load.
    #[inline(always)]
    pub fn needs_sync(&self) -> bool {
        self.summary.load() != 0
    }

    /// The identities in use.
    #[inline]
    pub fn pool(&self) -> &Pool<S> {
        &self.pool
    }

    /// Whether the owner wants `eiid` to be enabled.
    #[inline]
    pub fn is_enabled(&self, eiid: Eiid) -> bool {
        let (index, mask) = pool::position(eiid);

        self.enabled
            .get(index)
            .is_some_and(|word| word.load() & mask != 0)
    }

    /// Records whether `eiid` shall be enabled; the hardware does not change yet.
    #[inline]
    pub fn want(&self, eiid: Eiid, enabled: bool) {
        let (index, mask) = pool::position(eiid);

        if let Some(word) = self.enabled.get(index) {
            if enabled {
                word.set(mask);
            } else {
                word.clear(mask);
            }
        }
    }

    /// Enables `eiid` on the own hart, now.
    #[inline]
    pub fn enable_here(&self, hart: &impl Hart, eiid: Eiid) {
        self.want(eiid, true);
        hart.enable(eiid);
    }

    /// Disables `eiid` on the own hart, now.
    #[inline]
    pub fn disable_here(&self, hart: &impl Hart, eiid: Eiid) {
        self.want(eiid, false);
        hart.disable(eiid);
    }

    /// Tells the own hart to look at `eiid`. Returns whether the hart is online, that is, whether
    /// it will; if it is not, [`Self::retire_away`] finishes what needs no hart.
    pub fn mark(&self, eiid: Eiid) -> bool {
        let (index, mask) = pool::position(eiid);

        if let Some(word) = self.dirty.get(index) {
            word.set(mask);
            self.summary.set(1 << index);
        }
        self.is_online()
    }

    /// Whether the own hart takes part.
    ///
    /// Ordered after everything before it, so that of a change and a concurrent
    /// [`Self::go_offline`] at least one sees the other.
    #[inline]
    pub fn is_online(&self) -> bool {
        self.online.set(0) != 0
    }

    /// Gives the lowest free identity to `owner`; disabled.
    pub fn assign(&self, owner: Owner) -> Option<Eiid> {
        let eiid = self.pool.alloc()?;

        self.publish(eiid, Slot::Assigned(owner));
        Some(eiid)
    }

    /// Gives `eiid` to `owner` if it is free; disabled.
    pub fn assign_at(&self, eiid: Eiid, owner: Owner) -> bool {
        if !self.pool.claim(eiid) {
            return false;
        }

        self.publish(eiid, Slot::Assigned(owner));
        true
    }

    /// Takes the free identity `eiid` only to forward what arrives there to `to`, for a device that
    /// may combine the address of this file with the data of another one while it is redirected.
    pub fn assign_forwarder(&self, eiid: Eiid, to: VectorId) -> bool {
        if !self.pool.claim(eiid) {
            return false;
        }

        self.publish(eiid, Slot::Forward(to, InFlight::Redirecting));
        true
    }

    fn publish(&self, eiid: Eiid, slot: Slot) {
        if let Some(word) = self.slots.get(eiid.index()) {
            word.store_release(slot.to_bits());
        }
    }

    fn replace(&self, eiid: Eiid, old: Slot, new: Slot) -> bool {
        self.slots
            .get(eiid.index())
            .is_some_and(|word| word.replace(old.to_bits(), new.to_bits()))
    }

    /// Takes `eiid` away from `owner` and lets it forward to `to`. The device is still to be told.
    pub fn begin_move(&self, eiid: Eiid, owner: Owner, to: VectorId) -> bool {
        self.replace(
            eiid,
            Slot::Assigned(owner),
            Slot::Forward(to, InFlight::Redirecting),
        )
    }

    /// The device has been told: from now on only MSIs of the kind `in_flight` can arrive at `eiid`.
    ///
    /// The forwarder ends when its own hart has synchronised; [`Self::mark`] it.
    pub fn settle(&self, eiid: Eiid, to: VectorId, in_flight: InFlight) -> bool {
        self.replace(
            eiid,
            Slot::Forward(to, InFlight::Redirecting),
            Slot::Forward(to, in_flight),
        )
    }

    /// Whether `eiid` still forwards to `to`: the move between them is in flight.
    #[inline]
    pub fn forwards_to(&self, eiid: Eiid, to: VectorId) -> bool {
        matches!(self.slot(eiid), Slot::Forward(target, _) if target == to)
    }

    /// Lets a forwarder to `from` forward to `to` instead. Returns whether there was one.
    pub fn retarget(&self, eiid: Eiid, from: VectorId, to: VectorId) -> bool {
        self.change_forward(eiid, from, |in_flight| Slot::Forward(to, in_flight))
    }

    /// Lets a forwarder to `to` drop what arrives, since the interrupt is no more. Returns whether
    /// there was one.
    pub fn abandon(&self, eiid: Eiid, to: VectorId) -> bool {
        self.change_forward(eiid, to, |_| Slot::Drain)
    }

    fn change_forward(&self, eiid: Eiid, target: VectorId, new: impl Fn(InFlight) -> Slot) -> bool {
        loop {
            let old = self.slot(eiid);

            match old {
                Slot::Forward(to, in_flight) if to == target => {
                    if self.replace(eiid, old, new(in_flight)) {
                        return true;
                    }
                }
                _ => return false,
            }
        }
    }

    /// Takes `eiid` away from `owner` for good. The identity can be used again when its own hart
    /// has cleared its pending bit; [`Self::mark`] it.
    pub fn free(&self, eiid: Eiid, owner: Owner) -> bool {
        self.want(eiid, false);
        self.replace(eiid, Slot::Assigned(owner), Slot::Drain)
    }

    /// Sends on an MSI that arrived at the forwarder `eiid`, or drops it.
    pub fn forward(&self, hart: &impl Hart, eiid: Eiid) -> Arrival {
        let mut sent = None;

        loop {
            match self.slot(eiid) {
                Slot::Forward(to, _) => {
                    // A retarget between the look and the send: the first target's CPU may be gone.
                    if sent == Some(to) {
                        self.forwarded.add(1);
                        return Arrival::Forwarded;
                    }
                    hart.send(to);
                    sent = Some(to);
                }
                Slot::Assigned(owner) => return Arrival::For(owner),
                Slot::Drain => {
                    self.dropped.add(1);
                    return Arrival::Dropped;
                }
                Slot::Free | Slot::Off => {
                    self.dropped.add(1);
                    return Arrival::Stray;
                }
            }
        }
    }

    /// Disables `eiid`, which the caller has taken from the pool, until the hart is reset: MSIs for
    /// nobody keep or may keep arriving there.
    pub fn switch_off(&self, hart: &impl Hart, eiid: Eiid) {
        self.publish(eiid, Slot::Off);
        hart.disable(eiid);
    }

    /// Takes the identities that are switched off back into the pool.
    fn readmit(&self) {
        for (index, used) in self.pool.used().iter().enumerate() {
            let mut bits = used.load();

            while bits != 0 {
                let bit = bits.trailing_zeros();
                bits &= bits - 1;

                if let Some(eiid) = pool::eiid_at(index, bit) {
                    if self.slot(eiid) == Slot::Off {
                        self.retire(eiid, Slot::Off);
                    }
                }
            }
        }
    }

    /// Applies everything that waits for the own hart.
    pub fn sync(&self, hart: &impl Hart) -> Remains {
        self.look(hart, self.summary.swap(0));
        self.leave(hart, false)
    }

    /// Looks at all identities that are marked in the words of `summary`.
    fn look(&self, hart: &impl Hart, mut summary: u64) {
        while summary != 0 {
            // CAST: A bit number below 64.
            let index = summary.trailing_zeros() as usize;
            summary &= summary - 1;

            let mut dirty = self.dirty.get(index).map_or(0, |word| word.swap(0));
            while dirty != 0 {
                let bit = dirty.trailing_zeros();
                dirty &= dirty - 1;

                if let Some(eiid) = pool::eiid_at(index, bit) {
                    self.look_at(hart, eiid);
                }
            }
        }
    }

    /// Applies what waits for `eiid`, but for its end as a forwarder, which may need a proof that is
    /// given to all of them at once.
    fn look_at(&self, hart: &impl Hart, eiid: Eiid) {
        match self.slot(eiid) {
            // Enabled, so that what arrives by mistake is claimed and dropped, and no pending bit
            // waits for the next owner.
            Slot::Free => hart.enable(eiid),
            Slot::Off => hart.disable(eiid),
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
            Slot::Forward(..) => {
                // Nothing shall wait here even if its owner has masked it: that is up to the new
                // vector.
                hart.enable(eiid);
                self.set_leaving(eiid);
            }
        }
    }

    /// Ends a drained identity. Nobody else changes that state.
    fn drain(&self, hart: &impl Hart, eiid: Eiid) {
        if hart.take_pending(eiid) {
            self.dropped.add(1);
        }
        hart.enable(eiid);
        self.retire(eiid, Slot::Drain);
    }

    fn set_leaving(&self, eiid: Eiid) {
        let (index, mask) = pool::position(eiid);

        if let Some(word) = self.leaving.get(index) {
            word.store_release(word.load() | mask);
            self.leaving_summary
                .store_release(self.leaving_summary.load() | 1 << index);
        }
    }

    /// Ends all leaving identities to which nothing can be in flight any more. With `last`, the hart
    /// goes away and every one ends now.
    fn leave(&self, hart: &impl Hart, last: bool) -> Remains {
        let mut remains = Remains::default();
        let mut summary = self.leaving_summary.load();

        if summary == 0 {
            return remains;
        }

        let mut proofs = Proofs::new(hart);
        let mut left = 0;

        while summary != 0 {
            // CAST: A bit number below 64.
            let index = summary.trailing_zeros() as usize;
            summary &= summary - 1;

            let Some(word) = self.leaving.get(index) else {
                continue;
            };
            let mut leaving = word.load();
            let mut stay = 0;

            while leaving != 0 {
                let bit = leaving.trailing_zeros();
                leaving &= leaving - 1;

                let due = pool::eiid_at(index, bit)
                    .and_then(|eiid| self.leave_one(hart, &mut proofs, eiid, last));
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
    fn leave_one<H: Hart>(
        &self,
        hart: &H,
        proofs: &mut Proofs<'_, H>,
        eiid: Eiid,
        last: bool,
    ) -> Option<Tick> {
        // An MSI was pending at the forwarder; whoever is the target in the end has to get it.
        let mut owed = false;

        // Others may retarget or abandon it meanwhile: then look again.
        loop {
            let slot = self.slot(eiid);

            match slot {
                Slot::Drain => {
                    self.drain(hart, eiid);
                    return None;
                }
                // With `last` too, the proof is asked for, but not waited for.
                Slot::Forward(to, InFlight::Fenced) if !proofs.fence() && !last => {
                    let waits = Slot::Forward(to, InFlight::Posted(proofs.now()));

                    self.replace(eiid, slot, waits);
                }
                Slot::Forward(_, InFlight::Posted(since))
                    if !last && proofs.now().since(since) <= POSTED_TICKS =>
                {
                    return Some(arrived_at(since));
                }
                Slot::Forward(_, InFlight::Redirecting) if !last => return None,
                Slot::Forward(..) => {
                    owed |= hart.take_pending(eiid);
                    if owed {
                        self.forward(hart, eiid);
                    }
                    if self.retire(eiid, slot) {
                        return None;
                    }
                }
                // Ended, and maybe in use again.
                Slot::Free | Slot::Assigned(_) | Slot::Off => return None,
            }
        }
    }

    /// Ends the use of `eiid` if its state is still `slot`.
    fn retire(&self, eiid: Eiid, slot: Slot) -> bool {
        let retired = self.replace(eiid, slot, Slot::Free);

        if retired {
            // Nobody else's yet: the pool still has it as taken.
            self.want(eiid, false);
            self.pool.release(eiid);
        }
        retired
    }

    /// Ends a drained identity or a settled forwarder of an offline hart: nothing can arrive there
    /// any more, and its pending bits are cleared before it comes back.
    pub fn retire_away(&self, eiid: Eiid) {
        loop {
            let slot = self.slot(eiid);

            match slot {
                Slot::Free
                | Slot::Off
                | Slot::Assigned(_)
                | Slot::Forward(_, InFlight::Redirecting) => return,
                Slot::Drain | Slot::Forward(..) => {
                    // Retargeted or abandoned meanwhile: look again.
                    if self.retire(eiid, slot) {
                        return;
                    }
                }
            }
        }
    }

    /// The own hart comes up, with all its enable bits set and its pending bits clear: applies the
    /// desired state of every identity in use.
    pub fn go_online(&self, hart: &impl Hart) -> Remains {
        self.readmit();
        self.online.set(1);
        self.refresh(hart)
    }

    /// Applies the desired state of every identity in use again, after the hart lost its enables.
    pub fn refresh(&self, hart: &impl Hart) -> Remains {
        for (index, (dirty, used)) in self.dirty.iter().zip(self.pool.used()).enumerate() {
            dirty.set(used.load());
            self.summary.set(1 << index);
        }
        self.sync(hart)
    }

    /// The own hart goes away: ends all forwarders, now.
    ///
    /// Its own interrupts must have been moved away before.
    pub fn go_offline(&self, hart: &impl Hart) {
        self.online.swap(0);
        self.summary.swap(0);
        for (index, (dirty, used)) in self.dirty.iter().zip(self.pool.used()).enumerate() {
            let mut bits = dirty.swap(0) | used.load();

            while bits != 0 {
                let bit = bits.trailing_zeros();
                bits &= bits - 1;

                if let Some(eiid) = pool::eiid_at(index, bit) {
                    self.look_at(hart, eiid);
                    if let Slot::Forward(..) = self.slot(eiid) {
                        self.set_leaving(eiid);
                    }
                }
            }
        }
        let _ = self.leave(hart, true);
    }

    /// MSIs sent on from forwarders since boot.
    pub fn forwarded(&self) -> u64 {
        self.forwarded.load()
    }

    /// MSIs for nobody since boot.
    pub fn dropped(&self) -> u64 {
        self.dropped.load()
    }
}

/// What proves that nothing is in flight, asked for once for all that leave at the same time.
struct Proofs<'a, H> {
    hart: &'a H,
    fence: Option<bool>,
    now: Option<Tick>,
}

impl<'a, H: Hart> Proofs<'a, H> {
    fn new(hart: &'a H) -> Self {
        Self {
            hart,
            fence: None,
            now: None,
        }
    }

    /// See [`Hart::fence`].
    fn fence(&mut self) -> bool {
        *self.fence.get_or_insert_with(|| self.hart.fence())
    }

    /// See [`Hart::now`].
    fn now(&mut self) -> Tick {
        *self.now.get_or_insert_with(|| self.hart.now())
    }
}

#[cfg_attr(CONFIG_KUNIT, kernel::macros::kunit_tests(aia_core_vector_file))]
#[cfg_attr(not(CONFIG_KUNIT), cfg(all(test, not(loom))))]
mod tests {
    use core::cell::Cell;

    use super::*;
    use crate::ids::Cpu;

    /// A hart with one word of registers, which remembers what it sent.
    #[derive(Default)]
    struct TestHart {
        enabled: Cell<u64>,
        pending: Cell<u64>,
        sent: Cell<Option<VectorId>>,
        count: Cell<u32>,
        fences: Cell<bool>,
        asked: Cell<u32>,
        now: Cell<u64>,
    }

    impl Hart for TestHart {
        fn enable(&self, eiid: Eiid) {
            self.enabled.set(self.enabled.get() | 1 << eiid.get());
        }

        fn disable(&self, eiid: Eiid) {
            self.enabled.set(self.enabled.get() & !(1 << eiid.get()));
        }

        fn take_pending(&self, eiid: Eiid) -> bool {
            let was = self.pending.get();

            self.pending.set(was & !(1 << eiid.get()));
            was & 1 << eiid.get() != 0
        }

        fn send(&self, to: VectorId) {
            self.sent.set(Some(to));
            self.count.set(self.count.get() + 1);
        }

        fn fence(&self) -> bool {
            self.asked.set(self.asked.get() + 1);
            self.fences.get()
        }

        fn now(&self) -> Tick {
            Tick::new(self.now.get())
        }
    }

    struct Memory {
        slots: [Word; 64],
        bitmaps: [[Word; 1]; 4],
    }

    impl Memory {
        fn new() -> Self {
            Self {
                slots: [const { Word::new(0) }; 64],
                bitmaps: [const { [const { Word::new(0) }] }; 4],
            }
        }

        fn file(&self) -> File<&[Word]> {
            let [enabled, dirty, leaving, used] = self.bitmaps.each_ref().map(|bitmap| &bitmap[..]);

            File::new(NrIds::MIN, &self.slots[..], enabled, dirty, leaving, used).unwrap()
        }
    }

    fn id(n: u32) -> Eiid {
        Eiid::new(n).unwrap()
    }

    fn owner() -> Owner {
        Owner::new(0x1000).unwrap()
    }

    fn elsewhere(n: u32) -> VectorId {
        VectorId::new(Cpu::new(1), id(n)).unwrap()
    }

    #[test]
    fn wrong_sizes_are_refused() {
        let memory = Memory::new();
        let [a, b, c, d] = memory.bitmaps.each_ref().map(|bitmap| &bitmap[..]);

        assert!(File::new(NrIds::MIN, &memory.slots[..63], a, b, c, d).is_none());
        assert!(File::new(NrIds::MAX, &memory.slots[..], a, b, c, d).is_none());
    }

    #[test]
    fn remote_changes_wait_for_the_hart() {
        let memory = Memory::new();
        let file = memory.file();
        let hart = TestHart::default();

        assert_eq!(file.go_online(&hart), Remains::default());
        let eiid = file.assign(owner()).unwrap();
        assert!(!file.needs_sync());
        file.want(eiid, true);
        assert!(file.mark(eiid));
        assert!(file.needs_sync());
        assert_eq!(hart.enabled.get(), 0);
        assert_eq!(file.sync(&hart), Remains::default());
        assert!(!file.needs_sync());
        assert_eq!(hart.enabled.get(), 1 << eiid.get());
        file.want(eiid, false);
        file.mark(eiid);
        let _ = file.sync(&hart);
        assert_eq!(hart.enabled.get(), 0);
    }

    #[test]
    fn move_forwards_what_is_pending() {
        let memory = Memory::new();
        let file = memory.file();
        let hart = TestHart::default();
        let to = elsewhere(5);

        let _ = file.go_online(&hart);
        let eiid = file.assign(owner()).unwrap();
        file.enable_here(&hart, eiid);
        assert!(file.begin_move(eiid, owner(), to));

        // Not settled: a look at the identity must not end the forwarder.
        file.mark(eiid);
        let _ = file.sync(&hart);
        assert!(file.forwards_to(eiid, to));
        assert_eq!(file.forward(&hart, eiid), Arrival::Forwarded);
        assert_eq!(hart.sent.take(), Some(to));

        hart.pending.set(1 << eiid.get());
        assert!(file.settle(eiid, to, InFlight::Ordered));
        file.mark(eiid);
        let _ = file.sync(&hart);
        assert_eq!(hart.sent.take(), Some(to));
        assert_eq!(hart.pending.get(), 0);
        assert_eq!(file.slot(eiid), Slot::Free);
        assert_eq!(file.assign(owner()), Some(eiid));
        assert_eq!(file.forwarded(), 2);
    }

    /// An identity of a file that forwards since `in_flight`, and has been looked at.
    fn leaving(file: &File<&[Word]>, hart: &TestHart, in_flight: InFlight) -> Eiid {
        let eiid = file.assign(owner()).unwrap();

        assert!(file.begin_move(eiid, owner(), elsewhere(5)));
        assert!(file.settle(eiid, elsewhere(5), in_flight));
        file.mark(eiid);
        let _ = file.sync(hart);
        eiid
    }

    #[test]
    fn posted_messages_are_waited_for() {
        // The end of the count in between.
        for start in [7, (1 << 28) - 2, u64::from(u32::MAX)] {
            let memory = Memory::new();
            let file = memory.file();
            let hart = TestHart::default();
            let due = Remains {
                due: Some(Tick::new(start + 2)),
            };

            hart.now.set(start);
            let _ = file.go_online(&hart);
            let eiid = leaving(&file, &hart, InFlight::Posted(Tick::new(start)));
            assert_eq!(file.sync(&hart), due);
            // One whole tick: what is left of the current one does not count.
            hart.now.set(start + 1);
            assert_eq!(file.sync(&hart), due);
            hart.pending.set(1 << eiid.get());
            assert_eq!(file.sync(&hart), due);
            assert!(file.forwards_to(eiid, elsewhere(5)));
            hart.now.set(start + 2);
            assert_eq!(file.sync(&hart), Remains::default());
            assert_eq!(file.slot(eiid), Slot::Free);
            assert_eq!(hart.count.get(), 1);
        }
    }

    /// Each change of affinity that is refused makes the hart look again.
    #[test]
    fn time_alone_ends_the_wait() {
        for in_flight in [InFlight::Posted(Tick::new(0)), InFlight::Fenced] {
            let memory = Memory::new();
            let file = memory.file();
            let hart = TestHart::default();

            let _ = file.go_online(&hart);
            let eiid = leaving(&file, &hart, in_flight);
            for now in 0..2 {
                hart.now.set(now);
                for _ in 0..4 {
                    file.mark(eiid);
                    assert_eq!(file.sync(&hart).due, Some(Tick::new(2)));
                    assert!(file.forwards_to(eiid, elsewhere(5)));
                }
            }
        }
    }

    #[test]
    fn the_first_of_several_is_waited_for() {
        let memory = Memory::new();
        let file = memory.file();
        let hart = TestHart::default();

        let _ = file.go_online(&hart);
        let ids = [5, 3, 4].map(|since| {
            hart.now.set(since);
            leaving(&file, &hart, InFlight::Posted(Tick::new(since)))
        });
        for (now, due) in [(3, Some(5)), (5, Some(6)), (6, Some(7)), (7, None)] {
            hart.now.set(now);
            assert_eq!(file.sync(&hart).due, due.map(Tick::new));
        }
        assert!(ids.into_iter().all(|eiid| file.slot(eiid) == Slot::Free));
    }

    #[test]
    fn fenced_messages_need_the_proof() {
        let memory = Memory::new();
        let file = memory.file();
        let hart = TestHart::default();

        // No proof: as posted, since then.
        let _ = file.go_online(&hart);
        hart.now.set(10);
        let eiid = leaving(&file, &hart, InFlight::Fenced);
        assert_eq!(
            file.slot(eiid),
            Slot::Forward(elsewhere(5), InFlight::Posted(Tick::new(10)))
        );
        assert_eq!(file.sync(&hart).due, Some(Tick::new(12)));
        hart.now.set(12);
        assert_eq!(file.sync(&hart), Remains::default());
        assert_eq!(file.slot(eiid), Slot::Free);

        hart.fences.set(true);
        let eiid = leaving(&file, &hart, InFlight::Fenced);
        assert_eq!(file.slot(eiid), Slot::Free);
    }

    /// One proof for all that have settled before it.
    #[test]
    fn a_proof_is_asked_for_once() {
        let memory = Memory::new();
        let file = memory.file();
        let hart = TestHart::default();

        let _ = file.go_online(&hart);
        hart.fences.set(true);
        for _ in 0..5 {
            let eiid = file.assign(owner()).unwrap();

            assert!(file.begin_move(eiid, owner(), elsewhere(5)));
            assert!(file.settle(eiid, elsewhere(5), InFlight::Fenced));
            file.mark(eiid);
        }
        let _ = file.sync(&hart);
        assert_eq!(hart.asked.get(), 1);
        assert_eq!(file.pool().free(), 63);
    }

    #[test]
    fn freed_identity_comes_back_clean() {
        let memory = Memory::new();
        let file = memory.file();
        let hart = TestHart::default();

        let _ = file.go_online(&hart);
        let eiid = file.assign(owner()).unwrap();
        file.enable_here(&hart, eiid);
        hart.pending.set(1 << eiid.get());
        assert!(file.free(eiid, owner()));
        // Not reusable before its hart has looked.
        assert_eq!(file.assign(owner()), Some(id(eiid.get() + 1)));
        assert!(file.mark(eiid));
        let _ = file.sync(&hart);
        assert_eq!(hart.pending.get(), 0);
        // What arrives by mistake does not wait for the next owner.
        assert_eq!(hart.enabled.get(), 1 << eiid.get());
        assert_eq!(file.assign(owner()), Some(eiid));
        assert_eq!(file.dropped(), 1);
    }

    #[test]
    fn freed_in_flight_forwards_no_more() {
        let memory = Memory::new();
        let file = memory.file();
        let hart = TestHart::default();
        let to = elsewhere(5);

        let _ = file.go_online(&hart);
        let eiid = file.assign(owner()).unwrap();
        assert!(file.begin_move(eiid, owner(), to));
        assert!(file.settle(eiid, to, InFlight::Ordered));
        assert!(!file.abandon(eiid, elsewhere(6)));
        assert!(file.abandon(eiid, to));
        hart.pending.set(1 << eiid.get());
        file.mark(eiid);
        let _ = file.sync(&hart);
        assert_eq!(hart.count.get(), 0);
        assert_eq!(file.slot(eiid), Slot::Free);
    }

    #[test]
    fn retarget_reaches_both() {
        let memory = Memory::new();
        let file = memory.file();
        let hart = TestHart::default();
        let (first, second) = (elsewhere(5), elsewhere(6));

        let _ = file.go_online(&hart);
        let eiid = file.assign(owner()).unwrap();
        assert!(file.begin_move(eiid, owner(), first));
        assert!(file.settle(eiid, first, InFlight::Ordered));
        assert!(file.retarget(eiid, first, second));
        assert!(!file.retarget(eiid, first, second));
        hart.pending.set(1 << eiid.get());
        file.mark(eiid);
        let _ = file.sync(&hart);
        assert_eq!(hart.sent.take(), Some(second));
    }

    #[test]
    fn dying_hart_ends_everything() {
        let memory = Memory::new();
        let file = memory.file();
        let hart = TestHart::default();
        let to = elsewhere(5);

        let _ = file.go_online(&hart);
        let moved = file.assign(owner()).unwrap();
        assert!(file.begin_move(moved, owner(), to));
        assert!(file.settle(moved, to, InFlight::Posted(hart.now())));
        hart.pending.set(1 << moved.get());
        file.go_offline(&hart);
        assert_eq!(hart.sent.take(), Some(to));
        assert_eq!(file.slot(moved), Slot::Free);

        // Offline: nobody else will finish what others begin.
        let freed = file.assign(owner()).unwrap();
        assert!(file.free(freed, owner()));
        assert!(!file.mark(freed));
        file.retire_away(freed);
        assert_eq!(file.slot(freed), Slot::Free);
        assert_eq!(file.assign(owner()), Some(freed));
    }

    #[test]
    fn switched_off_until_the_hart_is_reset() {
        let memory = Memory::new();
        let file = memory.file();
        let hart = TestHart::default();

        let _ = file.go_online(&hart);
        let free = file.pool().free();
        assert_eq!(file.forward(&hart, id(7)), Arrival::Stray);
        assert!(file.pool().claim(id(7)));
        file.switch_off(&hart, id(7));
        file.mark(id(7));
        let _ = file.sync(&hart);
        assert_eq!(hart.enabled.get() & 1 << 7, 0);
        assert_eq!(file.pool().free(), free - 1);
        assert!(!file.assign_at(id(7), owner()));

        file.go_offline(&hart);
        assert_eq!(file.pool().free(), free - 1);
        let _ = file.go_online(&hart);
        assert_eq!(file.pool().free(), free);
        assert!(file.assign_at(id(7), owner()));
    }

    #[test]
    fn online_applies_what_was_wanted() {
        let memory = Memory::new();
        let file = memory.file();
        let hart = TestHart::default();

        assert!(file.pool().claim(id(1)));
        file.want(id(1), true);
        let eiid = file.assign(owner()).unwrap();
        file.want(eiid, true);
        let _ = file.go_online(&hart);
        assert_eq!(hart.enabled.get(), 1 << 1 | 1 << eiid.get());
    }
}
