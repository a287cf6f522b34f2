// SPDX-License-Identifier: GPL-2.0

//! The identities of one interrupt file that are in use.

use core::ops::Deref;

use crate::{
    bits::{
        lowest,
        Ones, //
    },
    ids::{
        Eiid,
        NrIds, //
    },
    word::Word, //
};

/// Words that a bitmap of all identities 0..=`nr_ids` takes.
#[inline]
pub fn words_for(nr_ids: NrIds) -> usize {
    // `nr_ids` is 64k - 1, so the identities with number zero fill whole words.
    nr_ids.words() as usize
}

/// The word of a bitmap that holds `eiid`, and its bit there.
#[inline]
pub(super) fn position(eiid: Eiid) -> (usize, u64) {
    let n = eiid.index();

    (n / 64, 1 << (n % 64))
}

/// The identity at bit number `bit` of word `word`.
#[inline]
pub(super) fn eiid_at(word: usize, bit: u32) -> Option<Eiid> {
    Eiid::new(
        u32::try_from(word)
            .ok()?
            .checked_mul(64)?
            .checked_add(bit)?,
    )
}

/// `size` bits, 1 to 32.
fn block_mask(size: u32) -> u64 {
    (1 << size) - 1
}

/// The number of the first bit of the highest block of `size` bits, a power of two up to 32, that are
/// clear in `used`.
fn highest_free(used: u64, size: u32) -> Option<u32> {
    (0..64 / size)
        .rev()
        .map(|block| block * size)
        .find(|bit| used >> bit & block_mask(size) == 0)
}

/// A lock-free allocator of the identities of one interrupt file; the lowest free one comes first.
///
/// # Invariants
///
/// - A set bit in `used` belongs to exactly one caller: whoever set it.
/// - Bit `w` of `open` is set whenever word `w` of `used` has a clear bit, except between the two
///   steps of a [`Self::release`].
pub struct Pool<S> {
    used: S,
    open: Word,
}

impl<S: Deref<Target = [Word]>> Pool<S> {
    /// Creates a pool on `used`, [`words_for`] zeroed words; identity zero is taken for good.
    ///
    /// Returns [`None`] if the number of words is not that of any file.
    pub fn new(used: S) -> Option<Self> {
        let words = used.len();

        if words == 0 || words > 32 {
            return None;
        }
        // Zero is no identity.
        used.first()?.set(1);

        Some(Self {
            open: Word::new(u64::MAX >> (64 - words)),
            used,
        })
    }

    /// The number of free identities; exact when nobody allocates or frees. Takes long: who takes or
    /// gives back counts elsewhere, see [`Placement`](super::placement::Placement).
    pub fn free(&self) -> u32 {
        self.used.iter().map(|word| word.load().count_zeros()).sum()
    }

    /// Takes the lowest free identity.
    pub fn alloc(&self) -> Option<Eiid> {
        loop {
            // CAST: A bit number below 64.
            let index = lowest(self.open.load())? as usize;
            let word = self.used.get(index)?;

            let Some(bit) = lowest(!word.load()) else {
                // Take the hint back; look again, since a release may have come in between: if it has set
                // the hint before, what it did before that is seen here.
                self.open.clear(1 << index);
                if word.load() != u64::MAX {
                    self.open.set(1 << index);
                }
                continue;
            };

            if word.set(1 << bit) & (1 << bit) == 0 {
                return eiid_at(index, bit);
            }
        }
    }

    /// Takes the highest free block of `size` identities, a power of two up to 32, of which the first is
    /// a multiple of `size`: the lowest ones are for those that are taken one by one, which leave more
    /// blocks whole that way.
    pub fn alloc_block(&self, size: u32) -> Option<Eiid> {
        for (index, word) in self.used.iter().enumerate().rev() {
            while let Some(bit) = highest_free(word.load(), size) {
                let first = eiid_at(index, bit)?;

                if self.claim_block(first, size) {
                    return Some(first);
                }
            }
        }
        None
    }

    /// Takes the block of `size` identities that begins with `first`, as in [`Self::alloc_block`];
    /// returns whether all of them were free.
    pub fn claim_block(&self, first: Eiid, size: u32) -> bool {
        let (index, bit) = position(first);
        let mask = block_mask(size) << bit.trailing_zeros();
        let Some(word) = self.used.get(index) else {
            return false;
        };

        loop {
            let used = word.load();

            if used & mask != 0 {
                return false;
            }
            if word.replace(used, used | mask) {
                return true;
            }
        }
    }

    /// Takes `eiid`; returns whether it was free.
    pub fn claim(&self, eiid: Eiid) -> bool {
        let (index, mask) = position(eiid);

        self.used
            .get(index)
            .is_some_and(|word| word.set(mask) & mask == 0)
    }

    /// Gives `eiid` back; nothing happens if it was not taken.
    pub fn release(&self, eiid: Eiid) {
        let (index, mask) = position(eiid);

        if let Some(word) = self.used.get(index) {
            if word.clear(mask) & mask != 0 {
                self.open.set(1 << index);
            }
        }
    }

    /// The lowest identity that is free both here and in `other`.
    ///
    /// Only a hint: [`Self::claim`] decides.
    pub fn common_free(&self, other: &Self) -> Option<Eiid> {
        self.used
            .iter()
            .zip(other.used.iter())
            .enumerate()
            .find_map(|(index, (a, b))| {
                lowest(!(a.load() | b.load())).and_then(|bit| eiid_at(index, bit))
            })
    }

    /// The first identity of the highest block that is free both here and in `other`.
    ///
    /// Only a hint: [`Self::claim_block`] decides.
    pub fn common_free_block(&self, other: &Self, size: u32) -> Option<Eiid> {
        self.used
            .iter()
            .zip(other.used.iter())
            .enumerate()
            .rev()
            .find_map(|(index, (a, b))| eiid_at(index, highest_free(a.load() | b.load(), size)?))
    }

    /// The identities that are taken.
    pub(super) fn iter(&self) -> impl Iterator<Item = Eiid> + '_ {
        self.used
            .iter()
            .enumerate()
            .flat_map(|(index, word)| Ones(word.load()).filter_map(move |bit| eiid_at(index, bit)))
    }

    /// The bitmap of identities in use, one word after the other.
    pub(super) fn used(&self) -> &[Word] {
        &self.used
    }
}

#[cfg_attr(CONFIG_KUNIT, kernel::macros::kunit_tests(aia_core_vector_pool))]
#[cfg_attr(not(CONFIG_KUNIT), cfg(all(test, not(loom))))]
mod tests {
    use super::*;

    fn id(n: u32) -> Eiid {
        Eiid::new(n).unwrap()
    }

    #[test]
    fn lowest_first_until_exhausted() {
        let words = [Word::new(0), Word::new(0)];
        let pool = Pool::new(&words[..]).unwrap();

        assert_eq!(pool.free(), 127);
        for n in 1..=127 {
            assert_eq!(pool.alloc(), Some(id(n)));
        }
        assert_eq!(pool.alloc(), None);
        assert_eq!(pool.free(), 0);

        pool.release(id(100));
        pool.release(id(3));
        assert_eq!(pool.free(), 2);
        assert_eq!(pool.alloc(), Some(id(3)));
        assert_eq!(pool.alloc(), Some(id(100)));
        assert_eq!(pool.alloc(), None);
    }

    #[test]
    fn claims_and_double_releases() {
        let words = [Word::new(0)];
        let pool = Pool::new(&words[..]).unwrap();

        assert!(pool.claim(id(1)));
        assert!(!pool.claim(id(1)));
        assert!(!pool.claim(id(64)));
        assert_eq!(pool.alloc(), Some(id(2)));
        pool.release(id(2));
        pool.release(id(2));
        assert_eq!(pool.free(), 62);
    }

    #[test]
    fn blocks_come_from_the_end() {
        let words = [Word::new(0), Word::new(0)];
        let pool = Pool::new(&words[..]).unwrap();

        assert!(pool.claim(id(127)));
        assert_eq!(pool.alloc_block(32), Some(id(64)));
        assert_eq!(pool.alloc_block(16), Some(id(96)));
        assert_eq!(pool.alloc_block(2), Some(id(124)));
        assert_eq!(pool.alloc_block(32), Some(id(32)));
        // Zero is no identity.
        assert_eq!(pool.alloc_block(32), None);
        assert_eq!(pool.free(), 127 - 1 - 32 - 16 - 2 - 32);
        assert_eq!(pool.alloc_block(16), Some(id(16)));
        assert!(!pool.claim_block(id(120), 8));
        assert!(pool.claim_block(id(112), 8));
        pool.release(id(117));
        assert!(!pool.claim_block(id(116), 2));
        pool.release(id(116));
        assert!(pool.claim_block(id(116), 2));
    }

    #[test]
    fn common_free_identity() {
        let a = [Word::new(0)];
        let b = [Word::new(0)];
        let a = Pool::new(&a[..]).unwrap();
        let b = Pool::new(&b[..]).unwrap();

        assert!(a.claim(id(1)) && a.claim(id(3)) && b.claim(id(2)));
        assert_eq!(a.common_free(&b), Some(id(4)));
        assert!(a.claim(id(63)) && b.claim(id(59)));
        assert_eq!(a.common_free_block(&b, 2), Some(id(60)));
        assert_eq!(a.common_free_block(&b, 8), Some(id(48)));
        assert_eq!(a.common_free_block(&b, 32), None);
        while a.alloc().is_some() {}
        assert_eq!(a.common_free(&b), None);
        assert_eq!(a.common_free_block(&b, 2), None);
    }
}
