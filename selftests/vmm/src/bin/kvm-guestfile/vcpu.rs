// SPDX-License-Identifier: GPL-2.0

//! What a vCPU does with its interrupts: it wakes up, polls, is saved and restored.

use kvm_bindings::{
    KVM_DEV_RISCV_AIA_CONFIG_IDS,
    KVM_SYSTEM_EVENT_SHUTDOWN, //
};
use std::{
    thread::sleep,
    time::Duration, //
};
use vmm::{
    abi::{
        op,
        DOORBELL, //
    },
    ensure,
    exact,
    measure,
    Config,
    Context,
    End,
    Guest,
    Machine,
    Mode,
    Report,
    Result, //
};

/// A vCPU in WFI wakes up for each MSI.
fn wfi(m: &Machine, mode: Mode) -> Result<Report> {
    const MSIS: u32 = 40;
    let mut guest = m.boot(Config::new(1, mode))?;
    let before = guest.stats(0)?;
    let report = measure(&mut guest, &[0], &[m.cpu(0)], |g| {
        g.give(0, op::WFI_UNTIL, &[MSIS.into()]);
        for n in 1..=MSIS {
            // Longer than KVM polls before it lets a vCPU sleep.
            sleep(Duration::from_millis(3));
            g.send_from_host(0, 11, 1, 1, Guest::signal_msi)
                .context(format!("wake-up {n}"))?;
        }
        g.wait(0)?;
        Ok(())
    })?;
    let stats = guest.stats(0)?.since(&before);

    ktap::diag(format!("{MSIS} MSIs to a vCPU in WFI: {report}; {stats}"));
    exact(&guest, 0, 11, 1, MSIS)?;
    ensure(stats.get("wfi_exit_stat") >= 1, || {
        format!("no WFI was seen: {stats}")
    })?;
    ensure(stats.get("halt_wait_ns") > 0, || {
        format!("the vCPU never slept: {stats}")
    })?;
    Ok(report)
}

pub(crate) fn hw_wfi(m: &Machine) -> Result<()> {
    let report = wfi(m, Mode::Hwaccel)?;

    ensure(report.guest_external > 0, || {
        format!("no guest file woke the vCPU: {report}")
    })
}

pub(crate) fn emul_wfi(m: &Machine) -> Result<()> {
    let report = wfi(m, Mode::Emul)?;

    ensure(report.guest_external == 0, || {
        format!("a guest file woke an emulated vCPU: {report}")
    })
}

/// A guest that polls stopei with interrupts masked claims each MSI once, the
/// lowest identity first; and the console and doorbell of the VMM work.
fn polling(m: &Machine, mode: Mode) -> Result<()> {
    let mut guest = m.boot(Config::new(1, mode))?;

    let last = guest
        .aia()
        .config(KVM_DEV_RISCV_AIA_CONFIG_IDS)
        .context("IDS")?;

    guest.call(0, op::IRQ_ENABLE, &[0])?;
    for id in [last, 5, 62, 33] {
        guest.signal_msi(0, id)?;
    }
    for (n, id) in [5, 33, 62, last].into_iter().enumerate() {
        guest.call(0, op::POLL_CLAIM, &[1])?;
        ensure(
            guest.count(0, id) == 1 && guest.total(0) == n as u64 + 1,
            || format!("claim {n} was not identity {id}"),
        )?;
    }
    guest.call(0, op::IRQ_ENABLE, &[1])?;
    guest.call(0, op::NOP, &[])?;
    ensure(guest.total(0) == 4, || "claimed twice".into())?;
    guest.call(0, op::WRITE32, &[DOORBELL, 1])?;
    ensure(guest.doorbell() == 1, || "no doorbell".into())?;
    // SBI debug console, write byte
    guest.call(0, op::SBI, &[0x4442_434e, 2, u64::from(b'!')])?;
    ensure(guest.console() == b"!", || {
        format!("console: {:?}", guest.console())
    })?;
    // SBI system reset, shutdown
    guest.give(0, op::SBI, &[0x5352_5354, 0, 0, 0]);
    let end = guest.wait_end(0)?;

    ensure(end == End::SystemEvent(KVM_SYSTEM_EVENT_SHUTDOWN), || {
        format!("shutdown gave {end:?}")
    })
}

pub(crate) fn hw_polling(m: &Machine) -> Result<()> {
    polling(m, Mode::Hwaccel)
}

pub(crate) fn emul_polling(m: &Machine) -> Result<()> {
    polling(m, Mode::Emul)
}

/// The device's view of a stopped vCPU's file, and an identity set pending by it.
fn state(m: &Machine, mode: Mode) -> Result<()> {
    const EIDELIVERY: u32 = 0x70;
    const EITHRESHOLD: u32 = 0x72;
    const EIP0: u32 = 0x80;
    const EIE0: u32 = 0xc0;
    const PENDING: u64 = (1 << 9) | (1 << 61);
    let mut guest = Guest::new(
        m.kvm(),
        Config {
            ids: Some(63),
            ..Config::new(1, mode)
        },
    )?;
    let read = |g: &Guest, select| {
        g.aia()
            .imsic(0, select)
            .context(format!("reading IMSIC register {select:#x}"))
    };

    guest.boot(0, &[m.cpu(0)])?;
    guest.call(0, op::IREG_WRITE, &[EITHRESHOLD.into(), 60])?;
    guest.stop(0)?;
    for (select, wanted) in [(EIDELIVERY, 1), (EITHRESHOLD, 60), (EIP0, 0), (EIE0, !1u64)] {
        let got = read(&guest, select)?;

        ensure(got == wanted, || {
            format!("IMSIC register {select:#x} reads {got:#x} instead of {wanted:#x}")
        })?;
    }
    guest
        .aia()
        .set_imsic(0, EIP0, PENDING)
        .context("writing eip0")?;
    let got = read(&guest, EIP0)?;

    ensure(got == PENDING, || format!("eip0 reads {got:#x}"))?;
    guest.start(0, &[m.cpu(0)])?;
    guest.until(|g| g.count(0, 9) == 1, || "identity 9".into())?;
    guest.call(0, op::NOP, &[])?;
    ensure(guest.total(0) == 1, || {
        "identity 61 came in spite of the threshold".into()
    })?;
    guest.call(0, op::IREG_WRITE, &[EITHRESHOLD.into(), 0])?;
    guest.until(|g| g.count(0, 61) == 1, || "identity 61".into())?;
    ensure(guest.total(0) == 2, || {
        format!("{} interrupts instead of 2", guest.total(0))
    })
}

pub(crate) fn hw_state(m: &Machine) -> Result<()> {
    state(m, Mode::Hwaccel)
}

pub(crate) fn emul_state(m: &Machine) -> Result<()> {
    state(m, Mode::Emul)
}
