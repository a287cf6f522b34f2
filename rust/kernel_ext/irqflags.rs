// SPDX-License-Identifier: GPL-2.0

//! Interrupts of this CPU, on and off.
//!
//! C header: [`include/linux/irqflags.h`](srctree/include/linux/irqflags.h)

use kernel::{
    bindings,
    interrupt::LocalInterruptDisabled, //
};

/// Calls `f` with interrupts off on this CPU; afterwards, they are as they were before.
///
/// It costs less than a token of [`local_interrupt_disable`], of which it is counted how many there are.
/// As with a [`ScopedLock`], no such token may outlive the function, which [`Send`] ensures.
///
/// # Examples
///
/// ```
/// use kernel::sync::atomic::{Atomic, Relaxed};
/// use kernel_ext::{irqflags, percpu::PerCpu};
///
/// fn count(counters: &PerCpu<Atomic<u64>>) {
///     irqflags::with_interrupts_off(|irqs_off| {
///         let here = counters.here(irqs_off);
///
///         here.store(here.load(Relaxed) + 1, Relaxed);
///     });
/// }
/// ```
///
/// A token cannot be brought out:
///
/// ```compile_fail,E0277
/// use kernel::interrupt::local_interrupt_disable;
/// use kernel_ext::irqflags;
///
/// let irqs_off = irqflags::with_interrupts_off(|_| local_interrupt_disable());
/// ```
///
/// [`local_interrupt_disable`]: kernel::interrupt::local_interrupt_disable
/// [`ScopedLock`]: crate::sync::ScopedLock
#[inline(always)]
pub fn with_interrupts_off<R: Send>(f: impl FnOnce(&LocalInterruptDisabled) -> R + Send) -> R {
    // SAFETY: Any context.
    let flags = unsafe { bindings::local_irq_save() };
    // SAFETY: Just switched off. What `f` switches off in between it switches on again, or forgets to: then
    // interrupts stay off where somebody next asks for that.
    let result = f(unsafe { LocalInterruptDisabled::assume_disabled() });

    // SAFETY: Saved above.
    unsafe { bindings::local_irq_restore(flags) };
    result
}

/// Whether this CPU has interrupts off.
pub fn are_interrupts_off() -> bool {
    // SAFETY: Any context.
    unsafe { bindings::irqs_disabled() }
}
