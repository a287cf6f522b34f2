// SPDX-License-Identifier: GPL-2.0

//! Numbers of the AIA, one type for each kind.
//!
//! A number is range-checked where it enters, by `new()` or [`TryFrom`], and can be relied on from
//! then on. `get()` gives it back.

use crate::error::OutOfRange;

use core::{
    fmt,
    num::NonZeroU16, //
};

/// Implements what all number types have in common, given `new()` and `get()`.
macro_rules! impl_common {
    ($name:ident) => {
        impl $name {
            /// Returns the number as an index into a slice.
            #[inline]
            pub const fn index(self) -> usize {
                self.get() as usize
            }
        }

        impl TryFrom<u32> for $name {
            type Error = OutOfRange;

            #[inline]
            fn try_from(value: u32) -> Result<Self, OutOfRange> {
                Self::new(value).ok_or(OutOfRange)
            }
        }

        impl TryFrom<u64> for $name {
            type Error = OutOfRange;

            #[inline]
            fn try_from(value: u64) -> Result<Self, OutOfRange> {
                u32::try_from(value)
                    .ok()
                    .and_then(Self::new)
                    .ok_or(OutOfRange)
            }
        }

        impl TryFrom<usize> for $name {
            type Error = OutOfRange;

            #[inline]
            fn try_from(value: usize) -> Result<Self, OutOfRange> {
                u32::try_from(value)
                    .ok()
                    .and_then(Self::new)
                    .ok_or(OutOfRange)
            }
        }

        impl From<$name> for u32 {
            #[inline]
            fn from(value: $name) -> u32 {
                value.get()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.get(), f)
            }
        }
    };
}

/// Defines a number type that starts at 0.
macro_rules! index_type {
    ($(#[$meta:meta])* $name:ident($repr:ty), max $max:literal) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
        #[repr(transparent)]
        pub struct $name($repr);

        impl $name {
            /// The smallest value, 0.
            pub const ZERO: Self = Self(0);

            /// The largest value.
            pub const MAX: Self = Self($max);

            /// Makes a value; [`None`] if `value` is out of range.
            #[inline]
            pub const fn new(value: u32) -> Option<Self> {
                if value <= $max {
                    Some(Self(value as $repr))
                } else {
                    None
                }
            }

            /// Returns the number.
            #[inline]
            pub const fn get(self) -> u32 {
                self.0 as u32
            }
        }

        impl_common!($name);
    };
}

/// Defines a number type that starts at 1, so that an [`Option`] of it needs no extra space.
macro_rules! identity_type {
    ($(#[$meta:meta])* $name:ident, max $max:literal) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        #[repr(transparent)]
        pub struct $name(NonZeroU16);

        impl $name {
            /// The smallest value, 1.
            pub const MIN: Self = Self(NonZeroU16::MIN);

            /// The largest value.
            pub const MAX: Self = match NonZeroU16::new($max) {
                Some(max) => Self(max),
                None => Self::MIN,
            };

            /// Makes a value; [`None`] if `value` is out of range.
            #[inline]
            pub const fn new(value: u32) -> Option<Self> {
                if value > $max {
                    return None;
                }
                match NonZeroU16::new(value as u16) {
                    Some(value) => Some(Self(value)),
                    None => None,
                }
            }

            /// Returns the number.
            #[inline]
            pub const fn get(self) -> u32 {
                self.0.get() as u32
            }
        }

        impl_common!($name);
    };
}

identity_type!(
    /// An external interrupt identity of an IMSIC interrupt file, 1 to 2,047 (AIA 3.2).
    ///
    /// How many of them a file implements is [`NrIds`].
    ///
    /// # Examples
    ///
    /// ```
    /// use aia_core::ids::Eiid;
    ///
    /// assert!(Eiid::new(0).is_none());
    /// assert_eq!(Eiid::new(2047), Some(Eiid::MAX));
    /// assert_eq!(size_of::<Option<Eiid>>(), 2);
    /// ```
    Eiid,
    max 2047
);

identity_type!(
    /// An interrupt source of an APLIC, 1 to 1,023 (AIA 4.1).
    SourceId,
    max 1023
);

identity_type!(
    /// A guest external interrupt of a hart, 1 to 63 (AIA 3.1, 6.1).
    ///
    /// It is at once a line into the CSR `hgeip`, a value of the field VGEIN of `hstatus`, and the
    /// number of a guest interrupt file.
    Hgei,
    max 63
);

index_type!(
    /// A hart index, 0 to 16,383: an APLIC domain's number for a hart, or the number of a hart
    /// within its group in the MSI target address scheme (AIA 4.3, 3.6).
    ///
    /// It need not be related to the hart ID, the number in the CSR `mhartid`.
    HartIndex(u16),
    max 16383
);

index_type!(
    /// The number of a group of harts in the MSI target address scheme, 0 to 255 (AIA 3.6).
    ///
    /// The device-tree binding allows 7 bits, the KVM interface 8.
    GroupIndex(u8),
    max 255
);

index_type!(
    /// The number of a page within a hart's interrupt files, 0 to 63 (AIA 3.6).
    ///
    /// 0 is the supervisor-level file's page; 1 to 63 are the guest interrupt files' pages.
    GuestIndex(u8),
    max 63
);

index_type!(
    /// The number of an interrupt delivery control structure of an APLIC domain, 0 to 16,383.
    ///
    /// The array of these structures is indexed by the domain's hart index (AIA 4.8.1).
    IdcIndex(u16),
    max 16383
);

index_type!(
    /// The number of a vCPU within its virtual machine, in the order of creation: 0 to 16,383, as
    /// many as the KVM interface has addresses for (`KVM_DEV_RISCV_AIA_ADDR_MAX`).
    ///
    /// It is neither the number that user space chose, which is [`VcpuId`], nor the hart index.
    VcpuIndex(u16),
    max 16383
);

impl GuestIndex {
    /// The page of the supervisor-level interrupt file.
    pub const SUPERVISOR: Self = Self::ZERO;

    /// Returns whether this is the page of a guest interrupt file.
    #[inline]
    pub const fn is_guest(self) -> bool {
        self.0 != 0
    }
}

impl Hgei {
    /// Returns the line's bit in the CSRs `hgeip` and `hgeie`.
    #[inline]
    pub const fn bit(self) -> u64 {
        // No line is greater than 63.
        1 << self.get()
    }
}

impl From<HartIndex> for IdcIndex {
    #[inline]
    fn from(hart: HartIndex) -> Self {
        Self(hart.0)
    }
}

/// A logical CPU number of the host kernel, any value.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[repr(transparent)]
pub struct Cpu(u32);

impl Cpu {
    /// Makes a CPU number.
    #[inline]
    pub const fn new(value: u32) -> Self {
        Self(value)
    }

    /// Returns the number.
    #[inline]
    pub const fn get(self) -> u32 {
        self.0
    }

    /// Returns the number as an index into a slice.
    #[inline]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for Cpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// The ID that user space gave a vCPU when it created it, any value.
///
/// It is not the vCPU's number in the order of creation, which is [`VcpuIndex`].
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[repr(transparent)]
pub struct VcpuId(u32);

impl VcpuId {
    /// The largest value; no vCPU has it.
    pub const MAX: Self = Self(u32::MAX);

    /// Makes a vCPU ID.
    #[inline]
    pub const fn new(value: u32) -> Self {
        Self(value)
    }

    /// Returns the number.
    #[inline]
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl fmt::Display for VcpuId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// How many identities an interrupt file implements: 63 to 2,047, one less than a multiple of 64
/// (AIA 3.1).
///
/// The identities are 1 up to this number.
///
/// # Examples
///
/// ```
/// use aia_core::ids::{Eiid, NrIds};
///
/// let nr_ids = NrIds::new(255).unwrap();
/// assert!(Eiid::new(255).is_some_and(|id| nr_ids.contains(id)));
/// assert!(!nr_ids.contains(Eiid::MAX));
/// assert_eq!(nr_ids.iter().count(), 255);
/// assert!(NrIds::new(256).is_none());
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[repr(transparent)]
pub struct NrIds(Eiid);

impl NrIds {
    /// The smallest number, 63.
    pub const MIN: Self = match Eiid::new(63) {
        Some(last) => Self(last),
        None => Self::MAX,
    };

    /// The largest number, 2,047.
    pub const MAX: Self = Self(Eiid::MAX);

    /// Makes a number of identities; [`None`] unless it is 64k - 1 and from 63 to 2,047.
    #[inline]
    pub const fn new(value: u32) -> Option<Self> {
        if value % 64 != 63 {
            return None;
        }
        match Eiid::new(value) {
            Some(last) => Some(Self(last)),
            None => None,
        }
    }

    /// Returns the number.
    #[inline]
    pub const fn get(self) -> u32 {
        self.0.get()
    }

    /// Returns the identity with the largest number, which has the lowest priority.
    #[inline]
    pub const fn last(self) -> Eiid {
        self.0
    }

    /// Returns whether a file of this size implements `id`.
    #[inline]
    pub const fn contains(self, id: Eiid) -> bool {
        id.get() <= self.get()
    }

    /// Returns `value` as an identity if a file of this size implements it.
    #[inline]
    pub const fn check(self, value: u32) -> Option<Eiid> {
        if value > self.get() {
            return None;
        }
        Eiid::new(value)
    }

    /// Returns how many 64-bit words hold one bit for each identity and for 0: 1 to 32.
    #[inline]
    pub const fn words(self) -> u32 {
        self.get() / 64 + 1
    }

    /// Iterates over all identities, highest priority first.
    #[inline]
    pub fn iter(self) -> impl DoubleEndedIterator<Item = Eiid> {
        (1..=self.get()).filter_map(Eiid::new)
    }
}

impl_common!(NrIds);

/// How many interrupt sources an APLIC has: 1 to 1,023 (AIA 4.1).
///
/// The sources are 1 up to this number.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[repr(transparent)]
pub struct NrSources(SourceId);

impl NrSources {
    /// The largest number, 1,023.
    pub const MAX: Self = Self(SourceId::MAX);

    /// Makes a number of sources; [`None`] if `value` is out of range.
    #[inline]
    pub const fn new(value: u32) -> Option<Self> {
        match SourceId::new(value) {
            Some(last) => Some(Self(last)),
            None => None,
        }
    }

    /// Returns the number.
    #[inline]
    pub const fn get(self) -> u32 {
        self.0.get()
    }

    /// Returns the source with the largest number.
    #[inline]
    pub const fn last(self) -> SourceId {
        self.0
    }

    /// Returns whether `source` is one of them.
    #[inline]
    pub const fn contains(self, source: SourceId) -> bool {
        source.get() <= self.get()
    }

    /// Returns `value` as a source if it is one of them.
    #[inline]
    pub const fn check(self, value: u32) -> Option<SourceId> {
        // Zero is none, either.
        if value.wrapping_sub(1) >= self.get() {
            return None;
        }
        SourceId::new(value)
    }

    /// Returns how many 32-bit words hold one bit for each source and for 0: 1 to 32.
    #[inline]
    pub const fn words(self) -> u32 {
        self.get() / 32 + 1
    }

    /// Iterates over all sources in ascending order.
    #[inline]
    pub fn iter(self) -> impl DoubleEndedIterator<Item = SourceId> {
        (1..=self.get()).filter_map(SourceId::new)
    }
}

impl_common!(NrSources);

#[cfg_attr(CONFIG_KUNIT, kernel::macros::kunit_tests(aia_core_ids))]
#[cfg_attr(not(CONFIG_KUNIT), cfg(test))]
mod tests {
    use super::*;

    #[test]
    fn identities_start_at_one() {
        assert_eq!(Eiid::new(0), None);
        assert_eq!(Eiid::new(1), Some(Eiid::MIN));
        assert_eq!(Eiid::new(2047), Some(Eiid::MAX));
        assert_eq!(Eiid::new(2048), None);
        assert_eq!(SourceId::new(0), None);
        assert_eq!(SourceId::new(1023), Some(SourceId::MAX));
        assert_eq!(SourceId::new(1024), None);
        assert_eq!(Hgei::new(0), None);
        assert_eq!(Hgei::new(63), Some(Hgei::MAX));
        assert_eq!(Hgei::new(64), None);
    }

    /// Bit 0 of `hgeip` is never a line.
    #[test]
    fn lines_have_a_bit() {
        assert_eq!(Hgei::MIN.bit(), 1 << 1);
        assert_eq!(Hgei::MAX.bit(), 1 << 63);
    }

    #[test]
    fn indexes_start_at_zero() {
        assert_eq!(HartIndex::new(0), Some(HartIndex::ZERO));
        assert_eq!(HartIndex::new(16383), Some(HartIndex::MAX));
        assert_eq!(HartIndex::new(16384), None);
        assert_eq!(IdcIndex::new(16384), None);
        assert_eq!(VcpuIndex::new(16383), Some(VcpuIndex::MAX));
        assert_eq!(VcpuIndex::new(16384), None);
        assert_eq!(GroupIndex::new(255), Some(GroupIndex::MAX));
        assert_eq!(GroupIndex::new(256), None);
        assert_eq!(GuestIndex::new(63), Some(GuestIndex::MAX));
        assert_eq!(GuestIndex::new(64), None);
        assert!(GuestIndex::MAX.is_guest());
        assert!(!GuestIndex::SUPERVISOR.is_guest());
    }

    /// A value is not cut down to the width of the type before it is checked.
    #[test]
    fn wide_values_are_refused() {
        assert_eq!(Eiid::new(0x1_0001), None);
        assert_eq!(SourceId::new(u32::MAX), None);
        assert_eq!(GroupIndex::new(0x100), None);
        assert_eq!(HartIndex::new(0x1_0000), None);
        assert_eq!(Eiid::try_from(0x1_0000_0001_u64), Err(OutOfRange));
        assert_eq!(HartIndex::try_from(0x1_0000_0000_u64), Err(OutOfRange));
        assert_eq!(NrIds::new(0x1_003f), None);
        assert_eq!(NrSources::new(0x1_0001), None);
    }

    #[test]
    fn option_costs_nothing() {
        assert_eq!(size_of::<Option<Eiid>>(), 2);
        assert_eq!(size_of::<Option<SourceId>>(), 2);
    }

    #[test]
    fn nr_ids_is_one_less_than_a_multiple_of_64() {
        let mut valid = 0;
        for n in 0..5000 {
            if NrIds::new(n).is_some() {
                assert_eq!(n % 64, 63);
                valid += 1;
            }
        }
        assert_eq!(valid, 32);
        assert_eq!(NrIds::new(63), Some(NrIds::MIN));
        assert_eq!(NrIds::new(2047), Some(NrIds::MAX));
        assert_eq!(NrIds::new(2111), None);
        assert_eq!(NrIds::new(u32::MAX), None);
    }

    #[test]
    fn nr_ids_bounds_identities() {
        assert_eq!(NrIds::MIN.get(), 63);
        assert_eq!(NrIds::MIN.check(0), None);
        assert_eq!(NrIds::MIN.check(63), Some(NrIds::MIN.last()));
        assert_eq!(NrIds::MIN.check(64), None);
        assert!(!NrIds::MIN.contains(Eiid::MAX));
        assert_eq!(NrIds::MIN.words(), 1);
        assert_eq!(NrIds::MAX.words(), 32);
        assert_eq!(NrIds::MAX.iter().count(), 2047);
        assert_eq!(NrIds::MAX.iter().next(), Some(Eiid::MIN));
        assert_eq!(NrIds::MAX.iter().next_back(), Some(Eiid::MAX));
    }

    #[test]
    fn nr_sources_bounds_sources() {
        assert_eq!(NrSources::new(0), None);
        assert_eq!(NrSources::new(1023), Some(NrSources::MAX));
        assert_eq!(NrSources::new(1024), None);
        assert_eq!(NrSources::new(31).map(NrSources::words), Some(1));
        assert_eq!(NrSources::new(32).map(NrSources::words), Some(2));
        assert_eq!(NrSources::MAX.words(), 32);
        assert_eq!(NrSources::MAX.iter().count(), 1023);
        assert_eq!(NrSources::new(96).and_then(|n| n.check(97)), None);
        assert_eq!(NrSources::new(96).and_then(|n| n.check(0)), None);
    }
}
