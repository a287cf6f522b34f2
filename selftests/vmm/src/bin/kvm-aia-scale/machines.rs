// SPDX-License-Identifier: GPL-2.0

//! Several machines that share the guest files of the CPUs, and nothing else.

use crate::{
    count,
    disturb::{
        shove,
        Random, //
    },
    endurance::flow,
    senders::joined,
};
use std::{
    sync::atomic::{
        AtomicUsize,
        Ordering, //
    },
    thread::scope,
};
use vmm::{
    abi::op,
    diag,
    ensure,
    exact,
    host::urgent,
    same,
    Config,
    Context,
    End,
    Guest,
    Machine,
    Mode,
    Result,
    NO_VSFILE, //
};

const MACHINES: usize = 4;
const IDS: u32 = 40;

/// A short life: in `mode`, some MSIs to each vCPU, and the end in the midst of
/// others. False if a vCPU found no file.
fn fleeting(m: &Machine, mode: Mode) -> Result<bool> {
    let mut guest = Guest::new(m.kvm(), Config::new(2, mode))?;

    for n in 0..2 {
        if let Err(e) = guest.boot(n, &[m.cpu(n)]) {
            let refused = guest.ended(n)
                && matches!(
                    guest.wait_end(n)?,
                    End::FailEntry {
                        reason: NO_VSFILE,
                        ..
                    }
                );

            return if refused && mode == Mode::Hwaccel && !m.overcommits()? {
                Ok(false)
            } else {
                Err(e)
            };
        }
    }
    for n in 0..2 {
        guest.send_from_host(n, 1, IDS, 1, Guest::signal_msi)?;
        exact(&guest, n, 1, IDS, 1)?;
    }
    guest.give_send(0, 1, 1, IDS, 1000);
    for id in 1..=IDS {
        guest.signal_msi(0, id)?;
    }
    Ok(true)
}

/// Machines work on while others come and go, each with its own MSIs.
pub(crate) fn together(m: &Machine) -> Result<()> {
    let guests: Vec<_> = (0..MACHINES)
        .map(|_| m.boot(Config::new(4, m.best_mode())))
        .collect::<Result<_>>()?;
    let at_work = AtomicUsize::new(MACHINES);
    let (results, fleeting) = scope(|s| {
        let threads: Vec<_> = guests
            .iter()
            .zip(1..)
            .map(|(guest, seed)| {
                let at_work = &at_work;

                s.spawn(move || {
                    let mut random = Random::new(seed);
                    let result = flow(guest, count() / 30, count() / 1000, || {
                        shove(m, guest, &mut random)
                    });

                    at_work.fetch_sub(1, Ordering::Relaxed);
                    result
                })
            })
            .collect();
        let mut lives = urgent(true).map(|()| [0; 3]);

        while at_work.load(Ordering::Relaxed) != 0 {
            let Ok([all, hwaccel, refused]) = lives else {
                break;
            };
            let mode = if all % 2 == 1 && m.files() != 0 {
                Mode::Hwaccel
            } else {
                m.best_mode()
            };

            lives = fleeting(m, mode).map(|lived| {
                let files = u32::from(mode == Mode::Hwaccel);

                [all + 1, hwaccel + files, refused + u32::from(!lived)]
            });
        }
        lives = lives.and_then(|lives| urgent(false).map(|()| lives));
        let results: Vec<_> = threads.into_iter().map(|t| joined(t.join())).collect();

        (results, lives)
    });

    for (n, result) in results.into_iter().enumerate() {
        result.context(format!("machine {n}"))?;
    }
    let [all, hwaccel, refused] = fleeting.context("a machine that comes and goes")?;

    ensure(all != 0, || "no machine came and went".into())?;
    diag(format!(
        "{all} machines came and went, {hwaccel} of them in hwaccel, {refused} refused"
    ));
    Ok(())
}

/// The vCPUs of `guest` take files of those that have all, on each CPU; these get them back, and have all
/// MSIs that came meanwhile.
fn taken(m: &Machine, guest: &mut Guest, mut owners: Vec<Guest>) -> Result<()> {
    for vcpu in 0..guest.config().vcpus {
        guest.boot(vcpu, &[m.cpu(0)])?;
    }
    for (&cpu, owner) in m.cpus().iter().zip(&mut owners) {
        for vcpu in 0..guest.config().vcpus {
            guest.pin(vcpu, &[cpu])?;
            guest.send_from_host(vcpu, 1, IDS, 1, Guest::signal_msi)?;
        }
        for n in 0..owner.config().vcpus {
            for id in 1..=IDS {
                owner.signal_msi(n, id)?;
            }
            owner.start(n, &[cpu])?;
            owner.until(
                |g| g.total(n) >= IDS.into(),
                || format!("the {IDS} MSIs that vCPU {n} of CPU {cpu} got"),
            )?;
            exact(owner, n, 1, IDS, 1)?;
        }
    }
    for vcpu in 0..guest.config().vcpus {
        exact(guest, vcpu, 1, IDS, m.cpus().len() as u32)?;
    }
    Ok(())
}

/// vCPUs for which no CPU has a file are told so, on each CPU; when the files of
/// one are free they run there, and have all MSIs that came meanwhile.
pub(crate) fn refused(m: &Machine) -> Result<()> {
    let files = m.files() as usize;
    let mut owners = Vec::new();

    for &cpu in m.cpus() {
        let mut owner = Guest::new(m.kvm(), Config::new(files, Mode::Hwaccel))?;

        for n in 0..files {
            owner.boot(n, &[cpu])?;
            // It keeps its file, and leaves the CPU to the others.
            owner.stop(n)?;
        }
        owners.push(owner);
    }
    let vcpus = files.min(2);
    let mut guest = Guest::new(m.kvm(), Config::new(vcpus, Mode::Hwaccel))?;

    if m.overcommits()? {
        return taken(m, &mut guest, owners);
    }
    for (n, &cpu) in m.cpus().iter().enumerate() {
        for vcpu in 0..vcpus {
            guest.start(vcpu, &[cpu])?;
            same(
                guest.wait_end(vcpu)?,
                End::FailEntry {
                    reason: NO_VSFILE,
                    cpu: cpu as u32,
                },
                || format!("entry of vCPU {vcpu} on CPU {cpu} without a file"),
            )?;
            guest.signal_msi(vcpu, 1 + n as u32)?;
        }
    }
    let ids = m.cpus().len() as u32;

    for (n, owner) in owners.into_iter().enumerate().rev() {
        drop(owner);
        for vcpu in 0..vcpus {
            // Where it was before it has a file still, until it runs here.
            if !guest.ended(vcpu) {
                guest.pin(vcpu, &[m.cpu(n)])?;
                guest.call(vcpu, op::NOP, &[])?;
                continue;
            }
            guest.boot(vcpu, &[m.cpu(n)])?;
            guest.until(
                |g| g.total(vcpu) >= ids.into(),
                || format!("the {ids} MSIs that vCPU {vcpu} got before it ran"),
            )?;
            exact(&guest, vcpu, 1, ids, 1)?;
        }
    }
    for vcpu in 0..vcpus {
        guest.send_from_host(vcpu, 1, ids, 1, Guest::signal_msi)?;
        exact(&guest, vcpu, 1, ids, 2)?;
    }
    Ok(())
}
