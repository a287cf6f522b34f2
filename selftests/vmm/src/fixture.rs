// SPDX-License-Identifier: GPL-2.0

//! A virtual machine that never runs, for the device alone.

use crate::{
    abi::{
        APLIC_BASE,
        IMSIC_BASE, //
    },
    sys,
    Aia,
    Context,
    Machine,
    Result, //
};
use kvm_bindings::{
    kvm_msi,
    KVM_DEV_RISCV_AIA_CONFIG_HART_BITS,
    KVM_DEV_RISCV_AIA_CONFIG_IDS,
    KVM_DEV_RISCV_AIA_CONFIG_SRCS, //
};
use kvm_ioctls::{
    VcpuFd,
    VmFd, //
};
use std::{
    io,
    os::fd::OwnedFd, //
};

/// A machine with an AIA device.
#[derive(Debug)]
pub struct Fixture {
    /// The device.
    pub aia: Aia,
    /// The machine.
    pub vm: VmFd,
    vcpus: Vec<VcpuFd>,
}

/// The error of the standard library for one of the KVM crates.
pub fn errno(e: vmm_sys_util::errno::Error) -> io::Error {
    io::Error::from_raw_os_error(e.errno())
}

impl Fixture {
    /// One with so many vCPUs; nothing of the device is set.
    pub fn new(m: &Machine, vcpus: usize) -> Result<Self> {
        let vm = m.kvm().create_vm().context("KVM_CREATE_VM")?;
        let aia = Aia::new(&vm).context("KVM_CREATE_DEVICE")?;
        let mut new = Self {
            aia,
            vm,
            vcpus: Vec::new(),
        };

        for _ in 0..vcpus {
            new.add_vcpu()?;
        }
        Ok(new)
    }

    /// Adds a vCPU.
    pub fn add_vcpu(&mut self) -> Result<()> {
        let id = self.vcpus.len() as u64;

        self.vcpus.push(
            self.vm
                .create_vcpu(id)
                .context(format!("KVM_CREATE_VCPU {id}"))?,
        );
        Ok(())
    }

    /// KVM_CREATE_VCPU for a vCPU that is only there.
    pub fn bare_vcpu(&self, id: u64) -> io::Result<OwnedFd> {
        sys::create_vcpu(&self.vm, id)
    }

    /// Sets everything that the device needs before INIT.
    pub fn configure(&self, ids: u32, sources: u32) -> Result<()> {
        let bits = usize::BITS - self.vcpus.len().saturating_sub(1).leading_zeros();

        for (attr, value) in [
            (KVM_DEV_RISCV_AIA_CONFIG_IDS, ids),
            (KVM_DEV_RISCV_AIA_CONFIG_SRCS, sources),
            (KVM_DEV_RISCV_AIA_CONFIG_HART_BITS, bits),
        ] {
            self.aia
                .set_config(attr, value)
                .context(format!("CONFIG {attr} = {value}"))?;
        }
        self.aia
            .set_aplic_addr(APLIC_BASE)
            .context("APLIC address")?;
        for n in 0..self.vcpus.len() {
            self.aia
                .set_imsic_addr(n, page(n))
                .context(format!("IMSIC {n} address"))?;
        }
        Ok(())
    }

    /// One that is initialised.
    pub fn ready(m: &Machine, vcpus: usize, ids: u32, sources: u32) -> Result<Self> {
        let new = Self::new(m, vcpus)?;

        new.configure(ids, sources)?;
        new.aia.init().context("INIT")?;
        Ok(new)
    }

    /// The device, and all the rest, in the order in which it goes.
    pub fn split(self) -> (Aia, (VmFd, Vec<VcpuFd>)) {
        (self.aia, (self.vm, self.vcpus))
    }

    /// A vCPU.
    pub fn vcpu(&self, n: usize) -> &VcpuFd {
        &self.vcpus[n]
    }

    /// KVM_SIGNAL_MSI.
    pub fn msi(&self, address: u64, data: u32) -> io::Result<i32> {
        self.vm
            .signal_msi(kvm_msi {
                address_lo: address as u32,
                address_hi: (address >> 32) as u32,
                data,
                ..Default::default()
            })
            .map_err(errno)
    }

    /// KVM_IRQ_LINE.
    pub fn line(&self, line: u32, level: bool) -> io::Result<()> {
        self.vm.set_irq_line(line, level).map_err(errno)
    }
}

/// KVM_GET_ONE_REG of 64 bits.
pub fn get_reg(vcpu: &VcpuFd, id: u64) -> io::Result<u64> {
    let mut value = [0; 8];

    vcpu.get_one_reg(id, &mut value).map_err(errno)?;
    Ok(u64::from_le_bytes(value))
}

/// KVM_SET_ONE_REG.
pub fn set_reg(vcpu: &VcpuFd, id: u64, value: u64) -> io::Result<()> {
    vcpu.set_one_reg(id, &value.to_le_bytes())
        .map_err(errno)
        .map(drop)
}

/// KVM_GET_REG_LIST.
pub fn reg_list(vcpu: &VcpuFd) -> io::Result<Vec<u64>> {
    sys::reg_list(vcpu)
}

/// Guest-physical address of the IMSIC of a vCPU.
pub fn page(vcpu: usize) -> u64 {
    IMSIC_BASE + 0x1000 * vcpu as u64
}
