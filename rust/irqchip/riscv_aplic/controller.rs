// SPDX-License-Identifier: GPL-2.0

//! What both delivery modes share: the domain configuration and the registers of the sources.

use aia_core::{
    aplic::{
        domaincfg::{
            DeliveryMode,
            DomainCfg, //
        },
        regs::{
            self,
            SourceWord, //
        },
        source::SourceMode, //
    },
    ids::{
        NrSources,
        SourceId, //
    },
    word::Word, //
};
use kernel::{
    device::property::FwNode,
    prelude::*, //
};
use kernel_ext::{
    io::Mapping,
    irq::{
        chip::Trigger,
        fwspec::Fwspec, //
    },
    refuse, //
};

use crate::config::Config;

/// One interrupt domain of an APLIC.
pub(crate) struct Controller {
    registers: Mapping,
    pub(crate) nr_sources: NrSources,
    mode: DeliveryMode,
    /// What `target[i]` shall hold: the register is read-only zero while a source is inactive, and
    /// holds anything when it becomes active (AIA 4.5.2).
    targets: KVec<Word>,
}

/// The mode of a source with this trigger.
fn source_mode(trigger: Option<Trigger>) -> SourceMode {
    match trigger {
        None => SourceMode::Inactive,
        Some(Trigger::EdgeRising) => SourceMode::Edge1,
        Some(Trigger::EdgeFalling) => SourceMode::Edge0,
        Some(Trigger::LevelHigh) => SourceMode::Level1,
        Some(Trigger::LevelLow) => SourceMode::Level0,
    }
}

impl Controller {
    /// Takes the registers over, and makes all sources inactive: they hold anything after reset
    /// (AIA 4.6).
    pub(crate) fn new(node: &FwNode, config: &Config, mode: DeliveryMode) -> Result<Self> {
        let (start, size) = config.registers;
        let registers = Mapping::exclusive(start, size, c"riscv-aplic").inspect_err(|_| {
            refuse!(node, "reg", "{:#x} cannot be mapped", start);
        })?;
        let sources = usize::try_from(config.nr_sources.get())?;
        let mut targets = KVec::with_capacity(sources + 1, GFP_KERNEL)?;

        for _ in 0..=sources {
            targets.push(Word::new(0), GFP_KERNEL)?;
        }

        let controller = Self {
            registers,
            nr_sources: config.nr_sources,
            mode,
            targets,
        };

        controller.write(regs::DOMAINCFG, 0);
        for word in SourceWord::all(config.nr_sources) {
            controller.write(regs::clrie(word), u32::MAX);
        }
        for source in config.nr_sources.iter() {
            controller.write(regs::sourcecfg(source), SourceMode::Inactive.sourcecfg());
        }
        Ok(controller)
    }

    /// Lets the domain deliver interrupts.
    ///
    /// Fails with `EIO` if the domain does not have the delivery mode.
    pub(crate) fn enable(&self, node: &FwNode) -> Result {
        let wanted = DomainCfg::new(true, self.mode);

        self.write(regs::DOMAINCFG, wanted.get());

        let value = self.read(regs::DOMAINCFG);
        if DomainCfg::from_register(value).is_some_and(|actual| actual.satisfies(wanted)) {
            return Ok(());
        }
        self.write(regs::DOMAINCFG, 0);
        pr_err!(
            "{}: domaincfg reads {:#x} after {:#x} was written\n",
            node.display_name(),
            value,
            wanted.get()
        );
        Err(EIO)
    }

    #[inline]
    pub(crate) fn read(&self, offset: usize) -> u32 {
        self.registers.read(offset)
    }

    #[inline]
    pub(crate) fn write(&self, offset: usize, value: u32) {
        self.registers.write(offset, value);
    }

    /// The source that is interrupt `hwirq`.
    #[inline]
    pub(crate) fn source(&self, hwirq: usize) -> Option<SourceId> {
        self.nr_sources.check(u32::try_from(hwirq).ok()?)
    }

    /// Decodes a specifier of the device tree: source and trigger.
    pub(crate) fn translate(&self, spec: &Fwspec) -> Result<(usize, Option<Trigger>)> {
        let &[source, kind, ..] = spec.cells() else {
            return Err(EINVAL);
        };

        self.nr_sources.check(source).ok_or(EINVAL)?;
        Ok((usize::try_from(source)?, Trigger::from_raw(kind)))
    }

    /// Keeps interrupt `hwirq` from being delivered.
    #[inline]
    pub(crate) fn mask(&self, hwirq: usize) {
        if let Some(source) = self.source(hwirq) {
            self.write(regs::CLRIENUM, source.get());
        }
    }

    /// Lets interrupt `hwirq` be delivered.
    #[inline]
    pub(crate) fn unmask(&self, hwirq: usize) {
        if let Some(source) = self.source(hwirq) {
            self.write(regs::SETIENUM, source.get());
        }
    }

    /// Configures what makes interrupt `hwirq` pending.
    ///
    /// Fails with `EINVAL` if its source cannot do that: the hardware then has chosen something
    /// else, or the source is not implemented here.
    pub(crate) fn set_trigger(&self, hwirq: usize, trigger: Option<Trigger>) -> Result {
        let source = self.source(hwirq).ok_or(EINVAL)?;
        let mode = source_mode(trigger);

        self.write(regs::sourcecfg(source), mode.sourcecfg());
        if self.read(regs::sourcecfg(source)) != mode.sourcecfg() {
            self.write(regs::sourcecfg(source), SourceMode::Inactive.sourcecfg());
            return Err(EINVAL);
        }

        if mode.is_active() {
            // CAST: Only 32 bits are ever stored.
            let target = self
                .targets
                .get(source.index())
                .map_or(0, |target| target.load() as u32);

            self.write(regs::target(source), target);
        }
        // Becoming active need not make the source pending, even if its wire is asserted.
        self.retrigger_level(source, trigger);
        Ok(())
    }

    /// Makes a level source pending again if its wire is still asserted (AIA 4.9.2). In direct mode
    /// the hardware does that.
    #[inline]
    pub(crate) fn retrigger_level(&self, source: SourceId, trigger: Option<Trigger>) {
        if source_mode(trigger).needs_retrigger(self.mode) {
            self.write(regs::SETIPNUM_LE, source.get());
        }
    }

    /// Stores where interrupts of `source` go; returns whether the register took it, as far as can
    /// be told: it cannot while the source is inactive.
    pub(crate) fn set_target(&self, source: SourceId, target: u32) -> bool {
        if let Some(word) = self.targets.get(source.index()) {
            word.swap(target.into());
        }
        self.write(regs::target(source), target);

        self.read(regs::target(source)) == target || self.read(regs::sourcecfg(source)) == 0
    }
}
