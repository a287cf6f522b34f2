// SPDX-License-Identifier: GPL-2.0

//! Indexes that a guest or user space chooses.
//!
//! A bounds check is a branch. Until it is resolved, a processor may go on behind it with any index
//! (Spectre variant 1). A mask is data, and holds in speculation, too, as long as the compiler does
//! not find it to be superfluous. It cannot where it does not know the mask.

/// The indexes of a table, as a mask: a power of two, less 1.
///
/// To be kept in memory beside the table, and be made where the compiler does not see at once what
/// for: it may leave a mask out that it knows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct IndexMask(usize);

impl IndexMask {
    /// Makes the mask for at least `len` entries; for 1 if `len` is 0.
    ///
    /// The table has to have as many entries as its mask admits ([`Self::entries`]).
    pub const fn for_at_least(len: usize) -> Self {
        match len.checked_next_power_of_two() {
            Some(len) => Self(len - 1),
            None => Self(usize::MAX),
        }
    }

    /// Returns how many entries a table needs for it; a power of two.
    pub const fn entries(self) -> usize {
        self.0.saturating_add(1)
    }

    /// Returns the entry of `table` at `index`, whose higher bits do not count; [`None`] if the table
    /// is too small.
    #[inline(always)]
    pub fn get<T>(self, table: &[T], index: usize) -> Option<&T> {
        table.get(index & self.0)
    }
}

#[cfg_attr(CONFIG_KUNIT, kernel::macros::kunit_tests(aia_core_nospec))]
#[cfg_attr(not(CONFIG_KUNIT), cfg(test))]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (len, entries) in [(0, 1), (1, 1), (2, 2), (3, 4), (4, 4), (5, 8), (1024, 1024)] {
            assert_eq!(IndexMask::for_at_least(len).entries(), entries);
        }
    }

    #[test]
    fn entries() {
        let table = [10, 11, 12, 13];
        let mask = IndexMask::for_at_least(3);

        for (index, entry) in table.iter().enumerate() {
            assert_eq!(mask.get(&table, index), Some(entry));
            // As speculation would see it.
            for far in [4, 8, 1 << 20, 1 << 62] {
                assert_eq!(mask.get(&table, index + far), Some(entry));
            }
        }
        assert_eq!(mask.get(&table, usize::MAX), Some(&13));
        assert_eq!(IndexMask::for_at_least(1).get(&table, 2), Some(&10));
        // A table that does not fit.
        assert_eq!(IndexMask::for_at_least(8).get(&table, 2), Some(&12));
        assert_eq!(IndexMask::for_at_least(8).get(&table, 4), None);
    }
}
