// SPDX-License-Identifier: GPL-2.0

//! Memory that is not there: each allocation that is made for an interrupt fails once, while a device
//! gets its MSIs, a line of the APLIC its interrupt, an interrupt moves, and a CPU comes up. It fails
//! as a whole or not at all, nothing leaks, and the next try succeeds.
//!
//! Needs a kernel that lets allocations fail, and fails on others.

use irqtest::{
    args::Args,
    cpu,
    device::{
        Device,
        Module,
        Vector, //
    },
    ensure,
    faults::Faults,
    irqdebug,
    kmsg,
    write,
    Result, //
};
use ktap::Tap;
use std::process::ExitCode;

/// MSIs of a device: more than an allocation is for.
const MSIS: usize = 2;

/// A line of no device.
const LINE: u32 = 40;
const EDGE_RISING: u32 = 1;

/// Does `attempt` with each of its allocations failing, one after the other; `judge` gets what came of
/// it. `least` allocations cannot be done without.
///
/// The error need not be ENOMEM: irq core makes ENODEV and EINVAL of it.
fn each<T>(
    least: u32,
    attempt: impl Fn() -> Result<T>,
    judge: impl Fn(Option<T>) -> Result,
) -> Result {
    let faults = Faults::of_kmalloc()?;
    let (mut failed, mut n) = (0, 0);

    loop {
        n += 1;
        let (result, reached) = faults.fail(n, &attempt)?;
        let made = match result {
            Ok(made) => Some(made),
            Err(_) if reached => {
                failed += 1;
                None
            }
            Err(e) => return Err(format!("{n} allocations, none fails: {e}")),
        };

        judge(made).map_err(|e| format!("once allocation {n} has failed: {e}"))?;
        // Each takes seconds on a debug kernel.
        if n % 10 == 0 {
            ktap::diag(format!("{n} allocations so far"));
        }
        if !reached {
            break;
        }
    }
    ktap::diag(format!(
        "{} allocations, {failed} cannot be done without",
        n - 1
    ));
    ensure(failed >= least, || {
        format!("{failed} failures instead of {least} or more")
    })
}

/// An interrupt that is there works.
fn works(vec: &Vector) -> Result {
    let before = vec.total()?;

    vec.fire(1)?;
    vec.expect(before + 1, "an MSI")
}

/// A device gets all its MSIs or none, and all come back.
fn msis(module: &Module) -> Result {
    let base = irqdebug::occupancy();

    each(
        // For each: its descriptor, and what each level of its hierarchy keeps.
        3 * MSIS as u32,
        || module.alloc(MSIS, ""),
        |device| {
            // What was made, but could not be read, is not ours.
            if device.is_none() {
                module.free_all()?;
            }
            drop(device);
            irqdebug::occupancy_is(&base)?;

            let device = module.ready(MSIS, "")?;

            device.vecs.iter().try_for_each(works)?;
            drop(device);
            irqdebug::occupancy_is(&base)
        },
    )
}

/// The same of a line of the APLIC, whose interrupt outlives its device once it is there.
fn line(module: &Module) -> Result {
    let base = irqdebug::occupancy();

    each(
        3,
        || module.wired(LINE, EDGE_RISING),
        |device| {
            if device.is_none() {
                module.free_all()?;
            }
            drop(device);
            irqdebug::occupancy_is(&base)?;
            module.wired(LINE, EDGE_RISING)?.vecs[0].request()?;
            irqdebug::occupancy_is(&base)
        },
    )
}

/// An interrupt moves or stays, and arrives.
fn moves(device: &Device) -> Result {
    let vec = &device.vecs[0];
    let cpus = cpu::online();

    each(
        1,
        || {
            let now = vec.target()?.0;
            let other = cpus.iter().find(|cpu| **cpu != now).ok_or("one CPU")?;

            vec.affine(*other)
        },
        |_| {
            vec.settle()?;
            works(vec)
        },
    )
}

/// A CPU comes up or not, and then it does, with its interrupts.
fn comes_up(device: &Device, cpu: usize) -> Result {
    let vec = &device.vecs[0];
    let file = format!("/sys/devices/system/cpu/cpu{cpu}/online");

    each(
        1,
        || write(&file, "1"),
        |_| {
            cpu::set_online(cpu, true)?;
            vec.move_to(cpu)?;
            works(vec)?;
            cpu::set_online(cpu, false)
        },
    )
}

fn main() -> ExitCode {
    let module = match Module::for_imsic() {
        Ok(module) => module,
        Err(exit) => return exit,
    };
    let _ = Args::of("faults", &[]);
    let mut tap = Tap::new(5);
    let mark = kmsg::Mark::now();

    tap.check(msis(&module), "a device gets all its MSIs or none");
    tap.check(
        line(&module),
        "a line of the APLIC gets its interrupt or none",
    );
    match module.ready(1, "") {
        Ok(device) => {
            tap.check(moves(&device), "an interrupt moves or stays");
            let up = match cpu::removable().into_iter().next_back() {
                Some(cpu) => cpu::set_online(cpu, false).and_then(|()| {
                    let result = comes_up(&device, cpu);

                    cpu::all_online().and(result)
                }),
                None => Err("no CPU can be taken offline".into()),
            };

            tap.check(up, "a CPU comes up or stays offline");
        }
        Err(e) => {
            tap.not_ok(format!("an interrupt moves or stays: {e}"));
            tap.not_ok(format!("a CPU comes up or stays offline: {e}"));
        }
    }
    tap.check(mark.quiet(), "no complaint of the kernel");
    tap.finish()
}
