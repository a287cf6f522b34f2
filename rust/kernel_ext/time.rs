// SPDX-License-Identifier: GPL-2.0

//! Time.

pub mod timer;

use kernel::bindings;

/// Jiffies in a second.
pub const HZ: usize = bindings::CONFIG_HZ as usize;

/// The jiffies since some time before boot; wraps.
///
/// # Examples
///
/// ```
/// use kernel_ext::time::{jiffies, HZ};
///
/// /// Whether a second has passed since `then`.
/// fn is_over(then: usize) -> bool {
///     jiffies().wrapping_sub(then) >= HZ
/// }
/// ```
#[inline]
pub fn jiffies() -> usize {
    // SAFETY: The kernel reads the counter like that too; a word is never torn.
    unsafe { core::ptr::addr_of!(bindings::jiffies).read_volatile() }
}

/// Nanoseconds of the monotonic clock, in any context. Unlike [`jiffies`], they do not stand still, and
/// then jump, while timer interrupts are late; they may be behind by a few where the clock is adjusted.
///
/// # Examples
///
/// ```
/// use kernel_ext::time::monotonic_ns;
///
/// /// Whether a millisecond has passed since `then`.
/// fn is_over(then: u64) -> bool {
///     monotonic_ns().wrapping_sub(then) >= 1_000_000
/// }
/// ```
#[inline]
pub fn monotonic_ns() -> u64 {
    // SAFETY: The function is for any context, from boot on.
    unsafe { bindings::ktime_get_mono_fast_ns() }
}
