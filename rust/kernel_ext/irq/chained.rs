// SPDX-License-Identifier: GPL-2.0

//! Chained handlers: interrupts that only say that another controller has some.
//!
//! C header: [`include/linux/irqchip/chained_irq.h`](srctree/include/linux/irqchip/chained_irq.h)

use core::ptr;

use kernel::{
    bindings,
    interrupt::LocalInterruptDisabled,
    prelude::*,
    sync::atomic::{
        Atomic,
        Full, //
    }, //
};

use super::intc::IntcIrq;

/// Handles a chained interrupt, see [`ChainedIrq`].
pub trait ChainedHandler {
    /// The parent interrupt arrived on this CPU: hand out everything that is pending.
    ///
    /// Hardirq context, interrupts off.
    fn handle(flow: &ChainedContext<'_>);
}

/// Evidence that a chained interrupt is being handled: hardirq context, between the parent chip's
/// enter and exit.
///
/// # Examples
///
/// Only the interrupt core's callback makes one; code of a driver cannot pretend to be in it:
///
/// ```compile_fail,E0451
/// use core::ptr;
/// use kernel::interrupt::local_interrupt_disable;
/// use kernel_ext::{ipi_mux, irq::chained::ChainedContext};
///
/// ipi_mux::process(&ChainedContext {
///     chip: ptr::null_mut(),
///     desc: ptr::null_mut(),
///     irqs_off: &local_interrupt_disable(),
/// });
/// ```
pub struct ChainedContext<'a> {
    chip: *mut bindings::irq_chip,
    desc: *mut bindings::irq_desc,
    irqs_off: &'a LocalInterruptDisabled,
}

impl ChainedContext<'_> {
    /// Local interrupts are off.
    #[inline(always)]
    pub fn irqs_off(&self) -> &LocalInterruptDisabled {
        self.irqs_off
    }
}

impl Drop for ChainedContext<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        // SAFETY: Pairs with the enter in `handle`, with the same arguments.
        unsafe { bindings::chained_irq_exit(self.chip, self.desc) };
    }
}

/// # Safety
///
/// Only for the interrupt core, which passes a valid descriptor, interrupts off.
unsafe extern "C" fn handle<T: ChainedHandler>(desc: *mut bindings::irq_desc) {
    // SAFETY: Chained handlers run with interrupts off.
    let irqs_off = unsafe { LocalInterruptDisabled::assume_disabled() };
    // SAFETY: The core calls with a valid descriptor.
    let chip = unsafe { bindings::irq_desc_get_chip(desc) };

    // SAFETY: The core calls with a valid descriptor.
    unsafe { bindings::chained_irq_enter(chip, desc) };
    T::handle(&ChainedContext {
        chip,
        desc,
        irqs_off,
    });
}

/// A parent interrupt with a chained handler; both are removed when it is dropped.
///
/// # Examples
///
/// ```
/// use kernel::{interrupt::local_interrupt_disable, prelude::*};
/// use kernel_ext::{
///     arch::riscv::{self, aia::Aia},
///     irq::chained::{ChainedContext, ChainedHandler, ChainedIrq},
/// };
///
/// struct Files;
///
/// impl ChainedHandler for Files {
///     fn handle(flow: &ChainedContext<'_>) {
///         let Some(aia) = Aia::detect() else { return };
///
///         while aia.claim_topei(flow.irqs_off()) != 0 {
///             // Hands the interrupt out.
///         }
///     }
/// }
///
/// # fn example() -> Result {
/// let parent = ChainedIrq::of_intc(riscv::IRQ_EXT)?;
///
/// // On this CPU; each other one enables it when it comes up.
/// parent.install::<Files>();
/// parent.enable(&local_interrupt_disable());
/// # Ok(())
/// # }
/// ```
///
/// # Invariants
///
/// No other value has the interrupt.
pub struct ChainedIrq {
    irq: IntcIrq,
    /// Given up when all else is.
    _claim: Claim,
}

/// The interrupts of the harts' controllers that a [`ChainedIrq`] stands for, a bit for each.
static CLAIMED: Atomic<u64> = Atomic::new(0);

/// The claim of one of them; given up when dropped.
struct Claim(u64);

impl Drop for Claim {
    fn drop(&mut self) {
        CLAIMED.fetch_and(!self.0, Full);
    }
}

impl ChainedIrq {
    /// Maps interrupt `hwirq` of the harts' interrupt controllers (INTC). May sleep.
    ///
    /// Fails with `EBUSY` if somebody else handles it.
    pub fn of_intc(hwirq: u32) -> Result<Self> {
        let bit = 1u64.checked_shl(hwirq).ok_or(ENOENT)?;

        // Before it has a handler, C does not know that it is taken.
        if CLAIMED.fetch_or(bit, Full) & bit != 0 {
            return Err(EBUSY);
        }
        let claim = Claim(bit);
        let irq = IntcIrq::map(hwirq)?;

        // SAFETY: The interrupt is mapped.
        if unsafe { bindings::irq_has_action(irq.number()) } {
            return Err(EBUSY);
        }
        // INVARIANT: Just claimed.
        Ok(Self { irq, _claim: claim })
    }

    /// Installs the handler `T`. The interrupt arrives on this CPU from now on, and on each one
    /// that calls [`Self::enable`].
    pub fn install<T: ChainedHandler>(&self) {
        // SAFETY: The interrupt is mapped, and the handler has the right signature.
        unsafe {
            bindings::__irq_set_handler(self.irq.number(), Some(handle::<T>), 1, ptr::null());
        }
    }

    /// Enables the interrupt on this CPU.
    pub fn enable(&self, irqs_off: &LocalInterruptDisabled) {
        self.irq.enable(irqs_off);
    }

    /// Disables the interrupt on this CPU.
    pub fn disable(&self, irqs_off: &LocalInterruptDisabled) {
        self.irq.disable(irqs_off);
    }
}

impl Drop for ChainedIrq {
    fn drop(&mut self) {
        let irq = self.irq.number();

        // SAFETY: The interrupt is mapped; without a handler nothing is called any more. One that
        // there is, is ours: there was none.
        unsafe {
            if bindings::irq_has_action(irq) {
                bindings::__irq_set_handler(irq, None, 1, ptr::null());
            }
        }
        // SAFETY: It has no handler, and the value is gone.
        unsafe { self.irq.dispose() };
    }
}
