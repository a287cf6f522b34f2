// SPDX-License-Identifier: GPL-2.0

//! What a driver does with the registers of an interrupt domain: in which order, and what it has to
//! read back.
//!
//! After a reset, or a kernel that has used the domain before, its registers hold anything
//! (AIA 4.6), and many take what is written or not (*WARL*).

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
    /// What `target[i]` shall hold: the register is read-only zero while a source is inactive, and
    /// holds anything when it becomes active (AIA 4.5.2).
    targets: S,
}

impl<R: DomainRegisters, S: Deref<Target = [Word]>> Domain<R, S> {
    /// Takes a domain over: it delivers nothing any more, and all its sources are inactive.
    ///
    /// Returns [`None`] if `targets` has not a word for each source and one more.
    pub fn new(
        registers: R,
        nr_sources: NrSources,
        mode: DeliveryMode,
        targets: S,
    ) -> Option<Self> {
        if targets.len() <= nr_sources.last().index() {
            return None;
        }
        let domain = Self {
            registers,
            nr_sources,
            mode,
            targets,
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

    /// Gives the domain its delivery mode; it still delivers nothing.
    pub fn choose_mode(&self) -> Result<(), WrongMode> {
        self.set_domaincfg(DomainCfg::new(false, self.mode))
    }

    /// Lets the domain deliver interrupts.
    pub fn start(&self) -> Result<(), WrongMode> {
        self.set_domaincfg(DomainCfg::new(true, self.mode))
    }

    /// Keeps the domain from delivering interrupts.
    pub fn stop(&self) {
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
    /// (AIA 4.5.2).
    pub fn configure(&self, source: SourceId, mode: SourceMode) -> Result<(), Unsupported> {
        let sourcecfg = regs::sourcecfg(source);
        let former = SourceMode::try_from(self.read(sourcecfg)).unwrap_or(SourceMode::Inactive);
        // The hardware may take an unsupported mode for Inactive, which loses an edge.
        let pending = former.is_edge() && self.is_pending(source);

        self.write(sourcecfg, mode.sourcecfg());
        if self.read(sourcecfg) == mode.sourcecfg() {
            self.activated(source, mode);
            return Ok(());
        }

        self.write(sourcecfg, former.sourcecfg());
        self.activated(source, former);
        if pending {
            self.write(regs::SETIPNUM_LE, source.get());
        }
        Err(Unsupported)
    }

    /// What the hardware leaves open when `source` gets `mode`: where its interrupts go, and
    /// whether an asserted level makes it pending.
    fn activated(&self, source: SourceId, mode: SourceMode) {
        if mode.is_active() {
            // CAST: Only 32 bits are ever stored.
            let target = self
                .targets
                .get(source.index())
                .map_or(0, |target| target.load() as u32);

            self.write(regs::target(source), target);
        }
        self.retrigger(source, mode);
    }

    /// Makes a level-sensitive source pending again if its wire is still asserted (AIA 4.9.2). In
    /// direct mode the hardware does that.
    #[inline]
    pub fn retrigger(&self, source: SourceId, mode: SourceMode) {
        if mode.needs_retrigger(self.mode) {
            self.write(regs::SETIPNUM_LE, source.get());
        }
    }

    fn is_pending(&self, source: SourceId) -> bool {
        self.read(regs::setip(WordIndex::of(source))) & regs::mask(source) != 0
    }

    /// Stores where interrupts of `source` go; returns whether the register took it, as far as can
    /// be told: it cannot while the source is inactive.
    #[inline]
    pub fn set_target(&self, source: SourceId, target: u32) -> bool {
        if let Some(word) = self.targets.get(source.index()) {
            word.store_release(target.into());
        }
        self.write(regs::target(source), target);

        self.read(regs::target(source)) == target
            || self.read(regs::sourcecfg(source)) == SourceMode::Inactive.sourcecfg()
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

    /// Undoes [`Self::open_idc`].
    pub fn close_idc(&self, hart: HartIndex) {
        self.write(idc::register(hart, regs::IDC_IDELIVERY), idc::IDELIVERY_OFF);
    }
}
