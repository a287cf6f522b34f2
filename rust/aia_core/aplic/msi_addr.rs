// SPDX-License-Identifier: GPL-2.0

//! Addresses of the MSIs that an APLIC sends (AIA 4.5.3, 4.5.4, 4.9.1).
//!
//! An APLIC is given a hart index and a guest index and computes the address. The kernel has the
//! address, from the parent interrupt controller, and needs the indexes.

use crate::{
    addr::{
        Host,
        PhysAddr, //
    },
    aplic::target::MsiTarget,
    bits::{
        low_mask,
        shl,
        shr, //
    },
    error::{
        Fault,
        EINVAL, //
    },
    geometry::Geometry,
    ids::{
        Eiid,
        GuestIndex,
        HartIndex, //
    },
};

const LHXS_MAX: u32 = 0x7;
const LHXW_MAX: u32 = 0xf;
const HHXW_MAX: u32 = 0x7;
const HHXS_MAX: u32 = 0x1f;
const BASE_PPN_BITS: u32 = 44;

const HHXS_SHIFT: u32 = 24;
const LHXS_SHIFT: u32 = 20;
const HHXW_SHIFT: u32 = 16;
const LHXW_SHIFT: u32 = 12;

/// The bit of `mmsiaddrcfgh` that locks the address configuration.
const MMSIADDRCFGH_L: u32 = 1 << 31;

/// The lowest position of the group index that the field HHXS can express.
const HHXS_BIAS: u32 = 24;

/// Why an APLIC cannot reach the interrupt files of an address scheme.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum MsiAddrError {
    /// The guest index is too wide for the field LHXS.
    Lhxs,
    /// The hart index is too wide for the field LHXW.
    Lhxw,
    /// The group index is too wide for the field HHXW.
    Hhxw,
    /// The position of the group index is too low or too high for the field HHXS.
    Hhxs,
    /// The base address is too high for the field Base PPN.
    BasePpn,
}

impl MsiAddrError {
    /// Returns the property of the IMSIC's device-tree node that is at odds with the APLIC.
    #[inline]
    pub const fn property(self) -> &'static str {
        match self {
            Self::Lhxs => "riscv,guest-index-bits",
            Self::Lhxw => "riscv,hart-index-bits",
            Self::Hhxw => "riscv,group-index-bits",
            Self::Hhxs => "riscv,group-index-shift",
            Self::BasePpn => "reg",
        }
    }

    /// Returns what is wrong with it.
    #[inline]
    pub const fn message(self) -> &'static str {
        match self {
            Self::Lhxs => "IMSIC guest index bits too big for APLIC LHXS",
            Self::Lhxw => "IMSIC hart index bits too big for APLIC LHXW",
            Self::Hhxw => "IMSIC group index bits too big for APLIC HHXW",
            Self::Hhxs => "IMSIC group index shift out of range for APLIC HHXS",
            Self::BasePpn => "IMSIC base address too high for APLIC",
        }
    }

    /// Returns the error number of Linux, which is negative.
    #[inline]
    pub const fn errno(self) -> i32 {
        EINVAL
    }
}

impl From<MsiAddrError> for Fault {
    fn from(err: MsiAddrError) -> Self {
        Self {
            property: err.property(),
            message: err.message(),
            errno: err.errno(),
        }
    }
}

/// Why an MSI cannot be expressed as a target of an APLIC's source.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TargetError {
    /// The address is not the start of an interrupt file's page.
    Unaligned,
    /// The address has another base address than the APLIC's MSIs.
    BaseMismatch,
    /// The hart index is above 16,383.
    HartIndex,
    /// The guest index is above 63.
    GuestIndex,
}

/// How an APLIC computes the addresses of the MSIs that it sends.
///
/// # Invariants
///
/// The values come from a valid [`Geometry`], and each fits into its field of `mmsiaddrcfgh`. `groups`,
/// `harts` and `guests` are the greatest indexes, and `indexes` the bits that have them in a page number.
///
/// # Examples
///
/// ```
/// use aia_core::{
///     addr::{Host, PhysAddr},
///     aplic::msi_addr::MsiAddrConfig,
///     geometry::{Geometry, GeometryParams},
///     ids::Eiid,
/// };
///
/// let geometry = Geometry::<Host>::new(GeometryParams {
///     guest_index_bits: 0,
///     hart_index_bits: 2,
///     group_index_bits: 1,
///     group_index_shift: 24,
///     file: PhysAddr::new(0x2800_0000),
/// })?;
/// let config = MsiAddrConfig::new(&geometry).unwrap();
///
/// // The second hart of the second group.
/// let addr = PhysAddr::new(0x2900_1000);
/// let target = config.target_for(addr, Eiid::MIN).unwrap();
/// assert_eq!(target.hart.get(), 5);
/// assert_eq!(config.addr_of(target), addr);
/// # Ok::<(), aia_core::geometry::GeometryError>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct MsiAddrConfig {
    base: PhysAddr<Host>,
    lhxs: u8,
    lhxw: u8,
    hhxw: u8,
    hhxs: u8,
    groups: u64,
    harts: u64,
    guests: u64,
    indexes: u64,
}

impl MsiAddrConfig {
    /// Makes a configuration for the interrupt files of `geometry`.
    pub const fn new(geometry: &Geometry<Host>) -> Result<Self, MsiAddrError> {
        let lhxs = geometry.guest_index_bits();
        if lhxs > LHXS_MAX {
            return Err(MsiAddrError::Lhxs);
        }
        let lhxw = geometry.hart_index_bits();
        if lhxw > LHXW_MAX {
            return Err(MsiAddrError::Lhxw);
        }
        let hhxw = geometry.group_index_bits();
        if hhxw > HHXW_MAX {
            return Err(MsiAddrError::Hhxw);
        }
        // Without groups the position means nothing, and firmware leaves it out.
        let hhxs = if hhxw == 0 {
            0
        } else {
            match geometry.group_index_shift().checked_sub(HHXS_BIAS) {
                Some(hhxs) if hhxs <= HHXS_MAX => hhxs,
                _ => return Err(MsiAddrError::Hhxs),
            }
        };
        let base = geometry.base();
        if base.ppn() >> BASE_PPN_BITS != 0 {
            return Err(MsiAddrError::BasePpn);
        }
        let (groups, harts, guests) = (low_mask(hhxw), low_mask(lhxw), low_mask(lhxs));

        Ok(Self {
            base,
            groups,
            harts,
            guests,
            // As in `group_shift()`.
            indexes: shl(groups, hhxs + 12) | shl(harts, lhxs) | guests,
            // None has more than five bits.
            lhxs: lhxs as u8,
            lhxw: lhxw as u8,
            hhxw: hhxw as u8,
            hhxs: hhxs as u8,
        })
    }

    /// Returns the base address of the MSIs.
    #[inline]
    pub const fn base(&self) -> PhysAddr<Host> {
        self.base
    }

    /// Returns the position of the hart index in the page number, Low Hart Index Shift.
    #[inline]
    pub const fn lhxs(&self) -> u32 {
        self.lhxs as u32
    }

    /// Returns the width of the hart index within a group, Low Hart Index Width.
    #[inline]
    pub const fn lhxw(&self) -> u32 {
        self.lhxw as u32
    }

    /// Returns the width of the group index, High Hart Index Width.
    #[inline]
    pub const fn hhxw(&self) -> u32 {
        self.hhxw as u32
    }

    /// Returns the position of the group index in the address minus 24, High Hart Index Shift.
    #[inline]
    pub const fn hhxs(&self) -> u32 {
        self.hhxs as u32
    }

    /// Returns the value of `mmsiaddrcfg` for a machine-level domain (AIA 4.5.3).
    #[inline]
    pub const fn mmsiaddrcfg(&self) -> u32 {
        // The register has the lower half of the page number.
        self.base.ppn() as u32
    }

    /// Returns the value of `mmsiaddrcfgh` for a machine-level domain, not locked (AIA 4.5.3).
    #[inline]
    pub const fn mmsiaddrcfgh(&self) -> u32 {
        // The page number has 44 bits, so the upper half has 12.
        (self.base.ppn() >> 32) as u32
            | self.lhxs() << LHXS_SHIFT
            | self.hhxs() << HHXS_SHIFT
            | self.hhxw() << HHXW_SHIFT
            | self.lhxw() << LHXW_SHIFT
    }

    /// Returns whether `mmsiaddrcfg` and `mmsiaddrcfgh` that read as `low` and `high` make the APLIC
    /// send its MSIs as this says, as far as they tell.
    ///
    /// They need not take what is written, and are locked where firmware has set L. Where they show
    /// nothing, the APLIC knows the addresses by other means (AIA 4.5.3).
    pub const fn is_programmed(&self, low: u32, high: u32) -> bool {
        let fields = high & !MMSIADDRCFGH_L;
        let hidden = low == 0 && fields == 0;

        hidden || low == self.mmsiaddrcfg() && fields == self.mmsiaddrcfgh()
    }

    /// Returns the target that makes the APLIC send the identity `eiid` to the address `addr`.
    ///
    /// The hart index is made of group index and hart index as the address scheme has them: it is
    /// the number that machine-level domains have for the hart, see
    /// [`HartNumbers`](super::hart_numbers::HartNumbers).
    pub const fn target_for(
        &self,
        addr: PhysAddr<Host>,
        eiid: Eiid,
    ) -> Result<MsiTarget, TargetError> {
        if !addr.is_page_aligned() {
            return Err(TargetError::Unaligned);
        }

        let ppn = addr.ppn();
        if ppn & !self.indexes != self.base.ppn() {
            return Err(TargetError::BaseMismatch);
        }

        // No count is near 64.
        let group = ppn.wrapping_shr(self.group_shift()) & self.groups;
        let hart = ppn.wrapping_shr(self.lhxs()) & self.harts;
        let guest = ppn & self.guests;

        // 22 bits at most.
        let Some(hart) = HartIndex::new((group.wrapping_shl(self.lhxw()) | hart) as u32) else {
            return Err(TargetError::HartIndex);
        };
        let Some(guest) = GuestIndex::new(guest as u32) else {
            return Err(TargetError::GuestIndex);
        };
        Ok(MsiTarget { hart, guest, eiid })
    }

    /// Returns the position of the group index in the page number.
    const fn group_shift(&self) -> u32 {
        self.hhxs() + 12
    }

    /// Returns the address to which the APLIC sends the MSIs of a source with the given target, in
    /// a supervisor-level domain (AIA 4.9.1).
    pub const fn addr_of(&self, target: MsiTarget) -> PhysAddr<Host> {
        let index = target.hart.get() as u64;
        let g = shr(index, self.lhxw()) & low_mask(self.hhxw());
        let h = index & low_mask(self.lhxw());
        let guest = target.guest.get() as u64;
        // 50 bits at most, so the page number of an address.
        let ppn = self.base.ppn() | shl(g, self.group_shift()) | shl(h, self.lhxs()) | guest;
        match PhysAddr::from_ppn(ppn) {
            Some(addr) => addr,
            None => self.base,
        }
    }
}

#[cfg_attr(CONFIG_KUNIT, kernel::macros::kunit_tests(aia_core_aplic_msi_addr))]
#[cfg_attr(not(CONFIG_KUNIT), cfg(test))]
mod tests {
    use super::*;
    use crate::geometry::GeometryParams;

    const QEMU: GeometryParams<Host> = GeometryParams {
        guest_index_bits: 2,
        hart_index_bits: 1,
        group_index_bits: 0,
        group_index_shift: 24,
        file: PhysAddr::new(0x2800_0000),
    };

    /// The two-group example of the device-tree binding.
    const TWO_GROUPS: GeometryParams<Host> = GeometryParams {
        guest_index_bits: 0,
        hart_index_bits: 2,
        group_index_bits: 1,
        group_index_shift: 24,
        file: PhysAddr::new(0x2800_0000),
    };

    fn config(params: GeometryParams<Host>) -> Result<MsiAddrConfig, Fault> {
        Ok(MsiAddrConfig::new(&Geometry::new(params)?)?)
    }

    /// Returns hart index and guest index of the target for `addr`.
    fn indexes(config: &MsiAddrConfig, addr: u64) -> Result<(u32, u32), TargetError> {
        let target = config.target_for(PhysAddr::new(addr), Eiid::MIN)?;
        Ok((target.hart.get(), target.guest.get()))
    }

    #[test]
    fn qemu_virt() -> Result<(), Fault> {
        let config = config(QEMU)?;
        assert_eq!(config.mmsiaddrcfg(), 0x2_8000);
        assert_eq!(config.mmsiaddrcfgh(), 0x0020_1000);

        assert_eq!(indexes(&config, 0x2800_0000), Ok((0, 0)));
        assert_eq!(indexes(&config, 0x2800_4000), Ok((1, 0)));
        assert_eq!(indexes(&config, 0x2800_7000), Ok((1, 3)));
        assert_eq!(
            indexes(&config, 0x2800_8000),
            Err(TargetError::BaseMismatch)
        );
        assert_eq!(indexes(&config, 0x2800_0004), Err(TargetError::Unaligned));
        Ok(())
    }

    #[test]
    fn binding_two_groups() -> Result<(), Fault> {
        let config = config(TWO_GROUPS)?;
        assert_eq!((config.lhxs(), config.lhxw()), (0, 2));
        assert_eq!((config.hhxs(), config.hhxw()), (0, 1));
        assert_eq!(config.mmsiaddrcfgh(), 0x0001_2000);

        for hart in 0..4 {
            let page = u64::from(hart) * 0x1000;
            assert_eq!(indexes(&config, 0x2800_0000 + page), Ok((hart, 0)));
            assert_eq!(indexes(&config, 0x2900_0000 + page), Ok((hart + 4, 0)));
        }
        Ok(())
    }

    #[test]
    fn binding_two_groups_with_guest_pages() -> Result<(), Fault> {
        let config = config(GeometryParams {
            guest_index_bits: 2,
            ..TWO_GROUPS
        })?;
        assert_eq!(indexes(&config, 0x2900_e000), Ok((7, 2)));
        Ok(())
    }

    #[test]
    fn binding_two_groups_without_hart_index() -> Result<(), Fault> {
        let config = config(GeometryParams {
            hart_index_bits: 0,
            ..TWO_GROUPS
        })?;
        assert_eq!(config.mmsiaddrcfgh(), 0x0001_0000);
        assert_eq!(indexes(&config, 0x2800_0000), Ok((0, 0)));
        assert_eq!(indexes(&config, 0x2900_0000), Ok((1, 0)));
        assert_eq!(
            indexes(&config, 0x2900_1000),
            Err(TargetError::BaseMismatch)
        );
        Ok(())
    }

    #[test]
    fn fields_at_their_limits() -> Result<(), Fault> {
        let params = GeometryParams {
            guest_index_bits: 7,
            hart_index_bits: 15,
            group_index_bits: 7,
            group_index_shift: 55,
            file: PhysAddr::new(0x00ff_ffff_ffff_f000),
        };
        // Bit 55 and up are the group's, up to bit 33 the harts' and guests'.
        let config = config(params)?;
        assert_eq!(config.base().get(), 0x007f_fffc_0000_0000);
        assert_eq!(config.mmsiaddrcfg(), 0xffc0_0000);
        assert_eq!(config.mmsiaddrcfgh(), 0x1f77_f7ff);

        // The widths allow for more than the fields of a target.
        let base = config.base().get();
        assert_eq!(indexes(&config, base | 16383 << 19), Ok((16383, 0)));
        assert_eq!(
            indexes(&config, base | 16384 << 19),
            Err(TargetError::HartIndex)
        );
        assert_eq!(
            indexes(&config, base | 1 << 55),
            Err(TargetError::HartIndex)
        );
        assert_eq!(indexes(&config, base | 63 << 12), Ok((0, 63)));
        assert_eq!(
            indexes(&config, base | 64 << 12),
            Err(TargetError::GuestIndex)
        );
        Ok(())
    }

    #[test]
    fn what_does_not_fit_is_refused() -> Result<(), Fault> {
        let refused = |params| -> Result<Option<MsiAddrError>, Fault> {
            Ok(MsiAddrConfig::new(&Geometry::new(params)?).err())
        };

        let low_group = GeometryParams {
            group_index_shift: 23,
            ..TWO_GROUPS
        };
        assert_eq!(refused(low_group)?, Some(MsiAddrError::Hhxs));

        // Without groups the position does not matter.
        let no_group = GeometryParams {
            group_index_bits: 0,
            ..low_group
        };
        assert_eq!(refused(no_group)?, None);

        let high_base = GeometryParams {
            file: PhysAddr::new(1 << 56),
            ..QEMU
        };
        assert_eq!(refused(high_base)?, Some(MsiAddrError::BasePpn));
        assert_eq!(
            Fault::from(MsiAddrError::Hhxs).property,
            "riscv,group-index-shift"
        );
        Ok(())
    }

    #[test]
    fn what_registers_tell() -> Result<(), Fault> {
        let config = config(TWO_GROUPS)?;
        let (low, high) = (config.mmsiaddrcfg(), config.mmsiaddrcfgh());

        assert!(config.is_programmed(low, high));
        // Locked by firmware, which wrote the same.
        assert!(config.is_programmed(low, high | 1 << 31));
        // Hidden, or not there.
        assert!(config.is_programmed(0, 1 << 31));
        assert!(config.is_programmed(0, 0));
        // Locked with something else, or not all bits can be written.
        assert!(!config.is_programmed(low, 1 << 31));
        assert!(!config.is_programmed(0, high));
        assert!(!config.is_programmed(low ^ 1 << 7, high | 1 << 31));
        assert!(!config.is_programmed(low, high ^ 1 << HHXS_SHIFT));
        assert!(!config.is_programmed(low, high ^ 1 << LHXW_SHIFT));
        Ok(())
    }

    /// A hart index beyond the widths is cut down as the specification's formula does it.
    #[test]
    fn formula_cuts_indexes() -> Result<(), Fault> {
        let target = MsiTarget {
            hart: HartIndex::MAX,
            guest: GuestIndex::SUPERVISOR,
            eiid: Eiid::MIN,
        };
        assert_eq!(config(QEMU)?.addr_of(target).get(), 0x2800_4000);
        assert_eq!(config(TWO_GROUPS)?.addr_of(target).get(), 0x2900_3000);
        Ok(())
    }
}
