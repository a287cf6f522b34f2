// SPDX-License-Identifier: GPL-2.0

//! The registers of an interrupt file at rest.

use crate::{
    eix::EixWord,
    ids::NrIds, //
};

/// The registers of an interrupt file while they are moved from one file to another (AIA 6.1.2).
///
/// The values are what was read from the registers. Whoever loads them into a file leaves out what
/// that file does not have.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Image {
    /// Pending bits, word `w` for identities `64 * w` to `64 * w + 63`.
    pub eip: [u64; EixWord::COUNT],
    /// Enable bits, in the same order.
    pub eie: [u64; EixWord::COUNT],
    /// The priority threshold.
    pub eithreshold: u64,
    /// Whether the file delivers interrupts.
    pub eidelivery: u64,
}

impl Image {
    /// Returns whether any identity is pending.
    pub fn has_pending(&self) -> bool {
        self.eip.iter().any(|eip| *eip != 0)
    }

    /// Iterates over the words of a file with `nr_ids` identities: number, pending bits, enable
    /// bits.
    #[inline]
    pub fn words(&self, nr_ids: NrIds) -> impl Iterator<Item = (EixWord, u64, u64)> + '_ {
        EixWord::all(nr_ids)
            .zip(self.eip.iter().zip(&self.eie))
            .map(|(word, (eip, eie))| (word, *eip, *eie))
    }

    /// Iterates like [`Self::words`], to fill the words in.
    #[inline]
    pub fn words_mut(
        &mut self,
        nr_ids: NrIds,
    ) -> impl Iterator<Item = (EixWord, &mut u64, &mut u64)> + '_ {
        EixWord::all(nr_ids)
            .zip(self.eip.iter_mut().zip(&mut self.eie))
            .map(|(word, (eip, eie))| (word, eip, eie))
    }
}

#[cfg_attr(CONFIG_KUNIT, kernel::macros::kunit_tests(aia_core_swfile_image))]
#[cfg_attr(not(CONFIG_KUNIT), cfg(all(test, not(loom))))]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_the_file() {
        let mut image = Image::default();

        assert!(!image.has_pending());
        for (word, eip, eie) in image.words_mut(NrIds::MIN) {
            *eip = 0x10 + u64::from(word.get());
            *eie = 0x20;
        }
        assert_eq!(image.eip.iter().sum::<u64>(), 0x10);
        assert!(image.has_pending());
        for (word, eip, eie) in image.words_mut(NrIds::MAX) {
            *eip = 0x10 + u64::from(word.get());
            *eie = 0x20 + u64::from(word.get());
        }

        let mut count = 0;
        for (word, eip, eie) in image.words(NrIds::MAX) {
            assert_eq!(word.get(), count);
            assert_eq!(
                (eip, eie),
                (0x10 + u64::from(count), 0x20 + u64::from(count))
            );
            count += 1;
        }
        assert_eq!(count, 32);
        assert_eq!(image.words(NrIds::MIN).count(), 1);
    }
}
