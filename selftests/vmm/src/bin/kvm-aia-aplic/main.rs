// SPDX-License-Identifier: GPL-2.0

//! The APLIC that KVM gives a guest, as the guest and its wires see it.

mod domain;
mod irqfd;
mod pending;
mod setup;
mod targets;
mod wires;

use std::process::ExitCode;
use vmm::{
    suite,
    Need::{
        Files,
        Nothing,
        Vcpus, //
    },
    Test, //
};

const TESTS: &[Test] = &[
    ("domaincfg", Nothing, setup::domaincfg),
    ("sourcecfg", Nothing, setup::sourcecfg),
    (
        "sourcecfg: reserved modes, candidate 10",
        Nothing,
        setup::reserved_modes,
    ),
    ("wire: rising edge", Nothing, wires::edge1),
    ("wire: falling edge", Nothing, wires::edge0),
    ("wire: high level", Nothing, wires::level1),
    ("wire: low level", Nothing, wires::level0),
    (
        "wire: a level that is told twice comes once",
        Nothing,
        wires::level_once,
    ),
    ("wire: a level is armed again", Nothing, wires::rearm),
    ("wire: detached and inactive", Nothing, wires::detached),
    ("wire: rectified input", Nothing, wires::rectified),
    (
        "wire: a detached source has no input",
        Nothing,
        wires::rectified_detached,
    ),
    ("wire: driven before set-up", Nothing, wires::late),
    (
        "pending: set and clear in every mode",
        Nothing,
        pending::set_and_clear,
    ),
    ("pending: what is no source", Nothing, pending::no_source),
    (
        "pending: a level takes its bit along, candidate 10",
        Nothing,
        pending::level_drops,
    ),
    ("pending: an edge stays", Nothing, pending::edge_stays),
    (
        "pending: kept by other active modes",
        Nothing,
        pending::other_mode,
    ),
    (
        "pending: an inactive source has nothing, candidate 10",
        Nothing,
        pending::inactive_clears,
    ),
    (
        "pending: an inactive source takes nothing, candidate 10",
        Nothing,
        pending::inactive_ignores,
    ),
    ("enable: words and numbers", Nothing, setup::enables),
    (
        "enable: what is pending is sent",
        Nothing,
        setup::enable_later,
    ),
    ("enable: the domain as a whole", Nothing, setup::gate),
    ("target: reads back", Nothing, targets::read_back),
    ("target: all sources, two harts", Nothing, targets::all),
    ("target: nobody", Nothing, targets::nobody),
    ("target: changed while pending", Nothing, targets::retarget),
    ("genmsi", Nothing, targets::genmsi),
    ("genmsi: no other fields", Nothing, targets::genmsi_bits),
    ("irqfd: the first event", Nothing, irqfd::first),
    ("irqfd: each event is an edge", Nothing, irqfd::edges),
    ("irqfd: each event is a level", Nothing, irqfd::levels),
    ("irqfd: the wire is released", Nothing, irqfd::pulse),
    ("guest file: rising edge", Files(1), wires::edge1_file),
    ("guest file: high level", Files(1), wires::level1_file),
    (
        "guest files: all sources, two harts",
        Vcpus(2),
        targets::all_files,
    ),
    ("guest files: genmsi", Vcpus(2), targets::genmsi_files),
];

fn main() -> ExitCode {
    suite::run(None, TESTS)
}
