// SPDX-License-Identifier: GPL-2.0

//! Interrupt files in software, mode EMUL, as a guest sees them.

mod access;
mod delivery;
mod registers;
mod topei;
mod wake;

use kvm_bindings::KVM_DEV_RISCV_AIA_CONFIG_IDS;
use std::process::ExitCode;
use vmm::{
    suite,
    Config,
    Context,
    Guest,
    Machine,
    Mode,
    Need::Nothing,
    Result,
    Test, //
};

/// A guest whose mistakes do not end it.
fn config(vcpus: usize) -> Config {
    Config {
        lenient: true,
        ..Config::new(vcpus, Mode::Emul)
    }
}

/// Such a guest, running, with all interrupts on.
fn boot(m: &Machine, vcpus: usize) -> Result<Guest> {
    m.boot(config(vcpus))
}

/// The largest identity.
fn ids(guest: &Guest) -> Result<u32> {
    guest
        .aia()
        .config(KVM_DEV_RISCV_AIA_CONFIG_IDS)
        .context("IDS")
}

const TESTS: &[Test] = &[
    ("MSI: all identities from the host", Nothing, delivery::host),
    (
        "MSI: all identities from another vCPU",
        Nothing,
        delivery::to_other,
    ),
    (
        "MSI: all identities of a vCPU to itself",
        Nothing,
        delivery::to_itself,
    ),
    ("MSI: big-endian port", Nothing, delivery::big_endian),
    ("MSI: two before a claim are one", Nothing, delivery::merged),
    (
        "MSI: pending until it is enabled",
        Nothing,
        delivery::disabled,
    ),
    (
        "MSI: what is no identity is ignored",
        Nothing,
        delivery::no_identity,
    ),
    ("stopei: lowest identity first", Nothing, topei::order),
    ("stopei: writes claim, reads do not", Nothing, topei::claim),
    ("stopei: only what is enabled", Nothing, topei::enables),
    ("eithreshold", Nothing, topei::threshold),
    ("eidelivery", Nothing, topei::delivery),
    ("registers: all 64 bits", Nothing, registers::words),
    (
        "registers: the guest sets itself pending",
        Nothing,
        registers::set_pending,
    ),
    ("registers: odd ones are illegal", Nothing, registers::odd),
    (
        "registers: reserved ones are read-only zero",
        Nothing,
        registers::reserved,
    ),
    (
        "registers: those beyond the file are read-only zero",
        Nothing,
        registers::unimplemented,
    ),
    ("registers: priorities", Nothing, registers::priorities),
    (
        "registers: guest and device see the same",
        Nothing,
        registers::device,
    ),
    (
        "access: the IMSIC page but its ports",
        Nothing,
        access::imsic_page,
    ),
    (
        "access: IMSIC, 1, 2 and 8 bytes",
        Nothing,
        access::imsic_sizes,
    ),
    ("access: around IMSICs", Nothing, access::imsic_around),
    (
        "access: APLIC, where no register is",
        Nothing,
        access::aplic_holes,
    ),
    (
        "access: APLIC, 1, 2 and 8 bytes",
        Nothing,
        access::aplic_sizes,
    ),
    ("access: behind the APLIC", Nothing, access::aplic_around),
    ("access: misaligned", Nothing, access::misaligned),
    ("WFI: MSIs of the host", Nothing, wake::host),
    ("WFI: MSIs of another vCPU", Nothing, wake::vcpu),
    ("WFI: a wire", Nothing, wake::wire),
    ("WFI: with an interrupt pending", Nothing, wake::not_needed),
];

fn main() -> ExitCode {
    suite::run(None, TESTS)
}
