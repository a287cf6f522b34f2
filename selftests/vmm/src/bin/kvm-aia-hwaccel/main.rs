// SPDX-License-Identifier: GPL-2.0

//! vCPUs that move, between CPUs and between guest files and software, while
//! MSIs flow; CPUs that go.

mod cover;
mod flow;
mod hotplug;
mod moves;

use std::process::ExitCode;
use vmm::{
    suite,
    Need::{
        Files,
        FilesAndCpus,
        Vcpus, //
    },
    Test, //
};

/// So many CPUs, and no guest files.
const fn cpus(n: usize) -> vmm::Need {
    FilesAndCpus(0, n)
}

const TESTS: &[Test] = &[
    ("moves: software", cpus(2), moves::emul),
    ("moves: guest files", FilesAndCpus(2, 2), moves::hwaccel),
    (
        "moves: more vCPUs than guest files",
        FilesAndCpus(1, 2),
        moves::auto,
    ),
    (
        "moves: registers between guest files",
        FilesAndCpus(1, 2),
        moves::state,
    ),
    (
        "moves: registers between guest file and software",
        FilesAndCpus(1, 2),
        moves::state_auto,
    ),
    (
        "moves: to a CPU without a free file, and back",
        FilesAndCpus(1, 2),
        moves::refused_and_back,
    ),
    ("late vCPU: software", cpus(1), moves::late_vcpu),
    ("late vCPU: guest files", Vcpus(2), moves::late_vcpu_files),
    ("hotplug: software", cpus(2), hotplug::emul),
    (
        "hotplug: guest files, candidate 9",
        FilesAndCpus(2, 2),
        hotplug::hwaccel,
    ),
    (
        "hotplug: guest files or not, candidate 9",
        FilesAndCpus(1, 2),
        hotplug::auto,
    ),
    ("hotplug: a vCPU asleep", cpus(2), hotplug::asleep),
    (
        "hotplug: a vCPU that does not run",
        cpus(2),
        hotplug::stopped,
    ),
    (
        "hotplug: the files of a CPU that comes back",
        FilesAndCpus(1, 2),
        hotplug::files_return,
    ),
    (
        "hotplug: machines end while their CPU goes, candidate 9a",
        FilesAndCpus(1, 2),
        hotplug::ends,
    ),
    (
        "hotplug: vCPUs are reset while their CPU goes",
        FilesAndCpus(1, 2),
        hotplug::resets,
    ),
    (
        "memory over an interrupt file: moves",
        FilesAndCpus(2, 2),
        cover::moves,
    ),
    (
        "memory over an interrupt file that comes later",
        FilesAndCpus(1, 2),
        cover::first,
    ),
    (
        "memory over an interrupt file: resets, and the end",
        FilesAndCpus(1, 2),
        cover::resets,
    ),
    (
        "memory over an interrupt file: its CPU goes",
        FilesAndCpus(1, 2),
        cover::hotplug,
    ),
    ("moves: after all that", Files(1), moves::quiet),
];

fn main() -> ExitCode {
    suite::run(TESTS)
}
