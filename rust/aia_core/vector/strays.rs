// SPDX-License-Identifier: GPL-2.0

//! Tells a storm of MSIs for nobody from single ones.

use crate::word::Word;

/// How many strays one hart takes within one second.
const LIMIT: u32 = 1_000;

/// Counts the MSIs for nobody that one hart gets, by the second. Used by that hart only.
pub struct Strays {
    /// The second in the high half, the count in the low half.
    state: Word,
}

impl Strays {
    /// Creates the counter of a hart that has had none.
    pub fn new() -> Self {
        Self {
            state: Word::new(0),
        }
    }

    /// Counts one more in `second`; returns whether there are too many, and then begins anew.
    pub fn count(&self, second: u32) -> bool {
        let state = self.state.load();
        // CAST: The halves.
        let (last, count) = ((state >> 32) as u32, state as u32);
        let count = if last == second {
            count.saturating_add(1)
        } else {
            1
        };

        let too_many = count > LIMIT;
        let left = if too_many { 0 } else { count };

        self.state
            .store_release(u64::from(second) << 32 | u64::from(left));
        too_many
    }
}

impl Default for Strays {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg_attr(CONFIG_KUNIT, kernel::macros::kunit_tests(aia_core_vector_strays))]
#[cfg_attr(not(CONFIG_KUNIT), cfg(all(test, not(loom))))]
mod tests {
    use super::*;

    #[test]
    fn only_a_storm_is_too_many() {
        let strays = Strays::new();

        for _ in 0..LIMIT {
            assert!(!strays.count(5));
        }
        assert!(strays.count(5));
        assert!(!strays.count(5));
        for _ in 1..LIMIT {
            assert!(!strays.count(6));
        }
        assert!(!strays.count(7));
        assert!(!strays.count(6));
    }
}
