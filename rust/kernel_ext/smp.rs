// SPDX-License-Identifier: GPL-2.0

//! Calls of functions on other CPUs.
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

/// Calls `f` on `cpu`, which may be the running one, and returns what it returns.
///
/// `f` runs with interrupts off, maybe in hardirq context. Fails with `ENXIO` if `cpu` is offline.
/// Interrupts must be on, and the caller must not hold what an interrupt handler waits for.
///
/// # Examples
///
/// ```
/// use kernel::{cpu::CpuId, interrupt::LocalInterruptDisabled, prelude::*};
/// use kernel_ext::{arch::riscv, smp};
///
/// fn is_asserted_at(cpu: CpuId) -> Result<bool> {
///     smp::call_on(cpu, |irqs_off| riscv::is_external_asserted(irqs_off))
/// }
/// ```
///
/// What is bound to the calling thread, as the guard of a lock is, cannot be used on another CPU:
///
/// ```compile_fail,E0277
/// # use kernel::{cpu::CpuId, prelude::*};
/// use kernel_ext::{smp, sync::RawSpinLock};
///
/// fn count_on(cpu: CpuId, counter: &RawSpinLock<u32>) -> Result {
///     let mut guard = counter.lock();
///
///     smp::call_on(cpu, move |_| *guard += 1)
/// }
/// ```
pub fn call_on<R: Send>(
    cpu: CpuId,
    f: impl FnOnce(&LocalInterruptDisabled) -> R + Send,
) -> Result<R> {
    let mut call = Call {
        f: Some(f),
        result: None,
    };

    // SAFETY: The function has the right signature for the argument, which stays until it has
    // returned, since the call waits.
    to_result(unsafe {
        bindings::smp_call_function_single(
            // CAST: A CPU number.
            cpu.as_u32() as i32,
            Some(entry_of(&call)),
            ptr::from_mut(&mut call).cast(),
            true,
        )
    })?;
    call.result.ok_or(ENXIO)
}

struct Call<F, R> {
    f: Option<F>,
    result: Option<R>,
}

/// The C function for a call of this type.
fn entry_of<F: FnOnce(&LocalInterruptDisabled) -> R, R>(
    _: &Call<F, R>,
) -> unsafe extern "C" fn(*mut c_void) {
    entry::<F, R>
}

/// # Safety
///
/// `call` must point to a [`Call`] of this type that nobody else uses, with interrupts off.
unsafe extern "C" fn entry<F: FnOnce(&LocalInterruptDisabled) -> R, R>(call: *mut c_void) {
    // SAFETY: By the requirements of this function.
    let call = unsafe { &mut *call.cast::<Call<F, R>>() };
    // SAFETY: Functions are called with interrupts off.
    let irqs_off = unsafe { LocalInterruptDisabled::assume_disabled() };

    if let Some(f) = call.f.take() {
        call.result = Some(f(irqs_off));
    }
}
