// SPDX-License-Identifier: GPL-2.0

//! Many MSIs, each sent when the one before it was seen, while affinity and the
//! set of online CPUs change all the time.
//!
//! Arguments: `count` MSIs in all (default 20000), `settle` microseconds between
//! two MSIs of a vector (default 20), `exact=1` for a driver that counts the interrupts which it may
//! have raised twice: no others are.

use irqtest::{
    args::Args,
    cpu,
    device::{
        Device,
        Module,
        Sent,
        Vector, //
    },
    ensure,
    interrupts,
    irqdebug,
    kmsg,
    pause,
    wait_until,
    Result,
    Rng,
    PATIENCE, //
};
use ktap::Tap;
use std::{
    fs::File,
    io::Read,
    process::ExitCode,
    sync::{
        atomic::{
            AtomicBool,
            AtomicU64,
            Ordering, //
        },
        Arc, //
    },
    thread,
    time::{
        Duration,
        Instant, //
    },
};

/// Vectors of each kind of device.
const VECTORS: usize = 3;

/// Fewer moves than this, and fewer times a CPU offline and back, would be no storm.
const LEAST_MOVES: u64 = 20;
const LEAST_CYCLES: u64 = 3;

const LIMIT: Duration = Duration::from_secs(300);

#[derive(Clone, Debug, Default)]
struct Outcome {
    sent: u64,
    lost: u64,
    dup: u64,
    /// `dup`, by vector.
    dups: Vec<u64>,
    worst_ns: u64,
}

impl Outcome {
    fn add(&mut self, index: usize, sent: Sent) {
        self.dups.resize(self.dups.len().max(index + 1), 0);
        self.dups[index] += sent.dup;
        self.sent += sent.sent;
        self.lost += sent.lost;
        self.dup += sent.dup;
        self.worst_ns = self.worst_ns.max(sent.max_ns);
    }
}

fn running(vecs: &[Vector]) -> Result<bool> {
    for vec in vecs {
        if vec.sent()?.running {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Sends `count` in all, doing `disturb` until all are sent; and again, as long as `disturb`
/// says that it was not enough, which depends on how fast it is.
fn send(
    vecs: &[Vector],
    count: u64,
    settle: u64,
    mut disturb: impl FnMut() -> Result<bool>,
) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    let end = Instant::now() + LIMIT;

    loop {
        for vec in vecs {
            vec.send(count.div_ceil(vecs.len() as u64), PATIENCE, settle)?;
        }
        let mut enough = disturb()?;

        while running(vecs)? {
            enough = disturb()?;
        }
        for (index, vec) in vecs.iter().enumerate() {
            outcome.add(index, vec.finish(LIMIT)?);
        }
        if enough || outcome.lost > 0 || Instant::now() >= end {
            return Ok(outcome);
        }
    }
}

/// Changes affinities until the end; a change may be refused while one is in flight.
fn mover(irqs: Vec<u32>, stop: &AtomicBool, moves: &AtomicU64) {
    let mut rng = Rng::new(42);

    while !stop.load(Ordering::Relaxed) {
        let cpus = cpu::online();
        let irq = rng.pick(&irqs);

        if interrupts::set_affinity(irq, &[rng.pick(&cpus)]).is_ok() {
            moves.fetch_add(1, Ordering::Relaxed);
        }
        thread::sleep(Duration::from_micros(100));
    }
}

/// A real device that interrupts meanwhile; gives back how often it was read.
fn entropy(stop: &AtomicBool) -> Result<u64> {
    const FILE: &str = "/dev/hwrng";
    let mut reads = 0;
    let mut buffer = [0; 16];
    let mut file = File::open(FILE).map_err(|e| format!("{FILE}: {e}"))?;

    while !stop.load(Ordering::Relaxed) {
        file.read_exact(&mut buffer)
            .map_err(|e| format!("{FILE}: {e}"))?;
        reads += 1;
    }
    Ok(reads)
}

fn report(tap: &mut Tap, what: &str, result: &Result<Outcome>) -> Outcome {
    match result {
        Ok(o) => {
            tap.diag(format!(
                "{what}: {} sent, {} lost, {} twice, worst {} us",
                o.sent,
                o.lost,
                o.dup,
                o.worst_ns / 1000
            ));
            o.clone()
        }
        Err(e) => {
            tap.diag(format!("{what}: {e}"));
            Outcome {
                lost: u64::MAX,
                dup: u64::MAX,
                ..Outcome::default()
            }
        }
    }
}

/// How often each vector has got a message: at least once for each of its moves, twice for one in
/// two steps.
fn updates(vecs: &[Vector]) -> Result<Vec<u64>> {
    vecs.iter().map(|v| Ok(v.message()?.updates)).collect()
}

/// Nothing comes twice, but for what a driver raises once more because it cannot tell for whom it was:
/// one for each move of the vector at most, and no more than a driver that is `exact` counts.
struct Twice {
    updates: Vec<u64>,
    counted: Option<u64>,
}

impl Twice {
    fn counter(exact: bool) -> Result<Option<u64>> {
        exact.then(|| irqdebug::counter("duplicates")).transpose()
    }

    /// Before a run.
    fn new(vecs: &[Vector], exact: bool) -> Result<Self> {
        Ok(Self {
            updates: updates(vecs)?,
            counted: Self::counter(exact)?,
        })
    }

    /// After the run.
    fn judge(&self, vecs: &[Vector], outcome: &Outcome) -> Result {
        let moves: Vec<u64> = updates(vecs)?
            .iter()
            .zip(&self.updates)
            .map(|(now, before)| now - before)
            .collect();

        for ((vec, dup), moves) in vecs.iter().zip(&outcome.dups).zip(&moves) {
            ensure(dup <= moves, || {
                format!("irq {}: {dup} twice, {moves} moves", vec.irq)
            })?;
        }
        if let (Some(before), Some(now)) = (self.counted, Self::counter(self.counted.is_some())?) {
            ktap::diag(format!("{} counted as maybe twice", now - before));
            ensure(outcome.dup <= now - before, || {
                format!("{} twice, but {} counted", outcome.dup, now - before)
            })?;
        }
        Ok(())
    }
}

/// The kernel counts what it takes. After a move, an MSI may come while the handler
/// still runs on the old CPU, which then runs it once more without counting.
fn accounted(devices: &[Device]) -> Result {
    for vec in devices.iter().flat_map(|d| &d.vecs) {
        let (handled, counted) = (vec.total()?, interrupts::total(vec.irq));
        let moves = vec.message()?.updates;

        ensure(counted <= handled && handled <= counted + moves, || {
            format!("irq {}: handled {handled}, counted {counted}", vec.irq)
        })?;
    }
    Ok(())
}

fn main() -> ExitCode {
    let args = Args::of("storm", &["count", "settle", "exact"]);
    let count = args.number("count", 20_000).max(100);
    let settle = args.number("settle", 20);
    let exact = args.given("exact").is_some();
    let module = match Module::for_imsic() {
        Ok(module) => module,
        Err(exit) => return exit,
    };
    let mut tap = Tap::new(9);
    let mark = kmsg::Mark::now();
    let base = irqdebug::occupancy();
    let devices = match (module.ready(VECTORS, ""), module.ready(VECTORS, "deferred")) {
        (Ok(a), Ok(b)) => [a, b],
        (Err(e), _) | (_, Err(e)) => tap.bail_out(e),
    };
    let vecs: Vec<Vector> = devices.iter().flat_map(|d| d.vecs.clone()).collect();

    // Nothing moves: each exactly once.
    let result = send(&vecs, count / 10, settle, || {
        pause(20);
        Ok(true)
    });
    let still = report(&mut tap, "no moves", &result);

    tap.ok(
        still.lost == 0 && still.dup == 0,
        "no moves: none lost, none twice",
    );

    let stop = Arc::new(AtomicBool::new(false));
    let moves = Arc::new(AtomicU64::new(0));
    let mut irqs: Vec<u32> = vecs.iter().map(|v| v.irq).collect();

    irqs.extend(
        interrupts::lines()
            .iter()
            .filter(|l| l.text.contains("PCI-MSIX"))
            .filter_map(interrupts::Line::irq),
    );

    let moving = cpu::online().len() > 1;
    let threads = (
        thread::spawn({
            let (stop, moves) = (stop.clone(), moves.clone());

            move || {
                if moving {
                    mover(irqs, &stop, &moves);
                }
            }
        }),
        thread::spawn({
            let stop = stop.clone();

            move || entropy(&stop)
        }),
    );

    let twice = Twice::new(&vecs, exact);
    let result = send(&vecs, count / 2, settle, || {
        pause(20);
        Ok(!moving || moves.load(Ordering::Relaxed) > LEAST_MOVES)
    });
    let moved = report(&mut tap, "moves", &result);
    let phase = moves.load(Ordering::Relaxed);

    tap.diag(format!("{phase} changes of affinity"));
    if moving {
        tap.ok(
            moved.lost == 0 && phase > LEAST_MOVES,
            "moves all the time: none lost (896f8e436f99, 0f67911e821c)",
        );
        tap.check(
            twice.and_then(|t| t.judge(&vecs, &moved)),
            "moves all the time: no more doubles of a vector than moves",
        );
    } else {
        tap.skip("one CPU only", "moves all the time: none lost");
        tap.skip(
            "one CPU only",
            "moves all the time: no more doubles of a vector than moves",
        );
    }

    let removable = cpu::removable();
    let mut rng = Rng::new(7);
    let mut cycles = 0;

    let desc = "moves and hotplug: none lost (51611130d57d, cefafbd56140)";
    let desc_dup = "moves and hotplug: no more doubles of a vector than moves";

    if removable.is_empty() {
        tap.skip("no CPU can be taken offline", desc);
        tap.skip("no CPU can be taken offline", desc_dup);
    } else {
        // A CPU that goes moves all that is on it.
        let twice = Twice::new(&vecs, exact);
        let result = send(&vecs, count - count / 10 - count / 2, settle, || {
            let cpu = rng.pick(&removable);

            cpu::set_online(cpu, false)?;
            pause(5);
            cpu::set_online(cpu, true)?;
            cycles += 1;
            Ok(cycles > LEAST_CYCLES)
        });
        let plugged = report(&mut tap, "moves and hotplug", &result);
        let phase = moves.load(Ordering::Relaxed) - phase;

        tap.diag(format!(
            "{cycles} times a CPU offline and back, {phase} changes of affinity"
        ));
        tap.ok(plugged.lost == 0 && cycles > LEAST_CYCLES, desc);
        tap.check(twice.and_then(|t| t.judge(&vecs, &plugged)), desc_dup);
    }

    stop.store(true, Ordering::Relaxed);
    let result = cpu::all_online();

    tap.check(result, "all CPUs are back");

    // Whoever waits for a lost interrupt waits for ever: do not join that thread.
    let (mover, reader) = threads;
    let answers = wait_until(Duration::from_secs(20), || {
        mover.is_finished() && reader.is_finished()
    });
    let desc = "virtio-rng went on answering";

    if !answers {
        for line in interrupts::lines() {
            if let (true, Some(irq)) = (line.text.contains("PCI-MSIX"), line.irq()) {
                tap.diag(format!(
                    "irq {irq}, {}: {} interrupts, target {:?}",
                    line.text,
                    interrupts::total(irq),
                    irqdebug::Irq::read(irq).ok().and_then(|i| i.target())
                ));
            }
        }
        tap.not_ok(desc);
    } else {
        match reader.join() {
            Ok(reads) => {
                if let Ok(reads) = reads {
                    tap.diag(format!("{reads} reads of virtio-rng"));
                }
                tap.check(
                    reads.and_then(|n| ensure(n > 0, || "no reads".into())),
                    desc,
                );
            }
            Err(_) => tap.not_ok(desc),
        }
    }
    tap.check(
        accounted(&devices).and_then(|()| {
            drop(devices);
            irqdebug::occupancy_is(&base)
        }),
        "counts agree with the kernel's, and all IDs came back",
    );
    tap.check(mark.quiet(), "no complaint of the kernel");
    tap.finish()
}
