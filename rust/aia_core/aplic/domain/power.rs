// SPDX-License-Identifier: GPL-2.0

//! What becomes of an interrupt domain that is without power for a while.
//!
//! Nobody sees what makes sources pending meanwhile: but an input that has risen must have had an edge,
//! and a level is there or not.

use core::ops::Deref;

use super::{
    Domain,
    DomainRegisters,
    UNWRITTEN, //
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
    #[inline]
    pub fn is_off(&self) -> bool {
        self.off.load() != 0
    }

    /// Keeps what the registers hold and nobody else knows, before they may lose it. Until
    /// [`Self::restore`] no source is masked or unmasked.
    ///
    /// May be called again before that: the system goes to sleep when the domain is off already. Then the
    /// registers are gone, and only the last [`Self::restore`] finds them back.
    pub fn save(&self) {
        if self.off.add(1) != 0 {
            return;
        }
        for (word, bits, inputs) in self.saved_words() {
            // First: an edge that comes just now is pending then, or its input has risen.
            inputs.store_release(self.read(regs::in_clrip(word)).into());
            bits.store_release(
                u64::from(self.read(regs::setip(word))) << u32::BITS
                    | u64::from(self.read(regs::setie(word))),
            );
        }
    }

    /// Makes the registers what they were at [`Self::save`]; `prepare` is called in between, with
    /// delivery off and all sources inactive, for what `self` does not know of.
    ///
    /// If they have kept it, what `kept` is asked, too, they know best what has become pending: then none
    /// is changed. But an MSI that was sent meanwhile may have met a hart without power, and is sent
    /// again.
    pub fn restore(&self, kept: impl FnOnce(&Self) -> bool, prepare: impl FnOnce(&Self)) {
        match self.off.load() {
            0 => return,
            1 => {}
            _ => {
                self.off.add(u64::MAX);
                return;
            }
        }

        // All that is recorded until now is seen below.
        for word in self.sources.iter() {
            word.clear(UNWRITTEN);
        }
        if self.is_kept() && kept(self) {
            self.send_again();
        } else {
            self.write_all(prepare);
        }
        self.off.add(u64::MAX);
        // What was recorded meanwhile, by who found that there is no power yet.
        for source in self.nr_sources.iter() {
            self.catch_up(source);
        }
    }

    /// Makes pending what was or should be, and may have been forwarded in vain. Without MSIs that
    /// changes nothing, as nobody has claimed anything.
    fn send_again(&self) {
        for (word, saved) in self.saved() {
            // What was pending may have left after that.
            let edges = saved.pending | self.read(regs::in_clrip(word)) & !saved.inputs;

            for source in self.sources_of(word) {
                let mode = self.mode_of(source);

                if mode.is_edge() && edges & regs::mask(source) != 0 {
                    self.set_pending(source);
                }
                self.retrigger(source, mode);
            }
        }
    }

    fn write_all(&self, prepare: impl FnOnce(&Self)) {
        let on = self.on.load() != 0;

        self.write(regs::DOMAINCFG, 0);
        for source in self.nr_sources.iter() {
            self.write(regs::sourcecfg(source), SourceMode::Inactive.sourcecfg());
        }
        // It could be read back, and was.
        self.write(regs::DOMAINCFG, DomainCfg::new(false, self.mode).get());
        prepare(self);

        for (word, saved) in self.saved() {
            for source in self.sources_of(word) {
                self.restore_source(source, saved);
            }
            self.write(regs::setie(word), saved.enabled);
        }
        if on {
            self.write(regs::DOMAINCFG, DomainCfg::new(true, self.mode).get());
        }
    }

    /// Writes what was recorded for `source` and not written. Others that have found power write
    /// theirs themselves.
    fn catch_up(&self, source: SourceId) {
        let Some(word) = self.sources.get(source.index()) else {
            return;
        };
        if word.load() & UNWRITTEN == 0 {
            return;
        }
        loop {
            let recorded = word.load();
            let mode = self.mode_of(source);

            if self.read(regs::sourcecfg(source)) != mode.sourcecfg() {
                self.write(regs::sourcecfg(source), mode.sourcecfg());
            }
            // Also if it is the mode already: the source may have taken another one for it.
            self.activated(source, mode);
            // Somebody else may have written something newer before.
            if word.replace(recorded, recorded & !UNWRITTEN) {
                return;
            }
        }
    }

    /// A source gets another mode while there is no power: what it had pending, and its input, were those
    /// of the former one.
    pub(super) fn forget(&self, source: SourceId) {
        let mask = u64::from(regs::mask(source));

        for (word, bits, inputs) in self.saved_words() {
            if word == WordIndex::of(source) {
                bits.clear(mask << u32::BITS);
                inputs.set(mask);
            }
        }
    }

    fn sources_of(&self, word: WordIndex) -> impl Iterator<Item = SourceId> {
        self.nr_sources
            .iter()
            .filter(move |source| WordIndex::of(*source) == word)
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
        if !mode.is_level() {
            self.restore_edge(source, saved.inputs & mask != 0, saved.pending & mask != 0);
        }
    }

    /// Whether the registers hold what they did at [`Self::save`], but for pending bits.
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
