// SPDX-License-Identifier: GPL-2.0

//! The configuration of a virtual machine's interrupt controllers: what user space sets, within
//! which limits, before it initialises them.
//!
//! The ranges are those of the interface (`arch/riscv/include/uapi/asm/kvm.h`), not the wider ones
//! of the specification.

use super::{
    address_map::GuestMap,
    attribute::ConfigAttr, //
};
use crate::{
    addr::{
        Guest,
        PhysAddr, //
    },
    error::EINVAL,
    ids::{
        NrIds,
        NrSources, //
    },
};

/// What the address of the APLIC, or the address of a vCPU's interrupt file, is while it is not
/// set (`KVM_RISCV_AIA_UNDEF_ADDR`).
pub const UNDEF_ADDR: u64 = u64::MAX;

const MAX_GROUP_BITS: u32 = 7;
const MIN_GROUP_SHIFT: u32 = 24;
const MAX_GROUP_SHIFT: u32 = 55;
const MAX_HART_BITS: u32 = 15;
const MAX_GUEST_BITS: u32 = 7;

/// What user space asks for beyond the interface of C, a set of bits: nothing at first.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Extensions(u32);

impl Extensions {
    /// [`Mode::Auto`] is accepted on a host without guest interrupt files.
    pub const AUTO_ANYWHERE: Self = Self(1 << 0);

    /// In [`Mode::Emul`] the numbers of identities and sources are limited by the specification
    /// instead of by the host's guest interrupt files.
    pub const EMUL_IDS: Self = Self(1 << 1);

    /// vCPUs that are made after the interrupt controllers are initialised can have interrupt files.
    pub const LATE_VCPUS: Self = Self(1 << 2);

    const ALL: u32 = Self::AUTO_ANYWHERE.0 | Self::EMUL_IDS.0 | Self::LATE_VCPUS.0;

    /// Makes a set; [`None`] if there is no such bit.
    #[inline]
    pub const fn new(bits: u32) -> Option<Self> {
        if bits & !Self::ALL == 0 {
            Some(Self(bits))
        } else {
            None
        }
    }

    /// Returns the bits.
    #[inline]
    pub const fn get(self) -> u32 {
        self.0
    }

    /// Returns whether all of `other` is in it.
    #[inline]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// How the interrupt files of a virtual machine are virtualised.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u32)]
pub enum Mode {
    /// By software files only (`KVM_DEV_RISCV_AIA_MODE_EMUL`).
    Emul = 0,
    /// By guest interrupt files only (`KVM_DEV_RISCV_AIA_MODE_HWACCEL`).
    Hwaccel = 1,
    /// By guest interrupt files as long as there are any (`KVM_DEV_RISCV_AIA_MODE_AUTO`).
    Auto = 2,
}

impl Mode {
    /// Makes a mode; [`None`] if there is no such one.
    #[inline]
    pub const fn new(value: u32) -> Option<Self> {
        Some(match value {
            0 => Self::Emul,
            1 => Self::Hwaccel,
            2 => Self::Auto,
            _ => return None,
        })
    }

    /// Returns the number that user space knows it by.
    #[inline]
    pub const fn get(self) -> u32 {
        self as u32
    }

    /// Returns whether vCPUs may use guest interrupt files.
    #[inline]
    pub const fn uses_guest_files(self) -> bool {
        !matches!(self, Self::Emul)
    }
}

/// What the host has.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// How many identities a guest interrupt file has, or [`NrIds::MAX`] if there are no such
    /// files; one less than C's `kvm_riscv_aia_max_ids`.
    pub max_ids: NrIds,
    /// Whether every hart has guest interrupt files.
    pub has_guest_files: bool,
}

/// Why a configuration is refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ConfigError {
    /// There is no such mode.
    Mode,
    /// The mode needs guest interrupt files.
    NoGuestFiles,
    /// No interrupt file can have so many identities, or the host's have fewer.
    Ids,
    /// No APLIC can have so many sources, or the host's interrupt files have fewer identities.
    Sources,
    /// The group index is too wide.
    GroupBits,
    /// The group index is too low or too high.
    GroupShift,
    /// The hart index is too wide.
    HartBits,
    /// The guest index is too wide.
    GuestBits,
    /// The address is not the start of a page.
    Unaligned,
    /// There are more sources than identities.
    MoreSourcesThanIds,
    /// There are sources, but the APLIC has no address.
    NoAplicAddr,
    /// The group index overlaps the hart index, the guest index or the offset in a page.
    GroupOverlap,
    /// There is no such extension, or one is in use that is to be given up.
    Extensions,
}

impl ConfigError {
    /// Returns the error number of Linux, which is negative.
    #[inline]
    pub const fn errno(self) -> i32 {
        EINVAL
    }
}

/// Returns the guest-physical address of an APLIC or interrupt file that user space gave.
///
/// # Errors
///
/// [`ConfigError::Unaligned`] if it is not the start of a page; [`UNDEF_ADDR`] is not, either.
pub const fn checked_addr(addr: u64) -> Result<PhysAddr<Guest>, ConfigError> {
    let addr = PhysAddr::new(addr);

    if addr.is_page_aligned() {
        Ok(addr)
    } else {
        Err(ConfigError::Unaligned)
    }
}

/// The configuration of a virtual machine's interrupt controllers.
///
/// # Invariants
///
/// Every number is in its range, see [`ConfigAttr`]; they need not fit together, which
/// [`Self::check`] finds out.
///
/// # Examples
///
/// ```
/// use aia_core::{
///     guest::{
///         attribute::ConfigAttr,
///         config::{Config, ConfigError, Limits},
///     },
///     ids::NrIds,
/// };
///
/// let host = Limits { max_ids: NrIds::MIN, has_guest_files: false };
/// let mut config = Config::new(&host);
/// config.set(ConfigAttr::Ids, 63, &host)?;
/// assert_eq!(config.set(ConfigAttr::Ids, 127, &host), Err(ConfigError::Ids));
/// assert_eq!(config.get(ConfigAttr::Ids), 63);
/// assert!(config.check(&host).is_ok());
/// # Ok::<(), ConfigError>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Config {
    mode: Mode,
    nr_ids: NrIds,
    nr_sources: Option<NrSources>,
    group_bits: u32,
    group_shift: u32,
    hart_bits: u32,
    guest_bits: u32,
    aplic_addr: Option<PhysAddr<Guest>>,
    extensions: Extensions,
}

impl Config {
    /// Makes the configuration that a virtual machine starts with.
    pub const fn new(limits: &Limits) -> Self {
        Self {
            mode: if limits.has_guest_files {
                Mode::Auto
            } else {
                Mode::Emul
            },
            nr_ids: limits.max_ids,
            nr_sources: None,
            group_bits: 0,
            group_shift: MIN_GROUP_SHIFT,
            hart_bits: 0,
            guest_bits: 0,
            aplic_addr: None,
            extensions: Extensions(0),
        }
    }

    /// Returns how many identities an interrupt file may have.
    const fn max_ids(&self, limits: &Limits) -> NrIds {
        if matches!(self.mode, Mode::Emul) && self.extensions.contains(Extensions::EMUL_IDS) {
            NrIds::MAX
        } else {
            limits.max_ids
        }
    }

    /// Returns whether `mode` may be chosen with `extensions`.
    fn is_possible(mode: Mode, extensions: Extensions, limits: &Limits) -> bool {
        limits.has_guest_files
            || match mode {
                Mode::Emul => true,
                Mode::Hwaccel => false,
                Mode::Auto => extensions.contains(Extensions::AUTO_ANYWHERE),
            }
    }

    /// Changes the extensions. One that was needed for what is set stays.
    fn set_extensions(&mut self, value: u32, limits: &Limits) -> Result<(), ConfigError> {
        let new = Extensions::new(value).ok_or(ConfigError::Extensions)?;
        let is_lost = |extension| self.extensions.contains(extension) && !new.contains(extension);
        let needs_emul_ids =
            self.nr_ids > limits.max_ids || self.get(ConfigAttr::Sources) > limits.max_ids.get();

        if is_lost(Extensions::AUTO_ANYWHERE) && !Self::is_possible(self.mode, new, limits)
            || is_lost(Extensions::EMUL_IDS) && needs_emul_ids
        {
            return Err(ConfigError::Extensions);
        }
        self.extensions = new;
        Ok(())
    }

    /// Sets one number; changes nothing if it is refused.
    ///
    /// It is up to the caller that nothing is set once the virtual machine's interrupt controllers
    /// are initialised (`-EBUSY`).
    pub fn set(
        &mut self,
        attr: ConfigAttr,
        value: u32,
        limits: &Limits,
    ) -> Result<(), ConfigError> {
        match attr {
            ConfigAttr::Mode => {
                let mode = Mode::new(value).ok_or(ConfigError::Mode)?;

                if !Self::is_possible(mode, self.extensions, limits) {
                    return Err(ConfigError::NoGuestFiles);
                }
                self.mode = mode;
            }
            ConfigAttr::Ids => {
                self.nr_ids = NrIds::new(value)
                    .filter(|&nr_ids| nr_ids <= self.max_ids(limits))
                    .ok_or(ConfigError::Ids)?;
            }
            ConfigAttr::Sources => {
                let nr_sources = checked_sources(value)?;

                if value > self.max_ids(limits).get() {
                    return Err(ConfigError::Sources);
                }
                self.nr_sources = nr_sources;
            }
            ConfigAttr::GroupBits => {
                self.group_bits = within(value, 0, MAX_GROUP_BITS, ConfigError::GroupBits)?;
            }
            ConfigAttr::GroupShift => {
                self.group_shift = within(
                    value,
                    MIN_GROUP_SHIFT,
                    MAX_GROUP_SHIFT,
                    ConfigError::GroupShift,
                )?;
            }
            ConfigAttr::HartBits => {
                self.hart_bits = within(value, 0, MAX_HART_BITS, ConfigError::HartBits)?;
            }
            ConfigAttr::GuestBits => {
                self.guest_bits = within(value, 0, MAX_GUEST_BITS, ConfigError::GuestBits)?;
            }
            ConfigAttr::Extensions => self.set_extensions(value, limits)?,
        }
        Ok(())
    }

    /// Returns one number.
    pub const fn get(&self, attr: ConfigAttr) -> u32 {
        match attr {
            ConfigAttr::Mode => self.mode.get(),
            ConfigAttr::Ids => self.nr_ids.get(),
            ConfigAttr::Sources => match self.nr_sources {
                Some(nr_sources) => nr_sources.get(),
                None => 0,
            },
            ConfigAttr::GroupBits => self.group_bits,
            ConfigAttr::GroupShift => self.group_shift,
            ConfigAttr::HartBits => self.hart_bits,
            ConfigAttr::GuestBits => self.guest_bits,
            ConfigAttr::Extensions => self.extensions.get(),
        }
    }

    /// Sets the guest-physical address of the APLIC; changes nothing if it is refused.
    pub fn set_aplic_addr(&mut self, addr: u64) -> Result<(), ConfigError> {
        self.aplic_addr = Some(checked_addr(addr)?);
        Ok(())
    }

    /// Returns what user space has asked for beyond the interface of C.
    #[inline]
    pub const fn extensions(&self) -> Extensions {
        self.extensions
    }

    /// Returns how interrupt files are virtualised.
    #[inline]
    pub const fn mode(&self) -> Mode {
        self.mode
    }

    /// Returns how many identities an interrupt file has.
    #[inline]
    pub const fn nr_ids(&self) -> NrIds {
        self.nr_ids
    }

    /// Returns how many sources the APLIC has; [`None`] if there is no APLIC.
    #[inline]
    pub const fn nr_sources(&self) -> Option<NrSources> {
        self.nr_sources
    }

    /// Returns the guest-physical address of the APLIC; [`None`] if it is not set.
    #[inline]
    pub const fn aplic_addr(&self) -> Option<PhysAddr<Guest>> {
        self.aplic_addr
    }

    /// Checks whether everything fits together, and returns where the interrupt files are.
    pub fn check(&self, limits: &Limits) -> Result<GuestMap, ConfigError> {
        // The mode may have changed since the number was accepted.
        if self.nr_ids > self.max_ids(limits) {
            return Err(ConfigError::Ids);
        }
        if self.get(ConfigAttr::Sources) > self.nr_ids.get() {
            return Err(ConfigError::MoreSourcesThanIds);
        }
        if self.nr_sources.is_some() && self.aplic_addr.is_none() {
            return Err(ConfigError::NoAplicAddr);
        }
        GuestMap::new(
            self.group_bits,
            self.group_shift,
            self.hart_bits,
            self.guest_bits,
        )
        .ok_or(ConfigError::GroupOverlap)
    }
}

/// Returns `value` if it is from `min` to `max`, otherwise `error`.
fn within(value: u32, min: u32, max: u32, error: ConfigError) -> Result<u32, ConfigError> {
    if (min..=max).contains(&value) {
        Ok(value)
    } else {
        Err(error)
    }
}

/// Returns a number of sources, of which there may be none.
fn checked_sources(value: u32) -> Result<Option<NrSources>, ConfigError> {
    match value {
        0 => Ok(None),
        _ => NrSources::new(value).map(Some).ok_or(ConfigError::Sources),
    }
}

#[cfg_attr(CONFIG_KUNIT, kernel::macros::kunit_tests(aia_core_guest_config))]
#[cfg_attr(not(CONFIG_KUNIT), cfg(test))]
mod tests {
    use super::*;

    const HOST: Limits = Limits {
        max_ids: NrIds::MAX,
        has_guest_files: true,
    };

    const ALL: [ConfigAttr; 8] = [
        ConfigAttr::Mode,
        ConfigAttr::Ids,
        ConfigAttr::Sources,
        ConfigAttr::GroupBits,
        ConfigAttr::GroupShift,
        ConfigAttr::HartBits,
        ConfigAttr::GuestBits,
        ConfigAttr::Extensions,
    ];

    /// Sets `attr` of a new configuration; returns the error, or whether only that changed.
    fn set(attr: ConfigAttr, value: u32, host: &Limits) -> Result<bool, ConfigError> {
        let before = Config::new(host);
        let mut config = before;
        let result = config.set(attr, value, host);

        if result.is_err() {
            assert_eq!(config, before);
        }
        result?;
        Ok(ALL.iter().all(|&other| {
            config.get(other)
                == if other == attr {
                    value
                } else {
                    before.get(other)
                }
        }))
    }

    /// Asserts that exactly `min` to `max` are accepted, of what is near.
    fn range(attr: ConfigAttr, min: u32, max: u32, error: ConfigError) {
        for value in (0..100).chain([127, 128, 256 + max, u32::MAX]) {
            let expect = if (min..=max).contains(&value) {
                Ok(true)
            } else {
                Err(error)
            };
            assert_eq!(set(attr, value, &HOST), expect);
        }
    }

    #[test]
    fn defaults() {
        let mut host = HOST;
        let config = Config::new(&host);
        assert_eq!(config.mode(), Mode::Auto);
        assert_eq!(config.nr_ids(), NrIds::MAX);
        assert_eq!(config.nr_sources(), None);
        assert_eq!(config.aplic_addr(), None);
        assert_eq!(config.get(ConfigAttr::GroupShift), 24);
        for attr in [
            ConfigAttr::Sources,
            ConfigAttr::GroupBits,
            ConfigAttr::HartBits,
            ConfigAttr::GuestBits,
            ConfigAttr::Extensions,
        ] {
            assert_eq!(config.get(attr), 0);
        }
        assert!(config.check(&host).is_ok());

        host.has_guest_files = false;
        host.max_ids = NrIds::MIN;
        assert_eq!(Config::new(&host).mode(), Mode::Emul);
        assert_eq!(Config::new(&host).nr_ids(), NrIds::MIN);
    }

    #[test]
    fn modes_need_guest_files() {
        let without = Limits {
            has_guest_files: false,
            ..HOST
        };

        for mode in [Mode::Emul, Mode::Hwaccel, Mode::Auto] {
            assert_eq!(Mode::new(mode.get()), Some(mode));
            assert_eq!(set(ConfigAttr::Mode, mode.get(), &HOST), Ok(true));
            assert_eq!(
                set(ConfigAttr::Mode, mode.get(), &without),
                if mode.uses_guest_files() {
                    Err(ConfigError::NoGuestFiles)
                } else {
                    Ok(true)
                }
            );
        }
        range(ConfigAttr::Mode, 0, 2, ConfigError::Mode);
    }

    #[test]
    fn as_many_ids_as_the_host_has() {
        let host = Limits {
            max_ids: NrIds::MIN,
            ..HOST
        };
        let refused = Err(ConfigError::Ids);

        assert_eq!(set(ConfigAttr::Ids, 63, &host), Ok(true));
        assert_eq!(set(ConfigAttr::Ids, 127, &host), refused);
        assert_eq!(set(ConfigAttr::Ids, 127, &HOST), Ok(true));
        assert_eq!(set(ConfigAttr::Ids, 2047, &HOST), Ok(true));
        for value in [0, 1, 62, 64, 126, 128, 2046, 2048, 2111, u32::MAX] {
            assert_eq!(set(ConfigAttr::Ids, value, &HOST), refused);
        }
    }

    #[test]
    fn as_many_sources_as_an_aplic_has() {
        let host = Limits {
            max_ids: NrIds::MIN,
            ..HOST
        };
        let refused = Err(ConfigError::Sources);

        assert_eq!(set(ConfigAttr::Sources, 0, &host), Ok(true));
        assert_eq!(set(ConfigAttr::Sources, 63, &host), Ok(true));
        assert_eq!(set(ConfigAttr::Sources, 64, &host), refused);
        assert_eq!(set(ConfigAttr::Sources, 64, &HOST), Ok(true));
        assert_eq!(set(ConfigAttr::Sources, 1023, &HOST), Ok(true));
        for value in [1024, 2047, 0x1_0001, u32::MAX] {
            assert_eq!(set(ConfigAttr::Sources, value, &HOST), refused);
        }
    }

    #[test]
    fn extensions() {
        range(ConfigAttr::Extensions, 0, 7, ConfigError::Extensions);
        assert_eq!(
            set(ConfigAttr::Extensions, 1 << 31, &HOST),
            Err(ConfigError::Extensions)
        );
        for bits in 0..=7 {
            let set = Extensions::new(bits).unwrap_or_default();
            assert_eq!(set.get(), bits);
            assert_eq!(set.contains(Extensions::AUTO_ANYWHERE), bits & 1 != 0);
            assert_eq!(set.contains(Extensions::EMUL_IDS), bits & 2 != 0);
            assert_eq!(set.contains(Extensions::LATE_VCPUS), bits & 4 != 0);
        }
    }

    // Complaint 1: `auto` does not need guest files if it is asked for like that.
    #[test]
    fn auto_anywhere() -> Result<(), ConfigError> {
        let host = Limits {
            has_guest_files: false,
            ..HOST
        };
        let (mode, attr) = (ConfigAttr::Mode, ConfigAttr::Extensions);
        let mut config = Config::new(&host);

        config.set(attr, Extensions::EMUL_IDS.get(), &host)?;
        assert_eq!(config.set(mode, 2, &host), Err(ConfigError::NoGuestFiles));
        config.set(attr, Extensions::AUTO_ANYWHERE.get(), &host)?;
        assert_eq!(config.mode(), Mode::Emul);
        config.set(mode, 2, &host)?;
        assert_eq!(config.mode(), Mode::Auto);
        assert_eq!(config.set(mode, 1, &host), Err(ConfigError::NoGuestFiles));
        assert!(config.check(&host).is_ok());

        // It cannot be given up while it is needed.
        assert_eq!(config.set(attr, 0, &host), Err(ConfigError::Extensions));
        assert_eq!(config.get(attr), 1);
        config.set(mode, 0, &host)?;
        config.set(attr, 0, &host)?;
        assert_eq!(config.set(mode, 2, &host), Err(ConfigError::NoGuestFiles));

        // Nor is it needed if there are files, or were when the mode was chosen.
        let mut config = Config::new(&HOST);
        config.set(attr, 1, &HOST)?;
        config.set(attr, 0, &HOST)?;
        config.set(attr, 2, &host)?;
        assert!(config.check(&host).is_ok());
        Ok(())
    }

    // Complaint 2: what is in memory alone does not depend on the host.
    #[test]
    fn ids_of_a_file_in_memory() -> Result<(), ConfigError> {
        let host = Limits {
            max_ids: NrIds::MIN,
            ..HOST
        };
        let (mode, attr) = (ConfigAttr::Mode, ConfigAttr::Extensions);
        let (ids, sources) = (ConfigAttr::Ids, ConfigAttr::Sources);
        let mut config = Config::new(&host);

        // Only in this mode, and only if asked for.
        config.set(attr, Extensions::EMUL_IDS.get(), &host)?;
        assert_eq!(config.set(ids, 127, &host), Err(ConfigError::Ids));
        assert_eq!(config.set(sources, 64, &host), Err(ConfigError::Sources));
        config.set(mode, 0, &host)?;
        config.set(attr, Extensions::AUTO_ANYWHERE.get(), &host)?;
        assert_eq!(config.set(ids, 127, &host), Err(ConfigError::Ids));
        assert_eq!(config.set(sources, 64, &host), Err(ConfigError::Sources));

        config.set(attr, Extensions::EMUL_IDS.get(), &host)?;
        config.set(ids, 2047, &host)?;
        config.set(sources, 1023, &host)?;
        config.set_aplic_addr(0)?;
        for value in [64, 2048, u32::MAX] {
            assert_eq!(config.set(ids, value, &host), Err(ConfigError::Ids));
        }
        assert_eq!(config.set(sources, 1024, &host), Err(ConfigError::Sources));
        assert!(config.check(&host).is_ok());

        // It cannot be given up while it is needed, be it for identities or for sources.
        assert_eq!(config.set(attr, 0, &host), Err(ConfigError::Extensions));
        config.set(ids, 63, &host)?;
        assert_eq!(config.set(attr, 0, &host), Err(ConfigError::Extensions));
        config.set(sources, 63, &host)?;
        config.set(attr, 0, &host)?;
        config.set(attr, Extensions::EMUL_IDS.get(), &host)?;

        // INIT finds out that the mode has become another.
        config.set(ids, 127, &host)?;
        for (value, expect) in [
            (0, None),
            (1, Some(ConfigError::Ids)),
            (2, Some(ConfigError::Ids)),
        ] {
            config.set(mode, value, &host)?;
            assert_eq!(config.check(&host).err(), expect);
        }
        config.set(ids, 63, &host)?;
        assert!(config.check(&host).is_ok());
        Ok(())
    }

    #[test]
    fn index_ranges() {
        range(ConfigAttr::GroupBits, 0, 7, ConfigError::GroupBits);
        range(ConfigAttr::GroupShift, 24, 55, ConfigError::GroupShift);
        range(ConfigAttr::HartBits, 0, 15, ConfigError::HartBits);
        range(ConfigAttr::GuestBits, 0, 7, ConfigError::GuestBits);
    }

    #[test]
    fn addresses_are_pages() {
        let mut config = Config::new(&HOST);

        for addr in [1, 0x800, 0xd00_0004, UNDEF_ADDR] {
            assert_eq!(config.set_aplic_addr(addr), Err(ConfigError::Unaligned));
            assert_eq!(config.aplic_addr(), None);
        }
        for addr in [0, 0xd00_0000, 0xd00_1000, !0xfff] {
            assert_eq!(config.set_aplic_addr(addr), Ok(()));
            assert_eq!(config.aplic_addr(), Some(PhysAddr::new(addr)));
        }
        assert_eq!(config.set_aplic_addr(4), Err(ConfigError::Unaligned));
        assert_eq!(config.aplic_addr(), Some(PhysAddr::new(!0xfff)));
    }

    #[test]
    fn sources_need_ids_and_an_address() -> Result<(), ConfigError> {
        let mut config = Config::new(&HOST);

        config.set(ConfigAttr::Ids, 63, &HOST)?;
        config.set(ConfigAttr::Sources, 64, &HOST)?;
        config.set_aplic_addr(0xd00_0000)?;
        assert_eq!(config.check(&HOST), Err(ConfigError::MoreSourcesThanIds));
        config.set(ConfigAttr::Sources, 63, &HOST)?;
        assert!(config.check(&HOST).is_ok());

        let mut config = Config::new(&HOST);
        config.set(ConfigAttr::Sources, 1, &HOST)?;
        assert_eq!(config.check(&HOST), Err(ConfigError::NoAplicAddr));
        config.set_aplic_addr(0)?;
        assert!(config.check(&HOST).is_ok());
        Ok(())
    }

    // Fix 7.3 of kvm-requirements.rst: "Group index overlapping hart/guest bits accepted".
    #[test]
    fn group_index_is_above_the_others() -> Result<(), ConfigError> {
        let mut config = Config::new(&HOST);

        config.set(ConfigAttr::HartBits, 15, &HOST)?;
        config.set(ConfigAttr::GuestBits, 7, &HOST)?;
        config.set(ConfigAttr::GroupShift, 33, &HOST)?;
        // No group index, no overlap.
        assert!(config.check(&HOST).is_ok());
        config.set(ConfigAttr::GroupBits, 1, &HOST)?;
        assert_eq!(config.check(&HOST), Err(ConfigError::GroupOverlap));
        config.set(ConfigAttr::GroupShift, 34, &HOST)?;
        assert!(config.check(&HOST).is_ok());
        Ok(())
    }
}
