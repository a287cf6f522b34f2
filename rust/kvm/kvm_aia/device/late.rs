// SPDX-License-Identifier: GPL-2.0

//! A vCPU that was made after the interrupt controllers gets its interrupt file.

use aia_core::{
    addr::{
        Guest,
        PhysAddr, //
    },
    guest::config::{
        checked_addr,
        Config,
        Extensions, //
    }, //
};
use kernel::prelude::*;
use kvm_ext::{
    Vcpu,
    VmLocked,
    IMSIC_SIZE, //
};

use super::{
    config::error,
    init::{
        imsic_pages,
        take_over, //
    }, //
};
use crate::{
    published::{
        self,
        host, //
    },
    state::{
        imsic::VcpuImsic,
        vm::VmAia, //
    }, //
};

/// Gives `vcpu` an interrupt file at `addr`, once the interrupt controllers are initialised.
///
/// Fails with `EBUSY` if it has one, or if user space has not asked for that extension; with `EINVAL` if the
/// address is none of a page, or has not the base of the others; and with `EEXIST` if it is that of another
/// one. Then nothing has changed.
pub(super) fn add(config: &Config, mut vm: VmLocked<'_>, vcpu: &Vcpu, addr: u64) -> Result {
    let host = host().ok_or(ENODEV)?;
    let aia = published::aia(vm.vm()).ok_or(ENODEV)?;

    if !config.extensions().contains(Extensions::LATE_VCPUS)
        || published::imsic(vcpu).is_some()
        || !aia.has_room(vcpu)
    {
        return Err(EBUSY);
    }
    let addr = checked_addr(addr).map_err(error)?;

    check(aia, &vm, addr)?;
    let imsic = VcpuImsic::new(host, config, aia.translations.clone(), addr)?;

    // Last: to take a page from the bus again takes memory, and if there is none, all of the bus goes.
    if !aia.is_in_stretch(addr) {
        imsic.set_page(imsic_pages(&vm, addr, IMSIC_SIZE)?);
    }

    // Nothing fails from here on.
    published::publish_file(&mut vm, vcpu, imsic);
    take_over(vcpu);
    Ok(())
}

/// Checks whether another interrupt file may be at `addr`.
fn check(aia: &VmAia, vm: &VmLocked<'_>, addr: PhysAddr<Guest>) -> Result {
    for (_, imsic) in aia.files(vm) {
        if imsic.address() == addr {
            return Err(EEXIST);
        }
        if aia.map.base_ppn(imsic.address()) != aia.map.base_ppn(addr) {
            return Err(EINVAL);
        }
    }
    Ok(())
}
