// SPDX-License-Identifier: GPL-2.0

//! Guest interrupt files of a hart that enters a state that may lose them, and comes back.
//!
//! They stay with their vCPUs, and MSIs may be stored to them meanwhile: what arrives, the hardware
//! keeps, or it does not lose its state. Nobody accesses their registers but the hart itself, when
//! it is back. A hart that sleeps with all of the system takes them into memory instead, see
//! [`park`](super::imsic::evict::park).

use core::ops::Deref;

use super::file::FileRegisters;
use crate::{
    eix::{
        EixWord,
        EIDELIVERY_OFF, //
    },
    ids::{
        Hgei,
        NrIds, //
    },
    isel::Isel,
    word::Word, //
};

/// What a hart's guest interrupt files held, with `nr_ids` identities each.
pub struct SavedFiles<S> {
    words: S,
    nr_ids: NrIds,
}

/// How many words a file takes.
const fn per_file(nr_ids: NrIds) -> usize {
    // CAST: At most 32.
    2 * nr_ids.words() as usize + 2
}

impl<S: Deref<Target = [Word]>> SavedFiles<S> {
    /// How many words `files` files with `nr_ids` identities take.
    pub const fn words_for(files: u32, nr_ids: NrIds) -> usize {
        // CAST: At most 63.
        files as usize * per_file(nr_ids)
    }

    /// Nothing was saved. `words` are [`Self::words_for`] as many files as there are.
    pub const fn new(words: S, nr_ids: NrIds) -> Self {
        Self { words, nr_ids }
    }

    /// The words for the file behind `line`: for delivery and threshold, and pending and enable bits
    /// in turns.
    fn of(&self, line: Hgei) -> Option<(&Word, &Word, &[Word])> {
        let index = line.index().checked_sub(1)?;

        match self.words.chunks_exact(per_file(self.nr_ids)).nth(index)? {
            [eidelivery, eithreshold, bits @ ..] => Some((eidelivery, eithreshold, bits)),
            _ => None,
        }
    }

    /// Saves what `file`, the one behind `line`, holds, and changes nothing.
    pub fn save(&self, line: Hgei, file: &impl FileRegisters) {
        let Some((eidelivery, eithreshold, bits)) = self.of(line) else {
            return;
        };

        eidelivery.store_release(file.read(Isel::EIDELIVERY));
        eithreshold.store_release(file.read(Isel::EITHRESHOLD));
        for (word, saved) in EixWord::all(self.nr_ids).zip(bits.chunks_exact(2)) {
            if let [eip, eie] = saved {
                eip.store_release(file.read(Isel::eip(word)));
                eie.store_release(file.read(Isel::eie(word)));
            }
        }
    }

    /// Makes `file` what it was, and what arrived meanwhile pending, too.
    pub fn restore(&self, line: Hgei, file: &impl FileRegisters) {
        let Some((eidelivery, eithreshold, bits)) = self.of(line) else {
            return;
        };

        file.swap(Isel::EIDELIVERY, EIDELIVERY_OFF);
        for (word, saved) in EixWord::all(self.nr_ids).zip(bits.chunks_exact(2)) {
            if let [eip, eie] = saved {
                file.swap(Isel::eie(word), eie.load());
                file.set(Isel::eip(word), eip.load());
            }
        }
        file.swap(Isel::EITHRESHOLD, eithreshold.load());
        file.swap(Isel::EIDELIVERY, eidelivery.load());
    }
}

#[cfg_attr(CONFIG_KUNIT, kernel::macros::kunit_tests(aia_core_guest_power))]
#[cfg_attr(not(CONFIG_KUNIT), cfg(all(test, not(loom))))]
mod tests {
    use super::*;
    use crate::{
        ids::Eiid,
        isel::IndirectRegister, //
    };
    use core::cell::Cell;

    const ALL: NrIds = match NrIds::new(127) {
        Some(all) => all,
        None => NrIds::MAX,
    };

    /// A file with 127 identities: two words pending, two enabled, threshold, delivery.
    #[derive(Clone, Default, Debug, PartialEq)]
    struct File([Cell<u64>; 6]);

    impl File {
        fn of(values: [u64; 6]) -> Self {
            Self(values.map(Cell::new))
        }

        fn register(&self, isel: Isel) -> &Cell<u64> {
            match isel.register() {
                IndirectRegister::Eip(word) => &self.0[word.index()],
                IndirectRegister::Eie(word) => &self.0[2 + word.index()],
                IndirectRegister::Eithreshold => &self.0[4],
                _ => &self.0[5],
            }
        }
    }

    impl FileRegisters for File {
        fn read(&self, isel: Isel) -> u64 {
            self.register(isel).get()
        }

        fn swap(&self, isel: Isel, value: u64) -> u64 {
            let delivers = self.0[5].get() != 0;

            assert!(
                !delivers || isel == Isel::EIDELIVERY,
                "it delivers too early"
            );
            self.register(isel).replace(value)
        }

        fn set(&self, isel: Isel, bits: u64) {
            self.swap(isel, self.read(isel) | bits);
        }

        fn clear(&self, isel: Isel, bits: u64) -> u64 {
            self.swap(isel, self.read(isel) & !bits)
        }

        fn store(&self, _eiid: Eiid) {}

        fn pause(&self) {}
    }

    fn line(number: u32) -> Hgei {
        Hgei::new(number).unwrap()
    }

    #[test]
    fn files_are_what_they_were() {
        let words = [const { Word::new(0) }; SavedFiles::<&[Word]>::words_for(2, ALL)];
        let saved = SavedFiles::new(&words[..], ALL);
        let (one, two) = ([1, 2, 3, 4, 5, 1], [0x10, 0x20, 0x30, 0x40, 0, 0]);

        for (number, values) in [(1, one), (2, two)] {
            let file = File::of(values);

            saved.save(line(number), &file);
            assert_eq!(file, File::of(values));
        }
        for (number, values) in [(1, one), (2, two)] {
            let file = File::of([0, 0, !0, !0, 9, 1]);

            saved.restore(line(number), &file);
            assert_eq!(file, File::of(values));
        }
    }

    #[test]
    fn what_arrived_is_pending_too() {
        let words = [const { Word::new(0) }; SavedFiles::<&[Word]>::words_for(1, ALL)];
        let saved = SavedFiles::new(&words[..], ALL);

        saved.save(line(1), &File::of([1, 0, 0xff, 0, 0, 1]));
        let file = File::of([1 | 4, 8, 0xff, 0, 0, 1]);
        saved.restore(line(1), &file);
        assert_eq!(file, File::of([1 | 4, 8, 0xff, 0, 0, 1]));
    }

    #[test]
    fn a_file_without_a_place_is_left_alone() {
        let saved = SavedFiles::new(&[][..], ALL);
        let file = File::of([1, 2, 3, 4, 5, 1]);

        saved.save(line(1), &file);
        saved.restore(line(1), &file);
        assert_eq!(file, File::of([1, 2, 3, 4, 5, 1]));
    }
}
