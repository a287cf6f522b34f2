// SPDX-License-Identifier: GPL-2.0

//! Per-CPU interrupts of the harts' own controllers, with a handler of their own.
//!
//! C header: [`include/linux/interrupt.h`](srctree/include/linux/interrupt.h)

use core::ptr;

use kernel::{
    bindings,
    error::to_result,
    interrupt::LocalInterruptDisabled,
    prelude::*, //
};

use super::intc::IntcIrq;
use crate::percpu::PerCpu;

/// Handles a per-CPU interrupt, see [`PerCpuIrq`].
pub trait PerCpuHandler {
    /// The interrupt arrived on this CPU. Hardirq context.
    fn handle(irqs_off: &LocalInterruptDisabled);
}

/// A per-CPU interrupt with a handler, which is removed when it is dropped.
///
/// # Examples
///
/// ```
/// use kernel::{interrupt::LocalInterruptDisabled, prelude::*};
/// use kernel_ext::{
///     arch::riscv::hypervisor::IRQ_S_GEXT, cpuhplock::CpusReadLock, cpumask, irq::percpu::{PerCpuHandler, PerCpuIrq},
///     smp,
/// };
///
/// struct Sgei;
///
/// impl PerCpuHandler for Sgei {
///     fn handle(_irqs_off: &LocalInterruptDisabled) {
///         // Wakes up the vCPUs whose guest external interrupts are pending.
///     }
/// }
///
/// # fn example() -> Result {
/// // SAFETY: All CPUs that enable it disable it below, as none goes offline in between.
/// let sgei = unsafe { PerCpuIrq::of_intc::<Sgei>(IRQ_S_GEXT, c"example") }?;
/// let cpus = CpusReadLock::new();
///
/// for cpu in cpumask::iter(cpumask::online_mask()) {
///     smp::call_on(cpu, |irqs_off| sgei.enable(irqs_off))?;
/// }
/// // ...
/// for cpu in cpumask::iter(cpumask::online_mask()) {
///     smp::call_on(cpu, |irqs_off| sgei.disable(irqs_off))?;
/// }
/// drop((cpus, sgei));
/// # Ok(())
/// # }
/// ```
///
/// Each CPU enables the interrupt for itself; with interrupts on there is no telling which one it
/// is:
///
/// ```compile_fail,E0061
/// # use kernel_ext::irq::percpu::PerCpuIrq;
/// fn enable(sgei: &PerCpuIrq) {
///     sgei.enable();
/// }
/// ```
///
/// # Invariants
///
/// `irq` is requested with `cookie`.
pub struct PerCpuIrq {
    irq: IntcIrq,
    cookie: PerCpu<u8>,
}

impl PerCpuIrq {
    /// Requests interrupt `hwirq` of the harts' interrupt controllers (INTC) for `H`; no CPU has it
    /// enabled yet. May sleep.
    ///
    /// Fails with `ENOENT` if there is no such interrupt, and with `EBUSY` if somebody else has it.
    ///
    /// # Safety
    ///
    /// Each CPU that has enabled it must have disabled it before the value is dropped: C goes on
    /// calling the handler of an interrupt that is enabled somewhere.
    pub unsafe fn of_intc<H: PerCpuHandler>(hwirq: u32, name: &'static CStr) -> Result<Self> {
        let irq = IntcIrq::map(hwirq)?;
        let cookie = PerCpu::new(|_| Ok(0))?;

        // SAFETY: The handler has the right signature, the name lives for ever, and the cookie is a
        // per-CPU allocation that lives until the interrupt is freed.
        to_result(unsafe {
            bindings::request_percpu_irq_affinity(
                irq.number(),
                Some(handle::<H>),
                name.as_char_ptr(),
                ptr::null(),
                cookie.as_raw().cast(),
            )
        })?;
        // INVARIANT: Just requested.
        Ok(Self { irq, cookie })
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

impl Drop for PerCpuIrq {
    fn drop(&mut self) {
        // SAFETY: By the type invariant.
        unsafe { bindings::free_percpu_irq(self.irq.number(), self.cookie.as_raw().cast()) };
    }
}

/// # Safety
///
/// Only for the interrupt core, interrupts off.
unsafe extern "C" fn handle<H: PerCpuHandler>(
    _irq: c_int,
    _cookie: *mut c_void,
) -> bindings::irqreturn_t {
    // SAFETY: Handlers of per-CPU interrupts run with interrupts off.
    H::handle(unsafe { LocalInterruptDisabled::assume_disabled() });
    bindings::irqreturn_t::IRQ_HANDLED
}
