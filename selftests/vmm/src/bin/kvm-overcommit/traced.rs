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
    host::set_online,
    same,
    Config,
    Context,
    Error,
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

/// What was traced.
fn trace() -> Result<String> {
    fs::read_to_string(format!("{ROOT}/trace")).context(format!("{ROOT}/trace"))
}

/// The field `name` of a line.
fn field<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    line.split_whitespace()
        .filter_map(|word| word.split_once('='))
        .find_map(|(key, value)| (key == name).then_some(value))
}

/// The lines of `event` of vCPU `n`, with the number in their field `name`.
fn numbers<'a>(trace: &'a str, event: &str, n: usize, name: &str) -> Result<Vec<(&'a str, u32)>> {
    let (event, of) = (
        format!(" {event}: "),
        format!(" vm={} vcpu={n} ", std::process::id()),
    );

    trace
        .lines()
        .filter(|line| line.contains(&event) && line.contains(&of))
        .map(|line| {
            let number = field(line, name).and_then(|number| number.parse().ok());

            number
                .map(|number| (line, number))
                .ok_or_else(|| Error::new(format!("no {name} in {line}")))
        })
        .collect()
}

/// What has become of a vCPU's file, and the file's line, each time.
fn events(trace: &str, n: usize) -> Result<Vec<(&str, u32)>> {
    let lines = numbers(trace, "kvm_aia_file", n, "hgei")?;

    Ok(lines
        .into_iter()
        .map(|(line, hgei)| (field(line, "event").unwrap_or_default(), hgei))
        .collect())
}

/// The line of the file that a vCPU has after these events, each of which names the file that it had, or got.
fn last_file(events: &[(&str, u32)]) -> Result<Option<u32>> {
    let mut file = None;
    let mut stolen = None;

    for (at, &(event, hgei)) in events.iter().enumerate() {
        let what = || format!("line of event {at}, {event:?}, of {events:?}");

        match event {
            "stole" => stolen = Some(hgei),
            "moved" => {
                same(hgei, stolen.take().unwrap_or(hgei), what)?;
                file = Some(hgei);
            }
            "missed" => {
                same(hgei, 0, what)?;
                file = None;
            }
            "robbed" | "evicted" => same(Some(hgei), file.take(), what)?,
            _ => return Err(Error::new(what())),
        }
    }
    Ok(file)
}

/// Too many vCPUs that get MSIs and take each other's files: each event is traced once, of the vCPU
/// whose it is, with the file or the identity.
pub(crate) fn traced(m: &Machine) -> Result<()> {
    let cpu = m.cpu(0);
    let watching = Watching::new()?;
    let mut guest = crowd(m, cpu, Mode::Auto)?;
    let vcpus = guest.config().vcpus;

    for n in 0..vcpus {
        guest.send_from_host(n, 1, IDS, ROUNDS, Guest::signal_msi)?;
        exact(&guest, n, 1, IDS, ROUNDS)?;
    }
    for n in 0..vcpus {
        guest.stop(n)?;
    }
    drop(watching);
    let trace = trace()?;
    let mut files = Vec::new();
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

        let mut ids: Vec<_> = numbers(&trace, "kvm_aia_msi", n, "eiid")?
            .into_iter()
            .map(|(_, id)| id)
            .collect();

        ids.sort_unstable();
        let sent: Vec<_> = (1..=IDS).flat_map(|id| [id; ROUNDS as usize]).collect();

        same(ids, sent, || format!("identities of MSIs of vCPU {n}"))?;
        if let Some(line) = last_file(&events(&trace, n)?)? {
            files.push((line, n));
        }
    }
    files.sort_unstable();
    same(files, owners(m, cpu)?, || {
        "files by the events, and by debugfs".into()
    })?;
    ensure(steals != 0, || "nobody took a file".into())
}

/// A vCPU that does not run loses its file with the CPU: that is traced, and counted, as what it is.
pub(crate) fn evicted(m: &Machine) -> Result<()> {
    let _back = m.cpus_back();
    let cpu = m.cpu(1);
    let mut guest = Guest::new(m.kvm(), Config::new(1, Mode::Hwaccel))?;

    guest.boot(0, &[cpu])?;
    guest.stop(0)?;
    let owners = owners(m, cpu)?;
    let [(line, 0)] = owners[..] else {
        return Err(Error::new(format!("files of CPU {cpu}: {owners:?}")));
    };
    let watching = Watching::new()?;

    set_online(cpu, false)?;
    drop(watching);
    same(events(&trace()?, 0)?, vec![("evicted", line)], || {
        "events".into()
    })?;
    same(guest.stats(0)?.get("aia_file_evictions"), 1, || {
        "evictions".into()
    })
}

/// The guest files of `cpu` that vCPUs of this process have, as debugfs says it: their lines, and the
/// vCPUs. It has to show as many files as there are.
fn owners(m: &Machine, cpu: usize) -> Result<Vec<(u32, usize)>> {
    const FILE: &str = "/sys/kernel/debug/riscv-aia/guest_files";
    let text = fs::read_to_string(FILE).context(FILE)?;
    let of = format!(": vm {} vcpu ", std::process::id());
    let head = format!("CPU {cpu}: {} guest files", m.files_of(cpu));
    let mut lines = text.lines().skip_while(|&line| line != head);

    ensure(lines.next().is_some(), || {
        format!("no {head:?} in {FILE}: {text}")
    })?;
    Ok(lines
        .take_while(|line| !line.starts_with("CPU"))
        .filter_map(|line| {
            let (line, vcpu) = line.split_once(&of)?;

            Some((line.trim_start().parse().ok()?, vcpu.parse().ok()?))
        })
        .collect())
}

/// The vCPUs of those, whose files are all there are.
fn of_all(m: &Machine, cpu: usize, when: &str) -> Result<Vec<usize>> {
    let (lines, mut vcpus): (Vec<_>, Vec<_>) = owners(m, cpu)?.into_iter().unzip();

    same(lines, (1..=m.files_of(cpu)).collect(), || {
        format!("lines, {when}")
    })?;
    vcpus.sort_unstable();
    Ok(vcpus)
}

/// Whose each guest file is, also after it was taken, and after its machine has ended.
pub(crate) fn shown(m: &Machine) -> Result<()> {
    const ID: u32 = 9;
    let cpu = m.cpu(0);
    let files = m.files_of(cpu) as usize;
    let mut guest = Guest::new(m.kvm(), Config::new(files, Mode::Hwaccel))?;
    let mut thief = Guest::new(m.kvm(), Config::new(files + 1, Mode::Hwaccel))?;

    same(owners(m, cpu)?, Vec::new(), || "before they run".into())?;
    for n in 0..files {
        guest.boot(n, &[cpu])?;
    }
    let each = of_all(m, cpu, "when each has one")?;

    same(each, (0..files).collect(), || "each has one".into())?;
    if let Some(imsics) = m.imsics() {
        for (line, n) in owners(m, cpu)? {
            imsics.send_to_guest_file(cpu, line, ID)?;
            guest.until(
                |g| g.count(n, ID) == 1,
                || format!("an MSI to file {line}, which is vCPU {n}'s"),
            )?;
        }
    }
    // One that runs on would take a file back.
    for n in 0..files {
        guest.stop(n)?;
    }
    let each = of_all(m, cpu, "when nobody runs")?;

    same(each, (0..files).collect(), || "each has one still".into())?;
    thief.boot(files, &[cpu])?;
    let after = of_all(m, cpu, "after one was taken")?;

    ensure(after.len() == files && after.last() == Some(&files), || {
        format!("owners after one was taken by vCPU {files}: {after:?}")
    })?;
    drop(thief);
    drop(guest);
    same(owners(m, cpu)?, Vec::new(), || {
        "after they have ended".into()
    })
}
