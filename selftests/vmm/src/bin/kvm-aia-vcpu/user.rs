// SPDX-License-Identifier: GPL-2.0

//! What the guest's user mode may do: nothing with the CSRs of its kernel. On a hart of its own these
//! are illegal instructions; KVM gets a virtual-instruction exception for each (VS-3), and has to
//! make that of it, whatever it would do for the kernel.

use crate::config;
use vmm::{
    abi::csr,
    diag,
    ensure,
    regs::imsic::*,
    same,
    Config,
    Guest,
    Machine,
    Mode,
    Result,
    ILLEGAL, //
};

const SEIE: u64 = 1 << 9;
const ID: u32 = 5;

/// The AIA's CSRs.
const CSRS: [u64; 4] = [csr::SISELECT, csr::SIREG, csr::STOPEI, csr::STOPI];

/// Each way to access a CSR; the operand is one or all bits.
const WAYS: [(u64, u64); 7] = [
    (csr::READ, 0),
    (csr::WRITE, 0),
    (csr::WRITE, !0),
    (csr::SWAP, 0),
    (csr::SWAP, !0),
    (csr::SET, !0),
    (csr::CLEAR, !0),
];

/// No access of vCPU `vcpu` in user mode comes to anything, with `select` in siselect.
fn none(guest: &Guest, vcpu: usize, select: &str) -> Result<()> {
    for number in CSRS {
        for (how, value) in WAYS {
            let what = || format!("access {how} of {value:#x} to CSR {number:#x}, {select}");
            let outcome = guest.user_csr(vcpu, number, how, value)?;

            same(outcome.trap, Some(ILLEGAL), what)?;
            same(guest.left(), vec![], || {
                format!("left to user space by {}", what())
            })?;
        }
    }
    Ok(())
}

/// An interrupt file that holds an MSI, and whose every bit a process could change: it is as before,
/// in the guest file and in memory.
pub(crate) fn csrs(m: &Machine, mode: Mode) -> Result<()> {
    let guest = m.boot(config(1, mode))?;
    let registers = [
        (EIDELIVERY, 1),
        (EITHRESHOLD, 0),
        (EIP0, 1 << ID),
        (EIE0, !1),
        (0x30, 7 << 8),
    ];
    let unchanged = |when: &str| {
        for (select, value) in registers {
            same(guest.ireg_read(0, select)?, value, || {
                format!("register {select:#x} {when}")
            })?;
        }
        same(
            guest.topei(0, csr::READ, 0)?,
            (ID << 16 | ID).into(),
            || format!("stopei {when}"),
        )
    };

    guest.mask(0)?;
    // In user mode it would be taken, be interrupts masked or not.
    guest.csr_write(0, csr::SIE, csr::CLEAR, SEIE)?;
    guest.ireg_write(0, 0x30, 7 << 8)?;
    guest.signal_msi(0, ID)?;
    unchanged("at first")?;
    // Registers of the file and others, those that do not exist, and none of the AIA.
    for select in [
        EIE0,
        EIP0,
        EIDELIVERY,
        EITHRESHOLD,
        0x71,
        EIP0 + 1,
        LAST,
        0x30,
        0x31,
        0,
        0x40,
        0x100,
    ] {
        guest.csr_write(0, csr::SISELECT, csr::WRITE, select.into())?;
        none(&guest, 0, &format!("register {select:#x}"))?;
        same(guest.csr_read(0, csr::SISELECT)?, select.into(), || {
            "siselect".into()
        })?;
        unchanged("after all that")?;
    }
    // What was written to a file in memory would come along.
    if let Some(other) = m.other(m.cpu(0)) {
        guest.pin(0, &[other])?;
        unchanged("on another CPU")?;
    }
    Ok(())
}

/// Where no interrupt file is, a process does not stop the machine by what KVM would leave to user
/// space: before INIT, for a vCPU that came after it, and without a device.
pub(crate) fn nowhere(m: &Machine) -> Result<()> {
    let late = {
        let mut guest = m.boot(config(1, Mode::Emul))?;
        let vcpu = guest.add_vcpu()?;

        (guest, vcpu)
    };
    let without = Config {
        device: false,
        ..config(1, Mode::Emul)
    };
    let guests = [
        (Guest::bare(m.kvm(), config(1, Mode::Emul))?, 0),
        late,
        (Guest::new(m.kvm(), without)?, 0),
    ];

    for (mut guest, vcpu) in guests {
        guest.start(vcpu, &[m.cpu(0)])?;
        for select in [EIE0, EIP0, EIDELIVERY, EIP0 + 1, 0x30, 0, 0x100] {
            guest.csr_write(vcpu, csr::SISELECT, csr::WRITE, select.into())?;
            none(&guest, vcpu, &format!("register {select:#x}"))?;
        }
    }
    Ok(())
}

/// User mode reads the counters that its kernel lets it read, and no others.
pub(crate) fn counters(m: &Machine) -> Result<()> {
    let guest = m.boot(config(1, Mode::Emul))?;
    let all = [csr::CYCLE, csr::TIME, csr::INSTRET, csr::HPMCOUNTER3];

    // Where KVM has real counters to give, the guest has to ask for them first, by the SBI.
    let there: Vec<bool> = all
        .iter()
        .map(|&number| Ok(guest.csr(0, number, csr::READ, 0)?.trap.is_none()))
        .collect::<Result<_>>()?;

    diag(format!("counters that the kernel can read: {there:?}"));
    ensure(there[1], || "the kernel cannot read the time".into())?;
    for enabled in [0u64, 0b1, 0b10, 0b100, 0b111, 0b1000, 0b1111, 0b1000_0000] {
        guest.csr_write(0, csr::SCOUNTEREN, csr::WRITE, enabled)?;
        for (number, there) in all.into_iter().zip(&there) {
            let bit = 1 << (number & 0x1f);
            let may = enabled & bit != 0 && *there;
            let outcome = guest.user_csr(0, number, csr::READ, 0)?;

            same(outcome.trap, (!may).then_some(ILLEGAL), || {
                format!("exception of CSR {number:#x} with scounteren {enabled:#b}")
            })?;
        }
        same(guest.left(), vec![], || "left to user space".into())?;
    }
    Ok(())
}

/// Entropy is the kernel's.
pub(crate) fn seed(m: &Machine) -> Result<()> {
    let guest = m.boot(config(1, Mode::Emul))?;
    let kernel = guest.csr(0, csr::SEED, csr::SWAP, 0)?;

    diag(format!(
        "seed: {} for the kernel",
        if kernel.trap.is_some() {
            "illegal"
        } else {
            "user space's"
        }
    ));
    guest.left();
    let outcome = guest.user_csr(0, csr::SEED, csr::SWAP, 0)?;

    same(outcome.trap, Some(ILLEGAL), || "exception of seed".into())?;
    same(guest.left(), vec![], || "left to user space".into())
}

/// A process does not put the vCPU to sleep.
pub(crate) fn wfi(m: &Machine) -> Result<()> {
    let guest = m.boot(config(1, Mode::Emul))?;

    // Nothing would wake it up.
    guest.csr_write(0, csr::SIE, csr::WRITE, 0)?;
    let before = guest.stats(0)?;

    same(guest.user_wfi(0)?.trap, Some(ILLEGAL), || {
        "exception of WFI".into()
    })?;
    same(
        guest.stats(0)?.since(&before).get("wfi_exit_stat"),
        0,
        || "WFIs that KVM has emulated".into(),
    )
}
