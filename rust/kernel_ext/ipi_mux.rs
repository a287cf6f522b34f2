// SPDX-License-Identifier: GPL-2.0

//! Many virtual IPIs over one real one.
//!
//! C header: [`include/linux/irq.h`](srctree/include/linux/irq.h)

#[cfg(CONFIG_SMP)]
use core::ptr;

#[cfg(CONFIG_SMP)]
use kernel::sync::atomic::{
    Full,
    Release, //
};
use kernel::{
    bindings,
    prelude::*,
    sync::atomic::{
        Atomic,
        Relaxed, //
    }, //
};

use crate::{
    irq::chained,
    percpu::PerCpu, //
};

/// How the real IPI is sent to one CPU, see [`create`].
pub trait Target: Sync + 'static {
    /// Sends the real IPI to the CPU that this is the value of. Any context, also hardirq.
    ///
    /// Everything written before must be visible to that CPU when it takes the IPI.
    fn ring(&self);
}

/// Whether there is a multiplexer of [`create`].
static CREATED: Atomic<bool> = Atomic::new(false);

/// What [`create`] was called with, as a per-CPU pointer; null before.
#[cfg(CONFIG_SMP)]
static TARGETS: Atomic<*mut c_void> = Atomic::new(ptr::null_mut());

/// Creates the IPIs that the architecture needs and gives them to it; it may send some at once, each
/// to the value that `targets` has for the CPU.
///
/// There can be only one multiplexer in a system, and it cannot be removed: fails with `EEXIST` if there
/// is one. May sleep. A kernel for one CPU has none: fails with `ENOTSUPP`.
///
/// # Examples
///
/// The real IPI is identity 1 of each hart's interrupt file:
///
/// ```
/// use kernel::prelude::*;
/// use kernel_ext::{io::Register, ipi_mux, percpu::PerCpu};
///
/// struct File {
///     doorbell: Register,
/// }
///
/// impl ipi_mux::Target for File {
///     fn ring(&self) {
///         self.doorbell.write(1);
///     }
/// }
///
/// fn provide(files: &'static PerCpu<File>) -> Result {
///     if !ipi_mux::is_provided() {
///         ipi_mux::create(files)?;
///     }
///     Ok(())
/// }
/// ```
///
/// Since it stays, so must they:
///
/// ```compile_fail,E0521
/// # use kernel::prelude::*;
/// use kernel_ext::{ipi_mux, percpu::PerCpu};
///
/// fn provide<T: ipi_mux::Target>(files: &PerCpu<T>) -> Result {
///     ipi_mux::create(files)
/// }
/// ```
#[cfg(CONFIG_SMP)]
pub fn create<T: Target>(targets: &'static PerCpu<T>) -> Result {
    let nr_ipi = bindings::ipi_message_type_IPI_MAX;

    // Only once: `send` relies on their type.
    TARGETS
        .cmpxchg(ptr::null_mut(), targets.as_raw().cast(), Full)
        .map_err(|_| EEXIST)?;
    // SAFETY: The callback has the right signature.
    let virq = unsafe { bindings::ipi_mux_create(nr_ipi, Some(send::<T>)) };

    if virq <= 0 {
        // Nobody calls `send`.
        TARGETS.store(ptr::null_mut(), Release);
        return Err(if virq < 0 {
            Error::from_errno(virq)
        } else {
            ENOMEM
        });
    }

    // Whoever takes one of them was sent it afterwards.
    CREATED.store(true, Release);
    // SAFETY: The interrupts `virq..virq + nr_ipi` were just created.
    unsafe { bindings::riscv_ipi_set_virq_range(virq, nr_ipi as c_int) };
    Ok(())
}

/// See above.
#[cfg(not(CONFIG_SMP))]
pub fn create<T: Target>(_targets: &'static PerCpu<T>) -> Result {
    Err(ENOTSUPP)
}

/// Whether the architecture needs no IPIs: it has got them from another controller already, or the
/// kernel is for one CPU.
pub fn is_provided() -> bool {
    // SAFETY: Only reads a variable that is written during boot.
    !cfg!(CONFIG_SMP) || unsafe { bindings::riscv_ipi_have_virq_range() }
}

/// Whether the architecture has got its IPIs from [`create`].
#[inline(always)]
pub fn is_created() -> bool {
    cfg!(CONFIG_SMP) && CREATED.load(Relaxed)
}

/// Handles all virtual IPIs that are pending on this CPU, after a real one arrived; does nothing if
/// there are none.
///
/// # Examples
///
/// ```
/// use kernel_ext::{ipi_mux, irq::chained::{ChainedContext, ChainedHandler}};
///
/// struct Files;
///
/// impl ChainedHandler for Files {
///     fn handle(flow: &ChainedContext<'_>) {
///         ipi_mux::process(flow);
///     }
/// }
/// ```
///
/// That interrupts are off does not make it hardirq context, which the handlers of IPIs rely on:
///
/// ```compile_fail,E0308
/// use kernel::interrupt::local_interrupt_disable;
/// use kernel_ext::ipi_mux;
///
/// ipi_mux::process(&local_interrupt_disable());
/// ```
#[inline(always)]
pub fn process(_flow: &chained::ChainedContext<'_>) {
    #[cfg(CONFIG_SMP)]
    if is_created() {
        // SAFETY: In the flow of a chained interrupt, that is, in hardirq context, and the
        // multiplexer was created.
        unsafe { bindings::ipi_mux_process() };
    }
}

/// # Safety
///
/// Only for the multiplexer of [`create`], with its `T`; it passes numbers of possible CPUs.
#[cfg(CONFIG_SMP)]
unsafe extern "C" fn send<T: Target>(cpu: u32) {
    // SAFETY: Stored by `create`, before it gave this function to the multiplexer, of a `PerCpu<T>`
    // that lives for ever, and has a value for each possible CPU. The load is of a pointer that does
    // not change any more.
    unsafe { PerCpu::<T>::value(TARGETS.load(Relaxed).cast(), cpu) }.ring();
}
