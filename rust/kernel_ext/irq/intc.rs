// SPDX-License-Identifier: GPL-2.0

//! Interrupts of the harts' own controllers (INTC), whose domain its driver has made.
//!
//! C headers: [`include/linux/irqdomain.h`](srctree/include/linux/irqdomain.h),
//! [`include/linux/interrupt.h`](srctree/include/linux/interrupt.h)

use core::ptr;

use kernel::{
    bindings,
    interrupt::LocalInterruptDisabled,
    prelude::*, //
};

/// A mapped interrupt of the harts' own controllers.
///
/// The mapping stays, for who maps the interrupt again: the core does not free all of a per-CPU
/// interrupt. Who has to give it back calls [`Self::dispose`].
///
/// # Invariants
///
/// `number` is that of a mapped per-CPU interrupt.
pub(super) struct IntcIrq {
    number: u32,
    /// Nobody else had mapped it before.
    ours: bool,
}

impl IntcIrq {
    /// Maps interrupt `hwirq`. May sleep.
    ///
    /// Fails with `ENOENT` if there is no such interrupt.
    pub(super) fn map(hwirq: u32) -> Result<Self> {
        // SAFETY: Looks the node of the INTC up, and the domain of that node.
        let domain = unsafe {
            bindings::irq_find_matching_fwnode(
                bindings::riscv_get_intc_hwnode(),
                bindings::irq_domain_bus_token_DOMAIN_BUS_ANY,
            )
        };

        if domain.is_null() {
            return Err(ENOENT);
        }
        // SAFETY: The domain is valid.
        let ours = unsafe {
            bindings::__irq_resolve_mapping(domain, hwirq as usize, ptr::null_mut()).is_null()
        };
        // SAFETY: The domain is valid, the affinity may be absent.
        let number =
            unsafe { bindings::irq_create_mapping_affinity(domain, hwirq as usize, ptr::null()) };

        if number == 0 {
            return Err(ENOENT);
        }
        // INVARIANT: Just mapped; all that the INTC has are per CPU.
        Ok(Self { number, ours })
    }

    /// Its number in Linux.
    pub(super) fn number(&self) -> u32 {
        self.number
    }

    /// Gives the mapping back, if nobody else had made it. May sleep.
    ///
    /// # Safety
    ///
    /// The interrupt must have no handler, and is not used any more.
    pub(super) unsafe fn dispose(&self) {
        if self.ours {
            // SAFETY: Mapped by us, and by the requirements of this function.
            unsafe { bindings::irq_dispose_mapping(self.number) };
        }
    }

    /// Enables the interrupt on this CPU.
    pub(super) fn enable(&self, _irqs_off: &LocalInterruptDisabled) {
        // SAFETY: A per-CPU interrupt, on the running CPU.
        unsafe { bindings::enable_percpu_irq(self.number, bindings::IRQ_TYPE_NONE) };
    }

    /// Disables the interrupt on this CPU.
    pub(super) fn disable(&self, _irqs_off: &LocalInterruptDisabled) {
        // SAFETY: A per-CPU interrupt, on the running CPU.
        unsafe { bindings::disable_percpu_irq(self.number) };
    }
}
