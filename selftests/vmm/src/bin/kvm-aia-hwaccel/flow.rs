// SPDX-License-Identifier: GPL-2.0

//! MSIs in sequence: of each identity the next is sent when the last was
//! counted, so that one that is lost stops everything, and one too many shows.

use kvm_bindings::KVM_DEV_RISCV_AIA_CONFIG_IDS;
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

const BATCH: u32 = 8;

/// The largest identity of the guest.
pub(crate) fn ids(guest: &Guest) -> Result<u32> {
    guest
        .aia()
        .config(KVM_DEV_RISCV_AIA_CONFIG_IDS)
        .context("IDS")
}

/// What is sent to vCPU 0.
#[derive(Clone, Copy)]
struct Flow {
    /// The first identity from the host.
    host: u32,
    /// The first one from another vCPU.
    peer: u32,
    /// How many from each.
    ids: u32,
}

impl Flow {
    /// In two words of identities, if the guest has as many.
    fn new(guest: &Guest) -> Result<Self> {
        let (peer, ids) = if ids(guest)? > 63 { (64, 60) } else { (32, 30) };

        Ok(Self { host: 1, peer, ids })
    }
}

/// Sends the identities of the host to vCPU 0 until `stop`; the rounds.
fn from_host(guest: &Guest, flow: Flow, stop: &AtomicBool) -> Result<u32> {
    let mut rounds = 0;

    while !stop.load(Ordering::Relaxed) {
        guest
            .send_from_host(0, flow.host, flow.ids, 1, Guest::signal_msi)
            .context(format!("MSIs of the host, round {rounds}"))?;
        rounds += 1;
    }
    Ok(rounds)
}

/// The same with those of the other vCPU, vCPU 1.
fn from_peer(guest: &Guest, flow: Flow, stop: &AtomicBool) -> Result<u32> {
    let mut rounds = 0;

    while !stop.load(Ordering::Relaxed) {
        guest.give_send(1, 0, flow.peer, flow.ids, BATCH.into());
        let [sent, _] = guest
            .wait(1)
            .context(format!("MSIs of vCPU 1, round {rounds}"))?;

        same(sent, (flow.ids * BATCH).into(), || {
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
    let flow = Flow::new(guest)?;
    let base = (guest.count(0, flow.host), guest.count(0, flow.peer));
    let peer = guest.config().vcpus > 1;

    let (host, peer, disturbances) = scope(|s| {
        let host = s.spawn(|| {
            let sent = from_host(guest, flow, &stop);

            stop.fetch_or(sent.is_err(), Ordering::Relaxed);
            sent
        });
        let peer = s.spawn(|| {
            let sent = if peer {
                from_peer(guest, flow, &stop)
            } else {
                Ok(0)
            };

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
        host * flow.ids,
        peer * flow.ids
    ));
    // One too many may still be on its way.
    sleep(Duration::from_millis(20));
    for (first, sent, who) in [
        (flow.host, base.0 + host, "the host"),
        (flow.peer, base.1 + peer, "vCPU 1"),
    ] {
        for id in first..first + flow.ids {
            same(guest.count(0, id), sent, || {
                format!("count of identity {id} of {who}")
            })?;
        }
    }
    Ok(())
}
