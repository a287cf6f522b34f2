// SPDX-License-Identifier: GPL-2.0

//! The largest interrupt file, which QEMU does not have.

#![cfg(not(loom))]

use aia_core::{
    ids::{
        Eiid,
        NrIds, //
    },
    vector::{
        file::File,
        pool,
        slot::{
            Owner,
            Slot, //
        },
        strays::{
            self,
            Strays, //
        }, //
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

        for eiid in nr_ids.iter() {
            let owner = Owner::new(u64::from(eiid.get()) * 8).unwrap();

            assert_eq!(file.assign(owner), Some(eiid));
            assert_eq!(file.slot(eiid), Slot::Assigned(owner));
        }
        assert_eq!(file.assign(Owner::new(8).unwrap()), None);
        assert_eq!(file.pool().free(), 0);

        // Offline: given back at once.
        for eiid in nr_ids.iter() {
            let owner = Owner::new(u64::from(eiid.get()) * 8).unwrap();

            assert!(file.free(eiid, owner));
            assert!(!file.mark(eiid));
            file.retire_away(eiid);
        }
        assert_eq!(file.pool().free(), nr_ids.get());
        assert_eq!(file.slot(Eiid::MAX), Slot::Free);
    }
}

/// The promise is 20 KiB per CPU with 2,047 identities, all of it.
#[test]
fn memory_of_the_largest_file() {
    let nr_ids = NrIds::MAX;
    let words = pool::words_for(nr_ids) * (64 + 4) + strays::words_for(nr_ids);
    let rest = size_of::<File<Box<[Word]>>>() + size_of::<Strays<Box<[Word]>>>();

    assert!(words * size_of::<Word>() + rest <= 20 * 1024);
}
