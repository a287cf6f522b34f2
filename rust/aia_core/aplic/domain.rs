// SPDX-License-Identifier: GPL-2.0

//! What a driver does with the registers of an interrupt domain: in which order, and what it has to
//! read back.
//!
//! After a reset, or a kernel that has used the domain before, its registers hold anything
//! (AIA 4.6), and many take what is written or not (*WARL*).

mod power;

use core::ops::Deref;

use super::{
    domaincfg::{
        DeliveryMode,
        DomainCfg, //
    },
    idc,
    regs::{
        self,
        WordIndex, //
    },
    source::SourceMode, //
};
use crate::{
    ids::{
        HartIndex,
        NrSources,
        SourceId, //
    },
    word::Word, //
};

/// The registers of an interrupt domain, by their offsets, which [`regs`] has.
pub trait DomainRegisters {
    /// Reads a register.
    fn read(&self, offset: usize) -> u32;

    /// Writes a register.
    fn write(&self, offset: usize, value: u32);
}

/// The domain does not have the delivery mode.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct WrongMode {
    /// What was written to `domaincfg`.
    pub written: u32,
    /// What it read then.
    pub read: u32,
}

/// The source does not have the mode. It keeps the one that it had.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Unsupported;

/// An interrupt domain in the hands of its driver.
///
/// Different sources can be configured at the same time, one source by one caller only.
pub struct Domain<R, S> {
    registers: R,
    nr_sources: NrSources,
    mode: DeliveryMode,
    /// What `target[i]`, in the lower half, and `sourcecfg[i]` shall hold. The former is read-only
    /// zero while a source is inactive, and holds anything when it becomes active (AIA 4.5.2).
    sources: S,
    /// What else is lost without power, see [`Self::save`].
    saved: S,
    /// Whether the domain delivers.
    on: Word,
    /// For how many reasons it is without power.
    off: Word,
    /// Bits that no target has taken yet, see [`Self::has_taken`].
    untaken: Word,
}

/// The mark of what was recorded for a source without power, and nobody has written yet.
const UNWRITTEN: u64 = 1 << 63;

/// How many words [`Domain::new`] takes for what is lost without power.
pub const fn saved_words(nr_sources: NrSources) -> usize {
    // CAST: At most 32.
    2 * nr_sources.words() as usize
}

impl<R: DomainRegisters, S: Deref<Target = [Word]>> Domain<R, S> {
    /// Takes a domain over: it delivers nothing any more, and all its sources are inactive.
    ///
    /// All words must be zero. Returns [`None`] if `sources` is not a word for each source and one
    /// more, or `saved` has not [`saved_words`].
    pub fn new(
        registers: R,
        nr_sources: NrSources,
        mode: DeliveryMode,
        sources: S,
        saved: S,
    ) -> Option<Self> {
        if sources.len() != nr_sources.last().index() + 1 || saved.len() < saved_words(nr_sources) {
            return None;
        }
        let domain = Self {
            registers,
            nr_sources,
            mode,
            sources,
            saved,
            on: Word::new(0),
            off: Word::new(0),
            untaken: Word::new(u32::MAX.into()),
        };

        // Zero is the same in both byte orders, and makes the domain little-endian (AIA 4.5.1).
        domain.stop();
        // A source that is inactive is neither pending nor enabled, nor when it becomes active.
        for source in nr_sources.iter() {
            domain.write(regs::sourcecfg(source), SourceMode::Inactive.sourcecfg());
        }
        Some(domain)
    }

    /// The registers.
    #[inline(always)]
    pub fn registers(&self) -> &R {
        &self.registers
    }

    /// Reads a register.
    #[inline(always)]
    pub fn read(&self, offset: usize) -> u32 {
        self.registers.read(offset)
    }

    /// Writes a register.
    #[inline(always)]
    pub fn write(&self, offset: usize, value: u32) {
        self.registers.write(offset, value);
    }

    /// How many sources there are.
    #[inline]
    pub fn nr_sources(&self) -> NrSources {
        self.nr_sources
    }

    /// Returns the source with this number, if there is one.
    #[inline]
    pub fn source(&self, number: usize) -> Option<SourceId> {
        // By what finds its word later, too.
        if number > SourceId::MAX.index() || number >= self.sources.len() {
            return None;
        }
        // CAST: At most 1023.
        SourceId::new(number as u32)
    }

    /// Gives the domain its delivery mode; it still delivers nothing.
    pub fn choose_mode(&self) -> Result<(), WrongMode> {
        self.set_domaincfg(DomainCfg::new(false, self.mode))
    }

    /// Lets the domain deliver interrupts.
    pub fn start(&self) -> Result<(), WrongMode> {
        self.set_domaincfg(DomainCfg::new(true, self.mode))?;
        self.on.store_release(1);
        Ok(())
    }

    /// Keeps the domain from delivering interrupts.
    pub fn stop(&self) {
        self.on.store_release(0);
        self.write(regs::DOMAINCFG, 0);
    }

    fn set_domaincfg(&self, wanted: DomainCfg) -> Result<(), WrongMode> {
        self.write(regs::DOMAINCFG, wanted.get());

        let read = self.read(regs::DOMAINCFG);
        if DomainCfg::from_register(read).is_some_and(|actual| actual.satisfies(wanted)) {
            return Ok(());
        }
        self.stop();
        Err(WrongMode {
            written: wanted.get(),
            read,
        })
    }

    /// Keeps the interrupts of `source` from being delivered.
    #[inline]
    pub fn mask(&self, source: SourceId) {
        self.write(regs::CLRIENUM, source.get());
    }

    /// Lets the interrupts of `source` be delivered. Ignored while it is inactive.
    #[inline]
    pub fn unmask(&self, source: SourceId) {
        self.write(regs::SETIENUM, source.get());
    }

    /// Configures what makes `source`, which is masked, pending.
    ///
    /// On an error it works as before: the mode is read back, as a source need not have them all
    /// (AIA 4.5.2). Without power, it is configured when that is back.
    pub fn configure(&self, source: SourceId, mode: SourceMode) -> Result<(), Unsupported> {
        let former = self.mode_of(source);

        if self.is_off() {
            if mode != former {
                self.forget(source);
            }
            self.record(source, mode, self.target_of(source));
            if self.is_still_off(source) {
                return Ok(());
            }
        }

        let sourcecfg = regs::sourcecfg(source);
        // The hardware may take an unsupported mode for Inactive, which loses an edge. The input first:
        // an edge that comes just now is pending then, or its input has risen.
        let before = former
            .is_edge()
            .then(|| (self.is_high(source), self.is_pending(source)));

        self.write(sourcecfg, mode.sourcecfg());
        if self.read(sourcecfg) == mode.sourcecfg() {
            self.record(source, mode, self.target_of(source));
            self.activated(source, mode);
            return Ok(());
        }

        // Before it is written: if power has come back just now, `restore` may have seen the other one.
        self.record(source, former, self.target_of(source));
        self.write(sourcecfg, former.sourcecfg());
        self.activated(source, former);
        if let Some((high, pending)) = before {
            self.restore_edge(source, high, pending);
        }
        Err(Unsupported)
    }

    /// What the hardware leaves open when `source` gets `mode`: where its interrupts go, and
    /// whether an asserted level makes it pending.
    fn activated(&self, source: SourceId, mode: SourceMode) {
        if mode.is_active() {
            self.write(regs::target(source), self.target_of(source));
        }
        self.retrigger(source, mode);
    }

    /// What `sourcecfg` and `target` of `source` shall hold.
    fn record(&self, source: SourceId, mode: SourceMode, target: u32) {
        if let Some(word) = self.sources.get(source.index()) {
            word.store(u64::from(mode.sourcecfg()) << u32::BITS | u64::from(target));
        }
    }

    /// Whether the domain still has no power when everybody sees what has been recorded for `source`:
    /// then [`Self::restore`] writes it. If power is there just now, the caller has to.
    #[cold]
    fn is_still_off(&self, source: SourceId) -> bool {
        // Orders, too: of this mark and what `restore` stores to `off`, the other one's later load sees
        // one at least.
        if let Some(word) = self.sources.get(source.index()) {
            word.set(UNWRITTEN);
        }
        self.is_off()
    }

    #[inline]
    fn recorded(&self, source: SourceId) -> u64 {
        self.sources.get(source.index()).map_or(0, Word::load)
    }

    /// The mode of `source`.
    #[inline]
    fn mode_of(&self, source: SourceId) -> SourceMode {
        // CAST: The upper half.
        SourceMode::try_from(((self.recorded(source) & !UNWRITTEN) >> u32::BITS) as u32)
            .unwrap_or(SourceMode::Inactive)
    }

    /// Where interrupts of `source` go.
    #[inline]
    fn target_of(&self, source: SourceId) -> u32 {
        // CAST: The lower half.
        self.recorded(source) as u32
    }

    /// Makes a level-sensitive source pending again if its wire is still asserted (AIA 4.9.2). In
    /// direct mode the hardware does that.
    #[inline]
    pub fn retrigger(&self, source: SourceId, mode: SourceMode) {
        if mode.needs_retrigger(self.mode) {
            self.write(regs::SETIPNUM_LE, source.get());
        }
    }

    /// Makes an edge-sensitive source, whose mode was just written, pending if it was before, or if
    /// its input has risen since.
    ///
    /// The write may have made an edge if the input is high (AIA 4.5.2). That is undone before the input
    /// is read, so that an edge that comes later stays.
    fn restore_edge(&self, source: SourceId, was_high: bool, was_pending: bool) {
        if !was_pending {
            self.write(regs::CLRIPNUM, source.get());
        }
        if was_pending || !was_high && self.is_high(source) {
            self.set_pending(source);
        }
    }

    /// Makes an edge-sensitive source pending.
    fn set_pending(&self, source: SourceId) {
        self.write(regs::SETIPNUM_LE, source.get());
    }

    /// Whether the rectified input of `source` is high.
    fn is_high(&self, source: SourceId) -> bool {
        self.read(regs::in_clrip(WordIndex::of(source))) & regs::mask(source) != 0
    }

    fn is_pending(&self, source: SourceId) -> bool {
        self.read(regs::setip(WordIndex::of(source))) & regs::mask(source) != 0
    }

    /// Stores where interrupts of `source` go: see [`Self::has_taken`].
    #[inline(always)]
    pub fn set_target(&self, source: SourceId, target: u32) {
        let Some(word) = self.sources.get(source.index()) else {
            return;
        };
        let mode = word.load() & !u64::from(u32::MAX);

        word.store(mode | u64::from(target));
        if mode & !UNWRITTEN == u64::from(SourceMode::Inactive.sourcecfg()) << u32::BITS
            || (self.is_off() && self.is_still_off(source))
        {
            return;
        }
        self.write(regs::target(source), target);
    }

    /// Whether the register took what [`Self::set_target`] wrote, as far as can be told: it cannot while
    /// the source is inactive or without power.
    ///
    /// The fields hold all numbers that there are (AIA 4.5.16: *WLRL*). That they are as wide as
    /// firmware and the interrupt files need it is read back, but not again for bits that have been
    /// taken before: a read of a device takes long.
    #[inline(always)]
    pub fn has_taken(&self, source: SourceId, target: u32) -> bool {
        self.takes(target) || self.reads_back(source, target)
    }

    /// Whether [`Self::has_taken`] knows that without a look at the registers.
    #[inline(always)]
    pub fn takes(&self, target: u32) -> bool {
        u64::from(target) & self.untaken.load() == 0
    }

    /// Whether `source`, if it is active, has this target.
    #[cold]
    #[inline(never)]
    fn reads_back(&self, source: SourceId, target: u32) -> bool {
        if !self.mode_of(source).is_active() || self.is_off() {
            return true;
        }
        if self.read(regs::target(source)) == target {
            self.untaken.clear(target.into());
            return true;
        }
        self.read(regs::sourcecfg(source)) == SourceMode::Inactive.sourcecfg()
    }

    /// Lets `hart` be interrupted, in direct delivery mode.
    pub fn open_idc(&self, hart: HartIndex) {
        self.write(idc::register(hart, regs::IDC_IFORCE), 0);
        self.write(
            idc::register(hart, regs::IDC_ITHRESHOLD),
            idc::ITHRESHOLD_NONE,
        );
        self.write(idc::register(hart, regs::IDC_IDELIVERY), idc::IDELIVERY_ON);
    }

    /// Whether the registers of the structure hold what [`Self::open_idc`] writes.
    pub fn is_open(&self, hart: HartIndex) -> bool {
        self.read(idc::register(hart, regs::IDC_ITHRESHOLD)) == idc::ITHRESHOLD_NONE
            && self.read(idc::register(hart, regs::IDC_IDELIVERY)) == idc::IDELIVERY_ON
    }

    /// Undoes [`Self::open_idc`].
    pub fn close_idc(&self, hart: HartIndex) {
        self.write(idc::register(hart, regs::IDC_IDELIVERY), idc::IDELIVERY_OFF);
    }
}
