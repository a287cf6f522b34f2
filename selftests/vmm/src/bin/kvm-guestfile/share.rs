// SPDX-License-Identifier: GPL-2.0

//! More vCPUs than guest files.

use crate::exits::exits_each;
use std::time::{
    Duration,
    Instant, //
};
use vmm::{
    abi::op,
    ensure,
    exact,
    measure,
    Config,
    Context,
    End,
    Guest,
    Machine,
    Mode,
    Result,
    NO_VSFILE, //
};

/// The vCPU that finds no guest file is told so, and enters when one is free; or it takes one, and all
/// of them get every MSI.
pub(crate) fn exhausted(m: &Machine) -> Result<()> {
    for cpu in m.unlike(m.cpus()) {
        if m.overcommits()? {
            shared_on(m, cpu)?;
        } else {
            exhausted_on(m, cpu)?;
        }
    }
    Ok(())
}

fn shared_on(m: &Machine, cpu: usize) -> Result<()> {
    let files = m.files_of(cpu) as usize;
    let mut guest = Guest::new(m.kvm(), Config::new(files + 1, Mode::Hwaccel))?;

    for n in 0..=files {
        guest.boot(n, &[cpu])?;
    }
    for n in 0..=files {
        guest.send_from_host(n, 1, 20, 2, Guest::signal_msi)?;
        exact(&guest, n, 1, 20, 2)?;
    }
    Ok(())
}

fn exhausted_on(m: &Machine, cpu: usize) -> Result<()> {
    let files = m.files_of(cpu) as usize;
    let mut guest = Guest::new(m.kvm(), Config::new(files + 1, Mode::Hwaccel))?;

    for n in 0..files {
        guest.boot(n, &[cpu])?;
    }
    for attempt in 0..3 {
        guest.start(files, &[cpu])?;
        let end = guest.wait_end(files)?;

        ensure(
            end == End::FailEntry {
                reason: NO_VSFILE,
                cpu: cpu as u32,
            },
            || format!("entry {attempt} without a guest file gave {end:?}"),
        )?;
    }
    // The others are none the worse for it.
    for n in 0..files {
        guest.send_from_host(n, 1, 20, 2, Guest::signal_msi)?;
        exact(&guest, n, 1, 20, 2)?;
    }
    if let Some(other) = m.other(cpu) {
        // vCPU 0 leaves, its file is free once it runs elsewhere.
        guest.pin(0, &[other])?;
        guest.call(0, op::NOP, &[])?;
        let start = Instant::now();

        loop {
            guest.start(files, &[cpu])?;
            guest.give(files, op::TOUCH, &[]);
            guest.until(
                |g| g.done(files) || g.ended(files),
                || "the last vCPU".into(),
            )?;
            if guest.done(files) {
                break;
            }
            guest.wait_end(files)?;
            ensure(start.elapsed() < Duration::from_secs(20), || {
                "the guest file did not become free".into()
            })?;
        }
        guest.call(files, op::IMSIC_INIT, &[1, 63])?;
        guest.send_from_host(files, 1, 20, 2, Guest::signal_msi)?;
        exact(&guest, files, 1, 20, 2)?;
    }
    // All files come back with the end of the VM.
    drop(guest);
    let mut guest = Guest::new(m.kvm(), Config::new(files, Mode::Hwaccel))?;

    for n in 0..files {
        guest
            .boot(n, &[cpu])
            .context("after the end of the first VM")?;
    }
    Ok(())
}

/// More vCPUs than guest files in mode auto: all of them get every MSI, from
/// each other and from the host, and as many as there are files need no exit for it.
pub(crate) fn overcommit(m: &Machine) -> Result<()> {
    for cpu in m.unlike(m.cpus()) {
        overcommit_on(m, cpu)?;
    }
    Ok(())
}

fn overcommit_on(m: &Machine, cpu: usize) -> Result<()> {
    const IDS: u32 = 40;
    const ROUNDS: u32 = 5;
    let files = m.files_of(cpu) as usize;
    let vcpus = files + 2;
    let mut guest = Guest::new(m.kvm(), Config::new(vcpus, Mode::Auto))?;
    let mut accelerated = 0;

    for n in 0..vcpus {
        guest.boot(n, &[cpu])?;
    }
    for n in 0..vcpus {
        let report = measure(&mut guest, &[n], &[cpu], |g| {
            g.send_from_host(n, 1, IDS, ROUNDS, Guest::signal_msi)
        })?;

        exact(&guest, n, 1, IDS, ROUNDS)?;
        if report.traps == 0 {
            accelerated += 1;
        } else if !m.overcommits()? {
            exits_each(&report, (IDS * ROUNDS).into())?;
        }
    }
    // Who has a file changes, if vCPUs take those of others.
    ensure(accelerated == files || m.overcommits()?, || {
        format!("{accelerated} of {vcpus} vCPUs took MSIs without exits; there are {files} files")
    })?;
    // A ring: each vCPU sends to the next, some to a guest file and some to software.
    for n in 0..vcpus {
        guest.give_send(n, (n + 1) % vcpus, 1, IDS, ROUNDS.into());
    }
    for n in 0..vcpus {
        let [sent, _] = guest.wait(n)?;

        ensure(sent == u64::from(IDS * ROUNDS), || {
            format!("vCPU {n} saw {sent} of {IDS} * {ROUNDS} MSIs arrive once")
        })?;
    }
    for n in 0..vcpus {
        exact(&guest, n, 1, IDS, 2 * ROUNDS)?;
    }
    Ok(())
}

/// Two VMs share the guest files of a CPU; neither gets the other's MSIs.
pub(crate) fn two_vms(m: &Machine) -> Result<()> {
    const IDS: u32 = 40;
    const ROUNDS: u32 = 10;
    let mode = if m.files() == 0 {
        Mode::Emul
    } else {
        Mode::Auto
    };
    let cfg = Config::new(2, mode);
    let mut guests = [m.boot(cfg)?, m.boot(cfg)?];

    for g in &guests {
        g.give_send(1, 0, 1, IDS, ROUNDS.into());
        g.give_send(0, 1, 1, IDS, ROUNDS.into());
    }
    guests[0].send_from_host(0, 41, 20, 3, Guest::signal_msi)?;
    for g in &mut guests {
        for n in 0..2 {
            let [sent, _] = g.wait(n)?;

            ensure(sent == u64::from(IDS * ROUNDS), || {
                format!("vCPU {n} saw {sent} of {IDS} * {ROUNDS} MSIs arrive once")
            })?;
        }
    }
    exact(&guests[1], 0, 1, IDS, ROUNDS)?;
    exact(&guests[1], 1, 1, IDS, ROUNDS)?;
    exact(&guests[0], 1, 1, IDS, ROUNDS)?;
    ensure(
        guests[0].total(0) == u64::from(IDS * ROUNDS + 20 * 3),
        || format!("{} interrupts", guests[0].total(0)),
    )
}
