// SPDX-License-Identifier: GPL-2.0

//! The test module `aia_test.ko`: devices that send MSIs when told to. See the
//! head of `modules/aia_test_debugfs.c` for what each of its files does.

use crate::{
    cpu,
    dt,
    ensure,
    irqdebug,
    pause,
    read,
    wait_until,
    write,
    Result,
    PATIENCE, //
};
use ktap::Tap;
use std::{
    ops::RangeInclusive,
    path::Path,
    process::{
        Command,
        ExitCode, //
    },
    time::Duration, //
};

const BASE: &str = "/sys/kernel/debug/aia_test";
const MODULE: &str = "/tests/aia_test.ko";

fn ask(file: &str) -> Result<Vec<Vec<String>>> {
    Ok(read(&format!("{BASE}/{file}"))?
        .lines()
        .map(|l| l.split_whitespace().map(Into::into).collect())
        .collect())
}

fn tell(file: &str, text: impl AsRef<str>) -> Result {
    write(&format!("{BASE}/{file}"), text.as_ref())
}

fn field<T: std::str::FromStr>(row: &[String], index: usize) -> Result<T> {
    row.get(index)
        .and_then(|w| w.parse().ok())
        .ok_or_else(|| format!("unexpected line {row:?}"))
}

/// What a hart loses in an idle state.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Loss {
    /// Nothing.
    Nothing,
    /// All registers, but for MSIs that come meanwhile.
    Registers,
    /// These, too.
    All,
}

/// The loaded module; unloads it when dropped.
#[derive(Debug)]
pub struct Module(());

/// So long a CPU is held at most, in seconds: a kernel tells soft lockups after 20.
const HELD_S: u64 = 10;

/// A CPU that runs with interrupts off as long as this is there.
#[must_use]
pub struct Held<'a>(&'a Module);

impl Held<'_> {
    /// Lets the CPU go, which has been held until now.
    pub fn let_go(self) -> Result {
        ensure(self.0.is_held()?, || {
            format!("a CPU was needed for more than {HELD_S} seconds while it was held")
        })
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        // Without it the CPU goes by itself.
        let _ = tell("let_go", "all");
    }
}

impl Module {
    /// Loads the module. The error says why this machine cannot have it.
    pub fn load() -> Result<Self> {
        if !Path::new(BASE).exists() {
            let output = Command::new("insmod")
                .arg(MODULE)
                .output()
                .map_err(|e| format!("insmod: {e}"))?;

            ensure(output.status.success(), || {
                format!(
                    "no test module: {}",
                    String::from_utf8_lossy(&output.stderr).trim()
                )
            })?;
        }
        Ok(Self(()))
    }

    /// The module, on a machine that has an IMSIC; else the exit of the whole test.
    pub fn for_imsic() -> std::result::Result<Self, ExitCode> {
        if dt::mode() != dt::Mode::Msi {
            return Err(Tap::skip_all("no IMSIC in this machine"));
        }
        Self::load().map_err(|e| Tap::new(1).bail_out(e))
    }

    /// Makes a device of one wired line; `kind` is one of `IRQ_TYPE_*`.
    pub fn wired(&self, line: u32, kind: u32) -> Result<Device> {
        tell("wired", format!("{line} {kind}"))?;
        self.last(1)
    }

    /// As [`Self::wired`], of the APLIC at this address.
    pub fn wired_at(&self, aplic: u64, line: u32, kind: u32) -> Result<Device> {
        tell("wired", format!("{line} {kind} {aplic:#x}"))?;
        self.last(1)
    }

    /// As [`Self::wired`], an interrupt of the device tree's node `aia-test,lines`.
    pub fn line(&self, index: usize) -> Result<Device> {
        tell("line", index.to_string())?;
        self.last(1)
    }

    /// Makes a device of `count` wires of a controller of the module's own, which turns
    /// them into MSIs.
    pub fn wires(&self, count: usize) -> Result<Device> {
        tell("wires", count.to_string())?;
        self.last(count)
    }

    /// Takes the machine's xHCI controller, with `count` interrupts that it raises by one message.
    pub fn multi(&self, count: usize) -> Result<Device> {
        tell("multi", count.to_string())?;
        self.last(count)
    }

    /// Takes `cpu` so often through an idle state of `us` microseconds that loses what `loss` says; the
    /// CPU that asks for it calls it by IPIs all the time, how often is returned.
    pub fn doze(&self, cpu: usize, loss: Loss, rounds: u32, us: u32) -> Result<u64> {
        tell("doze", format!("{cpu} {} {rounds} {us}", loss as u32))?;
        field(ask("doze")?.first().ok_or("no answer")?, 0)
    }

    /// Makes the power domain of the APLIC at this address, which the tree says to be
    /// `aia-test,power`.
    pub fn power_domain(&self, aplic: u64) -> Result {
        tell("domain", format!("{aplic:#x}"))
    }

    /// How often that was switched off and on.
    pub fn power_switched(&self) -> Result<(u32, u32)> {
        let answer = ask("domain")?;
        let row = answer.first().ok_or("no answer")?;

        Ok((field(row, 0)?, field(row, 1)?))
    }

    /// Suspends the system, whose CPU and APLICs lose their registers or not; it wakes up at once, or
    /// when `line` of the first APLIC is high. Returns whether it was low before.
    pub fn suspend(&self, loses: bool, line: Option<u32>) -> Result<bool> {
        let nights = || -> Result<(u64, u64)> {
            let answer = ask("asleep")?;
            let row = answer.first().ok_or("no answer")?;

            Ok((field(row, 0)?, field(row, 1)?))
        };

        tell(
            "asleep",
            format!("{} {}", u32::from(loses), line.unwrap_or(0)),
        )?;
        let before = nights()?;
        write("/sys/power/state", "mem")?;
        let after = nights()?;

        ensure(after.0 == before.0 + 1, || {
            format!("{} nights, not 1", after.0 - before.0)
        })?;
        Ok(after.1 > before.1)
    }

    /// Whether a line of the first APLIC was enabled while the system slept last.
    pub fn enabled_asleep(&self, line: u32) -> Result<bool> {
        let answer = ask("asleep")?;
        let words = answer.get(1).ok_or("no enable bits")?;
        let word = words.get(line as usize / 32).ok_or("too few enable bits")?;
        let word = u32::from_str_radix(word, 16).map_err(|e| format!("{word}: {e}"))?;

        Ok(word & 1 << (line % 32) != 0)
    }

    /// Makes devices of APLICs whose nodes are disabled, all at once, and lets the driver
    /// probe them; `flags` as the module takes them.
    pub fn probe(&self, aplics: &[u64], flags: &str) -> Result {
        let list: Vec<String> = aplics.iter().map(|a| format!("{a:#x}")).collect();

        tell("probe", format!("{} {flags}", list.join(" ")))
    }

    /// Probes an APLIC as [`Self::probe`] with the `n`th allocation of the driver failing; says
    /// what came of it, and whether there were that many. An error if the kernel cannot do that.
    pub fn probe_failing(&self, aplic: u64, n: u32) -> Result<(Result, bool)> {
        tell("fail", n.to_string())?;
        let probed = self.probe(&[aplic], "");
        let failed = ask("fail")?
            .first()
            .is_some_and(|row| row.first().is_some_and(|word| word == "1"));

        Ok((probed, failed))
    }

    /// Takes all dynamic states of CPU hotplug that are left, or gives them back.
    pub fn take_states(&self, take: bool) -> Result {
        tell("states", u32::from(take).to_string())
    }

    /// Makes a device with `count` MSIs; `flags` as the module takes them.
    pub fn alloc(&self, count: usize, flags: &str) -> Result<Device> {
        tell("alloc", format!("{count} {flags}"))?;
        self.last(count)
    }

    fn last(&self, count: usize) -> Result<Device> {
        let rows = ask("alloc")?;
        let row = rows.first().ok_or("no device after alloc")?;
        let id = field(row, 0)?;
        let mut vecs = Vec::new();

        for row in ask("msg")? {
            if field::<u32>(&row, 1)? == id {
                vecs.push(Vector {
                    nr: field(&row, 0)?,
                    irq: field(&row, 2)?,
                });
            }
        }
        ensure(vecs.len() == count, || {
            format!("{} vectors instead of {count}", vecs.len())
        })?;
        Ok(Device { id, vecs })
    }

    /// Makes a device, and requests all its interrupts.
    pub fn ready(&self, count: usize, flags: &str) -> Result<Device> {
        let device = self.alloc(count, flags)?;

        device.vecs.iter().try_for_each(Vector::request)?;
        Ok(device)
    }

    /// Frees all devices.
    pub fn free_all(&self) -> Result {
        tell("free", "all")
    }

    /// Lets a CPU run with interrupts off until what this gives back is dropped; it does so on
    /// return. While that is there, nothing may be done that waits for all CPUs.
    pub fn hold_until(&self, cpu: usize) -> Result<Held<'_>> {
        self.hold(cpu, 1000 * HELD_S)?;
        Ok(Held(self))
    }

    /// Lets a CPU run with interrupts off for a time; it does so on return.
    pub fn hold(&self, cpu: usize, ms: u64) -> Result {
        tell("hold", format!("{cpu} {}", ms * 1000))
    }

    /// Lets the next run of a vector's handler last until what this gives back is dropped: its CPU is
    /// held then.
    pub fn linger(&self, vec: Vector) -> Result<Held<'_>> {
        tell("linger", vec.nr.to_string())?;
        Ok(Held(self))
    }

    /// Whether a CPU is held right now.
    pub fn is_held(&self) -> Result<bool> {
        let rows = ask("hold")?;

        Ok(field::<u32>(rows.first().ok_or("empty file hold")?, 0)? != 0)
    }

    /// Lets a CPU get no MSIs of other harts, or lets it get them again. Only where they are not IPIs.
    pub fn mute(&self, cpu: usize, mute: bool) -> Result {
        tell("mute", format!("{cpu} {}", u32::from(mute)))
    }

    /// Lets a CPU store numbers in a register, with its interrupts off, and the kernel die there, while a
    /// guest interrupt file of the CPU interrupts it, if it has any.
    pub fn crash(&self, cpu: usize, register: u64, numbers: RangeInclusive<u32>) -> Result {
        let (first, last) = numbers.into_inner();

        tell("crash", format!("{cpu} {register:#x} {first} {last}"))
    }

    /// Writes an ID to a CPU's interrupt file, on nobody's behalf.
    pub fn stray(&self, cpu: usize, id: u32) -> Result {
        tell("stray", format!("{cpu} {id}"))
    }

    /// As [`Self::stray`] for one ID after the other, all of that so many times.
    pub fn strays(&self, cpu: usize, ids: RangeInclusive<u32>, times: u32) -> Result {
        let (first, last) = ids.into_inner();

        tell("stray", format!("{cpu} {first} {times} {last}"))
    }

    /// How many messages went to an address that is no interrupt file.
    pub fn bad(&self) -> Result<u64> {
        let rows = ask("bad")?;

        field(rows.first().ok_or("empty file bad")?, 0)
    }
}

impl Drop for Module {
    fn drop(&mut self) {
        let unloaded = self.free_all().is_ok()
            && Command::new("rmmod")
                .arg("aia_test")
                .status()
                .is_ok_and(|s| s.success());

        if !unloaded {
            ktap::diag("the test module could not be unloaded");
        }
    }
}

/// A device of the test module; freed when dropped.
#[derive(Debug)]
pub struct Device {
    id: u32,
    /// Its vectors.
    pub vecs: Vec<Vector>,
}

impl Device {
    /// Frees the device, and says what became of it.
    pub fn free(self) -> Result {
        let result = tell("free", self.id.to_string());

        std::mem::forget(self);
        result
    }

    /// What the handlers of all vectors counted.
    pub fn stats(&self) -> Result<Vec<Stats>> {
        let rows = ask("stats")?;

        self.vecs
            .iter()
            .map(|vec| {
                rows.iter()
                    .find(|row| field::<u32>(row, 0) == Ok(vec.nr))
                    .ok_or_else(|| format!("vector {} is not in stats", vec.nr))
                    .and_then(|row| Stats::of(row))
            })
            .collect()
    }

    /// Makes all vectors, which share a message, go to `cpu`, by the one of the number `by`, which has to
    /// arrive once for that.
    pub fn go(&self, by: usize, cpu: usize) -> Result {
        let vec = &self.vecs[by];

        // As long as the move before is in flight, the core tries again whenever one arrives.
        for round in 0.. {
            vec.affine(cpu)?;
            vec.fire(1)?;
            if wait_until(Duration::from_millis(200), || {
                vec.target().is_ok_and(|target| target.0 == cpu)
            }) {
                break;
            }
            ensure(round < 50, || format!("no move to CPU {cpu}"))?;
        }
        vec.flush()
    }

    /// Moves all vectors to `cpu` and frees the device at once.
    pub fn move_free(self, cpu: usize) -> Result {
        let result = tell("move_free", format!("{} {cpu}", self.id));

        std::mem::forget(self);
        result
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        if let Err(e) = tell("free", self.id.to_string()) {
            ktap::diag(e);
        }
    }
}

/// One MSI of a test device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vector {
    nr: u32,
    /// The Linux interrupt number.
    pub irq: u32,
}

/// What became of a run of [`Vector::send`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// Still sending.
    pub running: bool,
    /// MSIs sent so far.
    pub sent: u64,
    /// Those that the handler did not see in time.
    pub lost: u64,
    /// Runs of the handler without an MSI of their own.
    pub dup: u64,
    /// The longest and the mean time from sending to the handler.
    pub max_ns: u64,
    /// See `max_ns`.
    pub mean_ns: u64,
}

/// What the handler counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// All runs.
    pub total: u64,
    /// By possible CPU.
    pub cpus: Vec<u64>,
}

/// The result of [`Vector::latency`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Latency {
    /// Rounds whose interrupt never came.
    pub lost: u64,
    /// Rounds whose interrupt came in spite of the mask.
    pub leaked: u64,
    /// Rounds in which the CPU took no other interrupt between the unmask and the handler.
    pub alone: u64,
    /// Least, mean and greatest time.
    pub min_ns: u64,
    /// See `min_ns`.
    pub mean_ns: u64,
    /// See `min_ns`.
    pub max_ns: u64,
}

/// The message that a device holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    /// Where it writes.
    pub address: u64,
    /// What it writes: the ID.
    pub id: u32,
    /// How often it was programmed so far.
    pub updates: u64,
}

impl Stats {
    fn of(row: &[String]) -> Result<Self> {
        Ok(Self {
            total: field(row, 2)?,
            cpus: (3..row.len())
                .map(|i| field(row, i))
                .collect::<Result<_>>()?,
        })
    }
}

impl Vector {
    fn row(&self, file: &str) -> Result<Vec<String>> {
        ask(file)?
            .into_iter()
            .find(|row| field::<u32>(row, 0) == Ok(self.nr))
            .ok_or_else(|| format!("vector {} is not in {file}", self.nr))
    }

    /// request_irq().
    pub fn request(&self) -> Result {
        tell("request", self.nr.to_string())
    }

    /// irq_set_chained_handler(), instead of a request.
    pub fn chain(&self) -> Result {
        tell("chain", self.nr.to_string())
    }

    /// free_irq(); a device that sends goes on sending.
    pub fn release(&self) -> Result {
        tell("release", self.nr.to_string())
    }

    /// disable_irq() or enable_irq().
    pub fn mask(&self, mask: bool) -> Result {
        tell("mask", format!("{} {}", self.nr, u32::from(mask)))
    }

    /// irq_set_irq_type(); `kind` as it is, be it one of `IRQ_TYPE_*` or not.
    pub fn set_type(&self, kind: u32) -> Result {
        tell("type", format!("{} {kind}", self.nr))
    }

    /// irq_set_irq_wake().
    pub fn set_wake(&self, on: bool) -> Result {
        tell("wake", format!("{} {}", self.nr, u32::from(on)))
    }

    /// Sends MSIs without waiting.
    pub fn fire(&self, count: u32) -> Result {
        tell("fire", format!("{} {count}", self.nr))
    }

    /// Moves the vector in process context, without a detour through procfs.
    pub fn affine(&self, cpu: usize) -> Result {
        if !cpu::is_smp() {
            return ensure(cpu == 0, || format!("there is no CPU {cpu}"));
        }
        tell("affine", format!("{} {cpu}", self.nr))
    }

    /// Makes message updates take effect so much later.
    pub fn posted(&self, delay: Duration) -> Result {
        tell("posted", format!("{} {}", self.nr, delay.as_nanos()))
    }

    /// Sends one MSI at this point of the next updates.
    pub fn inject(&self, point: i32) -> Result {
        tell("inject", format!("{} {point}", self.nr))
    }

    /// Whether the injection has happened.
    pub fn injected(&self) -> Result<bool> {
        Ok(field::<String>(&self.row("inject")?, 1)? == "fired")
    }

    /// How many points of updates there were since [`Self::inject`].
    pub fn points(&self) -> Result<u32> {
        field(&self.row("inject")?, 2)
    }

    /// Moves to `cpu` while updates take effect `delay` later; near the end of that time, the
    /// vectors of `strangers` move to the CPU that was left, and one MSI goes out.
    ///
    /// Tells whether it went out with the old message, and in time.
    pub fn straggle(&self, cpu: usize, strangers: &Device, delay: Duration) -> Result<bool> {
        tell(
            "straggle",
            format!("{} {cpu} {} {}", self.nr, strangers.id, delay.as_nanos()),
        )?;
        let rows = ask("straggle")?;

        Ok(field::<u32>(rows.first().ok_or("empty file straggle")?, 0)? != 0)
    }

    /// Starts sending one MSI after the other, each when the handler saw the one before,
    /// or has not within the timeout.
    pub fn send(&self, count: u64, timeout: Duration, settle_us: u64) -> Result {
        tell(
            "seq",
            format!("{} {count} {} {settle_us}", self.nr, timeout.as_micros()),
        )
    }

    /// Sends all the time, or stops sending.
    pub fn spray(&self, period_us: u64) -> Result {
        tell("spray", format!("{} {period_us}", self.nr))
    }

    /// How far the sending has come.
    pub fn sent(&self) -> Result<Sent> {
        let row = self.row("seq")?;
        let seen = field::<u64>(&row, 2)?.saturating_sub(field(&row, 3)?);

        Ok(Sent {
            running: field::<u32>(&row, 1)? != 0,
            sent: field(&row, 2)?,
            lost: field(&row, 3)?,
            dup: field(&row, 4)?,
            max_ns: field(&row, 5)?,
            mean_ns: field::<u64>(&row, 6)? / seen.max(1),
        })
    }

    /// Waits until all was sent.
    pub fn finish(&self, limit: Duration) -> Result<Sent> {
        let done = wait_until(limit, || {
            pause(20);
            !self.sent().is_ok_and(|s| s.running)
        });

        ensure(done, || format!("vector {} still sends", self.nr))?;
        self.sent()
    }

    /// What the handler counted.
    pub fn stats(&self) -> Result<Stats> {
        Stats::of(&self.row("stats")?)
    }

    /// All runs of the handler.
    pub fn total(&self) -> Result<u64> {
        Ok(self.stats()?.total)
    }

    /// Waits for a count, and for what is too many.
    ///
    /// What only comes because somebody disturbs its CPU is late: nobody does so before the wait is
    /// over.
    pub fn expect(&self, total: u64, what: &str) -> Result {
        let came = wait_until(PATIENCE, || self.total().is_ok_and(|t| t >= total));

        ensure(came, || {
            format!(
                "{what}: {} interrupts instead of {total}",
                self.total().unwrap_or(0)
            )
        })?;
        self.flush()?;
        let seen = self.total()?;

        ensure(seen == total, || {
            format!("{what}: {seen} interrupts instead of {total}")
        })
    }

    /// The message as the device holds it.
    pub fn message(&self) -> Result<Message> {
        let row = self.row("msg")?;
        let address: String = field(&row, 3)?;

        Ok(Message {
            address: u64::from_str_radix(address.trim_start_matches("0x"), 16)
                .map_err(|e| format!("{address}: {e}"))?,
            id: field(&row, 4)?,
            updates: field(&row, 5)?,
        })
    }

    /// CPU and ID as the driver shows them.
    pub fn target(&self) -> Result<(usize, u32)> {
        irqdebug::Irq::read(self.irq)?
            .target()
            .ok_or_else(|| format!("irq {} has no IMSIC level", self.irq))
    }

    /// Waits until the driver has no move in flight for the vector.
    pub fn settle(&self) -> Result {
        irqdebug::settle(self.irq)
    }

    /// Waits until all that was sent so far has been taken.
    pub fn flush(&self) -> Result {
        irqdebug::flush(self.irq)
    }

    /// Moves to a CPU, waiting while a move before it is in flight.
    pub fn move_to(&self, cpu: usize) -> Result {
        self.settle()?;
        self.affine(cpu)?;
        self.settle()
    }

    /// Lets the kernel die in the next handler of the vector, while a move to one of these CPUs waits, as
    /// that to the other one has not ended.
    pub fn crash_moving(&self, cpus: [usize; 2]) -> Result {
        let [first, second] = cpus;

        tell("crash_moving", format!("{} {first} {second}", self.nr))
    }

    /// Times how long the handler takes after an unmask, which comes so long after
    /// the mask.
    pub fn latency(&self, rounds: u64, pause_us: u64) -> Result<Latency> {
        tell("latency", format!("{} {rounds} {pause_us}", self.nr))?;
        let rows = ask("latency")?;
        let row = rows.first().ok_or("empty file latency")?;

        Ok(Latency {
            lost: field(row, 1)?,
            leaked: field(row, 2)?,
            min_ns: field(row, 3)?,
            mean_ns: field(row, 4)?,
            max_ns: field(row, 5)?,
            alone: field(row, 6)?,
        })
    }
}
