// SPDX-License-Identifier: GPL-2.0

//! Properties of pending and enable words, against a model with one flag for each identity.

use aia_core::{
    eix::{
        self,
        EixWord,
        FileWords, //
    },
    ids::{
        Eiid,
        NrIds, //
    },
    isel::Isel,
};
use proptest::prelude::*;
use std::cell::RefCell;

/// An interrupt file that has the bits of its identities only, as hardware does.
struct File {
    nr_ids: NrIds,
    registers: RefCell<[u64; 256]>,
}

impl File {
    fn new(nr_ids: NrIds) -> Self {
        Self {
            nr_ids,
            registers: RefCell::new([0; 256]),
        }
    }

    /// Returns the bits of a register that exist.
    fn implemented(&self, isel: Isel) -> u64 {
        let first = match isel.get() {
            n @ 0x80..=0xbf => (n - 0x80) * 32,
            n @ 0xc0..=0xff => (n - 0xc0) * 32,
            _ => return !0,
        };
        (0..64)
            .filter(|bit| (1..=u64::from(self.nr_ids.get())).contains(&(first + bit)))
            .map(|bit| 1 << bit)
            .sum()
    }
}

impl FileWords for File {
    fn read(&self, isel: Isel) -> u64 {
        self.registers.borrow()[isel.get() as usize]
    }

    fn write(&self, isel: Isel, value: u64) {
        let value = value & self.implemented(isel);
        self.registers.borrow_mut()[isel.get() as usize] = value;
    }

    fn set(&self, isel: Isel, mask: u64) {
        self.write(isel, self.read(isel) | mask);
    }

    fn clear(&self, isel: Isel, mask: u64) {
        self.write(isel, self.read(isel) & !mask);
    }

    fn read_clear(&self, isel: Isel, mask: u64) -> u64 {
        let old = self.read(isel);
        self.write(isel, old & !mask);
        old
    }
}

/// Pending and enable words with few bits in common, so that the top is not always low.
fn words() -> impl Strategy<Value = Vec<(u64, u64)>> {
    let sparse = || (any::<u64>(), any::<u64>(), any::<u64>()).prop_map(|(a, b, c)| a & b & c);
    let word = prop_oneof![2 => Just((0, 0)), 1 => (sparse(), sparse())];
    prop::collection::vec(word, EixWord::COUNT)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn claims_drain_the_file(
        k in 1..=32_u32,
        words in words(),
        threshold in prop_oneof![Just(0), 1..=2047_u32],
    ) {
        let nr_ids = NrIds::new(64 * k - 1).unwrap();
        let file = File::new(nr_ids);
        file.write(Isel::EITHRESHOLD, threshold.into());
        eix::restore_pending(&file, nr_ids, |word| words[word.index()].0);
        eix::restore_enabled(&file, nr_ids, |word| words[word.index()].1);

        let bit = |bits: u64, id: u32| bits >> (id % 64) & 1 != 0;
        let mut expected = (1..=nr_ids.get()).filter(|&id| {
            let (pending, enabled) = words[id as usize / 64];
            bit(pending, id) && bit(enabled, id) && (threshold == 0 || id < threshold)
        });

        while let Some(top) = eix::top(&file, nr_ids) {
            prop_assert_eq!(Some(top.get()), expected.next());
            prop_assert!(eix::take_pending(&file, top));
        }
        prop_assert_eq!(expected.next(), None);
    }

    #[test]
    fn ids_of_a_word(word in 0..32_u32, bits in any::<u64>()) {
        let word = EixWord::new(word).unwrap();
        let ids: Vec<Eiid> = word.ids(bits).collect();
        prop_assert!(ids.is_sorted());
        prop_assert!(ids.iter().all(|&id| EixWord::of(id) == word));
        prop_assert_eq!(
            ids.iter().map(|&id| eix::mask(id)).sum::<u64>(),
            bits & word.valid_bits()
        );
    }
}
