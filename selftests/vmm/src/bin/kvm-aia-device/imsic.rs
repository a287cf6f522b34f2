// SPDX-License-Identifier: GPL-2.0

//! The group IMSIC: every register of an interrupt file.

use kvm_bindings::{
    KVM_DEV_RISCV_AIA_CONFIG_IDS,
    KVM_DEV_RISCV_AIA_GRP_IMSIC, //
};
use libc::{
    EINVAL,
    ENODEV,
    ENOENT, //
};
use vmm::{
    fixture::Fixture,
    refused,
    regs::imsic::*,
    same,
    Aia,
    Context,
    Machine,
    Result, //
};

const GROUP: u32 = KVM_DEV_RISCV_AIA_GRP_IMSIC;

/// HAS, GET and SET say that there is no IMSIC.
fn nobody(f: &Fixture, vcpu: usize) -> Result<()> {
    for select in [EIDELIVERY, EIP0, EIP0 + 1, 0x71, 0xfff] {
        let attr = Aia::imsic_attr(vcpu, select);

        refused(f.aia.has(GROUP, attr), ENODEV, || {
            format!("HAS of {attr:#x}")
        })?;
        refused(f.aia.get(GROUP, attr, 0), ENODEV, || {
            format!("GET of {attr:#x}")
        })?;
        refused(f.aia.set(GROUP, attr, 0), ENODEV, || {
            format!("SET of {attr:#x}")
        })?;
    }
    Ok(())
}

pub(crate) fn before_init(m: &Machine) -> Result<()> {
    let f = Fixture::new(m, 1)?;

    f.configure(63, 4)?;
    nobody(&f, 0)
}

pub(crate) fn vcpus(m: &Machine) -> Result<()> {
    let mut f = Fixture::ready(m, 2, 63, 4)?;

    for vcpu in [2, 3, 0xffff, 0xf_ffff, 0xffff_ffff] {
        nobody(&f, vcpu)?;
    }
    f.add_vcpu()?;
    nobody(&f, 2)?;
    for vcpu in 0..2 {
        f.aia
            .imsic(vcpu, EIDELIVERY)
            .context(format!("vCPU {vcpu}"))?;
    }
    Ok(())
}

fn selects(m: &Machine, ids: u32) -> Result<()> {
    let f = Fixture::ready(m, 1, ids, 4)?;
    // Registers of 32 identities each, of which RV64 has the even ones.
    let words = ids.div_ceil(32);
    let array = |n: u32| (n % 2 != 0 || n >= words).then_some(EINVAL);

    for select in 0..0x1000 {
        let wanted = match select {
            EIDELIVERY | EITHRESHOLD => None,
            EIP0..EIE0 => array(select - EIP0),
            EIE0..=LAST => array(select - EIE0),
            _ => Some(ENOENT),
        };
        let attr = Aia::imsic_attr(0, select);

        for (what, got) in [
            ("HAS", f.aia.has(GROUP, attr)),
            ("GET", f.aia.get(GROUP, attr, 0).map(drop)),
            ("SET", f.aia.set(GROUP, attr, 0)),
        ] {
            let errno = got.err().and_then(|e| e.raw_os_error());

            same(errno, wanted, || format!("errno of {what} of {select:#x}"))?;
        }
    }
    Ok(())
}

pub(crate) fn smallest(m: &Machine) -> Result<()> {
    selects(m, 63)
}

fn largest_file(m: &Machine) -> Result<u32> {
    Fixture::new(m, 0)?
        .aia
        .config(KVM_DEV_RISCV_AIA_CONFIG_IDS)
        .context("IDS")
}

pub(crate) fn largest(m: &Machine) -> Result<()> {
    selects(m, largest_file(m)?)
}

/// All 64 bits of each register, of the identities that there are (IM-24).
pub(crate) fn values(m: &Machine) -> Result<()> {
    let ids = largest_file(m)?;
    let f = Fixture::ready(m, 2, ids, 4)?;
    let set = |vcpu, select, value| {
        f.aia
            .set_imsic(vcpu, select, value)
            .context(format!("{select:#x} = {value:#x} of vCPU {vcpu}"))
    };
    let reads = |vcpu, select, wanted: u64| {
        same(f.aia.imsic(vcpu, select).ok(), Some(wanted), || {
            format!("IMSIC register {select:#x} of vCPU {vcpu}")
        })
    };
    let words = ids.div_ceil(64);

    for select in (0..words).flat_map(|w| [EIP0 + 2 * w, EIE0 + 2 * w]) {
        // Bit 0 of the first is identity 0, which is none.
        let valid = if (select - EIP0) % 0x40 == 0 { !1 } else { !0 };

        reads(0, select, 0)?;
        for value in [!0, 0x8000_0001_0000_0001, 0x0123_4567_89ab_cdef] {
            set(0, select, value)?;
            reads(0, select, value & valid)?;
        }
        reads(1, select, 0)?;
        set(0, select, 0)?;
        reads(0, select, 0)?;
    }
    for value in [1, 0] {
        set(0, EIDELIVERY, value)?;
        reads(0, EIDELIVERY, value)?;
    }
    // WARL, and delivery by an APLIC is not for guests (IM-25).
    set(0, EIDELIVERY, 0x4000_0000)?;
    reads(0, EIDELIVERY, 0)?;
    for value in [1, 63, ids.into(), 0] {
        set(0, EITHRESHOLD, value)?;
        reads(0, EITHRESHOLD, value)?;
    }
    Ok(())
}
