// SPDX-License-Identifier: GPL-2.0

//! The memory of a virtual machine's interrupt controllers is charged to the memory cgroup of who
//! makes them: each allocation asks for that, and the cgroup has it as long as they are there.
//!
//! Needs a kernel with memory cgroups and trace events, and fails on others.

mod accounted;
mod cgroup;
mod charge;
#[path = "../kvm-aia-extensions/sys.rs"]
mod sys;
mod trace;
mod unborn;

use std::{
    fs,
    path::Path,
    process::{
        Command,
        ExitCode, //
    },
};
use vmm::{
    ensure,
    suite,
    Context,
    Need::{
        Files,
        Nothing, //
    },
    Result,
    Test, //
};

/// The most sources of an APLIC.
const SOURCES: u32 = 1023;

/// Mounts a file system of this type unless `file` of it is there.
fn mount(kind: &str, at: &str, file: &str) -> Result<()> {
    if Path::new(at).join(file).exists() {
        return Ok(());
    }
    let status = Command::new("mount")
        .args(["-t", kind, "none", at])
        .status()
        .context("mount")?;

    ensure(status.success(), || {
        format!("mount -t {kind} {at}: {status}")
    })
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).context(format!("{text:?} to {}", path.display()))
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).context(path.display())
}

const TESTS: &[Test] = &[
    ("accounted: the device", Nothing, accounted::device),
    ("accounted: INIT, for vCPUs", Nothing, accounted::vcpus),
    ("accounted: INIT, for sources", Nothing, accounted::sources),
    ("accounted: snapshots", Nothing, accounted::snapshots),
    (
        "accounted: page tables for a guest file",
        Files(1),
        accounted::page_tables,
    ),
    ("charged, and given back: for vCPUs", Nothing, charge::vcpus),
    (
        "charged, and given back: for sources",
        Nothing,
        charge::sources,
    ),
    (
        "charged, and given back: machines that ran",
        Nothing,
        charge::ran,
    ),
    (
        "charged, and given back: a huge page instead of small ones",
        Nothing,
        charge::huge_pages,
    ),
    (
        "given back: machines that a signal prevents",
        Nothing,
        unborn::test,
    ),
];

fn main() -> ExitCode {
    suite::run(TESTS)
}
