// SPDX-License-Identifier: GPL-2.0

//! The guest goes on in other machines.

use crate::boot::Lines;
use kvm_ioctls::Kvm;
use std::{
    sync::atomic::Ordering,
    thread::sleep,
    time::Duration, //
};
use vmm::{
    diag,
    ensure,
    Error,
    Guest,
    Migration,
    Mode,
    Result, //
};

/// The modes of the machines, in turn.
const MODES: [Mode; 3] = [Mode::Auto, Mode::Hwaccel, Mode::Emul];

/// How long it works in each.
const PAUSE: Duration = Duration::from_millis(80);

/// Moves a guest that runs `count` times.
pub fn go(kvm: &Kvm, guest: &mut Guest, lines: &Lines, count: u32) -> Result<()> {
    let mut all = Vec::new();
    let requests = || lines.requests.load(Ordering::Relaxed);
    let before = requests();

    for (n, mode) in (1..=count).zip(MODES.into_iter().cycle()) {
        sleep(PAUSE);
        let moved = guest.migrate(kvm, mode, |from| lines.unplug(from), |to| lines.plug(to))?;

        all.push(moved.map_err(|end| Error::new(format!("{end:?} at migration {n} of {count}")))?);
    }
    report(&all, requests() - before);
    ensure(requests() > before, || {
        "the disk had nothing to do meanwhile".into()
    })
}

fn report(all: &[Migration], requests: u64) {
    let count = all.len().max(1) as u32;
    let sum: Duration = all.iter().map(|m| m.stopped).sum();
    let worst = all.iter().map(|m| m.stopped).max().unwrap_or_default();
    let pages =
        |part: fn(&Migration) -> usize| all.iter().map(part).sum::<usize>() / count as usize;

    diag(format!(
        "{} migrations; vCPUs stood still for {} ms, {} at most; {} pages were copied before, {} meanwhile; \
         the disk had {requests} requests",
        all.len(),
        (sum / count).as_millis(),
        worst.as_millis(),
        pages(|m| m.before),
        pages(|m| m.after),
    ));
}
