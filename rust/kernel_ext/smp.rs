// SPDX-License-Identifier: GPL-2.0

//! Calls of functions on other CPUs, and staying on one.
//!
//! C header: [`include/linux/smp.h`](srctree/include/linux/smp.h)

use core::ptr;

use kernel::{
    bindings,
    cpu::CpuId,
    error::to_result,
    interrupt::LocalInterruptDisabled,
    prelude::*,
    types::NotThreadSafe, //
};

/// Calls `f` on `cpu`, which may be the running one, and returns what it returns.
///
/// `f` runs with interrupts off, maybe in hardirq context. Fails with `ENXIO` if `cpu` is offline.
/// Interrupts must be on, and the caller must not hold what an interrupt handler waits for.
///
/// # Examples
///
/// ```
/// use kernel::{cpu::CpuId, interrupt::LocalInterruptDisabled, prelude::*};
/// use kernel_ext::{arch::riscv, smp};
///
/// fn is_asserted_at(cpu: CpuId) -> Result<bool> {
///     smp::call_on(cpu, |irqs_off| riscv::is_external_asserted(irqs_off))
/// }
/// ```
///
/// What is bound to the calling thread, as the guard of a lock is, cannot be used on another CPU:
///
/// ```compile_fail,E0277
/// # use kernel::{cpu::CpuId, prelude::*};
/// use kernel_ext::{smp, sync::RawSpinLock};
///
/// fn count_on(cpu: CpuId, counter: &RawSpinLock<u32>) -> Result {
///     let mut guard = counter.lock();
///
///     smp::call_on(cpu, move |_| *guard += 1)
/// }
/// ```
pub fn call_on<R: Send>(
    cpu: CpuId,
    f: impl FnOnce(&LocalInterruptDisabled) -> R + Send,
) -> Result<R> {
    let mut call = Call {
        f: Some(f),
        result: None,
    };

    // SAFETY: The function has the right signature for the argument, which stays until it has
    // returned, since the call waits.
    to_result(unsafe {
        bindings::smp_call_function_single(
            // CAST: A CPU number.
            cpu.as_u32() as i32,
            Some(entry_of(&call)),
            ptr::from_mut(&mut call).cast(),
            true,
        )
    })?;
    call.result.ok_or(ENXIO)
}

/// Calls `f` with interrupts off on this CPU; afterwards, they are as they were before.
///
/// It costs less than a token of [`local_interrupt_disable`], of which it is counted how many there are.
/// As with a [`ScopedLock`], no such token may outlive the function, which [`Send`] ensures.
///
/// # Examples
///
/// ```
/// use kernel::sync::atomic::{Atomic, Relaxed};
/// use kernel_ext::{percpu::PerCpu, smp};
///
/// fn count(counters: &PerCpu<Atomic<u64>>) {
///     smp::with_interrupts_off(|irqs_off| {
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
/// use kernel_ext::smp;
///
/// let irqs_off = smp::with_interrupts_off(|_| local_interrupt_disable());
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

/// Keeps the running thread on its CPU, and others off it, as long as it lives.
///
/// # Examples
///
/// ```
/// use kernel_ext::smp::PreemptionDisabled;
///
/// let undisturbed = PreemptionDisabled::new();
/// // Two accesses that no other task of this CPU must come between.
/// drop(undisturbed);
/// ```
///
/// It ends where it began, by the same thread:
///
/// ```compile_fail,E0277
/// use kernel_ext::smp::PreemptionDisabled;
///
/// fn hand_over(_: impl Send) {}
///
/// hand_over(PreemptionDisabled::new());
/// ```
pub struct PreemptionDisabled(NotThreadSafe);

impl PreemptionDisabled {
    /// Disables preemption.
    pub fn new() -> Self {
        // SAFETY: Any context.
        unsafe { bindings::preempt_disable() };
        Self(NotThreadSafe)
    }
}

impl Default for PreemptionDisabled {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for PreemptionDisabled {
    fn drop(&mut self) {
        // SAFETY: Disabled by `new`, by the same thread.
        unsafe { bindings::preempt_enable() };
    }
}

/// Preemption is off because a function that called the present one has disabled it, once, and that
/// function bears it being on in between.
///
/// # Examples
///
/// ```
/// use kernel::{alloc::AllocError, prelude::*};
/// use kernel_ext::smp::PreemptionBorrowed;
///
/// /// Called by C with preemption off.
/// ///
/// /// # Safety
/// ///
/// /// As for [`PreemptionBorrowed::assume`].
/// unsafe extern "C" fn enter() {
///     // SAFETY: By the requirements of this function.
///     let mut preemption = unsafe { PreemptionBorrowed::assume() };
///     let room: Result<KBox<[u8; 64]>, AllocError> =
///         preemption.given_back(|| KBox::new([0; 64], GFP_KERNEL));
/// }
/// ```
///
/// Safe code cannot enable preemption that somebody else relies on being off:
///
/// ```compile_fail,E0133
/// use kernel_ext::smp::PreemptionBorrowed;
///
/// let mut preemption = PreemptionBorrowed::assume();
/// ```
pub struct PreemptionBorrowed(NotThreadSafe);

impl PreemptionBorrowed {
    /// Stands for what the caller of the present function has done.
    ///
    /// # Safety
    ///
    /// Preemption must be off because of one `preempt_disable()`, and nothing else may forbid to
    /// sleep. Who called it must not rely on anything that another task, or another CPU on which
    /// the task goes on, changes.
    pub unsafe fn assume() -> Self {
        Self(NotThreadSafe)
    }

    /// Calls `f` with preemption on. The task may be on another CPU afterwards.
    pub fn given_back<R>(&mut self, f: impl FnOnce() -> R) -> R {
        // SAFETY: By the requirements of `assume`.
        unsafe { bindings::preempt_enable() };
        let result = f();
        // SAFETY: Any context.
        unsafe { bindings::preempt_disable() };
        result
    }
}

/// Keeps the running task on its CPU, which others may use, too, as long as it lives.
///
/// # Examples
///
/// ```
/// use kernel::cpu::CpuId;
/// use kernel_ext::smp::MigrationDisabled;
///
/// let here = MigrationDisabled::new();
/// let cpu = CpuId::current();
///
/// // May sleep, and is still on `cpu`.
/// drop(here);
/// ```
pub struct MigrationDisabled(NotThreadSafe);

impl MigrationDisabled {
    /// Disables migration.
    pub fn new() -> Self {
        // SAFETY: Any context.
        unsafe { bindings::migrate_disable() };
        Self(NotThreadSafe)
    }
}

impl Default for MigrationDisabled {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for MigrationDisabled {
    fn drop(&mut self) {
        // SAFETY: Disabled by `new`, by the same task.
        unsafe { bindings::migrate_enable() };
    }
}

/// No CPU comes online or goes offline as long as it lives.
///
/// # Examples
///
/// ```
/// use kernel_ext::{cpumask, smp::{self, CpusReadLock}};
///
/// let cpus = CpusReadLock::new();
///
/// for cpu in cpumask::iter(cpumask::online_mask()) {
///     // Does not fail: the CPU stays online.
///     let _ = smp::call_on(cpu, |_irqs_off| { /* ... */ });
/// }
/// drop(cpus);
/// ```
pub struct CpusReadLock(NotThreadSafe);

impl CpusReadLock {
    /// Waits until no CPU comes or goes. May sleep.
    pub fn new() -> Self {
        // SAFETY: Has no requirements; C complains itself where it must not sleep.
        #[cfg(CONFIG_HOTPLUG_CPU)]
        unsafe {
            bindings::cpus_read_lock()
        };
        Self(NotThreadSafe)
    }
}

impl Default for CpusReadLock {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for CpusReadLock {
    fn drop(&mut self) {
        // SAFETY: Taken by `new`, by the same task.
        #[cfg(CONFIG_HOTPLUG_CPU)]
        unsafe {
            bindings::cpus_read_unlock()
        };
    }
}

/// Whether this CPU has interrupts off.
pub fn are_interrupts_off() -> bool {
    // SAFETY: Any context.
    unsafe { bindings::irqs_disabled() }
}

/// Whether the system is being switched off or restarted: nothing has to be kept any more.
pub fn is_system_ending() -> bool {
    // SAFETY: The kernel reads the variable like that too; it is never torn.
    let state = unsafe { core::ptr::addr_of!(bindings::system_state).read_volatile() };

    matches!(
        state,
        bindings::system_states_SYSTEM_HALT
            | bindings::system_states_SYSTEM_POWER_OFF
            | bindings::system_states_SYSTEM_RESTART
    )
}

struct Call<F, R> {
    f: Option<F>,
    result: Option<R>,
}

/// The C function for a call of this type.
fn entry_of<F: FnOnce(&LocalInterruptDisabled) -> R, R>(
    _: &Call<F, R>,
) -> unsafe extern "C" fn(*mut c_void) {
    entry::<F, R>
}

/// # Safety
///
/// `call` must point to a [`Call`] of this type that nobody else uses, with interrupts off.
unsafe extern "C" fn entry<F: FnOnce(&LocalInterruptDisabled) -> R, R>(call: *mut c_void) {
    // SAFETY: By the requirements of this function.
    let call = unsafe { &mut *call.cast::<Call<F, R>>() };
    // SAFETY: Functions are called with interrupts off.
    let irqs_off = unsafe { LocalInterruptDisabled::assume_disabled() };

    if let Some(f) = call.f.take() {
        call.result = Some(f(irqs_off));
    }
}
