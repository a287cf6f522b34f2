// SPDX-License-Identifier: GPL-2.0

//! What tracepoints say of it, as much as the statistics; and debugfs.

use crate::crowd::crowd;
use std::{
    fs,
    path::Path,
    process::Command, //
};
use vmm::{
    ensure,
    exact,
    same,
    Config,
    Context,
    Guest,
    Machine,
    Mode,
    Result, //
};

const ROOT: &str = "/sys/kernel/tracing";
const EVENTS: [&str; 2] = ["kvm_aia_file", "kvm_aia_msi"];
const IDS: u32 = 20;
const ROUNDS: u32 = 4;

/// What a line has where the statistic of this name counts one more.
const COUNTED: [(&str, &str); 7] = [
    ("event=moved ", "aia_file_moves"),
    ("event=missed ", "aia_file_misses"),
    ("event=evicted ", "aia_file_evictions"),
    ("event=stole ", "aia_file_steals"),
    ("event=robbed ", "aia_file_losses"),
    ("to=file", "aia_msi_file"),
    ("to=memory", "aia_msi_memory"),
];

fn write(path: &str, text: &str) -> Result<()> {
    fs::write(format!("{ROOT}/{path}"), text).context(format!("{ROOT}/{path}"))
}

/// The events, on while the value lives.
struct Watching;

impl Watching {
    fn new() -> Result<Self> {
        if !Path::new(ROOT).join("trace").exists() {
            let status = Command::new("mount")
                .args(["-t", "tracefs", "none", ROOT])
                .status()
                .context("mount")?;

            ensure(status.success(), || format!("mount {ROOT}: {status}"))?;
        }
        write("trace", "")?;
        let watching = Self;

        for event in EVENTS {
            write(&format!("events/kvm/{event}/enable"), "1")?;
        }
        Ok(watching)
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        for event in EVENTS {
            let _ = write(&format!("events/kvm/{event}/enable"), "0");
        }
    }
}

/// Too many vCPUs that get MSIs and take each other's files: each event is traced once, and of the vCPU
/// whose it is.
pub(crate) fn traced(m: &Machine) -> Result<()> {
    let watching = Watching::new()?;
    let mut guest = crowd(m, m.cpu(0), Mode::Auto)?;
    let vcpus = guest.config().vcpus;

    for n in 0..vcpus {
        guest.send_from_host(n, 1, IDS, ROUNDS, Guest::signal_msi)?;
        exact(&guest, n, 1, IDS, ROUNDS)?;
    }
    for n in 0..vcpus {
        guest.stop(n)?;
    }
    drop(watching);
    let trace = fs::read_to_string(format!("{ROOT}/trace")).context(format!("{ROOT}/trace"))?;
    let mut steals = 0;

    for n in 0..vcpus {
        let stats = guest.stats(n)?;
        let of = format!(" vm={} vcpu={n} ", std::process::id());

        for (text, name) in COUNTED {
            let lines = trace
                .lines()
                .filter(|line| line.contains(&of) && line.contains(text))
                .count();

            same(lines as u64, stats.get(name), || {
                format!("lines with {text:?} of vCPU {n}")
            })?;
        }
        steals += stats.get("aia_file_steals");
    }
    ensure(steals != 0, || "nobody took a file".into())
}

/// The vCPUs of this process that have guest files of `cpu`, as debugfs says it.
fn owners(cpu: usize) -> Result<Vec<usize>> {
    const FILE: &str = "/sys/kernel/debug/riscv-aia/guest_files";
    let text = fs::read_to_string(FILE).context(FILE)?;
    let of = format!(": vm {} vcpu ", std::process::id());
    let mut lines = text
        .lines()
        .skip_while(|line| !line.starts_with(&format!("CPU {cpu}:")));

    ensure(lines.next().is_some(), || {
        format!("{FILE} has no CPU {cpu}")
    })?;
    let mut vcpus: Vec<_> = lines
        .take_while(|line| !line.starts_with("CPU"))
        .filter_map(|line| line.split_once(&of)?.1.parse().ok())
        .collect();

    vcpus.sort_unstable();
    Ok(vcpus)
}

/// Whose each guest file is, also after it was taken, and after its machine has ended.
pub(crate) fn shown(m: &Machine) -> Result<()> {
    let cpu = m.cpu(0);
    let files = m.files_of(cpu) as usize;
    let mut guest = Guest::new(m.kvm(), Config::new(files, Mode::Hwaccel))?;
    let mut thief = Guest::new(m.kvm(), Config::new(files + 1, Mode::Hwaccel))?;

    same(owners(cpu)?, Vec::new(), || "before they run".into())?;
    for n in 0..files {
        guest.boot(n, &[cpu])?;
    }
    same(owners(cpu)?, (0..files).collect(), || "each has one".into())?;
    // One that runs on would take a file back.
    for n in 0..files {
        guest.stop(n)?;
    }
    same(owners(cpu)?, (0..files).collect(), || {
        "each has one still".into()
    })?;
    thief.boot(files, &[cpu])?;
    let after = owners(cpu)?;

    ensure(after.len() == files && after.last() == Some(&files), || {
        format!("owners after one was taken by vCPU {files}: {after:?}")
    })?;
    drop(thief);
    drop(guest);
    same(owners(cpu)?, Vec::new(), || "after they have ended".into())
}
