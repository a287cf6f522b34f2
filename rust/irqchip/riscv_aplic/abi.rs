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
use kernel_ext::ioport::Range;

use crate::probe;

/// Called when the device of a node is probed.
///
/// # Safety
///
/// `pdev` must be valid.
#[export]
pub(crate) unsafe extern "C" fn riscv_aplic_probe(pdev: *mut bindings::platform_device) -> c_int {
    from_result(|| {
        // SAFETY: The device is valid, and it is being probed, with its lock held. A wrapper of it is
        // transparent.
        let (dev, registers) = unsafe {
            (
                Device::from_raw(ptr::addr_of_mut!((*pdev).dev)),
                Range::of_device(pdev, 0),
            )
        };

        probe::probe(dev, registers)?;
        Ok(0)
    })
}

/// Called for each APLIC structure of the MADT, in early boot. Its device is probed later.
///
/// # Safety
///
/// `header` must be the address of that structure, and `end` that of the table's end.
#[cfg(CONFIG_ACPI)]
#[export]
pub(crate) unsafe extern "C" fn riscv_aplic_acpi_init(
    header: *mut bindings::acpi_subtable_headers,
    end: usize,
) -> c_int {
    from_result(|| {
        // SAFETY: By the requirements of this function.
        let aplic = unsafe { acpi::Aplic::from_raw(header, end) }.inspect_err(|_| {
            pr_err!("MADT: APLIC: the structure is too short\n");
        })?;

        crate::described::describe(aplic)?;
        Ok(0)
    })
}
