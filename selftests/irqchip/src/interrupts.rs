// SPDX-License-Identifier: GPL-2.0

//! `/proc/interrupts`, and affinity in `/proc/irq`.

use crate::{
    cpu,
    ensure,
    read,
    write,
    Result, //
};
use std::collections::BTreeMap;

/// One line of `/proc/interrupts`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line {
    /// The number of a device interrupt, or a name such as `IPI0`.
    pub name: String,
    /// Counts by CPU, of the CPUs that are online.
    pub counts: BTreeMap<usize, u64>,
    /// What follows the counts: chip, hardware number, kind, handlers.
    pub text: String,
}

impl Line {
    /// The Linux interrupt number, for a line that has one.
    pub fn irq(&self) -> Option<u32> {
        self.name.parse().ok()
    }

    /// The sum over the CPUs that are online.
    pub fn total(&self) -> u64 {
        self.counts.values().sum()
    }

    /// The count on one CPU.
    pub fn on(&self, cpu: usize) -> u64 {
        self.counts.get(&cpu).copied().unwrap_or(0)
    }
}

fn parse(text: &str) -> Vec<Line> {
    let mut lines = text.lines();
    let cpus: Vec<usize> = lines
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .filter_map(|w| w.strip_prefix("CPU")?.parse().ok())
        .collect();

    lines
        .filter_map(|line| {
            let (name, rest) = line.split_once(':')?;
            let mut words = rest.split_whitespace();
            let mut counts = BTreeMap::new();

            for &cpu in &cpus {
                counts.insert(cpu, words.next()?.parse().ok()?);
            }
            Some(Line {
                name: name.trim().into(),
                counts,
                text: words.collect::<Vec<_>>().join(" "),
            })
        })
        .collect()
}

/// All lines.
pub fn lines() -> Vec<Line> {
    parse(&read("/proc/interrupts").unwrap_or_default())
}

/// The line of a name or number; all zeroes if it is not there.
pub fn line(name: impl ToString) -> Line {
    let name = name.to_string();

    lines()
        .into_iter()
        .find(|l| l.name == name)
        .unwrap_or_default()
}

/// All runs of an interrupt, those on CPUs that are offline now with them.
pub fn total(irq: u32) -> u64 {
    read(&format!("/sys/kernel/irq/{irq}/per_cpu_count"))
        .unwrap_or_default()
        .trim()
        .split(',')
        .filter_map(|n| n.parse::<u64>().ok())
        .sum()
}

/// The first device interrupt whose text has all these words in it.
pub fn find(words: &[&str]) -> Option<Line> {
    lines()
        .into_iter()
        .find(|l| l.irq().is_some() && words.iter().all(|w| l.text.contains(w)))
}

/// Asks for an affinity.
pub fn set_affinity(irq: u32, cpus: &[usize]) -> Result {
    if !cpu::is_smp() {
        return ensure(cpus == [0], || format!("CPUs {cpus:?} instead of the one"));
    }
    let list: Vec<String> = cpus.iter().map(ToString::to_string).collect();

    write(
        &format!("/proc/irq/{irq}/smp_affinity_list"),
        &list.join(","),
    )
}

const DEFAULT_AFFINITY: &str = "/proc/irq/default_smp_affinity";

/// The affinity of interrupts that nobody has asked one for; what it was before when dropped.
#[derive(Debug)]
pub struct DefaultAffinity {
    before: Option<String>,
}

impl DefaultAffinity {
    /// Makes it these CPUs, of the first 32.
    pub fn new(cpus: &[usize]) -> Result<Self> {
        if !cpu::is_smp() {
            return Ok(Self { before: None });
        }
        let mask: u32 = cpus.iter().map(|cpu| 1 << cpu).sum();
        let before = read(DEFAULT_AFFINITY)?;

        write(DEFAULT_AFFINITY, &format!("{mask:x}"))?;
        Ok(Self {
            before: Some(before.trim().to_string()),
        })
    }
}

impl Drop for DefaultAffinity {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            let _ = write(DEFAULT_AFFINITY, before);
        }
    }
}

/// The affinity that was asked for.
pub fn affinity(irq: u32) -> Vec<usize> {
    if !cpu::is_smp() {
        return vec![0];
    }
    read(&format!("/proc/irq/{irq}/smp_affinity_list"))
        .map_or_else(|_| Vec::new(), |t| cpu::parse_list(&t))
}

/// Where the interrupt goes.
pub fn effective(irq: u32) -> Vec<usize> {
    if !cpu::is_smp() {
        return vec![0];
    }
    read(&format!("/proc/irq/{irq}/effective_affinity_list"))
        .map_or_else(|_| Vec::new(), |t| cpu::parse_list(&t))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "            CPU0       CPU2
  10:        116        118  RISC-V INTC   5 Edge      riscv-timer
  13:          7          1  PCI-MSIX-0000:00:01.0   0 Edge      virtio0-config
IPI0:        11         23  Rescheduling interrupts
";

    #[test]
    fn numbers_names_and_columns() {
        let lines = parse(TEXT);

        assert_eq!(lines.len(), 3);
        assert_eq!(lines[1].irq(), Some(13));
        assert_eq!((lines[1].on(0), lines[1].on(1), lines[1].on(2)), (7, 0, 1));
        assert_eq!(lines[1].total(), 8);
        assert!(lines[1].text.ends_with("virtio0-config"));
        assert_eq!((lines[2].irq(), lines[2].on(2)), (None, 23));
    }
}
