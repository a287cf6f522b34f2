// SPDX-License-Identifier: GPL-2.0

//! A virtual machine of one vCPU without the AIA, and the registers of any vCPU.

use crate::{
    abi::{
        RAM_BASE,
        RAM_SIZE, //
    },
    fixture::errno,
    stats::{
        Stats,
        StatsFile, //
    },
    sys::{
        self,
        GuestMemory, //
    },
    Context,
    Result, //
};
use kvm_bindings::{
    RegList,
    KVM_REG_RISCV,
    KVM_REG_RISCV_CORE,
    KVM_REG_RISCV_CSR,
    KVM_REG_RISCV_CSR_AIA,
    KVM_REG_RISCV_ISA_EXT,
    KVM_REG_SIZE_U64,
    KVM_RISCV_ISA_EXT_ID_KVM_RISCV_ISA_EXT_SSAIA, //
};
use kvm_ioctls::{
    Kvm,
    VcpuFd,
    VmFd, //
};
use std::{
    io,
    os::fd::AsRawFd, //
};

/// As many as the crate allows.
const MOST_REGS: usize = 200;

/// The ONE_REG number of a register of 64 bits.
fn one_reg(kind: u32, number: u64) -> u64 {
    KVM_REG_RISCV as u64 | KVM_REG_SIZE_U64 | u64::from(kind) | number
}

/// The ONE_REG number of an AIA CSR: a word of `struct kvm_riscv_aia_csr`.
pub fn aia_csr(number: u64) -> u64 {
    one_reg(KVM_REG_RISCV_CSR | KVM_REG_RISCV_CSR_AIA, number)
}

/// The ONE_REG number by which a vCPU gets or loses Ssaia.
pub fn ssaia() -> u64 {
    let number = KVM_RISCV_ISA_EXT_ID_KVM_RISCV_ISA_EXT_SSAIA;

    one_reg(KVM_REG_RISCV_ISA_EXT, number.into())
}

/// KVM_GET_ONE_REG of 64 bits.
pub fn reg(vcpu: &VcpuFd, id: u64) -> io::Result<u64> {
    let mut value = [0; 8];

    vcpu.get_one_reg(id, &mut value).map_err(errno)?;
    Ok(u64::from_le_bytes(value))
}

/// KVM_SET_ONE_REG of 64 bits.
pub fn set_reg(vcpu: &VcpuFd, id: u64, value: u64) -> io::Result<()> {
    vcpu.set_one_reg(id, &value.to_le_bytes())
        .map(drop)
        .map_err(errno)
}

/// KVM_GET_REG_LIST.
pub fn regs(vcpu: &VcpuFd) -> Result<Vec<u64>> {
    let mut list = RegList::new(MOST_REGS).context("list of registers")?;

    vcpu.get_reg_list(&mut list).context("KVM_GET_REG_LIST")?;
    Ok(list.as_slice().to_vec())
}

/// A machine that runs a program of the caller's.
// Fields drop in this order: the memory last.
#[derive(Debug)]
pub struct Plain {
    /// The vCPU.
    pub vcpu: VcpuFd,
    stats: StatsFile,
    vm: VmFd,
    _mem: GuestMemory,
}

impl Plain {
    /// A machine whose vCPU begins with the first of these instructions, at [`RAM_BASE`].
    pub fn new(kvm: &Kvm, program: &[u32]) -> Result<Self> {
        let code: Vec<u8> = program.iter().flat_map(|i| i.to_le_bytes()).collect();
        let mem = GuestMemory::with_parts(RAM_SIZE, &[(0, &code)])?;
        let vm = kvm.create_vm().context("KVM_CREATE_VM")?;

        mem.attach(&vm)?;
        let vcpu = vm.create_vcpu(0).context("KVM_CREATE_VCPU")?;
        let stats = StatsFile::new(sys::stats_fd(&vcpu).context("KVM_GET_STATS_FD")?)?;
        // Core register 0 is the program counter.
        set_reg(&vcpu, one_reg(KVM_REG_RISCV_CORE, 0), RAM_BASE).context("program counter")?;
        Ok(Self {
            vcpu,
            stats,
            vm,
            _mem: mem,
        })
    }

    /// The machine.
    pub fn vm(&self) -> &VmFd {
        &self.vm
    }

    /// KVM's statistics of the vCPU.
    pub fn stats(&self) -> Result<Stats> {
        self.stats.read()
    }

    /// What sets or clears the vCPU's external interrupt, also while it runs.
    pub fn wire(&self) -> Wire {
        Wire(self.vcpu.as_raw_fd())
    }
}

/// The external interrupt of the vCPU of a [`Plain`] that still exists.
#[derive(Clone, Copy, Debug)]
pub struct Wire(i32);

impl Wire {
    /// KVM_INTERRUPT.
    pub fn set(self, level: bool) -> io::Result<()> {
        sys::interrupt(self.0, level)
    }
}
