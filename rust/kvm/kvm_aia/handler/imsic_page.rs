// SPDX-License-Identifier: GPL-2.0

//! The pages of the vCPUs' interrupt files while there are no guest files.

use aia_core::addr::PhysAddr;
use kernel::prelude::*;
use kvm_ext::{
    io_bus::Mmio,
    Vcpu, //
};

use crate::published;

/// A stretch of memory with the pages of vCPUs' interrupt files, for as long as they have no guest files.
/// What else is in it is not ours.
pub(crate) struct ImsicPages;

impl Mmio for ImsicPages {
    fn read(vcpu: &Vcpu, addr: u64, _len: usize) -> Result<u32> {
        if let Some(aia) = published::aia(vcpu.vm()) {
            if !aia.has_file_at(PhysAddr::new(addr).page()) {
                return Err(EOPNOTSUPP);
            }
        }
        Ok(0)
    }

    fn write(vcpu: &Vcpu, addr: u64, data: &[u8]) -> Result {
        let Some(aia) = published::aia(vcpu.vm()) else {
            return Ok(());
        };
        let addr = PhysAddr::new(addr);

        match aia.member_at(addr.page()) {
            Some((vcpu, imsic)) => {
                let target = aia.map.decode(addr);

                // What is no MSI is ignored (AIA 3.5), and not left to user space either, which might make one
                // of each half of a longer store.
                let Ok(data) = <[u8; 4]>::try_from(data) else {
                    return Ok(());
                };
                let _ = imsic.inject(vcpu, target.guest, target.offset, u32::from_le_bytes(data));
                Ok(())
            }
            None if aia.has_file_at(addr.page()) => Ok(()),
            None => Err(EOPNOTSUPP),
        }
    }
}
