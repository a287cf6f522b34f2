// SPDX-License-Identifier: GPL-2.0

//! Numbers of the registers that are reached through `siselect` and `sireg` (AIA 2.1, 3.7).

use crate::{
    eix::EixWord,
    error::OutOfRange, //
};

/// The number of an indirectly accessed register that a hart with XLEN = 64 has.
///
/// On such harts only the even ones of the arrays `iprio`, `eip` and `eie` exist; an access to an
/// odd one raises an exception (AIA 3.8.3, 3.8.4, 5.4.1). That is why a value of this type is never
/// one of those. Reserved numbers of an interrupt file, which read as zero, are allowed.
///
/// # Examples
///
/// ```
/// use aia_core::isel::{Isel, IndirectRegister};
///
/// assert_eq!(Isel::new(0x70), Some(Isel::EIDELIVERY));
/// assert_eq!(Isel::EIDELIVERY.register(), IndirectRegister::Eidelivery);
/// assert!(Isel::new(0x81).is_none());
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[repr(transparent)]
pub struct Isel(u8);

/// What an [`Isel`] stands for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum IndirectRegister {
    /// Priorities of major interrupts `first` to `first + 7`.
    Iprio {
        /// The first of the eight major interrupts, a multiple of 8 up to 56.
        first: u32,
    },
    /// Whether the interrupt file delivers interrupts (AIA 3.8.1).
    Eidelivery,
    /// The priority threshold of the interrupt file (AIA 3.8.2).
    Eithreshold,
    /// A reserved register of the interrupt file: reads as zero, writes are ignored (AIA 3.7).
    Reserved,
    /// A word of interrupt-pending bits (AIA 3.8.3).
    Eip(EixWord),
    /// A word of interrupt-enable bits (AIA 3.8.4).
    Eie(EixWord),
}

impl Isel {
    const IPRIO_FIRST: u8 = 0x30;
    const IPRIO_LAST: u8 = 0x3f;
    const FILE_FIRST: u8 = 0x70;
    const EIP_FIRST: u8 = 0x80;
    const EIP_LAST: u8 = 0xbf;
    const EIE_FIRST: u8 = 0xc0;

    /// Whether the interrupt file delivers interrupts.
    pub const EIDELIVERY: Self = Self(0x70);

    /// The priority threshold of the interrupt file.
    pub const EITHRESHOLD: Self = Self(0x72);

    /// Makes a register number; [`None`] if a hart with XLEN = 64 has no such AIA register.
    #[inline]
    pub const fn new(value: u64) -> Option<Self> {
        if value > u8::MAX as u64 {
            return None;
        }
        let value = value as u8;
        let odd = value & 1 != 0;
        match value {
            Self::IPRIO_FIRST..=Self::IPRIO_LAST | Self::EIP_FIRST.. if odd => None,
            Self::IPRIO_FIRST..=Self::IPRIO_LAST | Self::FILE_FIRST.. => Some(Self(value)),
            _ => None,
        }
    }

    /// Returns the number of the register with a word of interrupt-pending bits.
    #[inline]
    pub const fn eip(word: EixWord) -> Self {
        // The last word is number 31, so the sum is at most 0xbe.
        Self(Self::EIP_FIRST + 2 * word.get() as u8)
    }

    /// Returns the number of the register with a word of interrupt-enable bits.
    #[inline]
    pub const fn eie(word: EixWord) -> Self {
        // The last word is number 31, so the sum is at most 0xfe.
        Self(Self::EIE_FIRST + 2 * word.get() as u8)
    }

    /// Returns the number of the register with the priority of major interrupt `major`; [`None`]
    /// if it is above 63.
    #[inline]
    pub const fn iprio(major: u32) -> Option<Self> {
        if major > 63 {
            return None;
        }
        Some(Self(Self::IPRIO_FIRST + 2 * (major / 8) as u8))
    }

    /// Returns the number.
    #[inline]
    pub const fn get(self) -> u64 {
        self.0 as u64
    }

    /// Returns what the number stands for.
    #[inline]
    pub const fn register(self) -> IndirectRegister {
        match self {
            Self::EIDELIVERY => IndirectRegister::Eidelivery,
            Self::EITHRESHOLD => IndirectRegister::Eithreshold,
            Self(n @ Self::EIP_FIRST..=Self::EIP_LAST) => {
                IndirectRegister::Eip(EixWord::wrapping((n - Self::EIP_FIRST) as u32 / 2))
            }
            Self(n @ Self::EIE_FIRST..) => {
                IndirectRegister::Eie(EixWord::wrapping((n - Self::EIE_FIRST) as u32 / 2))
            }
            Self(n @ Self::IPRIO_FIRST..=Self::IPRIO_LAST) => IndirectRegister::Iprio {
                first: (n - Self::IPRIO_FIRST) as u32 * 4,
            },
            Self(_) => IndirectRegister::Reserved,
        }
    }
}

impl TryFrom<u64> for Isel {
    type Error = OutOfRange;

    #[inline]
    fn try_from(value: u64) -> Result<Self, OutOfRange> {
        Self::new(value).ok_or(OutOfRange)
    }
}

#[cfg_attr(CONFIG_KUNIT, kernel::macros::kunit_tests(aia_core_isel))]
#[cfg_attr(not(CONFIG_KUNIT), cfg(test))]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_64_bit_hart_has() {
        for n in 0..0x200 {
            let array = (0x30..=0x3f).contains(&n) || (0x80..=0xff).contains(&n);
            let reserved_or_control = (0x70..=0x7f).contains(&n);
            let exists = reserved_or_control || (array && n % 2 == 0);
            assert_eq!(Isel::new(n).map(Isel::get), exists.then_some(n));
        }
        assert_eq!(Isel::new(0x1_0070), None);
        assert_eq!(Isel::try_from(u64::MAX), Err(OutOfRange));
    }

    #[test]
    fn words_have_even_numbers() -> Result<(), OutOfRange> {
        for n in 0..32 {
            let word = EixWord::new(n).ok_or(OutOfRange)?;
            assert_eq!(Isel::eip(word).get(), 0x80 + 2 * u64::from(n));
            assert_eq!(Isel::eie(word).get(), 0xc0 + 2 * u64::from(n));
            assert_eq!(Isel::eip(word).register(), IndirectRegister::Eip(word));
            assert_eq!(Isel::eie(word).register(), IndirectRegister::Eie(word));
        }
        assert_eq!(EixWord::new(32), None);
        Ok(())
    }

    #[test]
    fn meanings() {
        let meaning = |n| Isel::new(n).map(Isel::register);
        assert_eq!(meaning(0x70), Some(IndirectRegister::Eidelivery));
        assert_eq!(meaning(0x71), Some(IndirectRegister::Reserved));
        assert_eq!(meaning(0x72), Some(IndirectRegister::Eithreshold));
        assert_eq!(meaning(0x73), Some(IndirectRegister::Reserved));
        assert_eq!(meaning(0x7f), Some(IndirectRegister::Reserved));
        assert_eq!(meaning(0x30), Some(IndirectRegister::Iprio { first: 0 }));
        assert_eq!(meaning(0x32), Some(IndirectRegister::Iprio { first: 8 }));
        assert_eq!(meaning(0x3e), Some(IndirectRegister::Iprio { first: 56 }));
        assert_eq!(Isel::iprio(9).map(Isel::get), Some(0x32));
        assert_eq!(Isel::iprio(63).map(Isel::get), Some(0x3e));
        assert_eq!(Isel::iprio(64), None);
    }
}
