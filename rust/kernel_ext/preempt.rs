// SPDX-License-Identifier: GPL-2.0

//! Staying on a CPU.
//!
//! C header: [`include/linux/preempt.h`](srctree/include/linux/preempt.h)

use kernel::{
    bindings,
    types::NotThreadSafe, //
};

/// Keeps the running thread on its CPU, and others off it, as long as it lives.
///
/// # Examples
///
/// ```
/// use kernel_ext::preempt::PreemptionDisabled;
///
/// let undisturbed = PreemptionDisabled::new();
/// // Two accesses that no other task of this CPU must come between.
/// drop(undisturbed);
/// ```
///
/// It ends where it began, by the same thread:
///
/// ```compile_fail,E0277
/// use kernel_ext::preempt::PreemptionDisabled;
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
/// use kernel_ext::preempt::PreemptionBorrowed;
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
/// use kernel_ext::preempt::PreemptionBorrowed;
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
/// use kernel_ext::preempt::MigrationDisabled;
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
