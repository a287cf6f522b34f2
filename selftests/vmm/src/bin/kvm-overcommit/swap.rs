// SPDX-License-Identifier: GPL-2.0

//! vCPUs that go where all files are in use.

use crate::steals;
use std::{
    sync::atomic::{
        AtomicBool,
        Ordering, //
    },
    thread::{
        scope,
        sleep, //
    },
    time::{
        Duration,
        Instant, //
    },
};
use vmm::{
    diag,
    ensure,
    host::set_online,
    same,
    Config,
    Context,
    Error,
    Guest,
    Machine,
    Mode,
    Result, //
};

const IDS: u32 = 30;

/// A machine that has all files of two CPUs, and to each of whose vCPUs MSIs flow while `disturb` is
/// called again and again.
fn flowing(
    m: &Machine,
    mode: Mode,
    more: usize,
    mut disturb: impl FnMut(&Guest, usize) -> Result<()> + Send,
) -> Result<()> {
    let (first, second) = (m.cpu(0), m.cpu(1));
    let half = m.files_of(first).max(m.files_of(second)) as usize + more;
    let mut guest = Guest::new(m.kvm(), Config::new(2 * half, mode))?;
    let stop = AtomicBool::new(false);

    for n in 0..2 * half {
        guest.boot(n, &[if n < half { first } else { second }])?;
    }
    let (rounds, disturbed) = scope(|s| {
        let guest = &guest;
        let senders: Vec<_> = (0..2 * half)
            .map(|n| {
                let stop = &stop;

                s.spawn(move || {
                    let mut rounds = 0;

                    while !stop.load(Ordering::Relaxed) {
                        guest
                            .send_from_host(n, 1, IDS, 1, Guest::signal_msi)
                            .inspect_err(|_| stop.store(true, Ordering::Relaxed))?;
                        rounds += 1;
                    }
                    Ok::<u32, Error>(rounds)
                })
            })
            .collect();
        let start = Instant::now();
        let mut disturbed = Ok(0);

        while let Ok(n) = disturbed {
            if start.elapsed() > m.time(Duration::from_secs(4)) || stop.load(Ordering::Relaxed) {
                break;
            }
            disturbed = disturb(guest, n).map(|()| n + 1);
        }
        stop.store(true, Ordering::Relaxed);
        let rounds: Vec<_> = senders
            .into_iter()
            .map(|s| {
                s.join()
                    .unwrap_or_else(|_| Err(Error::new("a thread panicked")))
            })
            .collect();

        (rounds, disturbed)
    });
    let disturbed = disturbed?;

    // One too many may still be on its way.
    sleep(Duration::from_millis(20));
    for n in 0..2 * half {
        guest.stop(n)?;
    }
    let mut all = (0, 0);

    for (n, rounds) in rounds.into_iter().enumerate() {
        let rounds = rounds.context(format!("vCPU {n}, after {disturbed} disturbances"))?;

        for id in 1..=IDS {
            same(guest.count(n, id), rounds, || {
                format!("count of identity {id} of vCPU {n}")
            })?;
        }
        same(guest.total(n), u64::from(rounds * IDS), || {
            format!("interrupts of vCPU {n}")
        })?;
        let (more, less) = steals(&guest.stats(n)?);

        all = (all.0 + more, all.1 + less);
    }
    diag(format!("{disturbed} disturbances, {} steals", all.0));
    same(all.0, all.1, || "files taken, and lost".into())?;
    ensure(all.0 != 0, || "nobody took a file".into())
}

/// One of each half goes to the other CPU, at about the same time.
fn swap(m: &Machine, mode: Mode) -> Result<()> {
    flowing(m, mode, 0, |guest, n| {
        let half = guest.config().vcpus / 2;
        let (one, other) = (n / 2 % half, half + n / 2 % half);

        // Often they are there before the next two go, and often not.
        guest.pin(one, &[m.cpu((n + 1) % 2)])?;
        guest.pin(other, &[m.cpu(n % 2)])?;
        sleep(Duration::from_micros(300 * (n as u64 % 7)));
        Ok(())
    })
}

pub(crate) fn hwaccel(m: &Machine) -> Result<()> {
    swap(m, Mode::Hwaccel)
}

pub(crate) fn auto(m: &Machine) -> Result<()> {
    swap(m, Mode::Auto)
}

/// There are too many on both, and all go to one when the other goes.
pub(crate) fn hotplug(m: &Machine) -> Result<()> {
    let _back = m.cpus_back();

    flowing(m, Mode::Hwaccel, 1, |guest, n| {
        let vcpus = guest.config().vcpus;

        for v in 0..vcpus {
            guest.pin(v, &[m.cpu(v + n), m.cpu(v + n + 1)])?;
            sleep(Duration::from_micros(200));
        }
        let gone = m.cpus()[1 + n % (m.cpus().len() - 1)];

        set_online(gone, false)?;
        sleep(Duration::from_millis(10));
        set_online(gone, true)
    })
}
