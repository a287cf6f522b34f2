// SPDX-License-Identifier: GPL-2.0

//! The running task.
//!
//! C header: [`include/linux/sched.h`](srctree/include/linux/sched.h)

use kernel::{
    bindings,
    sync::atomic::{
        Atomic,
        Relaxed, //
    },
    task::Task, //
};

/// Whether the running task has said that it waits for something (`set_current_state()`), and has
/// not been woken up since: it stops running at the next occasion.
///
/// # Examples
///
/// ```
/// use kernel_ext::task;
///
/// /// Whether a vCPU that is taken off its CPU is about to wait, and not only preempted.
/// fn waits(is_preempted: bool) -> bool {
///     !is_preempted && task::is_going_to_sleep()
/// }
/// ```
#[inline]
pub fn is_going_to_sleep() -> bool {
    // SAFETY: The running task exists.
    let state = unsafe { core::ptr::addr_of_mut!((*Task::current_raw()).__state) };

    // SAFETY: A field of a valid structure, only accessed atomically.
    unsafe { Atomic::from_ptr(state) }.load(Relaxed) != bindings::TASK_RUNNING
}
