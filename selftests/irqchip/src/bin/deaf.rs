// SPDX-License-Identifier: GPL-2.0

//! A hart at which the MSIs of other harts do not arrive: what they change there takes effect all the
//! same, and soon.
//!
//! For a machine with `irqchip.riscv_imsic_noipi`, whose IPIs are none of these MSIs. They are switched
//! off at the hart behind the driver's back.

use irqtest::{
    cpu,
    device::Module,
    ensure,
    irqdebug::Irq,
    kmsg,
    pause,
    read,
    sys,
    Result, //
};
use ktap::Tap;
use std::{
    process::ExitCode,
    time::{
        Duration,
        Instant, //
    },
};

const ROUNDS: usize = 20;

/// Many ticks, for a busy host; what depends on another interrupt takes for ever.
const LIMIT: Duration = Duration::from_secs(2);

fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// A remote unmask of what is pending.
fn unmask(module: &Module, deaf: usize) -> Result<Duration> {
    let device = module.ready(1, "unlazy")?;
    let vec = device.vecs[0];
    let mut times = Vec::new();

    vec.move_to(deaf)?;
    for _ in 0..ROUNDS {
        module.mute(deaf, true)?;
        let one = vec.latency(1, 5_000)?;

        ensure(one.lost == 0, || "never came".into())?;
        ensure(one.leaked == 0, || "came in spite of the mask".into())?;
        times.push(Duration::from_nanos(one.mean_ns));
    }
    Ok(median(&mut times))
}

/// A move away, which is over when the hart has looked.
fn left(module: &Module, deaf: usize, other: usize) -> Result<Duration> {
    let device = module.ready(1, "")?;
    let vec = device.vecs[0];
    let mut times = Vec::new();

    for _ in 0..ROUNDS {
        vec.move_to(deaf)?;
        module.mute(deaf, true)?;
        vec.affine(other)?;
        let start = Instant::now();

        vec.settle()?;
        times.push(start.elapsed());
        ensure(!Irq::read(vec.irq)?.moving(), || "still moving".into())?;
        let before = vec.total()?;

        vec.fire(1)?;
        vec.expect(before + 1, "after the move")?;
    }
    Ok(median(&mut times))
}

/// A move of what is masked, to the hart: it is masked there, too.
fn arrived(module: &Module, deaf: usize, other: usize) -> Result<Duration> {
    let device = module.ready(1, "unlazy")?;
    let vec = device.vecs[0];
    let mut times = Vec::new();

    for _ in 0..ROUNDS {
        vec.move_to(other)?;
        module.mute(deaf, true)?;
        vec.mask(true)?;
        vec.move_to(deaf)?;
        let before = vec.total()?;

        vec.fire(1)?;
        pause(5);
        ensure(vec.total()? == before, || {
            "came in spite of the mask".into()
        })?;
        let start = Instant::now();

        vec.mask(false)?;
        vec.expect(before + 1, "unmasked after the move")?;
        times.push(start.elapsed());
    }
    Ok(median(&mut times))
}

fn main() -> ExitCode {
    let module = match Module::for_imsic() {
        Ok(module) => module,
        Err(exit) => return exit,
    };
    let cpus = cpu::online();

    if !read("/proc/cmdline").is_ok_and(|line| line.contains("riscv_imsic_noipi")) {
        return Tap::skip_all("IPIs are MSIs here");
    }
    if cpus.len() < 2 {
        return Tap::skip_all("one CPU only");
    }
    let mut tap = Tap::new(4);
    let mark = kmsg::Mark::now();
    let (other, deaf) = (cpus[0], cpus[1]);

    for (result, what) in [
        (
            sys::pin(&[other]).and_then(|()| unmask(&module, deaf)),
            "a remote unmask",
        ),
        (left(&module, deaf, other), "a move away"),
        (arrived(&module, deaf, other), "a move there, masked"),
    ] {
        let judged = result.and_then(|time| {
            ktap::diag(format!("{what}: median {time:?}"));
            ensure(time < LIMIT, || format!("takes {time:?}"))
        });

        tap.check(judged, format!("{what} takes effect without MSIs"));
    }
    if let Err(e) = module.mute(deaf, false) {
        tap.diag(e);
    }
    tap.check(mark.quiet(), "no complaint of the kernel");
    tap.finish()
}
