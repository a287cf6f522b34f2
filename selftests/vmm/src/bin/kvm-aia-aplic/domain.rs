// SPDX-License-Identifier: GPL-2.0

//! A guest with an APLIC whose every step a test takes: interrupts stay masked,
//! and what a step sent is what can be claimed after it.

use std::{
    thread::sleep,
    time::Duration, //
};
use vmm::{
    abi::APLIC_BASE,
    regs::aplic::*,
    same,
    Config,
    Guest,
    Machine,
    Mode,
    Number,
    Result, //
};

/// The domain.
pub(crate) struct Domain {
    guest: Guest,
}

/// Value of a target register.
pub(crate) fn to(hart: u32, id: u32) -> u32 {
    (hart << 18) | id
}

impl Domain {
    /// One with so many sources, all inactive and all wires low, for `vcpus` harts.
    pub(crate) fn new(m: &Machine, mode: Mode, vcpus: usize, sources: u32) -> Result<Self> {
        Self::with_numbers(m, mode, vcpus, sources, &[])
    }

    /// One whose vCPUs have these numbers.
    pub(crate) fn with_numbers(
        m: &Machine,
        mode: Mode,
        vcpus: usize,
        sources: u32,
        numbers: &'static [Number],
    ) -> Result<Self> {
        let guest = m.boot(Config {
            sources,
            lenient: true,
            numbers,
            ..Config::new(vcpus, mode)
        })?;

        for vcpu in 0..vcpus {
            guest.mask(vcpu)?;
        }
        Ok(Self { guest })
    }

    pub(crate) fn guest(&self) -> &Guest {
        &self.guest
    }

    /// Reads a register.
    pub(crate) fn read(&self, offset: u32) -> Result<u32> {
        let value = self
            .guest
            .load(0, APLIC_BASE + u64::from(offset), 4)?
            .read(|| format!("reading {offset:#x}"))?;

        Ok(value as u32)
    }

    /// Writes a register.
    pub(crate) fn write(&self, offset: u32, value: u32) -> Result<()> {
        self.guest
            .store(0, APLIC_BASE + u64::from(offset), 4, value.into())?
            .read(|| format!("writing {offset:#x}"))?;
        Ok(())
    }

    /// A register reads `wanted`.
    pub(crate) fn reads(&self, offset: u32, wanted: u32, when: &str) -> Result<()> {
        same(self.read(offset)?, wanted, || {
            format!("register {offset:#x} {when}")
        })
    }

    /// Sets a source's mode and target, and enables it. It is not pending then.
    pub(crate) fn source(&self, source: u32, mode: u32, target: u32) -> Result<()> {
        self.write(SOURCECFG + 4 * source, mode)?;
        self.write(TARGET + 4 * source, target)?;
        // A mode may make it pending at once (AP-18).
        self.write(CLRIPNUM, source)?;
        self.write(SETIENUM, source)
    }

    /// Switches the domain on or off.
    pub(crate) fn deliver(&self, on: bool) -> Result<()> {
        self.write(DOMAINCFG, if on { IE } else { 0 })
    }

    /// Sets a wire by KVM_IRQ_LINE.
    pub(crate) fn wire(&self, source: u32, level: bool) -> Result<()> {
        self.guest.irq_line(source, level)
    }

    fn bit(&self, array: u32, source: u32) -> Result<bool> {
        Ok(self.read(array + 4 * (source / 32))? & (1 << (source % 32)) != 0)
    }

    /// A source's pending bit is `wanted`.
    pub(crate) fn pending(&self, source: u32, wanted: bool, when: &str) -> Result<()> {
        same(self.bit(SETIP, source)?, wanted, || {
            format!("pending bit of source {source} {when}")
        })
    }

    /// A source's enable bit is `wanted`.
    pub(crate) fn enabled(&self, source: u32, wanted: bool, when: &str) -> Result<()> {
        same(self.bit(SETIE, source)?, wanted, || {
            format!("enable bit of source {source} {when}")
        })
    }

    /// A source's rectified input is `wanted`.
    pub(crate) fn input(&self, source: u32, wanted: bool, when: &str) -> Result<()> {
        same(self.bit(IN_CLRIP, source)?, wanted, || {
            format!("rectified input of source {source} {when}")
        })
    }

    /// What came to a vCPU since this was asked is `wanted`, and no more.
    pub(crate) fn came(&self, hart: usize, wanted: &[u32], when: &str) -> Result<()> {
        same(self.guest.claims(hart)?, wanted.into(), || {
            format!("identities that came to hart {hart} {when}")
        })
    }

    /// As above where it takes its time.
    pub(crate) fn comes(&self, hart: usize, wanted: &[u32], when: &str) -> Result<()> {
        let mut ids = Vec::new();

        for _ in 0..200 {
            ids.append(&mut self.guest.claims(hart)?);
            if ids.len() >= wanted.len() {
                break;
            }
            sleep(Duration::from_millis(5));
        }
        // One too many may still be on its way.
        sleep(Duration::from_millis(10));
        ids.append(&mut self.guest.claims(hart)?);
        same(ids, wanted.into(), || {
            format!("identities that came to hart {hart} {when}")
        })
    }
}
