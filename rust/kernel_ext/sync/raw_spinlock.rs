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
///
/// How often interrupts were switched off is counted, as by [`SpinLockIrq`]: guards may be dropped
/// in any order, together with tokens of [`local_interrupt_disable`].
///
/// # Examples
///
/// ```
/// use kernel::{interrupt::local_interrupt_disable, prelude::*, static_lock_class};
/// use kernel_ext::{irqflags::are_interrupts_off, sync::RawSpinLock};
///
/// # fn example() -> Result {
/// let lock = KBox::pin_init(RawSpinLock::new(1, c"example", static_lock_class!()), GFP_KERNEL)?;
///
/// let guard = lock.lock();
/// let irqs_off = local_interrupt_disable();
/// drop(guard);
/// // The token still says what is true.
/// assert!(are_interrupts_off());
/// drop(irqs_off);
/// # Ok(())
/// # }
/// ```
///
/// [`SpinLockIrq`]: kernel::sync::SpinLockIrq
/// [`local_interrupt_disable`]: kernel::interrupt::local_interrupt_disable
pub type RawSpinLock<T> = Lock<T, RawSpinLockBackend>;

/// The backend of [`RawSpinLock`].
pub struct RawSpinLockBackend;

// SAFETY: The raw spinlock excludes all other owners; `relock` is the default, which locks the same
// way.
unsafe impl Backend for RawSpinLockBackend {
    type State = bindings::raw_spinlock_t;
    type GuardState = ();

    unsafe fn init(ptr: *mut Self::State, name: *const c_char, key: *mut bindings::lock_class_key) {
        // SAFETY: By the requirements of this function.
        unsafe { bindings::raw_spin_lock_init_key(ptr, name, key) }
    }

    #[inline]
    unsafe fn lock(ptr: *mut Self::State) -> Self::GuardState {
        // SAFETY: The lock is initialised.
        unsafe { bindings::raw_spin_lock_irq_disable(ptr) }
    }

    #[inline]
    unsafe fn unlock(ptr: *mut Self::State, _: &Self::GuardState) {
        // SAFETY: The caller owns the lock.
        unsafe { bindings::raw_spin_unlock_irq_enable(ptr) }
    }

    #[inline]
    unsafe fn try_lock(ptr: *mut Self::State) -> Option<Self::GuardState> {
        // SAFETY: The lock is initialised.
        unsafe { bindings::raw_spin_trylock_irq_disable(ptr) }.then_some(())
    }

    #[inline]
    unsafe fn assert_is_held(ptr: *mut Self::State) {
        // SAFETY: The lock is initialised.
        unsafe { bindings::raw_spin_assert_held(ptr) }
    }
}
