// SPDX-License-Identifier: GPL-2.0

//! The page of a vCPU's interrupt file while there is no guest file.

use kernel::prelude::*;
use kvm_ext::{
    io_bus::Mmio,
    Vcpu, //
};

use crate::{
    ops::inject::inject_msi,
    published, //
};

/// The page of a vCPU's interrupt file while there is no guest file.
pub(crate) struct ImsicPage;

impl Mmio for ImsicPage {
    fn read(_vcpu: &Vcpu, addr: u64, data: &mut [u8]) -> Result {
        if data.len() != 4 || addr % 4 != 0 {
            return Err(EOPNOTSUPP);
        }
        data.fill(0);
        Ok(())
    }

    fn write(vcpu: &Vcpu, addr: u64, data: &[u8]) -> Result {
        let data: [u8; 4] = data.try_into().map_err(|_| EOPNOTSUPP)?;

        if addr % 4 != 0 {
            return Err(EOPNOTSUPP);
        }
        // What is no MSI is ignored (AIA 3.5).
        if let Some(aia) = published::aia(vcpu.vm()) {
            let _ = inject_msi(aia, addr, u32::from_le_bytes(data));
        }
        Ok(())
    }
}
