// SPDX-License-Identifier: GPL-2.0

//! User space reads and writes an interrupt file, wherever its state is; it is reset.

use aia_core::{
    guest::imsic::{
        access,
        release,
        user, //
    },
    isel::{
        IndirectRegister, //
        Isel,
    },
    swfile::Image, //
};
use kernel::prelude::*;
use kvm_ext::{
    Vcpu,
    VcpuLocked, //
};

use crate::state::{
    handle::VcpuImsicRef,
    imsic::VcpuImsic,
    undisturbed::Undisturbed, //
};

impl VcpuImsic {
    /// What external interrupt of `vcpu` is pending is for the file to say from now on, not for user space,
    /// which may have set or restored one before.
    pub(crate) fn take_over(&self, vcpu: &Vcpu) {
        access::signal(VcpuImsicRef::new(vcpu, self));
    }

    /// Resets the interrupt file (AIA 3.4). By the vCPU's thread, or with its mutex held.
    pub(crate) fn reset(&self, vcpu: &Vcpu) {
        let _undisturbed = Undisturbed::new(self.host);

        release::reset(VcpuImsicRef::new(vcpu, self));
    }

    /// Somebody asks the vCPU's thread for a reset, for the SBI: what is sent to the file from here on
    /// outlives it, if the state is in memory, as it is once the SBI has stopped the hart. In any context,
    /// while the vCPU does not execute.
    pub(crate) fn begin_reset(&self, vcpu: &Vcpu) {
        self.set_reset_begun(release::reset_in_memory(VcpuImsicRef::new(vcpu, self)));
    }

    /// The vCPU's thread carries out what [`Self::begin_reset`] has begun.
    pub(crate) fn finish_reset(&self, vcpu: &Vcpu) {
        if self.take_reset_begun() {
            // Its thread may have got a guest file since, of which `hstatus` knows nothing any more.
            let _undisturbed = Undisturbed::new(self.host);

            release::release(VcpuImsicRef::new(vcpu, self));
        } else {
            self.reset(vcpu);
        }
    }

    /// Copies the state, wherever it is, and leaves it there. May wait for another CPU.
    pub(crate) fn save(&self, vcpu: &VcpuLocked<'_>, image: &mut Image) -> Result {
        user::save(VcpuImsicRef::new(vcpu, self), image).map_err(|_| EIO)
    }

    /// Replaces the state, which is in memory afterwards.
    pub(crate) fn restore(&self, vcpu: &VcpuLocked<'_>, image: &Image) {
        let _undisturbed = Undisturbed::new(self.host);

        user::restore(VcpuImsicRef::new(vcpu, self), image);
    }

    /// User space reads a register, or writes it if there is a value, wherever the state is. May
    /// wait for another CPU.
    pub(crate) fn user_access(
        &self,
        vcpu: &VcpuLocked<'_>,
        isel: Isel,
        write: Option<u64>,
    ) -> Result<u64> {
        user::access(VcpuImsicRef::new(vcpu, self), isel, write)
            .map_err(|_| EIO)?
            .ok_or(ENOENT)
    }

    /// Checks a register number of user space.
    ///
    /// Fails with `ENOENT` if it is no register of an interrupt file, and with `EINVAL` if it is one
    /// that this file does not have.
    pub(crate) fn check(&self, isel: u32) -> Result<Isel> {
        const WORDS: core::ops::RangeInclusive<u32> = 0x80..=0xff;
        let words = self.sw_file.nr_ids().words();
        let missing = if WORDS.contains(&isel) {
            EINVAL
        } else {
            ENOENT
        };
        let isel = Isel::new(isel.into()).ok_or(missing)?;

        match isel.register() {
            IndirectRegister::Eidelivery | IndirectRegister::Eithreshold => Ok(isel),
            IndirectRegister::Eip(word) | IndirectRegister::Eie(word) if word.get() < words => {
                Ok(isel)
            }
            IndirectRegister::Eip(_) | IndirectRegister::Eie(_) => Err(EINVAL),
            IndirectRegister::Reserved | IndirectRegister::Iprio { .. } => Err(ENOENT),
        }
    }
}
