// SPDX-License-Identifier: GPL-2.0

//! `KVM_DEV_RISCV_AIA_CTRL_INIT`: the interrupt controllers are made.

#![expect(
    unsafe_code,
    reason = "devices on the bus that go away before their virtual machine"
)]

use aia_core::{
    addr::{
        Guest,
        PhysAddr, //
    },
    guest::config::{
        Config,
        UNDEF_ADDR, //
    }, //
};
use kernel::prelude::*;
use kvm_ext::{
    io_bus::IoDevice,
    Vm,
    VmLocked,
    APLIC_SIZE,
    IMSIC_SIZE, //
};

use super::config::error;
use crate::{
    handler::{
        aplic_page::AplicPage,
        imsic_page::ImsicPage, //
    },
    published::{
        self,
        host, //
    },
    state::{
        aplic::VmAplic,
        imsic::VcpuImsic,
        limits::limits,
        vm::VmAia, //
    }, //
};

/// The device for the page of a vCPU's interrupt file.
fn imsic_page(vm: &Vm, addr: PhysAddr<Guest>) -> Result<IoDevice> {
    // SAFETY: Part of a `VcpuImsic`, which goes away with its vCPU.
    unsafe { IoDevice::register::<ImsicPage>(vm, addr.get(), IMSIC_SIZE) }
}

/// The device for the registers of an APLIC.
fn aplic_page(vm: &Vm, addr: PhysAddr<Guest>) -> Result<IoDevice> {
    // SAFETY: Part of a `VmAia`, which goes away before its virtual machine.
    unsafe { IoDevice::register::<AplicPage>(vm, addr.get(), APLIC_SIZE) }
}

/// Makes everything that the configuration asks for.
///
/// Fails with `EBUSY` if that was done, or if a vCPU is being created, and with `EINVAL` if the
/// configuration makes no sense; then there is none of it, and it can be tried again.
pub(crate) fn initialize(config: &Config, mut vm: VmLocked<'_>) -> Result {
    let host = host().ok_or(ENODEV)?;

    if vm.is_aia_initialized() || vm.is_vcpu_creation_in_progress() {
        return Err(EBUSY);
    }
    let map = config.check(&limits(host)).map_err(error)?;
    let vcpus = vm.vm();
    let addresses = || {
        vcpus.vcpus().map(|vcpu| match vcpu.imsic_addr() {
            UNDEF_ADDR => Err(EINVAL),
            addr => Ok((vcpu, PhysAddr::<Guest>::new(addr))),
        })
    };
    let mut base = None;

    for found in addresses() {
        let (_, addr) = found?;

        if *base.get_or_insert(map.base_ppn(addr)) != map.base_ppn(addr) {
            return Err(EINVAL);
        }
    }

    // Nobody sees any of it before all of it is there, so that it can be taken back.
    let aplic = match (config.nr_sources(), config.aplic_addr()) {
        (Some(nr_sources), Some(addr)) => {
            Some(VmAplic::new(nr_sources, addr, aplic_page(&vm, addr)?)?)
        }
        _ => None,
    };
    let mut files = KVec::with_capacity(usize::try_from(vm.online_vcpus())?, GFP_KERNEL_ACCOUNT)?;

    for found in addresses() {
        let (vcpu, addr) = found?;
        let page = imsic_page(&vm, addr)?;

        files.push(
            (vcpu, VcpuImsic::new(host, config, addr, page)?),
            GFP_KERNEL_ACCOUNT,
        )?;
    }

    let aia = KBox::new(
        VmAia::new(&files, map, config.nr_ids(), aplic)?,
        GFP_KERNEL_ACCOUNT,
    )?;

    if let Some(aplic) = &aia.aplic {
        vm.set_default_routing(aplic.domain.nr_sources().get() + 1)?;
    }

    // Nothing fails from here on.
    for (vcpu, imsic) in &files {
        vcpu.set_hart_index(map.hart_index(imsic.address()));
    }
    published::publish(&mut vm, aia, files);
    Ok(())
}
