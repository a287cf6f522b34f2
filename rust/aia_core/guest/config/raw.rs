// SPDX-License-Identifier: GPL-2.0

//! The configuration between two calls of user space: in a structure of C.

use super::{
    checked_addr,
    checked_sources,
    within,
    Config,
    ConfigError,
    Extensions,
    Mode,
    MAX_GROUP_BITS,
    MAX_GROUP_SHIFT,
    MAX_GUEST_BITS,
    MAX_HART_BITS,
    MIN_GROUP_SHIFT,
    UNDEF_ADDR, //
};
use crate::{
    addr::PhysAddr,
    guest::attribute::ConfigAttr,
    ids::NrIds, //
};

/// The configuration as `struct kvm_aia` keeps it, unchecked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RawConfig {
    /// See [`Mode`].
    pub mode: u32,
    /// See [`ConfigAttr::Ids`].
    pub nr_ids: u32,
    /// See [`ConfigAttr::Sources`].
    pub nr_sources: u32,
    /// See [`ConfigAttr::GroupBits`].
    pub nr_group_bits: u32,
    /// See [`ConfigAttr::GroupShift`].
    pub nr_group_shift: u32,
    /// See [`ConfigAttr::HartBits`].
    pub nr_hart_bits: u32,
    /// See [`ConfigAttr::GuestBits`].
    pub nr_guest_bits: u32,
    /// The guest-physical address of the APLIC, or [`UNDEF_ADDR`].
    pub aplic_addr: u64,
    /// See [`Extensions`].
    pub extensions: u32,
}

impl From<Config> for RawConfig {
    fn from(config: Config) -> Self {
        Self {
            mode: config.get(ConfigAttr::Mode),
            nr_ids: config.get(ConfigAttr::Ids),
            nr_sources: config.get(ConfigAttr::Sources),
            nr_group_bits: config.group_bits,
            nr_group_shift: config.group_shift,
            nr_hart_bits: config.hart_bits,
            nr_guest_bits: config.guest_bits,
            aplic_addr: config.aplic_addr.map_or(UNDEF_ADDR, PhysAddr::get),
            extensions: config.extensions.get(),
        }
    }
}

/// Checks the range of each number, but not against what the host has.
impl TryFrom<RawConfig> for Config {
    type Error = ConfigError;

    fn try_from(raw: RawConfig) -> Result<Self, ConfigError> {
        Ok(Self {
            mode: Mode::new(raw.mode).ok_or(ConfigError::Mode)?,
            nr_ids: NrIds::new(raw.nr_ids).ok_or(ConfigError::Ids)?,
            nr_sources: checked_sources(raw.nr_sources)?,
            group_bits: within(raw.nr_group_bits, 0, MAX_GROUP_BITS, ConfigError::GroupBits)?,
            group_shift: within(
                raw.nr_group_shift,
                MIN_GROUP_SHIFT,
                MAX_GROUP_SHIFT,
                ConfigError::GroupShift,
            )?,
            hart_bits: within(raw.nr_hart_bits, 0, MAX_HART_BITS, ConfigError::HartBits)?,
            guest_bits: within(raw.nr_guest_bits, 0, MAX_GUEST_BITS, ConfigError::GuestBits)?,
            aplic_addr: match raw.aplic_addr {
                UNDEF_ADDR => None,
                addr => Some(checked_addr(addr)?),
            },
            extensions: Extensions::new(raw.extensions).ok_or(ConfigError::Extensions)?,
        })
    }
}

#[cfg_attr(CONFIG_KUNIT, kernel::macros::kunit_tests(aia_core_guest_config_raw))]
#[cfg_attr(not(CONFIG_KUNIT), cfg(test))]
mod tests {
    use super::{
        super::Limits,
        *, //
    };

    const HOST: Limits = Limits {
        max_ids: NrIds::MAX,
        has_guest_files: true,
    };

    #[test]
    fn raw_fields() -> Result<(), ConfigError> {
        let raw = RawConfig::from(Config::new(&HOST));
        assert_eq!(
            raw,
            RawConfig {
                mode: 2,
                nr_ids: 2047,
                nr_sources: 0,
                nr_group_bits: 0,
                nr_group_shift: 24,
                nr_hart_bits: 0,
                nr_guest_bits: 0,
                aplic_addr: u64::MAX,
                extensions: 0,
            }
        );

        let mut config = Config::new(&HOST);
        config.set(ConfigAttr::Mode, 1, &HOST)?;
        config.set(ConfigAttr::Ids, 255, &HOST)?;
        config.set(ConfigAttr::Sources, 96, &HOST)?;
        config.set(ConfigAttr::GroupBits, 7, &HOST)?;
        config.set(ConfigAttr::GroupShift, 55, &HOST)?;
        config.set(ConfigAttr::HartBits, 15, &HOST)?;
        config.set(ConfigAttr::GuestBits, 6, &HOST)?;
        config.set(ConfigAttr::Extensions, 3, &HOST)?;
        config.set_aplic_addr(0xd00_0000)?;
        let full = RawConfig::from(config);
        assert_eq!(
            full,
            RawConfig {
                mode: 1,
                nr_ids: 255,
                nr_sources: 96,
                nr_group_bits: 7,
                nr_group_shift: 55,
                nr_hart_bits: 15,
                nr_guest_bits: 6,
                aplic_addr: 0xd00_0000,
                extensions: 3,
            }
        );
        assert_eq!(Config::try_from(raw), Ok(Config::new(&HOST)));
        assert_eq!(Config::try_from(full), Ok(config));
        Ok(())
    }

    #[test]
    fn raw_fields_are_checked() {
        let ok = RawConfig::from(Config::new(&HOST));
        let refused = |raw| Config::try_from(raw).err();

        assert_eq!(
            refused(RawConfig { mode: 3, ..ok }),
            Some(ConfigError::Mode)
        );
        for nr_ids in [0, 64, 2048] {
            assert_eq!(refused(RawConfig { nr_ids, ..ok }), Some(ConfigError::Ids));
        }
        assert_eq!(
            refused(RawConfig {
                nr_sources: 1024,
                ..ok
            }),
            Some(ConfigError::Sources)
        );
        assert_eq!(
            refused(RawConfig {
                nr_group_bits: 8,
                ..ok
            }),
            Some(ConfigError::GroupBits)
        );
        for nr_group_shift in [23, 56] {
            assert_eq!(
                refused(RawConfig {
                    nr_group_shift,
                    ..ok
                }),
                Some(ConfigError::GroupShift)
            );
        }
        assert_eq!(
            refused(RawConfig {
                nr_hart_bits: 16,
                ..ok
            }),
            Some(ConfigError::HartBits)
        );
        assert_eq!(
            refused(RawConfig {
                nr_guest_bits: 8,
                ..ok
            }),
            Some(ConfigError::GuestBits)
        );
        assert_eq!(
            refused(RawConfig {
                extensions: 4,
                ..ok
            }),
            Some(ConfigError::Extensions)
        );
        assert_eq!(
            refused(RawConfig {
                aplic_addr: 0x1004,
                ..ok
            }),
            Some(ConfigError::Unaligned)
        );
    }
}
