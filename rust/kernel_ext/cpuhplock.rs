// SPDX-License-Identifier: GPL-2.0

//! The lock that keeps CPUs from coming and going.
//!
//! C header: [`include/linux/cpuhplock.h`](srctree/include/linux/cpuhplock.h)

#[cfg(CONFIG_HOTPLUG_CPU)]
use kernel::bindings;
use kernel::types::NotThreadSafe;

/// No CPU comes online or goes offline as long as it lives.
///
/// # Examples
///
/// ```
/// use kernel_ext::{cpuhplock::CpusReadLock, cpumask, smp};
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
