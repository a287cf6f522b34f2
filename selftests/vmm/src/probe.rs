// SPDX-License-Identifier: GPL-2.0

//! What only the kernel sees, by the test module `aia_test.ko`. See the head of
//! `modules/aia_test_debugfs.c` for its files.

use crate::{
    Context,
    Error,
    Result, //
};
use irqtest::device::Module;
use std::fs;

const BASE: &str = "/sys/kernel/debug/aia_test";

/// The test module, until this is dropped.
#[derive(Debug)]
pub struct Probe(Module);

/// The CSR hvien of a CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hvien {
    /// Whether the CPU is online.
    pub online: bool,
    /// As it is; or as it was when the CPU went, after KVM had ceased to use it.
    pub value: u64,
    /// The bits that the hart has.
    pub mask: u64,
    /// The CSR hvictl, at the same time.
    pub hvictl: u64,
    /// hviprio1 and hviprio2, at the same time.
    pub hviprio: [u64; 2],
}

/// What an idle state leaves, and what it finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Idle {
    /// hvien in the state.
    pub hvien: u64,
    /// hvictl in the state.
    pub injects: u64,
    /// hgeie before it, and after it.
    pub hgeie: [u64; 2],
    /// hvictl after it.
    pub hvictl: u64,
    /// hviprio1 and hviprio2 after it.
    pub hviprio: [u64; 2],
}

/// hvictl that injects nothing: IID 9 with IPRIO 0 (AIA 6.3.3).
pub const NO_INTERRUPT: u64 = 9 << 16;

/// Where a walk through a page table ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The level: 0 is that of 4 KiB pages.
    pub level: u32,
    /// The entry, which may be invalid.
    pub bits: u64,
}

impl Entry {
    const PPN_SHIFT: u32 = 10;
    const PPN: u64 = (1 << 44) - 1;
    /// Up to software.
    const RSW: u64 = 3 << 8;

    /// Whether there is a page at all.
    pub fn is_valid(&self) -> bool {
        self.bits & 1 != 0
    }

    /// The physical address.
    pub fn address(&self) -> u64 {
        (self.bits >> Self::PPN_SHIFT & Self::PPN) << 12
    }

    /// All that the hardware looks at, besides the address.
    pub fn attributes(&self) -> u64 {
        self.bits & !(Self::PPN << Self::PPN_SHIFT) & !Self::RSW
    }
}

impl Probe {
    /// Loads the module.
    pub fn load() -> Result<Self> {
        Module::load().map(Self).map_err(Error::new)
    }

    fn tell(&self, file: &str, what: &str) -> Result<()> {
        fs::write(format!("{BASE}/{file}"), what).context(format!("{file}: {what}"))
    }

    fn ask(&self, file: &str) -> Result<String> {
        fs::read_to_string(format!("{BASE}/{file}")).context(file)
    }

    /// Sets that bit of hvien of each CPU, for as long as it is online and before
    /// KVM uses it; 0: of none any more.
    pub fn set_hvien(&self, bit: u32) -> Result<()> {
        self.tell("hvien", &bit.to_string())
    }

    /// The hvien of `cpu`, while a bit is set.
    pub fn hvien(&self, cpu: usize) -> Result<Hvien> {
        let answer = self.ask("hvien")?;
        let cpu = cpu.to_string();

        for line in answer.lines() {
            let words: Vec<_> = line.split_whitespace().collect();

            match words[..] {
                [c, state, value, mask, hvictl, first, second] if c == cpu => {
                    return Ok(Hvien {
                        online: state == "on",
                        value: number(value)?,
                        mask: number(mask)?,
                        hvictl: number(hvictl)?,
                        hviprio: [number(first)?, number(second)?],
                    });
                }
                _ => (),
            }
        }
        Err(Error::new(format!("no CPU {cpu} in hvien: {answer}")))
    }

    /// Takes `cpu` through an idle state that loses KVM's CSRs, but hvien.
    pub fn idle(&self, cpu: usize) -> Result<Idle> {
        self.tell("idle", &cpu.to_string())?;
        let answer = self.ask("idle")?;
        let words = answer
            .split_whitespace()
            .map(number)
            .collect::<Result<Vec<_>>>()?;

        match words[..] {
            [hvien, injects, before, after, hvictl, first, second] => Ok(Idle {
                hvien,
                injects,
                hgeie: [before, after],
                hvictl,
                hviprio: [first, second],
            }),
            _ => Err(Error::new(format!("idle: {answer}"))),
        }
    }

    /// Takes `cpu` so often through an idle state of `us` microseconds that loses all its registers, but
    /// for MSIs that come meanwhile.
    pub fn doze(&self, cpu: usize, rounds: u32, us: u32) -> Result<()> {
        self.tell("doze", &format!("{cpu} 1 {rounds} {us}"))
    }

    /// Puts the system to sleep, which has one CPU; what KVM's CSRs and `files` guest
    /// interrupt files of so many `words` of identities hold is lost.
    pub fn sleep(&self, files: u32, words: u32) -> Result<()> {
        self.tell("sleep", &format!("{files} {words}"))
    }

    /// What the G-stage of the vCPU that was loaded last on `cpu` has for the
    /// guest-physical address `addr`. Its machine must not end meanwhile.
    pub fn gstage(&self, cpu: usize, addr: u64) -> Result<Entry> {
        self.tell("gstage", &format!("{cpu} {addr:#x}"))?;
        let answer = self.ask("gstage")?;
        let (level, bits) = answer
            .trim_end()
            .split_once(' ')
            .ok_or_else(|| Error::new(format!("gstage: {answer}")))?;

        Ok(Entry {
            level: level.parse().context(format!("gstage: {answer}"))?,
            bits: number(bits)?,
        })
    }
}

/// A number as the kernel's `%#lx` has it.
fn number(word: &str) -> Result<u64> {
    u64::from_str_radix(word.trim_start_matches("0x"), 16).context(word)
}
