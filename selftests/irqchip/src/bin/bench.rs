// SPDX-License-Identifier: GPL-2.0

//! Goes the paths of the irqchip drivers again and again, for `make bench`, which counts what each
//! costs. As a test, it shows that the benchmark measures what it says: each interrupt arrives.
//!
//! Argument: `rounds` (default 50).

use irqtest::{
    aplic::Aplic,
    args::Args,
    bench::path,
    cpu,
    device::{
        Module,
        Vector, //
    },
    dt,
    kmsg,
    sys::{
        self,
        Membarrier, //
    },
    Result, //
};
use ktap::Tap;
use std::{
    process::ExitCode,
    sync::{
        atomic::{
            AtomicBool,
            AtomicUsize,
            Ordering, //
        },
        Arc, //
    },
    thread,
};

/// A source without a device.
const LINE: u32 = 40;
const EDGE_RISING: u32 = 1;

/// MSIs to the other CPU, and to this one, one at a time.
fn msis(module: &Module, cpus: &[usize], rounds: u64) -> Result {
    let device = module.ready(1, "")?;
    let vec = device.vecs[0];

    vec.move_to(cpus[1])?;
    path::<2, Result>("MSI to a handler", || {
        for round in 1..=rounds {
            vec.fire(1)?;
            vec.expect(round, "an MSI")?;
        }
        Ok(())
    })
}

/// The other CPU masks and unmasks.
fn masks(module: &Module, cpus: &[usize], rounds: u64) -> Result {
    let device = module.ready(1, "unlazy")?;
    let vec = device.vecs[0];
    let both = |_| {
        vec.mask(true)?;
        vec.mask(false)
    };

    vec.move_to(cpus[0])?;
    path::<3, Result>("mask and unmask, own CPU", || {
        (0..rounds).try_for_each(both)
    })?;
    vec.move_to(cpus[1])?;
    path::<4, Result>("mask and unmask, other CPU", || {
        (0..rounds).try_for_each(both)
    })
}

/// Moves away from this CPU, and back.
fn moves(vec: Vector, cpus: &[usize], rounds: u64) -> Result {
    for round in 0..2 * rounds {
        vec.affine(cpus[(round as usize + 1) % 2])?;
        vec.settle()?;
    }
    Ok(())
}

/// Devices with one MSI come and go.
fn allocations(module: &Module, rounds: u64) -> Result {
    path::<7, Result>("vector allocated and freed", || {
        (0..rounds).try_for_each(|_| module.alloc(1, "").map(drop))
    })
}

/// Barriers interrupt the other CPU, which is in user mode.
fn ipis(cpus: &[usize], rounds: u64) -> Result {
    let stop = Arc::new(AtomicBool::new(false));
    let there = Arc::new(AtomicUsize::new(0));
    let spinner = thread::spawn({
        let (stop, there, other) = (stop.clone(), there.clone(), cpus[1]);

        move || {
            let pinned = sys::pin(&[other]);

            there.store(1, Ordering::Relaxed);
            while !stop.load(Ordering::Relaxed) {
                std::hint::spin_loop();
            }
            pinned
        }
    });

    sys::membarrier(Membarrier::RegisterPrivateExpedited)?;
    while there.load(Ordering::Relaxed) == 0 {
        thread::yield_now();
    }
    let sent = path::<8, Result>("IPI", || {
        (0..rounds).try_for_each(|_| sys::membarrier(Membarrier::PrivateExpedited))
    });

    stop.store(true, Ordering::Relaxed);
    spinner.join().map_err(|_| "the other thread panicked")??;
    sent
}

/// A line, whose edges are made by a register of its APLIC.
fn wired(module: &Module, cpus: &[usize], rounds: u64) -> Result {
    let aplic = Aplic::first()?;
    let device = module.wired(LINE, EDGE_RISING)?;
    let vec = device.vecs[0];

    vec.request()?;
    vec.move_to(cpus[1])?;
    path::<9, Result>("wired interrupt to a handler", || {
        for round in 1..=rounds {
            aplic.pend(LINE);
            vec.expect(round, "an edge")?;
        }
        Ok(())
    })?;
    vec.move_to(cpus[0])?;
    path::<6, Result>("move of a wired interrupt", || moves(vec, cpus, rounds))
}

fn main() -> ExitCode {
    let rounds = Args::of("bench", &["rounds"]).number("rounds", 50).max(1);
    let module = match Module::load() {
        Ok(module) => module,
        Err(e) => Tap::new(6).bail_out(e),
    };
    let cpus = cpu::online();

    if cpus.len() < 2 {
        return Tap::skip_all("one CPU only");
    }
    let is_msi = dt::mode() == dt::Mode::Msi;
    let mut tap = Tap::new(7);
    let mark = kmsg::Mark::now();

    tap.check(sys::pin(&cpus[..1]), "on one CPU");
    if is_msi {
        tap.check(msis(&module, &cpus, rounds), "MSIs");
        tap.check(masks(&module, &cpus, rounds), "masks");
        tap.check(
            module.ready(1, "").and_then(|device| {
                device.vecs[0].move_to(cpus[0])?;
                path::<5, Result>("move of an MSI", || moves(device.vecs[0], &cpus, rounds))
            }),
            "moves",
        );
        tap.check(allocations(&module, rounds), "allocations");
        tap.check(ipis(&cpus, rounds), "IPIs");
    } else {
        for what in ["MSIs", "masks", "moves", "allocations", "IPIs"] {
            tap.skip("no IMSIC in this machine", what);
        }
    }
    tap.check(
        wired(&module, &cpus, rounds).and_then(|()| mark.quiet()),
        "wired interrupts, and no complaint of the kernel",
    );
    tap.finish()
}
