// SPDX-License-Identifier: GPL-2.0

//! The last test on a debug kernel: nothing that was allocated since the machine booted
//! is lost, and locks were checked until now, if they are at all. What the checkers complain
//! of otherwise, the row sees in the log.
//!
//! KVM goes before, where it is a module: what it has left behind is lost then.

use irqtest::{
    ensure,
    read,
    write,
    Result, //
};
use ktap::Tap;
use std::{
    path::Path,
    process::{
        Command,
        ExitCode, //
    },
    thread::sleep,
    time::Duration, //
};

const KMEMLEAK: &str = "/sys/kernel/debug/kmemleak";

const LOCKDEP: &str = "/proc/lockdep_stats";

/// Younger objects are not reported.
const MIN_AGE: Duration = Duration::from_secs(5);

/// Lines that are shown of the reports.
const SHOWN: usize = 60;

/// Removes KVM if it is a module.
fn remove_kvm() -> Result {
    if !read("/proc/modules")?
        .lines()
        .any(|l| l.starts_with("kvm "))
    {
        return Ok(());
    }
    let status = Command::new("rmmod")
        .arg("kvm")
        .status()
        .map_err(|e| format!("rmmod: {e}"))?;

    ensure(status.success(), || format!("rmmod kvm: {status}"))
}

/// What nobody points to.
fn leaks() -> Result<Vec<String>> {
    sleep(MIN_AGE + Duration::from_millis(500));
    // The first scan takes each object that has changed since the last one for used.
    for _ in 0..2 {
        ktap::diag("a scan takes long");
        write(KMEMLEAK, "scan")?;
    }
    Ok(read(KMEMLEAK)?.lines().map(Into::into).collect())
}

fn none_leaked() -> Result {
    remove_kvm()?;
    let report = leaks()?;
    let count = report
        .iter()
        .filter(|l| l.starts_with("unreferenced object"))
        .count();

    for line in report.iter().take(SHOWN) {
        ktap::diag(line);
    }
    ensure(report.is_empty(), || format!("{count} objects leaked"))
}

/// The first complaint ends the checks.
fn locks_are_checked() -> Result {
    let stats = read(LOCKDEP)?;
    let on = stats
        .lines()
        .find_map(|l| l.trim().strip_prefix("debug_locks:"))
        .ok_or("no debug_locks in the statistics")?;

    ensure(on.trim() == "1", || "the lock checker is off".into())
}

fn main() -> ExitCode {
    let mut tap = Tap::new(2);

    tap.check(none_leaked(), "no memory leaked since boot");
    let checked = "locks were checked to the end";

    // A kernel that checks any has it.
    if Path::new(LOCKDEP).exists() {
        tap.check(locks_are_checked(), checked);
    } else {
        tap.skip("the kernel does not check locks", checked);
    }
    tap.finish()
}
