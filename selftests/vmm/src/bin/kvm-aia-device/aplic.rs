// SPDX-License-Identifier: GPL-2.0

//! The group APLIC: every offset of the region.

use kvm_bindings::KVM_DEV_RISCV_AIA_GRP_APLIC;
use libc::{
    ENODEV,
    EOPNOTSUPP, //
};
use std::io;
use vmm::{
    fixture::Fixture,
    refused,
    regs::aplic::*,
    same,
    Context,
    Machine,
    Result, //
};

const GROUP: u32 = KVM_DEV_RISCV_AIA_GRP_APLIC;

pub(crate) fn before_init(m: &Machine) -> Result<()> {
    let f = Fixture::new(m, 1)?;

    f.configure(63, 4)?;
    for offset in [DOMAINCFG, SETIP, 2, 0x3ff8] {
        let attr = offset.into();

        refused(f.aia.has(GROUP, attr), ENODEV, || {
            format!("HAS of {offset:#x}")
        })?;
        refused(f.aia.get(GROUP, attr, 0), ENODEV, || {
            format!("GET of {offset:#x}")
        })?;
        refused(f.aia.set(GROUP, attr, 0), ENODEV, || {
            format!("SET of {offset:#x}")
        })?;
    }
    Ok(())
}

/// What all of HAS, GET and SET answer.
fn answer(f: &Fixture, attr: u64, wanted: Option<i32>) -> Result<()> {
    let check = |got: io::Result<()>, what: &str| {
        let errno = got.err().and_then(|e| e.raw_os_error());

        same(errno, wanted, || format!("errno of {what} of {attr:#x}"))
    };

    check(f.aia.has(GROUP, attr), "HAS")?;
    check(f.aia.get(GROUP, attr, 0).map(drop), "GET")?;
    check(f.aia.set(GROUP, attr, 0), "SET")
}

fn offsets(m: &Machine, sources: u32) -> Result<()> {
    let f = Fixture::ready(m, 1, 63, sources)?;

    for offset in 0..SIZE + 0x20 {
        let wanted = if offset % 4 != 0 {
            Some(EOPNOTSUPP)
        } else if exists(offset, sources) {
            None
        } else {
            Some(ENODEV)
        };

        answer(&f, offset.into(), wanted)?;
    }
    for attr in [0x8000, 0xffff_fffc, 1 << 32, (1 << 32) | u64::from(SETIP)] {
        answer(&f, attr, Some(ENODEV))?;
    }
    answer(&f, u64::MAX, Some(EOPNOTSUPP))
}

pub(crate) fn one_source(m: &Machine) -> Result<()> {
    offsets(m, 1)
}

pub(crate) fn one_word(m: &Machine) -> Result<()> {
    offsets(m, 31)
}

pub(crate) fn two_words(m: &Machine) -> Result<()> {
    offsets(m, 32)?;
    offsets(m, 63)
}

pub(crate) fn registers(m: &Machine) -> Result<()> {
    let f = Fixture::ready(m, 1, 63, 40)?;
    let set = |offset, value| {
        f.aia
            .set_aplic(offset, value)
            .context(format!("{offset:#x} = {value:#x}"))
    };
    let reads = |offset, wanted: u32| {
        same(f.aia.aplic(offset).ok(), Some(wanted), || {
            format!("APLIC register {offset:#x}")
        })
    };

    reads(DOMAINCFG, 0x8000_0000 | DM)?;
    set(DOMAINCFG, IE)?;
    reads(DOMAINCFG, 0x8000_0000 | DM | IE)?;
    set(DOMAINCFG, 0)?;
    for source in [1, 31, 32, 40] {
        set(SOURCECFG + 4 * source, sm::DETACHED)?;
        set(TARGET + 4 * source, source + 1)?;
        reads(SOURCECFG + 4 * source, sm::DETACHED)?;
        reads(TARGET + 4 * source, source + 1)?;
        set(SETIENUM, source)?;
        set(SETIPNUM, source)?;
    }
    reads(SETIP, (1 << 1) | (1 << 31))?;
    reads(SETIP + 4, (1 << 0) | (1 << 8))?;
    reads(SETIE, (1 << 1) | (1 << 31))?;
    reads(SETIE + 4, (1 << 0) | (1 << 8))?;
    // A vCPU that does not run has its MSIs set pending all the same.
    same(f.aia.imsic(0, 0x80).ok(), Some(0), || "eip0".into())?;
    set(DOMAINCFG, IE)?;
    reads(SETIP, 0)?;
    reads(SETIP + 4, 0)?;
    same(
        f.aia.imsic(0, 0x80).ok(),
        Some((1 << 2) | (1 << 32) | (1 << 33) | (1 << 41)),
        || "eip0".into(),
    )
}
