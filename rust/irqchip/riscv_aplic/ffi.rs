// SPDX-License-Identifier: GPL-2.0

//! The C side.

#![expect(unsafe_code, reason = "the boundary to C")]

use core::ptr;

use aia_core::vector::slot::Owner;
use kernel::{
    bindings,
    device::Device,
    error::from_result,
    macros::export,
    prelude::*, //
};
use kernel_ext::irq::{
    data::ChipData,
    domain::New,
    fwspec::Fwspec,
    Descriptor, //
};

use crate::probe;

/// The descriptor of the interrupt that owns a source.
#[inline(always)]
pub(crate) fn descriptor(owner: Owner) -> Option<Descriptor> {
    // CAST: Owners are made of descriptors' addresses.
    // SAFETY: A source loses its owner before the interrupt is freed, and the caller runs with
    // interrupts off.
    unsafe { Descriptor::from_addr(owner.get() as usize) }
}

/// The specifier that interrupts of the direct domain are made of.
pub(crate) fn fwspec<'a, D: ChipData>(new: &'a New<'_, D>) -> Option<&'a Fwspec> {
    // SAFETY: The direct domain has no children, so the core passes a specifier.
    unsafe { new.fwspec() }
}

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
