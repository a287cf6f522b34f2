// SPDX-License-Identifier: GPL-2.0

//! Too many vCPUs on one CPU.

use crate::steals;
use std::time::{
    Duration,
    Instant, //
};
use vmm::{
    diag,
    ensure,
    exact,
    same,
    Config,
    Guest,
    Machine,
    Mode,
    Result, //
};

const IDS: u32 = 40;
const ROUNDS: u32 = 5;

/// A machine with more vCPUs than `cpu`, where all of them are, has files.
pub(crate) fn crowd(m: &Machine, cpu: usize, mode: Mode) -> Result<Guest> {
    let vcpus = m.files_of(cpu) as usize + 2;
    let mut guest = Guest::new(m.kvm(), Config::new(vcpus, mode))?;

    for n in 0..vcpus {
        guest.boot(n, &[cpu])?;
    }
    Ok(guest)
}

/// What all vCPUs have taken of each other.
fn sum(guest: &Guest) -> Result<(u64, u64)> {
    (0..guest.config().vcpus).try_fold((0, 0), |(steals_, losses), n| {
        let (more, less) = steals(&guest.stats(n)?);

        Ok((steals_ + more, losses + less))
    })
}

/// A ring: each vCPU sends to the next, whose state is anywhere; and the host to each.
fn ring(m: &Machine, mode: Mode) -> Result<()> {
    for cpu in m.unlike(m.cpus()) {
        let mut guest = crowd(m, cpu, mode)?;
        let vcpus = guest.config().vcpus;

        for n in 0..vcpus {
            guest.give_send(n, (n + 1) % vcpus, 1, IDS, ROUNDS.into());
        }
        for n in 0..vcpus {
            guest.send_from_host(n, IDS + 1, 20, ROUNDS, Guest::signal_msi)?;
        }
        for n in 0..vcpus {
            let [sent, _] = guest.wait(n)?;

            same(sent, (IDS * ROUNDS).into(), || {
                format!("MSIs of vCPU {n} that arrived once")
            })?;
        }
        for n in 0..vcpus {
            for id in 1..=IDS + 20 {
                same(guest.count(n, id), ROUNDS, || {
                    format!("count of identity {id} of vCPU {n}")
                })?;
            }
            same(guest.total(n), ((IDS + 20) * ROUNDS).into(), || {
                format!("interrupts of vCPU {n}")
            })?;
        }
        // So that nothing changes from one to the next.
        for n in 0..vcpus {
            guest.stop(n)?;
        }
        let (steals, losses) = sum(&guest)?;

        same(steals, losses, || "files taken, and lost".into())?;
        ensure(steals != 0, || "nobody took a file".into())?;
        diag(format!("CPU {cpu}: {vcpus} vCPUs, {steals} steals"));
    }
    Ok(())
}

/// Whichever vCPU runs takes what it polls from a file: none of its accesses traps.
pub(crate) fn hwaccel(m: &Machine) -> Result<()> {
    let cpu = m.cpu(0);
    let guest = crowd(m, cpu, Mode::Hwaccel)?;

    for n in 0..guest.config().vcpus {
        let before = guest.stats(n)?;

        guest.send_from_host(n, 1, IDS, ROUNDS, Guest::signal_msi)?;
        exact(&guest, n, 1, IDS, ROUNDS)?;
        same(guest.stats(n)?.since(&before).traps(), 0, || {
            format!("exits of vCPU {n}")
        })?;
        same(guest.stats(n)?.get("aia_file_misses"), 0, || {
            format!("entries of vCPU {n} without a file")
        })?;
    }
    drop(guest);
    ring(m, Mode::Hwaccel)
}

pub(crate) fn auto(m: &Machine) -> Result<()> {
    ring(m, Mode::Auto)
}

/// Two that alternate at each MSI: no more steals than the tenure of 1 ms allows, and nearly no time.
pub(crate) fn tenure(m: &Machine) -> Result<()> {
    let cpu = m.cpu(0);
    let guest = crowd(m, cpu, Mode::Auto)?;
    let vcpus = guest.config().vcpus;
    let before = sum(&guest)?;
    let start = Instant::now();

    // They sleep in between, so that each MSI changes who runs.
    for n in 0..vcpus {
        guest.park(n);
    }
    while start.elapsed() < m.time(Duration::from_secs(2)) {
        for n in 0..vcpus {
            guest.send_from_host(n, 1, 1, 1, Guest::signal_msi)?;
        }
    }
    let took = start.elapsed().as_millis() as u64 + 1;
    let (steals, _) = sum(&guest)?;
    let most = took * u64::from(m.files_of(cpu));

    for n in 0..vcpus {
        guest.unpark(n)?;
    }
    diag(format!(
        "{} wake-ups of each in {took} ms, {} steals",
        guest.count(0, 1),
        steals - before.0
    ));
    ensure(steals - before.0 <= most, || {
        format!("{} steals in {took} ms, at most {most}", steals - before.0)
    })?;
    ensure(steals > before.0, || "nobody took a file".into())
}
