// SPDX-License-Identifier: GPL-2.0

//! The largest interrupt file, which QEMU does not have.

#![cfg(not(loom))]

use aia_core::{
    eix::EixWord,
    ids::{
        Eiid,
        NrIds, //
    },
    vector::{
        access::{
            Fence,
            HartAccess, //
        },
        file::File,
        pool,
        slot::{
            Slot, //
            SlotOwner,
        },
        strays::{
            self,
            StrayCounter, //
        },
        tick::Tick,
        VectorId, //
    },
    word::Word, //
};

fn words(count: usize) -> Box<[Word]> {
    (0..count).map(|_| Word::new(0)).collect()
}

fn file(nr_ids: NrIds) -> File<Box<[Word]>> {
    let bitmap = || words(pool::words_for(nr_ids));

    File::new(
        nr_ids,
        words(pool::words_for(nr_ids) * 64),
        bitmap(),
        bitmap(),
        bitmap(),
        bitmap(),
    )
    .unwrap()
}

#[test]
fn all_identities_of_every_size_can_be_had() {
    for nr_ids in [63, 127, 255, 959, 1023, 2047] {
        let nr_ids = NrIds::new(nr_ids).unwrap();
        let file = file(nr_ids);

        // But the poke and the marker.
        let all = || nr_ids.iter().skip(1).take(nr_ids.index() - 2);

        for eiid in all() {
            let owner = SlotOwner::new(u64::from(eiid.get()) * 16).unwrap();

            assert_eq!(file.assign(owner, false), Some(eiid));
            assert_eq!(file.slot(eiid), Slot::Assigned(owner));
        }
        assert_eq!(file.assign(SlotOwner::new(16).unwrap(), false), None);
        assert_eq!(file.pool().free(), 0);

        // Given back when the hart comes up.
        for eiid in all() {
            let owner = SlotOwner::new(u64::from(eiid.get()) * 16).unwrap();

            assert!(file.free(eiid, owner));
            assert!(!file.mark(eiid));
        }
        assert_eq!(file.pool().free(), 0);
        let _ = file.go_online(&Still::default());
        assert_eq!(file.pool().free(), nr_ids.get() - 2);
        assert_eq!(file.slot(nr_ids.last()), Slot::Marker);
    }
}

/// A hart finds all identities that wait for it, also if another one waits already.
#[test]
fn changes_in_all_words_are_found() {
    let nr_ids = NrIds::MAX;
    let file = file(nr_ids);
    let owner = SlotOwner::new(16).unwrap();

    let _ = file.go_online(&Still::default());
    let all: Vec<_> = std::iter::from_fn(|| file.assign(owner, true)).collect();
    for eiid in all {
        assert!(file.free(eiid, owner));
        assert!(file.mark(eiid));
    }
    let _ = file.sync(&Still::default());
    assert_eq!(file.pool().free(), nr_ids.get() - 2);
}

/// A hart at which nothing happens.
#[derive(Default)]
struct Still(Word);

impl HartAccess for Still {
    fn enable(&self, _eiid: Eiid) {}

    fn disable(&self, _eiid: Eiid) {}

    fn is_pending(&self, _eiid: Eiid) -> bool {
        false
    }

    fn take_pending(&self, _eiid: Eiid) -> bool {
        false
    }

    fn clear_pending(&self, _word: EixWord, _mask: u64) {}

    fn send(&self, _to: VectorId) {}

    fn send_here(&self, _eiid: Eiid) {}

    fn barrier(&self) {}

    fn pause(&self) {}

    fn fence(&self, _marker: Eiid) -> Fence {
        Fence::NotAsked
    }

    fn marker_lost(&self) {}

    fn now(&self) -> Tick {
        Tick::new(0)
    }

    fn away(&self) -> &Word {
        &self.0
    }
}

/// The promise is 20 KiB per CPU with 2,047 identities, all of it.
#[test]
fn memory_of_the_largest_file() {
    let nr_ids = NrIds::MAX;
    let words = pool::words_for(nr_ids) * (64 + 4) + strays::words_for(nr_ids);
    let rest = size_of::<File<Box<[Word]>>>() + size_of::<StrayCounter<Box<[Word]>>>();

    assert!(words * size_of::<Word>() + rest <= 20 * 1024);
}
