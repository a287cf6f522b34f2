// SPDX-License-Identifier: GPL-2.0

//! Where an interrupt source's interrupts go: `target` and `genmsi` (AIA 4.5.16, 4.5.15).

use crate::ids::{
    Eiid,
    GuestIndex,
    HartIndex, //
};

const HART_SHIFT: u32 = 18;
const GUEST_SHIFT: u32 = 12;
const GUEST_MASK: u32 = 0x3f;
const EIID_MASK: u32 = 0x7ff;
const IPRIO_MASK: u32 = 0xff;

/// Returns the field Hart Index, which takes the 14 highest bits and so has no invalid value.
const fn hart_of(value: u32) -> HartIndex {
    match HartIndex::new(value >> HART_SHIFT) {
        Some(hart) => hart,
        None => HartIndex::MAX,
    }
}

/// A priority number of a source in direct delivery mode, 1 to 255; smaller is more urgent.
///
/// An APLIC may implement fewer than eight bits of it (AIA 4.5.16).
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[repr(transparent)]
pub struct Iprio(u8);

impl Iprio {
    /// The most urgent priority, which every APLIC implements.
    pub const DEFAULT: Self = Self(1);

    /// Makes a priority; [`None`] if `value` is out of range.
    #[inline]
    pub const fn new(value: u32) -> Option<Self> {
        if value == 0 || value > IPRIO_MASK {
            return None;
        }
        Some(Self(value as u8))
    }

    /// Returns the number.
    #[inline]
    pub const fn get(self) -> u32 {
        self.0 as u32
    }
}

/// The target of a source in direct delivery mode.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct DirectTarget {
    /// The hart.
    pub hart: HartIndex,
    /// The priority number.
    pub iprio: Iprio,
}

impl DirectTarget {
    /// Returns the value of `target`.
    #[inline]
    pub const fn encode(self) -> u32 {
        self.hart.get() << HART_SHIFT | self.iprio.get()
    }

    /// Takes a value of `target`; [`None`] if the priority is 0, as it is for an inactive source.
    #[inline]
    pub const fn decode(value: u32) -> Option<Self> {
        match Iprio::new(value & IPRIO_MASK) {
            Some(iprio) => Some(Self {
                hart: hart_of(value),
                iprio,
            }),
            None => None,
        }
    }
}

/// The target of a source in MSI delivery mode.
///
/// # Examples
///
/// ```
/// use aia_core::{
///     aplic::target::MsiTarget,
///     ids::{Eiid, GuestIndex, HartIndex},
/// };
///
/// let target = MsiTarget {
///     hart: HartIndex::new(3).unwrap(),
///     guest: GuestIndex::SUPERVISOR,
///     eiid: Eiid::new(17).unwrap(),
/// };
/// assert_eq!(target.encode(), 0x000c_0011);
/// assert_eq!(MsiTarget::decode(0x000c_0011), Some(target));
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct MsiTarget {
    /// The hart.
    pub hart: HartIndex,
    /// The page within the hart's interrupt files.
    pub guest: GuestIndex,
    /// The interrupt identity, which is the data of the MSI.
    pub eiid: Eiid,
}

impl MsiTarget {
    /// The value of `target` that sends MSIs nowhere: identity 0, which no interrupt file has.
    pub const NONE: u32 = 0;

    /// Returns the value of `target`.
    #[inline]
    pub const fn encode(self) -> u32 {
        self.hart.get() << HART_SHIFT | self.guest.get() << GUEST_SHIFT | self.eiid.get()
    }

    /// Takes a value of `target`; [`None`] if the identity is 0, as it is for an inactive source.
    #[inline]
    pub const fn decode(value: u32) -> Option<Self> {
        match (
            GuestIndex::new((value >> GUEST_SHIFT) & GUEST_MASK),
            Eiid::new(value & EIID_MASK),
        ) {
            (Some(guest), Some(eiid)) => Some(Self {
                hart: hart_of(value),
                guest,
                eiid,
            }),
            _ => None,
        }
    }

    /// Returns the value of `genmsi` that sends an MSI to the hart of this target; [`None`] if the
    /// target is a guest file, which `genmsi` cannot reach.
    #[inline]
    pub const fn genmsi(self) -> Option<u32> {
        if self.guest.is_guest() {
            return None;
        }
        Some(genmsi(self.hart, self.eiid))
    }
}

/// Returns the value of `genmsi` that sends an MSI of identity `eiid` to `hart` (AIA 4.5.15).
///
/// It is ignored while [`genmsi_busy`]. It arrives after all MSIs that the APLIC sent to the hart
/// before (AIA 4.9.3).
#[inline]
pub const fn genmsi(hart: HartIndex, eiid: Eiid) -> u32 {
    hart.get() << HART_SHIFT | eiid.get()
}

/// Returns whether a value of `genmsi` says that the last MSI written to it has not left yet.
#[inline]
pub const fn genmsi_busy(value: u32) -> bool {
    value & (1 << 12) != 0
}

#[cfg_attr(CONFIG_KUNIT, kernel::macros::kunit_tests(aia_core_aplic_target))]
#[cfg_attr(not(CONFIG_KUNIT), cfg(test))]
mod tests {
    use super::*;
    use crate::error::OutOfRange;

    #[test]
    fn direct() -> Result<(), OutOfRange> {
        let target = DirectTarget {
            hart: HartIndex::try_from(5_u32)?,
            iprio: Iprio::DEFAULT,
        };
        assert_eq!(target.encode(), 0x0014_0001);
        assert_eq!(DirectTarget::decode(0x0014_0001), Some(target));
        assert_eq!(DirectTarget::decode(0x0014_0000), None);
        assert_eq!(
            DirectTarget::decode(!0).map(DirectTarget::encode),
            Some(0xfffc_00ff)
        );
        assert_eq!(Iprio::new(0), None);
        assert_eq!(Iprio::new(255).map(Iprio::get), Some(255));
        assert_eq!(Iprio::new(256), None);
        Ok(())
    }

    #[test]
    fn msi() -> Result<(), OutOfRange> {
        let target = MsiTarget {
            hart: HartIndex::MAX,
            guest: GuestIndex::MAX,
            eiid: Eiid::MAX,
        };
        assert_eq!(target.encode(), 0xffff_f7ff);
        assert_eq!(MsiTarget::decode(0xffff_f7ff), Some(target));
        assert_eq!(MsiTarget::decode(!0), Some(target));
        assert_eq!(MsiTarget::decode(MsiTarget::NONE), None);
        assert_eq!(MsiTarget::decode(0xffff_f800), None);

        let supervisor = MsiTarget {
            hart: HartIndex::try_from(2_u32)?,
            guest: GuestIndex::SUPERVISOR,
            eiid: Eiid::MIN,
        };
        assert_eq!(supervisor.encode(), 0x0008_0001);
        Ok(())
    }

    #[test]
    fn extempore_msi() -> Result<(), OutOfRange> {
        let mut target = MsiTarget {
            hart: HartIndex::try_from(2_u32)?,
            guest: GuestIndex::SUPERVISOR,
            eiid: Eiid::MAX,
        };
        assert_eq!(target.genmsi(), Some(0x0008_07ff));
        assert_eq!(target.genmsi(), Some(genmsi(target.hart, target.eiid)));
        target.guest = GuestIndex::try_from(1_u32)?;
        assert_eq!(target.genmsi(), None);
        assert!(genmsi_busy(0x0008_17ff));
        assert!(!genmsi_busy(0xffff_efff));
        Ok(())
    }
}
