// SPDX-License-Identifier: GPL-2.0

//! MSIs are delivered to vCPUs.

use aia_core::{
    addr::{
        Guest,
        PhysAddr, //
    },
    aplic::target::MsiTarget,
    guest::imsic::inject,
    guest_aplic::MsiSink, //
};
use kernel::prelude::*;
use kvm_ext::Vcpu;

use crate::state::{
    handle::VcpuImsicRef,
    imsic::VcpuImsic,
    vm::VmAia, //
};

/// `seteipnum_le` and `seteipnum_be` in the page of an interrupt file (AIA 3.5).
const SETEIPNUM_LE: u32 = 0;
const SETEIPNUM_BE: u32 = 4;

impl VcpuImsic {
    /// Delivers an MSI of `data` to `offset` of the page of the file `guest`; the lower half of the
    /// address of a guest's MSI.
    ///
    /// Fails with `ENODEV` if there is no such file or register, and with `EINVAL` if there is no
    /// such identity. Any context.
    pub(crate) fn inject(&self, vcpu: &Vcpu, guest: u32, offset: u32, data: u32) -> Result {
        let number = match offset {
            SETEIPNUM_LE => data,
            SETEIPNUM_BE => data.swap_bytes(),
            _ => return Err(ENODEV),
        };

        if guest != 0 || number == 0 {
            return Err(ENODEV);
        }
        let eiid = self.sw_file.nr_ids().check(number).ok_or(EINVAL)?;

        inject::inject(VcpuImsicRef::new(vcpu, self), eiid);
        Ok(())
    }
}

impl VmAia {
    /// Delivers an MSI to a hart by its index. Nobody gets it if there is no such hart.
    #[inline]
    pub(crate) fn inject(&self, hart_index: u32, guest: u32, offset: u32, data: u32) -> Result {
        match self.member(hart_index) {
            Some((vcpu, imsic)) => imsic.inject(vcpu, guest, offset, data),
            None => Ok(()),
        }
    }
}

/// MSIs of an APLIC go to the vCPUs of its virtual machine.
pub(crate) struct ToVcpus<'a>(pub(crate) &'a VmAia);

impl MsiSink for ToVcpus<'_> {
    fn send(&self, target: MsiTarget) {
        // Who is not there gets nothing.
        let _ = self
            .0
            .inject(target.hart.get(), target.guest.get(), 0, target.eiid.get());
    }
}

/// Delivers an MSI of `data` to guest-physical address `addr`. Any context.
///
/// Nobody gets it if neither an interrupt file nor a port of the APLIC is there.
pub(crate) fn inject_msi(aia: &VmAia, addr: u64, data: u32) -> Result {
    let addr = PhysAddr::<Guest>::new(addr);
    let target = aia.map.decode(addr);

    match aia.member_at(target.page) {
        Some((vcpu, imsic)) => imsic.inject(vcpu, target.guest, target.offset, data),
        None => {
            if let Some(aplic) = &aia.aplic {
                aplic.receive(addr, data, &ToVcpus(aia));
            }
            Ok(())
        }
    }
}
