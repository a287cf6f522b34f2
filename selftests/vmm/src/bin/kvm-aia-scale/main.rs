// SPDX-License-Identifier: GPL-2.0

//! Endurance and scale: up to 64 vCPUs, several machines, and many MSIs with
//! sequence numbers to vCPUs that move at every chance.
//!
//! The argument (AIA_ARG_kvm_aia_scale) is the number of MSIs of each test that
//! is named "endurance" (60000); others send a part of that.

mod census;
mod disturb;
mod endurance;
mod machines;
mod plan;
mod senders;
mod tally;

use std::process::ExitCode;
use vmm::{
    suite::{
        self,
        told, //
    },
    Need::{
        Files,
        FilesAndCpus,
        Nothing, //
    },
    Test, //
};

/// The number of MSIs with sequence numbers.
fn count() -> u64 {
    told("kvm_aia_scale")
        .expect("a number of MSIs")
        .unwrap_or(60_000)
        .into()
}

const TESTS: &[Test] = &[
    ("1 vCPU", Nothing, census::of::<1>),
    ("2 vCPUs", Nothing, census::of::<2>),
    ("3 vCPUs", Nothing, census::of::<3>),
    ("5 vCPUs", Nothing, census::of::<5>),
    ("16 vCPUs", Nothing, census::of::<16>),
    ("33 vCPUs", Nothing, census::of::<33>),
    ("64 vCPUs", Nothing, census::of::<64>),
    (
        "4 machines of 4 vCPUs, while others come and go",
        Nothing,
        machines::together,
    ),
    (
        "vCPUs without a file are refused, and run when there is one",
        Files(1),
        machines::refused,
    ),
    ("endurance: software", Nothing, endurance::emul),
    ("endurance: guest files", Files(1), endurance::hwaccel),
    (
        "endurance: guest files or not",
        FilesAndCpus(1, 2),
        endurance::auto,
    ),
    ("endurance: 16 vCPUs", Nothing, endurance::many),
    (
        "CPUs go and come: software",
        FilesAndCpus(0, 2),
        endurance::hotplug_emul,
    ),
    (
        "CPUs go and come: guest files",
        FilesAndCpus(1, 2),
        endurance::hotplug_hwaccel,
    ),
    (
        "CPUs go and come: guest files or not",
        FilesAndCpus(1, 2),
        endurance::hotplug_auto,
    ),
];

fn main() -> ExitCode {
    suite::run(TESTS)
}
