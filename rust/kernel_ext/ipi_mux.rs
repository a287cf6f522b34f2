// SPDX-License-Identifier: GPL-2.0

//! Many virtual IPIs over one real one.
//!
//! C header: [`include/linux/irq.h`](srctree/include/linux/irq.h)

use kernel::{
    bindings,
    cpu::CpuId,
    prelude::*,
    sync::atomic::{
        Atomic,
        Relaxed, //
    }, //
};

use crate::irq::chained;

/// How the real IPI is sent, see [`create`].
pub trait Send {
    /// Sends the real IPI to `cpu`. Any context, also hardirq.
    ///
    /// Everything written before must be visible to `cpu` when it takes the IPI.
    fn send(cpu: CpuId);
}

/// Whether there is a multiplexer of [`create`].
static CREATED: Atomic<bool> = Atomic::new(false);

/// Creates the IPIs that the architecture needs and gives them to it; it may send some at once.
///
/// There can be only one multiplexer in a system, and it cannot be removed. May sleep. A kernel for one
/// CPU has none: fails with `ENOTSUPP`.
///
/// # Examples
///
/// The real IPI is identity 1 of each hart's interrupt file:
///
/// ```
/// use kernel::{cpu::CpuId, prelude::*};
/// use kernel_ext::{io::Register, ipi_mux, percpu::PerCpu, sync::Roster};
///
/// static DOORBELLS: Roster<PerCpu<Register>, 1> = Roster::new();
///
/// struct Ipi;
///
/// impl ipi_mux::Send for Ipi {
///     fn send(cpu: CpuId) {
///         let doorbell = DOORBELLS.iter().next().and_then(|doorbells| doorbells.on(cpu));
///
///         if let Some(doorbell) = doorbell {
///             doorbell.write(1);
///         }
///     }
/// }
///
/// # fn example() -> Result {
/// if !ipi_mux::is_provided() {
///     ipi_mux::create::<Ipi>()?;
/// }
/// # Ok(())
/// # }
/// ```
#[cfg(CONFIG_SMP)]
pub fn create<T: Send>() -> Result {
    let nr_ipi = bindings::ipi_message_type_IPI_MAX;
    // SAFETY: The callback has the right signature.
    let virq = unsafe { bindings::ipi_mux_create(nr_ipi, Some(send::<T>)) };

    if virq <= 0 {
        return Err(if virq < 0 {
            Error::from_errno(virq)
        } else {
            ENOMEM
        });
    }

    // Whoever takes one of them was sent it afterwards.
    CREATED.store(true, kernel::sync::atomic::Release);
    // SAFETY: The interrupts `virq..virq + nr_ipi` were just created.
    unsafe { bindings::riscv_ipi_set_virq_range(virq, nr_ipi as c_int) };
    Ok(())
}

/// See above.
#[cfg(not(CONFIG_SMP))]
pub fn create<T: Send>() -> Result {
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

#[cfg(CONFIG_SMP)]
/// # Safety
///
/// Only for the multiplexer, which passes CPU numbers.
unsafe extern "C" fn send<T: Send>(cpu: u32) {
    if let Some(cpu) = CpuId::from_u32(cpu) {
        T::send(cpu);
    }
}
