// SPDX-License-Identifier: GPL-2.0

//! vCPUs that change their CPU while MSIs flow.

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
    ensure,
    exact,
    Config,
    Context,
    Error,
    Guest,
    Machine,
    Mode,
    Result,
    PATIENCE, //
};

/// MSIs flow to vCPU 0 by `round`, again and again, while it changes its CPU.
/// Gives the number of rounds.
fn moving(m: &Machine, guest: &Guest, mut round: impl FnMut() -> Result<()>) -> Result<u32> {
    /// Moves after which MSIs arrived before the next.
    const MOVES: u32 = 150;
    let failed = AtomicBool::new(false);

    scope(|s| {
        let mover = s.spawn(|| {
            let mut last = Instant::now();
            let (mut moves, mut fruitful) = (0, 0);

            while fruitful < MOVES && !failed.load(Ordering::Relaxed) {
                let seen = guest.total(0);

                guest.pin(0, &[m.cpu(moves as usize + 1)])?;
                moves += 1;
                sleep(Duration::from_micros(700));
                if guest.total(0) != seen {
                    fruitful += 1;
                    last = Instant::now();
                }
                ensure(last.elapsed() < PATIENCE, || {
                    format!("only {fruitful} of {moves} moves met MSIs")
                })?;
            }
            Ok::<u32, Error>(moves)
        });
        let mut rounds = 0;
        let mut sent = Ok(());

        while sent.is_ok() && !mover.is_finished() {
            sent = round();
            rounds += 1;
        }
        failed.store(sent.is_err(), Ordering::Relaxed);
        let moves = mover
            .join()
            .map_err(|_| Error::new("the moving thread panicked"))?;

        sent.context(format!("round {rounds}, after {moves:?} moves"))?;
        ktap::diag(format!(
            "{} moves, {rounds} rounds, {} MSIs",
            moves?,
            guest.total(0)
        ));
        Ok(rounds)
    })
}

/// MSIs from the host to a vCPU that keeps moving.
fn move_host(m: &Machine, mode: Mode) -> Result<()> {
    const IDS: u32 = 60;
    let guest = m.boot(Config::new(1, mode))?;
    let rounds = moving(m, &guest, || {
        guest.send_from_host(0, 1, IDS, 1, Guest::signal_msi)
    })?;

    exact(&guest, 0, 1, IDS, rounds)
}

pub(crate) fn hw_move_host(m: &Machine) -> Result<()> {
    move_host(m, Mode::Hwaccel)
}

pub(crate) fn emul_move_host(m: &Machine) -> Result<()> {
    move_host(m, Mode::Emul)
}

/// As [`emul_move_host`] while another vCPU makes KVM stop it on its way into the guest: a CPU on
/// which it has been, but not in the guest, must not have the last word about its interrupts.
pub(crate) fn emul_move_stopped(m: &Machine) -> Result<()> {
    const IDS: u32 = 60;
    const RFENCE: u64 = 0x5246_4e43;
    const FENCE_I: u64 = 0;
    let guest = m.boot(Config::new(2, Mode::Emul))?;
    let done = AtomicBool::new(false);

    let (rounds, fences) = scope(|s| {
        let other = s.spawn(|| {
            let mut fences = 0u32;

            while !done.load(Ordering::Relaxed) {
                // To hart 0.
                guest.sbi(1, RFENCE, FENCE_I, &[1, 0])?;
                fences += 1;
            }
            Ok::<u32, Error>(fences)
        });
        let rounds = moving(m, &guest, || {
            guest.send_from_host(0, 1, IDS, 1, Guest::signal_msi)
        });

        done.store(true, Ordering::Relaxed);
        let fences = other
            .join()
            .map_err(|_| Error::new("the fencing thread panicked"))?;

        Ok::<(u32, u32), Error>((rounds?, fences?))
    })?;

    ktap::diag(format!("{fences} fences"));
    exact(&guest, 0, 1, IDS, rounds)
}

/// MSIs from another vCPU, which stays where it is, to one that keeps moving.
fn move_vcpu(m: &Machine, mode: Mode) -> Result<()> {
    const IDS: u32 = 60;
    const ROUNDS: u32 = 20;
    let guest = m.boot(Config::new(2, mode))?;
    let rounds = moving(m, &guest, || {
        guest.give_send(1, 0, 1, IDS, ROUNDS.into());
        let [sent, _] = guest.wait(1)?;

        ensure(sent == u64::from(IDS * ROUNDS), || {
            format!("the sender saw {sent} of {IDS} * {ROUNDS} MSIs arrive once")
        })
    })?;

    exact(&guest, 0, 1, IDS, rounds * ROUNDS)
}

pub(crate) fn hw_move_vcpu(m: &Machine) -> Result<()> {
    move_vcpu(m, Mode::Hwaccel)
}

/// As above where the moving vCPU finds a guest file on some CPUs only: the
/// first CPU's are all taken.
pub(crate) fn auto_move_vcpu(m: &Machine) -> Result<()> {
    let cpu = m.cpu(0);
    let files = m.files_of(cpu) as usize;
    let mut others = Guest::new(m.kvm(), Config::new(files, Mode::Hwaccel))?;

    for n in 0..files {
        others.boot(n, &[cpu])?;
        // It keeps its file, and leaves the CPU to the others.
        others.stop(n)?;
    }
    move_vcpu(m, Mode::Auto)?;
    for n in 0..files {
        others.start(n, &[cpu])?;
        others.send_from_host(n, 1, 10, 1, Guest::signal_msi)?;
        exact(&others, n, 1, 10, 1)?;
    }
    Ok(())
}
