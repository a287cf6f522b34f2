// SPDX-License-Identifier: GPL-2.0

//! MSIs from every side, with and without a guest file: exact counts and exits.

use crate::exits::{
    exits_each,
    no_exits, //
};
use vmm::{
    abi::{
        op,
        APLIC_BASE, //
    },
    ensure,
    exact,
    measure,
    Config,
    Context,
    Guest,
    Machine,
    Mode,
    Report,
    Result, //
};

/// MSIs of vCPU `from` to vCPU 0; the exits of all vCPUs meanwhile.
fn from_vcpu(m: &Machine, mode: Mode, from: usize, guest_bits: u32) -> Result<(Report, u64)> {
    const IDS: u32 = 50;
    const ROUNDS: u32 = 40;
    let cfg = Config {
        guest_bits,
        ..Config::new(from + 1, mode)
    };
    let mut guest = m.boot(cfg)?;
    let vcpus: Vec<usize> = (0..cfg.vcpus).collect();
    let mut cpus: Vec<usize> = vcpus.iter().map(|&v| m.cpu(v)).collect();

    cpus.dedup();
    let report = measure(&mut guest, &vcpus, &cpus, |g| {
        g.give_send(from, 0, 7, IDS, ROUNDS.into());
        let [sent, _] = g.wait(from)?;

        ensure(sent == u64::from(IDS * ROUNDS), || {
            format!("the sender saw {sent} of {IDS} * {ROUNDS} MSIs arrive once")
        })
    })?;

    exact(&guest, 0, 7, IDS, ROUNDS)?;
    if from != 0 {
        exact(&guest, from, 7, IDS, 0)?;
    }
    Ok((report, (IDS * ROUNDS).into()))
}

pub(crate) fn hw_self(m: &Machine) -> Result<()> {
    let (report, msis) = from_vcpu(m, Mode::Hwaccel, 0, 0)?;

    no_exits(&report, msis)
}

pub(crate) fn hw_other(m: &Machine) -> Result<()> {
    let (report, msis) = from_vcpu(m, Mode::Hwaccel, 1, 0)?;

    no_exits(&report, msis)
}

pub(crate) fn hw_guest_bits(m: &Machine) -> Result<()> {
    let (report, msis) = from_vcpu(m, Mode::Hwaccel, 1, 2)?;

    no_exits(&report, msis)
}

pub(crate) fn emul_self(m: &Machine) -> Result<()> {
    let (report, msis) = from_vcpu(m, Mode::Emul, 0, 0)?;

    exits_each(&report, msis)
}

pub(crate) fn emul_other(m: &Machine) -> Result<()> {
    let (report, msis) = from_vcpu(m, Mode::Emul, 1, 0)?;

    exits_each(&report, msis)
}

pub(crate) fn emul_guest_bits(m: &Machine) -> Result<()> {
    let (report, msis) = from_vcpu(m, Mode::Emul, 1, 2)?;

    exits_each(&report, msis)
}

/// MSIs by KVM_SIGNAL_MSI; the exits meanwhile.
fn from_host(m: &Machine, mode: Mode) -> Result<(Report, u64)> {
    const IDS: u32 = 50;
    const ROUNDS: u32 = 40;
    let mut guest = m.boot(Config::new(1, mode))?;
    let report = measure(&mut guest, &[0], &[m.cpu(0)], |g| {
        g.send_from_host(0, 1, IDS, ROUNDS, Guest::signal_msi)
    })?;

    exact(&guest, 0, 1, IDS, ROUNDS)?;
    Ok((report, (IDS * ROUNDS).into()))
}

pub(crate) fn hw_signal(m: &Machine) -> Result<()> {
    let (report, msis) = from_host(m, Mode::Hwaccel)?;

    no_exits(&report, msis)
}

pub(crate) fn emul_signal(m: &Machine) -> Result<()> {
    let (report, msis) = from_host(m, Mode::Emul)?;

    exits_each(&report, msis)
}

/// MSIs by irqfd; the exits meanwhile.
fn irqfd(m: &Machine, mode: Mode) -> Result<(Report, u64)> {
    const FIRST: u32 = 30;
    const IDS: u32 = 20;
    const ROUNDS: u32 = 50;
    let mut guest = m.boot(Config::new(1, mode))?;
    let msis: Vec<_> = (FIRST..FIRST + IDS).map(|id| (0, id)).collect();

    guest.route(&msis)?;
    let events = (0..IDS)
        .map(|n| guest.irqfd(guest.msi_line(n)))
        .collect::<Result<Vec<_>>>()?;
    let report = measure(&mut guest, &[0], &[m.cpu(0)], |g| {
        g.send_from_host(0, FIRST, IDS, ROUNDS, |_, _, id| {
            events[(id - FIRST) as usize].write(1).context("eventfd")
        })
    })?;

    exact(&guest, 0, FIRST, IDS, ROUNDS)?;
    Ok((report, (IDS * ROUNDS).into()))
}

pub(crate) fn hw_irqfd(m: &Machine) -> Result<()> {
    let (report, msis) = irqfd(m, Mode::Hwaccel)?;

    no_exits(&report, msis)
}

pub(crate) fn emul_irqfd(m: &Machine) -> Result<()> {
    let (report, msis) = irqfd(m, Mode::Emul)?;

    exits_each(&report, msis)
}

/// Wires of the guest's APLIC, driven by KVM_IRQ_LINE; the exits meanwhile.
fn wires(m: &Machine, mode: Mode) -> Result<(Report, u64)> {
    const DOMAINCFG_IE_DM: u64 = (1 << 8) | (1 << 2);
    const SOURCECFG: u64 = 0x4;
    const EDGE_RISE: u64 = 4;
    const LEVEL_HIGH: u64 = 6;
    const SETIENUM: u64 = 0x1edc;
    const TARGET: u64 = 0x3004;
    const FIRST: u32 = 40;
    const SOURCES: u32 = 16;
    const ROUNDS: u32 = 50;
    let cfg = Config {
        sources: SOURCES,
        ..Config::new(1, mode)
    };
    let mut guest = m.boot(cfg)?;

    // Odd sources by edge, even ones by level; source s sends FIRST + s - 1 to hart 0.
    for s in 1..=u64::from(SOURCES) {
        let word = 4 * (s - 1);
        let kind = if s % 2 != 0 { EDGE_RISE } else { LEVEL_HIGH };

        guest.call(0, op::WRITE32, &[APLIC_BASE + SOURCECFG + word, kind])?;
        guest.call(
            0,
            op::WRITE32,
            &[APLIC_BASE + TARGET + word, u64::from(FIRST) + s - 1],
        )?;
        guest.call(0, op::WRITE32, &[APLIC_BASE + SETIENUM, s])?;
    }
    guest.call(0, op::WRITE32, &[APLIC_BASE, DOMAINCFG_IE_DM])?;
    let report = measure(&mut guest, &[0], &[m.cpu(0)], |g| {
        g.send_from_host(0, FIRST, SOURCES, ROUNDS, |g, _, id| {
            let line = id - FIRST + 1;

            g.irq_line(line, true)?;
            g.irq_line(line, false)
        })
    })?;

    exact(&guest, 0, FIRST, SOURCES, ROUNDS)?;
    Ok((report, (SOURCES * ROUNDS).into()))
}

pub(crate) fn hw_wires(m: &Machine) -> Result<()> {
    let (report, msis) = wires(m, Mode::Hwaccel)?;

    no_exits(&report, msis)
}

pub(crate) fn emul_wires(m: &Machine) -> Result<()> {
    let (report, msis) = wires(m, Mode::Emul)?;

    exits_each(&report, msis)
}
