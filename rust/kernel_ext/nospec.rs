// SPDX-License-Identifier: GPL-2.0

//! Indexes that hold in speculation, too.
//!
//! A bounds check is a branch. Until it is resolved, a processor may go on behind it with an index
//! that user space or a guest has chosen, load what lies there, and leave a trace of that (Spectre
//! variant 1).
//!
//! C header: [`include/linux/nospec.h`](srctree/include/linux/nospec.h)

use core::arch::asm;

/// Returns `index` if it is below `size`; where it is not, but a processor goes on as if it were,
/// that goes on with 0.
///
/// # Examples
///
/// ```
/// use kernel_ext::nospec;
///
/// /// A register of a guest, by the number that the guest has chosen.
/// fn register(registers: &[u32; 32], number: usize) -> Option<u32> {
///     Some(registers[nospec::index(number, registers.len())?])
/// }
///
/// assert_eq!(register(&[7; 32], 31), Some(7));
/// assert_eq!(register(&[7; 32], 32), None);
/// ```
#[inline(always)]
pub fn index(index: usize, size: usize) -> Option<usize> {
    (index < size).then(|| index & mask(index, size))
}

/// Returns all ones if `index` is below `size`, and 0 otherwise, without a branch. Both have to be
/// below 2^63.
#[inline(always)]
fn mask(index: usize, size: usize) -> usize {
    let mut index = index;

    // The compiler must not remember that the index is in bounds.
    // SAFETY: Does nothing.
    unsafe {
        asm!("/* {0} */", inout(reg) index, options(pure, nomem, nostack, preserves_flags));
    }
    // CAST: The sign of it is that of an index that is too large.
    let above = (index | size.wrapping_sub(1).wrapping_sub(index)) as isize;

    // CAST: Bits.
    !(above >> (isize::BITS - 1)) as usize
}

#[kernel::macros::kunit_tests(kernel_ext_nospec)]
mod tests {
    use super::*;

    #[test]
    fn bounds() {
        for size in [0, 1, 7, 64, usize::MAX >> 1] {
            for i in [
                0,
                1,
                6,
                7,
                63,
                64,
                (usize::MAX >> 1) - 1,
                usize::MAX >> 1,
                usize::MAX,
            ] {
                assert_eq!(index(i, size), (i < size).then_some(i));
            }
        }
    }

    /// What a processor goes on with that has guessed a branch wrong.
    #[test]
    fn masks() {
        for size in [1, 2, 7, 64, 2048] {
            for inside in [0, size / 2, size - 1] {
                assert_eq!(mask(inside, size), usize::MAX);
            }
            for outside in [
                size,
                size + 1,
                2 * size,
                1 << 32,
                usize::MAX >> 1,
                usize::MAX,
            ] {
                assert_eq!(mask(outside, size), 0);
            }
        }
        assert_eq!(mask(0, 0), 0);
    }
}
