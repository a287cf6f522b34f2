// SPDX-License-Identifier: GPL-2.0

//! The registers of an APLIC, behind the back of its driver (AIA 4.5).

use crate::{
    dt,
    ensure,
    irqdebug::{
        self,
        Irq, //
    },
    madt::Madt,
    mem::Window,
    Result, //
};

const DOMAINCFG: usize = 0;
const SETIP: usize = 0x1c00;
const SETIPNUM: usize = 0x1cdc;
const SETIE: usize = 0x1e00;
const SETIENUM: usize = 0x1edc;
const TARGET: usize = 0x3000;
const IDC: usize = 0x4000;
const IDC_SIZE: usize = 32;
const ITHRESHOLD: usize = 8;

/// Sources of QEMU's.
const SOURCES: u32 = 95;

/// `domaincfg`: interrupts are delivered.
const IE: u32 = 1 << 8;

/// One APLIC.
#[derive(Debug)]
pub struct Aplic {
    /// Where its registers are.
    pub address: u64,
    registers: Window,
}

impl Aplic {
    /// The APLIC at this address.
    pub fn at(address: u64) -> Result<Self> {
        Ok(Self {
            address,
            registers: Window::map(address, 0x5000)?,
        })
    }

    /// The first one that the kernel may use, by its address: QEMU's devices are wired to it.
    pub fn first() -> Result<Self> {
        if let Some(madt) = Madt::find() {
            return Self::at(madt.aplics.first().ok_or("no APLIC")?.address);
        }
        let regions = dt::find("riscv,aplic")
            .into_iter()
            .filter_map(|node| node.regions().first().copied());
        let (address, _) = regions.min().ok_or("no APLIC")?;

        Self::at(address)
    }

    /// Whether it delivers interrupts.
    pub fn delivers(&self) -> bool {
        self.registers.read(DOMAINCFG) & IE != 0
    }

    /// Whether a hart gets interrupts directly, by the number that the APLIC has for it.
    pub fn delivers_to(&self, hart: usize) -> bool {
        self.registers.read(IDC + hart * IDC_SIZE) & 1 != 0
    }

    /// Delivers nothing any more; sources become pending all the same.
    pub fn stop(&self) {
        self.registers
            .write(DOMAINCFG, self.registers.read(DOMAINCFG) & !IE);
    }

    /// Where the register is that holds interrupts of a hart back, all of them but with 0; by the
    /// number that the APLIC has for the hart. Interrupts are delivered directly.
    pub fn threshold_of(&self, hart: usize) -> u64 {
        self.address + (IDC + hart * IDC_SIZE + ITHRESHOLD) as u64
    }

    /// Holds all interrupts of a hart back.
    pub fn hold_back(&self, hart: usize) {
        self.registers.write(IDC + hart * IDC_SIZE + ITHRESHOLD, 1);
    }

    /// The mode of a source, field SM.
    pub fn mode(&self, source: u32) -> u32 {
        self.registers.read(4 * source as usize)
    }

    /// Sets the mode of a source.
    pub fn set_mode(&self, source: u32, mode: u32) {
        self.registers.write(4 * source as usize, mode);
    }

    /// What `target` holds for a source.
    pub fn target(&self, source: u32) -> u32 {
        self.registers.read(TARGET + 4 * source as usize)
    }

    /// Stores where interrupts of a source go.
    pub fn set_target(&self, source: u32, target: u32) {
        self.registers.write(TARGET + 4 * source as usize, target);
    }

    /// Makes a source pending, if it can be.
    pub fn pend(&self, source: u32) {
        self.registers.write(SETIPNUM, source);
    }

    /// Enables a source.
    pub fn enable(&self, source: u32) {
        self.registers.write(SETIENUM, source);
    }

    /// Whether a source is enabled.
    pub fn is_enabled(&self, source: u32) -> bool {
        self.bit(SETIE, source)
    }

    /// Whether a source is pending.
    pub fn is_pending(&self, source: u32) -> bool {
        self.bit(SETIP, source)
    }

    fn bit(&self, words: usize, source: u32) -> bool {
        self.registers.read(words + 4 * (source as usize / 32)) & 1 << (source % 32) != 0
    }
}

/// Sources that nobody has asked for are inactive, whatever they were.
pub fn quiet(address: u64) -> Result {
    let aplic = Aplic::at(address)?;
    let name = format!("interrupt-controller@{address:x}");
    let owned: Vec<u32> = irqdebug::irqs()
        .into_iter()
        .filter_map(|irq| {
            let irq = Irq::read(irq).ok()?;
            let level = irq.levels.first()?;

            level
                .text("domain")
                .contains(&name)
                .then(|| level.number("hwirq"))?
        })
        .map(|hwirq| hwirq as u32)
        .collect();

    ensure(aplic.delivers(), || {
        format!("{address:#x} delivers nothing")
    })?;
    for source in (1..=SOURCES).filter(|s| !owned.contains(s)) {
        let mode = aplic.mode(source);

        ensure(mode == 0, || {
            format!("{address:#x}: source {source} of nobody has mode {mode}")
        })?;
        ensure(
            !aplic.is_enabled(source) && !aplic.is_pending(source),
            || format!("{address:#x}: source {source} of nobody is enabled or pending"),
        )?;
    }
    Ok(())
}
