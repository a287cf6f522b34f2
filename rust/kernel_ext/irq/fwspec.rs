// SPDX-License-Identifier: GPL-2.0

//! Interrupt specifiers of firmware.
//!
//! C header: [`include/linux/irqdomain.h`](srctree/include/linux/irqdomain.h), `struct irq_fwspec`

use kernel::{
    bindings,
    types::Opaque, //
};

/// An interrupt as the firmware names it.
#[repr(transparent)]
pub struct Fwspec(Opaque<bindings::irq_fwspec>);

impl Fwspec {
    /// Wraps what the interrupt core passes.
    ///
    /// # Safety
    ///
    /// `raw` must be valid for `'a` and not change meanwhile.
    pub unsafe fn from_raw<'a>(raw: *const bindings::irq_fwspec) -> &'a Self {
        // SAFETY: A transparent wrapper, and by the requirements of this function.
        unsafe { &*raw.cast() }
    }

    /// The cells.
    pub fn cells(&self) -> &[u32] {
        // SAFETY: Valid by the requirements of `from_raw`.
        let raw = unsafe { &*self.0.get() };
        let count = usize::try_from(raw.param_count).unwrap_or(0);

        raw.param.get(..count).unwrap_or_default()
    }
}
