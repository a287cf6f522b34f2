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
    guest::{
        address_map::GuestMap,
        config::{
            Config,
            Extensions,
            UNDEF_ADDR, //
        }, //
    }, //
};
use kernel::prelude::*;
use kvm_ext::{
    io_bus::IoDevice,
    Vcpu,
    Vm,
    VmLocked,
    APLIC_SIZE, //
};

use super::config::error;
use crate::{
    handler::{
        aplic_page::AplicPage,
        imsic_page::ImsicPages, //
    },
    published::{
        self,
        host, //
    },
    state::{
        aplic::VmAplic,
        imsic::VcpuImsic,
        limits::limits,
        translations::VmTranslations,
        vm::VmAia, //
    }, //
};

/// The device for a stretch of memory with pages of vCPUs' interrupt files.
pub(super) fn imsic_pages(vm: &Vm, addr: PhysAddr<Guest>, size: u64) -> Result<IoDevice> {
    // SAFETY: Part of a `VmAia` or `VcpuImsic`, which go away before their virtual machine.
    unsafe { IoDevice::register::<ImsicPages>(vm, addr.get(), size) }
}

/// The device for the registers of an APLIC.
fn aplic_page(vm: &Vm, addr: PhysAddr<Guest>) -> Result<IoDevice> {
    // SAFETY: Part of a `VmAia`, which goes away before its virtual machine.
    unsafe { IoDevice::register::<AplicPage>(vm, addr.get(), APLIC_SIZE) }
}

/// The addresses of the vCPUs' interrupt files, by the index of the vCPU.
///
/// Fails with `EINVAL` if one is missing, or has not the same base as the others.
fn addresses(vm: &Vm, map: &GuestMap) -> Result<KVec<PhysAddr<Guest>>> {
    let mut addrs = KVec::with_capacity(usize::try_from(vm.online_vcpus())?, GFP_KERNEL_ACCOUNT)?;

    for vcpu in vm.vcpus() {
        let addr = PhysAddr::new(vcpu.imsic_addr());
        let first = *addrs.first().unwrap_or(&addr);

        if addr.get() == UNDEF_ADDR || map.base_ppn(addr) != map.base_ppn(first) {
            return Err(EINVAL);
        }
        addrs.push(addr, GFP_KERNEL_ACCOUNT)?;
    }
    Ok(addrs)
}

/// The devices for the pages at these addresses.
fn pages(vm: &Vm, map: &GuestMap, addrs: &[PhysAddr<Guest>]) -> Result<KVec<IoDevice>> {
    let mut sorted = KVec::with_capacity(addrs.len(), GFP_KERNEL_ACCOUNT)?;
    let mut pages = KVec::new();

    sorted.extend_from_slice(addrs, GFP_KERNEL_ACCOUNT)?;
    sorted.sort_unstable();
    for (addr, size) in map.stretches(&sorted) {
        pages.push(imsic_pages(vm, addr, size)?, GFP_KERNEL_ACCOUNT)?;
    }
    Ok(pages)
}

/// The interrupt file of `vcpu` says which external interrupt is pending.
pub(super) fn take_over(vcpu: &Vcpu) {
    if let Some(imsic) = published::imsic(vcpu) {
        imsic.take_over(vcpu);
    }
}

/// Makes everything that the configuration asks for.
///
/// Fails with `EBUSY` if that was done, or if a vCPU is being created, and with `EINVAL` if the
/// configuration makes no sense; then there is none of it, and it can be tried again.
pub(super) fn initialize(config: &Config, mut vm: VmLocked<'_>) -> Result {
    let host = host().ok_or(ENODEV)?;

    if vm.is_aia_initialized() || vm.is_vcpu_creation_in_progress() {
        return Err(EBUSY);
    }
    let map = config.check(&limits(host)).map_err(error)?;
    let addrs = addresses(&vm, &map)?;

    // Nobody sees any of it before all of it is there, so that it can be taken back.
    let aplic = match (config.nr_sources(), config.aplic_addr()) {
        (Some(nr_sources), Some(addr)) => {
            Some(VmAplic::new(nr_sources, addr, aplic_page(&vm, addr)?)?)
        }
        _ => None,
    };
    let mut files = KVec::with_capacity(addrs.len(), GFP_KERNEL_ACCOUNT)?;

    let translations = VmTranslations::new()?;

    for &addr in &addrs {
        let imsic = VcpuImsic::new(host, config, translations.clone(), addr)?;

        files.push(imsic, GFP_KERNEL_ACCOUNT)?;
    }
    let room = if config.extensions().contains(Extensions::LATE_VCPUS) {
        Vm::MAX_VCPUS.try_into()?
    } else {
        files.len()
    };
    let pages = pages(&vm, &map, &addrs)?;
    let aia = KBox::new(
        VmAia::new(room, map, config.nr_ids(), aplic, translations, pages)?,
        GFP_KERNEL_ACCOUNT,
    )?;

    if let Some(aplic) = &aia.aplic {
        vm.set_default_routing(aplic.domain.nr_sources().get() + 1)?;
    }

    // Nothing fails from here on. A vCPU whose file is there may run, move and be reset, before the last
    // one has its file; those that run after it has moved have to know of it.
    published::publish(&mut vm, aia);

    for (vcpu, imsic) in vm.vm().vcpus().zip(files) {
        published::publish_file(&mut vm, vcpu, imsic);
    }
    for vcpu in vm.vm().vcpus() {
        take_over(vcpu);
    }
    vm.set_aia_initialized();
    Ok(())
}
