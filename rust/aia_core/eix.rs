// SPDX-License-Identifier: GPL-2.0

//! Pending and enable bits of an interrupt file, as 64-bit words (AIA 3.8, 3.9).

use crate::{
    bits::lowest,
    ids::{
        Eiid,
        NrIds, //
    }, //
};

/// `eidelivery`: interrupts are not delivered (AIA 3.8.1).
pub const EIDELIVERY_OFF: u64 = 0;

/// `eidelivery`: the interrupt file delivers interrupts (AIA 3.8.1).
pub const EIDELIVERY_ON: u64 = 1;

/// `eithreshold`: no identity is masked (AIA 3.8.2).
pub const EITHRESHOLD_NONE: u64 = 0;

/// The number of a 64-bit word of pending or enable bits, 0 to 31.
///
/// Word `w` has the bits of identities `64 * w` to `64 * w + 63`.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[repr(transparent)]
pub struct EixWord(u8);

impl EixWord {
    /// How many words the largest interrupt file has.
    pub const COUNT: usize = 32;

    /// Makes a word number; [`None`] if `word` is above 31.
    #[inline]
    pub const fn new(word: u32) -> Option<Self> {
        if word < Self::COUNT as u32 {
            Some(Self(word as u8))
        } else {
            None
        }
    }

    /// Makes a word number from the lowest five bits of `word`.
    #[inline]
    pub(crate) const fn wrapping(word: u32) -> Self {
        Self((word % Self::COUNT as u32) as u8)
    }

    /// Returns the word with the bit of `id`.
    #[inline]
    pub const fn of(id: Eiid) -> Self {
        Self::wrapping(id.get() / u64::BITS)
    }

    /// Returns the number.
    #[inline]
    pub const fn get(self) -> u32 {
        self.0 as u32
    }

    /// Returns the number as an index into a slice.
    #[inline]
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// Iterates over the words of an interrupt file.
    #[inline]
    pub fn all(nr_ids: NrIds) -> impl DoubleEndedIterator<Item = Self> {
        (0..nr_ids.words()).filter_map(Self::new)
    }

    /// Returns the bits of this word that stand for an identity: all but bit 0 of word 0.
    #[inline]
    pub const fn valid_bits(self) -> u64 {
        if self.0 == 0 {
            !1
        } else {
            !0
        }
    }

    /// Returns the identity of the lowest set bit of `bits`, were they the contents of this word;
    /// [`None`] if no identity's bit is set.
    ///
    /// That is the one with the highest priority (AIA 3.3).
    #[inline]
    pub fn first(self, bits: u64) -> Option<Eiid> {
        let bit = lowest(bits & self.valid_bits())?;

        Eiid::new(self.get() * u64::BITS + bit)
    }

    /// Iterates over the identities of the set bits of `bits`, were they the contents of this
    /// word, highest priority first.
    #[inline]
    pub fn ids(self, bits: u64) -> impl Iterator<Item = Eiid> {
        let mut rest = bits;
        core::iter::from_fn(move || {
            let id = self.first(rest)?;
            rest &= !mask(id);
            Some(id)
        })
    }
}

/// Returns the bit of `id` in its word, which is [`EixWord::of`] it.
#[inline]
pub const fn mask(id: Eiid) -> u64 {
    1 << (id.get() % u64::BITS)
}

/// Returns the identity that a value of a `*topei` CSR reports; [`None`] if it reports none
/// (AIA 3.9).
///
/// # Examples
///
/// ```
/// use aia_core::eix::topei_id;
///
/// assert_eq!(topei_id(0), None);
/// assert_eq!(topei_id(0x0021_0021).map(|id| id.get()), Some(0x21));
/// ```
#[inline]
pub const fn topei_id(topei: u64) -> Option<Eiid> {
    Eiid::new((topei >> 16) as u32 & Eiid::MAX.get())
}

/// Returns the value of a `*topei` CSR that reports `id` (AIA 3.9).
#[inline]
pub const fn topei_value(id: Option<Eiid>) -> u64 {
    match id {
        Some(id) => (id.get() as u64) << 16 | id.get() as u64,
        None => 0,
    }
}

#[cfg_attr(CONFIG_KUNIT, kernel::macros::kunit_tests(aia_core_eix))]
#[cfg_attr(not(CONFIG_KUNIT), cfg(test))]
mod tests {
    use super::*;
    use crate::error::OutOfRange;

    fn id(value: u32) -> Result<Eiid, OutOfRange> {
        Eiid::try_from(value)
    }

    #[test]
    fn words_and_bits() -> Result<(), OutOfRange> {
        for value in 1..=2047 {
            let id = id(value)?;
            let word = EixWord::of(id);
            assert_eq!(word.get(), value / 64);
            assert_eq!(mask(id), 1u64.rotate_left(value));
            assert_eq!(word.first(mask(id)), Some(id));
            assert_eq!(topei_id(topei_value(Some(id))), Some(id));
        }
        Ok(())
    }

    #[test]
    fn bit_zero_is_no_identity() -> Result<(), OutOfRange> {
        let word = EixWord::of(Eiid::MIN);
        assert_eq!(word.first(1), None);
        assert_eq!(word.first(3), Some(Eiid::MIN));
        assert_eq!(EixWord::of(id(64)?).first(1), Some(id(64)?));
        assert_eq!(word.ids(!0).count(), 63);
        assert_eq!(EixWord::of(Eiid::MAX).ids(!0).count(), 64);
        assert_eq!(EixWord::of(Eiid::MAX).ids(!0).last(), Some(Eiid::MAX));
        Ok(())
    }

    #[test]
    fn topei_format() -> Result<(), OutOfRange> {
        assert_eq!(topei_value(None), 0);
        assert_eq!(topei_value(Some(Eiid::MAX)), 0x07ff_07ff);
        assert_eq!(topei_id(0x07ff_0000), Some(Eiid::MAX));
        // Bits that are zero by the specification do not matter.
        assert_eq!(topei_id(0xffff_ffff_f801_ffff), Some(Eiid::MIN));
        assert_eq!(topei_id(0xffff_ffff_f800_ffff), None);
        Ok(())
    }
}
