// SPDX-License-Identifier: GPL-2.0

//! vCPUs that change their CPU at every chance.

use crate::flow::{
    ids,
    undisturbed, //
};
use std::{
    thread::sleep,
    time::Duration, //
};
use vmm::{
    abi::{
        csr,
        op, //
    },
    diag,
    exact,
    regs::imsic::*,
    same,
    Config,
    End,
    Guest,
    Machine,
    Mode,
    Result,
    ILLEGAL,
    NO_VSFILE, //
};

const DURATION: Duration = Duration::from_secs(4);

/// Small numbers that look like chance, and are the same each time.
fn random(n: u32) -> u32 {
    n.wrapping_add(1).wrapping_mul(0x9e37_79b1) >> 16
}

/// Both ends of the flow move, sometimes twice before they can run.
fn both(m: &Machine, mode: Mode) -> Result<()> {
    let guest = m.boot(Config::new(2, mode))?;

    undisturbed(&guest, m.time(DURATION), |n| {
        let r = random(n);

        guest.pin((r % 3 / 2) as usize, &[m.cpu((r / 3) as usize)])?;
        // Often less than it takes to get there.
        sleep(Duration::from_micros((random(r) % 1500).into()));
        Ok(())
    })
}

pub(crate) fn hwaccel(m: &Machine) -> Result<()> {
    both(m, Mode::Hwaccel)
}

pub(crate) fn emul(m: &Machine) -> Result<()> {
    both(m, Mode::Emul)
}

/// All vCPUs move, and there are more than files: each is in a file at one time
/// and in software at another.
pub(crate) fn auto(m: &Machine) -> Result<()> {
    // More than there are files on the CPU that has the most.
    let most = m.cpus().iter().map(|&cpu| m.files_of(cpu)).max();
    let vcpus = most.unwrap_or(0) as usize + 3;
    let guest = m.boot(Config::new(vcpus, Mode::Auto))?;

    undisturbed(&guest, m.time(DURATION), |n| {
        let r = random(n);

        guest.pin(r as usize % vcpus, &[m.cpu(r as usize / vcpus)])?;
        sleep(Duration::from_micros((random(r) % 1000).into()));
        Ok(())
    })
}

/// The registers of a file go with the vCPU, whatever is done to it meanwhile.
fn registers(m: &Machine, mode: Mode, cpus: &[usize]) -> Result<()> {
    let guest = m.boot(Config::new(1, mode))?;
    // Where there is a second word of identities, MSIs go there.
    let more = ids(&guest)? > 63;
    let first = if more { 64 } else { 0 };
    let eip = |n: usize| 0x8000_0001_0000_0010u64.rotate_left(7 * n as u32) & !1;
    let mut wanted = 0;

    guest.mask(0)?;
    for (n, &cpu) in cpus.iter().cycle().take(40).enumerate() {
        let eie = 0x0123_4567_89ab_cdefu64.rotate_left(n as u32) & !1;
        let (threshold, delivery) = (n as u64 % 64, n as u64 % 2);

        guest.ireg_write(0, EIE0, eie)?;
        if more {
            guest.ireg_write(0, EIE0 + 2, !eie)?;
        }
        guest.ireg_write(0, EITHRESHOLD, threshold)?;
        guest.ireg_write(0, EIDELIVERY, delivery)?;
        // What the guest sets pending, before and after MSIs while it moves.
        wanted |= eip(n);
        guest.ireg(0, EIP0, csr::SET, eip(n))?;
        guest.pin(0, &[cpu])?;
        // Identity 0 does not exist.
        let late: Vec<u32> = (0..64)
            .filter(|id| (n as u32 + id) % 5 == 0 && first + id != 0)
            .collect();

        for id in &late {
            guest.signal_msi(0, first + id)?;
        }
        guest.call(0, op::NOP, &[])?;
        let when = |what| format!("{what} after move {n}, to CPU {cpu}");
        let late = late.iter().fold(0u64, |bits, id| bits | (1 << id));

        if more {
            same(guest.ireg_read(0, EIP0 + 2)?, late, || when("eip2"))?;
            same(guest.ireg_read(0, EIE0 + 2)?, !eie, || when("eie2"))?;
            guest.ireg_write(0, EIP0 + 2, 0)?;
        } else {
            wanted |= late;
        }
        same(guest.ireg_read(0, EIP0)?, wanted, || when("eip0"))?;
        same(guest.ireg_read(0, EIE0)?, eie, || when("eie0"))?;
        same(guest.ireg_read(0, EITHRESHOLD)?, threshold, || {
            when("eithreshold")
        })?;
        same(guest.ireg_read(0, EIDELIVERY)?, delivery, || {
            when("eidelivery")
        })?;
        if !more {
            wanted = eip(n);
            guest.ireg_write(0, EIP0, wanted)?;
        }
    }
    Ok(())
}

pub(crate) fn state(m: &Machine) -> Result<()> {
    registers(m, Mode::Hwaccel, m.cpus())
}

/// The same where one CPU has no file left, so that the state is in software there.
pub(crate) fn state_auto(m: &Machine) -> Result<()> {
    for full in m.unlike(m.cpus()) {
        let others = fill(m, full)?;

        registers(m, Mode::Auto, m.cpus())?;
        drop(others);
        registers(m, Mode::Auto, m.cpus())?;
    }
    Ok(())
}

/// A machine whose vCPUs have all files of `cpu`, and do not run.
fn fill(m: &Machine, cpu: usize) -> Result<Guest> {
    let files = m.files_of(cpu) as usize;
    let mut guest = Guest::new(m.kvm(), Config::new(files, Mode::Hwaccel))?;

    for n in 0..files {
        guest.boot(n, &[cpu])?;
        guest.stop(n)?;
    }
    Ok(guest)
}

/// A vCPU that finds no file where it is sent can go back, and has lost nothing; or it takes one there.
pub(crate) fn refused_and_back(m: &Machine) -> Result<()> {
    for full in m.unlike(m.cpus()) {
        if let Some(home) = m.other(full) {
            refused_by(m, home, full)?;
        }
    }
    Ok(())
}

fn refused_by(m: &Machine, home: usize, full: usize) -> Result<()> {
    let others = fill(m, full)?;
    let mut guest = Guest::new(m.kvm(), Config::new(1, Mode::Hwaccel))?;

    guest.boot(0, &[home])?;
    for attempt in 1..=5 {
        guest.send_from_host(0, 1, 20, 1, Guest::signal_msi)?;
        guest.pin(0, &[full])?;
        if m.overcommits()? {
            guest.call(0, op::NOP, &[])?;
        } else {
            let end = guest.wait_end(0)?;

            same(
                end,
                End::FailEntry {
                    reason: NO_VSFILE,
                    cpu: full as u32,
                },
                || format!("entry {attempt} on CPU {full}, which has no file left"),
            )?;
        }
        for id in 21..=40 {
            guest.signal_msi(0, id)?;
        }
        if m.overcommits()? {
            guest.pin(0, &[home])?;
        } else {
            guest.start(0, &[home])?;
        }
        guest.until(
            |g| (21..=40).all(|id| g.count(0, id) == attempt),
            || {
                format!(
                    "MSIs sent after entry {attempt} had failed, counted {} in all",
                    guest.total(0)
                )
            },
        )?;
        exact(&guest, 0, 1, 40, attempt)?;
    }
    // With a file free again, it can go there.
    drop(others);
    guest.pin(0, &[full])?;
    guest.call(0, op::NOP, &[])?;
    guest.send_from_host(0, 1, 40, 1, Guest::signal_msi)?;
    exact(&guest, 0, 1, 40, 6)
}

/// A vCPU made after INIT has no file, as a hart without an IMSIC: it runs, the others are
/// none the worse, and what it wants of the file is an illegal instruction (VS-2). Priorities
/// it has.
fn too_late(m: &Machine, mode: Mode) -> Result<()> {
    let mut guest = m.boot(Config {
        lenient: true,
        ..Config::new(2, mode)
    })?;
    let late = guest.add_vcpu()?;

    guest.start(late, &[m.cpu(0)])?;
    for round in 0..8 {
        guest.pin(late, &[m.cpu(round)])?;
        guest.call(late, op::TOUCH, &[])?;
        for how in [csr::READ, csr::WRITE, csr::SWAP, csr::SET] {
            same(
                guest.csr(late, csr::STOPEI, how, 0)?.trap,
                Some(ILLEGAL),
                || "stopei of a vCPU without a file".into(),
            )?;
            for select in [EIDELIVERY, 0x71, EITHRESHOLD, EIP0, EIP0 + 1, EIE0, LAST] {
                same(
                    guest.ireg(late, select, how, 0)?.trap,
                    Some(ILLEGAL),
                    || format!("register {select:#x} of a vCPU without a file"),
                )?;
            }
        }
        guest.ireg_write(late, 0x30, 9 << 8)?;
        same(guest.ireg_read(late, 0x30)?, 9 << 8, || "priorities".into())?;
        same(guest.left(), vec![], || "left to user space".into())?;
        guest.send_from_host(0, 1, 40, 1, Guest::signal_msi)?;
        guest.send_from_host(1, 1, 40, 1, Guest::signal_msi)?;
    }
    diag("a vCPU without a file runs");
    for vcpu in 0..2 {
        exact(&guest, vcpu, 1, 40, 8)?;
    }
    exact(&guest, late, 1, 40, 0)
}

pub(crate) fn late_vcpu(m: &Machine) -> Result<()> {
    too_late(m, Mode::Emul)
}

pub(crate) fn late_vcpu_files(m: &Machine) -> Result<()> {
    too_late(m, Mode::Hwaccel)
}

/// Every file of every CPU still works.
pub(crate) fn quiet(m: &Machine) -> Result<()> {
    for &cpu in m.cpus() {
        let files = m.files_of(cpu) as usize;
        let mut guest = Guest::new(m.kvm(), Config::new(files, Mode::Hwaccel))?;

        for n in 0..files {
            guest.boot(n, &[cpu])?;
            guest.send_from_host(n, 1, 40, 2, Guest::signal_msi)?;
            exact(&guest, n, 1, 40, 2)?;
        }
    }
    Ok(())
}
