// SPDX-License-Identifier: GPL-2.0

//! The CPU of vCPUs goes through idle states that lose all of its registers: what guests have there
//! is as it was (f48b4bd0915b, for guests).

use kvm_bindings::KVM_DEV_RISCV_AIA_CONFIG_IDS;
use vmm::{
    abi::op,
    ensure,
    exact,
    probe::Probe,
    regs::imsic::{
        EIDELIVERY,
        EIE0,
        EIP0,
        EITHRESHOLD, //
    },
    same,
    Config,
    Context,
    Guest,
    Machine,
    Mode,
    Result, //
};

/// A vCPU runs, with interrupts of its own all the time, while its CPU dozes.
fn runs(m: &Machine, mode: Mode) -> Result<()> {
    const IDS: u32 = 50;
    const ROUNDS: u32 = 200;
    let probe = Probe::load()?;
    let cpu = m.cpu(1);
    let mut guest = Guest::new(m.kvm(), Config::new(1, mode))?;

    guest.boot(0, &[cpu])?;
    guest.give_send(0, 0, 7, IDS, ROUNDS.into());
    for us in 0..10 {
        probe.doze(cpu, 8, 20 * us)?;
    }
    let [sent, _] = guest.wait(0)?;

    ensure(sent == u64::from(IDS * ROUNDS), || {
        format!("the sender saw {sent} of {IDS} * {ROUNDS} MSIs arrive once")
    })?;
    exact(&guest, 0, 7, IDS, ROUNDS)
}

pub(crate) fn hw_runs(m: &Machine) -> Result<()> {
    runs(m, Mode::Hwaccel)
}

pub(crate) fn emul_runs(m: &Machine) -> Result<()> {
    runs(m, Mode::Emul)
}

/// A vCPU sleeps there, and is woken up by an MSI; another one does not run, and has what is in its
/// file.
pub(crate) fn hw_sleeps(m: &Machine) -> Result<()> {
    const ROUNDS: u32 = 8;
    let probe = Probe::load()?;
    let cpu = m.cpu(1);
    let mut guest = Guest::new(m.kvm(), Config::new(2, Mode::Auto))?;
    let last: u32 = guest
        .aia()
        .config(KVM_DEV_RISCV_AIA_CONFIG_IDS)
        .context("IDS")?;

    for vcpu in 0..2 {
        guest.boot(vcpu, &[cpu])?;
    }
    guest.give(0, op::WFI_UNTIL, &[ROUNDS.into()]);
    for round in 1..=ROUNDS {
        guest.until(
            |g| g.stats(0).is_ok_and(|s| s.get("blocking") == 1),
            || "vCPU 0 to wait".into(),
        )?;
        guest.stop(1)?;
        for id in [3, last - 1] {
            guest.signal_msi(1, id)?;
        }
        let state = || {
            (0..(last + 1) / 64)
                .flat_map(|word| [EIP0 + 2 * word, EIE0 + 2 * word])
                .chain([EIDELIVERY, EITHRESHOLD])
                .map(|select| guest.aia().imsic(1, select))
                .collect::<Result<Vec<_>, _>>()
                .context("registers of vCPU 1")
        };
        let before = state()?;

        probe.doze(cpu, 1, round)?;
        same(state()?, before, || {
            format!("registers of vCPU 1 after state {round}")
        })?;
        guest.send_from_host(0, 11, 1, 1, Guest::signal_msi)?;
        guest.start(1, &[cpu])?;
        guest.until(
            |g| [3, last - 1].iter().all(|id| g.count(1, *id) == round),
            || format!("MSIs from before state {round}"),
        )?;
    }
    guest.wait(0)?;
    exact(&guest, 0, 11, 1, ROUNDS)?;
    same(guest.total(1), u64::from(2 * ROUNDS), || {
        "interrupts of vCPU 1".into()
    })
}

/// A file that is nobody's is not saved. Its next owner finds nothing of what it holds then, though its last
/// one has left it empty.
pub(crate) fn hw_free(m: &Machine) -> Result<()> {
    let probe = Probe::load()?;
    let cpu = m.cpu(1);
    let mut guest = Guest::new(m.kvm(), Config::new(1, Mode::Hwaccel))?;
    let last: u32 = guest
        .aia()
        .config(KVM_DEV_RISCV_AIA_CONFIG_IDS)
        .context("IDS")?;
    let words = || (0..(last + 1) / 64).flat_map(|word| [EIP0 + 2 * word, EIE0 + 2 * word]);

    guest.boot(0, &[cpu])?;
    guest.mask(0)?;
    for select in words() {
        guest.ireg_write(0, select, 0)?;
    }
    for round in 1..=4 {
        guest.pin(0, &[m.cpu(0)])?;
        guest.call(0, op::NOP, &[])?;
        probe.doze(cpu, 1, round)?;
        guest.pin(0, &[cpu])?;
        guest.call(0, op::NOP, &[])?;
        for select in words() {
            same(guest.ireg_read(0, select)?, 0, || {
                format!("register {select:#x} after state {round}")
            })?;
        }
    }
    Ok(())
}
