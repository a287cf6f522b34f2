// SPDX-License-Identifier: GPL-2.0

//! Iteration over CPU masks, and the system's own masks.
//!
//! C header: [`include/linux/cpumask.h`](srctree/include/linux/cpumask.h)

use core::num::NonZeroUsize;

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

    #[inline]
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
#[inline]
pub fn iter(mask: &Cpumask) -> Iter<'_> {
    Iter { mask, last: -1 }
}

/// How many CPUs a word of a mask has.
const WORD_BITS: u32 = usize::BITS;

/// How many words the largest mask has.
const MAX_WORDS: usize = size_of::<bindings::cpumask>() / size_of::<usize>();

/// How many words each mask has.
#[inline(always)]
fn words() -> usize {
    if MAX_WORDS == 1 {
        return 1;
    }
    // CAST: A small number.
    cpu::nr_cpu_ids().div_ceil(WORD_BITS) as usize
}

/// Iterates over the CPUs that two masks have in common, in ascending order.
///
/// The masks may change meanwhile; a CPU that is in both during the whole iteration is seen.
pub struct Common<'a> {
    masks: [&'a Cpumask; 2],
    /// The next word to look at.
    next: usize,
    /// What is left of the word before that.
    bits: usize,
}

impl Common<'_> {
    /// Takes the next word, if there is one.
    #[inline(always)]
    fn advance(&mut self) -> Option<()> {
        if self.next >= words() {
            return None;
        }
        self.bits = self.masks.iter().fold(!0, |bits, mask| {
            // SAFETY: Each mask has that many words, which change at any time.
            bits & unsafe { mask.as_raw().cast::<usize>().add(self.next).read_volatile() }
        });
        self.next += 1;
        Some(())
    }
}

impl Iterator for Common<'_> {
    type Item = CpuId;

    #[inline(always)]
    fn next(&mut self) -> Option<CpuId> {
        let bits = loop {
            match NonZeroUsize::new(self.bits) {
                Some(bits) => break bits,
                None => self.advance()?,
            }
        };

        self.bits &= self.bits - 1;
        // CAST: Small numbers. What is not below `nr_cpu_ids`, and what comes after, are no CPUs.
        CpuId::from_u32((self.next as u32 - 1) * WORD_BITS + bits.trailing_zeros())
    }
}

/// The CPUs that are in both `a` and `b`.
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
///     cpumask::common(allowed, cpumask::online_mask()).next()
/// }
///
/// assert_eq!(
///     target(cpumask::possible_mask()),
///     cpumask::iter(cpumask::online_mask()).next()
/// );
/// ```
#[inline(always)]
pub fn common<'a>(a: &'a Cpumask, b: &'a Cpumask) -> Common<'a> {
    let mut common = Common {
        masks: [a, b],
        next: 0,
        bits: 0,
    };

    // There is one at least.
    let _ = common.advance();
    common
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
