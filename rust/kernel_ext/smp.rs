// SPDX-License-Identifier: GPL-2.0

//! Calls on other CPUs.
//!
//! C header: [`include/linux/smp.h`](srctree/include/linux/smp.h)

use core::ptr;

use kernel::{
    bindings,
    cpu::CpuId,
    error::to_result,
    interrupt::LocalInterruptDisabled,
    prelude::*, //
};

/// Runs `f` on `cpu` with its interrupts off and waits until it has returned.
///
/// Only from contexts with interrupts on. Fails with `ENXIO` if `cpu` is not online.
pub fn call_on<F: Fn(&LocalInterruptDisabled) + Sync>(cpu: CpuId, f: &F) -> Result {
    /// # Safety
    ///
    /// Only for the cross-CPU call that passes `info`.
    unsafe extern "C" fn call<F: Fn(&LocalInterruptDisabled) + Sync>(info: *mut c_void) {
        // SAFETY: `info` is the `f` below, which the waiting caller keeps alive.
        let f = unsafe { &*info.cast::<F>() };
        // SAFETY: Cross-CPU functions run with interrupts off.
        let irqs_off = unsafe { LocalInterruptDisabled::assume_disabled() };

        f(irqs_off);
    }

    // CAST: The callee only makes a shared reference of it.
    let info = ptr::from_ref(f).cast_mut().cast();

    // SAFETY: `call::<F>` takes what is passed, and the call waits for it to return.
    to_result(unsafe {
        // CAST: A CPU number fits.
        bindings::smp_call_function_single(cpu.as_u32() as c_int, Some(call::<F>), info, true)
    })
}
