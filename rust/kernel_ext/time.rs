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
