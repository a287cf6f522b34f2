// SPDX-License-Identifier: GPL-2.0

//! What becomes of an interrupt domain that is without power for a while.
//!
//! Nobody sees what makes sources pending meanwhile: but an input that has risen must have had an edge,
//! and a level is there or not.

use core::ops::Deref;

use super::{
    Domain,
    DomainRegisters, //
};
use crate::{
    aplic::{
        domaincfg::DomainCfg,
        regs::{
            self,
            WordIndex, //
        },
        source::SourceMode, //
    },
    ids::SourceId,
    word::Word, //
};

/// 32 sources before the power went.
#[derive(Clone, Copy)]
struct SavedWord {
    enabled: u32,
    pending: u32,
    /// Rectified inputs.
    inputs: u32,
}

impl<R: DomainRegisters, S: Deref<Target = [Word]>> Domain<R, S> {
    /// Whether the registers cannot be accessed, from [`Self::save`] to [`Self::restore`].
    pub(super) fn is_off(&self) -> bool {
        self.off.load() != 0
    }

    /// Keeps what the registers hold and nobody else knows, before they may lose it. Until
    /// [`Self::restore`] no source is masked or unmasked.
    pub fn save(&self) {
        self.off.swap(1);
        for (word, bits, inputs) in self.saved_words() {
            bits.store_release(
                u64::from(self.read(regs::setip(word))) << u32::BITS
                    | u64::from(self.read(regs::setie(word))),
            );
            inputs.store_release(self.read(regs::in_clrip(word)).into());
        }
    }

    /// Makes the registers what they were at [`Self::save`]; `prepare` is called in between, with
    /// delivery off and all sources inactive, for what `self` does not know of.
    ///
    /// If they have kept it, nothing is touched, since they know better than anybody what has become
    /// pending meanwhile.
    pub fn restore(&self, kept: impl FnOnce(&Self) -> bool, prepare: impl FnOnce(&Self)) {
        self.off.swap(0);
        if self.is_kept() && kept(self) {
            return;
        }

        let on = self.on.load() != 0;
        self.write(regs::DOMAINCFG, 0);
        for source in self.nr_sources.iter() {
            self.write(regs::sourcecfg(source), SourceMode::Inactive.sourcecfg());
        }
        // It could be read back, and was.
        self.write(regs::DOMAINCFG, DomainCfg::new(false, self.mode).get());
        prepare(self);

        for (word, saved) in self.saved() {
            for source in self.nr_sources.iter().filter(|s| WordIndex::of(*s) == word) {
                self.restore_source(source, saved);
            }
            self.write(regs::setie(word), saved.enabled);
        }
        if on {
            self.write(regs::DOMAINCFG, DomainCfg::new(true, self.mode).get());
        }
    }

    /// Gives `source`, which is inactive, its mode and target again, and makes it pending if it was or
    /// should be.
    fn restore_source(&self, source: SourceId, saved: SavedWord) {
        let (mode, mask) = (self.mode_of(source), regs::mask(source));

        if !mode.is_active() {
            return;
        }
        self.write(regs::sourcecfg(source), mode.sourcecfg());
        self.activated(source, mode);
        if mode.is_level() {
            return;
        }

        // That the input is high may have made an edge of the write (AIA 4.5.2); the edge was there
        // if it was low before.
        let inputs = self.read(regs::in_clrip(WordIndex::of(source)));
        self.set_pending(source, (saved.pending | inputs & !saved.inputs) & mask != 0);
    }

    /// Whether the registers hold what they did at [`Self::save`], but for what is pending.
    fn is_kept(&self) -> bool {
        let domaincfg = DomainCfg::new(self.on.load() != 0, self.mode);

        DomainCfg::from_register(self.read(regs::DOMAINCFG)).is_some_and(|c| c.satisfies(domaincfg))
            && self
                .saved()
                .all(|(word, saved)| self.read(regs::setie(word)) == saved.enabled)
            && self.nr_sources.iter().all(|source| {
                let mode = self.mode_of(source);

                self.read(regs::sourcecfg(source)) == mode.sourcecfg()
                    && (!mode.is_active()
                        || self.read(regs::target(source)) == self.target_of(source))
            })
    }

    /// For each 32 sources, where their enable and pending bits are kept, and where their inputs.
    fn saved_words(&self) -> impl Iterator<Item = (WordIndex, &Word, &Word)> {
        Iterator::zip(WordIndex::all(self.nr_sources), self.saved.chunks_exact(2)).filter_map(
            |(word, saved)| match saved {
                [bits, inputs] => Some((word, bits, inputs)),
                _ => None,
            },
        )
    }

    fn saved(&self) -> impl Iterator<Item = (WordIndex, SavedWord)> + '_ {
        self.saved_words().map(|(word, bits, inputs)| {
            // CAST: Halves.
            let saved = SavedWord {
                enabled: bits.load() as u32,
                pending: (bits.load() >> u32::BITS) as u32,
                inputs: inputs.load() as u32,
            };

            (word, saved)
        })
    }
}
