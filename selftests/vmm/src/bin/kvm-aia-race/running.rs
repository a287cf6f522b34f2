// SPDX-License-Identifier: GPL-2.0

//! INIT under vCPUs that run.

use kvm_bindings::KVM_DEV_RISCV_AIA_CONFIG_IDS;
use std::{
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
    abi::{
        op,
        DOORBELL, //
    },
    diag,
    ensure,
    exact,
    regs::imsic::EIE0,
    same,
    Config,
    Context,
    Error,
    Guest,
    Machine,
    Mode,
    Result, //
};

/// vCPUs run when INIT comes; from then on they have interrupt files, and lose
/// nothing (candidate 11).
fn init(m: &Machine, mode: Mode) -> Result<()> {
    const VCPUS: usize = 2;
    let rounds = m.rounds(40);

    for round in 0..rounds {
        let mut guest = Guest::bare(m.kvm(), Config::new(VCPUS, mode))?;

        for n in 0..VCPUS {
            guest.start(n, &[m.cpu(n)])?;
            guest.call(n, op::NOP, &[])?;
        }
        guest.ready()?;
        for n in 0..VCPUS {
            // The first MSI may come before the vCPU was ever entered again.
            guest.signal_msi(n, 7)?;
            guest.call(n, op::IMSIC_INIT, &[1, 63])?;
            guest.until(
                |g| g.count(n, 7) == 1,
                || format!("the MSI of vCPU {n} right after INIT, round {round}"),
            )?;
        }
        guest.give_send(1, 0, 10, 20, 2);
        guest.wait(1)?;
        guest.send_from_host(1, 30, 20, 2, Guest::signal_msi)?;
        for n in 0..VCPUS {
            let first = [10, 30][n];

            for id in first..first + 20 {
                same(guest.count(n, id), 2, || format!("identity {id}"))?;
            }
            same(guest.total(n), 41, || format!("interrupts of vCPU {n}"))?;
        }
    }
    diag(format!("{rounds} machines"));
    Ok(())
}

pub(crate) fn emul(m: &Machine) -> Result<()> {
    init(m, Mode::Emul)
}

pub(crate) fn hwaccel(m: &Machine) -> Result<()> {
    init(m, Mode::Hwaccel)
}

/// How long `attribute` takes that is none of the business of vCPU 0, which runs.
/// To end a wait for it, the vCPU is made to leave KVM_RUN.
fn at_once(guest: &Guest, attribute: impl FnOnce() + Send, what: &str) -> Result<()> {
    scope(|s| {
        let thread = s.spawn(attribute);
        let start = Instant::now();
        let mut waited = false;

        while !thread.is_finished() {
            sleep(Duration::from_millis(1));
            if start.elapsed() > Duration::from_secs(2) {
                waited = true;
                guest.call(0, op::WRITE32, &[DOORBELL, 0])?;
            }
        }
        ensure(!waited, || {
            format!("{what} waited until the vCPU left KVM_RUN")
        })
    })
}

/// Addresses need not wait for vCPUs that run (candidate 12).
pub(crate) fn addresses(m: &Machine) -> Result<()> {
    let guest = m.boot(Config::new(2, Mode::Emul))?;

    at_once(
        &guest,
        || {
            let _ = guest.aia().imsic_addr(0);
        },
        "GET of an address",
    )?;
    at_once(
        &guest,
        || {
            let _ = guest.aia().set_imsic_addr(0, 0);
        },
        "SET of an address",
    )
}

/// While registers of a vCPU that runs are waited for, the others' are not,
/// nor anything else of the device (candidate 12).
pub(crate) fn registers(m: &Machine) -> Result<()> {
    let mut guest = m.boot(Config::new(2, Mode::Emul))?;

    guest.stop(1)?;
    scope(|s| {
        let waiting = s.spawn(|| guest.aia().imsic(0, EIE0));
        let free = (|| {
            sleep(Duration::from_millis(50));
            at_once(
                &guest,
                || {
                    let _ = guest.aia().config(KVM_DEV_RISCV_AIA_CONFIG_IDS);
                },
                "GET of CONFIG",
            )?;
            at_once(
                &guest,
                || {
                    let _ = guest.aia().imsic(1, EIE0);
                },
                "GET of a register of another vCPU",
            )
        })();

        // The registers of this one come once it leaves KVM_RUN.
        while !waiting.is_finished() {
            guest.call(0, op::WRITE32, &[DOORBELL, 0])?;
        }
        let eie0 = waiting
            .join()
            .map_err(|_| Error::new("a thread panicked"))?
            .context("GET of a register of a vCPU that runs")?;

        same(eie0, !1, || "eie0".into())?;
        free
    })
}

/// A guest works on while others are made and go, on the same CPUs.
pub(crate) fn neighbours(m: &Machine) -> Result<()> {
    let guest = m.boot(Config::new(2, m.best_mode()))?;

    let start = Instant::now();
    let mut rounds = 0;

    // A machine takes seconds to end where a grace period does.
    while rounds < 2 || (rounds < 40 && start.elapsed() < 4 * crate::duration()) {
        rounds += 1;
        guest.give_send(1, 0, 1, 40, 20);
        for n in 0..3 {
            let mut other = Guest::new(m.kvm(), Config::new(2, m.best_mode()))?;

            other.boot(0, &[m.cpu(n)])?;
            other.signal_msi(0, 9)?;
            other.until(|g| g.count(0, 9) == 1, || "a neighbour's MSI".into())?;
        }
        guest.wait(1)?;
        exact(&guest, 0, 1, 40, 20 * rounds)?;
    }
    diag(format!("{rounds} rounds"));
    Ok(())
}
