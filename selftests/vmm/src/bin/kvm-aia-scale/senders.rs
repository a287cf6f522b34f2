// SPDX-License-Identifier: GPL-2.0

//! The senders of a plan, each in a thread of its own.

use crate::plan::{
    From,
    Path, //
};
use std::{
    fmt,
    sync::atomic::{
        AtomicBool,
        AtomicU64,
        Ordering, //
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
    slot::Slot,
    Context,
    Error,
    Guest,
    Result, //
};
use vmm_sys_util::eventfd::EventFd;

/// MSIs that are sent without a look at anything else, or a few more.
const SHARE: u64 = 500;

/// How long all send: until there were so many MSIs, and whoever disturbs them
/// has had enough.
#[derive(Debug)]
pub(crate) struct Budget {
    wanted: u64,
    sent: AtomicU64,
    enough: AtomicBool,
    failed: AtomicBool,
}

impl Budget {
    pub(crate) fn new(wanted: u64) -> Self {
        Self {
            wanted,
            sent: 0.into(),
            enough: false.into(),
            failed: false.into(),
        }
    }

    /// Whether another share is to be sent.
    fn more(&self) -> bool {
        let wanted = self.sent() < self.wanted || !self.enough.load(Ordering::Relaxed);

        wanted && !self.failed.load(Ordering::Relaxed)
    }

    /// What was sent so far by all.
    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// The MSIs were disturbed often enough.
    pub(crate) fn enough(&self) {
        self.enough.store(true, Ordering::Relaxed);
    }

    /// Nobody sends any more.
    pub(crate) fn fail(&self) {
        self.failed.store(true, Ordering::Relaxed);
    }
}

/// The irqfds of the paths that have them, by path and identity.
pub(crate) struct Irqfds(Vec<Vec<EventFd>>);

impl Irqfds {
    pub(crate) fn new(guest: &Guest, paths: &[Path]) -> Result<Self> {
        let with_fds = |p: &&Path| p.from == From::Irqfd;
        let msis: Vec<_> = paths
            .iter()
            .filter(with_fds)
            .flat_map(|p| p.ids.iter().map(|(id, _)| (p.to, id)))
            .collect();
        let mut line = 0;

        if !msis.is_empty() {
            guest.route(&msis)?;
        }
        paths
            .iter()
            .map(|path| {
                let fds = with_fds(&path)
                    .then(|| path.ids.iter())
                    .into_iter()
                    .flatten();

                fds.map(|_| {
                    line += 1;
                    guest.irqfd(guest.msi_line(line - 1))
                })
                .collect()
            })
            .collect::<Result<_>>()
            .map(Self)
    }
}

/// How far a slot is.
pub(crate) struct State<'a>(pub(crate) &'a Slot);

impl fmt::Display for State<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Slot {
            sent,
            seen,
            came,
            again,
            extra,
        } = self.0;

        write!(
            f,
            "{} sent, {} noted, {} interrupts, {} with nothing new, {} too many",
            sent.load(Ordering::Relaxed),
            seen.load(Ordering::Relaxed),
            came.load(Ordering::Relaxed),
            again.load(Ordering::Relaxed),
            extra.load(Ordering::Relaxed),
        )
    }
}

/// Waits until all numbers of a slot were noted.
pub(crate) fn settle(guest: &Guest, to: usize, id: u32, slot: &Slot) -> Result<()> {
    guest.until(
        |_| slot.settled(),
        || format!("MSI {id} of vCPU {to}: {}", State(slot)),
    )
}

/// Sends one share of MSIs along a path of a host thread.
fn from_host(guest: &Guest, path: &Path, post: impl FnMut(u32) -> Result<()>) -> Result<u64> {
    path.ids.send(
        guest.slots(path.to),
        SHARE,
        |id, slot| settle(guest, path.to, id, slot),
        post,
    )
}

/// The same where a vCPU sends.
fn from_vcpu(guest: &Guest, path: &Path, from: usize) -> Result<u64> {
    let ids = path.ids;

    guest.give(
        from,
        op::SEQUENCE,
        &[
            guest.config().imsic_page(path.to),
            path.to as u64,
            ids.first.into(),
            ids.bursts.into(),
            ids.singles.into(),
            SHARE,
        ],
    );
    let [sent, _] = guest.wait(from).inspect_err(|_| {
        // What it waits for is among these.
        let slots = guest.slots(path.to);
        let waits = ids.iter().map(|(id, _)| (id, &slots[id as usize]));

        for (id, slot) in waits.filter(|(_, slot)| !slot.settled()).take(4) {
            diag(format!("MSI {id} of vCPU {}: {}", path.to, State(slot)));
        }
    })?;

    ensure(sent >= SHARE, || format!("vCPU {from} sent {sent} MSIs"))?;
    Ok(sent)
}

/// Sends along one path as long as there is something to send; the MSIs.
pub(crate) fn send(
    guest: &Guest,
    path: &Path,
    n: usize,
    irqfds: &Irqfds,
    budget: &Budget,
) -> Result<u64> {
    let mut all = 0;

    // Everybody takes part, however slow.
    while all == 0 || budget.more() {
        let sent = match path.from {
            From::Vcpu(v) => from_vcpu(guest, path, v),
            From::Signal => from_host(guest, path, |id| guest.signal_msi(path.to, id)),
            From::Irqfd => from_host(guest, path, |id| {
                irqfds.0[n][(id - path.ids.first) as usize]
                    .write(1)
                    .context("eventfd")
            }),
        }
        .context(format!("{path:?}, after {all} MSIs"))
        .inspect_err(|_| budget.fail())?;
        all += sent;
        budget.sent.fetch_add(sent, Ordering::Relaxed);
    }
    Ok(all)
}

/// Says how far it is now and then, for whoever waits for a word.
pub(crate) struct Progress {
    start: Instant,
    last: Instant,
}

impl Progress {
    pub(crate) fn new() -> Self {
        Self {
            start: Instant::now(),
            last: Instant::now(),
        }
    }

    pub(crate) fn say(&mut self, what: impl FnOnce() -> String) {
        if self.last.elapsed() > Duration::from_secs(20) {
            self.last = Instant::now();
            diag(format!("{} s: {}", self.start.elapsed().as_secs(), what()));
        }
    }

    pub(crate) fn seconds(&self) -> f64 {
        self.start.elapsed().as_secs_f64()
    }
}

/// What a thread gave, or that it panicked.
pub(crate) fn joined<T>(result: std::thread::Result<Result<T>>) -> Result<T> {
    result.unwrap_or_else(|_| Err(Error::new("a thread panicked")))
}
