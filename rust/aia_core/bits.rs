// SPDX-License-Identifier: GPL-2.0

//! Shifts that have a result for every count, so that no caller can panic, and the bits that are set.

/// Shifts left; 0 if `count` is 64 or more.
#[inline]
pub(crate) const fn shl(value: u64, count: u32) -> u64 {
    match value.checked_shl(count) {
        Some(value) => value,
        None => 0,
    }
}

/// Shifts right; 0 if `count` is 64 or more.
#[inline]
pub(crate) const fn shr(value: u64, count: u32) -> u64 {
    match value.checked_shr(count) {
        Some(value) => value,
        None => 0,
    }
}

/// Returns the lowest `count` bits set; all if `count` is 64 or more.
#[inline]
pub(crate) const fn low_mask(count: u32) -> u64 {
    !shl(u64::MAX, count)
}

/// Returns the number of the lowest bit that is set, 0 to 63; [`None`] if none is.
#[inline(always)]
pub(crate) fn lowest(bits: u64) -> Option<u32> {
    (bits != 0).then(|| bits.trailing_zeros())
}

/// Iterates over the numbers of the bits that are set, lowest first.
pub(crate) struct Ones(pub(crate) u64);

impl Iterator for Ones {
    type Item = u32;

    #[inline(always)]
    fn next(&mut self) -> Option<u32> {
        let bit = lowest(self.0)?;

        self.0 &= self.0 - 1;
        Some(bit)
    }
}

#[cfg_attr(CONFIG_KUNIT, kernel::macros::kunit_tests(aia_core_bits))]
#[cfg_attr(not(CONFIG_KUNIT), cfg(test))]
mod tests {
    use super::*;

    #[test]
    fn counts() {
        assert_eq!((shl(3, 0), shl(3, 63), shl(3, 64)), (3, 1 << 63, 0));
        assert_eq!((shr(!0, 0), shr(!0, 63), shr(!0, 64)), (!0, 1, 0));
        assert_eq!((low_mask(0), low_mask(1), low_mask(63)), (0, 1, !0 >> 1));
        assert_eq!((low_mask(64), low_mask(u32::MAX)), (!0, !0));
    }

    #[test]
    fn ones() {
        assert_eq!(lowest(0), None);
        for bit in 0..64 {
            assert_eq!(lowest(1 << bit), Some(bit));
            assert_eq!(lowest(u64::MAX << bit), Some(bit));
        }
        assert!(Ones(0).next().is_none());
        assert!(Ones(u64::MAX).eq(0..64));
        assert!(Ones(1 | 1 << 31 | 1 << 32 | 1 << 63).eq([0, 31, 32, 63]));
    }
}
