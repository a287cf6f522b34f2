// SPDX-License-Identifier: GPL-2.0

//! Interrupt files as a guest sees them: in software, mode EMUL, and, what the guest cannot tell
//! from that (VS-5), those of the hardware, mode HWACCEL.

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
    Mode::{
        self,
        Emul,
        Hwaccel, //
    },
    Need::{
        Files,
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

/// Such a guest, running, with all interrupts on.
fn boot(m: &Machine, mode: Mode, vcpus: usize) -> Result<Guest> {
    m.boot(config(vcpus, mode))
}

/// The largest identity.
fn ids(guest: &Guest) -> Result<u32> {
    guest
        .aia()
        .config(KVM_DEV_RISCV_AIA_CONFIG_IDS)
        .context("IDS")
}

const TESTS: &[Test] = &[
    ("MSI: all identities from the host", Nothing, |m| {
        delivery::host(m, Emul)
    }),
    ("MSI: all identities from another vCPU", Nothing, |m| {
        delivery::to_other(m, Emul)
    }),
    ("MSI: all identities of a vCPU to itself", Nothing, |m| {
        delivery::to_itself(m, Emul)
    }),
    ("MSI: big-endian port", Nothing, |m| {
        delivery::big_endian(m, Emul)
    }),
    ("MSI: two before a claim are one", Nothing, |m| {
        delivery::merged(m, Emul)
    }),
    ("MSI: pending until it is enabled", Nothing, |m| {
        delivery::disabled(m, Emul)
    }),
    ("MSI: what is no identity is ignored", Nothing, |m| {
        delivery::no_identity(m, Emul)
    }),
    ("stopei: lowest identity first", Nothing, |m| {
        topei::order(m, Emul)
    }),
    ("stopei: writes claim, reads do not", Nothing, |m| {
        topei::claim(m, Emul)
    }),
    (
        "stopei: writes of no bits claim, too",
        Nothing,
        topei::claim_by_no_bits,
    ),
    ("stopei: only what is enabled", Nothing, |m| {
        topei::enables(m, Emul)
    }),
    ("stopei: whatever sie says", Nothing, |m| {
        topei::sie(m, Emul)
    }),
    ("eithreshold", Nothing, |m| topei::threshold(m, Emul)),
    ("eidelivery", Nothing, |m| topei::delivery(m, Emul)),
    ("registers: all 64 bits", Nothing, |m| {
        registers::words(m, Emul)
    }),
    ("registers: the guest sets itself pending", Nothing, |m| {
        registers::set_pending(m, Emul)
    }),
    ("registers: odd ones are illegal", Nothing, |m| {
        registers::odd(m, Emul)
    }),
    (
        "registers: reserved ones are read-only zero",
        Nothing,
        |m| registers::reserved(m, Emul),
    ),
    (
        "registers: those beyond the file are read-only zero",
        Nothing,
        |m| registers::unimplemented(m, Emul),
    ),
    ("registers: priorities", Nothing, |m| {
        registers::priorities(m, Emul)
    }),
    ("registers: guest and device see the same", Nothing, |m| {
        registers::device(m, Emul)
    }),
    ("access: the IMSIC page but its ports", Nothing, |m| {
        access::imsic_page(m, Emul)
    }),
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
    ("access: atomic", Nothing, access::atomic),
    ("access: a load into x0", Nothing, access::nowhere),
    ("WFI: MSIs of the host", Nothing, wake::host),
    ("WFI: MSIs of another vCPU", Nothing, wake::vcpu),
    ("WFI: a wire", Nothing, wake::wire),
    ("WFI: with an interrupt pending", Nothing, wake::not_needed),
    // The same in a file of the hardware. QEMU ignores the big-endian port (IM-11 allows it), and
    // what accesses of other sizes do there is up to it; WFI is in kvm-guestfile.
    (
        "guest file: MSI: all identities from the host",
        Files(1),
        |m| delivery::host(m, Hwaccel),
    ),
    (
        "guest file: MSI: all identities from another vCPU",
        Vcpus(2),
        |m| delivery::to_other(m, Hwaccel),
    ),
    (
        "guest file: MSI: all identities of a vCPU to itself",
        Vcpus(2),
        |m| delivery::to_itself(m, Hwaccel),
    ),
    (
        "guest file: MSI: two before a claim are one",
        Files(1),
        |m| delivery::merged(m, Hwaccel),
    ),
    (
        "guest file: MSI: pending until it is enabled",
        Files(1),
        |m| delivery::disabled(m, Hwaccel),
    ),
    (
        "guest file: MSI: what is no identity is ignored",
        Vcpus(2),
        |m| delivery::no_identity(m, Hwaccel),
    ),
    ("guest file: stopei: lowest identity first", Files(1), |m| {
        topei::order(m, Hwaccel)
    }),
    (
        "guest file: stopei: writes claim, reads do not",
        Files(1),
        |m| topei::claim(m, Hwaccel),
    ),
    ("guest file: stopei: only what is enabled", Files(1), |m| {
        topei::enables(m, Hwaccel)
    }),
    ("guest file: stopei: whatever sie says", Files(1), |m| {
        topei::sie(m, Hwaccel)
    }),
    ("guest file: eithreshold", Files(1), |m| {
        topei::threshold(m, Hwaccel)
    }),
    ("guest file: eidelivery", Files(1), |m| {
        topei::delivery(m, Hwaccel)
    }),
    ("guest file: registers: all 64 bits", Files(1), |m| {
        registers::words(m, Hwaccel)
    }),
    (
        "guest file: registers: the guest sets itself pending",
        Files(1),
        |m| registers::set_pending(m, Hwaccel),
    ),
    (
        "guest file: registers: odd ones are illegal",
        Files(1),
        |m| registers::odd(m, Hwaccel),
    ),
    (
        "guest file: registers: reserved ones are read-only zero",
        Files(1),
        |m| registers::reserved(m, Hwaccel),
    ),
    (
        "guest file: registers: those beyond the file are read-only zero",
        Files(1),
        |m| registers::unimplemented(m, Hwaccel),
    ),
    ("guest file: registers: priorities", Files(1), |m| {
        registers::priorities(m, Hwaccel)
    }),
    (
        "guest file: registers: guest and device see the same",
        Files(1),
        |m| registers::device(m, Hwaccel),
    ),
    (
        "guest file: access: the IMSIC page but its ports",
        Vcpus(2),
        |m| access::imsic_page(m, Hwaccel),
    ),
];

fn main() -> ExitCode {
    suite::run(TESTS)
}
