// SPDX-License-Identifier: GPL-2.0

//! Interrupt domains: who owns which interrupts of a controller.
//!
//! C header: [`include/linux/irqdomain.h`](srctree/include/linux/irqdomain.h)

use core::{
    marker::PhantomData,
    ptr::{
        self,
        NonNull, //
    },
};

use kernel::{
    bindings,
    device::property::FwNode,
    error::from_err_ptr,
    prelude::*, //
};

use super::domain_ops::{
    Ops,
    Vtable, //
};
use crate::fwnode;

/// An interrupt domain; removed when dropped.
///
/// # Invariants
///
/// The domain exists, with the callbacks of `T`.
pub struct Domain<T> {
    raw: NonNull<bindings::irq_domain>,
    _ops: PhantomData<T>,
}

// SAFETY: Domains are not bound to a CPU or task, and all that can be done with one is locked.
unsafe impl<T> Send for Domain<T> {}
// SAFETY: As above.
unsafe impl<T> Sync for Domain<T> {}

impl<T: Ops> Domain<T> {
    /// Creates a domain of `size` interrupts, the numbers 0..size, for `fwnode`. May sleep.
    ///
    /// The domain and its controller live for ever; if it cannot be created, `host` is dropped.
    pub fn linear(
        fwnode: &FwNode,
        size: u32,
        host: Pin<KBox<T::Host>>,
    ) -> Result<&'static T::Host> {
        // SAFETY: The value is not moved out of its box.
        let host = KBox::into_raw(unsafe { Pin::into_inner_unchecked(host) });
        // SAFETY: Just made of a box, which is only made again if nothing got the reference.
        let kept: &'static T::Host = unsafe { &*host };
        let mut info = Self::info(fwnode, kept);

        info.size = size;
        info.hwirq_max = size as usize;
        info.ops = Vtable::<T>::OPS_REF;
        // SAFETY: Everything that the structure refers to lives for ever, but for the node, which
        // the core takes a reference on.
        match from_err_ptr(unsafe { bindings::irq_domain_instantiate(&info) }) {
            Ok(_) => Ok(kept),
            Err(error) => {
                // SAFETY: There is no domain, so that no callback has seen the host.
                drop(unsafe { KBox::from_raw(host) });
                Err(error)
            }
        }
    }

    /// Takes a domain over that was just created with the callbacks of `T`.
    ///
    /// # Safety
    ///
    /// `raw` must be null, or such a domain that nobody else removes.
    pub(crate) unsafe fn from_raw(raw: *mut bindings::irq_domain) -> Result<Self> {
        // INVARIANT: By the requirements of this function.
        Ok(Self {
            raw: NonNull::new(raw).ok_or(ENOMEM)?,
            _ops: PhantomData,
        })
    }

    /// What the core is told of a domain for `fwnode`.
    pub(crate) fn info(fwnode: &FwNode, host: &'static T::Host) -> bindings::irq_domain_info {
        bindings::irq_domain_info {
            fwnode: fwnode::as_raw(fwnode),
            host_data: ptr::from_ref(host).cast_mut().cast(),
            ..Default::default()
        }
    }

    /// Keeps the domain for ever.
    pub fn leak(self) {
        core::mem::forget(self);
    }
}

impl<T> Drop for Domain<T> {
    fn drop(&mut self) {
        // SAFETY: The domain exists by the type invariant.
        unsafe { bindings::irq_domain_remove(self.raw.as_ptr()) };
    }
}
