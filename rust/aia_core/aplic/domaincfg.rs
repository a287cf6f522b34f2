// SPDX-License-Identifier: GPL-2.0

//! The register `domaincfg` (AIA 4.5.1).

/// How an interrupt domain delivers interrupts to harts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum DeliveryMode {
    /// The APLIC prioritizes interrupts and signals them to harts by wire.
    Direct,
    /// The APLIC forwards interrupts to harts' interrupt files as MSIs.
    Msi,
}

/// A value of `domaincfg`.
///
/// # Examples
///
/// ```
/// use aia_core::aplic::domaincfg::{DeliveryMode, DomainCfg};
///
/// let wanted = DomainCfg::new(true, DeliveryMode::Msi);
/// assert_eq!(wanted.get(), 0x104);
///
/// let read = DomainCfg::from_register(0x8000_0104).unwrap();
/// assert!(read.satisfies(wanted));
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(transparent)]
pub struct DomainCfg(u32);

impl DomainCfg {
    /// The highest byte of the register, read-only 0x80; tells the byte order.
    const MARK: u32 = 0x8000_0000;

    /// The bit that enables delivery.
    pub const IE: u32 = 1 << 8;

    /// The bit that selects MSI delivery mode.
    pub const DM: u32 = 1 << 2;

    /// The bit that makes the domain's registers big-endian.
    pub const BE: u32 = 1 << 0;

    /// Makes a little-endian value.
    #[inline]
    pub const fn new(enable: bool, mode: DeliveryMode) -> Self {
        let enable = if enable { Self::IE } else { 0 };
        let mode = match mode {
            DeliveryMode::Direct => 0,
            DeliveryMode::Msi => Self::DM,
        };
        Self(enable | mode)
    }

    /// Takes a value that was read; [`None`] if the highest byte is not 0x80, so that this is the
    /// wrong byte order or no APLIC.
    #[inline]
    pub const fn from_register(value: u32) -> Option<Self> {
        if value & 0xff00_0000 != Self::MARK {
            return None;
        }
        Some(Self(value & (Self::IE | Self::DM | Self::BE)))
    }

    /// Returns the value to write.
    #[inline]
    pub const fn get(self) -> u32 {
        self.0
    }

    /// Returns whether delivery is enabled.
    #[inline]
    pub const fn is_enabled(self) -> bool {
        self.0 & Self::IE != 0
    }

    /// Returns the delivery mode.
    #[inline]
    pub const fn mode(self) -> DeliveryMode {
        if self.0 & Self::DM != 0 {
            DeliveryMode::Msi
        } else {
            DeliveryMode::Direct
        }
    }

    /// Returns whether this value, which was read back, is what was `wanted`.
    ///
    /// The delivery mode and the byte order may be fixed in hardware.
    #[inline]
    pub const fn satisfies(self, wanted: Self) -> bool {
        self.0 == wanted.0
    }
}

#[cfg_attr(CONFIG_KUNIT, kernel::macros::kunit_tests(aia_core_aplic_domaincfg))]
#[cfg_attr(not(CONFIG_KUNIT), cfg(test))]
mod tests {
    use super::*;

    #[test]
    fn bits() {
        assert_eq!(DomainCfg::new(false, DeliveryMode::Direct).get(), 0);
        assert_eq!(DomainCfg::new(true, DeliveryMode::Direct).get(), 0x100);
        assert_eq!(DomainCfg::new(false, DeliveryMode::Msi).get(), 0x4);
        assert!(DomainCfg::new(true, DeliveryMode::Msi).is_enabled());
    }

    #[test]
    fn read_back() {
        let wanted = DomainCfg::new(true, DeliveryMode::Msi);
        let read = |value| DomainCfg::from_register(value);
        assert!(read(0x8000_0104).is_some_and(|cfg| cfg.satisfies(wanted)));
        // Delivery mode fixed to direct.
        assert!(read(0x8000_0100).is_some_and(|cfg| !cfg.satisfies(wanted)));
        assert_eq!(
            read(0x8000_0100).map(DomainCfg::mode),
            Some(DeliveryMode::Direct)
        );
        // Byte order fixed to big-endian.
        assert!(read(0x8000_0105).is_some_and(|cfg| !cfg.satisfies(wanted)));
    }

    #[test]
    fn what_is_no_domaincfg() {
        assert_eq!(DomainCfg::from_register(0), None);
        assert_eq!(DomainCfg::from_register(!0), None);
        assert_eq!(DomainCfg::from_register(0x8000_0104_u32.swap_bytes()), None);
    }
}
