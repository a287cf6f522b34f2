// SPDX-License-Identifier: GPL-2.0

//! A guest that goes on in other machines, each of another process: live migration.

use crate::{
    boot::Wanted,
    console::{
        Console,
        Writer, //
    },
    process::{
        Answer,
        Order,
        Worker, //
    },
    LIMIT,
    TESTS,
    VCPUS, //
};
use os_pipe::PipeWriter;
use std::{
    io,
    sync::Arc,
    thread::{
        self,
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
    Context,
    Error,
    Mode,
    Result,
    Sent, //
};

/// The modes of the machines, in turn, after the first, which is in mode EMUL.
const MODES: [Mode; 3] = [Mode::Auto, Mode::Hwaccel, Mode::Emul];

/// How long it works in each.
const PAUSE: Duration = Duration::from_millis(80);

/// Largest identity of its interrupt files.
pub const IDS: u32 = 255;

/// The guest, in a machine in this mode. It has enough to do.
pub fn wanted(mode: Mode) -> Wanted<'static> {
    Wanted {
        vcpus: VCPUS,
        mode,
        ids: IDS,
        tests: &TESTS,
        args: "aia.arg.disk=rounds=30000 aia.arg.ids=rounds=18000",
    }
}

/// What a migration took.
struct Migration {
    /// From when vCPUs are being stopped until they run again.
    stopped: Duration,
    sent: Sent,
}

/// Ends with what has gone wrong, if it has; `what` was expected.
fn unexpected(answer: Answer, what: &str) -> Error {
    Error::new(match answer {
        Answer::Failed(e) => e,
        Answer::Ended { .. } => format!("the guest has ended before {what}"),
        _ => format!("another answer than {what}"),
    })
}

/// Lets the guest of `from` go on in a machine of `to`, which is in `mode`.
fn migrate(
    from: &mut Worker,
    to: &mut Worker,
    mode: Mode,
    requests: &mut u64,
) -> Result<Migration> {
    to.tell(&Order::Await(mode))?;
    let memory = match to.hear()? {
        Answer::Awaiting(memory) => memory,
        other => return Err(unexpected(other, "a machine")),
    };

    from.tell(&Order::Leave(memory))?;
    match from.hear()? {
        Answer::Stopping => (),
        other => return Err(unexpected(other, "it stopped")),
    }
    let begin = Instant::now();
    let sent = match from.hear()? {
        Answer::Left {
            parts,
            sent,
            requests: done,
        } => {
            *requests += done;
            to.tell(&Order::Arrive(parts))?;
            sent
        }
        other => return Err(unexpected(other, "it left")),
    };

    match to.hear()? {
        Answer::Runs => Ok(Migration {
            stopped: begin.elapsed(),
            sent,
        }),
        other => Err(unexpected(other, "it arrived")),
    }
}

/// Where all processes write the console of their guest to.
fn console(console: &Arc<Console>) -> io::Result<PipeWriter> {
    let (mut read, write) = os_pipe::pipe()?;
    let mut writer = Writer::new(console.clone());

    thread::spawn(move || io::copy(&mut read, &mut writer));
    Ok(write)
}

/// Boots a guest, which moves `count` times, and waits until it switches itself off.
pub fn go(lines: &Arc<Console>, count: u32) -> Result<()> {
    let console = console(lines).context("console")?;
    let start = || Worker::start(&console, LIMIT);
    let mut all = Vec::new();
    let mut requests = 0;
    let mut worker = start()?;

    worker.tell(&Order::Boot)?;
    match worker.hear()? {
        Answer::Runs => (),
        other => return Err(unexpected(other, "it ran")),
    }
    for (n, mode) in (1..=count).zip(MODES.into_iter().cycle()) {
        sleep(PAUSE);
        let mut next = start()?;
        let moved = migrate(&mut worker, &mut next, mode, &mut requests)
            .context(format!("migration {n} of {count}, to mode {mode}"))?;

        all.push(moved);
        worker = next;
    }
    report(&all, requests);
    ensure(requests > 0, || {
        "the disk had nothing to do meanwhile".into()
    })?;
    match worker.hear()? {
        Answer::Ended { .. } => Ok(()),
        other => Err(unexpected(other, "its end")),
    }
}

fn report(all: &[Migration], requests: u64) {
    let count = all.len().max(1) as u32;
    let sum: Duration = all.iter().map(|m| m.stopped).sum();
    let worst = all.iter().map(|m| m.stopped).max().unwrap_or_default();
    let pages = |part: fn(&Sent) -> usize| {
        all.iter().map(|m| part(&m.sent)).sum::<usize>() / count as usize
    };

    diag(format!(
        "{} migrations; vCPUs stood still for {} ms, {} at most; {} pages were copied before, {} meanwhile; \
         the disk had {requests} requests",
        all.len(),
        (sum / count).as_millis(),
        worst.as_millis(),
        pages(|s| s.before),
        pages(|s| s.after),
    ));
}
