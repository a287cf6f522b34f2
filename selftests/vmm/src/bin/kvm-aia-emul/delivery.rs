// SPDX-License-Identifier: GPL-2.0

//! MSIs of every identity, from everywhere: each is taken exactly once.

use crate::{
    boot,
    ids, //
};
use vmm::{
    abi::MAX_BATCH,
    ensure,
    exact,
    regs::imsic::*,
    same,
    Context,
    Guest,
    Machine,
    Mode,
    Result, //
};

pub(crate) fn host(m: &Machine, mode: Mode) -> Result<()> {
    let guest = boot(m, mode, 1)?;
    let last = ids(&guest)?;

    guest.send_from_host(0, 1, last, 2, Guest::signal_msi)?;
    exact(&guest, 0, 1, last, 2)
}

/// All identities by stores of vCPU `from` to the page of vCPU `to`, which takes nothing else.
fn stores(m: &Machine, mode: Mode, from: usize, to: usize) -> Result<()> {
    let guest = boot(m, mode, 2)?;
    let last = ids(&guest)?;
    let mut first = 1;

    while first <= last {
        let batch = (last - first + 1).min(MAX_BATCH as u32);

        guest.give_send(from, to, first, batch, 3);
        let [sent, _] = guest.wait(from)?;

        same(sent, 3 * u64::from(batch), || {
            format!("identities {first} and the {batch} from there on, counted")
        })?;
        first += batch;
    }
    exact(&guest, to, 1, last, 3)?;
    exact(&guest, 1 - to, 1, last, 0)
}

pub(crate) fn to_other(m: &Machine, mode: Mode) -> Result<()> {
    stores(m, mode, 1, 0)
}

pub(crate) fn to_itself(m: &Machine, mode: Mode) -> Result<()> {
    stores(m, mode, 1, 1)
}

/// seteipnum_be (IM-11).
pub(crate) fn big_endian(m: &Machine, mode: Mode) -> Result<()> {
    let guest = boot(m, mode, 2)?;
    let last = ids(&guest)?;
    let page = guest.config().imsic_page(0);

    for id in 1..=last {
        guest
            .store(1, page + SETEIPNUM_BE, 4, id.swap_bytes().into())?
            .read(|| format!("big-endian store of {id}"))?;
        guest.until(
            |g| g.count(0, id) != 0,
            || format!("identity {id} by its big-endian number"),
        )?;
    }
    exact(&guest, 0, 1, last, 1)
}

/// Two MSIs of one identity that are not claimed in between are one interrupt.
pub(crate) fn merged(m: &Machine, mode: Mode) -> Result<()> {
    let guest = boot(m, mode, 1)?;

    guest.mask(0)?;
    for id in [1, 31, 32, 33, 62, 63] {
        for _ in 0..3 {
            guest.signal_msi(0, id)?;
        }
    }
    same(guest.claims(0)?, vec![1, 31, 32, 33, 62, 63], || {
        "claims".into()
    })?;
    same(guest.claims(0)?, vec![], || "claims after that".into())
}

/// What is pending while it is not enabled comes when it is.
pub(crate) fn disabled(m: &Machine, mode: Mode) -> Result<()> {
    let guest = boot(m, mode, 1)?;
    let last = ids(&guest)?;
    let words = (last + 1) / 64;

    for w in 0..words {
        guest.ireg_write(0, EIE0 + 2 * w, 0)?;
    }
    for id in 1..=last {
        guest.signal_msi(0, id).context(format!("identity {id}"))?;
    }
    for w in 0..words {
        let wanted = if w == 0 { !1 } else { !0 };

        same(guest.ireg_read(0, EIP0 + 2 * w)?, wanted, || {
            format!("pending bits, word {w}")
        })?;
    }
    exact(&guest, 0, 1, last, 0)?;
    for w in 0..words {
        guest.ireg_write(0, EIE0 + 2 * w, !0)?;
    }
    guest.until(
        |g| g.total(0) >= last.into(),
        || format!("{last} interrupts, came {}", guest.total(0)),
    )?;
    exact(&guest, 0, 1, last, 1)
}

/// What is no identity sets nothing pending (IM-2, IM-10).
pub(crate) fn no_identity(m: &Machine, mode: Mode) -> Result<()> {
    let guest = boot(m, mode, 2)?;
    let last = ids(&guest)?;
    let page = guest.config().imsic_page(0);

    for value in [
        0,
        last + 1,
        last + 64,
        2048,
        0x1_0000,
        0x1_0001,
        0x8000_0001,
        u32::MAX,
    ] {
        guest
            .store(1, page + SETEIPNUM_LE, 4, value.into())?
            .read(|| format!("store of {value:#x}"))?;
        guest
            .store(1, page + SETEIPNUM_BE, 4, value.swap_bytes().into())?
            .read(|| format!("big-endian store of {value:#x}"))?;
        // The host is told.
        ensure(guest.signal_msi(0, value).is_err(), || {
            format!("KVM_SIGNAL_MSI of {value:#x} was accepted")
        })?;
    }
    for w in 0..(last + 1) / 64 {
        same(guest.ireg_read(0, EIP0 + 2 * w)?, 0, || {
            format!("pending bits, word {w}")
        })?;
    }
    exact(&guest, 0, 1, last, 0)
}
