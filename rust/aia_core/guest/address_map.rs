// SPDX-License-Identifier: GPL-2.0

//! Where a guest's MSIs go: from a guest-physical address to the hart and file that it means.

use crate::{
    addr::{
        Guest,
        PhysAddr,
        PAGE_SHIFT,
        PAGE_SIZE, //
    },
    bits::low_mask, //
};

/// What the target address of a guest's MSI means.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Target {
    /// The page of the supervisor-level file of the hart that it may be meant for.
    pub page: PhysAddr<Guest>,
    /// Which of the hart's files, 0 to 127; 0 is the supervisor-level one.
    pub guest: u32,
    /// Where in the page, 0 to 4,095.
    pub offset: u32,
}

/// Where a virtual machine's interrupt files are in guest-physical memory (AIA 3.6).
///
/// It takes apart any address, whereas a [`crate::geometry::Geometry`] only takes those that have
/// its base. The interface promises user space no more than that all files have one base, and its
/// hart index, group and hart in one number, has room for more harts than a
/// [`crate::ids::HartIndex`].
///
/// # Invariants
///
/// Every number is in its range, see [`super::attribute::ConfigAttr`]; if there is a group index, it does not overlap
/// the bits below.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct GuestMap {
    /// The bits of an address below the hart index.
    below_hart: u64,
    hart: Index,
    group: Index,
    hart_bits: u32,
}

/// An index in an address.
///
/// Masks are made once, not for each MSI.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Index {
    /// Below 64.
    shift: u32,
    mask: u64,
}

impl Index {
    /// The index with `bits` bits from `shift` on, which is below 64.
    const fn new(bits: u32, shift: u32) -> Self {
        Self {
            shift,
            mask: low_mask(bits),
        }
    }

    /// Returns what the index is in `addr`.
    #[inline(always)]
    const fn of(self, addr: u64) -> u64 {
        addr.wrapping_shr(self.shift) & self.mask
    }

    /// Returns the bits of an address that the index takes.
    const fn bits(self) -> u64 {
        self.mask.wrapping_shl(self.shift)
    }
}

impl GuestMap {
    /// Makes the map of so wide indexes, with the group index at that position; [`None`] if it
    /// overlaps the bits below.
    ///
    /// Each number is to be in its range.
    pub(super) const fn new(
        group_bits: u32,
        group_shift: u32,
        hart_bits: u32,
        guest_bits: u32,
    ) -> Option<Self> {
        if group_bits > 0 && group_shift < PAGE_SHIFT + guest_bits + hart_bits {
            return None;
        }
        // INVARIANT: Just checked; the ranges are those of the caller.
        Some(Self {
            below_hart: low_mask(PAGE_SHIFT + guest_bits),
            hart: Index::new(hart_bits, PAGE_SHIFT + guest_bits),
            group: Index::new(group_bits, group_shift),
            hart_bits,
        })
    }

    /// Returns the hart index of the interrupt file at `addr`, 22 bits: the group index above the
    /// hart index.
    #[inline]
    pub const fn hart_index(&self, addr: PhysAddr<Guest>) -> u32 {
        let group = self.group.of(addr.get());

        // CAST: 7 and 15 bits at most.
        (group.wrapping_shl(self.hart_bits) | self.hart.of(addr.get())) as u32
    }

    /// Returns the page number of `addr` without all index bits: what all interrupt files of the
    /// virtual machine must have in common.
    #[inline]
    pub const fn base_ppn(&self, addr: PhysAddr<Guest>) -> u64 {
        let indexes = self.below_hart | self.hart.bits() | self.group.bits();

        PhysAddr::<Guest>::new(addr.get() & !indexes).ppn()
    }

    /// Groups the pages of interrupt files, which ascend, into stretches of memory that have nothing in
    /// them but these pages and, behind each, the others of the same hart (AIA 3.6).
    ///
    /// Returns where each starts, and its size in bytes.
    pub fn stretches<'a>(
        &'a self,
        pages: &'a [PhysAddr<Guest>],
    ) -> impl Iterator<Item = (PhysAddr<Guest>, u64)> + 'a {
        let of_hart = self.below_hart;

        pages
            .chunk_by(move |page, next| next.get().saturating_sub(1) <= page.get() | of_hart)
            .filter_map(|stretch| {
                let (first, last) = (stretch.first()?, stretch.last()?);

                Some((*first, last.get() - first.get() + PAGE_SIZE))
            })
    }

    /// Takes the target address of an MSI apart.
    ///
    /// The file at [`Target::page`] exists only if a vCPU has this very address; its
    /// [`Self::hart_index`] says which one that can be.
    #[inline]
    pub const fn decode(&self, addr: PhysAddr<Guest>) -> Target {
        Target {
            page: PhysAddr::new(addr.get() & !self.below_hart),
            // CAST: 7 and 12 bits at most.
            guest: PhysAddr::<Guest>::new(addr.get() & self.below_hart).ppn() as u32,
            offset: addr.page_offset() as u32,
        }
    }
}

#[cfg_attr(CONFIG_KUNIT, kernel::macros::kunit_tests(aia_core_guest_address_map))]
#[cfg_attr(not(CONFIG_KUNIT), cfg(test))]
mod tests {
    use super::*;

    fn map(group: (u32, u32), hart_bits: u32, guest_bits: u32) -> GuestMap {
        GuestMap::new(group.0, group.1, hart_bits, guest_bits).unwrap()
    }

    // Fix 2024-05 of kvm-requirements.rst: the only vCPU of a guest without hart index bits is
    // hart 0.
    #[test]
    fn no_index_bits() {
        let map = map((0, 24), 0, 0);
        let addr = PhysAddr::new(0x2800_5fff);

        assert_eq!(map.hart_index(addr), 0);
        assert_eq!(map.hart_index(PhysAddr::new(u64::MAX)), 0);
        assert_eq!(map.base_ppn(addr), 0x2_8005);
        assert_eq!(
            map.decode(addr),
            Target {
                page: PhysAddr::new(0x2800_5000),
                guest: 0,
                offset: 0xfff,
            }
        );
    }

    #[test]
    fn all_index_bits() {
        let map = map((7, 55), 15, 7);
        let all = PhysAddr::new(u64::MAX);

        assert_eq!(map.hart_index(all), 0x3f_ffff);
        assert_eq!(map.hart_index(PhysAddr::new(0x7f << 55)), 0x3f_8000);
        assert_eq!(map.hart_index(PhysAddr::new(0x7fff << 19)), 0x7fff);
        assert_eq!(map.base_ppn(all), 3 << 50 | 0x1f_ffff << 22);
        assert_eq!(
            map.decode(all),
            Target {
                page: PhysAddr::new(!0x7_ffff),
                guest: 0x7f,
                offset: 0xfff,
            }
        );
    }

    #[test]
    fn stretches_of_pages() {
        let check = |map: GuestMap, pages: &[u64], wanted: &[(u64, u64)]| {
            let mut addrs = [PhysAddr::new(0); 8];
            for (addr, &page) in addrs.iter_mut().zip(pages) {
                *addr = PhysAddr::new(page << PAGE_SHIFT);
            }
            let found = map.stretches(&addrs[..pages.len()]);
            let wanted = wanted
                .iter()
                .map(|(page, pages)| (PhysAddr::new(page << PAGE_SHIFT), pages << PAGE_SHIFT));
            assert!(found.eq(wanted));
        };

        // One hart after the other; a hole; the same page twice; the last page there can be.
        let plain = map((0, 24), 3, 0);
        check(plain, &[], &[]);
        check(plain, &[8], &[(8, 1)]);
        check(plain, &[8, 9, 10, 12, 13], &[(8, 3), (12, 2)]);
        check(plain, &[0, 0, 1], &[(0, 2)]);
        let last = u64::MAX >> PAGE_SHIFT;
        check(plain, &[last - 1, last], &[(last - 1, 2)]);

        // With four pages per hart: those behind a page belong to it, those before it do not.
        let spread = map((1, 24), 3, 2);
        check(spread, &[8, 12, 16], &[(8, 9)]);
        check(spread, &[8, 9, 12], &[(8, 5)]);
        check(spread, &[8, 13], &[(8, 1), (13, 1)]);
        check(spread, &[11, 12], &[(11, 2)]);
        check(spread, &[8, 12, 0x1008, 0x100c], &[(8, 5), (0x1008, 5)]);
    }

    #[test]
    fn two_groups_with_guest_pages() {
        let map = map((1, 24), 2, 1);

        for (addr, hart) in [(0x2800_0000, 0), (0x2800_6000, 3), (0x2900_2000, 5)] {
            let addr = PhysAddr::new(addr);
            assert_eq!(map.hart_index(addr), hart);
            assert_eq!(map.base_ppn(addr), 0x2_8000);
            assert_eq!(map.decode(addr).page, addr);
            let second = PhysAddr::new(addr.get() + 0x1004);
            assert_eq!(
                map.decode(second),
                Target {
                    page: addr,
                    guest: 1,
                    offset: 4,
                }
            );
        }
        assert_ne!(map.base_ppn(PhysAddr::new(0x2a00_0000)), 0x2_8000);
        assert_ne!(map.base_ppn(PhysAddr::new(0x2800_8000)), 0x2_8000);
    }
}
