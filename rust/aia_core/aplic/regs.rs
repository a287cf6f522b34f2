// SPDX-License-Identifier: GPL-2.0

//! Offsets of the registers in the control region of an interrupt domain (AIA 4.5).
//!
//! All registers are 32 bits wide. All offsets are in bytes, multiples of 4.

use crate::ids::{
    IdcIndex,
    NrSources,
    SourceId, //
};

/// Domain configuration.
pub const DOMAINCFG: usize = 0x0000;

/// Machine MSI address configuration; only in machine-level domains.
pub const MMSIADDRCFG: usize = 0x1bc0;

/// Machine MSI address configuration, upper half; only in machine-level domains.
pub const MMSIADDRCFGH: usize = 0x1bc4;

/// Set a pending bit by number, in the byte order of the domain.
pub const SETIPNUM: usize = 0x1cdc;

/// Clear a pending bit by number.
pub const CLRIPNUM: usize = 0x1ddc;

/// Set an enable bit by number.
pub const SETIENUM: usize = 0x1edc;

/// Clear an enable bit by number.
pub const CLRIENUM: usize = 0x1fdc;

/// Set a pending bit by number, little-endian.
pub const SETIPNUM_LE: usize = 0x2000;

/// Set a pending bit by number, big-endian.
pub const SETIPNUM_BE: usize = 0x2004;

/// Generate an MSI.
pub const GENMSI: usize = 0x3000;

/// Interrupt delivery enable, in an interrupt delivery control structure.
pub const IDC_IDELIVERY: usize = 0x00;

/// Interrupt force, in an interrupt delivery control structure.
pub const IDC_IFORCE: usize = 0x04;

/// Interrupt enable threshold, in an interrupt delivery control structure.
pub const IDC_ITHRESHOLD: usize = 0x08;

/// Claim top interrupt, in an interrupt delivery control structure.
pub const IDC_CLAIMI: usize = 0x1c;

/// The size of an interrupt delivery control structure.
pub const IDC_SIZE: usize = 32;

/// The size of a control region without interrupt delivery control structures.
pub const REGION_SIZE: usize = 0x4000;

/// The number of a 32-bit word of pending or enable bits, 0 to 31.
///
/// Word `w` has the bits of sources `32 * w` to `32 * w + 31`.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[repr(transparent)]
pub struct WordIndex(u8);

impl WordIndex {
    /// How many words the largest APLIC has.
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

    /// Returns the word with the bit of `source`.
    #[inline]
    pub const fn of(source: SourceId) -> Self {
        // A source is at most 1,023, so the word is at most 31.
        Self((source.get() / u32::BITS) as u8)
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

    /// Iterates over the words of an APLIC.
    #[inline]
    pub fn all(nr_sources: NrSources) -> impl DoubleEndedIterator<Item = Self> {
        (0..nr_sources.words()).filter_map(Self::new)
    }
}

/// Returns the bit of `source` in its word, which is [`WordIndex::of`] it.
#[inline]
pub const fn mask(source: SourceId) -> u32 {
    1 << (source.get() % u32::BITS)
}

/// Source configuration of `source`.
#[inline]
pub const fn sourcecfg(source: SourceId) -> usize {
    4 * source.index()
}

/// Pending bits; writing ones sets them, if possible.
#[inline]
pub const fn setip(word: WordIndex) -> usize {
    0x1c00 + 4 * word.index()
}

/// Reads as the rectified inputs; writing ones clears pending bits, if possible.
#[inline]
pub const fn in_clrip(word: WordIndex) -> usize {
    0x1d00 + 4 * word.index()
}

/// Enable bits; writing ones sets them.
#[inline]
pub const fn setie(word: WordIndex) -> usize {
    0x1e00 + 4 * word.index()
}

/// Writing ones clears enable bits; reads as zero.
#[inline]
pub const fn clrie(word: WordIndex) -> usize {
    0x1f00 + 4 * word.index()
}

/// Target of `source`.
#[inline]
pub const fn target(source: SourceId) -> usize {
    0x3000 + 4 * source.index()
}

/// An interrupt delivery control structure, to which `IDC_*` is to be added.
#[inline]
pub const fn idc(index: IdcIndex) -> usize {
    REGION_SIZE + IDC_SIZE * index.index()
}

/// Returns the size that the control region must have at least, given the largest index of an
/// interrupt delivery control structure that is to be used.
#[inline]
pub const fn region_size(last: Option<IdcIndex>) -> usize {
    match last {
        Some(index) => idc(index) + IDC_SIZE,
        None => REGION_SIZE,
    }
}

#[cfg_attr(CONFIG_KUNIT, kernel::macros::kunit_tests(aia_core_aplic_regs))]
#[cfg_attr(not(CONFIG_KUNIT), cfg(test))]
mod tests {
    use super::*;
    use crate::error::OutOfRange;

    /// First and last register of each array in the specification's table.
    #[test]
    fn arrays() -> Result<(), OutOfRange> {
        let (first, last) = (SourceId::MIN, SourceId::MAX);
        assert_eq!((sourcecfg(first), sourcecfg(last)), (0x0004, 0x0ffc));
        assert_eq!((target(first), target(last)), (0x3004, 0x3ffc));

        let (first, last) = (WordIndex::of(first), WordIndex::of(last));
        assert_eq!((first.get(), last.get()), (0, 31));
        assert_eq!((setip(first), setip(last)), (0x1c00, 0x1c7c));
        assert_eq!((in_clrip(first), in_clrip(last)), (0x1d00, 0x1d7c));
        assert_eq!((setie(first), setie(last)), (0x1e00, 0x1e7c));
        assert_eq!((clrie(first), clrie(last)), (0x1f00, 0x1f7c));

        assert_eq!(idc(IdcIndex::ZERO), 0x4000);
        assert_eq!(idc(IdcIndex::try_from(3_u32)?) + IDC_CLAIMI, 0x407c);
        assert_eq!(region_size(None), 0x4000);
        assert_eq!(region_size(Some(IdcIndex::ZERO)), 0x4020);
        assert_eq!(region_size(Some(IdcIndex::MAX)), 0x8_4000);
        Ok(())
    }

    #[test]
    fn words_and_bits() -> Result<(), OutOfRange> {
        for value in 1..=1023_u32 {
            let source = SourceId::try_from(value)?;
            assert_eq!(WordIndex::of(source).get(), value / 32);
            assert_eq!(mask(source), 1u32.rotate_left(value));
        }
        assert_eq!(WordIndex::new(32), None);
        assert_eq!(WordIndex::all(NrSources::try_from(96_u32)?).count(), 4);
        Ok(())
    }
}
