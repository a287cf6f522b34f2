// SPDX-License-Identifier: GPL-2.0

//! The interrupt delivery control structure of a hart, direct delivery mode (AIA 4.8.1).

use super::regs;
use crate::ids::{
    HartIndex,
    IdcIndex,
    SourceId, //
};

/// `idelivery`: interrupts are not delivered to the hart.
pub const IDELIVERY_OFF: u32 = 0;

/// `idelivery`: interrupts are delivered to the hart.
pub const IDELIVERY_ON: u32 = 1;

/// `ithreshold`: no interrupt is masked.
pub const ITHRESHOLD_NONE: u32 = 0;

/// Returns the offset of register `register`, one of [`regs`]' `IDC_*`, in the structure of `hart`.
#[inline(always)]
pub fn register(hart: HartIndex, register: usize) -> usize {
    regs::idc(IdcIndex::from(hart)) + register
}

/// Returns the offset of the register by which `hart` claims interrupts; it reads as a
/// [`TopInterrupt`].
#[inline(always)]
pub fn claimi(hart: HartIndex) -> usize {
    register(hart, regs::IDC_CLAIMI)
}

/// An interrupt that `topi` or `claimi` reports.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TopInterrupt {
    /// The source.
    pub source: SourceId,
    /// The priority number, 0 to 255; smaller is more urgent.
    pub priority: u32,
}

impl TopInterrupt {
    /// Takes a value of `topi` or `claimi`; [`None`] if it reports no interrupt.
    ///
    /// A claim that reports none is spurious and no error (AIA 4.8.2).
    ///
    /// # Examples
    ///
    /// ```
    /// use aia_core::aplic::idc::TopInterrupt;
    ///
    /// assert!(TopInterrupt::from_register(0).is_none());
    /// let top = TopInterrupt::from_register(0x000a_0001).unwrap();
    /// assert_eq!(top.source.get(), 10);
    /// ```
    #[inline]
    pub const fn from_register(value: u32) -> Option<Self> {
        match SourceId::new((value >> 16) & 0x3ff) {
            Some(source) => Some(Self {
                source,
                priority: value & 0xff,
            }),
            None => None,
        }
    }
}

#[cfg_attr(CONFIG_KUNIT, kernel::macros::kunit_tests(aia_core_aplic_idc))]
#[cfg_attr(not(CONFIG_KUNIT), cfg(test))]
mod tests {
    use super::*;

    #[test]
    fn claims() {
        let claim =
            |value| TopInterrupt::from_register(value).map(|top| (top.source.get(), top.priority));
        assert_eq!(claim(0), None);
        assert_eq!(claim(0x0000_0001), None);
        assert_eq!(claim(0x0001_0001), Some((1, 1)));
        assert_eq!(claim(0x03ff_00ff), Some((1023, 255)));
        // Bits that are zero by the specification do not matter.
        assert_eq!(claim(0xfc01_ff01), Some((1, 1)));
        assert_eq!(claim(0xfc00_ff01), None);
    }
}
