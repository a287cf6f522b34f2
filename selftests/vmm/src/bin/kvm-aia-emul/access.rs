// SPDX-License-Identifier: GPL-2.0

//! Loads and stores in and around the pages of the controllers. Nothing that a
//! guest does there may harm it but by the exception it asked for, and none but an
//! aligned 32-bit store to a port sets anything pending (IM-8, IM-9, AP-8).

use crate::{
    boot,
    ids, //
};
use std::ops::Range;
use vmm::{
    abi::{
        op,
        APLIC_BASE,
        IMSIC_BASE, //
    },
    answer,
    diag,
    ensure,
    regs::{
        aplic,
        imsic::*, //
    },
    same,
    suite,
    Guest,
    Left,
    Machine,
    Mode,
    Outcome,
    Result,
    LOAD_ACCESS,
    STORE_ACCESS, //
};

/// What a store writes: it is an identity at any width and in any half.
const VALUE: u64 = 0x0005_0005_0005_0005;

fn nothing_pending(guest: &Guest) -> Result<()> {
    for vcpu in 0..guest.config().vcpus {
        for w in 0..(ids(guest)? + 1) / 64 {
            same(guest.ireg_read(vcpu, EIP0 + 2 * w)?, 0, || {
                format!("pending bits of vCPU {vcpu}, word {w}")
            })?;
        }
        same(guest.total(vcpu), 0, || {
            format!("interrupts of vCPU {vcpu}")
        })?;
    }
    Ok(())
}

/// Whose answer an access gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    /// KVM's, or that of the hardware: read-only zero.
    Kvm,
    /// That of user space, which alone can know what is there.
    User,
}

/// A load, which reads what it has to, and a store, which does nothing.
fn nothing_there(guest: &Guest, addr: u64, size: u64, by: By) -> Result<()> {
    let value = guest
        .load(1, addr, size)?
        .read(|| format!("load of {size} bytes at {addr:#x}"))?;

    guest
        .store(1, addr, size, VALUE)?
        .read(|| format!("store of {size} bytes at {addr:#x}"))?;
    let size = size as usize;
    let (wanted, left) = match by {
        By::Kvm => (0, vec![]),
        By::User => (
            answer(size),
            vec![Left::Load { addr, size }, Left::Store { addr, size }],
        ),
    };

    same(value, wanted, || {
        format!("load of {size} bytes at {addr:#x}")
    })?;
    same(guest.left(), left, || {
        format!("left to user space of {size} bytes at {addr:#x}")
    })
}

/// All of the page but the ports.
pub(crate) fn imsic_page(m: &Machine, mode: Mode) -> Result<()> {
    let guest = boot(m, mode, 2)?;
    let page = guest.config().imsic_page(0);

    for offset in (8..0x1000).step_by(4) {
        nothing_there(&guest, page + offset, 4, By::Kvm)?;
    }
    // The ports read as zero (IM-12).
    for offset in [SETEIPNUM_LE, SETEIPNUM_BE] {
        let value = guest
            .load(1, page + offset, 4)?
            .read(|| format!("load of port {offset}"))?;

        same(value, 0, || format!("port {offset}"))?;
    }
    nothing_pending(&guest)
}

/// Who answers an access to an interrupt controller of a size that it does not have: with C user space.
fn other_sizes() -> Result<By> {
    Ok(match suite::says("kvm_aia_extensions")? {
        true => By::Kvm,
        false => By::User,
    })
}

pub(crate) fn imsic_sizes(m: &Machine) -> Result<()> {
    let guest = boot(m, Mode::Emul, 2)?;
    let page = guest.config().imsic_page(0);

    for size in [1, 2, 8] {
        for offset in (0..16)
            .step_by(size as usize)
            .chain([0x1000 - size as usize])
        {
            nothing_there(&guest, page + offset as u64, size, other_sizes()?)?;
        }
    }
    nothing_pending(&guest)
}

pub(crate) fn imsic_around(m: &Machine) -> Result<()> {
    let guest = boot(m, Mode::Emul, 2)?;
    let (first, end) = (IMSIC_BASE, guest.config().imsic_page(2));

    for (addr, size) in [
        (first - 4, 4),
        (first - 8, 8),
        (first - 1, 1),
        (end, 4),
        (end + 4, 4),
        (end, 8),
        (end + 0xffc, 4),
        (end + 0x1000, 1),
    ] {
        nothing_there(&guest, addr, size, By::User)?;
    }
    nothing_pending(&guest)
}

/// Reserved registers, and those of sources that the domain does not have.
pub(crate) fn aplic_holes(m: &Machine) -> Result<()> {
    for sources in [4, 40] {
        let mut cfg = crate::config(2, Mode::Emul);

        cfg.sources = sources;
        let guest = m.boot(cfg)?;
        // Around each register, and some of what is far from any; the addresses of MSIs, which a
        // supervisor-level domain does not have.
        let near = (0..aplic::SIZE).step_by(4).filter(|&o| {
            !aplic::exists(o, sources)
                && (o % 0x400 == 0
                    || (0x1bc0..0x1bd0).contains(&o)
                    || aplic::exists(o.saturating_sub(4), sources)
                    || aplic::exists(o + 4, sources))
        });

        for offset in near {
            nothing_there(&guest, APLIC_BASE + u64::from(offset), 4, By::Kvm)?;
        }
        nothing_pending(&guest)?;
    }
    Ok(())
}

pub(crate) fn aplic_sizes(m: &Machine) -> Result<()> {
    const SOURCE: u64 = 3;
    let mut cfg = crate::config(2, Mode::Emul);

    cfg.sources = 4;
    let guest = m.boot(cfg)?;
    let at = |offset: u32| APLIC_BASE + u64::from(offset);

    guest.call(0, vmm::abi::op::WRITE32, &[at(aplic::SOURCECFG + 12), 1])?;
    guest.call(0, vmm::abi::op::WRITE32, &[at(aplic::TARGET + 12), 7])?;
    for (register, wanted) in [
        (aplic::SOURCECFG + 12, 1),
        (aplic::TARGET + 12, 7),
        (aplic::DOMAINCFG, 0x8000_0004),
    ] {
        for size in [1, 2, 8] {
            for offset in (0..8).step_by(size as usize) {
                guest
                    .store(1, at(register & !7) + offset, size, VALUE)?
                    .read(|| format!("store of {size} bytes near {register:#x}"))?;
                guest
                    .load(1, at(register & !7) + offset, size)?
                    .read(|| format!("load of {size} bytes near {register:#x}"))?;
            }
        }
        let value = guest.load(1, at(register), 4)?.read(|| "load".into())?;

        same(value, wanted, || format!("register {register:#x}"))?;
    }
    for size in [1, 2, 8] {
        guest
            .store(1, at(aplic::SETIPNUM & !7), size, (SOURCE << 32) | SOURCE)?
            .read(|| "store".into())?;
        guest
            .store(1, at(aplic::SETIPNUM_LE), size, SOURCE)?
            .read(|| "store".into())?;
        guest
            .store(1, at(aplic::GENMSI), size, 5)?
            .read(|| "store".into())?;
    }
    let pending = guest
        .load(1, at(aplic::SETIP), 4)?
        .read(|| "load of setip".into())?;

    same(pending, 0, || "setip".into())?;
    let left = guest.left().len();

    match other_sizes()? {
        By::Kvm => same(left, 0, || "accesses left to user space".into())?,
        By::User => diag(format!(
            "APLIC accesses of 1, 2, 8 bytes: {left} exits to user space"
        )),
    }
    nothing_pending(&guest)
}

pub(crate) fn aplic_around(m: &Machine) -> Result<()> {
    let mut cfg = crate::config(2, Mode::Emul);

    cfg.sources = 4;
    let guest = m.boot(cfg)?;
    let end = APLIC_BASE + u64::from(aplic::SIZE);

    for (addr, size) in [(end, 4), (end + 4, 4), (end, 8), (end + 0x4000, 4)] {
        nothing_there(&guest, addr, size, By::User)?;
    }
    nothing_pending(&guest)
}

/// An access fault of `cause`, which tells an address of those that were accessed, and nothing for user
/// space.
fn faults(
    guest: &Guest,
    outcome: Outcome,
    cause: u64,
    accessed: Range<u64>,
    what: &str,
) -> Result<()> {
    same(outcome.trap, Some(cause), || format!("exception of {what}"))?;
    ensure(accessed.contains(&outcome.tval), || {
        format!("stval of {what}: {:#x}", outcome.tval)
    })?;
    same(guest.left(), vec![], || {
        format!("left to user space by {what}")
    })
}

/// An access that is not aligned is an access fault (IM-9, AP-8), and hurts nobody.
pub(crate) fn misaligned(m: &Machine) -> Result<()> {
    let mut cfg = crate::config(2, Mode::Emul);

    cfg.sources = 4;
    let guest = m.boot(cfg)?;

    for base in [
        IMSIC_BASE,
        APLIC_BASE + u64::from(aplic::SETIPNUM_LE),
        // Nobody is there.
        IMSIC_BASE - 0x1000,
    ] {
        for (offset, size) in [(1, 2), (1, 4), (2, 4), (3, 4), (4, 8), (0xffe, 4)] {
            let addr = base + offset;

            ensure(addr % size != 0, || "aligned".into())?;
            faults(
                &guest,
                guest.load(1, addr, size)?,
                LOAD_ACCESS,
                addr..addr + size,
                &format!("a load of {size} bytes at {addr:#x}"),
            )?;
            faults(
                &guest,
                guest.store(1, addr, size, VALUE)?,
                STORE_ACCESS,
                addr..addr + size,
                &format!("a store of {size} bytes at {addr:#x}"),
            )?;
        }
    }
    nothing_pending(&guest)?;
    guest.signal_msi(0, 9)?;
    guest.until(|g| g.count(0, 9) == 1, || "identity 9".into())
}

/// So are the accesses that are no simple loads and stores (IM-9, AP-8).
pub(crate) fn atomic(m: &Machine) -> Result<()> {
    let mut cfg = crate::config(2, Mode::Emul);

    cfg.sources = 4;
    let guest = m.boot(cfg)?;

    for addr in [
        IMSIC_BASE,
        IMSIC_BASE + 8,
        APLIC_BASE,
        APLIC_BASE + u64::from(aplic::SETIPNUM_LE),
        IMSIC_BASE - 0x1000,
    ] {
        faults(
            &guest,
            guest.amo(1, addr)?,
            STORE_ACCESS,
            addr..addr + 4,
            &format!("an AMO at {addr:#x}"),
        )?;
        faults(
            &guest,
            guest.load_reserved(1, addr)?,
            LOAD_ACCESS,
            addr..addr + 4,
            &format!("LR at {addr:#x}"),
        )?;
    }
    nothing_pending(&guest)?;
    guest.signal_msi(0, 9)?;
    guest.until(|g| g.count(0, 9) == 1, || "identity 9".into())
}

/// A load from a device into x0 changes nothing for the instructions that KVM emulates
/// afterwards: a CSR that is only read, here, and a CSR that zero is written to.
pub(crate) fn nowhere(m: &Machine) -> Result<()> {
    let guest = boot(m, Mode::Emul, 1)?;

    for (select, value) in [(EITHRESHOLD, 9), (EIE0, 1 << 5)] {
        guest.ireg_write(0, select, value)?;
        guest.call(0, op::LOAD_NOWHERE, &[IMSIC_BASE - 0x1000])?;
        guest.ireg_read(0, select)?;
        same(guest.ireg_read(0, select)?, value, || {
            format!("register {select:#x} after it was read")
        })?;
        guest.ireg_write(0, select, 0)?;
        same(guest.ireg_read(0, select)?, 0, || {
            format!("register {select:#x} after 0 was written")
        })?;
    }
    Ok(())
}
