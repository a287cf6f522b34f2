// SPDX-License-Identifier: GPL-2.0

//! CPUs that go offline under running machines, and come back.

use crate::flow::undisturbed;
use std::{
    thread::sleep,
    time::Duration, //
};
use vmm::{
    abi::op,
    exact,
    host::set_online,
    Config,
    Guest,
    Machine,
    Mode,
    Result, //
};

const DURATION: Duration = Duration::from_secs(8);

/// Brings all CPUs back, whatever happens.
struct Back<'a>(&'a Machine);

impl Drop for Back<'_> {
    fn drop(&mut self) {
        for &cpu in self.0.cpus() {
            let _ = set_online(cpu, true);
        }
    }
}

/// CPUs of `m` that can go: all but the first.
fn can_go(m: &Machine, n: u32) -> usize {
    let others = &m.cpus()[1..];

    others[n as usize % others.len()]
}

/// The CPU on which the target of all MSIs is goes, while they come.
fn flowing(m: &Machine, mode: Mode) -> Result<()> {
    let _back = Back(m);
    let guest = m.boot(Config::new(2, mode))?;

    guest.pin(1, &[m.cpu(0)])?;
    undisturbed(&guest, DURATION, |n| {
        let cpu = can_go(m, n);

        guest.pin(0, &[cpu])?;
        sleep(Duration::from_millis(20 + u64::from(n % 7)));
        set_online(cpu, false)?;
        sleep(Duration::from_millis(20));
        set_online(cpu, true)
    })
}

pub(crate) fn hwaccel(m: &Machine) -> Result<()> {
    flowing(m, Mode::Hwaccel)
}

pub(crate) fn emul(m: &Machine) -> Result<()> {
    flowing(m, Mode::Emul)
}

pub(crate) fn auto(m: &Machine) -> Result<()> {
    flowing(m, Mode::Auto)
}

/// A vCPU that sleeps wakes up though the CPU is gone where it fell asleep.
pub(crate) fn asleep(m: &Machine) -> Result<()> {
    const ROUNDS: u32 = 8;
    let _back = Back(m);
    let guest = m.boot(Config::new(1, m.best_mode()))?;

    for round in 1..=ROUNDS {
        let cpu = can_go(m, round);

        guest.pin(0, &[cpu])?;
        guest.give(0, op::WFI_UNTIL, &[(20 * round).into()]);
        sleep(Duration::from_millis(20));
        set_online(cpu, false)?;
        for id in 1..=20 {
            guest.signal_msi(0, id)?;
        }
        guest.wait(0)?;
        exact(&guest, 0, 1, 20, round)?;
        set_online(cpu, true)?;
    }
    Ok(())
}

/// A vCPU that does not run while its CPU goes finds all that came meanwhile.
pub(crate) fn stopped(m: &Machine) -> Result<()> {
    let _back = Back(m);
    let mut guest = Guest::new(m.kvm(), Config::new(1, m.best_mode()))?;
    let cpu = can_go(m, 0);

    guest.boot(0, &[cpu])?;
    for round in 1..=8 {
        guest.stop(0)?;
        for id in 1..=20 {
            guest.signal_msi(0, id)?;
        }
        set_online(cpu, false)?;
        for id in 21..=40 {
            guest.signal_msi(0, id)?;
        }
        guest.start(0, &[m.cpu(0)])?;
        guest.until(
            |g| g.total(0) >= u64::from(40 * round),
            || {
                format!(
                    "40 MSIs of round {round}, counted {} in all",
                    guest.total(0)
                )
            },
        )?;
        exact(&guest, 0, 1, 40, round)?;
        set_online(cpu, true)?;
        guest.pin(0, &[cpu])?;
        guest.call(0, op::NOP, &[])?;
    }
    Ok(())
}

/// All files of a CPU are there again when it is, and those of a machine that
/// went meanwhile are free.
pub(crate) fn files_return(m: &Machine) -> Result<()> {
    let _back = Back(m);
    let cpu = can_go(m, 0);
    let files = m.files() as usize;

    for round in 0..4 {
        let mut guest = Guest::new(m.kvm(), Config::new(files, Mode::Hwaccel))?;

        for n in 0..files {
            guest.boot(n, &[cpu])?;
            guest.send_from_host(n, 1, 20, 1, Guest::signal_msi)?;
        }
        if round % 2 == 0 {
            // The files are in use when the CPU goes, and not when it comes.
            for n in 0..files {
                guest.stop(n)?;
            }
            set_online(cpu, false)?;
            drop(guest);
            set_online(cpu, true)?;
        } else {
            drop(guest);
            set_online(cpu, false)?;
            set_online(cpu, true)?;
        }
    }
    Ok(())
}
