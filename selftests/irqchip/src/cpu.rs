// SPDX-License-Identifier: GPL-2.0

//! CPUs: which are there, and hotplug through sysfs.

use crate::{
    read,
    sys,
    wait_until,
    write,
    Result,
    PATIENCE, //
};

const BASE: &str = "/sys/devices/system/cpu";

/// Parses a list such as `0-2,5`.
pub fn parse_list(text: &str) -> Vec<usize> {
    let mut cpus = Vec::new();

    for part in text.trim().split(',').filter(|p| !p.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));

        if let (Ok(first), Ok(last)) = (first.parse::<usize>(), last.parse::<usize>()) {
            cpus.extend(first..=last);
        }
    }
    cpus
}

/// CPUs that are online.
pub fn online() -> Vec<usize> {
    read(&format!("{BASE}/online")).map_or_else(|_| vec![0], |t| parse_list(&t))
}

/// CPUs that may ever be there.
pub fn possible() -> Vec<usize> {
    read(&format!("{BASE}/possible")).map_or_else(|_| vec![0], |t| parse_list(&t))
}

/// Takes a CPU online or offline.
pub fn set_online(cpu: usize, on: bool) -> Result {
    let mut result = Ok(());

    // The firmware may refuse to start a hart that has not quite stopped yet.
    wait_until(PATIENCE, || {
        if online().contains(&cpu) == on {
            result = Ok(());
            return true;
        }
        result = write(
            &format!("{BASE}/cpu{cpu}/online"),
            if on { "1" } else { "0" },
        );
        result.is_ok() || !on
    });
    result
}

/// Waits until each CPU that is online has taken the interrupts that were pending, and its
/// handlers have ended.
///
/// While a thread is in user mode on a CPU, interrupts are on there, and no handler runs.
/// Whoever was just there has seen the end of everything that came before.
pub fn flush() -> Result {
    let result = sys::tour(&online(), &possible());

    // A CPU that has gone meanwhile has done so, too.
    result.or_else(|_| sys::tour(&online(), &possible()))
}

/// Whether the kernel is for several CPUs: it has IPIs, and interrupts have affinities.
pub fn is_smp() -> bool {
    std::path::Path::new("/proc/irq/default_smp_affinity").exists()
}

/// CPUs that can be taken offline: never the last one.
pub fn removable() -> Vec<usize> {
    let cpus = online();

    if cpus.len() < 2 {
        return Vec::new();
    }
    cpus.into_iter()
        .filter(|cpu| std::path::Path::new(&format!("{BASE}/cpu{cpu}/online")).exists())
        .collect()
}

/// Brings all CPUs back online.
pub fn all_online() -> Result {
    possible().into_iter().try_for_each(|c| set_online(c, true))
}

/// The hart id of each CPU that is online, from `/proc/cpuinfo`.
pub fn hart_ids() -> Vec<(usize, u64)> {
    let mut harts = Vec::new();
    let mut cpu = None;

    for line in read("/proc/cpuinfo").unwrap_or_default().lines() {
        let Some((key, value)) = line.split_once(':') else {
            continue;
        };

        match key.trim() {
            "processor" => cpu = value.trim().parse().ok(),
            "hart" => {
                if let (Some(cpu), Ok(hart)) = (cpu, value.trim().parse()) {
                    harts.push((cpu, hart));
                }
            }
            _ => (),
        }
    }
    harts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists() {
        assert_eq!(parse_list("0-2,5\n"), [0, 1, 2, 5]);
        assert_eq!(parse_list("3"), [3]);
        assert!(parse_list("\n").is_empty());
    }
}
