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
use kernel_ext::fwnode;

use crate::{
    early,
    probe,
    published, //
};

/// Where the MSIs of the system's IMSIC go; null if there is none.
///
/// C header: `include/linux/irqchip/riscv-imsic.h`
///
/// # Safety
///
/// None: any context. It is `unsafe` because the declaration in the header is.
#[export]
pub(crate) unsafe extern "C" fn imsic_get_global_config() -> *const bindings::imsic_global_config {
    published::imsic().map_or(ptr::null(), |imsic| imsic.global.as_raw())
}

/// Called for each node that is compatible, in early boot.
///
/// # Safety
///
/// `node` must be valid.
#[export]
pub(crate) unsafe extern "C" fn riscv_imsic_of_init(
    node: *mut bindings::device_node,
    _parent: *mut bindings::device_node,
) -> c_int {
    from_result(|| {
        // SAFETY: By the requirements of this function.
        let node = unsafe { fwnode::from_of(node) }.ok_or(EINVAL)?;

        early::init(node)?;
        Ok(0)
    })
}

/// Called if the command line has `irqchip.riscv_imsic_noipi`.
///
/// # Safety
///
/// None: any context. It is `unsafe` because the declaration in the header is.
#[export]
pub(crate) unsafe extern "C" fn riscv_imsic_noipi(_arg: *mut c_char) -> c_int {
    published::set_noipi();
    0
}

/// Called when the device of the node is probed.
///
/// # Safety
///
/// `pdev` must be valid.
#[export]
pub(crate) unsafe extern "C" fn riscv_imsic_probe(pdev: *mut bindings::platform_device) -> c_int {
    from_result(|| {
        // SAFETY: The device is valid while it is probed.
        probe::probe(unsafe { Device::from_raw(ptr::addr_of_mut!((*pdev).dev)) })?;
        Ok(0)
    })
}
