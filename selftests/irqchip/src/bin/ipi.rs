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
    pause,
    sys::{
        self,
        Membarrier, //
    },
    Result, //
};
use ktap::Tap;
use std::{
    hint::spin_loop,
    process::ExitCode,
    sync::{
        atomic::{
            AtomicBool,
            AtomicU64,
            Ordering, //
        },
        Arc, //
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

/// Fewer barriers than this in that time is a failure of its own.
const LEAST: u64 = 10;

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
    fn start(cpus: &[usize]) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let threads = cpus
            .iter()
            .map(|&cpu| {
                let stop = stop.clone();

                thread::spawn(move || {
                    sys::pin(&[cpu])?;
                    while !stop.load(Ordering::Relaxed) {
                        spin_loop();
                    }
                    Ok(())
                })
            })
            .collect();

        Self { stop, threads }
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
        let spinners = Spinners::start(&others);

        sys::pin(&[from])?;
        pause(50);
        let before = calls();

        let done = repeat(count, || sys::membarrier(Membarrier::PrivateExpedited))?;
        let after = calls();

        total += done;
        spinners.stop()?;
        for cpu in others {
            let seen = after.on(cpu) - before.on(cpu);

            // Whenever the thread there does not run, no IPI is needed.
            ensure(seen >= done / 2, || {
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
    let before = calls();
    let threads: Vec<JoinHandle<Result>> = cpus
        .iter()
        .map(|&cpu| {
            thread::spawn(move || {
                sys::pin(&[cpu])?;
                repeat(count, || {
                    sys::membarrier(Membarrier::PrivateExpedited)?;
                    sys::membarrier(Membarrier::GlobalExpedited)
                })
                .map(|_| ())
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
        ensure(start.elapsed() < Duration::from_secs(5), || {
            format!("a barrier took {:?}", start.elapsed())
        })?;
    }
    Ok(())
}

/// One thread hands a growing number to the other, waking it each time.
fn ping_pong(count: u64) -> Result {
    let cpus = cpu::online();
    let ball = Arc::new(AtomicU64::new(0));
    let peer = {
        let ball = ball.clone();
        let me = thread::current();
        let cpu = cpus[1];

        thread::spawn(move || {
            sys::pin(&[cpu])?;
            for n in 0..count {
                while ball.load(Ordering::Acquire) != 2 * n + 1 {
                    thread::park();
                }
                ball.store(2 * n + 2, Ordering::Release);
                me.unpark();
            }
            Ok(())
        })
    };

    sys::pin(&cpus[..1])?;
    let start = Instant::now();

    for n in 0..count {
        ball.store(2 * n + 1, Ordering::Release);
        peer.thread().unpark();
        while ball.load(Ordering::Acquire) != 2 * n + 2 {
            thread::park_timeout(Duration::from_secs(2));
            ensure(start.elapsed() < Duration::from_secs(60), || {
                format!("stuck at {n}")
            })?;
        }
    }
    peer.join()
        .map_err(|_| "the other thread panicked")?
        .and_then(|()| sys::pin(&cpus))
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
                let spinner = Spinners::start(&[cpu]);
                let came =
                    irqtest::wait_until(Duration::from_secs(5), || calls().on(cpu) > before + 5);

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
    let count = Args::of("ipi").number("count", 2000);

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
    tap.check(
        ping_pong(count),
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
