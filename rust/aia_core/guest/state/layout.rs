// SPDX-License-Identifier: GPL-2.0

//! What a snapshot begins with, and what is where in it.

use core::ops::Range;

use super::{
    error::SnapshotError,
    fields::{
        Reader,
        Writer, //
    }, //
};
use crate::{
    aplic::regs::WordIndex,
    guest_aplic::word::SourceWord,
    ids::{
        NrIds,
        NrSources, //
    },
};

/// Sizes in bytes.
const DOMAIN_SIZE: usize = 2 * size_of::<u32>();
const WORD_SIZE: usize = (4 + 2 * SourceWord::SOURCES) * size_of::<u32>();
const VCPU_SIZE: usize = 2 * size_of::<u32>() + 2 * size_of::<u64>();
const EIX_SIZE: usize = 2 * size_of::<u64>();

/// What a snapshot begins with.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Header {
    /// The version of the format.
    pub version: u32,
    /// The size in bytes of the snapshot, or of the memory that is there for one.
    pub size: u32,
    /// How many identities an interrupt file has.
    pub nr_ids: u32,
    /// How many sources the APLIC has; 0 if there is no APLIC.
    pub nr_sources: u32,
    /// How many vCPUs with an interrupt file there are.
    pub nr_vcpus: u32,
    /// 0.
    pub reserved: u32,
}

impl Header {
    /// The version of the format.
    pub const VERSION: u32 = 1;

    /// Its size in bytes.
    pub const SIZE: usize = 6 * size_of::<u32>();

    /// Reads the fields, any numbers.
    pub fn decode(bytes: &[u8; Self::SIZE]) -> Self {
        let mut fields = Reader(bytes);
        let mut next = || fields.u32().unwrap_or(0);

        Self {
            version: next(),
            size: next(),
            nr_ids: next(),
            nr_sources: next(),
            nr_vcpus: next(),
            reserved: next(),
        }
    }

    /// Returns the bytes.
    pub fn encode(&self) -> [u8; Self::SIZE] {
        let mut bytes = [0; Self::SIZE];
        let mut fields = Writer(&mut bytes);

        for value in [
            self.version,
            self.size,
            self.nr_ids,
            self.nr_sources,
            self.nr_vcpus,
            self.reserved,
        ] {
            fields.u32(value);
        }
        bytes
    }

    /// Returns whether user space wants no more than to know the version and the numbers.
    pub fn only_asks(&self) -> bool {
        self.version == 0 && self.reserved == 0
    }

    /// Checks what user space gives to get a snapshot, of which the numbers do not count.
    pub fn check_request(&self) -> Result<(), SnapshotError> {
        if self.version != Self::VERSION {
            return Err(SnapshotError::Version);
        }
        if self.reserved != 0 {
            return Err(SnapshotError::Reserved);
        }
        Ok(())
    }
}

/// What a virtual machine's snapshot is made of, and where in it.
///
/// # Invariants
///
/// `size` is the sum of all parts, and fits 32 bits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Layout {
    nr_ids: NrIds,
    nr_sources: Option<NrSources>,
    nr_vcpus: u32,
    size: u32,
}

impl Layout {
    /// Makes that of a virtual machine with so many vCPUs that have an interrupt file; [`None`] if
    /// the snapshot would be too large.
    pub fn new(nr_ids: NrIds, nr_sources: Option<NrSources>, nr_vcpus: u32) -> Option<Self> {
        let mut layout = Self {
            nr_ids,
            nr_sources,
            nr_vcpus,
            size: 0,
        };
        let vcpus = layout
            .vcpu_size()
            .checked_mul(usize::try_from(nr_vcpus).ok()?)?;

        layout.size = layout.vcpus_start().checked_add(vcpus)?.try_into().ok()?;
        // INVARIANT: Just added up, and converted.
        Some(layout)
    }

    /// Returns the size of the snapshot in bytes.
    #[inline]
    pub fn size(&self) -> usize {
        // CAST: Not narrower.
        self.size as usize
    }

    /// Returns how many identities an interrupt file has.
    #[inline]
    pub(super) fn nr_ids(&self) -> NrIds {
        self.nr_ids
    }

    /// Returns how many vCPUs there are.
    #[inline]
    pub fn nr_vcpus(&self) -> u32 {
        self.nr_vcpus
    }

    /// Returns the header of the snapshot.
    pub fn header(&self) -> Header {
        Header {
            version: Header::VERSION,
            size: self.size,
            nr_ids: self.nr_ids.get(),
            nr_sources: self.nr_sources.map_or(0, NrSources::get),
            nr_vcpus: self.nr_vcpus,
            reserved: 0,
        }
    }

    /// Iterates over the words of the APLIC; there are none if there is no APLIC.
    pub fn words(&self) -> impl Iterator<Item = WordIndex> {
        self.nr_sources.into_iter().flat_map(WordIndex::all)
    }

    /// Returns where the APLIC is; [`None`] if there is none.
    pub(super) fn domain(&self) -> Option<Range<usize>> {
        self.nr_sources?;
        Some(Header::SIZE..Header::SIZE + DOMAIN_SIZE)
    }

    /// Returns where a word of the APLIC is; [`None`] if there is no such word.
    pub(super) fn word(&self, word: WordIndex) -> Option<Range<usize>> {
        if word.get() >= self.nr_sources?.words() {
            return None;
        }
        let start = Header::SIZE + DOMAIN_SIZE + word.index() * WORD_SIZE;

        Some(start..start + WORD_SIZE)
    }

    /// Returns where the vCPUs begin.
    fn vcpus_start(&self) -> usize {
        Header::SIZE
            + self.nr_sources.map_or(0, |nr_sources| {
                // CAST: 32 at most.
                DOMAIN_SIZE + nr_sources.words() as usize * WORD_SIZE
            })
    }

    /// Returns the size of a vCPU.
    fn vcpu_size(&self) -> usize {
        // CAST: 32 at most.
        VCPU_SIZE + self.nr_ids.words() as usize * EIX_SIZE
    }

    /// Returns where a vCPU is, by its position; [`None`] if there are not as many.
    pub(super) fn vcpu(&self, position: u32) -> Option<Range<usize>> {
        if position >= self.nr_vcpus {
            return None;
        }
        // No overflow: by the invariant all of them fit.
        let start = self.vcpus_start() + usize::try_from(position).ok()? * self.vcpu_size();

        Some(start..start + self.vcpu_size())
    }

    /// Returns the bits of `word` that stand for a source.
    pub(super) fn implemented(&self, word: WordIndex) -> u32 {
        let first = word.get() * u32::BITS;
        let exists = |n: u32| {
            self.nr_sources
                .is_some_and(|nr_sources| nr_sources.check(first + n).is_some())
        };

        (0..u32::BITS)
            .filter(|&n| exists(n))
            .fold(0, |bits, n| bits | 1 << n)
    }
}

#[cfg_attr(CONFIG_KUNIT, kernel::macros::kunit_tests(aia_core_guest_state_layout))]
#[cfg_attr(not(CONFIG_KUNIT), cfg(test))]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        let size = |ids, sources, vcpus| {
            Layout::new(NrIds::new(ids)?, NrSources::new(sources), vcpus).map(|l| l.size())
        };
        assert_eq!(size(63, 0, 0), Some(24));
        assert_eq!(size(63, 0, 1), Some(24 + 40));
        assert_eq!(size(63, 1, 0), Some(24 + 8 + 272));
        assert_eq!(size(63, 31, 0), Some(24 + 8 + 272));
        assert_eq!(size(63, 33, 2), Some(24 + 8 + 2 * 272 + 2 * 40));
        assert_eq!(size(2047, 1023, 1024), Some(32 + 32 * 272 + 1024 * 536));
        // Sizes are numbers of 32 bits.
        assert_eq!(size(2047, 0, 8_012_998), Some(24 + 8_012_998 * 536));
        assert_eq!(size(2047, 0, 8_012_999), None);
        assert_eq!(size(2047, 0, u32::MAX), None);
    }
}
