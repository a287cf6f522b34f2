// SPDX-License-Identifier: GPL-2.0

//! Which page of which memory region is a hart's interrupt file.
//!
//! Firmware lists the harts (parent interrupts) and the memory regions separately. The n-th hart
//! has the n-th slot: regions are used up in the order of the list, slot by slot, where a slot has
//! room for the supervisor file and all guest files that the address scheme allows. A region that
//! ends inside a slot still provides that slot, with fewer guest files. So holes in the address
//! range are described by the bounds of the regions (`riscv,imsics` binding, AIA 3.6).

use crate::{
    addr::{
        AddressSpace,
        PhysAddr,
        PAGE_OFFSET_MASK,
        PAGE_SHIFT,
        PAGE_SIZE, //
    },
    bits::{
        low_mask,
        shr, //
    },
    error::{
        Fault,
        EINVAL, //
    },
    geometry::{
        Geometry,
        Location, //
    },
};

/// A memory region that holds interrupt files.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Region<AS: AddressSpace> {
    /// The first address.
    pub start: PhysAddr<AS>,
    /// The size in bytes.
    pub size: u64,
}

impl<AS: AddressSpace> Region<AS> {
    /// Makes a region.
    #[inline]
    pub const fn new(start: PhysAddr<AS>, size: u64) -> Self {
        Self { start, size }
    }

    /// Returns the last address; [`None`] if the region is empty or exceeds 64 bits.
    #[inline]
    pub const fn last(&self) -> Option<PhysAddr<AS>> {
        match self.size.checked_sub(1) {
            Some(rest) => self.start.checked_add(rest),
            None => None,
        }
    }

    /// Returns whether this region and `other` share an address.
    fn overlaps(&self, other: &Self) -> bool {
        match (self.last(), other.last()) {
            (Some(last), Some(other_last)) => self.start <= other_last && other.start <= last,
            _ => false,
        }
    }
}

/// Why a list of regions is refused; `index` counts from 0.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RegionsError {
    /// There is no region.
    Empty,
    /// A region is smaller than a page.
    TooSmall {
        /// Which one.
        index: usize,
    },
    /// A region's size is not a multiple of the page size.
    PartialPage {
        /// Which one.
        index: usize,
    },
    /// A region does not start where a hart's supervisor file can be.
    Unaligned {
        /// Which one.
        index: usize,
    },
    /// A region goes beyond the end of the address space.
    Wraps {
        /// Which one.
        index: usize,
    },
    /// A region has another base address than the address scheme.
    BaseMismatch {
        /// Which one.
        index: usize,
    },
    /// A region overlaps one that comes earlier in the list.
    Overlap {
        /// Which one.
        index: usize,
        /// The earlier one.
        other: usize,
    },
}

impl RegionsError {
    /// Returns the device-tree property that is wrong.
    #[inline]
    pub const fn property(self) -> &'static str {
        "reg"
    }

    /// Returns what is wrong with it.
    #[inline]
    pub const fn message(self) -> &'static str {
        match self {
            Self::Empty => "no memory region",
            Self::TooSmall { .. } => "region smaller than a page",
            Self::PartialPage { .. } => "region size not a multiple of the page size",
            Self::Unaligned { .. } => "region not aligned to a hart's interrupt files",
            Self::Wraps { .. } => "region exceeds the address space",
            Self::BaseMismatch { .. } => "region address does not match the first region's",
            Self::Overlap { .. } => "region overlaps another one",
        }
    }

    /// Returns the number of the region in question, counted from 0, if there is one.
    #[inline]
    pub const fn index(self) -> Option<usize> {
        match self {
            Self::Empty => None,
            Self::TooSmall { index }
            | Self::PartialPage { index }
            | Self::Unaligned { index }
            | Self::Wraps { index }
            | Self::BaseMismatch { index }
            | Self::Overlap { index, .. } => Some(index),
        }
    }

    /// Returns the error number of Linux, which is negative.
    #[inline]
    pub const fn errno(self) -> i32 {
        EINVAL
    }
}

impl From<RegionsError> for Fault {
    fn from(err: RegionsError) -> Self {
        Self {
            property: err.property(),
            message: err.message(),
            errno: err.errno(),
        }
    }
}

/// Where a hart's interrupt files are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FilePlace<AS: AddressSpace> {
    /// The number of the region, counted from 0.
    pub region: usize,
    /// The offset of the supervisor file's page in the region, in bytes.
    pub offset: u64,
    /// The address of the supervisor file's page; MSIs to the hart are written there.
    pub addr: PhysAddr<AS>,
    /// How many guest files follow the supervisor file, 0 to 63.
    pub guest_files: u32,
    /// The indexes that the address scheme gives to `addr`.
    ///
    /// [`None`] if the page is beyond what the widths of the indexes can express. It still takes
    /// MSIs from devices, but whoever computes addresses from indexes, like an APLIC, cannot reach
    /// it.
    pub location: Option<Location>,
}

/// A validated list of memory regions, to look up interrupt files in.
///
/// # Invariants
///
/// The list is not empty; each region starts at a hart's slot, has at least one page and only whole
/// ones, does not wrap around and has the base address of `geometry`; no two overlap.
///
/// # Examples
///
/// ```
/// use aia_core::{
///     addr::{Host, PhysAddr},
///     geometry::{Geometry, GeometryParams},
///     regions::{FileMap, Region},
/// };
///
/// let geometry = Geometry::<Host>::new(GeometryParams {
///     guest_index_bits: 0,
///     hart_index_bits: 2,
///     group_index_bits: 1,
///     group_index_shift: 24,
///     file: PhysAddr::new(0x2800_0000),
/// })?;
/// let regions = [
///     Region::new(PhysAddr::new(0x2800_0000), 0x4000),
///     Region::new(PhysAddr::new(0x2900_0000), 0x4000),
/// ];
/// let map = FileMap::new(&geometry, &regions).unwrap();
/// assert_eq!(map.places().nth(5).unwrap().addr.get(), 0x2900_1000);
/// assert_eq!(map.places().count(), 8);
/// # Ok::<(), aia_core::geometry::GeometryError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct FileMap<'a, AS: AddressSpace> {
    geometry: &'a Geometry<AS>,
    regions: &'a [Region<AS>],
}

impl<'a, AS: AddressSpace> FileMap<'a, AS> {
    /// Checks `regions` against each other and against `geometry`.
    ///
    /// The cost grows with the square of the number of regions.
    pub fn new(
        geometry: &'a Geometry<AS>,
        regions: &'a [Region<AS>],
    ) -> Result<Self, RegionsError> {
        if regions.is_empty() {
            return Err(RegionsError::Empty);
        }

        for (index, region) in regions.iter().enumerate() {
            if region.size < PAGE_SIZE {
                return Err(RegionsError::TooSmall { index });
            }
            if region.size & PAGE_OFFSET_MASK != 0 {
                return Err(RegionsError::PartialPage { index });
            }
            if region.last().is_none() {
                return Err(RegionsError::Wraps { index });
            }
            if !geometry.matches(region.start) {
                return Err(RegionsError::BaseMismatch { index });
            }
            if region.start.get() & low_mask(geometry.hart_shift()) != 0 {
                return Err(RegionsError::Unaligned { index });
            }

            let earlier = regions.iter().take(index);
            if let Some(other) = earlier.into_iter().position(|r| r.overlaps(region)) {
                return Err(RegionsError::Overlap { index, other });
            }
        }

        Ok(Self { geometry, regions })
    }

    /// Returns how many harts' interrupt files the regions have.
    pub fn slots(&self) -> u64 {
        self.regions
            .iter()
            .map(|region| self.slots_of(region))
            .fold(0, u64::saturating_add)
    }

    /// Returns how many harts' interrupt files a region has, counting one that is cut short.
    fn slots_of(&self, region: &Region<AS>) -> u64 {
        match region.size.checked_sub(1) {
            Some(rest) => shr(rest, self.geometry.hart_shift()).saturating_add(1),
            None => 0,
        }
    }

    /// Returns where the interrupt files at `offset` in region number `region` are; [`None`] if
    /// that is beyond the regions.
    fn place(&self, region: usize, offset: u64) -> Option<FilePlace<AS>> {
        let r = self.regions.get(region)?;
        let addr = r.start.checked_add(offset)?;
        let rest = r.size.checked_sub(offset)?;
        let guest_pages = (rest >> PAGE_SHIFT).checked_sub(1)?;
        let max = self.geometry.max_guest_files();

        Some(FilePlace {
            region,
            offset,
            addr,
            guest_files: u32::try_from(guest_pages).map_or(max, |pages| pages.min(max)),
            location: self.geometry.addr_to_location(addr),
        })
    }

    /// Returns where the first hart's interrupt files in region number `region` are; [`None`] if there
    /// is no such region.
    #[inline]
    pub fn first_place(&self, region: usize) -> Option<FilePlace<AS>> {
        self.place(region, 0)
    }

    /// Iterates over the places of all harts' interrupt files, in the order of the harts.
    #[inline]
    pub fn places(&self) -> Places<'a, AS> {
        Places {
            map: *self,
            region: 0,
            offset: 0,
        }
    }
}

/// An iterator over the places of interrupt files; see [`FileMap::places`].
#[derive(Clone, Debug)]
pub struct Places<'a, AS: AddressSpace> {
    map: FileMap<'a, AS>,
    region: usize,
    offset: u64,
}

impl<AS: AddressSpace> Iterator for Places<'_, AS> {
    type Item = FilePlace<AS>;

    fn next(&mut self) -> Option<Self::Item> {
        let region = self.map.regions.get(self.region)?;
        let place = self.map.place(self.region, self.offset);

        match self.offset.checked_add(self.map.geometry.hart_stride()) {
            Some(next) if next < region.size => self.offset = next,
            _ => {
                self.region += 1;
                self.offset = 0;
            }
        }
        place
    }
}

#[cfg_attr(CONFIG_KUNIT, kernel::macros::kunit_tests(aia_core_regions))]
#[cfg_attr(not(CONFIG_KUNIT), cfg(test))]
mod tests {
    use super::*;
    use crate::{
        addr::Host,
        geometry::{
            GeometryError,
            GeometryParams, //
        },
    };

    fn geometry(guest_bits: u32, hart_bits: u32) -> Result<Geometry<Host>, GeometryError> {
        Geometry::new(GeometryParams {
            guest_index_bits: guest_bits,
            hart_index_bits: hart_bits,
            group_index_bits: 1,
            group_index_shift: 24,
            file: PhysAddr::new(0x2800_0000),
        })
    }

    fn region(start: u64, size: u64) -> Region<Host> {
        Region::new(PhysAddr::new(start), size)
    }

    /// Returns address, guest files and hart index of the `n`-th hart.
    fn nth(
        geometry: &Geometry<Host>,
        regions: &[Region<Host>],
        n: u32,
    ) -> Option<(u64, u32, Option<u32>)> {
        let map = FileMap::new(geometry, regions).ok()?;
        let place = map.places().nth(usize::try_from(n).ok()?)?;
        let hart = place.location.map(|location| location.hart.get());
        Some((place.addr.get(), place.guest_files, hart))
    }

    fn refusal(regions: &[Region<Host>]) -> Option<RegionsError> {
        FileMap::new(&geometry(2, 2).ok()?, regions).err()
    }

    #[test]
    fn binding_two_groups() -> Result<(), GeometryError> {
        let geometry = geometry(0, 2)?;
        let regions = [region(0x2800_0000, 0x4000), region(0x2900_0000, 0x4000)];

        assert_eq!(
            FileMap::new(&geometry, &regions).map(|map| map.slots()),
            Ok(8)
        );
        for n in 0..4 {
            let page = u64::from(n) * 0x1000;
            assert_eq!(
                nth(&geometry, &regions, n),
                Some((0x2800_0000 + page, 0, Some(n)))
            );
            assert_eq!(
                nth(&geometry, &regions, n + 4),
                Some((0x2900_0000 + page, 0, Some(n)))
            );
        }
        Ok(())
    }

    #[test]
    fn binding_two_groups_with_guest_pages() -> Result<(), GeometryError> {
        let geometry = geometry(2, 2)?;
        let regions = [region(0x2800_0000, 0x1_0000), region(0x2900_0000, 0x1_0000)];

        for n in 0..4 {
            let slot = u64::from(n) * 0x4000;
            assert_eq!(
                nth(&geometry, &regions, n),
                Some((0x2800_0000 + slot, 3, Some(n)))
            );
            assert_eq!(
                nth(&geometry, &regions, n + 4),
                Some((0x2900_0000 + slot, 3, Some(n)))
            );
        }
        assert_eq!(nth(&geometry, &regions, 8), None);
        Ok(())
    }

    /// Pages that the hart index cannot express are found, but have no location.
    #[test]
    fn binding_two_groups_without_hart_index() -> Result<(), GeometryError> {
        let geometry = geometry(0, 0)?;
        let one_each = [region(0x2800_0000, 0x1000), region(0x2900_0000, 0x1000)];
        assert_eq!(
            nth(&geometry, &one_each, 1),
            Some((0x2900_0000, 0, Some(0)))
        );
        assert_eq!(nth(&geometry, &one_each, 2), None);

        let four_each = [region(0x2800_0000, 0x4000), region(0x2900_0000, 0x4000)];
        assert_eq!(
            nth(&geometry, &four_each, 4),
            Some((0x2900_0000, 0, Some(0)))
        );
        assert_eq!(nth(&geometry, &four_each, 5), Some((0x2900_1000, 0, None)));
        Ok(())
    }

    /// A region that ends inside a hart's slot has fewer guest files for that hart, and the next
    /// hart is in the next region.
    #[test]
    fn short_slots() -> Result<(), GeometryError> {
        let geometry = geometry(2, 2)?;
        let regions = [
            region(0x2800_0000, 0x6000),
            region(0x2800_8000, 0x1000),
            region(0x2900_0000, 0x3000),
        ];

        assert_eq!(
            FileMap::new(&geometry, &regions).map(|map| map.slots()),
            Ok(4)
        );
        assert_eq!(nth(&geometry, &regions, 0), Some((0x2800_0000, 3, Some(0))));
        assert_eq!(nth(&geometry, &regions, 1), Some((0x2800_4000, 1, Some(1))));
        assert_eq!(nth(&geometry, &regions, 2), Some((0x2800_8000, 0, Some(2))));
        assert_eq!(nth(&geometry, &regions, 3), Some((0x2900_0000, 2, Some(0))));
        assert_eq!(nth(&geometry, &regions, 4), None);
        Ok(())
    }

    /// Regions count in the order of the list, whatever their addresses.
    #[test]
    fn order_and_holes() -> Result<(), GeometryError> {
        let geometry = geometry(0, 3)?;
        let regions = [
            region(0x2900_3000, 0x1000),
            region(0x2800_6000, 0x2000),
            region(0x2800_0000, 0x1000),
        ];

        assert_eq!(nth(&geometry, &regions, 0), Some((0x2900_3000, 0, Some(3))));
        assert_eq!(nth(&geometry, &regions, 1), Some((0x2800_6000, 0, Some(6))));
        assert_eq!(nth(&geometry, &regions, 2), Some((0x2800_7000, 0, Some(7))));
        assert_eq!(nth(&geometry, &regions, 3), Some((0x2800_0000, 0, Some(0))));
        assert_eq!(nth(&geometry, &regions, 4), None);
        assert_eq!(nth(&geometry, &regions, u32::MAX), None);
        Ok(())
    }

    #[test]
    fn bad_lists_are_refused() {
        let first = region(0x2800_0000, 0x4000);

        assert_eq!(refusal(&[]), Some(RegionsError::Empty));
        assert_eq!(refusal(&[first]), None);
        for size in [0, 1, 0xfff] {
            assert_eq!(
                refusal(&[first, region(0x2900_0000, size)]),
                Some(RegionsError::TooSmall { index: 1 })
            );
        }
        assert_eq!(
            refusal(&[first, region(0x2900_0000, 0x1001)]),
            Some(RegionsError::PartialPage { index: 1 })
        );
        assert_eq!(
            refusal(&[first, region(!0xfff, 0x2000)]),
            Some(RegionsError::Wraps { index: 1 })
        );
        assert_eq!(
            refusal(&[first, region(0x2801_0000, 0x4000)]),
            Some(RegionsError::BaseMismatch { index: 1 })
        );
        for start in [0x2900_0004, 0x2900_1000, 0x2900_3000] {
            assert_eq!(
                refusal(&[first, region(start, 0x1000)]),
                Some(RegionsError::Unaligned { index: 1 })
            );
        }
        assert_eq!(
            refusal(&[region(0x2900_0000, 0x1000), first, first]),
            Some(RegionsError::Overlap { index: 2, other: 1 })
        );
        assert_eq!(
            refusal(&[region(0x2800_4000, 0x1000), region(0x2800_0000, 0x5000)]),
            Some(RegionsError::Overlap { index: 1, other: 0 })
        );
    }

    #[test]
    fn errors_name_property_and_region() {
        let err = RegionsError::Overlap { index: 3, other: 1 };
        assert_eq!(err.index(), Some(3));
        assert_eq!(RegionsError::Empty.index(), None);
        assert_eq!(Fault::from(err).property, "reg");
        assert_eq!(Fault::from(err).errno, -22);
        // Each says something else.
        let index = 3;
        let messages = [
            RegionsError::Empty,
            RegionsError::TooSmall { index },
            RegionsError::PartialPage { index },
            RegionsError::Unaligned { index },
            RegionsError::Wraps { index },
            RegionsError::BaseMismatch { index },
            err,
        ]
        .map(RegionsError::message);
        for (n, message) in messages.iter().enumerate() {
            assert!(!messages[..n].contains(message));
        }
    }
}
