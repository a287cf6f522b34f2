// SPDX-License-Identifier: GPL-2.0

//! KVM_IRQ_LINE and KVM_SIGNAL_MSI: what they answer.

use kvm_bindings::{
    KVM_DEV_RISCV_AIA_CONFIG_GUEST_BITS,
    KVM_DEV_RISCV_AIA_CONFIG_HART_BITS, //
};
use libc::{
    EBUSY,
    EINVAL,
    ENODEV,
    ENXIO, //
};
use vmm::{
    fixture::{
        page,
        Fixture, //
    },
    refused,
    regs::imsic::*,
    same,
    Context,
    Machine,
    Result, //
};

pub(crate) fn too_early(m: &Machine) -> Result<()> {
    let vm = m.kvm().create_vm().context("KVM_CREATE_VM")?;
    let none = vm.set_irq_line(1, true).map_err(vmm::fixture::errno);

    refused(none, ENXIO, || "KVM_IRQ_LINE without a device".into())?;
    let f = Fixture::new(m, 1)?;

    f.configure(63, 4)?;
    refused(f.line(1, true), EBUSY, || "KVM_IRQ_LINE before INIT".into())?;
    refused(f.msi(page(0), 1), EBUSY, || {
        "KVM_SIGNAL_MSI before INIT".into()
    })
}

pub(crate) fn lines(m: &Machine) -> Result<()> {
    let f = Fixture::ready(m, 1, 63, 40)?;

    for line in [0, 41, 64, 1023, 1024, u32::MAX] {
        for level in [true, false] {
            refused(f.line(line, level), ENODEV, || {
                format!("KVM_IRQ_LINE {line}")
            })?;
        }
    }
    for line in [1, 31, 32, 40] {
        for level in [true, true, false, false] {
            f.line(line, level).context(format!("line {line}"))?;
        }
    }
    Ok(())
}

pub(crate) fn msis(m: &Machine) -> Result<()> {
    let f = Fixture::ready(m, 2, 127, 4)?;
    let pending = |wanted: [u64; 4]| {
        for (n, wanted) in wanted.into_iter().enumerate() {
            let (vcpu, select) = (n / 2, EIP0 + 2 * (n as u32 % 2));

            same(f.aia.imsic(vcpu, select).ok(), Some(wanted), || {
                format!("IMSIC register {select:#x} of vCPU {vcpu}")
            })?;
        }
        Ok(())
    };

    // No identity, no port, nobody there (IM-8, IM-10).
    refused(f.msi(page(0), 0), ENODEV, || "identity 0".into())?;
    for id in [128, 129, 2047, 2048, 0x100_0001, u32::MAX] {
        refused(f.msi(page(0), id), EINVAL, || format!("identity {id}"))?;
    }
    for offset in [1, 2, 8, 0x10, 0xffc, 0xfff] {
        refused(f.msi(page(0) + offset, 5), ENODEV, || {
            format!("offset {offset:#x}")
        })?;
    }
    for addr in [0, page(2), page(0) - 4, page(0) | (1 << 40), u64::MAX - 3] {
        f.msi(addr, 5)
            .context(format!("MSI to nobody at {addr:#x}"))?;
    }
    pending([0; 4])?;

    f.msi(page(0), 127).context("identity 127")?;
    pending([0, 1 << 63, 0, 0])?;
    f.msi(page(1), 1).context("identity 1")?;
    pending([0, 1 << 63, 1 << 1, 0])?;
    f.msi(page(1) + SETEIPNUM_BE, 62 << 24)
        .context("identity 62, big-endian")?;
    pending([0, 1 << 63, (1 << 1) | (1 << 62), 0])
}

/// A guest has no guest files: those pages lead nowhere.
pub(crate) fn guest_pages(m: &Machine) -> Result<()> {
    let f = Fixture::new(m, 1)?;

    f.configure(63, 0)?;
    f.aia
        .set_config(KVM_DEV_RISCV_AIA_CONFIG_GUEST_BITS, 2)
        .context("GUEST_BITS")?;
    f.aia.init().context("INIT")?;
    for guest in 1..4 {
        refused(f.msi(page(guest), 5), ENODEV, || {
            format!("guest page {guest}")
        })?;
    }
    f.msi(page(4), 5).context("the page behind")?;
    same(f.aia.imsic(0, EIP0).ok(), Some(0), || "eip0".into())?;
    f.msi(page(0), 5).context("the page itself")?;
    same(f.aia.imsic(0, EIP0).ok(), Some(1 << 5), || "eip0".into())
}

/// Of vCPUs whose addresses differ in the bits of the guest index only, MSIs by address are for the one
/// of which they are 0, whichever was made first.
pub(crate) fn one_hart_index(m: &Machine) -> Result<()> {
    for pages in [[1, 0], [0, 1], [3, 0], [0, 2]] {
        let what = || format!("vCPUs at guest pages {pages:?}");
        let f = Fixture::new(m, 2)?;
        let canonical = pages.iter().position(|&n| n == 0).unwrap_or(0);
        let pending = |wanted: u64| -> Result<()> {
            for vcpu in [0, 1] {
                let wanted = if vcpu == canonical { wanted } else { 0 };

                same(f.aia.imsic(vcpu, EIP0).ok(), Some(wanted), || {
                    format!("eip0 of vCPU {vcpu}, {}", what())
                })?;
            }
            Ok(())
        };

        f.configure(63, 4)?;
        for (attr, bits) in [
            (KVM_DEV_RISCV_AIA_CONFIG_GUEST_BITS, 2),
            (KVM_DEV_RISCV_AIA_CONFIG_HART_BITS, 0),
        ] {
            f.aia
                .set_config(attr, bits)
                .context(format!("CONFIG {attr}"))?;
        }
        for (vcpu, guest) in pages.into_iter().enumerate() {
            f.aia.set_imsic_addr(vcpu, page(guest)).context(what())?;
        }
        f.aia.init().context(format!("INIT, {}", what()))?;
        f.msi(page(0), 5).context(what())?;
        pending(1 << 5)?;
        for guest in 1..4 {
            refused(f.msi(page(guest), 6), ENODEV, || {
                format!("guest page {guest}, {}", what())
            })?;
        }
        pending(1 << 5)?;
    }
    Ok(())
}
