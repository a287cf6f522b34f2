// SPDX-License-Identifier: GPL-2.0

//! What both delivery modes share: the domain and its sources.

use core::ops::Deref;

use aia_core::{
    aplic::{
        domain::{
            self,
            Domain,
            WrongMode, //
        },
        domaincfg::DeliveryMode,
        regs,
        source::SourceMode, //
    },
    word::Word, //
};
use kernel::{
    device::property::FwNode,
    fmt,
    prelude::*, //
};
use kernel_ext::{
    alloc,
    fwnode,
    io::Mapping,
    irq::{
        fwspec::Fwspec,
        trigger::Trigger, //
    },
    refuse, //
};

use crate::config::AplicConfig;

/// The registers of a domain.
pub(crate) struct MappedRegisters(pub(crate) Mapping<{ regs::REGION_SIZE }>);

impl domain::DomainRegisters for MappedRegisters {
    #[inline(always)]
    fn read(&self, offset: usize) -> u32 {
        self.0.read(offset)
    }

    #[inline(always)]
    fn write(&self, offset: usize, value: u32) {
        self.0.write(offset, value);
    }
}

/// One interrupt domain of an APLIC; it delivers nothing any more when this is dropped.
pub(crate) struct Controller {
    domain: Domain<MappedRegisters, KVec<Word>>,
    /// Firmware's number of source 0.
    first: u32,
    node: fwnode::HeldNode,
}

impl Deref for Controller {
    type Target = Domain<MappedRegisters, KVec<Word>>;

    #[inline(always)]
    fn deref(&self) -> &Self::Target {
        &self.domain
    }
}

/// The mode of a source with this trigger.
#[inline]
pub(crate) fn source_mode(trigger: Option<Trigger>) -> SourceMode {
    match trigger {
        None => SourceMode::Inactive,
        Some(Trigger::EdgeRising) => SourceMode::Edge1,
        Some(Trigger::EdgeFalling) => SourceMode::Edge0,
        Some(Trigger::LevelHigh) => SourceMode::Level1,
        Some(Trigger::LevelLow) => SourceMode::Level0,
    }
}

/// Allocates zeroed words.
fn words(count: usize) -> Result<KVec<Word>> {
    Ok(alloc::filled(count, GFP_KERNEL, || Word::new(0))?)
}

impl Controller {
    /// Takes the registers over. The domain has its delivery mode then, but does not deliver yet.
    ///
    /// Fails with `EIO` if it does not have that mode.
    pub(crate) fn new(node: &FwNode, config: &AplicConfig, mode: DeliveryMode) -> Result<Self> {
        let (range, size) = &config.registers;
        let registers = Mapping::exclusive(range, *size, c"riscv-aplic").inspect_err(|_| {
            refuse!(
                node,
                (config.name)("reg"),
                "{:#x} cannot be mapped",
                range.start()
            );
        })?;
        let controller = Self {
            domain: Domain::new(
                MappedRegisters(registers),
                config.nr_sources,
                mode,
                words(config.nr_sources.last().index() + 1)?,
                words(domain::saved_words(config.nr_sources))?,
            )
            .ok_or(EINVAL)?,
            first: config.first,
            node: fwnode::HeldNode::new(node),
        };

        controller
            .choose_mode()
            .map_err(|wrong| controller.not_taken(wrong))?;
        Ok(controller)
    }

    /// Lets the domain deliver interrupts, when everybody knows it who has to answer them.
    pub(crate) fn start(&self) {
        if let Err(wrong) = self.domain.start() {
            self.not_taken(wrong);
        }
    }

    fn not_taken(&self, wrong: WrongMode) -> Error {
        pr_err!(
            "{}: domaincfg reads {:#x} after {:#x} was written\n",
            self.node.display_name(),
            wrong.read,
            wrong.written
        );
        EIO
    }

    /// Decodes a specifier of firmware: source, from [`AplicConfig::first`] on, and trigger.
    ///
    /// Every refusal is printed.
    pub(crate) fn translate(&self, spec: &Fwspec) -> Result<(usize, Trigger)> {
        let &[source, kind, ..] = spec.cells() else {
            pr_err!(
                "{}: an interrupt specifier without source and trigger\n",
                self.node.display_name()
            );
            return Err(EINVAL);
        };
        let last = self.nr_sources().get();
        let number = source.wrapping_sub(self.first);

        if self.nr_sources().check(number).is_none() {
            return Err(self.refuse_source(number, fmt!("it is not from 1 to {}", last)));
        }
        let trigger = Trigger::from_raw(kind)
            .ok_or_else(|| self.refuse_source(number, fmt!("there is no trigger {:#x}", kind)))?;
        Ok((usize::try_from(number)?, trigger))
    }

    /// Prints why a source cannot be used, and is the error for it.
    fn refuse_source(&self, source: u32, why: fmt::Arguments<'_>) -> Error {
        pr_err!("{}: source {}: {}\n", self.node.display_name(), source, why);
        EINVAL
    }

    /// Keeps interrupt `hwirq` from being delivered.
    #[inline]
    pub(crate) fn mask(&self, hwirq: usize) {
        if let Some(source) = self.source(hwirq) {
            self.domain.mask(source);
        }
    }

    /// Lets interrupt `hwirq` be delivered.
    #[inline]
    pub(crate) fn unmask(&self, hwirq: usize) {
        if let Some(source) = self.source(hwirq) {
            self.domain.unmask(source);
        }
    }

    /// Configures what makes interrupt `hwirq`, which is masked, pending.
    ///
    /// Fails with `EINVAL` if its source cannot do that, or is not implemented here; it then does
    /// what it did before.
    pub(crate) fn set_trigger(&self, hwirq: usize, trigger: Option<Trigger>) -> Result {
        let source = self.source(hwirq).ok_or(EINVAL)?;

        let mode = source_mode(trigger);

        self.configure(source, mode).map_err(|_| {
            self.refuse_source(source.get(), fmt!("sourcecfg does not take {:?}", mode))
        })
    }
}

impl Drop for Controller {
    fn drop(&mut self) {
        self.stop();
    }
}
