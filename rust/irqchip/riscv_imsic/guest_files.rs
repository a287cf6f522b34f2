// SPDX-License-Identifier: GPL-2.0

//! The guest interrupt files, which are KVM's.

use aia_core::ids::{
    GuestIndex,
    NrIds, //
};
use kernel::cpu::CpuId;
use kernel_ext::io::{
    DevicePage,
    Register, //
};

use crate::published::imsic;

/// A guest interrupt file's page of registers.
#[derive(Clone, Copy)]
pub struct GuestPage {
    /// `seteipnum_le` (AIA 3.5).
    pub doorbell: Register,
    /// The page.
    pub page: DevicePage,
}

/// How many guest interrupt files `cpu` has; 0 if there is no IMSIC.
pub fn nr_guest_files(cpu: CpuId) -> u32 {
    imsic()
        .and_then(|imsic| imsic.locals.on(cpu)?.doorbell)
        .map_or(0, |doorbell| doorbell.guest_files)
}

/// How many guest interrupt files every hart has at least; 0 if there is no IMSIC.
pub fn fewest_guest_files() -> u32 {
    imsic().map_or(0, |imsic| imsic.global.fewest_guest_files())
}

/// How many identities a guest interrupt file has, if there is an IMSIC.
pub fn nr_guest_ids() -> Option<NrIds> {
    NrIds::new(imsic()?.global.as_raw().nr_guest_ids)
}

/// The page of guest interrupt file `guest` of `cpu`, if there is one.
pub fn guest_page(cpu: CpuId, guest: GuestIndex) -> Option<GuestPage> {
    let doorbell = imsic()?.locals.on(cpu)?.doorbell?;
    let (doorbell, page) = doorbell.of_guest(guest)?;

    Some(GuestPage { doorbell, page })
}
