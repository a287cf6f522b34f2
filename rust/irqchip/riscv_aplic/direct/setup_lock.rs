// SPDX-License-Identifier: GPL-2.0

//! The lock of the set-up.

#![expect(unsafe_code, reason = "a lock of C")]

use core::ptr;

use kernel::{
    bindings,
    sync::Mutex, //
};

/// One APLIC at a time is set up to deliver directly, as they share the harts' external interrupt.
pub(super) fn setup_lock() -> &'static Mutex<()> {
    // SAFETY: The mutex is initialised where it is defined, in riscv_aplic_decl.c.
    unsafe { Mutex::from_raw(ptr::addr_of_mut!(bindings::riscv_aplic_setup_lock)) }
}
