// SPDX-License-Identifier: GPL-2.0

//! A spinlock that spins also on `PREEMPT_RT`, for what interrupt core, scheduler and guest entry
//! call.
//!
//! C header: [`include/linux/spinlock.h`](srctree/include/linux/spinlock.h), `raw_spinlock_t`

use kernel::{
    bindings,
    prelude::*,
    sync::lock::{
        Backend,
        Lock, //
    },
};

/// Mutual exclusion by a `raw_spinlock_t`, with local interrupts off while it is held.
pub type RawSpinLock<T> = Lock<T, RawSpinLockBackend>;

/// The backend of [`RawSpinLock`].
pub struct RawSpinLockBackend;

// SAFETY: The raw spinlock excludes all other owners; `relock` is the default, which locks the same
// way.
unsafe impl Backend for RawSpinLockBackend {
    type State = bindings::raw_spinlock_t;
    /// The interrupt flags from before.
    type GuardState = usize;

    unsafe fn init(ptr: *mut Self::State, name: *const c_char, key: *mut bindings::lock_class_key) {
        // SAFETY: By the requirements of this function.
        unsafe { bindings::raw_spin_lock_init_key(ptr, name, key) }
    }

    #[inline]
    unsafe fn lock(ptr: *mut Self::State) -> Self::GuardState {
        // SAFETY: The lock is initialised.
        unsafe { bindings::raw_spin_lock_irqsave(ptr) }
    }

    #[inline]
    unsafe fn unlock(ptr: *mut Self::State, flags: &Self::GuardState) {
        // SAFETY: The caller owns the lock, and the flags are from when it took it.
        unsafe { bindings::raw_spin_unlock_irqrestore(ptr, *flags) }
    }

    #[inline]
    unsafe fn try_lock(ptr: *mut Self::State) -> Option<Self::GuardState> {
        let mut flags = 0;

        // SAFETY: The lock is initialised.
        unsafe { bindings::raw_spin_trylock_irqsave(ptr, &mut flags) }.then_some(flags)
    }

    #[inline]
    unsafe fn assert_is_held(ptr: *mut Self::State) {
        // SAFETY: The lock is initialised.
        unsafe { bindings::raw_spin_assert_held(ptr) }
    }
}
