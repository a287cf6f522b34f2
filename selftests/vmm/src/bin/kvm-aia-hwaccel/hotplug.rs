// SPDX-License-Identifier: GPL-2.0

//! CPUs that go offline under running machines, and come back.

use crate::flow::undisturbed;
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
    abi::op,
    diag,
    ensure,
    exact,
    host::set_online,
    Config,
    Context,
    Error,
    Guest,
    Machine,
    Mode,
    Result, //
};

const DURATION: Duration = Duration::from_secs(8);

/// CPUs of `m` that can go: all but the first.
fn can_go(m: &Machine, n: u32) -> usize {
    let others = &m.cpus()[1..];

    others[n as usize % others.len()]
}

/// The CPU on which the target of all MSIs is goes, while they come.
fn flowing(m: &Machine, mode: Mode) -> Result<()> {
    let _back = m.cpus_back();
    let guest = m.boot(Config::new(2, mode))?;

    guest.pin(1, &[m.cpu(0)])?;
    undisturbed(&guest, m.time(DURATION), |n| {
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
    let _back = m.cpus_back();
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
    let _back = m.cpus_back();
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
    let _back = m.cpus_back();
    for cpu in m.unlike(&m.cpus()[1..]) {
        return_to(m, cpu)?;
    }
    Ok(())
}

fn return_to(m: &Machine, cpu: usize) -> Result<()> {
    let files = m.files_of(cpu) as usize;

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

/// All files of a CPU are free: as many vCPUs find one.
fn all_free(m: &Machine, cpu: usize) -> Result<()> {
    let files = m.files_of(cpu) as usize;
    let mut guest = Guest::new(m.kvm(), Config::new(files, Mode::Hwaccel))?;

    for n in 0..files {
        guest
            .boot(n, &[cpu])
            .context(format!("file {} of {files} of CPU {cpu}", n + 1))?;
        guest.send_from_host(n, 1, 20, 1, Guest::signal_msi)?;
        exact(&guest, n, 1, 20, 1)?;
    }
    Ok(())
}

/// As many machines as `cpu` has files end, one after the other and some of them
/// with a vCPU that runs; `delay` later the CPU goes. How many ended while it did,
/// and the time that all ends took.
fn end_while_it_goes(
    m: &Machine,
    cpu: usize,
    round: u32,
    delay: Duration,
) -> Result<(usize, Duration)> {
    let machines = (0..m.files_of(cpu))
        .map(|n| {
            let mut guest = Guest::new(m.kvm(), Config::new(1, Mode::Hwaccel))?;

            guest.boot(0, &[cpu])?;
            guest.signal_msi(0, 5)?;
            if (n + round) % 2 == 0 {
                guest.stop(0)?;
            }
            Ok(guest)
        })
        .collect::<Result<Vec<_>>>()?;
    let going = AtomicBool::new(false);
    let (went, ended) = scope(|s| {
        let ends = s.spawn(|| {
            let start = Instant::now();
            let ended = machines
                .into_iter()
                .map(drop)
                .filter(|()| going.load(Ordering::Acquire))
                .count();

            (ended, start.elapsed())
        });

        sleep(delay);
        going.store(true, Ordering::Release);
        let went = set_online(cpu, false);

        going.store(false, Ordering::Release);
        (went, ends.join())
    });

    went?;
    set_online(cpu, true)?;
    ended.map_err(|_| Error::new("the thread that ends machines panicked"))
}

/// Machines end while the CPU goes that has their guest files (candidate 9a).
pub(crate) fn ends(m: &Machine) -> Result<()> {
    let rounds = m.rounds(16);
    let _back = m.cpus_back();
    let cpus = m.unlike(&m.cpus()[1..]);
    let mut ended = 0;

    for &cpu in &cpus {
        let mut takes = Duration::ZERO;

        for round in 0..rounds {
            // The CPU goes at another point of the ends each time.
            let (meanwhile, all) = end_while_it_goes(m, cpu, round, takes * (round % 8) / 8)?;

            ended += meanwhile;
            takes = all;
            all_free(m, cpu).context(format!("after round {round}"))?;
        }
    }
    diag(format!("{ended} machines ended while their CPU went"));
    ensure(cpus.is_empty() || ended > 0, || {
        "no machine ended while a CPU went".into()
    })
}

/// vCPUs are reset while the CPU goes that has their guest files: nothing is left in them, and the
/// files are free.
pub(crate) fn resets(m: &Machine) -> Result<()> {
    let rounds = m.rounds(16);
    let _back = m.cpus_back();
    let cpu = m.cpu(1);
    let mut takes = Duration::ZERO;

    for round in 0..rounds {
        let mut guest = Guest::new(m.kvm(), Config::new(1, Mode::Hwaccel))?;

        guest.boot(0, &[cpu])?;
        guest.stop(0)?;
        guest.signal_msi(0, 5)?;
        let start = Instant::now();
        let reset = scope(|s| {
            let goes = s.spawn(|| set_online(cpu, false));

            // At another point of it each time.
            sleep(takes * (round % 8) / 8);
            let reset = guest.reset(0);
            let goes = goes
                .join()
                .map_err(|_| Error::new("a thread panicked"))
                .and_then(|went| went);

            reset.and(goes)
        });

        reset.context(format!("round {round}"))?;
        takes = start.elapsed();
        guest.boot(0, &[m.cpu(0)])?;
        guest.send_from_host(0, 1, 20, 1, Guest::signal_msi)?;
        exact(&guest, 0, 1, 20, 1).context(format!("round {round}"))?;
        drop(guest);
        set_online(cpu, true)?;
        all_free(m, cpu).context(format!("after round {round}"))?;
    }
    Ok(())
}
