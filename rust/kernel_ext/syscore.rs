// SPDX-License-Identifier: GPL-2.0

//! The system goes to sleep.
//!
//! C header: [`include/linux/syscore_ops.h`](srctree/include/linux/syscore_ops.h)

use core::{
    marker::PhantomData,
    ptr, //
};

use kernel::{
    bindings,
    interrupt::{
        local_interrupt_disable,
        LocalInterruptDisabled, //
    },
    prelude::*,
    sync::atomic::{
        Atomic,
        Full, //
    },
    types::Opaque, //
};

/// What to do when the system goes to sleep and wakes up, see [`Syscore`].
///
/// Called on the only CPU that is online.
pub trait Operations {
    /// Power is about to go. May not sleep.
    fn suspend(irqs_off: &LocalInterruptDisabled);

    /// Power is back. May not sleep.
    fn resume(irqs_off: &LocalInterruptDisabled);
}

/// The operations of a driver; what it registers, once, for all its devices.
///
/// Those that are registered first are suspended last, and resumed first.
///
/// # Examples
///
/// ```
/// use kernel::{interrupt::LocalInterruptDisabled, prelude::*};
/// use kernel_ext::syscore::{Operations, Syscore};
///
/// struct Sleep;
///
/// impl Operations for Sleep {
///     fn suspend(_irqs_off: &LocalInterruptDisabled) {
///         // Saves the registers of all controllers.
///     }
///
///     fn resume(_irqs_off: &LocalInterruptDisabled) {
///         // Writes them.
///     }
/// }
///
/// static SLEEP: Syscore<Sleep> = Syscore::new();
///
/// fn probe() {
///     // Any probe but the first changes nothing.
///     SLEEP.register();
/// }
/// ```
///
/// It is never removed, so that it has to be a static:
///
/// ```compile_fail,E0597
/// # use kernel_ext::syscore::{Operations, Syscore};
/// fn probe<T: Operations + 'static>() {
///     let sleep = Syscore::<T>::new();
///
///     sleep.register();
/// }
/// ```
pub struct Syscore<T> {
    raw: Opaque<bindings::syscore>,
    registered: Atomic<bool>,
    _operations: PhantomData<fn(T)>,
}

// SAFETY: C has the structure from the first registration on, with a lock of its own, and nobody else
// touches it.
unsafe impl<T> Sync for Syscore<T> {}

impl<T: Operations> Syscore<T> {
    const OPS: &'static bindings::syscore_ops = &bindings::syscore_ops {
        suspend: Some(suspend::<T>),
        resume: Some(resume::<T>),
        shutdown: None,
    };

    /// Creates what can be registered.
    pub const fn new() -> Self {
        Self {
            raw: Opaque::new(bindings::syscore {
                node: bindings::list_head {
                    next: ptr::null_mut(),
                    prev: ptr::null_mut(),
                },
                ops: Self::OPS,
                data: ptr::null_mut(),
            }),
            registered: Atomic::new(false),
            _operations: PhantomData,
        }
    }

    /// Registers it, unless it is. May sleep.
    pub fn register(&'static self) {
        if !self.registered.xchg(true, Full) {
            // SAFETY: It lives for ever, and is registered only once.
            unsafe { bindings::register_syscore(self.raw.get()) };
        }
    }
}

impl<T: Operations> Default for Syscore<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// # Safety
///
/// Only for the core, which calls it on the last CPU.
unsafe extern "C" fn suspend<T: Operations>(_data: *mut c_void) -> c_int {
    // They are off already.
    T::suspend(&local_interrupt_disable());
    0
}

/// # Safety
///
/// Only for the core, which calls it on the first CPU.
unsafe extern "C" fn resume<T: Operations>(_data: *mut c_void) {
    T::resume(&local_interrupt_disable());
}
