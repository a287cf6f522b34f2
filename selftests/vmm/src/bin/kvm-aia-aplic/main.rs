// SPDX-License-Identifier: GPL-2.0

//! The APLIC that KVM gives a guest, as the guest and its wires see it.

mod domain;
mod irqfd;
mod order;
mod pending;
mod ports;
mod resample;
mod setup;
mod targets;
mod wires;

use std::process::ExitCode;
use vmm::{
    suite,
    Mode::{
        Auto,
        Emul,
        Hwaccel, //
    },
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
    ("wire: rising edge", Nothing, |m| wires::edge1(m, Emul)),
    ("wire: falling edge", Nothing, wires::edge0),
    ("wire: high level", Nothing, |m| wires::level1(m, Emul)),
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
    ("target: no guest index", Nothing, targets::guest_index),
    ("target: all sources, two harts", Nothing, |m| {
        targets::all(m, Emul)
    }),
    ("target: hart indexes unlike IDs", Nothing, |m| {
        targets::numbers(m, Emul)
    }),
    ("target: nobody", Nothing, targets::nobody),
    ("target: changed while pending", Nothing, targets::retarget),
    ("genmsi", Nothing, |m| targets::genmsi(m, Emul)),
    ("genmsi: no other fields", Nothing, targets::genmsi_bits),
    ("genmsi: the last one after IE is clear", Nothing, |m| {
        order::interrupt_enable(m, Emul)
    }),
    ("genmsi: the last one to an old target", Nothing, |m| {
        order::target(m, Emul)
    }),
    ("genmsi: there when it is not busy", Nothing, |m| {
        order::not_busy(m, Emul)
    }),
    ("MSIs to its ports: KVM_SIGNAL_MSI", Nothing, ports::signal),
    ("MSIs to its ports: irqfd", Nothing, ports::irqfd),
    ("irqfd: the first event", Nothing, irqfd::first),
    ("irqfd: each event is an edge", Nothing, irqfd::edges),
    ("irqfd: each event is a level", Nothing, irqfd::levels),
    ("irqfd: the wire is released", Nothing, irqfd::pulse),
    ("resample: the capability", Nothing, resample::capability),
    ("resample: handled, by setipnum", Nothing, |m| {
        resample::by_number(m, Emul)
    }),
    (
        "resample: handled, by setipnum_le",
        Nothing,
        resample::by_number_le,
    ),
    (
        "resample: handled, by setipnum_be",
        Nothing,
        resample::by_number_be,
    ),
    ("resample: handled, by setip", Nothing, resample::by_word),
    (
        "resample: handled, by in_clrip",
        Nothing,
        resample::by_input,
    ),
    ("resample: not handled", Nothing, resample::unhandled),
    ("resample: masked meanwhile", Nothing, |m| {
        resample::masked(m, Emul)
    }),
    (
        "resample: masked, and nobody to ask",
        Nothing,
        resample::masked_others,
    ),
    ("resample: several devices", Nothing, resample::shared),
    (
        "resample: beside a device of user space",
        Nothing,
        resample::beside,
    ),
    ("resample: devices come and go", Nothing, resample::removed),
    ("guest file: rising edge", Files(1), |m| {
        wires::edge1(m, Hwaccel)
    }),
    ("guest file: high level", Files(1), |m| {
        wires::level1(m, Hwaccel)
    }),
    (
        "guest file: resample: handled, by setipnum",
        Files(1),
        |m| resample::by_number(m, Hwaccel),
    ),
    ("guest file: resample: masked meanwhile", Files(1), |m| {
        resample::masked(m, Hwaccel)
    }),
    ("guest files: all sources, two harts", Vcpus(2), |m| {
        targets::all(m, Auto)
    }),
    ("guest files: hart indexes unlike IDs", Vcpus(2), |m| {
        targets::numbers(m, Auto)
    }),
    ("guest files: genmsi", Vcpus(2), |m| {
        targets::genmsi(m, Auto)
    }),
    (
        "guest files: genmsi is the last one after IE is clear",
        Vcpus(2),
        |m| order::interrupt_enable(m, Auto),
    ),
    (
        "guest files: genmsi is the last one to an old target",
        Vcpus(2),
        |m| order::target(m, Auto),
    ),
    (
        "guest files: genmsi is there when it is not busy",
        Vcpus(2),
        |m| order::not_busy(m, Auto),
    ),
];

fn main() -> ExitCode {
    suite::run(TESTS)
}
