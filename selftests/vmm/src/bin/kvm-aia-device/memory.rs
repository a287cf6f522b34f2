// SPDX-License-Identifier: GPL-2.0

//! The memory of the process: sizes of attributes, and memory that is not there.

use kvm_bindings::*;
use libc::EFAULT;
use vmm::{
    fixture::Fixture,
    refused,
    regs,
    same,
    Aia,
    Context,
    Machine,
    Place,
    Result,
    TestMemory, //
};

/// Group, attribute and size of one attribute of each kind.
fn kinds() -> [(u32, u64, u64); 5] {
    [
        (
            KVM_DEV_RISCV_AIA_GRP_CONFIG,
            KVM_DEV_RISCV_AIA_CONFIG_IDS.into(),
            4,
        ),
        (
            KVM_DEV_RISCV_AIA_GRP_ADDR,
            KVM_DEV_RISCV_AIA_ADDR_APLIC.into(),
            8,
        ),
        (KVM_DEV_RISCV_AIA_GRP_ADDR, 1, 8),
        (
            KVM_DEV_RISCV_AIA_GRP_APLIC,
            regs::aplic::DOMAINCFG.into(),
            4,
        ),
        (
            KVM_DEV_RISCV_AIA_GRP_IMSIC,
            Aia::imsic_attr(0, regs::imsic::EIE0),
            8,
        ),
    ]
}

/// GET writes as many bytes as the attribute has, and no more.
pub(crate) fn width(m: &Machine) -> Result<()> {
    let f = Fixture::ready(m, 1, 63, 4)?;

    f.aia
        .set_imsic(0, regs::imsic::EIE0, 0x8765_4321_0fed_cba8)
        .context("eie0")?;
    for (group, attr, size) in kinds() {
        let guard = |with: u128| {
            f.aia
                .get(group, attr, with)
                .context(format!("GET of group {group}"))
        };
        let bits = 8 * size as u32;
        let (ones, zeroes) = (guard(u128::MAX)?, guard(0)?);

        same(ones >> bits, u128::MAX >> bits, || {
            format!("what lies behind an attribute of group {group}")
        })?;
        same(zeroes >> bits, 0, || {
            format!("what lies behind an attribute of group {group}")
        })?;
        same(ones << (128 - bits), zeroes << (128 - bits), || {
            format!("group {group}")
        })?;
    }
    same(
        f.aia.imsic(0, regs::imsic::EIE0).ok(),
        Some(0x8765_4321_0fed_cba8),
        || "eie0".into(),
    )
}

/// SET and GET of memory that is not there, before and after INIT alike.
pub(crate) fn faults(m: &Machine) -> Result<()> {
    let mem = TestMemory::new()?;
    let f = Fixture::new(m, 1)?;

    f.configure(63, 4)?;
    for ready in [false, true] {
        if ready {
            f.aia.init().context("INIT")?;
        }
        for (group, attr, size) in kinds() {
            for place in [Place::Nowhere, Place::Short(1), Place::Short(size - 1)] {
                refused(f.aia.set_at(group, attr, &mem, place), EFAULT, || {
                    format!("SET of group {group} from memory {place:?}")
                })?;
                // GET finds out that there is no such attribute yet, or no memory.
                let got = f.aia.get_at(group, attr, &mem, place);

                if ready {
                    refused(got, EFAULT, || {
                        format!("GET of group {group} to memory {place:?}")
                    })?;
                } else {
                    same(got.is_err(), true, || {
                        format!("GET of group {group} fails, memory {place:?}")
                    })?;
                }
            }
        }
    }
    for (group, attr, size) in kinds() {
        refused(
            f.aia.get_at(group, attr, &mem, Place::ReadOnly),
            EFAULT,
            || format!("GET of group {group} to memory that is read-only"),
        )?;
        f.aia
            .get_at(group, attr, &mem, Place::Short(size))
            .context(format!("GET of group {group} to {size} bytes"))?;
    }
    // What is read-only can be read; INIT reads nothing at all.
    f.aia
        .set_at(
            KVM_DEV_RISCV_AIA_GRP_APLIC,
            regs::aplic::DOMAINCFG.into(),
            &mem,
            Place::ReadOnly,
        )
        .context("SET from memory that is read-only")?;
    let f = Fixture::new(m, 1)?;

    f.configure(63, 4)?;
    f.aia
        .set_at(
            KVM_DEV_RISCV_AIA_GRP_CTRL,
            KVM_DEV_RISCV_AIA_CTRL_INIT.into(),
            &mem,
            Place::Nowhere,
        )
        .context("INIT with an address where nothing is")
}
