// SPDX-License-Identifier: GPL-2.0

//! A CPU that no interrupt may go to is left alone when interrupts come and go on the others: what wakes
//! it up are IPIs that the kernel counts, and hardly anything else.
//!
//! MSIs by which a driver makes a CPU look at what it has changed are not counted anywhere.
//!
//! Argument: `rounds` (default 30).

use irqtest::{
    args::Args,
    cpu,
    device::Module,
    ensure,
    interrupts,
    irqdebug::{
        self,
        Irq, //
    },
    kmsg,
    pause,
    read,
    sys,
    write,
    Result, //
};
use ktap::Tap;
use std::process::ExitCode;

const DEFAULT_AFFINITY: &str = "/proc/irq/default_smp_affinity";

/// How often a CPU has gone to sleep: each time that it was woken up, it did so again.
fn sleeps(cpu: usize) -> Result<u64> {
    let text = read("/proc/timer_list")?;
    let own = format!("cpu: {cpu}");

    text.lines()
        .skip_while(|line| line.trim() != own)
        .find_map(|line| {
            line.trim()
                .strip_prefix(".idle_calls")?
                .trim_start_matches([' ', ':'])
                .trim()
                .parse()
                .ok()
        })
        .ok_or_else(|| format!("/proc/timer_list does not tell of CPU {cpu}"))
}

/// Lets no interrupt go to `alone`.
fn isolate(alone: usize, others: &[usize]) -> Result {
    let mask: u64 = others.iter().map(|cpu| 1 << cpu).sum();

    write(DEFAULT_AFFINITY, &format!("{mask:x}"))?;
    for nr in irqdebug::irqs() {
        let irq = Irq::read(nr)?;

        if irq.target().is_some_and(|t| t.0 == alone) {
            // Managed ones, which nobody uses now, stay.
            let _ = interrupts::set_affinity(nr, others);
        }
    }
    sys::pin(others)
}

/// Interrupts of a CPU that the kernel counts, but for the timer's, most of which come while it is
/// awake.
fn counted(cpu: usize) -> u64 {
    interrupts::lines()
        .iter()
        .filter(|line| !line.text.contains("riscv-timer"))
        .map(|line| line.on(cpu))
        .sum()
}

/// What has woken a CPU up.
#[derive(Clone, Copy, Debug)]
struct Woken {
    times: u64,
    counted: u64,
}

/// While a device comes, works and goes so many times.
fn comes_and_goes(module: &Module, alone: usize, rounds: u64) -> Result<Woken> {
    let before = (sleeps(alone)?, counted(alone));

    for _ in 0..rounds {
        let device = module.ready(3, "")?;

        for vec in &device.vecs {
            ensure(vec.target()?.0 != alone, || {
                format!("irq {} is on CPU {alone}", vec.irq)
            })?;
            vec.fire(1)?;
        }
        pause(2);
        device.free()?;
    }
    Ok(Woken {
        times: sleeps(alone)? - before.0,
        counted: counted(alone) - before.1,
    })
}

/// A driver that wakes the CPU up does so each time, the kernel's timers do not.
fn left_alone(tap: &Tap, module: &Module, alone: usize, rounds: u64) -> Result {
    const TRIES: usize = 5;
    let mut last = 0;

    for _ in 0..TRIES {
        let woken = comes_and_goes(module, alone, rounds)?;

        tap.diag(format!("CPU {alone} in {rounds} rounds: {woken:?}"));
        if woken.times < woken.counted + rounds {
            return Ok(());
        }
        last = woken.times;
    }
    Err(format!("woken up {last} times and more"))
}

fn main() -> ExitCode {
    let rounds = Args::of("isolated", &["rounds"]).number("rounds", 30);
    let module = match Module::for_imsic() {
        Ok(module) => module,
        Err(exit) => return exit,
    };
    let cpus = cpu::online();
    let Some((&alone, others)) = cpus.split_last().filter(|(_, others)| !others.is_empty()) else {
        return Tap::skip_all("one CPU only");
    };
    let all = match read(DEFAULT_AFFINITY) {
        Ok(all) => all,
        Err(e) => Tap::new(1).bail_out(e),
    };
    let mut tap = Tap::new(3);
    let mark = kmsg::Mark::now();
    let result = isolate(alone, others).and_then(|()| left_alone(&tap, &module, alone, rounds));

    tap.check(result, "a CPU that no interrupt may go to is left alone");
    tap.check(
        write(DEFAULT_AFFINITY, all.trim()).and_then(|()| sys::pin(&cpus)),
        "all CPUs take interrupts again",
    );
    tap.check(mark.quiet(), "no complaint of the kernel");
    tap.finish()
}
