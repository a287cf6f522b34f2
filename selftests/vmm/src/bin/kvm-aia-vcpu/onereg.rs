// SPDX-License-Identifier: GPL-2.0

//! The AIA's CSRs of a vCPU by KVM_GET_ONE_REG and KVM_SET_ONE_REG.

use kvm_bindings::{
    KVM_REG_RISCV,
    KVM_REG_RISCV_CSR,
    KVM_REG_RISCV_CSR_AIA,
    KVM_REG_SIZE_U32,
    KVM_REG_SIZE_U64, //
};
use kvm_ioctls::VcpuFd;
use libc::{
    EINVAL,
    ENOENT, //
};
use vmm::{
    abi::csr,
    fixture::{
        get_reg,
        reg_list,
        set_reg,
        Fixture, //
    },
    plain::ssaia,
    refused,
    regs::imsic::{
        EIE0,
        EIP0, //
    },
    same,
    Context,
    Guest,
    Machine,
    Mode,
    Result,
    ILLEGAL, //
};

/// Numbers of `struct kvm_riscv_aia_csr`.
pub(crate) const SISELECT: u64 = 0;
pub(crate) const IPRIO1: u64 = 1;
pub(crate) const IPRIO2: u64 = 2;
/// How many there are; those from 3 on are of RV32.
pub(crate) const NUMBER: u64 = 7;

/// What no number of a CSR has.
const AIA: u64 = (KVM_REG_RISCV_CSR | KVM_REG_RISCV_CSR_AIA) as u64;

/// The ID of an AIA CSR.
pub(crate) fn id(number: u64) -> u64 {
    KVM_REG_RISCV as u64 | KVM_REG_SIZE_U64 | AIA | number
}

fn get(vcpu: &VcpuFd, number: u64) -> Result<u64> {
    get_reg(vcpu, id(number)).context(format!("GET of AIA CSR {number}"))
}

fn set(vcpu: &VcpuFd, number: u64, value: u64) -> Result<()> {
    set_reg(vcpu, id(number), value).context(format!("SET of AIA CSR {number}"))
}

/// Each is 0 at first, and then what was written, and no other one is.
pub(crate) fn set_and_get(m: &Machine) -> Result<()> {
    let f = Fixture::new(m, 2)?;
    let value = |number: u64, round: u64| {
        0x0123_4567_89ab_cdefu64.rotate_left((13 * round + 5 * number) as u32)
    };

    for number in 0..NUMBER {
        same(get(f.vcpu(0), number)?, 0, || format!("AIA CSR {number}"))?;
    }
    for round in 0..3 {
        for number in 0..NUMBER {
            set(f.vcpu(0), number, value(number, round))?;
        }
        for number in 0..NUMBER {
            same(get(f.vcpu(0), number)?, value(number, round), || {
                format!("AIA CSR {number}")
            })?;
            same(get(f.vcpu(1), number)?, 0, || {
                format!("AIA CSR {number} of another vCPU")
            })?;
        }
        // It is no matter that the device is initialised.
        if round == 1 {
            f.configure(63, 4)?;
            f.aia.init().context("INIT")?;
        }
    }
    Ok(())
}

/// Numbers that do not exist, and the wrong size.
pub(crate) fn none(m: &Machine) -> Result<()> {
    let f = Fixture::new(m, 1)?;
    let vcpu = f.vcpu(0);

    for number in [NUMBER, NUMBER + 1, 63, 64, 0xffff, 1 << 32, 1 << 51] {
        refused(get_reg(vcpu, id(number)), ENOENT, || {
            format!("GET of AIA CSR {number:#x}")
        })?;
        refused(set_reg(vcpu, id(number), 1), ENOENT, || {
            format!("SET of AIA CSR {number:#x}")
        })?;
    }
    for number in [SISELECT, NUMBER - 1, NUMBER] {
        let half = id(number) & !KVM_REG_SIZE_U64 | KVM_REG_SIZE_U32;

        refused(get_reg(vcpu, half), EINVAL, || {
            format!("GET of 32 bits of AIA CSR {number}")
        })?;
        refused(set_reg(vcpu, half, 1), EINVAL, || {
            format!("SET of 32 bits of AIA CSR {number}")
        })?;
    }
    for number in 0..NUMBER {
        same(get(vcpu, number)?, 0, || format!("AIA CSR {number}"))?;
    }
    Ok(())
}

/// The AIA CSRs of KVM_GET_REG_LIST.
fn listed(vcpu: &VcpuFd) -> Result<Vec<u64>> {
    const SUBTYPE: u64 = 0xff << 16;
    const TYPE: u64 = 0xff << 24;

    Ok(reg_list(vcpu)
        .context("KVM_GET_REG_LIST")?
        .into_iter()
        .filter(|id| id & (TYPE | SUBTYPE) == AIA)
        .collect())
}

pub(crate) fn list(m: &Machine) -> Result<()> {
    let f = Fixture::new(m, 1)?;

    same(
        listed(f.vcpu(0))?,
        (0..NUMBER).map(id).collect::<Vec<_>>(),
        || "AIA CSRs in the list".into(),
    )
}

/// A vCPU need not have Ssaia, where the host can withhold it.
pub(crate) fn without_ssaia(m: &Machine) -> Result<()> {
    let f = Fixture::new(m, 1)?;
    let vcpu = f.vcpu(0);

    same(get_reg(vcpu, ssaia()).ok(), Some(1), || "Ssaia".into())?;
    if !m.withheld_ssaia(set_reg(vcpu, ssaia(), 0))? {
        return Ok(());
    }
    for number in [SISELECT, IPRIO2, NUMBER - 1, NUMBER] {
        refused(get_reg(vcpu, id(number)), ENOENT, || {
            format!("GET of AIA CSR {number} without Ssaia")
        })?;
        refused(set_reg(vcpu, id(number), 1), ENOENT, || {
            format!("SET of AIA CSR {number} without Ssaia")
        })?;
    }
    same(listed(vcpu)?, vec![], || "AIA CSRs in the list".into())?;
    set_reg(vcpu, ssaia(), 1).context("Ssaia again")?;
    same(get(vcpu, SISELECT)?, 0, || "siselect".into())
}

/// What user space sets, the guest reads, and the other way round.
pub(crate) fn guest(m: &Machine) -> Result<()> {
    let mut guest = Guest::new(m.kvm(), crate::config(1, Mode::Emul))?;
    // Of interrupts 1 and 5; and what is of interrupts that a guest does not have.
    let iprio1 = |n: u64| n << 8 | (n + 1) << 24 | OTHERS1;
    const OTHERS1: u64 = 0x0102_0000_0000_0000;
    const OTHERS2: u64 = 0x0807_0605_0403_0201;

    for round in 1..=4 {
        guest.set_reg(0, id(SISELECT), (EIE0 + 2 * round as u32).into())?;
        guest.set_reg(0, id(IPRIO1), iprio1(round))?;
        guest.set_reg(0, id(IPRIO2), OTHERS2)?;
        // On the CPU where it was last, and on another one.
        guest.start(0, &[m.cpu(round as usize / 2)])?;
        same(
            guest.csr_read(0, csr::SISELECT)?,
            u64::from(EIE0) + 2 * round,
            || "siselect in the guest".into(),
        )?;
        for (select, wanted) in [(0x30, round << 8 | (round + 1) << 40), (0x32, 0), (0x34, 0)] {
            same(guest.ireg_read(0, select)?, wanted, || {
                format!("register {select:#x} in the guest")
            })?;
        }
        let other = round + 20;

        guest.ireg_write(0, 0x30, other << 8 | (other + 1) << 40)?;
        // Of those that it does not have it changes none.
        guest.ireg_write(0, 0x32, !0 << 48)?;
        guest.ireg_write(0, 0x34, !0)?;
        guest.csr_write(0, csr::SISELECT, csr::WRITE, 0x72 + round)?;
        guest.stop(0)?;
        for (number, wanted) in [
            (SISELECT, 0x72 + round),
            (IPRIO1, iprio1(other)),
            (IPRIO2, OTHERS2),
        ] {
            same(guest.reg(0, id(number))?, wanted, || {
                format!("AIA CSR {number} after the guest")
            })?;
        }
    }
    Ok(())
}

/// The guest of such a vCPU has no CSRs of the AIA, nor has user space to do with them (VS-4).
pub(crate) fn guest_without_ssaia(m: &Machine, mode: Mode) -> Result<()> {
    for ready in [true, false] {
        let mut guest = Guest::bare(m.kvm(), crate::config(1, mode))?;

        if !m.withheld_ssaia(guest.try_set_reg(0, ssaia(), 0)?)? {
            return Ok(());
        }
        if ready {
            guest.ready()?;
        }
        guest.start(0, &[m.cpu(0)])?;
        if ready {
            guest.signal_msi(0, 5)?;
        }
        for number in [csr::SISELECT, csr::SIREG, csr::STOPEI, csr::STOPI] {
            for how in [csr::READ, csr::WRITE, csr::SWAP, csr::SET] {
                let what = || format!("access {how} to CSR {number:#x} without Ssaia");

                same(guest.csr(0, number, how, 0x70)?.trap, Some(ILLEGAL), what)?;
                same(guest.left(), vec![], || {
                    format!("left to user space by {}", what())
                })?;
            }
        }
        if ready {
            guest.stop(0)?;
            same(guest.aia().imsic(0, EIP0).ok(), Some(1 << 5), || {
                "pending bits after all that".into()
            })?;
        }
    }
    Ok(())
}
