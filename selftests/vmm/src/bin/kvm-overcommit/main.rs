// SPDX-License-Identifier: GPL-2.0

//! More vCPUs than guest interrupt files: whichever runs has a file, and those that lose theirs lose
//! nothing else.
//!
//! A kernel without that is skipped, unless the tester says that it has it: `kvm_overcommit=1`.

mod crowd;
mod swap;
mod traced;
mod victim;

use ktap::Tap;
use std::process::ExitCode;
use vmm::{
    suite,
    Need::{
        Files,
        FilesAndCpus, //
    },
    Stats,
    Test, //
};

/// How often a vCPU took the file of another one, and lost its own to one.
fn steals(stats: &Stats) -> (u64, u64) {
    (stats.get("aia_file_steals"), stats.get("aia_file_losses"))
}

const TESTS: &[Test] = &[
    (
        "hwaccel: each of too many vCPUs gets its MSIs without an exit",
        Files(1),
        crowd::hwaccel,
    ),
    (
        "auto: all of too many vCPUs get files, and every MSI",
        Files(1),
        crowd::auto,
    ),
    (
        "auto: a file stays with its owner for a while",
        Files(1),
        crowd::tenure,
    ),
    (
        "tracepoints tell what the statistics count",
        Files(1),
        traced::traced,
    ),
    (
        "and of files that go with their CPU",
        FilesAndCpus(1, 2),
        traced::evicted,
    ),
    (
        "debugfs tells whose each guest file is",
        Files(1),
        traced::shown,
    ),
    (
        "a vCPU that sleeps is woken up by an MSI after its file was taken",
        Files(1),
        victim::woken,
    ),
    (
        "and by one that a vCPU sends",
        Files(1),
        victim::woken_by_vcpu,
    ),
    (
        "and has those that came before, while it did not run",
        Files(1),
        victim::pending,
    ),
    (
        "registers of a vCPU that does not run, wherever its state is",
        Files(1),
        victim::registers,
    ),
    (
        "vCPUs that wait lose their files first",
        Files(2),
        victim::order,
    ),
    (
        "and their CPU does not wait for interrupts of these any more",
        Files(1),
        victim::waits,
    ),
    (
        "vCPUs that are reset while others take their files",
        Files(1),
        victim::resets,
    ),
    (
        "machines that end while others take their files",
        Files(1),
        victim::ends,
    ),
    (
        "vCPUs swap between CPUs that are full",
        FilesAndCpus(1, 2),
        swap::hwaccel,
    ),
    ("the same in mode auto", FilesAndCpus(1, 2), swap::auto),
    (
        "CPUs go while vCPUs take each other's files",
        FilesAndCpus(1, 2),
        swap::hotplug,
    ),
];

fn main() -> ExitCode {
    match suite::says("kvm_overcommit") {
        Ok(true) => suite::run(TESTS),
        Ok(false) => Tap::skip_all("vCPUs do not take each other's guest files"),
        Err(e) => Tap::new(TESTS.len()).bail_out(e),
    }
}
