// SPDX-License-Identifier: GPL-2.0

//! A vCPU that is reset with interrupts in its file: nothing is left of them, and it can start anew.

use crate::{
    config,
    onereg::{
        self,
        IPRIO1,
        IPRIO2,
        SISELECT, //
    }, //
};
use kvm_bindings::KVM_DEV_RISCV_AIA_CONFIG_IDS;
use std::{
    thread::sleep,
    time::Duration, //
};
use vmm::{
    abi::{
        csr,
        mailbox_address,
        op, //
    },
    ensure,
    exact,
    refused,
    regs::imsic::*,
    same,
    Context,
    Guest,
    Machine,
    Mode,
    Result, //
};

/// More often than there are guest files, in case that a reset loses one.
const ROUNDS: u32 = 10;
const IDS: u32 = 20;

fn last(guest: &Guest) -> Result<u32> {
    guest
        .aia()
        .config(KVM_DEV_RISCV_AIA_CONFIG_IDS)
        .context("IDS")
}

/// The registers of an interrupt file.
fn registers(guest: &Guest) -> Result<Vec<u32>> {
    let words = (last(guest)? + 1) / 64;

    Ok([EIDELIVERY, EITHRESHOLD]
        .into_iter()
        .chain((0..words).flat_map(|w| [EIP0 + 2 * w, EIE0 + 2 * w]))
        .collect())
}

/// All registers of a file that the device, or the guest, reads as `read` are 0.
fn nothing_left(guest: &Guest, who: &str, read: impl Fn(u32) -> Result<u64>) -> Result<()> {
    for select in registers(guest)? {
        same(read(select)?, 0, || {
            format!("register {select:#x} after the reset, {who}")
        })?;
    }
    Ok(())
}

/// Gives vCPU 0 a state of which nothing is 0; it takes no interrupt.
fn fill(guest: &Guest) -> Result<()> {
    guest.mask(0)?;
    guest.ireg_write(0, EITHRESHOLD, 60)?;
    for select in registers(guest)?.into_iter().skip(2) {
        guest.ireg_write(0, select, 0xfedc_ba98_7654_3210)?;
    }
    for select in [0x30, 0x32, 0x34] {
        guest.ireg_write(0, select, !0)?;
    }
    for id in [5, 61, last(guest)?] {
        guest.signal_msi(0, id)?;
    }
    guest.csr_write(0, csr::SISELECT, csr::WRITE, (EIE0 + 2).into())?;
    ensure(guest.topei(0, csr::READ, 0)? != 0, || "stopei".into())?;
    same(guest.seip(0)?, true, || "sip.SEIP".into())
}

/// What the guest finds when it starts anew: nothing is pending, selected or enabled.
fn starts_empty(guest: &Guest) -> Result<()> {
    for (number, what) in [
        (csr::SISELECT, "siselect"),
        (csr::SIE, "sie"),
        (csr::SIP, "sip"),
        (csr::STOPEI, "stopei"),
        (csr::STOPI, "stopi"),
    ] {
        same(guest.csr_read(0, number)?, 0, || what.into())?;
    }
    nothing_left(guest, "by the guest", |select| guest.ireg_read(0, select))?;
    for n in 0..8 {
        same(guest.ireg_read(0, 0x30 + 2 * n)?, 0, || {
            format!("priorities {n}")
        })?;
    }
    Ok(())
}

/// The file works as a new one: what comes before it is set up is pending, and all MSIs arrive
/// once.
fn works(guest: &Guest, round: u32) -> Result<()> {
    const EARLY: u32 = 33;
    let id = last(guest)?;

    guest.signal_msi(0, EARLY)?;
    same(guest.ireg_read(0, EIP0)?, 1 << EARLY, || {
        "pending bits".into()
    })?;
    same(guest.seip(0)?, false, || "sip.SEIP".into())?;
    guest.call(0, op::IMSIC_INIT, &[1, id.into()])?;
    guest.until(|g| g.count(0, EARLY) == round, || "the early MSI".into())?;
    guest.send_from_host(0, 1, IDS, 1, Guest::signal_msi)?;
    same(guest.total(0), (round * (IDS + 1)).into(), || {
        "interrupts in all".into()
    })
}

/// By KVM_MP_STATE_INIT_RECEIVED, while the vCPU does not run.
pub(crate) fn by_user(m: &Machine, mode: Mode) -> Result<()> {
    let mut guest = m.boot(config(1, mode))?;

    for round in 1..=ROUNDS {
        fill(&guest)?;
        guest.stop(0)?;
        for select in registers(&guest)? {
            ensure(guest.aia().imsic(0, select).is_ok_and(|v| v != 0), || {
                format!("register {select:#x} before the reset")
            })?;
        }
        guest.reset(0)?;
        nothing_left(&guest, "by the device", |select| {
            guest.aia().imsic(0, select).context("GET")
        })?;
        for number in [SISELECT, IPRIO1, IPRIO2] {
            same(guest.reg(0, onereg::id(number))?, 0, || {
                format!("AIA CSR {number} after the reset")
            })?;
        }
        // On another CPU than before, if there is one.
        guest.start(0, &[m.cpu(round as usize)])?;
        starts_empty(&guest)?;
        works(&guest, round)?;
    }
    Ok(())
}

/// User space resets vCPUs once it has said that it does, by KVM_CAP_RISCV_MP_STATE_RESET; until then it
/// is told that it cannot, and nothing changes.
pub(crate) fn not_enabled(m: &Machine) -> Result<()> {
    let mut guest = m.boot(config(1, Mode::Emul))?;

    fill(&guest)?;
    guest.stop(0)?;
    let state = |guest: &Guest| {
        registers(guest)?
            .into_iter()
            .map(|select| guest.aia().imsic(0, select).context("GET"))
            .chain([guest.reg(0, onereg::id(SISELECT))])
            .collect::<Result<Vec<_>>>()
    };
    let before = state(&guest)?;

    refused(guest.try_reset(0)?, libc::EINVAL, || {
        "KVM_MP_STATE_INIT_RECEIVED without the capability".into()
    })?;
    same(&state(&guest)?, &before, || {
        "registers after the refusal".into()
    })?;
    // It goes on where it was.
    guest.start(0, &[m.cpu(0)])?;
    guest.call(0, op::NOP, &[])?;
    guest.stop(0)?;
    same(state(&guest)?, before, || "registers in the end".into())?;
    guest.reset(0)?;
    nothing_left(&guest, "with the capability", |select| {
        guest.aia().imsic(0, select).context("GET")
    })
}

/// The vCPU stops its hart by the SBI, and another one starts it.
pub(crate) fn by_sbi(m: &Machine, mode: Mode) -> Result<()> {
    let guest = m.boot(config(2, mode))?;

    for round in 1..=ROUNDS {
        fill(&guest)?;
        guest.hart_stop(0, 1)?;
        // The reset is what starts it: what came while it was stopped is gone with the rest.
        guest.signal_msi(0, 7)?;
        guest.hart_start(0, 1)?;
        starts_empty(&guest)?;
        works(&guest, round)?;
    }
    exact(&guest, 1, 1, IDS, 0)
}

/// Interrupts that come once the SBI has started a hart, but before its thread has reset it, are there
/// when it runs; those that came before are not.
pub(crate) fn started(m: &Machine, mode: Mode) -> Result<()> {
    const BEFORE: u32 = 7;
    const AFTER: u32 = 70;
    const SSIP: u64 = 1 << 1;
    let mut guest = m.boot(config(2, mode))?;

    for round in 1..=3 {
        fill(&guest)?;
        guest.hart_stop(0, 1)?;
        // Its thread is not in KVM any more.
        guest.stop(0)?;
        nothing_left(&guest, "once it has stopped", |select| {
            guest.aia().imsic(0, select).context("GET")
        })?;
        guest.signal_msi(0, BEFORE)?;
        guest.send_ipi(0, 1)?;
        guest.hart_start(0, 1)?;
        guest.signal_msi(0, AFTER)?;
        if round != 2 {
            guest.send_ipi(0, 1)?;
        }
        guest.start(0, &[m.cpu(round)])?;

        let ssip = if round != 2 { SSIP } else { 0 };

        same(guest.csr_read(0, csr::SIP)?, ssip, || {
            format!("sip in round {round}")
        })?;
        for (register, pending) in [(EIP0, 0), (EIP0 + 2, 1 << (AFTER - 64)), (EIE0, 0)] {
            same(guest.ireg_read(0, register)?, pending, || {
                format!("register {register:#x} in round {round}")
            })?;
        }
        guest.ireg_write(0, EIP0 + 2, 0)?;
        guest.csr_write(0, csr::SIP, csr::CLEAR, SSIP)?;
        guest.csr_write(0, csr::SISELECT, csr::WRITE, 0)?;
        starts_empty(&guest)?;
        works(&guest, round as u32)?;
    }
    Ok(())
}

/// Interrupts that come while the system sleeps, as those that wake it up do, are there when it wakes up;
/// those that came before are not.
pub(crate) fn suspended(m: &Machine, mode: Mode) -> Result<()> {
    const DURING: u32 = 70;
    let mut guest = m.boot(config(1, mode))?;

    for round in 1..=ROUNDS {
        fill(&guest)?;
        guest.suspend(0)?;
        nothing_left(&guest, "once the system sleeps", |select| {
            guest.aia().imsic(0, select).context("GET")
        })?;
        guest.signal_msi(0, DURING)?;
        guest.start(0, &[m.cpu(round as usize)])?;

        for (register, pending) in [(EIP0, 0), (EIP0 + 2, 1 << (DURING - 64)), (EIE0, 0)] {
            same(guest.ireg_read(0, register)?, pending, || {
                format!("register {register:#x} in round {round}")
            })?;
        }
        guest.ireg_write(0, EIP0 + 2, 0)?;
        guest.csr_write(0, csr::SISELECT, csr::WRITE, 0)?;
        starts_empty(&guest)?;
        works(&guest, round)?;
    }
    Ok(())
}

/// User space resets a vCPU that has let the system sleep, and is not woken up any more: it starts where
/// user space says, not where it would have woken up, which is no place for it.
pub(crate) fn instead_of_waking_up(m: &Machine) -> Result<()> {
    let mut guest = m.boot(config(1, Mode::Emul))?;

    for round in 1..=3 {
        fill(&guest)?;
        guest.suspend_until(0, mailbox_address(0))?;
        guest.reset(0)?;
        guest.start(0, &[m.cpu(0)])?;
        starts_empty(&guest)?;
        works(&guest, round)?;
    }
    Ok(())
}

/// A vCPU that user space stops, which is woken up in vain on another CPU, and that goes on where it was
/// before, has all of its interrupts.
pub(crate) fn stopped(m: &Machine) -> Result<()> {
    let mut guest = Guest::new(m.kvm(), config(1, Mode::Hwaccel))?;

    guest.boot(0, &[m.cpu(0)])?;
    for round in 1..=3 {
        guest.send_from_host(0, 1, IDS, 1, Guest::signal_msi)?;
        guest.stop(0)?;
        guest.set_stopped(0, true)?;
        guest.start(0, &[m.cpu(1)])?;
        // So that it sleeps.
        sleep(Duration::from_millis(50));
        guest.stop(0)?;
        guest.signal_msi(0, 1)?;
        guest.set_stopped(0, false)?;
        guest.start(0, &[m.cpu(0)])?;
        guest.until(
            |g| g.count(0, 1) == 2 * round,
            || format!("the MSI while it was stopped, round {round}"),
        )?;
    }
    guest.send_from_host(0, 1, IDS, 1, Guest::signal_msi)
}
