// SPDX-License-Identifier: GPL-2.0

//! What C calls.

#![expect(unsafe_code, reason = "the boundary to C")]

use core::ptr;

use kernel::{
    bindings,
    device::Device,
    error::from_result,
    macros::export,
    prelude::*, //
};

use crate::probe;

/// Called when the device of a node is probed.
///
/// # Safety
///
/// `pdev` must be valid.
#[export]
pub(crate) unsafe extern "C" fn riscv_aplic_probe(pdev: *mut bindings::platform_device) -> c_int {
    from_result(|| {
        // SAFETY: The device is valid while it is probed.
        probe::probe(unsafe { Device::from_raw(ptr::addr_of_mut!((*pdev).dev)) })?;
        Ok(0)
    })
}
