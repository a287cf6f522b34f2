// SPDX-License-Identifier: GPL-2.0

//! The pages of the harts' interrupt files.

#![expect(
    unsafe_code,
    reason = "registers live as long as their mapping, which only this file can promise"
)]

use aia_core::{
    addr::PAGE_SIZE,
    ids::GuestIndex, //
};
use kernel::{
    cpu::CpuId,
    prelude::*, //
};
use kernel_ext::io::{
    DevicePage,
    Mapping,
    Register, //
};

use crate::config::ImsicConfig;

/// Where MSIs to one CPU go.
#[derive(Clone, Copy)]
pub(crate) struct Doorbell {
    /// `seteipnum_le` of the supervisor file (AIA 3.5).
    pub(crate) register: Register,
    /// Its physical address.
    pub(crate) address: u64,
    /// Guest files behind it.
    pub(crate) guest_files: u32,
}

impl Doorbell {
    /// `seteipnum_le` of guest file `guest` of the CPU, and the page that it is in.
    pub(crate) fn of_guest(&self, guest: GuestIndex) -> Option<(Register, DevicePage)> {
        if !guest.is_guest() || guest.get() > self.guest_files {
            return None;
        }
        let bytes = u64::from(guest.get()) * PAGE_SIZE;
        let address = self.address.checked_add(bytes)?;

        Some((
            // CAST: A few pages.
            // SAFETY: The mapping covers the guest files of each hart, see `map`.
            unsafe { self.register.further(bytes as usize) },
            // SAFETY: It is that of a guest interrupt file, which is there for guests (AIA 3.2).
            unsafe { DevicePage::new(address) },
        ))
    }
}

/// The doorbell of each CPU that has one.
pub(crate) type Doorbells = KVec<(CpuId, Doorbell)>;

/// Maps what harts use of the regions, and finds the doorbell of each CPU in them.
pub(crate) fn map(config: &ImsicConfig) -> Result<(KVec<Mapping>, Doorbells)> {
    let mut mappings = KVec::with_capacity(config.ranges.len(), GFP_KERNEL)?;

    for (index, range) in config.ranges.iter().enumerate() {
        let used = config
            .harts
            .iter()
            .filter(|hart| hart.place.region == index)
            .map(|hart| hart.place.offset + (1 + u64::from(hart.place.guest_files)) * PAGE_SIZE)
            .max()
            // A region of none of our harts: the list keeps its order.
            .unwrap_or(PAGE_SIZE);

        mappings.push(Mapping::new(range, usize::try_from(used)?)?, GFP_KERNEL)?;
    }

    let mut doorbells = KVec::with_capacity(config.harts.len(), GFP_KERNEL)?;
    for hart in config.harts.iter() {
        let mapping = mappings.get(hart.place.region).ok_or(EINVAL)?;
        let offset = usize::try_from(hart.place.offset)?;
        // SAFETY: Doorbells are only kept in an `Imsic`, which drops its mappings last.
        let register = unsafe { mapping.register(offset) }?;

        doorbells.push(
            (
                hart.cpu,
                Doorbell {
                    register,
                    address: hart.place.addr.get(),
                    guest_files: hart.place.guest_files,
                },
            ),
            GFP_KERNEL,
        )?;
    }

    Ok((mappings, doorbells))
}
