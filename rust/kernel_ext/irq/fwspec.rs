// SPDX-License-Identifier: GPL-2.0

//! Interrupt specifiers of firmware.
//!
//! C header: [`include/linux/irqdomain.h`](srctree/include/linux/irqdomain.h), `struct irq_fwspec`

use kernel::{
    bindings,
    error::from_result,
    prelude::*,
    types::Opaque, //
};

use super::trigger::Trigger;

/// An interrupt as the firmware names it.
///
/// # Examples
///
/// ```
/// use kernel::prelude::*;
/// use kernel_ext::irq::{fwspec::Fwspec, trigger::Trigger};
///
/// /// As `DomainOps::translate()`, for `#interrupt-cells = <2>`.
/// fn translate(spec: &Fwspec) -> Result<(usize, Trigger)> {
///     let &[number, kind] = spec.cells() else {
///         pr_err!("a specifier has two cells\n");
///         return Err(EINVAL);
///     };
///
///     Ok((usize::try_from(number)?, Trigger::from_raw(kind).ok_or(EINVAL)?))
/// }
/// ```
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

    /// A callback `translate` of C: hands the number and trigger that `decode` finds in a specifier
    /// to the interrupt core.
    ///
    /// # Safety
    ///
    /// `raw` must be valid and not change meanwhile, and `hwirq` and `kind` must be writable.
    pub(crate) unsafe fn translate(
        raw: *const bindings::irq_fwspec,
        hwirq: *mut usize,
        kind: *mut u32,
        decode: impl FnOnce(&Self) -> Result<(usize, Trigger)>,
    ) -> c_int {
        from_result(|| {
            // SAFETY: By the requirements of this function.
            let (number, trigger) = decode(unsafe { Self::from_raw(raw) })?;

            // SAFETY: As above.
            unsafe {
                hwirq.write(number);
                kind.write(trigger.to_raw());
            }
            Ok(0)
        })
    }
}
