// SPDX-License-Identifier: GPL-2.0

//! Masking and unmasking an MSI whose target is another CPU: it has to take
//! effect, keep what came meanwhile, and soon.
//!
//! Arguments: `rounds` (default 25), `limit` microseconds for the median of the
//! remote case, a quarter of a tick, say. Without a limit the times are only told: in
//! an emulator the wake-up of an idle hart takes as long as the host lets it, up to
//! several ticks, unless the emulator runs with real-time priority.

use irqtest::{
    args::Args,
    cpu,
    device::{
        Module,
        Vector, //
    },
    ensure,
    kmsg,
    sys,
    Result,
    Rng, //
};
use ktap::Tap;
use std::process::ExitCode;

#[derive(Debug, Default)]
struct Times {
    lost: u64,
    leaked: u64,
    sorted: Vec<u64>,
}

impl Times {
    fn median(&self) -> u64 {
        self.sorted.get(self.sorted.len() / 2).copied().unwrap_or(0)
    }
}

/// Times rounds from one CPU with the vector on another.
fn measure(vec: Vector, from: usize, to: usize, rounds: u64) -> Result<Times> {
    let mut times = Times::default();
    let mut rng = Rng::new(rounds);

    sys::pin(&[from])?;
    vec.move_to(to)?;
    for _ in 0..rounds {
        // The unmask shall come at any time between two ticks.
        let one = vec.latency(1, 12_000 + rng.below(8000) as u64)?;

        times.lost += one.lost;
        times.leaked += one.leaked;
        times.sorted.push(one.mean_ns / 1000);
    }
    times.sorted.sort_unstable();
    Ok(times)
}

fn judge(tap: &mut Tap, what: &str, result: Result<Times>, limit: Option<u64>) {
    let all = result.and_then(|times| {
        ktap::diag(format!(
            "{what}: median {} us, from {} to {} us",
            times.median(),
            times.sorted.first().unwrap_or(&0),
            times.sorted.last().unwrap_or(&0)
        ));
        ensure(times.lost == 0, || format!("{} lost", times.lost))?;
        ensure(times.leaked == 0, || {
            format!("{} came in spite of the mask", times.leaked)
        })?;
        Ok(times.median())
    });
    let median = all.as_ref().copied().unwrap_or(u64::MAX);

    tap.check(
        all.map(|_| ()),
        format!("{what}: pending while masked, delivered after the unmask"),
    );
    if let Some(limit) = limit {
        tap.ok(
            median <= limit,
            format!("{what}: median of at most {limit} us (08fb624802d8)"),
        );
    }
}

fn main() -> ExitCode {
    let args = Args::of("unmask_latency");
    let (rounds, limit) = (args.number("rounds", 25), args.number("limit", 0));
    let module = match Module::for_imsic() {
        Ok(module) => module,
        Err(exit) => return exit,
    };
    let mut tap = Tap::new(4);
    let mark = kmsg::Mark::now();
    let cpus = cpu::online();
    let device = match module.ready(1, "unlazy") {
        Ok(device) => device,
        Err(e) => tap.bail_out(e),
    };
    let vec = device.vecs[0];

    judge(
        &mut tap,
        "own CPU",
        measure(vec, cpus[0], cpus[0], rounds),
        None,
    );
    if cpus.len() < 2 {
        tap.skip("one CPU only", "remote, idle CPU");
        tap.skip("one CPU only", "remote, idle CPU: median");
    } else {
        judge(
            &mut tap,
            "remote, idle CPU",
            measure(vec, cpus[0], cpus[1], rounds),
            (limit > 0).then_some(limit),
        );
        if limit == 0 {
            tap.skip("no limit given", "remote, idle CPU: median");
        }
    }
    tap.check(mark.quiet(), "no complaint of the kernel");
    tap.finish()
}
