// SPDX-License-Identifier: GPL-2.0

//! What makes an interrupt source pending: `sourcecfg` and the rules around it (AIA 4.5.2, 4.7).

use crate::{
    aplic::domaincfg::DeliveryMode,
    error::OutOfRange, //
};

/// The source mode, field SM of `sourcecfg` (AIA 4.5.2).
///
/// # Examples
///
/// ```
/// use aia_core::aplic::source::SourceMode;
///
/// assert_eq!(SourceMode::Level0.sourcecfg(), 7);
/// assert_eq!(SourceMode::try_from(4), Ok(SourceMode::Edge1));
/// assert!(SourceMode::try_from(2).is_err());
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum SourceMode {
    /// The source is off: pending, enable and target are read-only zero.
    Inactive = 0,
    /// The wire is ignored; software can make the source pending.
    Detached = 1,
    /// A rising edge makes the source pending.
    Edge1 = 4,
    /// A falling edge makes the source pending.
    Edge0 = 5,
    /// The source is asserted while the wire is high.
    Level1 = 6,
    /// The source is asserted while the wire is low.
    Level0 = 7,
}

impl SourceMode {
    /// The bit of `sourcecfg` that delegates the source to a child domain.
    pub const DELEGATED: u32 = 1 << 10;

    /// Returns the value of `sourcecfg`, not delegated.
    #[inline]
    pub const fn sourcecfg(self) -> u32 {
        self as u32
    }

    /// Returns whether the source can be pending at all.
    #[inline]
    pub const fn is_active(self) -> bool {
        !matches!(self, Self::Inactive)
    }

    /// Returns whether the source is level-sensitive.
    #[inline]
    pub const fn is_level(self) -> bool {
        matches!(self, Self::Level1 | Self::Level0)
    }

    /// Returns whether the source is edge-sensitive.
    #[inline]
    pub const fn is_edge(self) -> bool {
        matches!(self, Self::Edge1 | Self::Edge0)
    }

    /// Returns whether software must write the source's number to `setipnum` after it wrote
    /// `sourcecfg` and at the end of the interrupt's handler.
    ///
    /// In MSI delivery mode a level-sensitive source becomes pending by a low-to-high transition
    /// of its rectified input, and is not pending any more once the MSI is sent. If the input
    /// stays high, or was high before the source became active, nothing else makes the source
    /// pending again (AIA 4.9.2, 4.5.2). The write is harmless if the input is low.
    #[inline]
    pub const fn needs_retrigger(self, mode: DeliveryMode) -> bool {
        self.is_level() && matches!(mode, DeliveryMode::Msi)
    }

    /// Returns the rectified input of the source while its wire has the value `wire` (AIA 4.5.2).
    #[inline]
    pub const fn rectified_input(self, wire: bool) -> bool {
        match self {
            Self::Inactive | Self::Detached => false,
            Self::Edge1 | Self::Level1 => wire,
            Self::Edge0 | Self::Level0 => !wire,
        }
    }
}

impl TryFrom<u32> for SourceMode {
    type Error = OutOfRange;

    /// Takes a value of `sourcecfg`; fails if the source is delegated or the mode is reserved.
    #[inline]
    fn try_from(sourcecfg: u32) -> Result<Self, OutOfRange> {
        match sourcecfg {
            0 => Ok(Self::Inactive),
            1 => Ok(Self::Detached),
            4 => Ok(Self::Edge1),
            5 => Ok(Self::Edge0),
            6 => Ok(Self::Level1),
            7 => Ok(Self::Level0),
            _ => Err(OutOfRange),
        }
    }
}

#[cfg_attr(CONFIG_KUNIT, kernel::macros::kunit_tests(aia_core_aplic_source))]
#[cfg_attr(not(CONFIG_KUNIT), cfg(test))]
mod tests {
    use super::*;
    use DeliveryMode::{
        Direct,
        Msi, //
    };

    const ALL: [SourceMode; 6] = [
        SourceMode::Inactive,
        SourceMode::Detached,
        SourceMode::Edge1,
        SourceMode::Edge0,
        SourceMode::Level1,
        SourceMode::Level0,
    ];

    #[test]
    fn values() {
        for mode in ALL {
            assert_eq!(SourceMode::try_from(mode.sourcecfg()), Ok(mode));
        }
        for value in [2, 3, 8, 0x400, 0x406, u32::MAX] {
            assert_eq!(SourceMode::try_from(value), Err(OutOfRange));
        }
    }

    #[test]
    fn only_levels_by_msi_need_a_retrigger() {
        for mode in ALL {
            assert!(!mode.needs_retrigger(Direct));
            assert_eq!(mode.needs_retrigger(Msi), mode.is_level());
        }
        assert!(SourceMode::Level1.is_level());
        assert!(SourceMode::Level0.is_level());
        assert!(!SourceMode::Edge1.is_level());
        assert!(SourceMode::Edge0.is_edge());
        assert!(!SourceMode::Detached.is_edge());
    }

    #[test]
    fn rectified_inputs() {
        for mode in ALL {
            let inverted = matches!(mode, SourceMode::Edge0 | SourceMode::Level0);
            let wired = mode.is_edge() || mode.is_level();
            assert_eq!(mode.rectified_input(true), wired && !inverted);
            assert_eq!(mode.rectified_input(false), wired && inverted);
        }
    }
}
