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
#[cfg(CONFIG_ACPI)]
use kernel_ext::acpi;
use kernel_ext::fwnode;

use crate::{
    config,
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

        early::init(node, || config::of::read(node))?;
        Ok(0)
    })
}

/// Called for each IMSIC structure of the MADT, in early boot. Devices are enumerated before there are
/// any of ours: the IMSIC is theirs when it returns 0.
///
/// # Safety
///
/// `header` must be the address of that structure, `end` that of the table's end, and `find`
/// `acpi_rintc_get_imsic_mmio_info()`.
#[cfg(CONFIG_ACPI)]
#[export]
pub(crate) unsafe extern "C" fn riscv_imsic_acpi_init(
    header: *mut bindings::acpi_subtable_headers,
    end: usize,
    find: Option<acpi::RintcFileFn>,
) -> c_int {
    from_result(|| {
        // SAFETY: By the requirements of this function.
        let imsic = unsafe { acpi::Imsic::from_raw(header, end) }.inspect_err(|_| {
            pr_err!("MADT: IMSIC: the structure is too short\n");
        })?;
        // SAFETY: As above.
        let files = unsafe { acpi::rintc_files(find.ok_or(EINVAL)?) };
        let node = fwnode::create_named(c"imsic")?;

        early::init(node, || config::acpi::read(node, &imsic, files)).inspect_err(|_| {
            // SAFETY: Just made, and all that had it has been undone.
            unsafe { fwnode::free_named(node) };
        })?;
        probe::probe(node).map(|()| 0)
    })
}

/// The node of the IMSIC, if ACPI describes it; null otherwise.
///
/// C header: `include/linux/irqchip/riscv-imsic.h`
///
/// # Safety
///
/// None: any context. It is `unsafe` because the declaration in the header is.
#[cfg(CONFIG_ACPI)]
#[export]
pub(crate) unsafe extern "C" fn imsic_acpi_get_fwnode(
    _dev: *mut bindings::device,
) -> *mut bindings::fwnode_handle {
    published::acpi_node().map_or(ptr::null_mut(), fwnode::as_raw)
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
        let dev: &Device = unsafe { Device::from_raw(ptr::addr_of_mut!((*pdev).dev)) };

        probe::probe(dev.fwnode().ok_or(ENODEV)?)?;
        Ok(0)
    })
}
