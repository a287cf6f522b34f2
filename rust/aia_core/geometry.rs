// SPDX-License-Identifier: GPL-2.0

//! The MSI target address scheme: where in physical memory each interrupt file is (AIA 3.6).
//!
//! ```text
//! XLEN-1            > (HART Index MSB)                  12    0
//! |                  |                                  |     |
//! -------------------------------------------------------------
//! |xxxxxx|Group Index|xxxxxxxxxxx|HART Index|Guest Index|  0  |
//! -------------------------------------------------------------
//! ```
//!
//! The bits marked `x` are the base address, the same for all interrupt files. [`Geometry`] is the
//! only place that takes such an address apart or puts it together.

use crate::{
    addr::{
        AddressSpace,
        PhysAddr,
        PAGE_SHIFT, //
    },
    bits::{
        low_mask,
        shl,
        shr, //
    },
    error::{
        Fault,
        EINVAL, //
    },
    ids::{
        GroupIndex,
        GuestIndex,
        HartIndex, //
    },
};

/// The position of the group index when firmware names none.
pub const DEFAULT_GROUP_INDEX_SHIFT: u32 = 24;

/// Returns the number of hart index bits when firmware names none: enough for `harts` numbers.
///
/// # Examples
///
/// ```
/// use aia_core::geometry::default_hart_index_bits;
///
/// assert_eq!(default_hart_index_bits(1), 0);
/// assert_eq!(default_hart_index_bits(4), 2);
/// assert_eq!(default_hart_index_bits(5), 3);
/// ```
#[inline]
pub const fn default_hart_index_bits(harts: u32) -> u32 {
    u32::BITS - harts.saturating_sub(1).leading_zeros()
}

/// What firmware, or the owner of a virtual machine, says about the address scheme.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct GeometryParams<AS: AddressSpace> {
    /// The width of the guest index, `riscv,guest-index-bits`.
    pub guest_index_bits: u32,
    /// The width of the hart index, `riscv,hart-index-bits`; see [`default_hart_index_bits`].
    pub hart_index_bits: u32,
    /// The width of the group index, `riscv,group-index-bits`.
    pub group_index_bits: u32,
    /// The position of the group index, `riscv,group-index-shift`; see
    /// [`DEFAULT_GROUP_INDEX_SHIFT`]. It means nothing, and is not checked, while
    /// `group_index_bits` is 0.
    pub group_index_shift: u32,
    /// The address of any interrupt file, e.g. the first region of `reg`.
    pub file: PhysAddr<AS>,
}

/// Why an address scheme is refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum GeometryError {
    /// There are more guest index bits than the interface allows.
    GuestIndexBits,
    /// There are more hart index bits than the interface allows.
    HartIndexBits,
    /// There are more group index bits than the interface allows.
    GroupIndexBits,
    /// The group index is at a higher position than the interface allows, or does not fit into 64
    /// address bits.
    GroupIndexShift,
    /// The group index overlaps the hart index, the guest index or the offset in a page.
    GroupIndexOverlap,
    /// The address of the file is not the start of a page.
    Unaligned,
}

impl GeometryError {
    /// Returns the device-tree property that is wrong.
    #[inline]
    pub const fn property(self) -> &'static str {
        match self {
            Self::GuestIndexBits => "riscv,guest-index-bits",
            Self::HartIndexBits => "riscv,hart-index-bits",
            Self::GroupIndexBits => "riscv,group-index-bits",
            Self::GroupIndexShift | Self::GroupIndexOverlap => "riscv,group-index-shift",
            Self::Unaligned => "reg",
        }
    }

    /// Returns what is wrong with it.
    #[inline]
    pub const fn message(self) -> &'static str {
        match self {
            Self::GuestIndexBits => "guest index bits too big",
            Self::HartIndexBits => "hart index bits too big",
            Self::GroupIndexBits => "group index bits too big",
            Self::GroupIndexShift => "group index shift too big",
            Self::GroupIndexOverlap => "group index overlaps hart or guest index",
            Self::Unaligned => "address is not aligned to a page",
        }
    }

    /// Returns the error number of Linux, which is negative.
    #[inline]
    pub const fn errno(self) -> i32 {
        EINVAL
    }
}

impl From<GeometryError> for Fault {
    fn from(err: GeometryError) -> Self {
        Self {
            property: err.property(),
            message: err.message(),
            errno: err.errno(),
        }
    }
}

/// Which interrupt file: a page of a hart of a group.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Location {
    /// The group of the hart.
    pub group: GroupIndex,
    /// The hart within its group.
    pub hart: HartIndex,
    /// The page within the hart's interrupt files.
    pub guest: GuestIndex,
}

/// A validated MSI target address scheme in the address space `AS` (AIA 3.6).
///
/// # Invariants
///
/// - No width or position exceeds the limits of `AS`.
/// - Page offset, guest index, hart index and, if there is one, group index do not overlap and lie
///   within 64 bits.
/// - `base` is 0 in all those bits.
///
/// # Examples
///
/// ```
/// use aia_core::{
///     addr::{Host, PhysAddr},
///     geometry::{Geometry, GeometryParams, DEFAULT_GROUP_INDEX_SHIFT},
/// };
///
/// // QEMU's `virt` with four harts and three guest files each.
/// let geometry = Geometry::<Host>::new(GeometryParams {
///     guest_index_bits: 2,
///     hart_index_bits: 2,
///     group_index_bits: 0,
///     group_index_shift: DEFAULT_GROUP_INDEX_SHIFT,
///     file: PhysAddr::new(0x2800_0000),
/// })?;
/// let location = geometry.addr_to_location(PhysAddr::new(0x2800_5000)).unwrap();
/// assert_eq!(location.hart.get(), 1);
/// assert_eq!(location.guest.get(), 1);
/// # Ok::<(), aia_core::geometry::GeometryError>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Geometry<AS: AddressSpace> {
    base: PhysAddr<AS>,
    guest_index_bits: u8,
    hart_index_bits: u8,
    group_index_bits: u8,
    group_index_shift: u32,
}

impl<AS: AddressSpace> Geometry<AS> {
    /// Checks `params` and makes an address scheme of them.
    pub const fn new(params: GeometryParams<AS>) -> Result<Self, GeometryError> {
        if params.guest_index_bits > AS::MAX_GUEST_INDEX_BITS {
            return Err(GeometryError::GuestIndexBits);
        }
        if params.hart_index_bits > AS::MAX_HART_INDEX_BITS {
            return Err(GeometryError::HartIndexBits);
        }
        if params.group_index_bits > AS::MAX_GROUP_INDEX_BITS {
            return Err(GeometryError::GroupIndexBits);
        }
        if params.group_index_bits > 0 {
            // Neither sum wraps: all widths are small by now, and so is the position.
            if params.group_index_shift > AS::MAX_GROUP_INDEX_SHIFT
                || params.group_index_shift + params.group_index_bits > u64::BITS
            {
                return Err(GeometryError::GroupIndexShift);
            }
            let low_bits = PAGE_SHIFT + params.guest_index_bits + params.hart_index_bits;
            if params.group_index_shift < low_bits {
                return Err(GeometryError::GroupIndexOverlap);
            }
        }
        if !params.file.is_page_aligned() {
            return Err(GeometryError::Unaligned);
        }

        let mut geometry = Self {
            base: params.file,
            // None is wider than 16 bits.
            guest_index_bits: params.guest_index_bits as u8,
            hart_index_bits: params.hart_index_bits as u8,
            group_index_bits: params.group_index_bits as u8,
            group_index_shift: params.group_index_shift,
        };
        geometry.base = PhysAddr::new(params.file.get() & geometry.base_mask());
        Ok(geometry)
    }

    /// Returns the bits of an address that are neither index nor page offset.
    const fn base_mask(&self) -> u64 {
        !(low_mask(self.hart_shift() + self.hart_index_bits()) | self.group_mask())
    }

    /// Returns the bits of an address that are the group index.
    const fn group_mask(&self) -> u64 {
        if self.group_index_bits == 0 {
            // The position means nothing then and may be any number.
            return 0;
        }
        shl(low_mask(self.group_index_bits()), self.group_index_shift)
    }

    /// Returns the address bits that all interrupt files have in common.
    #[inline]
    pub const fn base(&self) -> PhysAddr<AS> {
        self.base
    }

    /// Returns the width of the guest index.
    #[inline]
    pub const fn guest_index_bits(&self) -> u32 {
        self.guest_index_bits as u32
    }

    /// Returns the width of the hart index.
    #[inline]
    pub const fn hart_index_bits(&self) -> u32 {
        self.hart_index_bits as u32
    }

    /// Returns the width of the group index.
    #[inline]
    pub const fn group_index_bits(&self) -> u32 {
        self.group_index_bits as u32
    }

    /// Returns the position of the group index, as given; it means nothing if
    /// [`Self::group_index_bits`] is 0.
    #[inline]
    pub const fn group_index_shift(&self) -> u32 {
        self.group_index_shift
    }

    /// Returns the position of the hart index.
    #[inline]
    pub const fn hart_shift(&self) -> u32 {
        PAGE_SHIFT + self.guest_index_bits()
    }

    /// Returns the distance in bytes from one hart's supervisor file to the next one's.
    #[inline]
    pub const fn hart_stride(&self) -> u64 {
        shl(1, self.hart_shift())
    }

    /// Returns how many guest files per hart the address scheme has room for, 0 to 63.
    #[inline]
    pub const fn max_guest_files(&self) -> u32 {
        let room = low_mask(self.guest_index_bits()) as u32;
        if room > GuestIndex::MAX.get() {
            GuestIndex::MAX.get()
        } else {
            room
        }
    }

    /// Returns whether `addr` has the base address of this scheme.
    ///
    /// Only such an address can be an interrupt file's.
    #[inline]
    pub const fn matches(&self, addr: PhysAddr<AS>) -> bool {
        addr.get() & self.base_mask() == self.base.get()
    }

    /// Returns whose interrupt file's page `addr` is in; [`None`] if it cannot be one.
    ///
    /// Apart from the base address, that is so if an index is beyond the range of its type, which
    /// only the widest schemes allow.
    pub const fn addr_to_location(&self, addr: PhysAddr<AS>) -> Option<Location> {
        if !self.matches(addr) {
            return None;
        }

        let guest = addr.ppn() & low_mask(self.guest_index_bits());
        let hart = shr(addr.get(), self.hart_shift()) & low_mask(self.hart_index_bits());
        let group = if self.group_index_bits > 0 {
            shr(addr.get(), self.group_index_shift) & low_mask(self.group_index_bits())
        } else {
            0
        };

        // No index is wider than 16 bits, so nothing is cut off.
        match (
            GroupIndex::new(group as u32),
            HartIndex::new(hart as u32),
            GuestIndex::new(guest as u32),
        ) {
            (Some(group), Some(hart), Some(guest)) => Some(Location { group, hart, guest }),
            _ => None,
        }
    }
}

#[cfg_attr(CONFIG_KUNIT, kernel::macros::kunit_tests(aia_core_geometry))]
#[cfg_attr(not(CONFIG_KUNIT), cfg(test))]
mod tests {
    use super::*;
    use crate::{
        addr::{
            Guest,
            Host, //
        },
        error::OutOfRange, //
    };

    /// The two-group example of the device-tree binding, with the given widths.
    fn two_groups(guest_bits: u32, hart_bits: u32) -> GeometryParams<Host> {
        GeometryParams {
            guest_index_bits: guest_bits,
            hart_index_bits: hart_bits,
            group_index_bits: 1,
            group_index_shift: 24,
            file: PhysAddr::new(0x2800_0000),
        }
    }

    fn location(group: u32, hart: u32, guest: u32) -> Result<Location, OutOfRange> {
        Ok(Location {
            group: group.try_into()?,
            hart: hart.try_into()?,
            guest: guest.try_into()?,
        })
    }

    #[test]
    fn default_width_holds_all_harts() {
        assert_eq!(default_hart_index_bits(0), 0);
        assert_eq!(default_hart_index_bits(1), 0);
        assert_eq!(default_hart_index_bits(2), 1);
        assert_eq!(default_hart_index_bits(3), 2);
        assert_eq!(default_hart_index_bits(4), 2);
        assert_eq!(default_hart_index_bits(5), 3);
        assert_eq!(default_hart_index_bits(16384), 14);
        assert_eq!(default_hart_index_bits(u32::MAX), 32);
    }

    #[test]
    fn qemu_virt() -> Result<(), OutOfRange> {
        let geometry = Geometry::<Host>::new(GeometryParams {
            guest_index_bits: 2,
            hart_index_bits: 1,
            group_index_bits: 0,
            group_index_shift: DEFAULT_GROUP_INDEX_SHIFT,
            file: PhysAddr::new(0x2800_4000),
        })
        .map_err(|_| OutOfRange)?;

        assert_eq!(geometry.base(), PhysAddr::new(0x2800_0000));
        assert_eq!(geometry.hart_stride(), 0x4000);
        assert_eq!(geometry.max_guest_files(), 3);
        assert_eq!(
            geometry.addr_to_location(PhysAddr::new(0x2800_7000)),
            Some(location(0, 1, 3)?)
        );
        assert!(!geometry.matches(PhysAddr::new(0x2800_8000)));
        assert!(!geometry.matches(PhysAddr::new(0x2900_0000)));
        Ok(())
    }

    #[test]
    fn binding_two_groups() -> Result<(), OutOfRange> {
        let geometry = Geometry::new(two_groups(0, 2)).map_err(|_| OutOfRange)?;

        assert_eq!(geometry.base(), PhysAddr::new(0x2800_0000));
        assert_eq!(geometry.hart_stride(), 0x1000);
        assert_eq!(geometry.max_guest_files(), 0);
        for group in 0..2 {
            for hart in 0..4 {
                let addr = PhysAddr::new(
                    0x2800_0000 + u64::from(group) * 0x100_0000 + u64::from(hart) * 0x1000,
                );
                let at = location(group, hart, 0)?;
                assert!(geometry.matches(addr));
                assert_eq!(geometry.addr_to_location(addr), Some(at));
            }
        }
        assert_eq!(geometry.addr_to_location(PhysAddr::new(0x2800_4000)), None);
        assert_eq!(geometry.addr_to_location(PhysAddr::new(0x2a00_0000)), None);
        Ok(())
    }

    #[test]
    fn binding_two_groups_with_guest_pages() -> Result<(), OutOfRange> {
        let geometry = Geometry::new(two_groups(2, 2)).map_err(|_| OutOfRange)?;

        assert_eq!(geometry.hart_stride(), 0x4000);
        assert_eq!(geometry.max_guest_files(), 3);
        assert_eq!(
            geometry.addr_to_location(PhysAddr::new(0x2900_e004)),
            Some(location(1, 3, 2)?)
        );
        Ok(())
    }

    #[test]
    fn binding_two_groups_without_hart_index() -> Result<(), OutOfRange> {
        let geometry = Geometry::new(two_groups(0, 0)).map_err(|_| OutOfRange)?;

        assert_eq!(geometry.base(), PhysAddr::new(0x2800_0000));
        assert_eq!(
            geometry.addr_to_location(PhysAddr::new(0x2900_0000)),
            Some(location(1, 0, 0)?)
        );
        // The second page of a group is out of the scheme's reach.
        assert_eq!(geometry.addr_to_location(PhysAddr::new(0x2900_1000)), None);

        let with_guests = Geometry::new(two_groups(1, 0)).map_err(|_| OutOfRange)?;
        assert_eq!(
            with_guests.addr_to_location(PhysAddr::new(0x2900_1000)),
            Some(location(1, 0, 1)?)
        );
        Ok(())
    }

    /// QEMU leaves the position out while there is one group, other firmware may say anything.
    #[test]
    fn position_is_free_without_groups() {
        for shift in [0, 1, 12, 24, 56, 63, 64, u32::MAX] {
            let params = GeometryParams {
                group_index_bits: 0,
                group_index_shift: shift,
                ..two_groups(3, 3)
            };
            let geometry = Geometry::new(params);
            assert_eq!(geometry.map(|g| g.base().get()), Ok(0x2800_0000));
            assert_eq!(geometry.map(|g| g.group_index_shift()), Ok(shift));
        }
    }

    #[test]
    fn wide_indexes_are_refused() {
        let refused = |params| Geometry::<Host>::new(params).err();
        let ok = two_groups(2, 2);

        for bits in [8, 52, 64, u32::MAX] {
            let params = GeometryParams {
                guest_index_bits: bits,
                ..ok
            };
            assert_eq!(refused(params), Some(GeometryError::GuestIndexBits));
            let params = GeometryParams {
                group_index_bits: bits,
                ..ok
            };
            assert_eq!(refused(params), Some(GeometryError::GroupIndexBits));
        }
        for bits in [16, 52, 64, u32::MAX] {
            let params = GeometryParams {
                hart_index_bits: bits,
                ..ok
            };
            assert_eq!(refused(params), Some(GeometryError::HartIndexBits));
        }
        for shift in [56, 63, 64, u32::MAX] {
            let params = GeometryParams {
                group_index_shift: shift,
                ..ok
            };
            assert_eq!(refused(params), Some(GeometryError::GroupIndexShift));
        }
        let params = GeometryParams {
            file: PhysAddr::new(0x2800_0004),
            ..ok
        };
        assert_eq!(refused(params), Some(GeometryError::Unaligned));
    }

    #[test]
    fn overlapping_indexes_are_refused() {
        // Page offset, two guest and three hart index bits end at bit 17.
        let with_shift = |group_index_shift| {
            Geometry::new(GeometryParams {
                group_index_shift,
                ..two_groups(2, 3)
            })
        };
        for shift in 0..17 {
            assert_eq!(
                with_shift(shift).err(),
                Some(GeometryError::GroupIndexOverlap)
            );
        }
        assert!(with_shift(17).is_ok());
        assert!(with_shift(55).is_ok());
    }

    #[test]
    fn widest_guest_scheme() -> Result<(), OutOfRange> {
        let geometry = Geometry::<Guest>::new(GeometryParams {
            guest_index_bits: 8,
            hart_index_bits: 16,
            group_index_bits: 8,
            group_index_shift: 56,
            file: PhysAddr::new(!0xfff),
        })
        .map_err(|_| OutOfRange)?;

        assert_eq!(geometry.base(), PhysAddr::new(0x00ff_fff0_0000_0000));
        assert_eq!(geometry.max_guest_files(), 63);
        let last = location(255, 16383, 63)?;
        let addr = PhysAddr::new(0xffff_fff3_fff3_f000);
        assert_eq!(geometry.addr_to_location(addr), Some(last));
        // The widths allow for more than there are numbers.
        assert_eq!(geometry.addr_to_location(PhysAddr::new(u64::MAX)), None);
        Ok(())
    }

    #[test]
    fn errors_name_the_property() {
        assert_eq!(GeometryError::Unaligned.property(), "reg");
        assert_eq!(
            Fault::from(GeometryError::GroupIndexOverlap).property,
            "riscv,group-index-shift"
        );
        assert_eq!(
            Fault::from(GeometryError::GuestIndexBits).property,
            "riscv,guest-index-bits"
        );
        assert_eq!(Fault::from(GeometryError::HartIndexBits).errno, -22);
        // Each says something else.
        let messages = [
            GeometryError::GuestIndexBits,
            GeometryError::HartIndexBits,
            GeometryError::GroupIndexBits,
            GeometryError::GroupIndexShift,
            GeometryError::GroupIndexOverlap,
            GeometryError::Unaligned,
        ]
        .map(|error| (error.property(), error.message()));
        for (n, message) in messages.iter().enumerate() {
            assert!(!messages[..n].contains(message));
        }
    }
}
