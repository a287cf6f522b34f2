// SPDX-License-Identifier: GPL-2.0

//! The APLIC that KVM emulates for a guest (AIA 4).
//!
//! It is one interrupt domain: supervisor level, MSI delivery mode, little-endian, no children.

pub mod regs;
pub mod saved;
pub mod word;

use core::ops::Range;

use self::{
    regs::AplicRegister,
    word::{
        SourceWord,
        TARGET_BITS, //
    }, //
};
use crate::{
    aplic::{
        domaincfg::{
            DeliveryMode,
            DomainCfg, //
        },
        regs::{
            mask,
            WordIndex, //
        },
        target::MsiTarget, //
    },
    bits::Ones,
    ids::{
        NrSources,
        SourceId, //
    },
    word::Word,
};

/// The highest byte of `domaincfg`, which tells the byte order (AIA 4.5.1).
const DOMAINCFG_MARK: u32 = 0x8000_0000;

/// The storage of a domain's words, with a lock for each.
pub trait SourceWords {
    /// Returns how many words there are.
    fn count(&self) -> usize;

    /// Calls `f` with exclusive access to a word; [`None`], without calling it, if `word` is not
    /// below [`SourceWords::count`].
    ///
    /// Calls do not nest. `word` may be the guest's choice: an implementation that indexes memory
    /// by it has to prevent speculation past the bound.
    ///
    /// `f` and what it returns are [`Send`] so that nothing that belongs to the calling thread, such
    /// as interrupts that are off, is taken in or out while the word is locked.
    fn with<R: Send>(&self, word: usize, f: impl FnOnce(&mut SourceWord) -> R + Send) -> Option<R>;
}

/// Where a domain's MSIs go.
pub trait MsiSink: Sync {
    /// Delivers an MSI; when this returns, the interrupt file has it.
    ///
    /// A target that does not exist gets nothing. MSIs of sources are sent inside of
    /// [`SourceWords::with`], so this must not come back to the domain.
    fn send(&self, target: MsiTarget);
}

/// An interrupt domain.
///
/// All functions may be called at the same time.
pub struct Aplic<W> {
    nr_sources: NrSources,
    domaincfg: Word,
    genmsi: Word,
    words: W,
}

/// Whether `domaincfg` has IE set.
#[inline]
fn has_ie(domaincfg: &Word) -> bool {
    domaincfg.load() & u64::from(DomainCfg::IE) != 0
}

/// The range of a single word.
fn one(word: WordIndex) -> Range<u32> {
    word.get()..word.get() + 1
}

/// Sends what is due of a word.
///
/// Out of line: most changes of a word send nothing and need none of the registers for it.
#[inline(never)]
fn forward(word: &mut SourceWord, sink: &impl MsiSink) {
    word.forward(|target| {
        // No interrupt file has identity 0.
        if let Some(target) = MsiTarget::decode(target) {
            sink.send(target);
        }
    });
}

impl<W: SourceWords> Aplic<W> {
    /// Makes a domain as after reset: nothing is delivered, and `words` should be
    /// [`SourceWord::new`]; [`None`] if there are fewer words than the sources need.
    pub fn new(nr_sources: NrSources, words: W) -> Option<Self> {
        if words.count() < nr_sources.words() as usize {
            return None;
        }
        Some(Self {
            nr_sources,
            domaincfg: Word::new(0),
            genmsi: Word::new(0),
            words,
        })
    }

    /// Returns how many sources the domain has.
    #[inline]
    pub fn nr_sources(&self) -> NrSources {
        self.nr_sources
    }

    /// Returns whether `domaincfg` has IE set.
    #[inline]
    fn delivers(&self) -> bool {
        has_ie(&self.domaincfg)
    }

    /// Returns what `f` reads of a word, or 0.
    #[inline]
    fn get(&self, word: WordIndex, f: impl FnOnce(&SourceWord) -> u32 + Send) -> u32 {
        self.words.with(word.index(), |w| f(w)).unwrap_or(0)
    }

    /// Changes a word by `f` and sends what is due then (AIA 4.9).
    ///
    /// IE is read with the word locked. Who sets IE locks all words afterwards: what did not see IE
    /// here is seen there.
    #[inline]
    fn change(&self, word: WordIndex, sink: &impl MsiSink, f: impl FnOnce(&mut SourceWord) + Send) {
        let domaincfg = &self.domaincfg;

        self.words.with(word.index(), |w| {
            f(w);
            if w.is_due() && has_ie(domaincfg) {
                forward(w, sink);
            }
        });
    }

    /// Changes the word of the source `number` by `f`, which gets its bit; ignored if there is no
    /// such source.
    #[inline]
    fn change_bit(
        &self,
        number: u32,
        sink: &impl MsiSink,
        f: impl FnOnce(&mut SourceWord, u32) + Send,
    ) {
        if let Some(source) = self.nr_sources.check(number) {
            self.change(WordIndex::of(source), sink, |w| f(w, mask(source)));
        }
    }

    /// Reads a register.
    pub fn read(&self, register: AplicRegister) -> u32 {
        match register {
            AplicRegister::DomainCfg => self.read_domaincfg(),
            AplicRegister::SourceCfg(source) => {
                self.get(WordIndex::of(source), |w| w.sourcecfg(source))
            }
            AplicRegister::SetIp(word) => self.get(word, SourceWord::pending),
            AplicRegister::InClrIp(word) => self.get(word, SourceWord::inputs),
            AplicRegister::SetIe(word) => self.get(word, SourceWord::enabled),
            AplicRegister::Target(source) => self.get(WordIndex::of(source), |w| w.target(source)),
            AplicRegister::GenMsi => self.read_genmsi(),
            AplicRegister::SetIpNum
            | AplicRegister::ClrIpNum
            | AplicRegister::SetIeNum
            | AplicRegister::ClrIe(_)
            | AplicRegister::ClrIeNum
            | AplicRegister::SetIpNumLe
            | AplicRegister::SetIpNumBe => 0,
        }
    }

    /// Writes a register and sends the MSIs that are due because of it.
    pub fn write(&self, register: AplicRegister, value: u32, sink: &impl MsiSink) {
        match register {
            AplicRegister::DomainCfg => self.write_domaincfg(value, sink),
            AplicRegister::SourceCfg(source) => {
                self.change(WordIndex::of(source), sink, |w| {
                    w.set_sourcecfg(source, value)
                });
            }
            AplicRegister::SetIp(word) => self.change(word, sink, |w| w.set_pending(value)),
            AplicRegister::InClrIp(word) => self.change(word, sink, |w| w.clear_pending(value)),
            AplicRegister::SetIe(word) => self.change(word, sink, |w| w.enable(value)),
            AplicRegister::ClrIe(word) => self.change(word, sink, |w| w.disable(value)),
            AplicRegister::SetIpNum | AplicRegister::SetIpNumLe => {
                self.change_bit(value, sink, SourceWord::set_pending);
            }
            AplicRegister::SetIpNumBe => {
                self.change_bit(value.swap_bytes(), sink, SourceWord::set_pending);
            }
            AplicRegister::ClrIpNum => self.change_bit(value, sink, SourceWord::clear_pending),
            AplicRegister::SetIeNum => self.change_bit(value, sink, SourceWord::enable),
            AplicRegister::ClrIeNum => self.change_bit(value, sink, SourceWord::disable),
            AplicRegister::Target(source) => {
                self.change(WordIndex::of(source), sink, |w| w.set_target(source, value));
            }
            AplicRegister::GenMsi => self.write_genmsi(value, sink),
        }
    }

    /// Returns the level-sensitive sources with high inputs of which a read of `register` tells that
    /// they are: one of the two ways to end the handling of an interrupt (AIA 4.9.2).
    pub fn sampled_by_read(&self, register: AplicRegister) -> impl Iterator<Item = SourceId> + '_ {
        let words = match register {
            AplicRegister::InClrIp(word) => one(word),
            _ => 0..0,
        };

        self.sampled(words, !0, SourceWord::high_levels)
    }

    /// Returns the level-sensitive sources whose high inputs matter for what a write of `value` to
    /// `register` does:
    ///
    /// - those that it makes pending because of them: the other way to end the handling of an
    ///   interrupt (AIA 4.9.2);
    /// - those whose MSIs it lets go: a source that is pending since its interrupt was handled while
    ///   it was masked is not any more once its input falls (AIA 4.7).
    pub fn sampled_by_write(
        &self,
        register: AplicRegister,
        value: u32,
    ) -> impl Iterator<Item = SourceId> + '_ {
        let by_number = |number| match self.nr_sources.check(number) {
            Some(source) => (one(WordIndex::of(source)), mask(source)),
            None => (0..0, 0),
        };
        let (which, (words, bits)): (fn(&SourceWord) -> u32, _) = match register {
            AplicRegister::SetIp(word) => (SourceWord::high_levels, (one(word), value)),
            AplicRegister::SetIpNum | AplicRegister::SetIpNumLe => {
                (SourceWord::high_levels, by_number(value))
            }
            AplicRegister::SetIpNumBe => (SourceWord::high_levels, by_number(value.swap_bytes())),
            AplicRegister::SetIe(word) => (SourceWord::held_levels, (one(word), value)),
            AplicRegister::SetIeNum => (SourceWord::held_levels, by_number(value)),
            AplicRegister::DomainCfg if value & DomainCfg::IE != 0 && !self.delivers() => {
                (SourceWord::due_levels, (0..self.nr_sources.words(), !0))
            }
            _ => (SourceWord::high_levels, (0..0, 0)),
        };

        self.sampled(words, bits, which)
    }

    /// Returns those of the sources `bits` of each of `words` that `which` returns of it.
    fn sampled(
        &self,
        words: Range<u32>,
        bits: u32,
        which: fn(&SourceWord) -> u32,
    ) -> impl Iterator<Item = SourceId> + '_ {
        words.filter_map(WordIndex::new).flat_map(move |word| {
            Ones((bits & self.get(word, which)).into())
                .filter_map(move |bit| SourceId::new(word.get() * u32::BITS + bit))
        })
    }

    /// Changes the wire of `source` as devices have it; ignored if there is no such source.
    pub fn set_input(&self, source: SourceId, level: bool, sink: &impl MsiSink) {
        if self.nr_sources.contains(source) {
            self.change(WordIndex::of(source), sink, |w| w.set_wire(source, level));
        }
    }

    /// Changes it as devices have it that [learn when it was handled](SourceWord::set_resampled).
    pub fn set_resampled(&self, source: SourceId, level: bool, sink: &impl MsiSink) {
        if self.nr_sources.contains(source) {
            self.change(WordIndex::of(source), sink, |w| {
                w.set_resampled(source, level)
            });
        }
    }

    /// Reads `domaincfg` (AIA 4.5.1).
    fn read_domaincfg(&self) -> u32 {
        DOMAINCFG_MARK | DomainCfg::new(self.delivers(), DeliveryMode::Msi).get()
    }

    /// Reads `genmsi`, which is never busy: a write is complete when its MSI is delivered
    /// (AIA 4.5.15).
    fn read_genmsi(&self) -> u32 {
        self.genmsi.load_acquire() as u32
    }

    /// Writes `domaincfg`, of which only IE is writable (AIA 4.5.1).
    ///
    /// MSIs that are being sent when IE is cleared may still arrive, but not after one that is sent
    /// by `genmsi` afterwards.
    fn write_domaincfg(&self, value: u32, sink: &impl MsiSink) {
        if value & DomainCfg::IE == 0 {
            self.domaincfg.clear(DomainCfg::IE.into());
            return;
        }
        self.domaincfg.set(DomainCfg::IE.into());
        for word in WordIndex::all(self.nr_sources) {
            self.change(word, sink, |_| ());
        }
    }

    /// Writes `genmsi`, which sends an MSI whether or not IE is set (AIA 4.5.15).
    fn write_genmsi(&self, value: u32, sink: &impl MsiSink) {
        let value = value & TARGET_BITS;

        // It has to arrive after those that are being sent now, each with its word locked.
        for word in WordIndex::all(self.nr_sources) {
            self.words.with(word.index(), |_| ());
        }
        if let Some(target) = MsiTarget::decode(value) {
            sink.send(target);
        }
        // Only now: who reads the value reads that it is not busy.
        self.genmsi.store_release(value.into());
    }
}

#[cfg_attr(CONFIG_KUNIT, kernel::macros::kunit_tests(aia_core_guest_aplic))]
#[cfg_attr(not(CONFIG_KUNIT), cfg(test))]
mod tests {
    use super::*;
    use crate::error::OutOfRange;
    use core::cell::RefCell;

    /// The words of 33 to 63 sources.
    struct TwoWords([RefCell<SourceWord>; 2]);

    impl SourceWords for TwoWords {
        fn count(&self) -> usize {
            self.0.len()
        }

        fn with<R: Send>(
            &self,
            word: usize,
            f: impl FnOnce(&mut SourceWord) -> R + Send,
        ) -> Option<R> {
            // Panics if calls nest.
            Some(f(&mut self.0.get(word)?.borrow_mut()))
        }
    }

    /// The last MSI, and how many there were.
    #[derive(Default)]
    struct Last {
        target: Word,
        count: Word,
    }

    impl Last {
        /// Returns how many MSIs there were since the last call.
        fn take(&self) -> u32 {
            // CAST: As was counted.
            self.count.swap(0) as u32
        }

        /// Returns where the last one went.
        fn target(&self) -> u32 {
            // CAST: As was stored.
            self.target.load() as u32
        }
    }

    impl MsiSink for Last {
        fn send(&self, target: MsiTarget) {
            self.target.store_release(target.encode().into());
            self.count.add(1);
        }
    }

    const TARGET: u32 = 0x0008_0005;
    const IE: u32 = DomainCfg::IE;

    /// Makes a domain of 40 sources with `source` edge-sensitive and enabled.
    fn domain(source: SourceId) -> Result<(Aplic<TwoWords>, Last), OutOfRange> {
        let nr_sources = NrSources::try_from(40_u32)?;
        let aplic = Aplic::new(nr_sources, TwoWords(Default::default())).ok_or(OutOfRange)?;
        let last = Last::default();

        aplic.write(AplicRegister::SourceCfg(source), 4, &last);
        aplic.write(AplicRegister::Target(source), TARGET, &last);
        aplic.write(AplicRegister::SetIeNum, source.get(), &last);
        Ok((aplic, last))
    }

    #[test]
    fn storage_has_to_suffice() {
        let aplic = |nr| Aplic::new(NrSources::new(nr)?, TwoWords(Default::default()));
        assert!(aplic(1).is_some());
        assert!(aplic(63).is_some_and(|aplic| aplic.nr_sources().get() == 63));
        assert!(aplic(64).is_none());
    }

    /// AP-9: IE is the only bit of `domaincfg` that can be changed.
    #[test]
    fn domaincfg() -> Result<(), OutOfRange> {
        let (aplic, last) = domain(SourceId::MIN)?;
        assert_eq!(aplic.read(AplicRegister::DomainCfg), 0x8000_0004);
        aplic.write(AplicRegister::DomainCfg, !0, &last);
        assert_eq!(aplic.read(AplicRegister::DomainCfg), 0x8000_0104);
        aplic.write(AplicRegister::DomainCfg, !IE, &last);
        assert_eq!(aplic.read(AplicRegister::DomainCfg), 0x8000_0004);
        Ok(())
    }

    /// AP-42: software that has handled a level-sensitive interrupt asks in one of two ways whether
    /// the input is still high.
    #[test]
    fn sampled_levels() -> Result<(), OutOfRange> {
        let source = |number: u32| SourceId::try_from(number);
        // Edge-sensitive, not this one's business.
        let (aplic, last) = domain(source(38)?)?;
        // Active-high; active-low; high, but inactive.
        for (number, mode) in [(1, 6), (33, 6), (34, 7), (36, 6), (37, 0)] {
            aplic.write(AplicRegister::SourceCfg(source(number)?), mode, &last);
        }
        for number in [33, 36, 37, 38] {
            aplic.set_input(source(number)?, true, &last);
        }
        let read = |register| {
            let mut sources = aplic.sampled_by_read(register).map(SourceId::get);
            [
                sources.next(),
                sources.next(),
                sources.next(),
                sources.next(),
            ]
        };
        let write = |register, value| {
            let mut sources = aplic.sampled_by_write(register, value).map(SourceId::get);
            [sources.next(), sources.next()]
        };
        let [low, high] = [WordIndex::of(source(1)?), WordIndex::of(source(40)?)];

        assert_eq!(
            read(AplicRegister::InClrIp(high)),
            [Some(33), Some(34), Some(36), None]
        );
        assert_eq!(read(AplicRegister::InClrIp(low)), [None; 4]);
        assert_eq!(read(AplicRegister::SetIp(high)), [None; 4]);
        assert_eq!(
            write(AplicRegister::SetIp(high), 0b1_0010),
            [Some(33), Some(36)]
        );
        assert_eq!(write(AplicRegister::SetIp(high), 0b110_1001), [None; 2]);
        assert_eq!(write(AplicRegister::SetIpNum, 36), [Some(36), None]);
        assert_eq!(write(AplicRegister::SetIpNumLe, 34), [Some(34), None]);
        assert_eq!(
            write(AplicRegister::SetIpNumBe, 33_u32.swap_bytes()),
            [Some(33), None]
        );
        // Low, inactive, edge-sensitive, not there.
        for number in [0, 1, 37, 38, 41, 33_u32.swap_bytes(), !0] {
            assert_eq!(write(AplicRegister::SetIpNum, number), [None; 2]);
        }
        assert_eq!(write(AplicRegister::InClrIp(high), !0), [None; 2]);
        assert_eq!(write(AplicRegister::ClrIpNum, 33), [None; 2]);

        aplic.set_input(source(33)?, false, &last);
        assert_eq!(write(AplicRegister::SetIpNum, 33), [None; 2]);
        Ok(())
    }

    /// AP-33: a level that was handled while its source was masked may be over when it is not any
    /// more; who lets its MSI go has to know.
    #[test]
    fn held_levels() -> Result<(), OutOfRange> {
        let source = |number: u32| SourceId::try_from(number);
        // Edge-sensitive and enabled.
        let (aplic, last) = domain(source(38)?)?;
        // Two active-high, one active-low.
        for (number, mode) in [(2, 6), (33, 6), (34, 7)] {
            aplic.write(AplicRegister::SourceCfg(source(number)?), mode, &last);
        }
        for number in [2, 33, 38] {
            aplic.set_input(source(number)?, true, &last);
        }
        let write = |register, value| {
            let mut sources = aplic.sampled_by_write(register, value).map(SourceId::get);
            [sources.next(), sources.next(), sources.next()]
        };
        let [low, high] = [WordIndex::of(source(2)?), WordIndex::of(source(40)?)];

        assert_eq!(write(AplicRegister::SetIeNum, 33), [Some(33), None, None]);
        assert_eq!(write(AplicRegister::SetIe(low), !0), [Some(2), None, None]);
        assert_eq!(
            write(AplicRegister::SetIe(high), !0),
            [Some(33), Some(34), None]
        );
        assert_eq!(
            write(AplicRegister::SetIe(high), !0b10),
            [Some(34), None, None]
        );
        // Not pending; not a source; not something that lets an MSI go.
        aplic.write(AplicRegister::ClrIpNum, 33, &last);
        for number in [33, 0, 38, 41, !0] {
            assert_eq!(write(AplicRegister::SetIeNum, number), [None; 3]);
        }
        aplic.write(AplicRegister::SetIpNum, 33, &last);
        for register in [AplicRegister::ClrIe(high), AplicRegister::ClrIeNum] {
            assert_eq!(write(register, 33), [None; 3]);
        }

        // Enabled, they wait for the domain.
        aplic.write(AplicRegister::SetIe(low), !0, &last);
        aplic.write(AplicRegister::SetIeNum, 34, &last);
        assert_eq!(
            write(AplicRegister::SetIe(high), !0),
            [Some(33), None, None]
        );
        assert_eq!(
            write(AplicRegister::DomainCfg, IE),
            [Some(2), Some(34), None]
        );
        assert_eq!(write(AplicRegister::DomainCfg, !IE), [None; 3]);
        aplic.write(AplicRegister::DomainCfg, IE, &last);
        assert_eq!(write(AplicRegister::DomainCfg, IE), [None; 3]);
        // The others have no target.
        assert_eq!(last.take(), 1);
        Ok(())
    }

    /// AP-10, AP-39: IE holds MSIs back, and nothing else.
    #[test]
    fn interrupt_enable() -> Result<(), OutOfRange> {
        for source in [SourceId::MIN, SourceId::try_from(40_u32)?] {
            let (aplic, last) = domain(source)?;
            let pending = AplicRegister::SetIp(WordIndex::of(source));

            aplic.set_input(source, true, &last);
            assert_eq!(aplic.read(pending), mask(source));
            assert_eq!(last.take(), 0);

            aplic.write(AplicRegister::DomainCfg, IE, &last);
            assert_eq!((last.take(), last.target()), (1, TARGET));
            assert_eq!(aplic.read(pending), 0);

            aplic.set_input(source, false, &last);
            aplic.set_input(source, true, &last);
            assert_eq!(last.take(), 1);

            aplic.write(AplicRegister::DomainCfg, 0, &last);
            aplic.set_input(source, false, &last);
            aplic.set_input(source, true, &last);
            assert_eq!(last.take(), 0);
            assert_eq!(aplic.read(pending), mask(source));
        }
        Ok(())
    }

    /// AP-39: a source that is not enabled is not sent, until it is.
    #[test]
    fn source_enable() -> Result<(), OutOfRange> {
        let source = SourceId::try_from(33_u32)?;
        let (aplic, last) = domain(source)?;
        aplic.write(AplicRegister::DomainCfg, IE, &last);
        aplic.write(AplicRegister::ClrIeNum, 33, &last);
        aplic.set_input(source, true, &last);
        assert_eq!(last.take(), 0);
        aplic.write(AplicRegister::SetIe(WordIndex::of(source)), 0b10, &last);
        assert_eq!((last.take(), last.target()), (1, TARGET));
        Ok(())
    }

    /// AP-21, AP-23, AP-24, AP-25: registers that take a number.
    #[test]
    fn by_number() -> Result<(), OutOfRange> {
        let source = SourceId::try_from(40_u32)?;
        let (aplic, last) = domain(source)?;
        let bits = |aplic: &Aplic<TwoWords>, register: fn(WordIndex) -> AplicRegister| {
            let read = |word| WordIndex::new(word).map(|word| aplic.read(register(word)));
            (read(0), read(1))
        };
        let (none, set) = ((Some(0), Some(0)), (Some(0), Some(1 << 8)));

        for (register, value) in [
            (AplicRegister::SetIpNum, 40),
            (AplicRegister::SetIpNumLe, 40),
            (AplicRegister::SetIpNumBe, 40_u32.swap_bytes()),
        ] {
            // No such source, the other byte order, an inactive source.
            for ignored in [0, 41, 40 + 1024, !0, value.swap_bytes(), 1] {
                aplic.write(register, ignored, &last);
                assert_eq!(bits(&aplic, AplicRegister::SetIp), none);
            }
            aplic.write(register, value, &last);
            assert_eq!(bits(&aplic, AplicRegister::SetIp), set);
            for ignored in [0, 41, 40 + 1024, !0, 8] {
                aplic.write(AplicRegister::ClrIpNum, ignored, &last);
                assert_eq!(bits(&aplic, AplicRegister::SetIp), set);
            }
            aplic.write(AplicRegister::ClrIpNum, 40, &last);
            assert_eq!(bits(&aplic, AplicRegister::SetIp), none);
            assert_eq!(aplic.read(register), 0);
        }
        assert_eq!(bits(&aplic, AplicRegister::SetIe), set);
        for ignored in [0, 41, 40 + 1024, !0, 8] {
            aplic.write(AplicRegister::ClrIeNum, ignored, &last);
            assert_eq!(bits(&aplic, AplicRegister::SetIe), set);
        }
        aplic.write(AplicRegister::ClrIeNum, 40, &last);
        assert_eq!(bits(&aplic, AplicRegister::SetIe), none);
        for ignored in [0, 41, 40 + 1024, !0, 8] {
            aplic.write(AplicRegister::SetIeNum, ignored, &last);
            assert_eq!(bits(&aplic, AplicRegister::SetIe), none);
        }
        for register in [
            AplicRegister::ClrIpNum,
            AplicRegister::SetIeNum,
            AplicRegister::ClrIeNum,
        ] {
            assert_eq!(aplic.read(register), 0);
        }
        Ok(())
    }

    /// AP-20, AP-22, AP-24: registers with a bit for each source.
    #[test]
    fn by_word() -> Result<(), OutOfRange> {
        let (aplic, last) = domain(SourceId::try_from(40_u32)?)?;
        let word = WordIndex::new(1).ok_or(OutOfRange)?;

        // The bits beyond the last source and of inactive sources stay 0.
        aplic.write(AplicRegister::SetIp(word), !0, &last);
        assert_eq!(aplic.read(AplicRegister::SetIp(word)), 1 << 8);
        aplic.write(AplicRegister::InClrIp(word), !(1 << 8), &last);
        assert_eq!(aplic.read(AplicRegister::SetIp(word)), 1 << 8);
        aplic.write(AplicRegister::InClrIp(word), 1 << 8, &last);
        assert_eq!(aplic.read(AplicRegister::SetIp(word)), 0);
        // in_clrip reads something else.
        aplic.set_input(SourceId::try_from(40_u32)?, true, &last);
        aplic.write(AplicRegister::InClrIp(word), 1 << 8, &last);
        assert_eq!(aplic.read(AplicRegister::InClrIp(word)), 1 << 8);

        aplic.write(AplicRegister::SetIe(word), !0, &last);
        assert_eq!(aplic.read(AplicRegister::SetIe(word)), 1 << 8);
        assert_eq!(aplic.read(AplicRegister::ClrIe(word)), 0);
        aplic.write(AplicRegister::ClrIe(word), !(1 << 8), &last);
        assert_eq!(aplic.read(AplicRegister::SetIe(word)), 1 << 8);
        aplic.write(AplicRegister::ClrIe(word), 1 << 8, &last);
        assert_eq!(aplic.read(AplicRegister::SetIe(word)), 0);
        assert_eq!(last.take(), 0);
        Ok(())
    }

    /// AP-26: `genmsi` ignores IE, is never busy and has no guest index.
    #[test]
    fn extempore_msi() -> Result<(), OutOfRange> {
        let (aplic, last) = domain(SourceId::MIN)?;
        aplic.write(AplicRegister::GenMsi, 0x0008_0011, &last);
        assert_eq!((last.take(), last.target()), (1, 0x0008_0011));
        assert_eq!(aplic.read(AplicRegister::GenMsi), 0x0008_0011);

        aplic.write(AplicRegister::GenMsi, !0, &last);
        assert_eq!((last.take(), last.target()), (1, 0xfffc_07ff));
        assert_eq!(aplic.read(AplicRegister::GenMsi), 0xfffc_07ff);

        // Identity 0 reads back, but no file has it.
        aplic.write(AplicRegister::GenMsi, 0x0008_0000, &last);
        assert_eq!(last.take(), 0);
        assert_eq!(aplic.read(AplicRegister::GenMsi), 0x0008_0000);
        Ok(())
    }

    /// AP-39: an MSI of identity 0 is sent, so the source is not pending, but arrives nowhere.
    #[test]
    fn target_without_identity() -> Result<(), OutOfRange> {
        let (aplic, last) = domain(SourceId::MIN)?;
        aplic.write(AplicRegister::Target(SourceId::MIN), 0x0008_0000, &last);
        aplic.write(AplicRegister::DomainCfg, IE, &last);
        aplic.set_input(SourceId::MIN, true, &last);
        assert_eq!(last.take(), 0);
        aplic.write(AplicRegister::Target(SourceId::MIN), TARGET, &last);
        assert_eq!(last.take(), 0);
        Ok(())
    }

    /// AP-1: the wire of a source that does not exist is none.
    #[test]
    fn unknown_wire() -> Result<(), OutOfRange> {
        let (aplic, last) = domain(SourceId::MIN)?;
        for value in [41_u32, 63, 1023] {
            let source = SourceId::try_from(value)?;
            aplic.set_input(source, true, &last);
        }
        let word = WordIndex::new(1).ok_or(OutOfRange)?;
        assert_eq!(aplic.save_word(word), Some(Default::default()));
        Ok(())
    }

    /// Saving and restoring sends nothing and changes nothing else.
    #[test]
    fn migration() -> Result<(), OutOfRange> {
        let source = SourceId::try_from(40_u32)?;
        let (aplic, last) = domain(source)?;
        aplic.set_input(source, true, &last);
        aplic.write(AplicRegister::DomainCfg, IE, &last);
        aplic.write(AplicRegister::GenMsi, 0x0008_0011, &last);
        assert_eq!(last.take(), 2);

        let (other, _) = domain(SourceId::MIN)?;
        other.restore_domain(&aplic.save_domain());
        for word in (0..=2).filter_map(WordIndex::new) {
            let saved = aplic.save_word(word);
            assert_eq!(saved.is_some(), word.get() < 2);
            let restored = other.restore_word(word, &saved.unwrap_or_default());
            assert_eq!(restored.is_some(), word.get() < 2);
            assert_eq!(other.save_word(word), aplic.save_word(word));
        }
        assert_eq!(other.save_domain(), aplic.save_domain());
        assert_eq!(other.read(AplicRegister::DomainCfg), 0x8000_0104);
        assert_eq!(other.read(AplicRegister::GenMsi), 0x0008_0011);
        assert_eq!(last.take(), 0);

        // The wire is high already: no edge.
        other.set_input(source, true, &last);
        assert_eq!(last.take(), 0);
        other.set_input(source, false, &last);
        other.set_input(source, true, &last);
        assert_eq!(last.take(), 1);
        Ok(())
    }

    /// A source that was restored pending and enabled is not forgotten.
    #[test]
    fn restored_while_due() -> Result<(), OutOfRange> {
        let (aplic, last) = domain(SourceId::MIN)?;
        let word = WordIndex::of(SourceId::MIN);
        aplic.set_input(SourceId::MIN, true, &last);
        let saved = aplic.save_word(word).ok_or(OutOfRange)?;

        let (other, _) = domain(SourceId::MAX)?;
        other.write(AplicRegister::DomainCfg, IE, &last);
        assert!(other.restore_word(word, &saved).is_some());
        assert_eq!(last.take(), 0);
        other.write(AplicRegister::DomainCfg, IE, &last);
        assert_eq!(last.take(), 1);
        Ok(())
    }
}
