// SPDX-License-Identifier: GPL-2.0

//! IPIs: storms of membarrier(2), counted on each CPU, while CPUs come and go.
//!
//! Argument: `count` barriers of each kind (default 2000), fewer where time is up
//! first: with more virtual than real CPUs, a barrier takes very long.

use irqtest::{
    args::Args,
    cpu,
    ensure,
    interrupts,
    kmsg,
    sys::{
        self,
        Membarrier, //
    },
    wait_until,
    Result,
    PATIENCE, //
};
use ktap::Tap;
use std::{
    hint::spin_loop,
    process::ExitCode,
    sync::{
        atomic::{
            AtomicBool,
            AtomicU64,
            AtomicUsize,
            Ordering, //
        },
        Arc,
        Barrier, //
    },
    thread::{
        self,
        JoinHandle, //
    },
    time::{
        Duration,
        Instant, //
    },
};

/// For one storm.
const TIME: Duration = Duration::from_secs(2);

/// As many barriers, and IPIs on each CPU, have to be seen however long it takes.
const LEAST: u64 = 10;

/// A grace period waits for all CPUs. When it takes this long, the kernel complains, too.
const STALL: Duration = Duration::from_secs(20);

const CALLS: &str = "Function call interrupts";

fn calls() -> interrupts::Line {
    interrupts::lines()
        .into_iter()
        .find(|l| l.name.starts_with("IPI") && l.text == CALLS)
        .unwrap_or_default()
}

/// Does `step` so many times or until time is up; gives back how often.
fn repeat(count: u64, mut step: impl FnMut() -> Result) -> Result<u64> {
    let end = Instant::now() + TIME;
    let mut done = 0;

    while done < count && (done < LEAST || Instant::now() < end) {
        step()?;
        done += 1;
    }
    Ok(done)
}

/// Threads of this process that run on given CPUs, for barriers to interrupt.
struct Spinners {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Result>>,
}

impl Spinners {
    /// Starts them, and waits until each is where it belongs.
    fn start(cpus: &[usize]) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let there = Arc::new(AtomicUsize::new(0));
        let threads: Vec<JoinHandle<Result>> = cpus
            .iter()
            .map(|&cpu| {
                let (stop, there) = (stop.clone(), there.clone());

                thread::spawn(move || {
                    sys::pin(&[cpu])?;
                    there.fetch_add(1, Ordering::Relaxed);
                    while !stop.load(Ordering::Relaxed) {
                        spin_loop();
                    }
                    Ok(())
                })
            })
            .collect();
        let spinners = Self { stop, threads };
        let all = wait_until(PATIENCE, || there.load(Ordering::Relaxed) == cpus.len());

        if all {
            Ok(spinners)
        } else {
            spinners.stop()?;
            Err(format!("no threads on CPUs {cpus:?}"))
        }
    }

    fn stop(self) -> Result {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().map_err(|_| "a thread panicked")??;
        }
        Ok(())
    }
}

/// Barriers from one CPU interrupt all others that run this process.
fn expedited(count: u64) -> Result<u64> {
    let cpus = cpu::online();
    let mut total = 0;

    for &from in &cpus {
        let others: Vec<usize> = cpus.iter().copied().filter(|c| *c != from).collect();

        sys::pin(&[from])?;
        let spinners = Spinners::start(&others)?;
        let before = calls();
        let mut done = repeat(count, || sys::membarrier(Membarrier::PrivateExpedited))?;
        let mut after = calls();

        // Whenever the thread there does not run, no IPI is needed: a CPU that stands still
        // meanwhile has none.
        wait_until(PATIENCE, || {
            let seen = others.iter().all(|c| after.on(*c) >= before.on(*c) + LEAST);

            if !seen && sys::membarrier(Membarrier::PrivateExpedited).is_ok() {
                done += 1;
                after = calls();
            }
            seen
        });
        total += done;
        spinners.stop()?;
        for cpu in others {
            let seen = after.on(cpu) - before.on(cpu);

            ensure(seen >= LEAST, || {
                format!("{seen} IPIs on CPU {cpu} for {done} barriers from CPU {from}")
            })?;
        }
    }
    sys::pin(&cpus)?;
    Ok(total)
}

/// From all CPUs to all CPUs at once.
fn crossfire(count: u64) -> Result {
    let cpus = cpu::online();
    let before = Arc::new(calls());
    let start = Arc::new(Barrier::new(cpus.len()));
    // CPUs without an IPI so far.
    let left = Arc::new(AtomicUsize::new(cpus.len()));
    let threads: Vec<JoinHandle<Result>> = cpus
        .iter()
        .map(|&cpu| {
            let (before, start, left) = (before.clone(), start.clone(), left.clone());

            thread::spawn(move || {
                let both = || {
                    sys::membarrier(Membarrier::PrivateExpedited)?;
                    sys::membarrier(Membarrier::GlobalExpedited)
                };
                let pinned = sys::pin(&[cpu]);

                start.wait();
                pinned?;
                repeat(count, both)?;

                // Go on for the others.
                let end = Instant::now() + PATIENCE;
                let mut counted = false;

                while left.load(Ordering::Relaxed) > 0 && Instant::now() < end {
                    if !counted && calls().on(cpu) > before.on(cpu) {
                        counted = true;
                        left.fetch_sub(1, Ordering::Relaxed);
                    }
                    both()?;
                }
                Ok(())
            })
        })
        .collect();

    for thread in threads {
        thread.join().map_err(|_| "a thread panicked")??;
    }
    let after = calls();

    for cpu in cpus {
        ensure(after.on(cpu) > before.on(cpu), || {
            format!("no IPI on CPU {cpu}")
        })?;
    }
    Ok(())
}

/// Grace periods need the reschedule IPI of idle CPUs to be prompt.
fn global() -> Result {
    for _ in 0..10 {
        let start = Instant::now();

        sys::membarrier(Membarrier::Global)?;
        ensure(start.elapsed() < STALL, || {
            format!("a barrier took {:?}", start.elapsed())
        })?;
    }
    Ok(())
}

/// Ends the game of [`ping_pong`].
const END: u64 = u64::MAX;

/// One thread hands a growing number to the other, waking it each time. Whoever is not woken
/// waits for ever.
fn ping_pong(count: u64) -> Result<u64> {
    let cpus = cpu::online();
    let ball = Arc::new(AtomicU64::new(0));
    let peer = {
        let ball = ball.clone();
        let me = thread::current();
        let cpu = cpus[1];

        thread::spawn(move || {
            let pinned = sys::pin(&[cpu]);

            loop {
                match ball.load(Ordering::Acquire) {
                    END => return pinned,
                    // Odd numbers are for this side.
                    seen if seen % 2 == 1 => {
                        ball.store(seen + 1, Ordering::Release);
                        me.unpark();
                    }
                    _ => thread::park(),
                }
            }
        })
    };

    sys::pin(&cpus[..1])?;
    let mut n = 0;
    let result = repeat(count, || {
        let start = Instant::now();

        ball.store(2 * n + 1, Ordering::Release);
        peer.thread().unpark();
        while ball.load(Ordering::Acquire) != 2 * n + 2 && start.elapsed() < PATIENCE {
            thread::park_timeout(PATIENCE);
        }
        n += 1;
        ensure(start.elapsed() < PATIENCE, || format!("stuck at {n}"))
    });

    ball.store(END, Ordering::Release);
    peer.thread().unpark();
    sys::pin(&cpus)?;
    // A thread that was not woken is not to be waited for.
    let result = result?;

    peer.join().map_err(|_| "the other thread panicked")??;
    Ok(result)
}

/// Storms while CPUs come and go; whoever comes back takes IPIs again.
fn hotplug() -> Result {
    let stop = Arc::new(AtomicBool::new(false));
    let storms: Vec<JoinHandle<Result<u64>>> = (0..2)
        .map(|_| {
            let stop = stop.clone();

            thread::spawn(move || {
                let mut done = 0;

                while !stop.load(Ordering::Relaxed) {
                    sys::membarrier(Membarrier::PrivateExpedited)?;
                    done += 1;
                }
                Ok(done)
            })
        })
        .collect();
    let mut result = Ok(());

    for _ in 0..5 {
        for cpu in cpu::removable() {
            let turn = (|| {
                cpu::set_online(cpu, false)?;
                cpu::set_online(cpu, true)?;
                let before = calls().on(cpu);
                let spinner = Spinners::start(&[cpu])?;
                let came = wait_until(PATIENCE, || calls().on(cpu) > before + 5);

                spinner.stop()?;
                ensure(came, || format!("no IPIs on CPU {cpu} after it came back"))
            })();

            result = result.and(turn);
        }
    }
    stop.store(true, Ordering::Relaxed);
    let mut total = 0;

    for storm in storms {
        total += storm.join().map_err(|_| "a thread panicked")??;
    }
    result?;
    ensure(total >= LEAST, || {
        format!("only {total} barriers in that time")
    })
}

fn main() -> ExitCode {
    let count = Args::of("ipi", &["count"]).number("count", 2000);

    if cpu::online().len() < 2 {
        return Tap::skip_all("one CPU only");
    }
    let mut tap = Tap::new(6);
    let mark = kmsg::Mark::now();

    for register in [
        Membarrier::RegisterPrivateExpedited,
        Membarrier::RegisterGlobalExpedited,
    ] {
        if let Err(e) = sys::membarrier(register) {
            tap.bail_out(e);
        }
    }

    let result = expedited(count);

    if let Ok(done) = result {
        tap.diag(format!("{done} barriers"));
    }
    tap.check(
        result.map(|_| ()),
        "barriers from each CPU: the others count their IPIs",
    );
    tap.check(
        crossfire(count),
        "barriers from all CPUs to all CPUs (825c78e6a60c)",
    );
    tap.check(global(), "global barriers are prompt");

    let result = ping_pong(count);

    if let Ok(done) = result {
        tap.diag(format!("{done} times to and fro"));
    }
    tap.check(
        result.map(|_| ()),
        "two CPUs wake each other, what was written before is seen (825c78e6a60c)",
    );
    if cpu::removable().is_empty() {
        tap.skip(
            "no CPU can be taken offline",
            "barriers while CPUs come and go",
        );
    } else {
        let result = hotplug();

        tap.check(
            cpu::all_online().and(result),
            "barriers while CPUs come and go; IPIs on each that came back",
        );
    }
    tap.check(mark.quiet(), "no complaint of the kernel");
    tap.finish()
}
