// SPDX-License-Identifier: GPL-2.0

//! CPUs enter states that may lose their registers.
//!
//! C header: [`include/linux/cpu_pm.h`](srctree/include/linux/cpu_pm.h)

#[cfg(CONFIG_CPU_PM)]
use kernel::{
    bindings,
    error::to_result,
    interrupt::local_interrupt_disable,
    types::Opaque, //
};
use kernel::{
    interrupt::LocalInterruptDisabled,
    prelude::*, //
};

/// What to do when the running CPU enters and leaves a state that may lose its registers: a deep idle
/// state, or, of the last CPU, the sleep of the system.
///
/// See [`Registration`] for an example.
pub trait LowPower {
    /// The running CPU is about to enter such a state. May not sleep.
    fn enter(irqs_off: &LocalInterruptDisabled);

    /// It is back, or did not enter it after all. May not sleep.
    fn exit(irqs_off: &LocalInterruptDisabled);
}

/// Callbacks that are called on each CPU; removed when dropped.
///
/// # Examples
///
/// ```
/// use kernel::{interrupt::LocalInterruptDisabled, prelude::*};
/// use kernel_ext::cpu_pm::{LowPower, Registration};
///
/// struct InterruptFile;
///
/// impl LowPower for InterruptFile {
///     fn enter(_irqs_off: &LocalInterruptDisabled) {
///         // Saves what is pending.
///     }
///
///     fn exit(_irqs_off: &LocalInterruptDisabled) {
///         // Makes it pending again.
///     }
/// }
///
/// # fn example() -> Result {
/// let power = Registration::new::<InterruptFile>()?;
///
/// // Nothing can fail any more, and the controller stays for ever.
/// power.leak();
/// # Ok(())
/// # }
/// ```
///
/// # Invariants
///
/// The block is registered.
pub struct Registration(#[cfg(CONFIG_CPU_PM)] KBox<Opaque<bindings::notifier_block>>);

#[cfg(CONFIG_CPU_PM)]
impl Registration {
    /// Registers the callbacks of `T`. May sleep.
    pub fn new<T: LowPower>() -> Result<Self> {
        let block = KBox::new(
            Opaque::new(bindings::notifier_block {
                notifier_call: Some(notify::<T>),
                ..Default::default()
            }),
            GFP_KERNEL,
        )?;

        // SAFETY: The block stays where it is until it is removed, when `self` is dropped.
        to_result(unsafe { bindings::cpu_pm_register_notifier(block.get()) })?;
        // INVARIANT: Just registered.
        Ok(Self(block))
    }
}

#[cfg(not(CONFIG_CPU_PM))]
impl Registration {
    /// CPUs enter no such states.
    pub fn new<T: LowPower>() -> Result<Self> {
        Ok(Self())
    }
}

impl Registration {
    /// Keeps the callbacks for ever.
    pub fn leak(self) {
        core::mem::forget(self);
    }
}

#[cfg(CONFIG_CPU_PM)]
impl Drop for Registration {
    fn drop(&mut self) {
        // SAFETY: Registered, by the type invariant.
        unsafe { bindings::cpu_pm_unregister_notifier(self.0.get()) };
    }
}

/// # Safety
///
/// Only for the core of CPU power management, which calls it on the CPU itself.
#[cfg(CONFIG_CPU_PM)]
unsafe extern "C" fn notify<T: LowPower>(
    _block: *mut bindings::notifier_block,
    event: usize,
    _data: *mut c_void,
) -> c_int {
    // They are off already.
    let irqs_off = local_interrupt_disable();

    // CAST: Small numbers.
    match event as bindings::cpu_pm_event {
        bindings::cpu_pm_event_CPU_PM_ENTER => T::enter(&irqs_off),
        bindings::cpu_pm_event_CPU_PM_EXIT | bindings::cpu_pm_event_CPU_PM_ENTER_FAILED => {
            T::exit(&irqs_off);
        }
        // Of clusters.
        _ => {}
    }
    // CAST: A small number.
    bindings::NOTIFY_OK as c_int
}
