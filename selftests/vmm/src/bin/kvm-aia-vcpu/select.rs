// SPDX-License-Identifier: GPL-2.0

//! siselect and the registers that it selects.

use crate::{
    config,
    masked, //
};
use std::{
    thread::sleep,
    time::Duration, //
};
use vmm::{
    abi::{
        csr,
        op, //
    },
    answer,
    diag,
    ensure,
    measure,
    regs::imsic::*,
    same,
    Guest,
    Left,
    Machine,
    Mode,
    Outcome,
    Result,
    ILLEGAL, //
};

/// It holds nine bits or more (VS-1).
pub(crate) fn values(m: &Machine, mode: Mode) -> Result<()> {
    let guest = masked(m, mode)?;

    for value in (0..=0x1ff).chain([0x155, 0]) {
        guest.csr_write(0, csr::SISELECT, csr::WRITE, value)?;
        same(guest.csr_read(0, csr::SISELECT)?, value, || {
            "siselect".into()
        })?;
    }
    // The upper bits may be there or not.
    guest.csr_write(0, csr::SISELECT, csr::WRITE, !0)?;
    same(guest.csr_read(0, csr::SISELECT)? & 0x1ff, 0x1ff, || {
        "the lower bits of siselect".into()
    })
}

/// A vCPU that has selected a register accesses this one, whatever other vCPUs
/// selected on the same CPU meanwhile (VS-1).
pub(crate) fn preempted(m: &Machine) -> Result<()> {
    const ROUNDS: u64 = 15;
    // A register of each machine, which none of the others has selected.
    const SELECTS: [u32; 4] = [EIE0, EIE0 + 2, EITHRESHOLD, 0x30];
    let value = |n: usize, round: u64| match SELECTS[n] {
        EITHRESHOLD => round,
        // The priorities of interrupts 1 and 5.
        0x30 => (round + 1) << 8 | (round + 2) << 40,
        _ => (0xfedc_ba98_7654_3210 + round).rotate_left(n as u32) & !1,
    };
    let mut guests: Vec<Guest> = Vec::new();

    // All on one CPU: once a vCPU has done something, no other one is on it any more.
    for _ in SELECTS {
        let mut guest = Guest::new(m.kvm(), config(1, m.best_mode()))?;

        guest.boot(0, &[m.cpu(0)])?;
        guests.push(guest);
    }
    for round in 0..ROUNDS {
        // Some move to another CPU meanwhile, too.
        let moves = |n: usize| (n as u64 + round) % 3 == 0;

        for (guest, select) in guests.iter().zip(SELECTS) {
            guest.csr_write(0, csr::SISELECT, csr::WRITE, select.into())?;
        }
        for (n, guest) in guests.iter().enumerate().filter(|&(n, _)| moves(n)) {
            guest.pin(0, &[m.cpu(n + round as usize)])?;
        }
        for (n, guest) in guests.iter().enumerate() {
            guest.csr_write(0, csr::SIREG, csr::WRITE, value(n, round))?;
        }
        for (n, guest) in guests.iter().enumerate().rev() {
            let what = || format!("machine {n} with register {:#x}", SELECTS[n]);

            same(guest.csr_read(0, csr::SISELECT)?, SELECTS[n].into(), what)?;
            same(guest.csr_read(0, csr::SIREG)?, value(n, round), what)?;
        }
        // Asleep, it has no CPU at all.
        for (guest, select) in guests.iter().zip(SELECTS) {
            guest.ireg_write(0, EITHRESHOLD, 0)?;
            guest.csr_write(0, csr::SISELECT, csr::WRITE, select.into())?;
            guest.give(0, op::WFI_UNTIL, &[round + 1]);
        }
        sleep(Duration::from_millis(2));
        for (n, guest) in guests.iter().enumerate() {
            guest.signal_msi(0, 200)?;
            guest.wait(0)?;
            same(guest.csr_read(0, csr::SISELECT)?, SELECTS[n].into(), || {
                format!("siselect of machine {n} after WFI")
            })?;
            guest.pin(0, &[m.cpu(0)])?;
        }
    }
    Ok(())
}

/// What an access to a number that is none of the AIA came to: user space's answer if the hart asks the
/// hypervisor, which leaves it; or an illegal instruction if the hart itself says so. Whether the hart
/// has asked.
fn foreign(guest: &Guest, number: u64, outcome: Outcome, reads: bool) -> Result<bool> {
    let what = || format!("access to register {number:#x}");
    let left = guest.left();

    if outcome.trap.is_some() {
        same(outcome.trap, Some(ILLEGAL), || {
            format!("exception of an {}", what())
        })?;
        same(left, vec![], what)?;
        return Ok(false);
    }
    same(left, vec![Left::Csr(csr::SIREG)], || {
        format!("left to user space by an {}", what())
    })?;
    if reads {
        same(outcome.value, answer(8), what)?;
    }
    Ok(true)
}

/// Numbers of other extensions, or of none, are not registers of the AIA, whatever they
/// have in common with one (VS-2).
pub(crate) fn others(m: &Machine, mode: Mode) -> Result<()> {
    let mut guest = masked(m, mode)?;
    let state = [
        (EIDELIVERY, 1),
        (EITHRESHOLD, 40),
        (EIP0, 1 << 41),
        (EIE0, !1),
        (0x30, 7 << 8),
    ];
    let (mut asked, mut trapped) = (0, 0);

    for (select, value) in state {
        guest.ireg_write(0, select, value)?;
    }
    let upper = [1 << 9, 1 << 12, 1 << 32, 1 << 63].map(|bit| bit | 0x70);

    let report = measure(&mut guest, &[0], &[m.cpu(0)], |guest| {
        for number in (0..0x30).chain(0x40..0x70).chain(0x100..0x200).chain(upper) {
            guest.csr_write(0, csr::SISELECT, csr::WRITE, number)?;
            if guest.csr_read(0, csr::SISELECT)? != number {
                // The hart cannot select it.
                continue;
            }
            for how in [csr::READ, csr::WRITE, csr::SWAP, csr::SET] {
                let outcome = guest.csr(0, csr::SIREG, how, !0)?;

                if foreign(guest, number, outcome, how != csr::WRITE)? {
                    asked += 1;
                } else {
                    trapped += 1;
                }
            }
        }
        Ok(())
    })?;

    diag(format!(
        "{asked} accesses left to user space, {trapped} that the hart does not know: {report}"
    ));
    // KVM has no exit for what the hart itself refuses, and refuses none by itself.
    ensure(report.unexplained() < trapped / 8, || {
        format!(
            "{} exits for {trapped} illegal instructions",
            report.unexplained()
        )
    })?;
    for (select, value) in state {
        same(guest.ireg_read(0, select)?, value, || {
            format!("register {select:#x} after all that")
        })?;
    }
    Ok(())
}

/// Before INIT there is no interrupt file: its registers are user space's, and so are the odd numbers
/// between them. Priorities are KVM's even then (VS-2), where odd numbers are illegal.
pub(crate) fn before_init(m: &Machine) -> Result<()> {
    let mut guest = Guest::bare(m.kvm(), config(1, Mode::Emul))?;

    guest.start(0, &[m.cpu(0)])?;
    for select in [
        EIDELIVERY,
        0x71,
        EITHRESHOLD,
        EIP0,
        EIP0 + 1,
        EIE0 - 1,
        EIE0,
        EIE0 + 1,
        LAST - 1,
        LAST,
    ] {
        same(guest.ireg_read(0, select)?, answer(8), || {
            format!("register {select:#x}")
        })?;
        same(guest.left(), vec![Left::Csr(csr::SIREG)], || {
            "left to user space".into()
        })?;
    }
    same(guest.topei(0, csr::SWAP, 0)?, answer(8), || "stopei".into())?;
    same(guest.left(), vec![Left::Csr(csr::STOPEI)], || {
        "left to user space".into()
    })?;
    guest.ireg_write(0, 0x30, 9 << 8)?;
    same(guest.ireg_read(0, 0x30)?, 9 << 8, || "priorities".into())?;
    for select in [0x31, 0x33, 0x3f] {
        for how in [csr::READ, csr::WRITE] {
            same(guest.ireg(0, select, how, 0)?.trap, Some(ILLEGAL), || {
                format!("exception of register {select:#x}")
            })?;
        }
    }
    same(guest.left(), vec![], || "left to user space".into())
}
