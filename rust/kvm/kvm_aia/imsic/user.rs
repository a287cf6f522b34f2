// SPDX-License-Identifier: GPL-2.0

//! User space reads and writes an interrupt file, wherever its state is.

use aia_core::{
    guest::imsic::user,
    isel::{
        Isel,
        Register, //
    },
    swfile::Image, //
};
use kernel::prelude::*;
use kvm_ext::VcpuLocked;

use super::VcpuImsic;

impl VcpuImsic {
    /// Copies the state, wherever it is, and leaves it there. May wait for another CPU.
    pub(crate) fn save(&self, vcpu: &VcpuLocked<'_>, image: &mut Image) -> Result {
        user::save(self.of(vcpu), image).map_err(|_| EIO)
    }

    /// Replaces the state, which is in memory afterwards.
    pub(crate) fn restore(&self, vcpu: &VcpuLocked<'_>, image: &Image) {
        user::restore(self.of(vcpu), image);
    }

    /// User space reads a register, or writes it if there is a value, wherever the state is. May
    /// wait for another CPU.
    pub(crate) fn user_access(
        &self,
        vcpu: &VcpuLocked<'_>,
        isel: Isel,
        write: Option<u64>,
    ) -> Result<u64> {
        user::access(self.of(vcpu), isel, write)
            .map_err(|_| EIO)?
            .ok_or(ENOENT)
    }

    /// Checks a register number of user space.
    ///
    /// Fails with `ENOENT` if it is no register of an interrupt file, and with `EINVAL` if it is one
    /// that this file does not have.
    pub(crate) fn check(&self, isel: u32) -> Result<Isel> {
        const WORDS: core::ops::RangeInclusive<u32> = 0x80..=0xff;
        let words = self.file.nr_ids().words();
        let missing = if WORDS.contains(&isel) {
            EINVAL
        } else {
            ENOENT
        };
        let isel = Isel::new(isel.into()).ok_or(missing)?;

        match isel.register() {
            Register::Eidelivery | Register::Eithreshold => Ok(isel),
            Register::Eip(word) | Register::Eie(word) if word.get() < words => Ok(isel),
            Register::Eip(_) | Register::Eie(_) => Err(EINVAL),
            Register::Reserved | Register::Iprio { .. } => Err(ENOENT),
        }
    }
}
