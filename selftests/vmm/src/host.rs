// SPDX-License-Identifier: GPL-2.0

//! What the machine below has: CPUs, interrupts taken, guest interrupt files.

use crate::{
    sys::{
        self,
        PhysPage, //
    },
    Context,
    Error,
    Result,
    PATIENCE, //
};
use irqtest::imsic::{
    Files,
    Imsic, //
};
use std::{
    collections::BTreeMap,
    fs::{
        self,
        OpenOptions, //
    },
    io::{
        ErrorKind,
        Read, //
    },
    os::unix::fs::OpenOptionsExt,
    path::PathBuf,
    thread::sleep,
    time::{
        Duration,
        Instant, //
    },
};

const PAGE: u64 = 0x1000;

/// The CPUs that are online, in order.
pub fn online_cpus() -> Result<Vec<usize>> {
    let text = fs::read_to_string("/sys/devices/system/cpu/online").context("online CPUs")?;

    parse_cpu_list(text.trim())
}

fn parse_cpu_list(text: &str) -> Result<Vec<usize>> {
    let number = |s: &str| s.parse::<usize>().context(format!("CPU list {text}"));
    let mut cpus = Vec::new();

    for range in text.split(',') {
        match range.split_once('-') {
            Some((a, b)) => cpus.extend(number(a)?..=number(b)?),
            None => cpus.push(number(range)?),
        }
    }
    Ok(cpus)
}

/// Lets the calling thread run on `cpus` only.
pub fn pin_self(cpus: &[usize]) -> Result<()> {
    sys::set_affinity(0, cpus).context(format!("affinity {cpus:?}"))
}

/// Lets the calling thread run before all others that are not urgent, or not so
/// any more.
pub fn urgent(on: bool) -> Result<()> {
    sys::set_realtime(on).context(format!("urgent = {on}"))
}

/// Lets the calling thread run only where nobody else wants to.
pub fn idle() -> Result<()> {
    sys::set_idle().context("SCHED_IDLE")
}

/// Lets tasks run for longer before others do, where the scheduler can be told: a vCPU's thread that is as slow
/// as it is with KASAN and lockdep has used its time up before it gets into the guest.
pub(crate) fn lengthen_slices() {
    const FILE: &str = "/sys/kernel/debug/sched/base_slice_ns";
    const SLICE_NS: u64 = 60_000_000;

    // Without, it takes longer.
    let _ = fs::write(FILE, SLICE_NS.to_string());
}

/// Puts a CPU on- or offline.
pub fn set_online(cpu: usize, online: bool) -> Result<()> {
    let start = Instant::now();

    loop {
        let result = fs::write(
            format!("/sys/devices/system/cpu/cpu{cpu}/online"),
            if online { "1" } else { "0" },
        );

        match result {
            // The firmware may refuse to start a hart that has not quite stopped yet.
            Err(_) if online && start.elapsed() < PATIENCE => sleep(Duration::from_millis(10)),
            other => return other.context(format!("CPU {cpu} online = {online}")),
        }
    }
}

/// The extensions of the CPUs: "rv64imafdch_zicbom_...", as /proc/cpuinfo has it.
fn isa() -> Result<String> {
    let text = fs::read_to_string("/proc/cpuinfo").context("/proc/cpuinfo")?;

    Ok(text
        .lines()
        .filter(|l| l.starts_with("isa"))
        .find_map(|l| l.split_once("rv64"))
        .map_or_else(String::new, |(_, isa)| isa.to_owned()))
}

/// Whether the CPUs have the hypervisor extension.
pub fn has_hypervisor() -> Result<bool> {
    // Single letters come before the first '_'.
    Ok(isa()?.split('_').next().is_some_and(|i| i.contains('h')))
}

/// Whether the CPUs have the extension of this name, one of several letters.
pub fn has_extension(name: &str) -> Result<bool> {
    Ok(isa()?.trim_end().split('_').skip(1).any(|i| i == name))
}

/// The number of a record of /dev/kmsg: "PRIORITY,NUMBER,...;TEXT".
fn sequence(record: &str) -> Option<u64> {
    record.split(',').nth(1)?.parse().ok()
}

/// The number of guest interrupt files per CPU that KVM found at boot, the
/// fewest if they are not alike: "AIA available with N guest external interrupts";
/// none if the kernel's log has lost its beginning, and with it what KVM said.
///
/// An error if KVM has not said it.
pub fn kvm_guest_files() -> Result<Option<u32>> {
    let mut log = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open("/dev/kmsg")
        .context("/dev/kmsg")?;
    let mut record = vec![0; 8192];
    let mut first = None;
    let mut lost = false;

    loop {
        let len = match log.read(&mut record) {
            Ok(len) if len != 0 => len,
            // Records were overwritten meanwhile: go on with the next.
            Err(e) if e.raw_os_error() == Some(libc::EPIPE) => {
                lost = true;
                continue;
            }
            Err(e) if e.kind() != ErrorKind::WouldBlock => return Err(e).context("/dev/kmsg"),
            // The end.
            _ if lost || first != Some(0) => return Ok(None),
            _ => {
                return Err(Error::new(
                    "KVM does not say how many guest files there are",
                ))
            }
        };
        let text = String::from_utf8_lossy(&record[..len]);

        first = first.or_else(|| sequence(&text));

        if let Some((_, rest)) = text.split_once("AIA available with ") {
            let number = rest.split(' ').next().unwrap_or_default();

            return number.parse().map(Some).context(text.trim_end());
        }
    }
}

/// Interrupts of one CPU since boot, from /proc/interrupts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interrupts {
    /// All of them.
    pub all: u64,
    /// Those by which guest interrupt files wake blocked vCPUs.
    pub guest_external: u64,
    /// Those by which other CPUs want it to look for something to do: KVM's kicks
    /// are among them.
    pub reschedule: u64,
    /// Those by which other CPUs have it call a function.
    pub calls: u64,
}

impl Interrupts {
    /// Those of `cpu`.
    pub fn read(cpu: usize) -> Result<Self> {
        let text = fs::read_to_string("/proc/interrupts").context("/proc/interrupts")?;

        Self::parse(&text, cpu)
    }

    fn parse(text: &str, cpu: usize) -> Result<Self> {
        let mut lines = text.lines();
        let label = format!("CPU{cpu}");
        let heads: Vec<_> = lines
            .next()
            .unwrap_or_default()
            .split_whitespace()
            .collect();
        let column = heads
            .iter()
            .position(|h| *h == label)
            .ok_or_else(|| Error::new(format!("no {label} in /proc/interrupts")))?;
        let mut sum = Self::default();

        for line in lines {
            let fields: Vec<_> = line.split_whitespace().collect();
            // Lines such as "ERR: 0" have one column only, and are no interrupts of a CPU.
            let counts: Option<Vec<u64>> = fields
                .get(1..1 + heads.len())
                .and_then(|f| f.iter().map(|n| n.parse().ok()).collect());

            if let Some(counts) = counts {
                sum.all += counts[column];
                if fields.last() == Some(&"riscv-kvm") {
                    sum.guest_external += counts[column];
                } else {
                    match fields.get(1 + heads.len()) {
                        Some(&"Rescheduling") => sum.reschedule += counts[column],
                        Some(&"Function") => sum.calls += counts[column],
                        _ => {}
                    }
                }
            }
        }
        Ok(sum)
    }

    /// What was added since `earlier`.
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            all: self.all - earlier.all,
            guest_external: self.guest_external - earlier.guest_external,
            reschedule: self.reschedule - earlier.reschedule,
            calls: self.calls - earlier.calls,
        }
    }
}

/// A thread of this process, as the kernel sees it.
#[derive(Debug)]
pub struct Thread(PathBuf);

impl Thread {
    /// The thread of this name, of which there is one, soon if not yet.
    ///
    /// A thread names itself, and a list of threads ends early where one of them does.
    pub fn named(name: &str) -> Result<Self> {
        let begin = Instant::now();

        while begin.elapsed() < PATIENCE {
            let threads = fs::read_dir("/proc/self/task").context("threads")?;
            let found = threads.flatten().map(|thread| thread.path()).find(|dir| {
                fs::read_to_string(dir.join("comm")).is_ok_and(|c| c.trim_end() == name)
            });

            if let Some(found) = found {
                return Ok(Self(found));
            }
            sleep(Duration::from_millis(1));
        }
        Err(Error::new(format!("no thread {name}")))
    }

    fn read(&self, file: &str) -> Result<String> {
        let path = self.0.join(file);

        fs::read_to_string(&path).context(path.display())
    }

    /// Whether it sleeps, and the CPU that it ran on last.
    pub fn sleeps(&self) -> Result<(bool, usize)> {
        /// What is between the state and the CPU, fields 3 and 39 of proc(5).
        const CPU: usize = 39 - 3;
        let stat = self.read("stat")?;
        // The name comes before, and may contain anything.
        let fields: Vec<_> = stat
            .rsplit(')')
            .next()
            .unwrap_or_default()
            .split_whitespace()
            .collect();
        let cpu = fields.get(CPU).and_then(|cpu| cpu.parse().ok());

        cpu.map(|cpu| (fields[0] == "S", cpu))
            .ok_or_else(|| Error::new(format!("no CPU in {stat}")))
    }

    /// How often others took the CPU from it.
    pub fn preemptions(&self) -> Result<u64> {
        let status = self.read("status")?;

        status
            .lines()
            .find_map(|l| l.strip_prefix("nonvoluntary_ctxt_switches:"))
            .and_then(|n| n.trim().parse().ok())
            .ok_or_else(|| Error::new("no nonvoluntary_ctxt_switches of a thread"))
    }

    /// Nanoseconds that it has run for, those for its guest included.
    pub fn run_time(&self) -> Result<u64> {
        let stat = self.read("schedstat")?;
        let time = stat.split_whitespace().next().unwrap_or_default();

        time.parse().context(format!("schedstat {stat}"))
    }
}

/// The S-level IMSIC of the machine, as firmware describes it.
#[derive(Clone, Debug)]
pub struct Imsics {
    by_cpu: BTreeMap<usize, Files>,
    /// The largest identity of a guest file.
    guest_ids: u32,
}

impl Imsics {
    /// What firmware says; none if the machine has no S-level IMSIC.
    pub fn read() -> Result<Option<Self>> {
        let Some(imsic) = Imsic::find() else {
            return Ok(None);
        };

        Ok(Some(Self {
            by_cpu: online_cpus()?
                .into_iter()
                .filter_map(|cpu| Some((cpu, *imsic.files(cpu)?)))
                .collect(),
            guest_ids: u32::try_from(imsic.guest_ids).unwrap_or(0),
        }))
    }

    /// Guest files of `cpu` that have a page. The hardware may have fewer.
    pub fn guest_files(&self, cpu: usize) -> u32 {
        self.by_cpu.get(&cpu).map_or(0, |files| files.guests)
    }

    /// Guest files that have a page on every CPU.
    pub fn fewest_guest_files(&self) -> u32 {
        let files = self.by_cpu.values().map(|files| files.guests);

        files.min().unwrap_or(0)
    }

    /// The largest identity of a guest file.
    pub fn guest_ids(&self) -> u32 {
        self.guest_ids
    }

    /// Physical address of guest interrupt file `line` (from 1) of `cpu`.
    pub fn guest_file(&self, cpu: usize, line: u32) -> Result<u64> {
        let files = self
            .by_cpu
            .get(&cpu)
            .ok_or_else(|| Error::new(format!("no IMSIC of CPU {cpu}")))?;

        Ok(files.page + u64::from(line) * PAGE)
    }

    /// Sends an MSI by its physical address to guest interrupt file `line` of
    /// `cpu`, whoever owns it.
    pub fn send_to_guest_file(&self, cpu: usize, line: u32, id: u32) -> Result<()> {
        PhysPage::new(self.guest_file(cpu, line)?)?.write_first(id);
        Ok(())
    }
}
