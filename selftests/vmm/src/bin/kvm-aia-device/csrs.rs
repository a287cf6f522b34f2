// SPDX-License-Identifier: GPL-2.0

//! The CSRs of the AIA by ONE_REG, which the device has no part in.

use kvm_ioctls::VcpuFd;
use libc::ENOENT;
use vmm::{
    fixture::errno,
    plain::{
        aia_csr,
        reg,
        regs,
        set_reg,
        ssaia, //
    },
    refused,
    same,
    Aia,
    Context,
    Machine,
    Result, //
};

/// Words of `struct kvm_riscv_aia_csr`.
const CSRS: u64 = 7;

fn listed(vcpu: &VcpuFd) -> Result<Vec<u64>> {
    let mut all = regs(vcpu)?;

    all.retain(|id| (0..=0xffff).map(aia_csr).any(|csr| csr == *id));
    all.sort_unstable();
    Ok(all)
}

/// No such register, for reading or writing.
fn missing(vcpu: &VcpuFd, number: u64, why: &str) -> Result<()> {
    let id = aia_csr(number);

    refused(reg(vcpu, id), ENOENT, || {
        format!("GET of AIA CSR {number}, {why}")
    })?;
    refused(set_reg(vcpu, id, 1), ENOENT, || {
        format!("SET of AIA CSR {number}, {why}")
    })
}

pub(crate) fn values(m: &Machine) -> Result<()> {
    let vm = m.kvm().create_vm().context("KVM_CREATE_VM")?;
    let vcpus = [0, 1].map(|id| vm.create_vcpu(id));
    let [Ok(vcpu), Ok(other)] = &vcpus else {
        return Err(vmm::Error::new(format!("KVM_CREATE_VCPU: {vcpus:?}")));
    };
    // With the device or without it.
    let _aia = Aia::new(&vm).context("KVM_CREATE_DEVICE")?;
    let value = |number: u64| 0x0102_0304_0506_0708 << number | number;

    same(reg(vcpu, ssaia()).ok(), Some(1), || "Ssaia".into())?;
    for number in 0..CSRS {
        same(reg(vcpu, aia_csr(number)).ok(), Some(0), || {
            format!("AIA CSR {number} of a new vCPU")
        })?;
        set_reg(vcpu, aia_csr(number), value(number)).context(format!("AIA CSR {number}"))?;
    }
    for number in 0..CSRS {
        same(reg(vcpu, aia_csr(number)).ok(), Some(value(number)), || {
            format!("AIA CSR {number}")
        })?;
        same(reg(other, aia_csr(number)).ok(), Some(0), || {
            format!("AIA CSR {number} of another vCPU")
        })?;
    }
    for number in [CSRS, CSRS + 1, 64, 0xff, 0xffff] {
        missing(vcpu, number, "which does not exist")?;
    }
    same(listed(vcpu)?, (0..CSRS).map(aia_csr).collect(), || {
        "AIA CSRs in the list of registers".into()
    })
}

/// Where Ssaia can be taken from a vCPU, its CSRs go with it (c61ec3e8cc5d).
pub(crate) fn without_ssaia(m: &Machine) -> Result<()> {
    let vm = m.kvm().create_vm().context("KVM_CREATE_VM")?;
    let mut vcpu = vm.create_vcpu(0).context("KVM_CREATE_VCPU")?;

    // Only Smstateen can keep them from the guest.
    if !m.withheld_ssaia(set_reg(&vcpu, ssaia(), 0))? {
        return same(listed(&vcpu)?.len(), CSRS as usize, || {
            "AIA CSRs in the list after that".into()
        });
    }
    same(reg(&vcpu, ssaia()).ok(), Some(0), || "Ssaia".into())?;
    for number in 0..=CSRS {
        missing(&vcpu, number, "of a vCPU without Ssaia")?;
    }
    same(listed(&vcpu)?, Vec::new(), || {
        "AIA CSRs in the list of registers".into()
    })?;
    set_reg(&vcpu, ssaia(), 1).context("giving Ssaia back")?;
    set_reg(&vcpu, aia_csr(1), 5).context("hviprio1")?;
    same(reg(&vcpu, aia_csr(1)).ok(), Some(5), || "hviprio1".into())?;
    // It is fixed once the vCPU has run.
    vcpu.set_kvm_immediate_exit(1);
    refused(vcpu.run().map_err(errno), libc::EINTR, || "KVM_RUN".into())?;
    refused(set_reg(&vcpu, ssaia(), 0), libc::EBUSY, || {
        "taking Ssaia from a vCPU that has run".into()
    })
}
