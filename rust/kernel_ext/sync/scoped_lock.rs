// SPDX-License-Identifier: GPL-2.0

//! A raw spinlock that is held for as long as a function runs.
//!
//! C header: [`include/linux/spinlock.h`](srctree/include/linux/spinlock.h), `raw_spinlock_t`

use kernel::{
    bindings,
    prelude::*,
    sync::{
        lock::{
            Backend,
            Lock, //
        },
        LockClassKey, //
    }, //
};

/// Mutual exclusion by a `raw_spinlock_t`, with local interrupts off, while a function runs.
///
/// It costs less than a [`RawSpinLock`](super::RawSpinLock), since interrupts are then as they were
/// before, whatever they were, instead of a count. So nothing that stands for interrupts that are off
/// may outlive the function: guards and tokens belong to their thread, and neither what the function
/// takes along nor what it returns or changes may.
///
/// # Examples
///
/// ```
/// use kernel::{prelude::*, static_lock_class};
/// use kernel_ext::sync::ScopedLock;
///
/// # fn example() -> Result {
/// let lock = KBox::pin_init(ScopedLock::new(1, c"example", static_lock_class!()), GFP_KERNEL)?;
///
/// assert_eq!(lock.with(|n| core::mem::replace(n, 2)), 1);
/// # Ok(())
/// # }
/// ```
///
/// A token cannot be brought out:
///
/// ```compile_fail,E0277
/// use kernel::interrupt::local_interrupt_disable;
/// use kernel_ext::sync::ScopedLock;
///
/// fn outlives(lock: &ScopedLock<u32>) {
///     let irqs_off = lock.with(|_| local_interrupt_disable());
/// }
/// ```
///
/// Nor in what the function takes along:
///
/// ```compile_fail,E0277
/// use kernel::interrupt::local_interrupt_disable;
/// use kernel_ext::sync::ScopedLock;
///
/// fn outlives(lock: &ScopedLock<u32>) {
///     let mut irqs_off = None;
///
///     lock.with(|_| irqs_off = Some(local_interrupt_disable()));
/// }
/// ```
#[pin_data]
pub struct ScopedLock<T: Send> {
    #[pin]
    lock: Lock<T, Saving>,
}

impl<T: Send> ScopedLock<T> {
    /// Makes a lock that nobody holds.
    pub fn new(
        value: T,
        name: &'static CStr,
        key: Pin<&'static LockClassKey>,
    ) -> impl PinInit<Self> {
        pin_init!(Self {
            lock <- Lock::new(value, name, key),
        })
    }

    /// Calls `f` with the lock held. Any context but NMI; what `f` does must bear it.
    #[inline(always)]
    pub fn with<R: Send>(&self, f: impl FnOnce(&mut T) -> R + Send) -> R
    where
        T: Unpin,
    {
        f(&mut self.lock.lock())
    }
}

/// Its guards must be dropped in the opposite order.
struct Saving;

// SAFETY: The raw spinlock excludes all other owners; `relock` is the default, which locks the same
// way.
unsafe impl Backend for Saving {
    type State = bindings::raw_spinlock_t;
    /// What interrupts were before.
    type GuardState = usize;

    unsafe fn init(ptr: *mut Self::State, name: *const c_char, key: *mut bindings::lock_class_key) {
        // SAFETY: By the requirements of this function.
        unsafe { bindings::raw_spin_lock_init_key(ptr, name, key) }
    }

    #[inline(always)]
    unsafe fn lock(ptr: *mut Self::State) -> Self::GuardState {
        // SAFETY: The lock is initialised.
        unsafe { bindings::raw_spin_lock_irqsave(ptr) }
    }

    #[inline(always)]
    unsafe fn unlock(ptr: *mut Self::State, flags: &Self::GuardState) {
        // SAFETY: The caller owns the lock, and has got these from `lock`.
        unsafe { bindings::raw_spin_unlock_irqrestore(ptr, *flags) }
    }

    #[inline]
    unsafe fn try_lock(_ptr: *mut Self::State) -> Option<Self::GuardState> {
        // Nobody tries.
        None
    }

    #[inline]
    unsafe fn assert_is_held(ptr: *mut Self::State) {
        // SAFETY: The lock is initialised.
        unsafe { bindings::raw_spin_assert_held(ptr) }
    }
}
