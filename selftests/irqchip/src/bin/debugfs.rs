// SPDX-License-Identifier: GPL-2.0

//! debugfs is read while interrupts come and go: of one that is not set up yet, or not any more,
//! nothing is shown but what there is.
//!
//! Argument: `rounds` (default 300).

use irqtest::{
    args::Args,
    cpu,
    device::Module,
    ensure,
    irqdebug,
    kmsg,
    Result, //
};
use ktap::Tap;
use std::{
    process::ExitCode,
    sync::atomic::{
        AtomicBool,
        AtomicU64,
        Ordering::Relaxed, //
    },
    thread, //
};

/// Reads all that irq core and drivers show, as long as it shall.
fn look(go_on: &AtomicBool, seen: &AtomicU64) {
    while go_on.load(Relaxed) {
        for nr in irqdebug::irqs() {
            // It may be gone again.
            if irqdebug::show(nr).is_ok() {
                seen.fetch_add(1, Relaxed);
            }
        }
        for name in irqdebug::domains() {
            let _ = irqdebug::domain(&name);
        }
    }
}

fn come_and_go(module: &Module, rounds: u64) -> Result<u64> {
    let (go_on, seen) = (AtomicBool::new(true), AtomicU64::new(0));
    let cpus = cpu::online();

    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| look(&go_on, &seen));
        }
        let result = (0..rounds).try_for_each(|round| {
            let flags = if round % 2 == 0 { "" } else { "deferred" };
            let device = module.ready(4, flags)?;

            for vec in &device.vecs {
                // A deferred one goes when it is next interrupted.
                vec.affine(cpus[round as usize % cpus.len()])?;
                vec.fire(1)?;
            }
            // Else a hart that has claimed one may find it freed, and say so.
            for vec in &device.vecs {
                vec.flush()?;
            }
            device.free()
        });

        go_on.store(false, Relaxed);
        result
    })?;
    Ok(seen.into_inner())
}

fn main() -> ExitCode {
    let rounds = Args::of("debugfs", &["rounds"]).number("rounds", 300);
    let module = match Module::for_imsic() {
        Ok(module) => module,
        Err(exit) => return exit,
    };
    let mut tap = Tap::new(3);
    let mark = kmsg::Mark::now();
    let base = irqdebug::occupancy();
    let result = come_and_go(&module, rounds).and_then(|seen| {
        ktap::diag(format!("{seen} interrupts were shown in {rounds} rounds"));
        ensure(seen > rounds, || format!("{seen} interrupts were shown"))
    });

    tap.check(
        result,
        "all is shown while interrupts are allocated, moved and freed",
    );
    tap.check(irqdebug::occupancy_is(&base), "all IDs came back");
    tap.check(mark.quiet(), "no complaint of the kernel");
    tap.finish()
}
