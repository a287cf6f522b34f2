// SPDX-License-Identifier: GPL-2.0

//! Tells a storm of MSIs for nobody from single ones.

use core::ops::Deref;

use super::pool;
use crate::{
    ids::{
        Eiid,
        NrIds, //
    },
    word::Word, //
};

/// How many strays one identity of a hart takes within one second.
const LIMIT: u8 = 200;

/// Words for a byte per identity.
#[inline]
pub fn words_for(nr_ids: NrIds) -> usize {
    pool::words_for(nr_ids) * 8
}

/// Counts the MSIs for nobody that each identity of one hart gets, by the second. Used by that hart
/// only.
pub struct StrayCounter<S> {
    /// A byte per identity.
    counts: S,
    /// What they were counted in.
    second: Word,
}

impl<S: Deref<Target = [Word]>> StrayCounter<S> {
    /// Creates the counters of a hart that has had none, on [`words_for`] zeroed words.
    pub fn new(counts: S) -> Self {
        Self {
            counts,
            second: Word::new(0),
        }
    }

    /// Counts one more for `eiid` in `second`; returns whether there are too many, and then begins
    /// anew.
    pub fn count(&self, eiid: Eiid, second: u32) -> bool {
        if self.second.load() != u64::from(second) {
            self.second.store_release(second.into());
            for word in self.counts.iter() {
                word.store_release(0);
            }
        }

        let Some(word) = self.counts.get(eiid.index() / 8) else {
            return false;
        };
        let mut counts = word.load().to_le_bytes();
        let count = &mut counts[eiid.index() % 8];
        let too_many = *count == LIMIT;

        *count = if too_many { 0 } else { *count + 1 };
        word.store_release(u64::from_le_bytes(counts));
        too_many
    }
}

#[cfg_attr(CONFIG_KUNIT, kernel::macros::kunit_tests(aia_core_vector_strays))]
#[cfg_attr(not(CONFIG_KUNIT), cfg(all(test, not(loom))))]
mod tests {
    use super::*;

    fn id(n: u32) -> Eiid {
        Eiid::new(n).unwrap()
    }

    #[test]
    fn only_a_storm_is_too_many() {
        let words = [const { Word::new(0) }; 8];
        let strays = StrayCounter::new(&words[..]);

        for _ in 0..LIMIT {
            assert!(!strays.count(id(7), 5));
        }
        assert!(strays.count(id(7), 5));
        assert!(!strays.count(id(7), 5));
        for _ in 1..LIMIT {
            assert!(!strays.count(id(7), 6));
        }
        assert!(!strays.count(id(7), 7));
        assert!(!strays.count(id(7), 6));
    }

    /// A storm at all others makes no identity guilty.
    #[test]
    fn each_identity_has_a_count_of_its_own() {
        let words = [const { Word::new(0) }; 8];
        let strays = StrayCounter::new(&words[..]);

        for _ in 0..=LIMIT {
            for n in (1..64).filter(|n| *n != 20) {
                strays.count(id(n), 5);
            }
        }
        assert!(!strays.count(id(20), 5));
        for _ in 1..LIMIT {
            assert!(!strays.count(id(20), 5));
        }
        assert!(strays.count(id(20), 5));
    }

    #[test]
    fn identities_beyond_the_file_do_no_harm() {
        let words = [const { Word::new(0) }; 8];

        for _ in 0..=LIMIT {
            assert!(!StrayCounter::new(&words[..]).count(id(64), 5));
        }
    }
}
