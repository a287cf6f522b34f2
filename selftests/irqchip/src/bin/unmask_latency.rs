// SPDX-License-Identifier: GPL-2.0

//! Masking and unmasking an MSI whose target is another CPU: it has to take
//! effect, keep what came meanwhile, and soon.
//!
//! Arguments: `rounds` (default 25); `exact=1` for a driver that tells the other CPU at once: it then
//! takes no other interrupt before, but for what comes by chance. Times are only told: in an emulator
//! the wake-up of an idle hart takes as long as the host lets it.

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
    alone: u64,
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
        times.alone += one.alone;
        times.sorted.push(one.mean_ns / 1000);
    }
    times.sorted.sort_unstable();
    Ok(times)
}

/// Judges rounds; `least` of them have to be without help of another interrupt, if that is given.
fn judge(tap: &mut Tap, what: &str, result: Result<Times>, least: Option<u64>) {
    let all = result.and_then(|times| {
        ktap::diag(format!(
            "{what}: median {} us, from {} to {} us, {} of {} without another interrupt",
            times.median(),
            times.sorted.first().unwrap_or(&0),
            times.sorted.last().unwrap_or(&0),
            times.alone,
            times.sorted.len()
        ));
        ensure(times.lost == 0, || format!("{} lost", times.lost))?;
        ensure(times.leaked == 0, || {
            format!("{} came in spite of the mask", times.leaked)
        })?;
        Ok(times.alone)
    });
    let alone = all.as_ref().copied().unwrap_or(0);

    tap.check(
        all.map(|_| ()),
        format!("{what}: pending while masked, delivered after the unmask"),
    );
    if let Some(least) = least {
        tap.ok(
            alone >= least,
            format!("{what}: without help of another interrupt (08fb624802d8)"),
        );
    }
}

fn main() -> ExitCode {
    let args = Args::of("unmask_latency", &["rounds", "exact"]);
    let rounds = args.number("rounds", 25);
    // By chance, a tick or so may come first.
    let least = args.given("exact").map(|_| rounds.div_ceil(4));
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
        tap.skip(
            "one CPU only",
            "remote, idle CPU: without help of another interrupt",
        );
    } else {
        judge(
            &mut tap,
            "remote, idle CPU",
            measure(vec, cpus[0], cpus[1], rounds),
            least,
        );
        if least.is_none() {
            tap.skip(
                "not exact",
                "remote, idle CPU: without help of another interrupt",
            );
        }
    }
    tap.check(mark.quiet(), "no complaint of the kernel");
    tap.finish()
}
