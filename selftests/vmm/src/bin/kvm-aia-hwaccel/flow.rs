// SPDX-License-Identifier: GPL-2.0

//! MSIs in sequence: of each identity the next is sent when the last was
//! counted, so that one that is lost stops everything, and one too many shows.

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
    regs::imsic::*,
    same,
    Context,
    Error,
    Guest,
    Result, //
};

/// Identities from the host, and from another vCPU.
const HOST: u32 = 1;
const PEER: u32 = 64;
const IDS: u32 = 60;
const BATCH: u32 = 8;

/// Sends identities HOST.. to vCPU 0 until `stop`; the rounds.
fn from_host(guest: &Guest, stop: &AtomicBool) -> Result<u32> {
    let mut rounds = 0;

    while !stop.load(Ordering::Relaxed) {
        guest
            .send_from_host(0, HOST, IDS, 1, Guest::signal_msi)
            .context(format!("MSIs of the host, round {rounds}"))?;
        rounds += 1;
    }
    Ok(rounds)
}

/// The same with PEER.. and vCPU 1.
fn from_peer(guest: &Guest, stop: &AtomicBool) -> Result<u32> {
    let mut rounds = 0;

    while !stop.load(Ordering::Relaxed) {
        guest.give_send(1, 0, PEER, IDS, BATCH.into());
        let [sent, _] = guest
            .wait(1)
            .context(format!("MSIs of vCPU 1, round {rounds}"))?;

        same(sent, (IDS * BATCH).into(), || {
            format!("MSIs of vCPU 1 that arrived once, round {rounds}")
        })?;
        rounds += BATCH;
    }
    Ok(rounds)
}

/// What vCPU 0 finds in its file: whether an MSI is missing, or its enable bit.
fn say_registers(guest: &Guest) {
    for (name, select) in [
        ("eidelivery", EIDELIVERY),
        ("eithreshold", EITHRESHOLD),
        ("eip0", EIP0),
        ("eip2", EIP0 + 2),
        ("eie0", EIE0),
        ("eie2", EIE0 + 2),
    ] {
        match guest.ireg_read(0, select) {
            Ok(value) => diag(format!("vCPU 0: {name} = {value:#x}")),
            Err(e) => diag(format!("vCPU 0: {name}: {e}")),
        }
    }
}

/// MSIs flow to vCPU 0 from the host and from vCPU 1, if there is one, for so
/// long, while `disturb` is called again and again.
pub(crate) fn undisturbed(
    guest: &Guest,
    duration: Duration,
    mut disturb: impl FnMut(u32) -> Result<()> + Send,
) -> Result<()> {
    let stop = AtomicBool::new(false);
    let base = (guest.count(0, HOST), guest.count(0, PEER));
    let peer = guest.config().vcpus > 1;

    let (host, peer, disturbances) = scope(|s| {
        let host = s.spawn(|| {
            let sent = from_host(guest, &stop);

            stop.fetch_or(sent.is_err(), Ordering::Relaxed);
            sent
        });
        let peer = s.spawn(|| {
            let sent = if peer { from_peer(guest, &stop) } else { Ok(0) };

            stop.fetch_or(sent.is_err(), Ordering::Relaxed);
            sent
        });
        let start = Instant::now();
        let mut n = 0;
        let mut disturbed = Ok(());

        while disturbed.is_ok() && start.elapsed() < duration && !stop.load(Ordering::Relaxed) {
            disturbed = disturb(n);
            n += 1;
        }
        stop.store(true, Ordering::Relaxed);
        let gone = |_| Error::new("a sending thread panicked");
        let host = host.join().map_err(gone).and_then(|sent| sent);
        let peer = peer.join().map_err(gone).and_then(|sent| sent);

        (host, peer, disturbed.map(|()| n))
    });
    if host.is_err() || peer.is_err() {
        say_registers(guest);
    }
    let (host, peer) = (
        host.context(format!("after {disturbances:?} disturbances"))?,
        peer.context(format!("after {disturbances:?} disturbances"))?,
    );

    diag(format!(
        "{} disturbances, {} MSIs of the host, {} of vCPU 1",
        disturbances?,
        host * IDS,
        peer * IDS
    ));
    // One too many may still be on its way.
    sleep(Duration::from_millis(20));
    for id in 0..IDS {
        same(guest.count(0, HOST + id), base.0 + host, || {
            format!("count of identity {} of the host", HOST + id)
        })?;
        same(guest.count(0, PEER + id), base.1 + peer, || {
            format!("count of identity {} of vCPU 1", PEER + id)
        })?;
    }
    Ok(())
}
