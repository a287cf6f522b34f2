// SPDX-License-Identifier: GPL-2.0

//! Interrupt descriptors.
//!
//! C header: [`include/linux/irqdesc.h`](srctree/include/linux/irqdesc.h)

use core::{
    marker::PhantomData,
    ops::Deref,
    ptr::{
        self,
        NonNull, //
    }, //
};

use kernel::{
    bindings,
    interrupt::LocalInterruptDisabled, //
};

use super::chained;

/// The descriptor of an interrupt: what a controller hands an interrupt to.
///
/// Descriptors are freed after an RCU grace period. Whoever stores its [address](Self::addr) has to
/// forget that before its domain is asked to free the interrupt; a handler that read it just before
/// then still finishes in time, as it runs with interrupts off.
///
/// # Invariants
///
/// The descriptor exists for `'a`.
#[derive(Clone, Copy)]
pub struct Descriptor<'a>(NonNull<bindings::irq_desc>, PhantomData<&'a ()>);

impl<'a> Descriptor<'a> {
    /// The descriptor of Linux interrupt `irq`, if there is one.
    ///
    /// # Safety
    ///
    /// The interrupt must not be freed during `'a`.
    pub unsafe fn of(irq: u32) -> Option<Self> {
        // SAFETY: Looking up any number is fine.
        let desc = unsafe { bindings::irq_to_desc(irq) };

        // INVARIANT: By the requirements of this function.
        NonNull::new(desc).map(|desc| Self(desc, PhantomData))
    }

    /// The descriptor that `data` belongs to.
    ///
    /// # Safety
    ///
    /// `data` must be valid for `'a`.
    pub(crate) unsafe fn from_data(data: *mut bindings::irq_data) -> Self {
        // SAFETY: By the requirements of this function; all data have a descriptor.
        let desc = unsafe { NonNull::new_unchecked(bindings::irq_data_to_desc(data)) };

        // INVARIANT: By the requirements of this function.
        Self(desc, PhantomData)
    }

    /// Makes a descriptor of an address from [`Self::addr`].
    ///
    /// # Safety
    ///
    /// The address must have been forgotten before the interrupt is freed, in the sense of the type's
    /// documentation, and interrupts must be off for `'a`.
    #[inline(always)]
    pub unsafe fn from_addr(addr: usize) -> Option<Self> {
        // INVARIANT: By the requirements of this function.
        NonNull::new(addr as *mut bindings::irq_desc).map(|desc| Self(desc, PhantomData))
    }

    /// The address of the descriptor: not zero, and even.
    #[inline]
    pub fn addr(self) -> usize {
        self.0.as_ptr() as usize
    }

    /// Runs the flow handler of the interrupt, in the flow of the interrupt that it arrived by.
    #[inline(always)]
    pub fn handle(self, _flow: &chained::ChainedContext<'_>) {
        // SAFETY: The descriptor is valid by the type invariant, and `ChainedContext` proves hardirq context.
        unsafe { bindings::generic_handle_irq_desc(self.0.as_ptr()) };
    }
}

/// The lock of the descriptor of the interrupt that a callback is about is held, with local
/// interrupts off.
#[repr(transparent)]
pub struct Locked(LocalInterruptDisabled);

impl Locked {
    /// Stands for what the caller knows.
    ///
    /// # Safety
    ///
    /// The lock must be held for `'a`.
    #[inline(always)]
    pub(super) unsafe fn assume<'a>() -> &'a Self {
        // SAFETY: It is a raw lock that is taken with interrupts off.
        let irqs_off = unsafe { LocalInterruptDisabled::assume_disabled() };

        // SAFETY: A transparent wrapper.
        unsafe { &*ptr::from_ref(irqs_off).cast() }
    }
}

impl Deref for Locked {
    type Target = LocalInterruptDisabled;

    #[inline(always)]
    fn deref(&self) -> &LocalInterruptDisabled {
        &self.0
    }
}
