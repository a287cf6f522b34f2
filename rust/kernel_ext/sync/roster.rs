// SPDX-License-Identifier: GPL-2.0

//! Lists that only grow, for readers that must not wait.

use core::{
    marker::PhantomData,
    ptr, //
};

use kernel::sync::atomic::{
    Atomic,
    Full,
    Relaxed, //
};

/// At most `N` values that live for ever, listed in the order in which they came.
///
/// Reading it takes a load for each value, any context.
///
/// # Examples
///
/// The controllers of a driver, for its handlers:
///
/// ```
/// use kernel::{prelude::*, sync::atomic::{Atomic, Relaxed}};
/// use kernel_ext::sync::Roster;
///
/// struct Controller {
///     handled: Atomic<u64>,
/// }
///
/// static CONTROLLERS: Roster<Controller, 16> = Roster::new();
///
/// # fn example() -> Result {
/// let controller = KBox::new(Controller { handled: Atomic::new(0) }, GFP_KERNEL)?;
///
/// if !CONTROLLERS.push(KBox::leak(controller)) {
///     return Err(ENOSPC);
/// }
/// let handled: u64 = CONTROLLERS.iter().map(|one| one.handled.load(Relaxed)).sum();
/// # Ok(())
/// # }
/// ```
///
/// A reader may have a value at any time, so that one that will be dropped cannot be listed:
///
/// ```compile_fail,E0597
/// # use kernel_ext::sync::Roster;
/// static NUMBERS: Roster<u32, 16> = Roster::new();
///
/// let number = 5;
/// NUMBERS.push(&number);
/// ```
///
/// # Invariants
///
/// Each slot is null or holds a `&'static T`, and no slot behind a null one holds anything.
pub struct Roster<T: Sync + 'static, const N: usize> {
    slots: [Atomic<*mut T>; N],
    _values: PhantomData<&'static T>,
}

// SAFETY: The slots are only accessed atomically, and shared references to the values, which are
// `Sync`, are all that goes in and out.
unsafe impl<T: Sync, const N: usize> Sync for Roster<T, N> {}

impl<T: Sync, const N: usize> Roster<T, N> {
    /// Creates an empty list.
    pub const fn new() -> Self {
        // INVARIANT: All slots are null.
        Self {
            slots: [const { Atomic::new(ptr::null_mut()) }; N],
            _values: PhantomData,
        }
    }

    /// Lists `value`, complete, at the end; returns whether there was room.
    pub fn push(&self, value: &'static T) -> bool {
        let value = ptr::from_ref(value).cast_mut();

        // INVARIANT: The first slot that is null becomes a reference. Full order makes the value
        // visible before.
        self.slots
            .iter()
            .any(|slot| slot.cmpxchg(ptr::null_mut(), value, Full).is_ok())
    }

    /// Whether there is no room.
    pub fn is_full(&self) -> bool {
        self.slots.iter().all(|slot| !slot.load(Relaxed).is_null())
    }

    /// What is listed.
    #[inline(always)]
    pub fn iter(&self) -> impl Iterator<Item = &'static T> + '_ {
        self.slots.iter().map_while(|slot| {
            // Dependent loads are ordered after this one; the value was complete when it was
            // listed.
            let value = slot.load(Relaxed);

            // SAFETY: By the type invariant.
            unsafe { value.as_ref() }
        })
    }
}

impl<T: Sync, const N: usize> Default for Roster<T, N> {
    fn default() -> Self {
        Self::new()
    }
}
