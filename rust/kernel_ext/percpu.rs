// SPDX-License-Identifier: GPL-2.0

//! Dynamic per-CPU memory.
//!
//! C header: [`include/linux/percpu.h`](srctree/include/linux/percpu.h)

use core::ptr::NonNull;

use kernel::{
    bindings,
    cpu::CpuId,
    interrupt::LocalInterruptDisabled,
    prelude::*, //
};

use crate::cpumask;

/// One `T` per possible CPU, each in memory that is local to its CPU.
///
/// Only shared references are handed out, also to other CPUs, hence `T: Sync`.
///
/// # Examples
///
/// ```
/// use kernel::{interrupt::local_interrupt_disable, prelude::*, sync::atomic::{Atomic, Relaxed}};
/// use kernel_ext::{cpumask, percpu::PerCpu};
///
/// # fn example() -> Result {
/// let counters = PerCpu::new(|_cpu| Ok(Atomic::new(0u64)))?;
///
/// let irqs_off = local_interrupt_disable();
/// let here = counters.here(&irqs_off);
/// here.store(here.load(Relaxed) + 1, Relaxed);
/// drop(irqs_off);
///
/// let sum: u64 = cpumask::possible()
///     .filter_map(|cpu| counters.on(cpu))
///     .map(|counter| counter.load(Relaxed))
///     .sum();
/// # Ok(())
/// # }
/// ```
///
/// With interrupts on, the thread could go on on another CPU, so that there is no value of this
/// one:
///
/// ```compile_fail,E0061
/// # use kernel::sync::atomic::{Atomic, Relaxed};
/// # use kernel_ext::percpu::PerCpu;
/// fn count(counters: &PerCpu<Atomic<u64>>) {
///     counters.here().store(1, Relaxed);
/// }
/// ```
///
/// For the same reason the reference cannot be kept for longer than interrupts are off:
///
/// ```compile_fail,E0505
/// # use kernel::{interrupt::local_interrupt_disable, sync::atomic::{Atomic, Relaxed}};
/// # use kernel_ext::percpu::PerCpu;
/// fn count(counters: &PerCpu<Atomic<u64>>) {
///     let irqs_off = local_interrupt_disable();
///     let here = counters.here(&irqs_off);
///
///     drop(irqs_off);
///     here.store(1, Relaxed);
/// }
/// ```
///
/// Other CPUs see the values, too, so that a plain cell is refused:
///
/// ```compile_fail,E0277
/// # use kernel::prelude::*;
/// use core::cell::Cell;
/// use kernel_ext::percpu::PerCpu;
///
/// # fn example() -> Result {
/// let counters = PerCpu::new(|_cpu| Ok(Cell::new(0u64)))?;
/// # Ok(())
/// # }
/// ```
///
/// # Invariants
///
/// `ptr` is a per-CPU allocation for a `T`, and the area of each possible CPU holds an initialised
/// one.
pub struct PerCpu<T: Sync> {
    ptr: NonNull<T>,
}

// SAFETY: Only shared references to the values are handed out, and dropping the allocation needs
// the values to be `Send`.
unsafe impl<T: Send + Sync> Send for PerCpu<T> {}
// SAFETY: Only shared references to the values are handed out.
unsafe impl<T: Sync> Sync for PerCpu<T> {}

impl<T: Sync> PerCpu<T> {
    /// Allocates the memory and calls `init` once per possible CPU, in ascending order.
    ///
    /// If `init` fails, what it made before is dropped, and its error is returned. May sleep.
    pub fn new(mut init: impl FnMut(CpuId) -> Result<T>) -> Result<Self> {
        // SAFETY: Size and alignment are those of a type.
        let raw = unsafe { bindings::alloc_percpu(size_of::<T>(), align_of::<T>()) };
        let ptr = NonNull::new(raw.cast::<T>()).ok_or(ENOMEM)?;

        for cpu in cpumask::possible() {
            match init(cpu) {
                // SAFETY: The area of a possible CPU is valid for writes, and nothing else knows
                // it.
                Ok(value) => unsafe { Self::area(ptr.as_ptr(), cpu.as_u32()).write(value) },
                Err(error) => {
                    for done in cpumask::possible().take_while(|done| *done != cpu) {
                        // SAFETY: This area was initialised in an earlier turn.
                        unsafe { Self::area(ptr.as_ptr(), done.as_u32()).drop_in_place() };
                    }
                    // SAFETY: The allocation is ours and no reference into it is left.
                    unsafe { bindings::free_percpu(raw) };
                    return Err(error);
                }
            }
        }

        // INVARIANT: The loop went over all possible CPUs.
        Ok(Self { ptr })
    }

    /// # Safety
    ///
    /// `ptr` must be a per-CPU allocation, and `cpu` possible.
    #[inline(always)]
    unsafe fn area(ptr: *mut T, cpu: u32) -> *mut T {
        // SAFETY: By the requirements of this function.
        unsafe { bindings::per_cpu_ptr(ptr.cast(), cpu).cast() }
    }

    /// The value of CPU number `cpu`, by what [`Self::as_raw`] has returned.
    ///
    /// # Safety
    ///
    /// `cpu` must be possible, and the allocation must live as long as the reference is used.
    #[cfg(CONFIG_SMP)]
    #[inline(always)]
    pub(crate) unsafe fn value<'a>(raw: *mut T, cpu: u32) -> &'a T {
        // SAFETY: By the requirements of this function, and the type invariant.
        unsafe { &*Self::area(raw, cpu) }
    }

    /// This CPU's value.
    #[inline(always)]
    pub fn here<'a>(&'a self, _irqs_off: &'a LocalInterruptDisabled) -> &'a T {
        // SAFETY: By the type invariant; the running CPU is possible, and it stays the running one
        // as long as interrupts are off.
        unsafe { &*bindings::raw_cpu_ptr(self.ptr.as_ptr().cast()).cast() }
    }

    /// The value of `cpu`; [`None`] if that CPU is not possible.
    #[inline]
    pub fn on(&self, cpu: CpuId) -> Option<&T> {
        if !cpumask::is_possible(cpu) {
            return None;
        }
        // SAFETY: By the type invariant and the check above.
        Some(unsafe { &*Self::area(self.ptr.as_ptr(), cpu.as_u32()) })
    }

    /// The per-CPU pointer, for C.
    pub fn as_raw(&self) -> *mut T {
        self.ptr.as_ptr()
    }
}

impl<T: Sync> Drop for PerCpu<T> {
    fn drop(&mut self) {
        for cpu in cpumask::possible() {
            // SAFETY: By the type invariant; nothing refers to the values any more.
            unsafe { Self::area(self.ptr.as_ptr(), cpu.as_u32()).drop_in_place() };
        }
        // SAFETY: The allocation is ours.
        unsafe { bindings::free_percpu(self.ptr.as_ptr().cast()) };
    }
}

#[kernel::macros::kunit_tests(kernel_ext_percpu)]
mod tests {
    use super::*;
    use kernel::sync::atomic::{
        Atomic,
        Relaxed, //
    };

    /// Counts the values that are dropped.
    struct Counted<'a>(&'a Atomic<u32>);

    impl Drop for Counted<'_> {
        fn drop(&mut self) {
            self.0.store(self.0.load(Relaxed) + 1, Relaxed);
        }
    }

    /// What is made is dropped, each once; of what fails, nothing that was not made.
    #[test]
    fn dropped_as_often_as_made() -> Result {
        // CAST: A small number.
        let cpus = cpumask::possible().count() as u32;

        for last in 0..=cpus {
            let dropped = Atomic::new(0);
            let mut made = 0;
            let values = PerCpu::new(|_| {
                if made == last {
                    return Err(ENOSPC);
                }
                made += 1;
                Ok(Counted(&dropped))
            });

            assert_eq!(values.as_ref().err(), (last < cpus).then_some(&ENOSPC));
            assert_eq!(dropped.load(Relaxed), if last < cpus { last } else { 0 });
            drop(values);
            assert_eq!(dropped.load(Relaxed), last);
        }
        Ok(())
    }
}
