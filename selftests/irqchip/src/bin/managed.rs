// SPDX-License-Identifier: GPL-2.0

//! Managed interrupts: those of a disk with a queue for each CPU, which the kernel shuts down when the
//! CPU goes, and starts again when it is back.
//!
//! Argument: `rounds`, how often CPUs go and come back under load (default 10).

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
    sys,
    wait_until,
    Result,
    PATIENCE, //
};
use ktap::Tap;
use std::{
    fs::{
        File,
        OpenOptions, //
    },
    os::unix::fs::{
        FileExt,
        OpenOptionsExt, //
    },
    process::ExitCode,
    sync::atomic::{
        AtomicBool,
        Ordering, //
    },
    thread::scope, //
};

const DISK: &str = "/dev/vda";
const SECTOR: usize = 4096;

/// A sector where the disk can put it by DMA.
#[repr(align(4096))]
struct Sector([u8; SECTOR]);

/// A queue of the disk that belongs to one CPU.
#[derive(Clone, Copy, Debug)]
struct Queue {
    irq: u32,
    cpu: usize,
}

/// The queues, by what their interrupts may go to.
fn queues() -> Result<Vec<Queue>> {
    let mut queues = Vec::new();

    for line in interrupts::lines() {
        let Some(irq) = line.irq().filter(|_| line.text.contains("-req.")) else {
            continue;
        };

        if let [cpu] = interrupts::affinity(irq)[..] {
            ensure(Irq::read(irq)?.has("IRQD_AFFINITY_MANAGED"), || {
                format!("irq {irq} is not managed")
            })?;
            queues.push(Queue { irq, cpu });
        }
    }
    queues.sort_by_key(|queue| queue.cpu);
    Ok(queues)
}

fn disk() -> Result<File> {
    OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_DIRECT)
        .open(DISK)
        .map_err(|e| format!("{DISK}: {e}"))
}

/// Reads from the disk, each time anew.
fn reads(disk: &File, count: u64) -> Result {
    let mut sector = Sector([0xff; SECTOR]);

    for n in 0..count {
        disk.read_exact_at(&mut sector.0, n % 64 * SECTOR as u64)
            .map_err(|e| format!("{DISK}: {e}"))?;
    }
    Ok(())
}

/// Each queue's interrupt is on its own CPU.
fn placed(queues: &[Queue]) -> Result {
    for queue in queues {
        let irq = Irq::read(queue.irq)?;

        ensure(
            irq.target().is_some_and(|(cpu, _)| cpu == queue.cpu),
            || format!("{queue:?} is at {:?}", irq.target()),
        )?;
        ensure(interrupts::effective(queue.irq) == [queue.cpu], || {
            format!("{queue:?}: {:?}", interrupts::effective(queue.irq))
        })?;
    }
    Ok(())
}

/// Who reads on a CPU interrupts that CPU, and no other.
fn read_on(disk: &File, queue: Queue) -> Result {
    const COUNT: u64 = 20;
    let before = interrupts::line(queue.irq);

    sys::pin(&[queue.cpu])?;
    reads(disk, COUNT)?;
    let after = interrupts::line(queue.irq);
    let came = after.on(queue.cpu) - before.on(queue.cpu);
    let all = after.total() - before.total();

    sys::pin(&cpu::online())?;
    ensure(came > 0 && came <= COUNT && all == came, || {
        format!(
            "{COUNT} reads, {came} interrupts on CPU {}, {all} in all",
            queue.cpu
        )
    })
}

fn own_cpus(queues: &[Queue]) -> Result {
    let disk = disk()?;

    queues.iter().try_for_each(|queue| read_on(&disk, *queue))
}

/// A CPU goes, with its queue: the interrupt is shut down and stays where it is, for nobody else to
/// take; and works when the CPU is back, also if there is no other identity left.
fn comes_back(module: &Module, queue: Queue) -> Result {
    let disk = disk()?;
    let base = irqdebug::occupancy();
    let at = Irq::read(queue.irq)?.target();

    cpu::set_online(queue.cpu, false)?;
    let gone = Irq::read(queue.irq)?;

    ensure(gone.has("IRQD_MANAGED_SHUTDOWN"), || {
        format!("{queue:?} is not shut down: {:?}", gone.desc)
    })?;
    ensure(gone.target() == at, || {
        format!("{queue:?} was at {at:?}, is at {:?}", gone.target())
    })?;
    // Those of its CPU go to another queue.
    let before = interrupts::total(queue.irq);

    reads(&disk, 20)?;
    ensure(interrupts::total(queue.irq) == before, || {
        format!("{queue:?} is shut down, and came")
    })?;
    // Whatever the others take.
    let mut devices = Vec::new();

    for size in [64, 8, 1] {
        while let Ok(device) = module.alloc(size, "") {
            devices.push(device);
        }
    }
    cpu::set_online(queue.cpu, true)?;
    let back = Irq::read(queue.irq)?;

    ensure(
        !back.has("IRQD_MANAGED_SHUTDOWN") && back.target() == at,
        || format!("{queue:?} was at {at:?}: {back:?}"),
    )?;
    read_on(&disk, queue)?;
    drop(devices);
    irqdebug::occupancy_is(&base)
}

/// CPUs go and come back while a thread of each reads.
fn load(queues: &[Queue], rounds: u64) -> Result {
    let stop = AtomicBool::new(false);
    let base = irqdebug::occupancy();
    let (read, moved) = scope(|s| {
        let readers: Vec<_> = queues
            .iter()
            .map(|queue| {
                let (stop, cpu) = (&stop, queue.cpu);

                s.spawn(move || {
                    let disk = disk()?;
                    let mut count = 0_u64;

                    while !stop.load(Ordering::Relaxed) {
                        // It is pushed off when the CPU goes, and goes back as soon as it is there.
                        let _ = sys::pin(&[cpu]);
                        reads(&disk, 10)?;
                        count += 10;
                    }
                    Ok::<u64, String>(count)
                })
            })
            .collect();
        let removable = cpu::removable();
        let moved = (0..rounds).try_for_each(|n| {
            let cpu = removable[n as usize % removable.len()];

            cpu::set_online(cpu, false)?;
            cpu::set_online(cpu, true)
        });

        stop.store(true, Ordering::Relaxed);
        let read: Result<Vec<_>> = readers
            .into_iter()
            .map(|reader| {
                reader
                    .join()
                    .unwrap_or_else(|_| Err("a reader panicked".into()))
            })
            .collect();

        (read, moved)
    });
    let read = read?;

    moved?;
    ensure(read.iter().all(|count| *count > 0), || {
        format!("reads by CPU: {read:?}")
    })?;
    ktap::diag(format!("{rounds} times, reads by CPU: {read:?}"));
    let mut late = String::new();

    // A queue starts again soon after its CPU is back.
    let started = wait_until(PATIENCE, || {
        late = placed(queues).err().unwrap_or_default();
        late.is_empty()
    });
    ensure(started, || late)?;
    own_cpus(queues)?;
    irqdebug::occupancy_is(&base)
}

fn main() -> ExitCode {
    let args = Args::of("managed", &["rounds"]);
    let module = match Module::for_imsic() {
        Ok(module) => module,
        Err(exit) => return exit,
    };

    if irqdebug::occupancy().is_err() {
        return Tap::skip_all("no IMSIC in this machine");
    }
    if cpu::removable().is_empty() {
        return Tap::skip_all("one CPU only");
    }
    let queues = match queues() {
        Ok(queues) if queues.len() == cpu::online().len() => queues,
        Ok(queues) => Tap::new(5).bail_out(format!("not a queue for each CPU: {queues:?}")),
        Err(e) => Tap::new(5).bail_out(e),
    };
    let mut tap = Tap::new(5);
    let mark = kmsg::Mark::now();

    tap.check(placed(&queues), "each interrupt is on the CPU of its queue");
    tap.check(
        own_cpus(&queues),
        "reads interrupt the CPU that they are made on",
    );
    tap.check(
        queues
            .iter()
            .filter(|queue| cpu::removable().contains(&queue.cpu))
            .try_for_each(|queue| comes_back(&module, *queue)),
        "interrupts of a CPU that goes are there when it is back",
    );
    tap.check(
        load(&queues, args.number("rounds", 10)),
        "nothing is lost while CPUs go and come back",
    );
    tap.check(mark.quiet(), "no complaint of the kernel");
    tap.finish()
}
