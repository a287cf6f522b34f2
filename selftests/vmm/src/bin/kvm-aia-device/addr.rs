// SPDX-License-Identifier: GPL-2.0

//! The group ADDR.

use kvm_bindings::{
    KVM_DEV_RISCV_AIA_ADDR_APLIC,
    KVM_DEV_RISCV_AIA_GRP_ADDR, //
};
use libc::{
    EBUSY,
    EINVAL,
    ENXIO, //
};
use vmm::{
    abi::APLIC_BASE,
    fixture::{
        page,
        Fixture, //
    },
    refused,
    same,
    Context,
    Machine,
    Result, //
};

const GROUP: u32 = KVM_DEV_RISCV_AIA_GRP_ADDR;
const UNSET: u64 = u64::MAX;

pub(crate) fn values(m: &Machine) -> Result<()> {
    const VCPUS: usize = 3;
    let f = Fixture::new(m, VCPUS)?;
    let first = u64::from(KVM_DEV_RISCV_AIA_ADDR_APLIC);

    for attr in first..=VCPUS as u64 {
        f.aia
            .has(GROUP, attr)
            .context(format!("HAS of ADDR {attr}"))?;
        same(f.aia.get(GROUP, attr, 0).ok(), Some(UNSET.into()), || {
            format!("ADDR {attr} that nobody set")
        })?;
        // Of each its own, so that none is taken for another.
        let addr = 0x1_2345_6000 + (attr << 20);

        f.aia
            .set(GROUP, attr, addr)
            .context(format!("ADDR {attr} = {addr:#x}"))?;
        for off in [1, 4, 0x800, 0xfff] {
            refused(f.aia.set(GROUP, attr, addr + off), EINVAL, || {
                format!("ADDR {attr} = {:#x}", addr + off)
            })?;
        }
        refused(f.aia.set(GROUP, attr, UNSET), EINVAL, || {
            format!("ADDR {attr} = {UNSET:#x}")
        })?;
    }
    for attr in first..=VCPUS as u64 {
        let addr = 0x1_2345_6000 + (attr << 20);

        same(f.aia.get(GROUP, attr, 0).ok(), Some(addr.into()), || {
            format!("ADDR {attr}")
        })?;
    }
    same(
        (f.aia.aplic_addr().ok(), f.aia.imsic_addr(2).ok()),
        (Some(0x1_2345_6000), Some(0x1_2375_6000)),
        || "APLIC and last IMSIC".into(),
    )
}

pub(crate) fn index(m: &Machine) -> Result<()> {
    let mut f = Fixture::new(m, 2)?;

    for attr in [3, 4, 16385, 16386, 0xffff_ffff, 1 << 32, u64::MAX] {
        refused(f.aia.has(GROUP, attr), ENXIO, || {
            format!("HAS of ADDR {attr}")
        })?;
        refused(f.aia.get(GROUP, attr, 0), ENXIO, || {
            format!("GET of ADDR {attr}")
        })?;
        refused(f.aia.set(GROUP, attr, 0x1000), ENXIO, || {
            format!("SET of ADDR {attr}")
        })?;
    }
    f.add_vcpu()?;
    f.aia.has(GROUP, 3).context("HAS of a new vCPU's address")?;
    f.aia
        .set(GROUP, 3, 0x1000)
        .context("SET of a new vCPU's address")
}

pub(crate) fn fixed(m: &Machine) -> Result<()> {
    let f = Fixture::ready(m, 2, 63, 4)?;

    for (attr, addr) in [(0, APLIC_BASE), (1, page(0)), (2, page(1))] {
        refused(f.aia.set(GROUP, attr, addr), EBUSY, || {
            format!("ADDR {attr} after INIT")
        })?;
        same(f.aia.get(GROUP, attr, 0).ok(), Some(addr.into()), || {
            format!("ADDR {attr} after INIT")
        })?;
    }
    Ok(())
}
