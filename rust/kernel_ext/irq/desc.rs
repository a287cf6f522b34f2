// SPDX-License-Identifier: GPL-2.0

//! Interrupt descriptors.
//!
//! C header: [`include/linux/irqdesc.h`](srctree/include/linux/irqdesc.h)

use core::ptr::NonNull;

use kernel::bindings;

use super::chained;

/// The descriptor of an interrupt: what a controller hands an interrupt to.
///
/// Descriptors are freed after an RCU grace period. Whoever stores one has to forget it before its
/// domain is asked to free the interrupt; a handler that read it just before then still finishes in
/// time, as it runs with interrupts off.
///
/// # Invariants
///
/// The descriptor exists for as long as the value is used, in the sense above.
#[derive(Clone, Copy)]
pub struct Descriptor(NonNull<bindings::irq_desc>);

// SAFETY: What can be done with a descriptor can be done on any CPU.
unsafe impl Send for Descriptor {}
// SAFETY: As above.
unsafe impl Sync for Descriptor {}

impl Descriptor {
    /// The descriptor of Linux interrupt `irq`, if there is one.
    ///
    /// # Safety
    ///
    /// The caller must know that the interrupt is allocated, and forget the descriptor when it is
    /// freed.
    pub unsafe fn of(irq: u32) -> Option<Self> {
        // SAFETY: Looking up any number is fine.
        let desc = unsafe { bindings::irq_to_desc(irq) };

        // INVARIANT: The caller keeps to the rule.
        NonNull::new(desc).map(Self)
    }

    /// The descriptor that `data` belongs to.
    ///
    /// # Safety
    ///
    /// `data` must be valid; the caller must forget the descriptor when the interrupt is freed.
    pub(crate) unsafe fn from_data(data: *mut bindings::irq_data) -> Self {
        // SAFETY: By the requirements of this function; all data have a descriptor.
        Self(unsafe { NonNull::new_unchecked(bindings::irq_data_to_desc(data)) })
    }

    /// Makes a descriptor of an address from [`Self::addr`].
    ///
    /// # Safety
    ///
    /// The interrupt must not have been freed since, in the sense of the type's documentation.
    #[inline(always)]
    pub unsafe fn from_addr(addr: usize) -> Option<Self> {
        // INVARIANT: By the requirements of this function.
        NonNull::new(addr as *mut bindings::irq_desc).map(Self)
    }

    /// The address of the descriptor: not zero, and even.
    #[inline]
    pub fn addr(self) -> usize {
        self.0.as_ptr() as usize
    }

    /// Runs the flow handler of the interrupt, in the flow of the interrupt that it arrived by.
    #[inline(always)]
    pub fn handle(self, _flow: &chained::Flow<'_>) {
        // SAFETY: The descriptor is valid by the type invariant, and `Flow` proves hardirq context.
        unsafe { bindings::generic_handle_irq_desc(self.0.as_ptr()) };
    }
}
