// SPDX-License-Identifier: GPL-2.0

//! What of the AIA a vCPU has besides its interrupt file: the select register, priorities, the top
//! interrupt; and what a reset leaves of all that.

mod onereg;
mod priorities;
mod reset;
mod select;
mod sip;
mod user;

use std::process::ExitCode;
use vmm::{
    suite,
    Config,
    Guest,
    Machine,
    Mode::{
        self,
        Auto,
        Emul,
        Hwaccel, //
    },
    Need::{
        Files,
        FilesAndCpus,
        Nothing,
        Vcpus, //
    },
    Result,
    Test, //
};

/// A guest whose mistakes do not end it.
fn config(vcpus: usize, mode: Mode) -> Config {
    Config {
        lenient: true,
        ..Config::new(vcpus, mode)
    }
}

/// Such a guest with one vCPU, running, which takes no interrupt by itself.
fn masked(m: &Machine, mode: Mode) -> Result<Guest> {
    let guest = m.boot(config(1, mode))?;

    guest.mask(0)?;
    Ok(guest)
}

const TESTS: &[Test] = &[
    ("ONE_REG: set and get", Nothing, onereg::set_and_get),
    ("ONE_REG: what is no register", Nothing, onereg::none),
    ("ONE_REG: the list", Nothing, onereg::list),
    ("ONE_REG: without Ssaia", Nothing, onereg::without_ssaia),
    ("ONE_REG: the guest sees the same", Nothing, onereg::guest),
    ("without Ssaia: no CSRs of the AIA", Nothing, |m| {
        onereg::guest_without_ssaia(m, Emul)
    }),
    (
        "without Ssaia: no CSRs of the AIA, guest file",
        Files(1),
        |m| onereg::guest_without_ssaia(m, Hwaccel),
    ),
    ("sip: no external interrupt is lost", Nothing, |m| {
        sip::not_lost(m, Emul)
    }),
    (
        "sip: no external interrupt is lost, guest file",
        Files(1),
        |m| sip::not_lost(m, Hwaccel),
    ),
    ("sip: reading takes nothing away", Nothing, |m| {
        sip::read(m, Emul)
    }),
    (
        "sip: reading takes nothing away, guest file",
        Files(1),
        |m| sip::read(m, Hwaccel),
    ),
    ("sip: no IPI of the SBI is lost", Nothing, sip::ipi),
    ("sip: no external interrupt is made", Nothing, |m| {
        sip::not_made(m, Emul)
    }),
    (
        "sip: no external interrupt is made, guest file",
        Files(1),
        |m| sip::not_made(m, Hwaccel),
    ),
    ("sip: none is left of before the device", Nothing, |m| {
        sip::before_device(m, Emul)
    }),
    (
        "sip: none is left of before the device, guest file",
        Files(1),
        |m| sip::before_device(m, Hwaccel),
    ),
    (
        "sip: user space says it all without an AIA device",
        Nothing,
        sip::no_device,
    ),
    ("sip: WFI looks at it", Nothing, sip::wfi),
    ("sip: the timer of the SBI is not lost", Nothing, sip::timer),
    ("siselect: values", Nothing, |m| select::values(m, Emul)),
    ("siselect: values, guest file", Files(1), |m| {
        select::values(m, Hwaccel)
    }),
    (
        "siselect: kept while others have the CPU",
        Nothing,
        select::preempted,
    ),
    ("sireg: numbers of other extensions", Nothing, |m| {
        select::others(m, Emul)
    }),
    (
        "sireg: numbers of other extensions, guest file",
        Files(1),
        |m| select::others(m, Hwaccel),
    ),
    ("sireg: before INIT", Nothing, select::before_init),
    ("user mode: no CSRs of the AIA", Nothing, |m| {
        user::csrs(m, Emul)
    }),
    ("user mode: no CSRs of the AIA, guest file", Files(1), |m| {
        user::csrs(m, Hwaccel)
    }),
    (
        "user mode: no CSRs of the AIA, guest file or memory",
        Files(1),
        |m| user::csrs(m, Auto),
    ),
    (
        "user mode: no CSRs of the AIA, without an interrupt file",
        Nothing,
        user::nowhere,
    ),
    (
        "user mode: the counters that it may read",
        Nothing,
        user::counters,
    ),
    ("user mode: no entropy", Nothing, user::seed),
    ("user mode: no WFI", Nothing, user::wfi),
    ("iprio: which interrupts have one", Nothing, |m| {
        priorities::which(m, Emul)
    }),
    (
        "iprio: which interrupts have one, guest file",
        Files(1),
        |m| priorities::which(m, Hwaccel),
    ),
    ("iprio: values and single bits", Nothing, priorities::values),
    ("stopi: pending and enabled", Nothing, |m| {
        priorities::enabled(m, Emul)
    }),
    ("stopi: pending and enabled, guest file", Files(1), |m| {
        priorities::enabled(m, Hwaccel)
    }),
    ("stopi: by priority", Nothing, |m| {
        priorities::order(m, Emul)
    }),
    ("stopi: by priority, guest file", Files(1), |m| {
        priorities::order(m, Hwaccel)
    }),
    ("stopi: identities are priorities", Nothing, |m| {
        priorities::identities(m, Emul)
    }),
    (
        "stopi: identities are priorities, guest file",
        Files(1),
        |m| priorities::identities(m, Hwaccel),
    ),
    ("stopi: tells the priority", Nothing, |m| {
        priorities::told(m, Emul)
    }),
    ("stopi: tells the priority, guest file", Files(1), |m| {
        priorities::told(m, Hwaccel)
    }),
    ("reset: by user space", Nothing, |m| reset::by_user(m, Emul)),
    ("reset: by user space, guest file", Files(1), |m| {
        reset::by_user(m, Hwaccel)
    }),
    (
        "reset: not by user space that has not enabled it",
        Nothing,
        reset::not_enabled,
    ),
    ("reset: by the SBI", Nothing, |m| reset::by_sbi(m, Emul)),
    ("reset: by the SBI, guest file", Vcpus(2), |m| {
        reset::by_sbi(m, Hwaccel)
    }),
    ("reset: between start and run", Nothing, |m| {
        reset::started(m, Emul)
    }),
    ("reset: between start and run, guest file", Vcpus(2), |m| {
        reset::started(m, Hwaccel)
    }),
    ("reset: by the sleep of the system", Nothing, |m| {
        reset::suspended(m, Emul)
    }),
    (
        "reset: by the sleep of the system, guest file",
        Files(1),
        |m| reset::suspended(m, Hwaccel),
    ),
    (
        "reset: by user space while the system sleeps",
        Nothing,
        reset::instead_of_waking_up,
    ),
    (
        "a vCPU that user space has stopped goes on where it was",
        FilesAndCpus(1, 2),
        reset::stopped,
    ),
];

fn main() -> ExitCode {
    suite::run(TESTS)
}
