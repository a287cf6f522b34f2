// SPDX-License-Identifier: GPL-2.0

//! The complete state of a domain, read and written without effects, as migration needs it.
//!
//! Registers do not suffice: none of them reads the wires, and writing them makes sources pending
//! or sends MSIs.

use super::{
    word::{
        mode_written,
        SourceWord,
        TARGET_BITS, //
    },
    Aplic,
    SourceWords, //
};
use crate::{
    aplic::{
        domaincfg::DomainCfg,
        regs::WordIndex,
        source::SourceMode, //
    },
    ids::NrSources,
};

/// The state of a word of sources; the source with bit `i` is at index `i`.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct SavedWord {
    /// The pending bits.
    pub pending: u32,
    /// The enable bits.
    pub enabled: u32,
    /// The wires as [devices](SourceWord::set_wire) have them, not rectified.
    pub wires: u32,
    /// The wires as those have them that [learn when it was handled](SourceWord::set_resampled).
    pub resampled: u32,
    /// `sourcecfg` of each source.
    pub sourcecfg: [u32; SourceWord::SOURCES],
    /// `target` of each source.
    pub target: [u32; SourceWord::SOURCES],
}

/// The state of a domain that is not in a word.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct SavedDomain {
    /// `domaincfg`; only IE counts.
    pub domaincfg: u32,
    /// `genmsi`.
    pub genmsi: u32,
}

impl SourceWord {
    /// Returns the state.
    pub fn save(&self) -> SavedWord {
        SavedWord {
            pending: self.pending,
            enabled: self.enabled,
            wires: self.by_devices,
            resampled: self.by_resampler,
            sourcecfg: core::array::from_fn(|i| self.mode(1 << i).sourcecfg()),
            target: self.targets,
        }
    }

    /// Replaces the state by a saved one of which any part may be invalid.
    ///
    /// `sourcecfg` and `target` are taken as if they were written. Bits are dropped where a source
    /// cannot have them, as is everything of a source that is not in `implemented`.
    pub fn restore(&mut self, saved: &SavedWord, implemented: u32) {
        *self = Self::new();
        self.by_devices = saved.wires & implemented;
        self.by_resampler = saved.resampled & implemented;
        for (i, &sourcecfg) in saved.sourcecfg.iter().enumerate() {
            let bit = 1 << i;
            let mode = if implemented & bit != 0 {
                mode_written(sourcecfg)
            } else {
                SourceMode::Inactive
            };
            self.put_mode(bit, mode);
        }
        for (i, (to, from)) in self.targets.iter_mut().zip(&saved.target).enumerate() {
            if self.active & 1 << i != 0 {
                *to = from & TARGET_BITS;
            }
        }
        self.set_pending(saved.pending);
        self.enable(saved.enabled);
    }
}

/// Returns the bits of `word` that stand for a source.
fn implemented(word: WordIndex, nr_sources: NrSources) -> u32 {
    let last = nr_sources.last();
    let below = match word.cmp(&WordIndex::of(last)) {
        core::cmp::Ordering::Less => u32::MAX,
        core::cmp::Ordering::Equal => u32::MAX >> (u32::BITS - 1 - last.get() % u32::BITS),
        core::cmp::Ordering::Greater => 0,
    };

    if word.get() == 0 {
        below & !1
    } else {
        below
    }
}

impl<W: SourceWords> Aplic<W> {
    /// Returns the state of `word`; [`None`] if the domain has no such word.
    pub fn save_word(&self, word: WordIndex) -> Option<SavedWord> {
        if word.get() >= self.nr_sources.words() {
            return None;
        }
        self.words.with(word.index(), |w| w.save())
    }

    /// Replaces the state of `word`, as [`SourceWord::restore`] does; [`None`] if the domain has no
    /// such word.
    ///
    /// Sends nothing. A saved domain has no source that is to be sent; if this one has, it is sent
    /// when a register or wire of its word changes the next time, or IE is written as 1.
    pub fn restore_word(&self, word: WordIndex, saved: &SavedWord) -> Option<()> {
        if word.get() >= self.nr_sources.words() {
            return None;
        }
        let implemented = implemented(word, self.nr_sources);
        self.words
            .with(word.index(), |w| w.restore(saved, implemented))
    }

    /// Returns the state that is not in a word.
    pub fn save_domain(&self) -> SavedDomain {
        SavedDomain {
            domaincfg: self.read_domaincfg(),
            genmsi: self.read_genmsi(),
        }
    }

    /// Replaces the state that is not in a word; sends nothing.
    pub fn restore_domain(&self, saved: &SavedDomain) {
        self.domaincfg
            .store_release((saved.domaincfg & DomainCfg::IE).into());
        self.genmsi
            .store_release((saved.genmsi & TARGET_BITS).into());
    }
}

#[cfg_attr(CONFIG_KUNIT, kernel::macros::kunit_tests(aia_core_guest_aplic_saved))]
#[cfg_attr(not(CONFIG_KUNIT), cfg(test))]
mod tests {
    use super::*;
    use crate::error::OutOfRange;

    /// Returns a state that no word can be in.
    fn everything_set() -> SavedWord {
        SavedWord {
            pending: !0,
            enabled: !0,
            wires: 0x8000_0401,
            resampled: 0x8000_0801,
            sourcecfg: core::array::from_fn(|i| i as u32),
            target: [!0; 32],
        }
    }

    /// What a source cannot have is dropped.
    #[test]
    fn restore_checks() {
        let mut word = SourceWord::new();
        word.restore(&everything_set(), !0x8000_0001);
        let saved = word.save();

        // The lowest three bits chose the mode; 0, 2 and 3 are inactive; sources 0 and 31 are not.
        let active = 0x72f2_f2f2;
        assert_eq!(saved.enabled, active);
        for (i, (&sourcecfg, &target)) in saved.sourcecfg.iter().zip(&saved.target).enumerate() {
            let is_active = active & 1 << i != 0;
            assert_eq!(sourcecfg, if is_active { i as u32 & 7 } else { 0 });
            assert_eq!(target, if is_active { 0xfffc_07ff } else { 0 });
        }
        // AP-33: of the level-sensitive sources only the inverted ones have a high input.
        assert_eq!(saved.pending, active & !0x4040_4040);
        assert_eq!((saved.wires, saved.resampled), (1 << 10, 1 << 11));
    }

    /// A restored word is the saved one, and nothing of what was there before.
    #[test]
    fn round_trip() {
        let mut word = SourceWord::new();
        word.restore(&everything_set(), !1);
        let saved = word.save();
        let mut other = SourceWord::new();
        other.restore(
            &SavedWord {
                wires: !0,
                ..everything_set()
            },
            !1,
        );
        assert!(word != other);
        other.restore(&saved, !1);
        assert!(word == other);
        other.restore(&SavedWord::default(), !1);
        assert!(other == SourceWord::new());
    }

    #[test]
    fn bits_of_sources() -> Result<(), OutOfRange> {
        for (nr_sources, word, bits) in [
            (1_u32, 0, 0b10),
            (30, 0, 0x7fff_fffe),
            (31, 0, 0xffff_fffe),
            (31, 1, 0),
            (32, 0, 0xffff_fffe),
            (32, 1, 1),
            (96, 2, 0xffff_ffff),
            (96, 3, 1),
            (96, 4, 0),
            (1023, 31, 0xffff_ffff),
        ] {
            let word = WordIndex::new(word).ok_or(OutOfRange)?;
            assert_eq!(implemented(word, NrSources::try_from(nr_sources)?), bits);
        }
        Ok(())
    }
}
