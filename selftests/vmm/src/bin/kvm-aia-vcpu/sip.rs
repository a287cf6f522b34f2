// SPDX-License-Identifier: GPL-2.0

//! sip by KVM_GET_ONE_REG and KVM_SET_ONE_REG. What external interrupt is pending, the interrupt file
//! says; the other interrupts are what was set, for WFI, too.

use crate::config;
use kvm_bindings::{
    KVM_REG_RISCV,
    KVM_REG_RISCV_CSR,
    KVM_REG_SIZE_U64, //
};
use std::{
    sync::atomic::{
        AtomicBool,
        Ordering, //
    },
    thread::{
        scope,
        sleep, //
    },
    time::{
        Duration,
        Instant, //
    },
};
use vmm::{
    abi::{
        csr,
        op, //
    },
    ensure,
    exact,
    host::{
        online_cpus,
        pin_self,
        urgent, //
    },
    same,
    Config,
    Error,
    Guest,
    Machine,
    Mode,
    Result, //
};

/// sip of ONE_REG.
const SIP: u64 = KVM_REG_RISCV as u64 | KVM_REG_SIZE_U64 | KVM_REG_RISCV_CSR as u64 | 7;

const SBI_EXT_IPI: u64 = 0x73_5049;

const SSIP: u64 = 1 << 1;
const SEIP: u64 = 1 << 9;
const ID: u32 = 5;

/// An MSI that comes before or after user space has read sip, which it then writes, is taken.
pub(crate) fn not_lost(m: &Machine, mode: Mode) -> Result<()> {
    let mut guest = m.boot(config(1, mode))?;

    for round in 1..=8 {
        let late = round % 2 == 0;

        guest.stop(0)?;
        if !late {
            guest.signal_msi(0, ID)?;
        }
        let sip = guest.reg(0, SIP)?;

        if late {
            guest.signal_msi(0, ID)?;
        }
        guest.set_reg(0, SIP, sip)?;
        if mode == Mode::Emul {
            same(guest.reg(0, SIP)?, SEIP, || "sip after that".into())?;
        }
        guest.start(0, &[m.cpu(round as usize / 4)])?;
        guest.until(|g| g.count(0, ID) == round, || format!("MSI {round}"))?;
        guest.stop(0)?;
        same(guest.reg(0, SIP)?, 0, || "sip at the end".into())?;
        guest.start(0, &[m.cpu(0)])?;
    }
    exact(&guest, 0, ID, 1, 8)
}

/// Reading sip takes nothing away, whatever becomes of the vCPU before it is in the guest again: an MSI that
/// has come before is taken, and so are later ones.
pub(crate) fn read(m: &Machine, mode: Mode) -> Result<()> {
    let mut guest = m.boot(config(1, mode))?;

    for round in 1..=8 {
        guest.stop(0)?;
        guest.signal_msi(0, ID + 1)?;
        let sip = guest.reg(0, SIP)?;

        if mode == Mode::Emul {
            same(sip, SEIP, || format!("sip in round {round}"))?;
        }
        pin_self(&[m.cpu(0)])?;
        let left = guest.nearly_run(0);

        pin_self(&online_cpus()?)?;
        left?;
        guest.start(0, &[m.cpu(0)])?;
        guest.until(|g| g.count(0, ID + 1) == round, || format!("MSI {round}"))?;
        guest.signal_msi(0, ID)?;
        guest.until(
            |g| g.count(0, ID) == round,
            || format!("the MSI after MSI {round}"),
        )?;
    }
    exact(&guest, 0, ID, 2, 8)
}

/// An IPI of the SBI that comes after user space has read sip is not lost when it writes it.
pub(crate) fn ipi(m: &Machine) -> Result<()> {
    let mut guest = m.boot(config(2, Mode::Emul))?;

    guest.mask(0)?;
    for round in 0..4 {
        guest.stop(0)?;
        let sip = guest.reg(0, SIP)?;

        same(sip, 0, || format!("sip in round {round}"))?;
        // sbi_send_ipi to hart 0.
        guest.call(1, op::SBI, &[SBI_EXT_IPI, 0, 1, 0])?;
        guest.set_reg(0, SIP, sip)?;
        same(guest.reg(0, SIP)?, SSIP, || "sip after that".into())?;
        guest.start(0, &[m.cpu(0)])?;
        same(guest.csr_read(0, csr::SIP)?, SSIP, || {
            "sip in the guest".into()
        })?;
        guest.csr_write(0, csr::SIP, csr::CLEAR, SSIP)?;
    }
    Ok(())
}

/// What was pending in another machine, whose file was in memory, is not where it is in a guest file,
/// nor where the file is empty.
pub(crate) fn not_made(m: &Machine, mode: Mode) -> Result<()> {
    let mut guest = m.boot(config(1, mode))?;

    guest.mask(0)?;
    guest.stop(0)?;
    guest.set_reg(0, SIP, SEIP | SSIP)?;
    same(guest.reg(0, SIP)?, SSIP, || "sip".into())?;
    guest.start(0, &[m.cpu(0)])?;
    same(guest.csr_read(0, csr::SIP)?, SSIP, || {
        "sip in the guest".into()
    })?;
    guest.csr_write(0, csr::SIP, csr::CLEAR, SSIP)?;
    guest.unmask(0)?;
    guest.call(0, op::NOP, &[])?;
    same((guest.total(0), guest.empty(0)), (0, 0), || {
        "interrupts taken".into()
    })
}

/// The same, set before there is a device: from INIT on the empty file says what is pending.
pub(crate) fn before_device(m: &Machine, mode: Mode) -> Result<()> {
    let cfg = Config {
        device: false,
        ..config(1, mode)
    };
    let mut guest = Guest::new(m.kvm(), cfg)?;

    guest.set_reg(0, SIP, SEIP | SSIP)?;
    same(guest.reg(0, SIP)?, SEIP | SSIP, || "sip".into())?;
    guest.add_device()?;
    same(guest.reg(0, SIP)?, SSIP, || "sip after INIT".into())?;
    guest.start(0, &[m.cpu(0)])?;
    same(guest.csr_read(0, csr::SIP)?, SSIP, || {
        "sip in the guest".into()
    })?;
    guest.csr_write(0, csr::SIP, csr::CLEAR, SSIP)?;
    guest.call(0, op::IMSIC_INIT, &[1, ID.into()])?;
    guest.call(0, op::NOP, &[])?;
    same((guest.total(0), guest.empty(0)), (0, 0), || {
        "interrupts taken".into()
    })?;
    guest.signal_msi(0, ID)?;
    guest.until(|g| g.count(0, ID) == 1, || "the MSI".into())
}

/// Without interrupt controllers in the kernel, it is for user space to say whether an external interrupt
/// is pending: what it sets it reads again, and so does the guest.
pub(crate) fn no_device(m: &Machine) -> Result<()> {
    let cfg = Config {
        device: false,
        ..config(1, Mode::Emul)
    };
    let mut guest = Guest::new(m.kvm(), cfg)?;

    for sip in [SEIP, SEIP | SSIP, SSIP, 0, SEIP] {
        guest.set_reg(0, SIP, sip)?;
        same(guest.reg(0, SIP)?, sip, || "sip".into())?;
        guest.start(0, &[m.cpu(0)])?;
        same(guest.csr_read(0, csr::SIP)?, sip, || {
            "sip in the guest".into()
        })?;
        guest.stop(0)?;
        same(guest.reg(0, SIP)?, sip, || "sip at the end".into())?;
    }
    Ok(())
}

/// Waits until the guest's WFI is over.
fn over(guest: &Guest, when: &str) -> Result<()> {
    let start = Instant::now();

    while !guest.done(0) {
        ensure(start.elapsed() < Duration::from_secs(5), || {
            format!("WFI waits {when}")
        })?;
        sleep(Duration::from_millis(1));
    }
    guest.wait(0).map(drop)
}

/// WFI does not wait for what was set, and waits for what was taken away.
pub(crate) fn wfi(m: &Machine) -> Result<()> {
    let mut guest = m.boot(config(1, Mode::Emul))?;

    guest.mask(0)?;
    guest.csr_write(0, csr::SIE, csr::WRITE, SSIP)?;
    guest.stop(0)?;
    guest.set_reg(0, SIP, SSIP)?;
    guest.start(0, &[m.cpu(0)])?;
    guest.give(0, op::WFI, &[]);
    over(&guest, "with a software interrupt pending")?;
    same(guest.csr_read(0, csr::SIP)?, SSIP, || {
        "sip in the guest".into()
    })?;

    guest.stop(0)?;
    guest.set_reg(0, SIP, 0)?;
    guest.start(0, &[m.cpu(0)])?;
    let before = guest.stats(0)?;

    guest.give(0, op::WFI, &[]);
    guest.until(
        |g| g.stats(0).is_ok_and(|s| s.get("blocking") == 1),
        || "WFI to wait".into(),
    )?;
    sleep(Duration::from_millis(20));
    same(guest.done(0), false, || "WFI is over".into())?;
    let stats = guest.stats(0)?.since(&before);

    same(stats.get("wfi_exit_stat"), 1, || format!("WFIs: {stats}"))?;
    // It ends without a cause.
    guest.stop(0)?;
    guest.start(0, &[m.cpu(0)])?;
    over(&guest, "after it was stopped")
}

/// The timer is what the SBI was told, though others take the CPU at any time: also when KVM is on its
/// way back into the guest.
pub(crate) fn timer(m: &Machine) -> Result<()> {
    const ROUNDS: u64 = 20_000;
    const PAUSE: Duration = Duration::from_micros(100);
    let guest = m.boot(config(1, m.best_mode()))?;
    let done = AtomicBool::new(false);

    scope(|s| {
        let other = s.spawn(|| {
            pin_self(&[m.cpu(0)])?;
            urgent(true)?;
            while !done.load(Ordering::Relaxed) {
                sleep(PAUSE);
            }
            Ok::<_, Error>(())
        });
        let rounds = guest.call(0, op::SET_TIMER, &[ROUNDS]).map(|[n, _]| n);

        done.store(true, Ordering::Relaxed);
        other
            .join()
            .map_err(|_| Error::new("the thread that disturbs panicked"))??;
        same(rounds?, ROUNDS, || "rounds".into())
    })
}
