// SPDX-License-Identifier: GPL-2.0

//! Indirect registers: each number, and each way to access it.

use crate::{
    boot,
    ids, //
};
use vmm::{
    abi::csr,
    regs::imsic::*,
    same,
    Guest,
    Machine,
    Mode,
    Result,
    ILLEGAL, //
};

/// The words of pending and enable bits have 64 bits, each of which can be
/// set, cleared and written alone (IM-22, IM-24; 7.3: only 32 bits were written).
pub(crate) fn words(m: &Machine, mode: Mode) -> Result<()> {
    let guest = boot(m, mode, 1)?;
    let last = ids(&guest)?;

    guest.mask(0)?;
    for w in 0..(last + 1) / 64 {
        for select in [EIP0 + 2 * w, EIE0 + 2 * w] {
            let valid: u64 = if w == 0 { !1 } else { !0 };
            let mut model = guest.ireg_read(0, select)?;

            for (how, value) in [
                (csr::WRITE, 0),
                (csr::SET, 1 << 63),
                (csr::SET, 1 << 32),
                (csr::SET, 0x8000_0001),
                (csr::SWAP, !0),
                (csr::CLEAR, 1 << 40),
                (csr::CLEAR, 0xffff_0000_ffff),
                (csr::SWAP, 0x0123_4567_89ab_cdef),
                (csr::WRITE, 0xfedc_ba98_7654_3210),
                (csr::CLEAR, !0),
            ] {
                let old = guest
                    .ireg(0, select, how, value)?
                    .read(|| format!("{select:#x}"))?;

                if how != csr::WRITE {
                    same(old, model, || {
                        format!("register {select:#x} before {how} of {value:#x}")
                    })?;
                }
                model = valid
                    & match how {
                        csr::SET => model | value,
                        csr::CLEAR => model & !value,
                        _ => value,
                    };
                same(guest.ireg_read(0, select)?, model, || {
                    format!("register {select:#x} after {how} of {value:#x}")
                })?;
            }
        }
    }
    Ok(())
}

/// A pending bit that the guest itself sets interrupts it.
pub(crate) fn set_pending(m: &Machine, mode: Mode) -> Result<()> {
    let guest = boot(m, mode, 1)?;
    let last = ids(&guest)?;

    for id in [1, 31, 32, 63, last] {
        guest
            .ireg(0, EIP0 + 2 * (id / 64), csr::SET, 1 << (id % 64))?
            .read(|| format!("identity {id}"))?;
        guest.until(
            |g| g.count(0, id) == 1,
            || format!("identity {id} that the guest set pending"),
        )?;
    }
    same(guest.total(0), 5, || "interrupts".into())
}

/// Odd numbers are no registers on RV64 (IM-23). The hypervisor takes a virtual
/// instruction exception, and gives the guest an illegal instruction.
pub(crate) fn odd(m: &Machine, mode: Mode) -> Result<()> {
    let guest = boot(m, mode, 1)?;

    for select in (EIP0..=LAST).filter(|s| s % 2 != 0) {
        for how in [csr::READ, csr::WRITE, csr::SWAP, csr::SET] {
            let trap = guest.ireg(0, select, how, !0)?.trap;

            same(trap, Some(ILLEGAL), || {
                format!("exception of access {how} to register {select:#x}")
            })?;
        }
    }
    for select in [EIP0, EIE0 + 2] {
        guest.ireg_read(0, select)?;
    }
    Ok(())
}

/// Reading and writing `select` comes to read-only zero, which is KVM's answer.
fn zero(guest: &Guest, select: u32) -> Result<()> {
    for (how, value) in [
        (csr::READ, 0),
        (csr::WRITE, !0),
        (csr::SWAP, 0x5555),
        (csr::SET, !0),
        (csr::READ, 0),
    ] {
        let got = guest
            .ireg(0, select, how, value)?
            .read(|| format!("access {how} to register {select:#x}"))?;

        if how != csr::WRITE {
            same(got, 0, || format!("register {select:#x}"))?;
        }
    }
    same(guest.left(), vec![], || {
        format!("accesses to register {select:#x} left to user space")
    })
}

/// Reserved numbers are read-only zero (IM-20).
pub(crate) fn reserved(m: &Machine, mode: Mode) -> Result<()> {
    let guest = boot(m, mode, 1)?;

    for select in [0x71].into_iter().chain(0x73..0x80) {
        zero(&guest, select)?;
    }
    Ok(())
}

/// So are the words of identities that the file does not have (IM-24). One of the
/// hardware has as many as it has.
pub(crate) fn unimplemented(m: &Machine, mode: Mode) -> Result<()> {
    let mut cfg = crate::config(1, mode);

    if mode == Mode::Emul {
        cfg.ids = Some(63);
    }
    let guest = m.boot(cfg)?;
    let first = (ids(&guest)? + 1) / 64;

    for w in first..32 {
        for select in [EIP0 + 2 * w, EIE0 + 2 * w] {
            zero(&guest, select)?;
        }
    }
    Ok(())
}

/// The priorities of other interrupts are there, the odd ones are not (VS-12, S-3).
pub(crate) fn priorities(m: &Machine, mode: Mode) -> Result<()> {
    let guest = boot(m, mode, 1)?;

    for select in 0x30..0x40 {
        let outcome = guest.ireg(0, select, csr::READ, 0)?;

        same(outcome.trap, (select % 2 != 0).then_some(ILLEGAL), || {
            format!("exception of reading register {select:#x}")
        })?;
    }
    Ok(())
}

/// What the guest wrote, the device reads, and the other way round.
pub(crate) fn device(m: &Machine, mode: Mode) -> Result<()> {
    let mut guest = boot(m, mode, 1)?;
    let last = ids(&guest)?;

    guest.mask(0)?;
    for n in [0, (last + 1) / 64 - 1] {
        guest.ireg_write(0, EIP0 + 2 * n, 0x0246_8ace_1357_9bde)?;
        guest.ireg_write(0, EIE0 + 2 * n, 0xfedc_ba98_7654_3210)?;
    }
    guest.ireg_write(0, EITHRESHOLD, last.into())?;
    guest.stop(0)?;
    for n in [0, (last + 1) / 64 - 1] {
        same(
            (
                guest.aia().imsic(0, EIP0 + 2 * n).ok(),
                guest.aia().imsic(0, EIE0 + 2 * n).ok(),
            ),
            (Some(0x0246_8ace_1357_9bde), Some(0xfedc_ba98_7654_3210)),
            || format!("word {n}"),
        )?;
    }
    same(
        (
            guest.aia().imsic(0, EITHRESHOLD).ok(),
            guest.aia().imsic(0, EIDELIVERY).ok(),
        ),
        (Some(last.into()), Some(1)),
        || "eithreshold and eidelivery".into(),
    )?;
    guest.start(0, &[m.cpu(0)])?;
    // The first that is in both words and below the threshold.
    same(guest.topei(0, csr::READ, 0)? >> 16, 4, || "stopei".into())
}
