// SPDX-License-Identifier: GPL-2.0

//! Work that a CPU does in hardirq context when another one asks for it.
//!
//! C header: [`include/linux/irq_work.h`](srctree/include/linux/irq_work.h)

use kernel::{
    bindings,
    cpu::CpuId,
    interrupt::LocalInterruptDisabled,
    prelude::*,
    types::Opaque, //
};

use crate::cpumask;

/// What is done, see [`IrqWork`].
pub trait Run {
    /// Called in hardirq context, also on `PREEMPT_RT`, on the CPU that was asked.
    fn run(irqs_off: &LocalInterruptDisabled);
}

/// Work for another CPU; waited for when it is dropped.
///
/// # Examples
///
/// ```
/// use kernel::{cpu::CpuId, interrupt::*, prelude::*};
/// use kernel_ext::{cpumask, irq_work::{IrqWork, Run}};
///
/// struct Refresh;
///
/// impl Run for Refresh {
///     fn run(_irqs_off: &LocalInterruptDisabled) {
///         // Brings the registers of this CPU up to date.
///     }
/// }
///
/// /// Asks `cpu` for it, unless that is offline.
/// fn refresh_on(work: &IrqWork, cpu: CpuId) {
///     let irqs_off = local_interrupt_disable();
///
///     if cpumask::is_online(cpu) {
///         work.queue_on(cpu, &irqs_off);
///     }
/// }
///
/// # fn example() -> Result {
/// let work = KBox::pin_init(IrqWork::new::<Refresh>(), GFP_KERNEL)?;
///
/// for cpu in cpumask::iter(cpumask::online_mask()) {
///     refresh_on(&work, cpu);
/// }
/// # Ok(())
/// # }
/// ```
///
/// With interrupts on, `cpu` could go offline between a check and the call, so the token is asked
/// for:
///
/// ```compile_fail,E0061
/// # use kernel::cpu::CpuId;
/// # use kernel_ext::irq_work::IrqWork;
/// fn refresh_on(work: &IrqWork, cpu: CpuId) {
///     work.queue_on(cpu);
/// }
/// ```
///
/// # Invariants
///
/// The work is initialised and does not move.
#[pin_data(PinnedDrop)]
pub struct IrqWork {
    #[pin]
    raw: Opaque<bindings::irq_work>,
}

// SAFETY: Work belongs to no thread: any may wait for it, which is what dropping it does.
unsafe impl Send for IrqWork {}
// SAFETY: Through a shared reference it is only asked for, and C claims it atomically before it
// touches anything else.
unsafe impl Sync for IrqWork {}

impl IrqWork {
    /// Creates work, `T`, that nobody has asked for.
    pub fn new<T: Run>() -> impl PinInit<Self> {
        pin_init!(Self {
            raw <- Opaque::ffi_init(|raw| {
                // SAFETY: The place is valid, and the callback has the right signature.
                unsafe { bindings::init_irq_work_hard(raw, Some(run::<T>)) }
            }),
        })
    }

    /// Asks `cpu`, which must be online, to do the work soon, unless it has been asked and has not
    /// begun yet. Any context but NMI.
    ///
    /// Interrupts are off so that `cpu` cannot go offline meanwhile. What was written before is
    /// visible to the work. A CPU that is not possible is not asked.
    pub fn queue_on(&self, cpu: CpuId, _irqs_off: &LocalInterruptDisabled) {
        if !cpumask::is_possible(cpu) {
            return;
        }
        // CAST: A CPU number.
        // SAFETY: Initialised by the type invariant, and lives until the work is done. The CPU has a
        // queue.
        unsafe { bindings::irq_work_queue_on(self.raw.get(), cpu.as_u32() as i32) };
    }
}

#[pinned_drop]
impl PinnedDrop for IrqWork {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: Initialised by the type invariant.
        unsafe { bindings::irq_work_sync(self.raw.get()) };
    }
}

/// # Safety
///
/// Only for the core of such work, which calls it with interrupts off.
unsafe extern "C" fn run<T: Run>(_work: *mut bindings::irq_work) {
    // SAFETY: Work of this kind runs with interrupts off.
    T::run(unsafe { LocalInterruptDisabled::assume_disabled() });
}
