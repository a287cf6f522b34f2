// SPDX-License-Identifier: GPL-2.0

//! stopei, the threshold, and the delivery switch. Interrupts stay masked, so
//! that a test sees each step.

use crate::{
    boot,
    ids, //
};
use vmm::{
    abi::csr,
    exact,
    regs::imsic::*,
    same,
    Guest,
    Machine,
    Mode,
    Result, //
};

/// A guest that takes no interrupt by itself.
fn masked(m: &Machine, mode: Mode) -> Result<Guest> {
    let guest = boot(m, mode, 1)?;

    guest.mask(0)?;
    Ok(guest)
}

fn topei(id: u32) -> u64 {
    (u64::from(id) << 16) | u64::from(id)
}

/// The lowest identity first, and each once (IM-6, IM-29).
pub(crate) fn order(m: &Machine, mode: Mode) -> Result<()> {
    let guest = masked(m, mode)?;
    let last = ids(&guest)?;

    // All of them, in an order of their own: 97 has no divisor that last + 1 has.
    for n in 1..=last {
        guest.signal_msi(0, n * 97 % (last + 1))?;
    }
    same(guest.claims(0)?, (1..=last).collect(), || "claims".into())
}

/// Reading claims nothing; any write does, whatever is written (IM-29, IM-31, IM-32).
pub(crate) fn claim(m: &Machine, mode: Mode) -> Result<()> {
    let guest = masked(m, mode)?;
    let last = ids(&guest)?;

    same(guest.topei(0, csr::READ, 0)?, 0, || "nothing".into())?;
    same(guest.topei(0, csr::SWAP, !0)?, 0, || "nothing".into())?;
    for id in [2, 32, 63, last] {
        guest.signal_msi(0, id)?;
    }
    for _ in 0..3 {
        same(guest.topei(0, csr::READ, 0)?, topei(2), || "first".into())?;
    }
    guest.topei(0, csr::WRITE, u64::MAX)?;
    same(guest.topei(0, csr::READ, 0)?, topei(32), || "second".into())?;
    same(guest.topei(0, csr::SWAP, topei(63))?, topei(32), || {
        "second".into()
    })?;
    same(guest.topei(0, csr::SET, 1)?, topei(63), || "third".into())?;
    same(guest.topei(0, csr::CLEAR, 1)?, topei(last), || {
        "fourth".into()
    })?;
    same(guest.topei(0, csr::SWAP, 0)?, 0, || "last".into())?;
    same(guest.seip(0)?, false, || "sip.SEIP".into())
}

/// Setting or clearing the bits of a register that holds none is a write, too (IM-31, Zicsr).
/// QEMU's interrupt files are of another opinion.
pub(crate) fn claim_by_no_bits(m: &Machine) -> Result<()> {
    let guest = masked(m, Mode::Emul)?;

    for id in [2, 32, 63] {
        guest.signal_msi(0, id)?;
    }
    same(guest.topei(0, csr::SET, 0)?, topei(2), || "first".into())?;
    same(guest.topei(0, csr::CLEAR, 0)?, topei(32), || {
        "second".into()
    })?;
    same(guest.claims(0)?, vec![63], || "the last".into())
}

/// An identity that is not enabled is not the top (IM-29).
pub(crate) fn enables(m: &Machine, mode: Mode) -> Result<()> {
    let guest = masked(m, mode)?;

    guest.ireg_write(0, EIE0, 1 << 40)?;
    for id in [3, 40, 41] {
        guest.signal_msi(0, id)?;
    }
    same(guest.topei(0, csr::READ, 0)?, topei(40), || "40".into())?;
    guest.ireg(0, EIE0, csr::SET, 1 << 3)?;
    same(guest.topei(0, csr::READ, 0)?, topei(3), || "3".into())?;
    guest.ireg(0, EIE0, csr::CLEAR, (1 << 3) | (1 << 40))?;
    same(guest.topei(0, csr::SWAP, 0)?, 0, || "none".into())?;
    same(guest.seip(0)?, false, || "sip.SEIP".into())?;
    same(
        guest.ireg_read(0, EIP0)?,
        (1 << 3) | (1 << 40) | (1 << 41),
        || "pending bits".into(),
    )
}

/// A threshold masks from itself on; 0 masks nothing (IM-28, IM-29, IM-33).
pub(crate) fn threshold(m: &Machine, mode: Mode) -> Result<()> {
    let guest = masked(m, mode)?;
    let last = ids(&guest)?;
    let pending = [1, 2, 31, 32, 33, 63, last - 1, last];

    for (n, &id) in pending.iter().enumerate() {
        // Only this one and the later ones are pending.
        guest.claims(0)?;
        for &id in &pending[n..] {
            guest.signal_msi(0, id)?;
        }
        for (threshold, wanted) in [
            (id - 1, if id == 1 { id } else { 0 }),
            (id, 0),
            (id + 1, id),
            (last, if id < last { id } else { 0 }),
            (0, id),
        ] {
            if threshold > last {
                continue;
            }
            guest.ireg_write(0, EITHRESHOLD, threshold.into())?;
            same(guest.topei(0, csr::READ, 0)?, topei(wanted), || {
                format!("stopei with {id} pending and the threshold {threshold}")
            })?;
            same(guest.seip(0)?, wanted != 0, || {
                format!("sip.SEIP with {id} pending and the threshold {threshold}")
            })?;
            same(guest.ireg_read(0, EITHRESHOLD)?, threshold.into(), || {
                "eithreshold".into()
            })?;
        }
    }
    Ok(())
}

/// sie decides what is taken, and nothing else: stopei shows and claims what is
/// pending without it (IM-30).
pub(crate) fn sie(m: &Machine, mode: Mode) -> Result<()> {
    const SEIE: u64 = 1 << 9;
    let guest = masked(m, mode)?;

    guest.csr_write(0, csr::SIE, csr::CLEAR, SEIE)?;
    for id in [5, 6, 40] {
        guest.signal_msi(0, id)?;
    }
    same(guest.topei(0, csr::READ, 0)?, topei(5), || "first".into())?;
    same(guest.seip(0)?, true, || "sip.SEIP".into())?;
    same(guest.topei(0, csr::SWAP, 0)?, topei(5), || "claim".into())?;
    same(guest.topei(0, csr::READ, 0)?, topei(6), || "second".into())?;
    // Nor is anything taken with sstatus.SIE alone.
    guest.unmask(0)?;
    same(guest.topei(0, csr::SWAP, 0)?, topei(6), || "claim".into())?;
    same(guest.topei(0, csr::READ, 0)?, topei(40), || "third".into())?;
    same((guest.total(0), guest.empty(0)), (0, 0), || {
        "interrupts taken without SEIE".into()
    })?;
    guest.csr_write(0, csr::SIE, csr::SET, SEIE)?;
    guest.until(|g| g.count(0, 40) == 1, || "the third".into())?;
    exact(&guest, 0, 40, 1, 1)
}

/// eidelivery switches the signal, and nothing else (IM-25, IM-27, IM-30, IM-33).
pub(crate) fn delivery(m: &Machine, mode: Mode) -> Result<()> {
    let guest = masked(m, mode)?;

    guest.ireg_write(0, EIDELIVERY, 0)?;
    guest.signal_msi(0, 5)?;
    same(guest.topei(0, csr::READ, 0)?, topei(5), || "stopei".into())?;
    same(guest.seip(0)?, false, || "sip.SEIP without delivery".into())?;
    guest.ireg_write(0, EIDELIVERY, 1)?;
    same(guest.seip(0)?, true, || "sip.SEIP with delivery".into())?;
    guest.ireg_write(0, EIDELIVERY, 0)?;
    same(guest.seip(0)?, false, || "sip.SEIP after it".into())?;
    // An interrupt file of a guest has no such mode, and is as if off.
    guest.ireg_write(0, EIDELIVERY, 0x4000_0000)?;
    same(guest.seip(0)?, false, || {
        "sip.SEIP with delivery by an APLIC".into()
    })?;
    for bits in [2, 3, u64::MAX] {
        guest.ireg_write(0, EIDELIVERY, bits)?;
        let value = guest.ireg_read(0, EIDELIVERY)?;

        same(value <= 1, true, || {
            format!("eidelivery has a legal value, {value:#x} after {bits:#x}")
        })?;
        same(guest.seip(0)?, value == 1, || "sip.SEIP".into())?;
    }
    guest.ireg_write(0, EIDELIVERY, 0)?;
    same(guest.topei(0, csr::SWAP, 0)?, topei(5), || {
        "a claim without delivery".into()
    })?;
    guest.ireg_write(0, EIDELIVERY, 1)?;
    same(guest.seip(0)?, false, || "sip.SEIP at the end".into())
}
