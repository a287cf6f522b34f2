// SPDX-License-Identifier: GPL-2.0

//! One CPU's supervisor interrupt file: slots, desired enables, deferred changes and moves.

mod block;
pub mod forward;
pub mod sync;

use core::ops::Deref;

use super::{
    access::HartAccess,
    pool::{
        self,
        Pool, //
    },
    slot::{
        Slot,
        SlotOwner, //
    },
    POKE, //
};
use crate::{
    ids::{
        Eiid,
        NrIds, //
    },
    word::Word, //
};

/// One CPU's supervisor interrupt file.
///
/// The words are borrowed: one per identity for the slots, [`pool::words_for`] for each bitmap.
/// Everything can be called from any CPU at any time, except what takes a [`HartAccess`].
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
    /// When the own hart came up, or something was last [kept](Self::keep): what may still arrive there was
    /// posted before.
    away_since: Word,
    /// Not zero if a marker is still on its way, so that another one proves nothing. Only the own
    /// hart looks at it.
    lost: Word,
    marker: Eiid,
    /// How many identities have come back to the pool. Only the own hart looks at it.
    retired: Word,
    forwarded: Word,
    dropped: Word,
    /// How many interrupts the own hart has moved. Only the own hart counts.
    moves: Word,
}

impl<S: Deref<Target = [Word]>> File<S> {
    /// Creates the file of an offline CPU.
    ///
    /// Of its identities, [`POKE`] and the marker, the last one, are nobody's. All words must be
    /// zero. Returns [`None`] if a number of words does not fit `nr_ids`.
    pub fn new(nr_ids: NrIds, slots: S, enabled: S, dirty: S, leaving: S, used: S) -> Option<Self> {
        let words = pool::words_for(nr_ids);

        if slots.len() != words * 64
            || [&enabled, &dirty, &leaving, &used]
                .iter()
                .any(|bitmap| bitmap.len() != words)
        {
            return None;
        }

        let file = Self {
            summary: Word::new(0),
            slots,
            enabled,
            dirty,
            leaving,
            leaving_summary: Word::new(0),
            pool: Pool::new(used)?,
            online: Word::new(0),
            away_since: Word::new(0),
            lost: Word::new(0),
            marker: nr_ids.last(),
            retired: Word::new(0),
            forwarded: Word::new(0),
            dropped: Word::new(0),
            moves: Word::new(0),
        };

        file.pool.claim(POKE);
        file.pool.claim(file.marker);
        file.publish(file.marker, Slot::Marker);
        Some(file)
    }

    /// The identity by which the hart tells what has arrived, AIA 4.9.3. It has the lowest priority
    /// of all, and is never delivered.
    #[inline]
    pub fn marker(&self) -> Eiid {
        self.marker
    }

    /// What `eiid` means now. [`Slot::Free`] for identities that the file does not have.
    #[inline]
    pub fn slot(&self, eiid: Eiid) -> Slot {
        self.slots
            .get(eiid.index())
            .map_or(Slot::Free, |slot| Slot::from_bits(slot.load()))
    }

    /// As [`Self::slot`]; what the address of an owner leads to is as it was when the owner got it.
    #[inline]
    pub(super) fn slot_dependent(&self, eiid: Eiid) -> Slot {
        self.slots
            .get(eiid.index())
            .map_or(Slot::Free, |slot| Slot::from_bits(slot.load_dependent()))
    }

    /// As [`Self::slot`]; what was written before the slot is seen, too.
    fn slot_acquire(&self, eiid: Eiid) -> Slot {
        self.slots
            .get(eiid.index())
            .map_or(Slot::Free, |slot| Slot::from_bits(slot.load_acquire()))
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
    pub fn enable_here(&self, hart: &impl HartAccess, eiid: Eiid) {
        self.want(eiid, true);
        hart.enable(eiid);
    }

    /// Disables `eiid` on the own hart, now.
    #[inline]
    pub fn disable_here(&self, hart: &impl HartAccess, eiid: Eiid) {
        self.want(eiid, false);
        hart.disable(eiid);
    }

    /// Tells the own hart to look at `eiid`. Returns whether the hart is online; if it is not, it
    /// looks at everything when it comes up.
    pub fn mark(&self, eiid: Eiid) -> bool {
        let (index, mask) = pool::position(eiid);

        if let Some(word) = self.dirty.get(index) {
            word.set(mask);
            // The hart takes the bit of the summary before it takes the word. If it took the word before
            // this mark, it is seen here that it has taken the bit; if it did not, it will find the mark.
            // A bit that is seen here is seen by the hart, too, when it takes a poke that is sent now.
            if self.summary.load() & 1 << index == 0 {
                self.summary.set(1 << index);
            }
        }
        self.is_online()
    }

    /// Whether the own hart takes part.
    ///
    /// After [`Self::mark`]: of a mark and a concurrent [`Self::go_offline`] at least one sees the
    /// other, since both have changed the word of the mark before.
    #[inline]
    pub fn is_online(&self) -> bool {
        self.online.load() != 0
    }

    /// Gives the lowest free identity to `owner`. It is enabled, as all free ones are; if it shall
    /// not be `enabled`, [`Self::mark`] it.
    pub fn assign(&self, owner: SlotOwner, enabled: bool) -> Option<Eiid> {
        let eiid = self.pool.alloc()?;

        self.give(eiid, owner, enabled);
        Some(eiid)
    }

    /// As [`Self::assign`], but gives `eiid`; returns whether it was free.
    pub fn assign_at(&self, eiid: Eiid, owner: SlotOwner, enabled: bool) -> bool {
        let free = self.pool.claim(eiid);

        if free {
            self.give(eiid, owner, enabled);
        }
        free
    }

    fn give(&self, eiid: Eiid, owner: SlotOwner, enabled: bool) {
        // First: whoever sees the owner has to see what it wants. Mostly that is what the last one
        // wanted in the end.
        if self.is_enabled(eiid) != enabled {
            self.want(eiid, enabled);
        }
        self.publish(eiid, Slot::Assigned(owner));
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

    /// Takes `eiid` away from `owner` for good. The identity can be used again when its own hart
    /// has cleared its pending bit; [`Self::mark`] it. For the owner, one at a time.
    pub fn free(&self, eiid: Eiid, owner: SlotOwner) -> bool {
        // Nobody else takes it away from its owner.
        let is_owned = self.slot(eiid) == Slot::Assigned(owner);

        if is_owned {
            self.publish(eiid, Slot::Drain);
        }
        is_owned
    }

    /// Disables `eiid`, which the caller has taken from the pool, until the hart is reset: MSIs for
    /// nobody keep or may keep arriving there.
    pub fn switch_off(&self, hart: &impl HartAccess, eiid: Eiid) {
        self.publish(eiid, Slot::Off);
        hart.disable(eiid);
    }

    /// Ends the use of `eiid` if its state is still `slot`.
    fn retire(&self, eiid: Eiid, slot: Slot) -> bool {
        let retired = self.replace(eiid, slot, Slot::Free);

        if retired {
            self.pool.release(eiid);
            self.retired
                .store_release(self.retired.load().wrapping_add(1));
        }
        retired
    }

    /// Whether `eiid` is somebody's, and not only waits for the own hart.
    pub fn is_in_use(&self, eiid: Eiid) -> bool {
        // One that the own hart takes back is free before it is in the pool again.
        eiid == POKE || !matches!(self.slot(eiid), Slot::Free | Slot::Drain)
    }

    /// How many identities are [in use](Self::is_in_use). Takes long.
    pub fn in_use(&self) -> u32 {
        // CAST: At most 2047.
        self.pool
            .iter()
            .filter(|eiid| self.is_in_use(*eiid))
            .count() as u32
    }

    /// How many identities the own hart has given back to the pool since boot; wraps. For the own
    /// hart.
    pub fn retired(&self) -> u64 {
        self.retired.load()
    }

    /// The own hart has moved an interrupt, from any file to any other one.
    pub(super) fn count_move(&self) {
        self.moves.store(self.moves.load().wrapping_add(1));
    }

    /// How many interrupts the own hart has moved since boot.
    pub fn moves(&self) -> u64 {
        self.moves.load()
    }

    /// MSIs for nobody since boot.
    pub fn dropped(&self) -> u64 {
        self.dropped.load()
    }
}

#[cfg_attr(CONFIG_KUNIT, kernel::macros::kunit_tests(aia_core_vector_file))]
#[cfg_attr(not(CONFIG_KUNIT), cfg(all(test, not(loom))))]
mod tests {
    use core::cell::Cell;

    use super::{
        super::{
            access::Fence,
            proof,
            slot::{
                InFlight,
                Sender, //
            },
            tick::Tick,
            VectorId, //
        },
        forward::Arrival,
        sync::SyncOutcome,
        *, //
    };
    use crate::{
        eix::EixWord,
        ids::Cpu, //
    };

    /// A hart with one word of registers, which remembers what it sent.
    #[derive(Default)]
    struct TestHart {
        enabled: Cell<u64>,
        pending: Cell<u64>,
        sent: Cell<Option<VectorId>>,
        count: Cell<u32>,
        fences: Cell<bool>,
        asked: Cell<u32>,
        markers: Cell<u32>,
        /// MSIs that have not arrived yet, in their order, and whether they ever do.
        on_the_way: Cell<[Option<Eiid>; 4]>,
        stuck: Cell<bool>,
        now: Cell<u64>,
        away: Word,
    }

    impl TestHart {
        /// An MSI is on its way to the hart.
        fn msi(&self, eiid: Eiid) {
            let mut queue = self.on_the_way.get();

            *queue.iter_mut().find(|place| place.is_none()).unwrap() = Some(eiid);
            self.on_the_way.set(queue);
        }
    }

    impl HartAccess for TestHart {
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

        fn is_pending(&self, eiid: Eiid) -> bool {
            self.pending.get() & 1 << eiid.get() != 0
        }

        fn clear_pending(&self, _word: EixWord, mask: u64) {
            self.pending.set(self.pending.get() & !mask);
        }

        fn send_here(&self, eiid: Eiid) {
            if eiid == NrIds::MIN.last() {
                self.markers.set(self.markers.get() + 1);
            }
            self.msi(eiid);
        }

        fn barrier(&self) {}

        /// One more arrives.
        fn pause(&self) {
            let mut queue = self.on_the_way.get();

            if let Some(eiid) = queue[0].filter(|_| !self.stuck.get()) {
                self.pending.set(self.pending.get() | 1 << eiid.get());
                queue.rotate_left(1);
                queue[3] = None;
                self.on_the_way.set(queue);
            }
        }

        fn fence(&self, marker: Eiid) -> Fence {
            self.asked.set(self.asked.get() + 1);
            proof::ask(self, marker, || {
                if self.fences.get() {
                    self.msi(marker);
                }
                self.fences.get()
            })
        }

        fn marker_lost(&self) {}

        fn now(&self) -> Tick {
            Tick::new(self.now.get())
        }

        fn away(&self) -> &Word {
            &self.away
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

    fn owner() -> SlotOwner {
        SlotOwner::new(0x1000).unwrap()
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

        assert_eq!(file.go_online(&hart), SyncOutcome::default());
        let eiid = file.assign(owner(), false).unwrap();
        assert!(!file.needs_sync());
        file.want(eiid, true);
        assert!(file.mark(eiid));
        assert!(file.needs_sync());
        assert_eq!(hart.enabled.get(), 1 << POKE.get());
        assert_eq!(file.sync(&hart), SyncOutcome::default());
        assert!(!file.needs_sync());
        assert_eq!(hart.enabled.get(), 1 << POKE.get() | 1 << eiid.get());
        file.want(eiid, false);
        file.mark(eiid);
        let _ = file.sync(&hart);
        assert_eq!(hart.enabled.get(), 1 << POKE.get());
    }

    #[test]
    fn move_forwards_what_is_pending() {
        let memory = Memory::new();
        let file = memory.file();
        let hart = TestHart::default();
        let to = elsewhere(5);

        let _ = file.go_online(&hart);
        let eiid = file.assign(owner(), false).unwrap();
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
        assert_eq!(file.assign(owner(), false), Some(eiid));
        assert_eq!(file.forwarded(), 2);
    }

    /// An identity of a file that forwards since `in_flight`, and has been looked at.
    fn leaving(file: &File<&[Word]>, hart: &TestHart, in_flight: InFlight) -> Eiid {
        let eiid = file.assign(owner(), false).unwrap();

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
            let due = SyncOutcome {
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
            assert_eq!(file.sync(&hart), SyncOutcome::default());
            assert_eq!(file.slot(eiid), Slot::Free);
            assert_eq!(hart.count.get(), 1);
        }
    }

    /// Not since the hart came up, which may be so long ago that it seems to be yet to come.
    #[test]
    fn what_is_kept_waits_from_then_on() {
        for now in [100, (1 << 27) + 1] {
            let memory = Memory::new();
            let file = memory.file();
            let hart = TestHart::default();

            let _ = file.go_online(&hart);
            hart.now.set(now);
            let eiid = leaving(&file, &hart, InFlight::Posted(Tick::new(now)));

            hart.now.set(now + 1);
            assert!(file.keep(&hart, eiid, owner(), elsewhere(5)));
            assert_eq!(file.sync(&hart).due, Some(Tick::new(now + 3)));
            assert_eq!(file.slot(eiid), Slot::Away(owner(), Sender::Posted));
            hart.now.set(now + 3);
            assert_eq!(file.sync(&hart), SyncOutcome::default());
            assert_eq!(file.slot(eiid), Slot::Free);
        }
    }

    /// Another CPU that keeps something else reads the clock later and writes first.
    #[test]
    fn the_wait_is_not_shortened() {
        let memory = Memory::new();
        let file = memory.file();
        let first = Cell::new(true);

        file.wait_from(|| {
            if first.replace(false) {
                file.wait_from(|| Tick::new(6));
                return Tick::new(5);
            }
            Tick::new(7)
        });
        assert_eq!(file.away_since.load(), 7);
    }

    /// What was told of a forwarder is not told of the next owner's, which may be there before the hart looks
    /// at what leaves: a proof that it has by then says nothing of it.
    #[test]
    fn a_drained_identity_does_not_leave() {
        let memory = Memory::new();
        let file = memory.file();
        let hart = TestHart::default();

        let _ = file.go_online(&hart);
        let eiid = leaving(&file, &hart, InFlight::Posted(Tick::new(0)));
        let (index, mask) = pool::position(eiid);
        let leaves = || file.leaving[index].load() & mask != 0;

        assert!(leaves());
        assert!(file.abandon(eiid, elsewhere(5)));
        file.mark(eiid);
        file.look(&hart, !0);
        assert_eq!(file.slot(eiid), Slot::Free);
        assert!(!leaves());
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
        assert_eq!(file.sync(&hart), SyncOutcome::default());
        assert_eq!(file.slot(eiid), Slot::Free);

        hart.fences.set(true);
        let eiid = leaving(&file, &hart, InFlight::Fenced);
        assert_eq!(file.slot(eiid), Slot::Free);
    }

    /// One proof of each kind for all that have settled before it.
    #[test]
    fn a_proof_is_asked_for_once() {
        let memory = Memory::new();
        let file = memory.file();
        let hart = TestHart::default();

        let _ = file.go_online(&hart);
        hart.fences.set(true);
        for in_flight in [[InFlight::Fenced, InFlight::Ordered]; 5]
            .into_iter()
            .flatten()
        {
            let eiid = file.assign(owner(), false).unwrap();

            assert!(file.begin_move(eiid, owner(), elsewhere(5)));
            assert!(file.settle(eiid, elsewhere(5), in_flight));
            file.mark(eiid);
        }
        let _ = file.sync(&hart);
        assert_eq!((hart.asked.get(), hart.markers.get()), (1, 1));
        assert_eq!(file.pool().free(), 61);
    }

    /// An MSI that is in the file only after the hart has looked at it once.
    #[test]
    fn what_travels_arrives_before_the_marker() {
        for in_flight in [InFlight::Ordered, InFlight::Fenced] {
            let memory = Memory::new();
            let file = memory.file();
            let hart = TestHart::default();

            let _ = file.go_online(&hart);
            hart.fences.set(true);
            let eiid = file.assign(owner(), false).unwrap();
            assert!(file.begin_move(eiid, owner(), elsewhere(5)));
            // Of somebody who had an identity before, and that of the interrupt.
            hart.msi(id(2));
            hart.msi(id(60));
            hart.msi(eiid);
            assert!(file.settle(eiid, elsewhere(5), in_flight));
            file.mark(eiid);
            assert_eq!(file.sync(&hart), SyncOutcome::default());
            assert_eq!(hart.sent.take(), Some(elsewhere(5)));
            assert_eq!(file.slot(eiid), Slot::Free);
        }
    }

    /// The same when the interrupt is away.
    #[test]
    fn what_travels_arrives_before_what_is_away_ends() {
        let memory = Memory::new();
        let file = memory.file();
        let hart = TestHart::default();

        let _ = file.go_online(&hart);
        let eiid = file.assign(owner(), false).unwrap();
        file.go_offline(&hart, |_| None);
        assert!(file.begin_move(eiid, owner(), elsewhere(5)));
        assert!(file.settle(eiid, elsewhere(5), InFlight::Ordered));
        file.depart(&hart, eiid, owner(), elsewhere(5));
        hart.msi(eiid);
        let _ = file.go_online(&hart);
        assert!(hart.take_pending(eiid));
        assert_eq!(file.forward(&hart, eiid), Arrival::For(owner()));
    }

    #[test]
    fn a_marker_that_is_lost_proves_nothing() {
        let memory = Memory::new();
        let file = memory.file();
        let hart = TestHart::default();

        let _ = file.go_online(&hart);
        hart.fences.set(true);
        hart.stuck.set(true);
        hart.now.set(20);
        let first = leaving(&file, &hart, InFlight::Ordered);
        assert!(file.forwards_to(first, elsewhere(5)));
        hart.stuck.set(false);
        // It may arrive any time now.
        for in_flight in [InFlight::Ordered, InFlight::Fenced] {
            let eiid = leaving(&file, &hart, in_flight);

            assert_eq!(
                file.slot(eiid),
                Slot::Forward(elsewhere(5), InFlight::Posted(Tick::new(20)))
            );
        }
        assert_eq!((hart.asked.get(), hart.markers.get()), (0, 1));
        hart.now.set(22);
        assert_eq!(file.sync(&hart), SyncOutcome::default());
        assert_eq!(file.pool().free(), 61);

        file.go_offline(&hart, |_| None);
        hart.on_the_way.take();
        let _ = file.go_online(&hart);
        let eiid = leaving(&file, &hart, InFlight::Ordered);
        assert_eq!(file.slot(eiid), Slot::Free);
    }

    #[test]
    fn the_marker_is_nobodys() {
        let memory = Memory::new();
        let file = memory.file();
        let hart = TestHart::default();

        hart.enabled.set(u64::MAX);
        hart.pending.set(u64::MAX);
        let _ = file.go_online(&hart);
        assert_eq!(file.marker(), id(63));
        assert_eq!(hart.enabled.get() & 1 << 63, 0);
        assert_eq!(hart.pending.get(), 0);
        let mut last = 0;
        while let Some(eiid) = file.assign(owner(), false) {
            last = eiid.get();
        }
        assert_eq!(last, 62);
        assert!(!file.assign_at(file.marker(), owner(), false));
        assert!(!file.assign_forwarder(file.marker(), elsewhere(5)));
        // Something has sent it before.
        hart.pending.set(1 << 63);
        hart.stuck.set(true);
        assert!(!file.has_arrived(&hart));
    }

    /// Also while it forwards; but neither when it is only not free yet, nor in another file.
    #[test]
    fn an_identity_is_in_use_until_it_is_nobodys() {
        let memory = Memory::new();
        let file = memory.file();
        let hart = TestHart::default();

        let _ = file.go_online(&hart);
        assert!(file.is_in_use(POKE) && file.is_in_use(file.marker()));
        let [kept, moved] = [(); 2].map(|()| file.assign(owner(), false).unwrap());
        assert!(file.begin_move(moved, owner(), elsewhere(5)));
        assert!(file.is_in_use(kept) && file.is_in_use(moved));
        assert!(!file.is_in_use(id(40)) && !file.is_in_use(id(64)));
        assert_eq!(file.in_use(), 4);
        assert!(file.free(kept, owner()) && file.abandon(moved, elsewhere(5)));
        assert!(!file.is_in_use(kept) && !file.is_in_use(moved));
        assert_eq!((file.in_use(), file.pool().free()), (2, 59));
    }

    #[test]
    fn freed_identity_comes_back_clean() {
        let memory = Memory::new();
        let file = memory.file();
        let hart = TestHart::default();

        let _ = file.go_online(&hart);
        let eiid = file.assign(owner(), false).unwrap();
        file.enable_here(&hart, eiid);
        hart.pending.set(1 << eiid.get());
        assert!(file.free(eiid, owner()));
        // Not reusable before its hart has looked.
        assert_eq!((file.in_use(), file.pool().free()), (2, 60));
        assert_eq!(file.assign(owner(), false), Some(id(eiid.get() + 1)));
        assert!(file.mark(eiid));
        let _ = file.sync(&hart);
        assert_eq!(hart.pending.get(), 0);
        // What arrives by mistake does not wait for the next owner.
        assert_eq!(hart.enabled.get() & 1 << eiid.get(), 1 << eiid.get());
        assert_eq!(file.assign(owner(), false), Some(eiid));
        assert_eq!(file.dropped(), 1);
    }

    #[test]
    fn freed_in_flight_forwards_no_more() {
        let memory = Memory::new();
        let file = memory.file();
        let hart = TestHart::default();
        let to = elsewhere(5);

        let _ = file.go_online(&hart);
        let eiid = file.assign(owner(), false).unwrap();
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
        let eiid = file.assign(owner(), false).unwrap();
        assert!(file.begin_move(eiid, owner(), first));
        assert!(file.settle(eiid, first, InFlight::Ordered));
        assert!(file.retarget(eiid, first, second));
        assert!(!file.retarget(eiid, first, second));
        hart.pending.set(1 << eiid.get());
        file.mark(eiid);
        let _ = file.sync(&hart);
        assert_eq!(hart.sent.take(), Some(second));
    }

    /// The hart does not wait for what is posted; it is kept for the owner.
    #[test]
    fn dying_hart_keeps_what_may_still_arrive() {
        for known in [Some(owner()), None] {
            let memory = Memory::new();
            let file = memory.file();
            let hart = TestHart::default();

            let _ = file.go_online(&hart);
            let eiid = leaving(&file, &hart, InFlight::Posted(Tick::new(0)));
            hart.pending.set(1 << eiid.get());
            file.go_offline(&hart, |to| {
                assert_eq!(to, elsewhere(5));
                known
            });
            // What was there went on.
            assert_eq!(
                (hart.sent.take(), hart.count.get()),
                (Some(elsewhere(5)), 1)
            );
            assert_eq!(hart.pending.get(), 0);
            match known {
                Some(owner) => assert_eq!(file.slot(eiid), Slot::Away(owner, Sender::Posted)),
                None => assert_eq!(file.slot(eiid), Slot::Free),
            }
            assert_eq!(hart.away.load(), known.is_some().into());

            // A straggler for the owner, a stray for nobody.
            hart.pending.set(1 << eiid.get() | 1 << 9);
            hart.now.set(100);
            let due = file.go_online(&hart).due;
            assert_eq!(due, known.map(|_| Tick::new(102)));
            assert_eq!(hart.is_pending(eiid), known.is_some());
            assert!(!hart.is_pending(id(9)));
            if let Some(owner) = known {
                hart.now.set(102);
                assert_eq!(file.sync(&hart), SyncOutcome::default());
                assert!(hart.take_pending(eiid));
                assert_eq!(file.forward(&hart, eiid), Arrival::For(owner));
                assert!(file.needs_sync());
                assert_eq!(file.sync(&hart), SyncOutcome::default());
            }
            assert_eq!(file.slot(eiid), Slot::Free);
            assert_eq!((hart.away.load(), file.pool().free()), (0, 61));
        }
    }

    #[test]
    fn dying_hart_ends_what_is_proven() {
        let memory = Memory::new();
        let file = memory.file();
        let hart = TestHart::default();

        hart.fences.set(true);
        let _ = file.go_online(&hart);
        for in_flight in [InFlight::Ordered, InFlight::Fenced] {
            let eiid = file.assign(owner(), false).unwrap();

            assert!(file.begin_move(eiid, owner(), elsewhere(5)));
            assert!(file.settle(eiid, elsewhere(5), in_flight));
        }
        file.go_offline(&hart, |_| Some(owner()));
        assert_eq!((hart.away.load(), file.pool().free()), (0, 61));
    }

    /// An interrupt that could not leave its CPU, and does so when the CPU is gone.
    #[test]
    fn what_arrives_while_the_hart_is_away_is_kept() {
        for (moves, freed) in [(false, false), (true, false), (true, true), (false, true)] {
            for in_flight in [
                InFlight::Ordered,
                InFlight::Fenced,
                InFlight::Posted(Tick::new(3)),
            ] {
                let memory = Memory::new();
                let file = memory.file();
                let hart = TestHart::default();

                let _ = file.go_online(&hart);
                let eiid = file.assign(owner(), false).unwrap();
                file.enable_here(&hart, eiid);
                file.go_offline(&hart, |_| None);
                assert_eq!(file.slot(eiid), Slot::Assigned(owner()));
                hart.pending.set(1 << eiid.get());

                if moves {
                    assert!(file.begin_move(eiid, owner(), elsewhere(9)));
                    assert!(file.settle(eiid, elsewhere(9), in_flight));
                    assert!(!file.mark(eiid));
                    file.depart(&hart, eiid, owner(), elsewhere(9));
                    assert!(!file.forwards_to(eiid, elsewhere(9)));
                    assert_eq!(hart.away.load(), 1);
                }
                if freed {
                    if moves {
                        file.abandon_away(&hart, SlotOwner::new(0x2000).unwrap());
                        assert_eq!(hart.away.load(), 1);
                        file.abandon_away(&hart, owner());
                        assert_eq!(hart.away.load(), 0);
                    } else {
                        assert!(file.free(eiid, owner()));
                    }
                    assert!(!file.mark(eiid));
                    // Not before its hart has looked.
                    assert_eq!(file.slot(eiid), Slot::Drain);
                }

                hart.now.set(10);
                let _ = file.go_online(&hart);
                assert_eq!(hart.is_pending(eiid), !freed);
                if !freed {
                    assert_eq!(hart.enabled.get() & 1 << eiid.get(), 1 << eiid.get());
                    assert!(hart.take_pending(eiid));
                    match file.slot(eiid) {
                        Slot::Assigned(of) => assert_eq!(of, owner()),
                        _ => assert_eq!(file.forward(&hart, eiid), Arrival::For(owner())),
                    }
                }
                hart.now.set(12);
                let _ = file.sync(&hart);
                let free = file.slot(eiid) == Slot::Free;
                assert_eq!(free, moves || freed);
                assert_eq!((hart.count.get(), hart.away.load()), (0, 0));
            }
        }
    }

    /// The hart comes back between the last look at it and the change of the slot.
    #[test]
    fn departing_comes_too_late_and_loses_nothing() {
        let memory = Memory::new();
        let file = memory.file();
        let hart = TestHart::default();

        let _ = file.go_online(&hart);
        let eiid = file.assign(owner(), false).unwrap();
        file.go_offline(&hart, |_| None);
        assert!(file.begin_move(eiid, owner(), elsewhere(9)));
        let _ = file.go_online(&hart);
        assert!(file.settle(eiid, elsewhere(9), InFlight::Ordered));
        hart.pending.set(1 << eiid.get());
        file.depart(&hart, eiid, owner(), elsewhere(9));
        file.mark(eiid);
        let _ = file.sync(&hart);
        assert!(hart.take_pending(eiid));
        assert_eq!(file.forward(&hart, eiid), Arrival::For(owner()));
        let _ = file.sync(&hart);
        assert_eq!(file.slot(eiid), Slot::Free);

        // And after that.
        file.depart(&hart, eiid, owner(), elsewhere(9));
        assert_eq!((file.slot(eiid), hart.away.load()), (Slot::Free, 0));
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
        assert!(!file.assign_at(id(7), owner(), false));

        file.go_offline(&hart, |_| None);
        assert_eq!(file.pool().free(), free - 1);
        let _ = file.go_online(&hart);
        assert_eq!(file.pool().free(), free);
        assert!(file.assign_at(id(7), owner(), false));
    }

    #[test]
    fn online_applies_what_was_wanted() {
        let memory = Memory::new();
        let file = memory.file();
        let hart = TestHart::default();

        let eiid = file.assign(owner(), false).unwrap();
        file.want(eiid, true);
        let _ = file.go_online(&hart);
        assert_eq!(hart.enabled.get(), 1 << POKE.get() | 1 << eiid.get());
    }
}
