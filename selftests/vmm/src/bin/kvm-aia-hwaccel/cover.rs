// SPDX-License-Identifier: GPL-2.0

//! Memory that user space puts over the page of an interrupt file, in huge pages: KVM does not
//! complain, and where it maps an interrupt file for a vCPU, the file wins.

use std::{
    sync::mpsc,
    thread::{
        self,
        sleep, //
    },
    time::Duration, //
};
use vmm::{
    abi::{
        op,
        IMSIC_BASE, //
    },
    diag,
    exact,
    host::set_online,
    probe::Probe,
    regs::imsic::EIDELIVERY,
    same,
    Config,
    Error,
    Guest,
    Machine,
    Mode,
    Result, //
};

/// Beside the pages of the interrupt files, and in the same huge page.
const BESIDE: u64 = IMSIC_BASE + 0x1_0000;

/// A guest on `cpu` in a guest file, which then has a huge page of memory where its interrupt file is.
fn covered(m: &Machine, vcpus: usize, cpu: usize) -> Result<Guest> {
    let mut guest = Guest::new(
        m.kvm(),
        Config {
            stubborn: true,
            ..Config::new(vcpus, Mode::Hwaccel)
        },
    )?;

    for vcpu in 0..vcpus {
        guest.boot(vcpu, &[cpu])?;
    }
    guest.send_from_host(0, 1, 20, 1, Guest::signal_msi)?;
    guest.cover(IMSIC_BASE)?;
    guest.call(0, op::WRITE32, &[BESIDE, 1])?;
    Ok(guest)
}

/// KVM_RUN has not failed.
fn ran(guest: &Guest) -> Result<()> {
    same(guest.failures(), 0, || "failures of KVM_RUN".into())
}

/// How the page of vCPU 0's file is mapped: level, and whether the file of its CPU is there.
fn mapped(m: &Machine, probe: &Probe, cpu: usize) -> Result<(u32, bool)> {
    let entry = probe.gstage(cpu, IMSIC_BASE)?;
    let is_file = |line| {
        m.imsics()
            .and_then(|imsics| imsics.guest_file(cpu, line).ok())
            .is_some_and(|address| address == entry.address())
    };

    Ok((
        entry.level,
        entry.is_valid() && (1..=m.files_of(cpu)).any(is_file),
    ))
}

/// A vCPU whose interrupt file is covered goes to other CPUs: its new file is there, and nothing is
/// lost.
pub(crate) fn moves(m: &Machine) -> Result<()> {
    let probe = Probe::load()?;
    let guest = covered(m, 2, m.cpu(1))?;
    let huge = mapped(m, &probe, m.cpu(1))?;

    diag(format!("the page is mapped at level {}", huge.0));
    for round in 2..=9 {
        let cpu = m.cpu(round as usize);

        // Again where the move before has split it.
        guest.call(0, op::WRITE32, &[BESIDE + 0x1000 * u64::from(round), 1])?;
        for id in 1..=10 {
            guest.signal_msi(0, id)?;
        }
        guest.pin(0, &[cpu])?;
        guest.call(0, op::NOP, &[])?;
        same(mapped(m, &probe, cpu)?, (0, true), || {
            format!("level, and the file of CPU {cpu}, in round {round}")
        })?;
        for id in 11..=20 {
            guest.signal_msi(0, id)?;
        }
        guest.until(
            |g| (1..=20).all(|id| g.count(0, id) >= round),
            || format!("20 MSIs of round {round}"),
        )?;
        // Of the other vCPU, and its own.
        for from in [1, 0] {
            guest.give_send(from, 0, 32, 20, 1);
            let [sent, _] = guest.wait(from)?;

            same(sent, 20, || format!("MSIs of vCPU {from} that arrived"))?;
        }
    }
    ran(&guest)?;
    for (first, times) in [(1, 9), (32, 16)] {
        for id in first..first + 20 {
            same(guest.count(0, id), times, || format!("MSI {id}"))?;
        }
    }
    same(guest.total(0), 20 * (9 + 16), || "interrupts in all".into())
}

/// The memory comes first: the interrupt file is there when the vCPU runs.
pub(crate) fn first(m: &Machine) -> Result<()> {
    let probe = Probe::load()?;
    let mut guest = Guest::new(m.kvm(), Config::new(2, Mode::Hwaccel))?;

    guest.cover(IMSIC_BASE)?;
    // Has no interrupt file there.
    guest.start(1, &[m.cpu(1)])?;
    guest.call(1, op::WRITE32, &[BESIDE, 1])?;
    guest.boot(0, &[m.cpu(0)])?;
    same(mapped(m, &probe, m.cpu(0))?, (0, true), || {
        "level, and the file".into()
    })?;
    guest.send_from_host(0, 1, 20, 1, Guest::signal_msi)?;
    guest.give_send(1, 0, 1, 20, 1);
    same(guest.wait(1)?[0], 20, || "MSIs that arrived".into())?;
    exact(&guest, 0, 1, 20, 2)
}

/// Resets, and the end of the machine, leave the memory alone, and warn of nothing.
pub(crate) fn resets(m: &Machine) -> Result<()> {
    for ends in [false, true] {
        let mut guest = covered(m, 1, m.cpu(1))?;

        guest.stop(0)?;
        if !ends {
            guest.reset(0)?;
            guest.boot(0, &[m.cpu(0)])?;
            ran(&guest)?;
            guest.send_from_host(0, 1, 20, 1, Guest::signal_msi)?;
            exact(&guest, 0, 1, 20, 2)?;
        }
    }
    Ok(())
}

/// Whether the file of vCPU 0, which is made to stop, delivers; or that nobody tells within the time.
fn eidelivery(mut guest: Guest) -> Result<(Guest, u64)> {
    let (tell, answer) = mpsc::channel();

    guest.stop(0)?;
    thread::spawn(move || {
        let value = guest.aia().imsic(0, EIDELIVERY);
        let _ = tell.send((guest, value));
    });
    match answer.recv_timeout(Duration::from_secs(20)) {
        Ok((guest, Ok(value))) => Ok((guest, value)),
        Ok((_, Err(e))) => Err(Error::new(format!("eidelivery: {e}"))),
        Err(_) => Err(Error::new("GET of eidelivery does not end")),
    }
}

/// A vCPU whose file is covered goes elsewhere, or tries to, while the CPU goes that has it: its file is
/// somewhere, and can be read.
pub(crate) fn hotplug(m: &Machine) -> Result<()> {
    let rounds = m.rounds(16);
    let _back = m.cpus_back();
    let mut failures = 0;

    for round in 0..rounds {
        let cpu = m.cpu(1);
        let guest = covered(m, 1, cpu)?;

        guest.give(0, op::NOP, &[]);
        guest.pin(0, &[m.cpu(0)])?;
        sleep(Duration::from_millis(5 + u64::from(round)));
        set_online(cpu, false)?;
        sleep(Duration::from_millis(5));
        failures += guest.failures();
        let (_guest, value) = eidelivery(guest)?;

        same(value, 1, || format!("eidelivery after round {round}"))?;
        set_online(cpu, true)?;
    }
    diag(format!("KVM_RUN failed {failures} times"));
    Ok(())
}
