// SPDX-License-Identifier: GPL-2.0

//! Physical addresses that know whose address space they belong to.

use core::{
    fmt,
    marker::PhantomData, //
};

/// The size of an interrupt file's page as a power of two (AIA 3.5).
pub const PAGE_SHIFT: u32 = 12;

/// The size of an interrupt file's page in bytes, 4,096 (AIA 3.5).
pub const PAGE_SIZE: u64 = 1 << PAGE_SHIFT;

/// The bits of an address below the page number.
pub const PAGE_OFFSET_MASK: u64 = PAGE_SIZE - 1;

mod private {
    pub trait Sealed {}
    impl Sealed for super::Host {}
    impl Sealed for super::Guest {}
}

/// A physical address space, with the limits of the interface that describes its interrupt files.
///
/// The trait is sealed: the spaces are [`Host`] and [`Guest`].
pub trait AddressSpace: private::Sealed + Copy + Eq + Ord + fmt::Debug + 'static {
    /// The most guest index bits that may be asked for.
    const MAX_GUEST_INDEX_BITS: u32;

    /// The most hart index bits that may be asked for.
    const MAX_HART_INDEX_BITS: u32;

    /// The most group index bits that may be asked for.
    const MAX_GROUP_INDEX_BITS: u32;

    /// The highest position of the lowest group index bit that may be asked for.
    const MAX_GROUP_INDEX_SHIFT: u32;
}

/// The physical address space of the machine; the limits are the device-tree binding's.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Host {}

/// The physical address space of a virtual machine; the limits are the KVM interface's.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Guest {}

impl AddressSpace for Host {
    const MAX_GUEST_INDEX_BITS: u32 = 7;
    const MAX_HART_INDEX_BITS: u32 = 15;
    const MAX_GROUP_INDEX_BITS: u32 = 7;
    const MAX_GROUP_INDEX_SHIFT: u32 = 55;
}

impl AddressSpace for Guest {
    const MAX_GUEST_INDEX_BITS: u32 = 8;
    const MAX_HART_INDEX_BITS: u32 = 16;
    const MAX_GROUP_INDEX_BITS: u32 = 8;
    const MAX_GROUP_INDEX_SHIFT: u32 = 56;
}

/// A physical address in the address space `AS`.
///
/// # Examples
///
/// ```
/// use aia_core::addr::{Host, PhysAddr};
///
/// let addr = PhysAddr::<Host>::new(0x2800_1004);
/// assert_eq!(addr.page().get(), 0x2800_1000);
/// assert_eq!(addr.page_offset(), 4);
/// ```
#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
#[repr(transparent)]
pub struct PhysAddr<AS: AddressSpace>(u64, PhantomData<AS>);

impl<AS: AddressSpace> PhysAddr<AS> {
    /// Makes an address.
    #[inline]
    pub const fn new(addr: u64) -> Self {
        Self(addr, PhantomData)
    }

    /// Makes an address from the page number `ppn`; [`None`] if it exceeds 64 bits.
    #[inline]
    pub const fn from_ppn(ppn: u64) -> Option<Self> {
        if ppn >> (u64::BITS - PAGE_SHIFT) != 0 {
            return None;
        }
        Some(Self::new(ppn << PAGE_SHIFT))
    }

    /// Returns the address as a number.
    #[inline]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// Returns the number of the page that contains the address.
    #[inline]
    pub const fn ppn(self) -> u64 {
        self.0 >> PAGE_SHIFT
    }

    /// Returns the start of the page that contains the address.
    #[inline]
    pub const fn page(self) -> Self {
        Self::new(self.0 & !PAGE_OFFSET_MASK)
    }

    /// Returns the offset of the address in its page, 0 to 4,095.
    #[inline]
    pub const fn page_offset(self) -> u64 {
        self.0 & PAGE_OFFSET_MASK
    }

    /// Returns whether the address is the start of a page.
    #[inline]
    pub const fn is_page_aligned(self) -> bool {
        self.page_offset() == 0
    }

    /// Returns whether who gets the address `next` instead, 32 bits after 32 bits, has another one on
    /// the way.
    #[inline]
    pub const fn mixes_with(self, next: Self) -> bool {
        let changed = self.0 ^ next.0;

        changed >> u32::BITS != 0 && changed as u32 != 0
    }

    /// Adds a number of bytes; [`None`] if the sum exceeds 64 bits.
    #[inline]
    pub const fn checked_add(self, bytes: u64) -> Option<Self> {
        match self.0.checked_add(bytes) {
            Some(sum) => Some(Self::new(sum)),
            None => None,
        }
    }
}

impl<AS: AddressSpace> fmt::Debug for PhysAddr<AS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PhysAddr({:#x})", self.0)
    }
}

impl<AS: AddressSpace> fmt::LowerHex for PhysAddr<AS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::LowerHex::fmt(&self.0, f)
    }
}

#[cfg_attr(CONFIG_KUNIT, kernel::macros::kunit_tests(aia_core_addr))]
#[cfg_attr(not(CONFIG_KUNIT), cfg(test))]
mod tests {
    use super::*;

    #[test]
    fn pages() {
        let addr = PhysAddr::<Host>::new(0x2800_1fff);
        assert_eq!(addr.ppn(), 0x2_8001);
        assert_eq!(addr.page_offset(), 0xfff);
        assert!(!addr.is_page_aligned());
        assert!(addr.page().is_page_aligned());
        assert_eq!(PhysAddr::from_ppn(0x2_8001), Some(addr.page()));
    }

    #[test]
    fn nothing_wraps() {
        let last = PhysAddr::<Guest>::new(u64::MAX);
        assert_eq!(last.checked_add(0), Some(last));
        assert_eq!(last.checked_add(1), None);
        assert_eq!(PhysAddr::from_ppn(last.ppn()), Some(last.page()));
        assert_eq!(PhysAddr::<Guest>::from_ppn(last.ppn() + 1), None);
    }

    #[test]
    fn mixes() {
        let at = PhysAddr::<Host>::new;

        assert!(!at(0x2800_0000).mixes_with(at(0x2800_0000)));
        assert!(!at(0x2800_0000).mixes_with(at(0x2800_1000)));
        assert!(!at(0x2800_0000).mixes_with(at(0x100_2800_0000)));
        assert!(at(0x2800_0000).mixes_with(at(0x100_2800_1000)));
        assert!(at(0xffff_f000).mixes_with(at(0x1_0000_0000)));
    }
}
