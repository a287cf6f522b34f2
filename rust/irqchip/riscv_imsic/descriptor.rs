// SPDX-License-Identifier: GPL-2.0

//! Owners of vectors are interrupts, by the addresses of their descriptors.

#![expect(unsafe_code, reason = "descriptors that C frees")]

use aia_core::vector::slot::SlotOwner;
use kernel::interrupt::LocalInterruptDisabled;
use kernel_ext::irq::Descriptor;

/// The descriptor of the interrupt that owns a vector.
#[inline(always)]
pub(crate) fn descriptor(
    owner: SlotOwner,
    _irqs_off: &LocalInterruptDisabled,
) -> Option<Descriptor<'_>> {
    // CAST: Owners are made of descriptors' addresses.
    // SAFETY: A slot loses its owner before the interrupt is freed, and interrupts are off.
    unsafe { Descriptor::from_addr(owner.get() as usize) }
}
