// SPDX-License-Identifier: GPL-2.0

//! Iteration over CPU masks, and the system's own masks.
//!
//! C header: [`include/linux/cpumask.h`](srctree/include/linux/cpumask.h)

use kernel::{
    bindings,
    cpu::{
        self,
        CpuId, //
    },
    cpumask::Cpumask, //
};

/// Iterates over the CPUs of a mask in ascending order.
///
/// The mask may change meanwhile; a CPU that is set during the whole iteration is seen.
pub struct Iter<'a> {
    mask: &'a Cpumask,
    last: i32,
}

impl Iterator for Iter<'_> {
    type Item = CpuId;

    fn next(&mut self) -> Option<CpuId> {
        // SAFETY: The mask is valid, and -1 or a CPU number is a valid start.
        let next = unsafe { bindings::cpumask_next(self.last, self.mask.as_raw()) };
        let cpu = (next < cpu::nr_cpu_ids()).then(|| CpuId::from_u32(next))??;

        // CAST: Below `nr_cpu_ids`.
        self.last = next as i32;
        Some(cpu)
    }
}

/// The CPUs of `mask`.
///
/// # Examples
///
/// The first CPU that is online and that an interrupt may go to:
///
/// ```
/// use kernel::{cpu::CpuId, cpumask::Cpumask};
/// use kernel_ext::cpumask;
///
/// fn target(allowed: &Cpumask) -> Option<CpuId> {
///     cpumask::iter(allowed).find(|cpu| cpumask::is_online(*cpu))
/// }
///
/// assert!(target(cpumask::possible_mask()).is_some());
/// ```
pub fn iter(mask: &Cpumask) -> Iter<'_> {
    Iter { mask, last: -1 }
}

/// The mask of online CPUs.
#[inline]
pub fn online_mask() -> &'static Cpumask {
    // SAFETY: The mask exists for ever; other CPUs change it only atomically.
    unsafe { Cpumask::from_raw(bindings::cpu_online_mask()) }
}

/// The mask of possible CPUs.
#[inline]
pub fn possible_mask() -> &'static Cpumask {
    // SAFETY: The mask exists for ever and does not change after boot.
    unsafe { Cpumask::from_raw(bindings::cpu_possible_mask()) }
}

/// All CPUs that are possible.
pub fn possible() -> Iter<'static> {
    iter(possible_mask())
}

/// Whether `cpu` is possible.
#[inline]
pub fn is_possible(cpu: CpuId) -> bool {
    possible_mask().test(cpu)
}

/// Whether `cpu` is online.
#[inline]
pub fn is_online(cpu: CpuId) -> bool {
    online_mask().test(cpu)
}

/// Whether all CPUs of `a` are in `b`.
///
/// # Examples
///
/// ```
/// use kernel_ext::cpumask;
///
/// assert!(cpumask::subset(cpumask::online_mask(), cpumask::possible_mask()));
/// ```
#[inline]
pub fn subset(a: &Cpumask, b: &Cpumask) -> bool {
    // SAFETY: Both masks are valid.
    unsafe { bindings::cpumask_subset(a.as_raw(), b.as_raw()) }
}
