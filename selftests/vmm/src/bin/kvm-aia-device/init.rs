// SPDX-License-Identifier: GPL-2.0

//! INIT: what it refuses, and that it can be tried again.

use kvm_bindings::*;
use libc::{
    EBUSY,
    EINVAL,
    ENODEV,
    ENXIO, //
};
use vmm::{
    abi::APLIC_BASE,
    ensure,
    fixture::{
        page,
        Fixture, //
    },
    refused,
    regs,
    Aia,
    Context,
    Machine,
    Result, //
};

fn invalid(f: &Fixture, why: &str) -> Result<()> {
    // A failure must leave nothing behind that makes the next answer another.
    for _ in 0..2 {
        refused(f.aia.init(), EINVAL, || format!("INIT with {why}"))?;
    }
    let aplic = f
        .aia
        .has(KVM_DEV_RISCV_AIA_GRP_APLIC, regs::aplic::DOMAINCFG.into());
    let imsic = f.aia.has(
        KVM_DEV_RISCV_AIA_GRP_IMSIC,
        Aia::imsic_attr(0, regs::imsic::EIDELIVERY),
    );

    refused(aplic, ENODEV, || format!("APLIC after INIT with {why}"))?;
    refused(imsic, ENODEV, || format!("IMSIC after INIT with {why}"))?;
    refused(f.line(1, true), EBUSY, || {
        format!("KVM_IRQ_LINE after INIT with {why}")
    })?;
    refused(f.msi(page(0), 1), EBUSY, || {
        format!("KVM_SIGNAL_MSI after INIT with {why}")
    })
}

fn config(f: &Fixture, attr: u32, value: u32) -> Result<()> {
    f.aia
        .set_config(attr, value)
        .context(format!("CONFIG {attr} = {value}"))
}

/// It works now: both controllers are there, and take interrupts.
fn works(f: &Fixture) -> Result<()> {
    f.aia.init().context("INIT")?;
    f.aia
        .aplic(regs::aplic::DOMAINCFG)
        .context("domaincfg after INIT")?;
    f.line(1, true).context("KVM_IRQ_LINE after INIT")?;
    f.msi(page(0), 5).context("KVM_SIGNAL_MSI after INIT")?;
    let pending = f.aia.imsic(0, regs::imsic::EIP0).context("eip0")?;

    ensure(pending == 1 << 5, || format!("eip0 reads {pending:#x}"))
}

pub(crate) fn once(m: &Machine) -> Result<()> {
    let f = Fixture::new(m, 2)?;
    let (group, attr) = (
        KVM_DEV_RISCV_AIA_GRP_CTRL,
        KVM_DEV_RISCV_AIA_CTRL_INIT.into(),
    );

    f.configure(63, 8)?;
    f.aia.has(group, attr).context("HAS of INIT")?;
    for attr in [1, 0xffff_ffff, 1 << 32] {
        refused(f.aia.has(group, attr), ENXIO, || {
            format!("HAS of CTRL {attr}")
        })?;
        refused(f.aia.set(group, attr, 0), ENXIO, || {
            format!("SET of CTRL {attr}")
        })?;
    }
    refused(f.aia.get(group, attr, 0), ENXIO, || "GET of INIT".into())?;
    works(&f)?;
    for _ in 0..2 {
        refused(f.aia.init(), EBUSY, || "INIT again".into())?;
    }
    Ok(())
}

pub(crate) fn sources(m: &Machine) -> Result<()> {
    let f = Fixture::new(m, 1)?;

    if f.aia.config(KVM_DEV_RISCV_AIA_CONFIG_IDS).context("IDS")? > 63 {
        f.configure(63, 64)?;
        invalid(&f, "more sources than identities")?;
    }
    f.configure(63, 63)?;
    works(&f)
}

pub(crate) fn aplic_address(m: &Machine) -> Result<()> {
    let f = Fixture::new(m, 1)?;

    config(&f, KVM_DEV_RISCV_AIA_CONFIG_SRCS, 1)?;
    f.aia.set_imsic_addr(0, page(0)).context("address")?;
    invalid(&f, "sources, but no APLIC")?;
    f.aia.set_aplic_addr(APLIC_BASE).context("address")?;
    works(&f)?;

    // Without sources there is no APLIC, and no need for its address.
    let f = Fixture::new(m, 1)?;

    f.aia.set_imsic_addr(0, page(0)).context("address")?;
    f.aia.init().context("INIT without sources")?;
    refused(f.aia.aplic(regs::aplic::DOMAINCFG), ENODEV, || {
        "domaincfg without sources".into()
    })?;
    refused(f.line(1, true), ENODEV, || {
        "KVM_IRQ_LINE without sources".into()
    })?;
    f.msi(page(0), 1)
        .context("KVM_SIGNAL_MSI without sources")?;
    Ok(())
}

pub(crate) fn imsic_address(m: &Machine) -> Result<()> {
    let f = Fixture::new(m, 3)?;

    f.aia.set_aplic_addr(APLIC_BASE).context("address")?;
    config(&f, KVM_DEV_RISCV_AIA_CONFIG_SRCS, 4)?;
    config(&f, KVM_DEV_RISCV_AIA_CONFIG_HART_BITS, 2)?;
    invalid(&f, "no IMSIC address")?;
    // The first two are set up before the third is found missing.
    for n in 0..2 {
        f.aia.set_imsic_addr(n, page(n)).context("address")?;
        invalid(&f, "some IMSIC addresses")?;
    }
    f.aia.set_imsic_addr(2, page(2)).context("address")?;
    works(&f)
}

pub(crate) fn base(m: &Machine) -> Result<()> {
    let f = Fixture::new(m, 2)?;

    f.configure(63, 4)?;
    for (bits, second) in [(0, page(1)), (1, page(2)), (1, page(0) + (1 << 40))] {
        config(&f, KVM_DEV_RISCV_AIA_CONFIG_HART_BITS, bits)?;
        f.aia.set_imsic_addr(1, second).context("address")?;
        invalid(
            &f,
            &format!(
                "IMSICs at {:#x} and {second:#x} and {bits} hart bits",
                page(0)
            ),
        )?;
    }
    f.aia.set_imsic_addr(1, page(1)).context("address")?;
    works(&f)?;

    // Two groups of one hart.
    let f = Fixture::new(m, 2)?;
    let second = page(0) + (1 << 30);

    f.configure(63, 4)?;
    config(&f, KVM_DEV_RISCV_AIA_CONFIG_HART_BITS, 0)?;
    f.aia.set_imsic_addr(1, second).context("address")?;
    config(&f, KVM_DEV_RISCV_AIA_CONFIG_GROUP_SHIFT, 30)?;
    invalid(&f, "IMSICs in two groups, and no group bits")?;
    config(&f, KVM_DEV_RISCV_AIA_CONFIG_GROUP_BITS, 1)?;
    config(&f, KVM_DEV_RISCV_AIA_CONFIG_GROUP_SHIFT, 31)?;
    invalid(&f, "IMSICs in two groups, and other group bits")?;
    config(&f, KVM_DEV_RISCV_AIA_CONFIG_GROUP_SHIFT, 30)?;
    works(&f)
}

pub(crate) fn overlap(m: &Machine) -> Result<()> {
    // The group bits start at the shift, the hart bits end at 12 + guest bits + hart bits.
    for (hart, guest, shift, good) in [
        (15, 0, 24, false),
        (12, 1, 24, false),
        (15, 7, 33, false),
        (12, 0, 24, true),
        (5, 7, 24, true),
        (15, 7, 34, true),
    ] {
        let f = Fixture::new(m, 1)?;

        f.configure(63, 4)?;
        config(&f, KVM_DEV_RISCV_AIA_CONFIG_HART_BITS, hart)?;
        config(&f, KVM_DEV_RISCV_AIA_CONFIG_GUEST_BITS, guest)?;
        config(&f, KVM_DEV_RISCV_AIA_CONFIG_GROUP_SHIFT, shift)?;
        config(&f, KVM_DEV_RISCV_AIA_CONFIG_GROUP_BITS, 1)?;
        if good {
            f.aia.init().context(format!(
                "INIT with {hart} hart, {guest} guest bits, groups from {shift} on"
            ))?;
        } else {
            invalid(
                &f,
                &format!("{hart} hart bits, {guest} guest bits, groups from {shift} on"),
            )?;
            // Bits of no group overlap nothing.
            config(&f, KVM_DEV_RISCV_AIA_CONFIG_GROUP_BITS, 0)?;
            works(&f)?;
        }
    }
    Ok(())
}

pub(crate) fn no_vcpus(m: &Machine) -> Result<()> {
    let mut f = Fixture::ready(m, 0, 63, 4)?;

    f.line(1, true).context("KVM_IRQ_LINE")?;
    f.add_vcpu()?;
    // It came too late for an interrupt file.
    refused(f.aia.imsic(0, regs::imsic::EIDELIVERY), ENODEV, || {
        "IMSIC of a vCPU made after INIT".into()
    })
}
