// SPDX-License-Identifier: GPL-2.0

//! What the system as a whole is about to do.
//!
//! C header: [`include/linux/kernel.h`](srctree/include/linux/kernel.h)

use core::ptr;

use kernel::bindings;

/// Whether the system is being switched off or restarted: nothing has to be kept any more.
pub fn is_system_ending() -> bool {
    // SAFETY: The kernel reads the variable like that too; it is never torn.
    let state = unsafe { ptr::addr_of!(bindings::system_state).read_volatile() };

    matches!(
        state,
        bindings::system_states_SYSTEM_HALT
            | bindings::system_states_SYSTEM_POWER_OFF
            | bindings::system_states_SYSTEM_RESTART
    )
}
