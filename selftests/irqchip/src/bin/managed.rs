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
        Irq,
        Occupancy, //
    },
    kmsg,
    sys,
    wait_until,
    write,
    Result,
    PATIENCE, //
};
use ktap::Tap;
use std::{
    fs::{
        self,
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

/// The driver of the disk lets it go, and takes it again.
struct Unbound {
    driver: String,
    device: String,
}

impl Unbound {
    fn new() -> Result<Self> {
        let device = fs::canonicalize("/sys/block/vda/device").map_err(|e| format!("vda: {e}"))?;
        let driver = fs::canonicalize(device.join("driver")).map_err(|e| format!("vda: {e}"))?;
        let device = device.file_name().ok_or("vda has no device")?;
        let new = Self {
            driver: driver.display().to_string(),
            device: device.to_string_lossy().into_owned(),
        };

        write(&format!("{}/unbind", new.driver), &new.device)?;
        Ok(new)
    }

    fn bind(self) -> Result {
        write(&format!("{}/bind", self.driver), &self.device)
    }
}

/// When the disk comes, the CPU of a queue has no identity left: its interrupt is elsewhere. When that CPU
/// goes, it finds another one, as there is still no room where it belongs.
fn homeless(module: &Module, queue: Queue) -> Result {
    let unbound = Unbound::new()?;
    let base = irqdebug::occupancy();
    let placed = interrupts::DefaultAffinity::new(&[queue.cpu])?;
    let mut fillers = Vec::new();

    loop {
        let filler = module.alloc(1, "")?;

        if filler.vecs[0].target()?.0 != queue.cpu {
            break;
        }
        fillers.push(filler);
    }
    drop(placed);
    unbound.bind()?;
    let found = queues()?;
    let queue = *found
        .iter()
        .find(|found| found.cpu == queue.cpu)
        .ok_or("no queue")?;
    let target = || Ok::<_, String>(Irq::read(queue.irq)?.target().ok_or("no target")?.0);
    let guest_of = target()?;

    ensure(guest_of != queue.cpu, || {
        format!("{} others, and room on CPU {}", fillers.len(), queue.cpu)
    })?;
    cpu::set_online(guest_of, false)?;
    let now = target();
    let before = interrupts::total(queue.irq);
    let (in_time, read) = scope(|s| {
        let reader = s.spawn(|| sys::pin(&[queue.cpu]).and_then(|()| reads(&disk()?, 20)));
        let in_time = wait_until(PATIENCE, || reader.is_finished());

        // Then what has come at last, if it has not before.
        let back = cpu::set_online(guest_of, true);
        let read = reader
            .join()
            .unwrap_or_else(|_| Err("the reader panicked".into()));
        (in_time, back.and(read))
    });
    let came = interrupts::total(queue.irq) - before;
    let now = now?;

    ensure(now != guest_of && now != queue.cpu, || {
        format!("on CPU {now} when CPU {guest_of} has gone")
    })?;
    read?;
    ensure(in_time, || "the disk did not answer".into())?;
    ensure(came > 0, || "no interrupt came".into())?;

    // As it was.
    drop(fillers);
    Unbound::new()?.bind()?;
    irqdebug::occupancy_is(&base.map(|base| Occupancy {
        available: base.available - found.len() as u64 - 1,
        allocated: base.allocated + found.len() as u64 + 1,
    }))
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
        Ok(queues) => Tap::new(6).bail_out(format!("not a queue for each CPU: {queues:?}")),
        Err(e) => Tap::new(6).bail_out(e),
    };
    let mut tap = Tap::new(6);
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
    if queues.len() < 3 {
        tap.skip("needs 3 CPUs", "an interrupt that has no room at home");
    } else {
        tap.check(
            homeless(&module, queues[queues.len() - 1]),
            "an interrupt that has no room at home finds one, wherever CPUs are left",
        );
    }
    tap.check(mark.quiet(), "no complaint of the kernel");
    tap.finish()
}
