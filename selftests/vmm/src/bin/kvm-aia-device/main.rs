// SPDX-License-Identifier: GPL-2.0

//! The device KVM_DEV_TYPE_RISCV_AIA as a VMM sees it: every group, every
//! attribute, every error. No guest runs.

mod addr;
mod aplic;
mod config;
mod create;
mod csrs;
mod imsic;
mod init;
mod inject;
mod memory;

use std::process::ExitCode;
use vmm::{
    suite,
    Need::Nothing,
    Test, //
};

const TESTS: &[Test] = &[
    ("create: one device per VM", Nothing, create::second),
    (
        "create: before and after vCPUs, unless one has run",
        Nothing,
        create::after_vcpus,
    ),
    (
        "create: without a file descriptor",
        Nothing,
        create::no_descriptor,
    ),
    ("CONFIG: defaults", Nothing, config::defaults),
    ("CONFIG: modes", Nothing, config::mode),
    ("CONFIG: numbers of identities", Nothing, config::ids),
    ("CONFIG: numbers of sources", Nothing, config::sources),
    ("CONFIG: bits of the address map", Nothing, config::geometry),
    (
        "CONFIG: what does not exist, nor other groups",
        Nothing,
        config::unknown,
    ),
    ("CONFIG: fixed by INIT", Nothing, config::fixed),
    ("ADDR: values and alignment", Nothing, addr::values),
    ("ADDR: one for each vCPU", Nothing, addr::index),
    ("ADDR: fixed by INIT", Nothing, addr::fixed),
    ("INIT: once", Nothing, init::once),
    ("INIT: more sources than identities", Nothing, init::sources),
    ("INIT: without an APLIC", Nothing, init::aplic_address),
    (
        "INIT: without all IMSIC addresses",
        Nothing,
        init::imsic_address,
    ),
    ("INIT: IMSICs of one map", Nothing, init::base),
    ("INIT: groups and harts overlap", Nothing, init::overlap),
    ("INIT: without vCPUs", Nothing, init::no_vcpus),
    ("APLIC: nothing before INIT", Nothing, aplic::before_init),
    ("APLIC: all offsets, 1 source", Nothing, aplic::one_source),
    ("APLIC: all offsets, 31 sources", Nothing, aplic::one_word),
    (
        "APLIC: all offsets, 32 and 63 sources",
        Nothing,
        aplic::two_words,
    ),
    ("APLIC: registers", Nothing, aplic::registers),
    ("IMSIC: nothing before INIT", Nothing, imsic::before_init),
    ("IMSIC: vCPUs that have one", Nothing, imsic::vcpus),
    (
        "IMSIC: all selects, smallest file",
        Nothing,
        imsic::smallest,
    ),
    ("IMSIC: all selects, largest file", Nothing, imsic::largest),
    ("IMSIC: registers of 64 bits", Nothing, imsic::values),
    ("CSRs: values", Nothing, csrs::values),
    (
        "CSRs: of a vCPU without Ssaia",
        Nothing,
        csrs::without_ssaia,
    ),
    ("memory: sizes of attributes", Nothing, memory::width),
    ("memory: faults", Nothing, memory::faults),
    ("inject: before INIT", Nothing, inject::too_early),
    ("inject: lines", Nothing, inject::lines),
    ("inject: MSIs", Nothing, inject::msis),
    ("inject: guest pages", Nothing, inject::guest_pages),
    (
        "inject: vCPUs of one hart index",
        Nothing,
        inject::one_hart_index,
    ),
];

fn main() -> ExitCode {
    suite::run(TESTS)
}
