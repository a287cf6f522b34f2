// SPDX-License-Identifier: GPL-2.0

//! The MSI of genmsi comes after those that the APLIC sent to the hart before (AP-26), which is how
//! software knows that no older one is in flight (AP-43).
//!
//! Two threads of the VMM pulse wires all the time, vCPU 1 or 2 takes what that sends.

use crate::domain::{
    to,
    Domain, //
};
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
    regs::{
        aplic::*,
        imsic::EIP0, //
    },
    same,
    Machine,
    Mode,
    Result, //
};

/// Sources, and the identities of their MSIs.
const SOURCES: u32 = 6;
/// The identity of genmsi: of the lowest priority, so that it is claimed behind all that is there.
const LAST: u32 = 60;
const BUSY: u32 = 1 << 12;
const DURATION: Duration = Duration::from_secs(3);

/// A domain that delivers edges of all sources to vCPU 1; vCPUs 1 and 2 take and count them.
fn domain(m: &Machine, mode: Mode) -> Result<Domain> {
    let d = Domain::new(m, mode, 3, 40)?;

    for source in 1..=SOURCES {
        d.source(source, sm::EDGE1, to(1, source))?;
    }
    for vcpu in 1..3 {
        d.guest().unmask(vcpu)?;
    }
    d.deliver(true)?;
    Ok(d)
}

/// Pulses each `step`th wire from `first` on until `stop`.
fn pulse(d: &Domain, first: u32, step: usize, stop: &AtomicBool) -> Result<()> {
    while !stop.load(Ordering::Relaxed) {
        for source in (first..=SOURCES).step_by(step) {
            d.guest().irq_line(source, true)?;
            d.guest().irq_line(source, false)?;
        }
        // Others need the CPU, too.
        sleep(Duration::from_micros(50));
    }
    Ok(())
}

/// Does `round` over and over while wires are pulsed; how often.
fn while_pulsing(d: &Domain, mut round: impl FnMut(u32) -> Result<()>) -> Result<u32> {
    let stop = AtomicBool::new(false);
    let (pulses, rounds) = scope(|s| {
        let threads = [1, 2].map(|first| {
            let stop = &stop;

            s.spawn(move || pulse(d, first, 2, stop))
        });
        let start = Instant::now();
        let mut rounds = Ok(0);

        while let Ok(n) = rounds {
            if start.elapsed() > DURATION {
                break;
            }
            rounds = round(n).map(|()| n + 1);
        }
        stop.store(true, Ordering::Relaxed);
        (threads.map(|t| t.join()), rounds)
    });

    for thread in pulses {
        thread.map_err(|_| vmm::Error::new("a pulsing thread panicked"))??;
    }
    rounds
}

/// What vCPU `hart` has counted of the sources.
fn counted(d: &Domain, hart: usize) -> u64 {
    (1..=SOURCES)
        .map(|id| u64::from(d.guest().count(hart, id)))
        .sum()
}

/// Sends genmsi to a hart, and waits until it was taken. Whatever else the hart was sent before it
/// has taken, too, by then; nothing is sent any more.
fn is_last(d: &Domain, hart: usize, round: u32) -> Result<u64> {
    let before = d.guest().count(hart, LAST);

    d.write(GENMSI, to(hart as u32, LAST))?;
    while d.read(GENMSI)? & BUSY != 0 {}
    d.guest().until(
        |g| g.count(hart, LAST) != before,
        || format!("the MSI of genmsi in round {round}"),
    )?;
    let all = counted(d, hart);

    sleep(Duration::from_micros(500));
    same(counted(d, hart), all, || {
        format!("MSIs of sources counted by hart {hart} after genmsi, round {round}")
    })?;
    same(d.guest().count(hart, LAST), before + 1, || {
        "MSIs of genmsi".into()
    })?;
    Ok(all)
}

/// No MSI of a source comes after genmsi once IE is clear.
pub(crate) fn interrupt_enable(m: &Machine, mode: Mode) -> Result<()> {
    let d = domain(m, mode)?;
    let rounds = while_pulsing(&d, |round| {
        d.deliver(false)?;
        let all = is_last(&d, 1, round)?;

        d.deliver(true)?;
        // Nothing would be shown if nothing came.
        d.guest().until(
            |_| counted(&d, 1) > all,
            || format!("MSIs of sources in round {round}"),
        )
    })?;

    diag(format!("{rounds} rounds, {} MSIs", counted(&d, 1)));
    Ok(())
}

/// No MSI of a source comes to its old hart after genmsi once it has another target.
pub(crate) fn target(m: &Machine, mode: Mode) -> Result<()> {
    let d = domain(m, mode)?;
    let rounds = while_pulsing(&d, |round| {
        let (old, new) = match round % 2 {
            0 => (1, 2),
            _ => (2, 1),
        };
        let before = counted(&d, new);

        for source in 1..=SOURCES {
            d.write(TARGET + 4 * source, to(new as u32, source))?;
        }
        is_last(&d, old, round)?;
        d.guest().until(
            |_| counted(&d, new) > before,
            || format!("MSIs of sources to hart {new} in round {round}"),
        )
    })?;

    diag(format!(
        "{rounds} rounds, {} and {} MSIs",
        counted(&d, 1),
        counted(&d, 2)
    ));
    Ok(())
}

/// Once genmsi is not busy, its MSI is there, and so is all that was sent before.
pub(crate) fn not_busy(m: &Machine, mode: Mode) -> Result<()> {
    // Nobody pulses these.
    const QUIET: [u32; 3] = [SOURCES + 1, 31, 33];
    let d = domain(m, mode)?;
    let id = |source| source + 10;

    // All to vCPU 0, which takes nothing by itself.
    for source in 1..=SOURCES {
        d.write(TARGET + 4 * source, to(0, source))?;
    }
    for source in QUIET {
        d.source(source, sm::DETACHED, to(0, id(source)))?;
    }
    let rounds = while_pulsing(&d, |round| {
        let mut wanted = 1 << LAST;

        d.guest().ireg_write(0, EIP0, 0)?;
        for source in QUIET {
            d.write(SETIPNUM, source)?;
            // It is not pending any more because it was sent.
            d.pending(source, false, "after setipnum")?;
            wanted |= 1 << id(source);
        }
        d.write(GENMSI, to(0, LAST))?;
        while d.read(GENMSI)? & BUSY != 0 {}
        same(d.guest().ireg_read(0, EIP0)? & wanted, wanted, || {
            format!("pending bits behind genmsi, round {round}")
        })
    })?;

    diag(format!("{rounds} rounds"));
    Ok(())
}
