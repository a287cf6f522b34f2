// SPDX-License-Identifier: GPL-2.0

//! Priorities of major interrupts, and the top one of those that are pending and enabled.

use crate::masked;
use kvm_bindings::KVM_DEV_RISCV_AIA_CONFIG_IDS;
use vmm::{
    abi::{
        csr,
        sbi, //
    },
    diag,
    ensure,
    regs::imsic::*,
    same,
    Context,
    Guest,
    Machine,
    Mode,
    Result, //
};

/// First of the registers with priorities, of which RV64 has the even ones.
const IPRIO0: u32 = 0x30;
const REGISTERS: std::ops::Range<u32> = 0..8;

/// Major interrupts of supervisor level.
const SSI: u32 = 1;
const STI: u32 = 5;
const SEI: u32 = 9;

fn iprio(n: u32) -> u32 {
    IPRIO0 + 2 * n
}

/// Sets the priority of an interrupt, and no other one.
fn set_priority(guest: &Guest, interrupt: u32, priority: u8) -> Result<()> {
    let (select, shift) = (iprio(interrupt / 8), 8 * (interrupt % 8));
    let old = guest.ireg_read(0, select)?;

    guest.ireg_write(
        0,
        select,
        old & !(0xff << shift) | u64::from(priority) << shift,
    )
}

/// Which bits of which priorities there are (VS-12): those of the interrupts that the guest has in
/// sie (S-3), but for that of SEI; 6 bits or more, and equally many of each.
pub(crate) fn which(m: &Machine, mode: Mode) -> Result<()> {
    let guest = masked(m, mode)?;
    let mut width = None;

    guest.csr_write(0, csr::SIE, csr::WRITE, !0)?;
    let sie = guest.csr_read(0, csr::SIE)?;

    diag(format!("sie {sie:#x}"));
    for n in REGISTERS {
        same(guest.ireg_read(0, iprio(n))?, 0, || {
            format!("priorities {n} at first")
        })?;
        guest.ireg_write(0, iprio(n), !0)?;
        for (byte, value) in guest
            .ireg_read(0, iprio(n))?
            .to_le_bytes()
            .into_iter()
            .enumerate()
        {
            let interrupt = 8 * n + byte as u32;
            let bits = value.count_ones();
            let what = || format!("priority of interrupt {interrupt}, {value:#x} at most");

            // Those of QEMU's hart can all be changed.
            same(
                value != 0,
                sie & 1 << interrupt != 0 && interrupt != SEI,
                what,
            )?;
            if value == 0 {
                continue;
            }
            same(value.trailing_ones(), bits, what)?;
            ensure(bits >= 6, what)?;
            same(*width.get_or_insert(bits), bits, what)?;
        }
    }
    // What was written to the others went nowhere.
    for n in REGISTERS {
        guest.ireg_write(0, iprio(n), 0)?;
        same(guest.ireg_read(0, iprio(n))?, 0, || {
            format!("priorities {n} at the end")
        })?;
    }
    Ok(())
}

/// Each register has its own bits, which can be set, cleared and written alone (VS-12).
pub(crate) fn values(m: &Machine) -> Result<()> {
    let guest = masked(m, Mode::Emul)?;
    let mut all = Vec::new();

    for n in REGISTERS {
        guest.ireg_write(0, iprio(n), !0)?;
        all.push(guest.ireg_read(0, iprio(n))?);
    }
    let mut model = all.clone();

    for round in 0..4 {
        for (n, select) in REGISTERS.map(|n| (n as usize, iprio(n))) {
            let value = 0x0123_4567_89ab_cdefu64.rotate_left(8 * n as u32 + 3 * round);

            for how in [csr::SWAP, csr::SET, csr::CLEAR, csr::WRITE] {
                let value = value.rotate_left(how as u32);
                let old = guest.ireg(0, select, how, value)?.read(|| "iprio".into())?;

                if how != csr::WRITE {
                    same(old, model[n], || {
                        format!("register {select:#x} before {how} of {value:#x}")
                    })?;
                }
                model[n] = all[n]
                    & match how {
                        csr::SET => model[n] | value,
                        csr::CLEAR => model[n] & !value,
                        _ => value,
                    };
                // No other one changes.
                for (other, wanted) in REGISTERS.map(iprio).zip(&model) {
                    same(guest.ireg_read(0, other)?, *wanted, || {
                        format!("register {other:#x} after {how} of {value:#x} to {select:#x}")
                    })?;
                }
            }
        }
    }
    Ok(())
}

/// The top interrupt; none is 0.
fn top(guest: &Guest) -> Result<u32> {
    let stopi = guest.csr_read(0, csr::STOPI)?;

    ensure(stopi & !0x0fff_00ff == 0, || format!("stopi {stopi:#x}"))?;
    ensure((stopi == 0) == (stopi >> 16 == 0), || {
        format!("stopi {stopi:#x}")
    })?;
    Ok((stopi >> 16) as u32)
}

fn is_top(guest: &Guest, wanted: u32, when: &str) -> Result<()> {
    same(top(guest)?, wanted, || format!("top interrupt {when}"))
}

/// Makes the timer interrupt pending, or not.
fn timer(guest: &Guest, pending: bool) -> Result<()> {
    guest
        .sbi(
            0,
            sbi::TIME,
            sbi::SET_TIMER,
            &[if pending { 0 } else { !0 }],
        )
        .map(drop)?;
    // KVM's timer may take its time where the hart has none.
    guest.until(
        |g| {
            g.csr_read(0, csr::SIP)
                .is_ok_and(|sip| (sip & 1 << STI != 0) == pending)
        },
        || format!("sip.STIP {pending}"),
    )
}

/// Makes the software interrupt pending, or not.
fn software(guest: &Guest, pending: bool) -> Result<()> {
    guest
        .csr_write(
            0,
            csr::SIP,
            if pending { csr::SET } else { csr::CLEAR },
            1 << SSI,
        )
        .map(drop)
}

fn enable(guest: &Guest, interrupts: &[u32]) -> Result<()> {
    let sie = interrupts.iter().fold(0, |sie, i| sie | 1 << i);

    guest.csr_write(0, csr::SIE, csr::WRITE, sie).map(drop)
}

/// stopi tells of what is both pending and enabled, and nothing else (VS-15, S-4).
///
/// The hart finds the top interrupt, not KVM, and QEMU's (10.0) makes mistakes here: interrupts of
/// equal priority come by their numbers, SEI comes before priorities above 18, and hvictl's SEI, of
/// mode EMUL, is not masked by sie.
pub(crate) fn enabled(m: &Machine, mode: Mode) -> Result<()> {
    const ID: u32 = 5;
    let guest = masked(m, mode)?;
    // From the highest priority down.
    let order = [SEI, SSI, STI];

    enable(&guest, &order)?;
    set_priority(&guest, SSI, 10)?;
    set_priority(&guest, STI, 20)?;
    is_top(&guest, 0, "while nothing is pending")?;
    for pending in 0..8u32 {
        let is_pending = |i: usize| pending & 1 << i != 0;

        if is_pending(0) {
            guest.signal_msi(0, ID)?;
        }
        software(&guest, is_pending(1))?;
        timer(&guest, is_pending(2))?;
        for enables in 0..8u32 {
            let enables: Vec<u32> = (0..3)
                .filter(|i| enables & 1 << i != 0)
                .map(|i| order[i])
                .collect();
            let wanted = (0..3)
                .find(|&i| is_pending(i) && enables.contains(&order[i]))
                .map_or(0, |i| order[i]);

            if mode == Mode::Emul && is_pending(0) && !enables.contains(&SEI) {
                continue;
            }
            enable(&guest, &enables)?;
            is_top(
                &guest,
                wanted,
                &format!("with pending bits {pending:#b} and {enables:?} enabled"),
            )?;
        }
        if is_pending(0) {
            // What the interrupt file holds back is no candidate.
            enable(&guest, &[SEI])?;
            guest.ireg_write(0, EIDELIVERY, 0)?;
            is_top(&guest, 0, "without delivery")?;
            guest.ireg_write(0, EIDELIVERY, 1)?;
            guest.ireg_write(0, EITHRESHOLD, ID.into())?;
            is_top(&guest, 0, "below the threshold")?;
            guest.ireg_write(0, EITHRESHOLD, 0)?;
            is_top(&guest, SEI, "with all of it")?;
            same(guest.claims(0)?, vec![ID], || "claims".into())?;
            is_top(&guest, 0, "after the claim")?;
        }
    }
    same((guest.total(0), guest.empty(0)), (0, 0), || {
        "interrupts taken".into()
    })
}

/// The lower number comes first; what has none, and is behind SEI in the default order, is the last
/// (VS-15). Equal numbers: see [`enabled`].
pub(crate) fn order(m: &Machine, mode: Mode) -> Result<()> {
    let guest = masked(m, mode)?;

    enable(&guest, &[SSI, STI, SEI])?;
    software(&guest, true)?;
    timer(&guest, true)?;
    for (ssi, sti, wanted) in [
        (2, 1, STI),
        (1, 2, SSI),
        (63, 62, STI),
        (0, 63, STI),
        (63, 0, SSI),
        (1, 0, SSI),
        (0, 1, STI),
    ] {
        set_priority(&guest, SSI, ssi)?;
        set_priority(&guest, STI, sti)?;
        is_top(
            &guest,
            wanted,
            &format!("with the priorities {ssi} of SSI and {sti} of STI"),
        )?;
        // An MSI with a smaller number than both, or an equal one, is before them.
        guest.signal_msi(0, 1)?;
        is_top(&guest, SEI, "with identity 1")?;
        same(guest.claims(0)?, vec![1], || "claims".into())?;
        is_top(&guest, wanted, "after the claim")?;
    }
    software(&guest, false)?;
    is_top(&guest, STI, "without SSI")?;
    timer(&guest, false)?;
    is_top(&guest, 0, "without both")
}

/// The priority of SEI is that of the top identity (VS-15): something else may come before it.
pub(crate) fn identities(m: &Machine, mode: Mode) -> Result<()> {
    let guest = masked(m, mode)?;

    enable(&guest, &[SSI, STI, SEI])?;
    software(&guest, true)?;
    for (ssi, identity, wanted) in [
        (0, 5, SEI),
        (0, 200, SEI),
        (5, 40, SSI),
        (15, 5, SEI),
        (15, 15, SEI),
        (15, 16, SSI),
        (15, 14, SEI),
        (15, 200, SSI),
        (1, 1, SEI),
        (1, 2, SSI),
    ] {
        set_priority(&guest, SSI, ssi)?;
        guest.signal_msi(0, identity)?;
        is_top(
            &guest,
            wanted,
            &format!("with identity {identity} and the priority {ssi} of SSI"),
        )?;
        same(guest.claims(0)?, vec![identity], || "claims".into())?;
        is_top(&guest, SSI, "after the claim")?;
    }
    Ok(())
}

/// stopi tells the priority of the top interrupt (VS-15): 255 for what has none, is behind SEI in
/// the default order, or has a number above that.
pub(crate) fn told(m: &Machine, mode: Mode) -> Result<()> {
    let guest = masked(m, mode)?;
    let last = guest
        .aia()
        .config(KVM_DEV_RISCV_AIA_CONFIG_IDS)
        .context("IDS")?;
    let is = |interrupt: u32, priority: u32| {
        same(
            guest.csr_read(0, csr::STOPI)?,
            (interrupt << 16 | priority).into(),
            || format!("stopi with interrupt {interrupt} of priority {priority}"),
        )
    };

    enable(&guest, &[SSI, SEI])?;
    for identity in [1, 5, 200, last] {
        guest.signal_msi(0, identity)?;
        is(SEI, identity.min(255))?;
        same(guest.claims(0)?, vec![identity], || "claims".into())?;
        is(0, 0)?;
    }
    software(&guest, true)?;
    for (priority, wanted) in [(0, 255), (1, 1), (2, 2), (63, 63), (255, 255)] {
        set_priority(&guest, SSI, priority)?;
        is(SSI, wanted)?;
    }
    Ok(())
}
