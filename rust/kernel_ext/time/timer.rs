// SPDX-License-Identifier: GPL-2.0

//! Timers of the wheel: coarse, cheap, in softirq context.
//!
//! C header: [`include/linux/timer.h`](srctree/include/linux/timer.h)

use kernel::{
    bindings,
    interrupt::{
        local_interrupt_disable,
        LocalInterruptDisabled, //
    },
    prelude::*,
    types::Opaque, //
};

/// What happens when a timer expires, see [`CpuTimer`].
pub trait Expired {
    /// Called in softirq context on the CPU that the timer was started on, with local interrupts
    /// off.
    fn expired(irqs_off: &LocalInterruptDisabled);
}

/// A timer that expires on the CPU that it was started on; stopped when dropped.
///
/// # Examples
///
/// ```
/// use kernel::{interrupt::*, prelude::*};
/// use kernel_ext::time::{jiffies, timer::{CpuTimer, Expired}};
///
/// struct Retry;
///
/// impl Expired for Retry {
///     fn expired(_irqs_off: &LocalInterruptDisabled) {
///         // Looks whether the device has taken its new message by now.
///     }
/// }
///
/// # fn example() -> Result {
/// let timer = KBox::pin_init(CpuTimer::new::<Retry>(), GFP_KERNEL)?;
///
/// timer.start(jiffies().wrapping_add(1), &local_interrupt_disable());
/// # Ok(())
/// # }
/// ```
///
/// # Invariants
///
/// The timer is initialised and does not move.
#[pin_data(PinnedDrop)]
pub struct CpuTimer {
    #[pin]
    raw: Opaque<bindings::timer_list>,
}

// SAFETY: Any CPU may shut a timer down, which is what dropping it does, also one that another CPU
// has started.
unsafe impl Send for CpuTimer {}
// SAFETY: Starting and stopping lock the timer's base; what is looked at without the lock,
// `timer_pending()`, is one word that C reads like that, too.
unsafe impl Sync for CpuTimer {}

impl CpuTimer {
    /// Creates a timer that is not running, for `T`.
    pub fn new<T: Expired>() -> impl PinInit<Self> {
        pin_init!(Self {
            raw <- Opaque::ffi_init(|raw| {
                // SAFETY: The place is valid, and the callback has the right signature.
                unsafe { bindings::timer_setup_pinned(raw, Some(expired::<T>)) }
            }),
        })
    }

    /// Starts the timer on this CPU unless it runs already. It expires in the tick that makes the
    /// count of [`jiffies`](super::jiffies) `at`; in the next one if it has come so far already.
    pub fn start(&self, at: usize, _irqs_off: &LocalInterruptDisabled) {
        // The wheel rounds up by one, so that no timer is early that was started at the edge of a
        // tick. Here it is the count that matters, not the time from now.
        let expires = at.wrapping_sub(1);

        // SAFETY: Initialised by the type invariant. The wheel has a lock: if somebody else starts it in
        // between, it expires at the one time or at the other.
        unsafe {
            if !bindings::timer_pending(self.raw.get()) {
                bindings::mod_timer(self.raw.get(), expires);
            }
        }
    }

    /// Stops the timer if its callback does not run right now. Any context.
    pub fn stop(&self) {
        // SAFETY: Initialised by the type invariant.
        unsafe { bindings::timer_delete(self.raw.get()) };
    }
}

#[pinned_drop]
impl PinnedDrop for CpuTimer {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: Initialised by the type invariant; the callback does not drop the timer.
        unsafe { bindings::timer_shutdown_sync(self.raw.get()) };
    }
}

/// # Safety
///
/// Only for the timer core.
unsafe extern "C" fn expired<T: Expired>(_timer: *mut bindings::timer_list) {
    T::expired(&local_interrupt_disable());
}
