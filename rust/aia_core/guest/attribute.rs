// SPDX-License-Identifier: GPL-2.0

//! The attributes of the KVM device `KVM_DEV_TYPE_RISCV_AIA`, which user space names by a group and
//! a number (`arch/riscv/include/uapi/asm/kvm.h`).

use super::state::Header;
use crate::{
    bits::low_mask,
    ids::{
        VcpuId,
        VcpuIndex, //
    },
};

/// The group of the configuration; values have 32 bits.
pub const GRP_CONFIG: u32 = 0;
/// The group of guest-physical addresses; values have 64 bits.
pub const GRP_ADDR: u32 = 1;
/// The group of what the device is told to do; there are no values.
pub const GRP_CTRL: u32 = 2;
/// The group of the APLIC's registers; values have 32 bits.
pub const GRP_APLIC: u32 = 3;
/// The group of the interrupt files' registers; values have 64 bits.
pub const GRP_IMSIC: u32 = 4;
/// The group of what this device has beyond that of C, far from the groups that are numbered one after
/// the other.
pub const GRP_EXT: u32 = 0x5255_0000;

const ADDR_APLIC: u64 = 0;
const ADDR_IMSIC: u64 = 1;
const CTRL_INIT: u64 = 0;
const IMSIC_ISEL_BITS: u32 = 12;
/// The set of extensions, of [`GRP_EXT`]; a value of 32 bits.
pub const EXT_ENABLE: u64 = 0;
/// The state of the whole machine, of [`GRP_EXT`].
pub const EXT_SNAPSHOT: u64 = 1;
/// The state of the APLIC, of [`GRP_EXT`].
pub const EXT_APLIC_STATE: u64 = 2;
/// The state of an interrupt file, of [`GRP_EXT`], added to the ID of a vCPU.
pub const EXT_IMSIC_STATE: u64 = 1 << 32;

/// A number in the configuration, an attribute of `KVM_DEV_RISCV_AIA_GRP_CONFIG` but for the last.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ConfigAttr {
    /// How interrupt files are virtualised, see [`super::config::Mode`].
    Mode,
    /// How many identities an interrupt file has, see [`crate::ids::NrIds`].
    Ids,
    /// How many sources the APLIC has, 0 to 1,023.
    Sources,
    /// The width of the group index, 0 to 7.
    GroupBits,
    /// The position of the group index, 24 to 55.
    GroupShift,
    /// The width of the hart index, 0 to 15.
    HartBits,
    /// The width of the guest index, 0 to 7.
    GuestBits,
    /// What user space asks for beyond the interface of C, see [`super::config::Extensions`].
    Extensions,
}

impl ConfigAttr {
    /// Returns the attribute with this number.
    const fn decode(attr: u64) -> Option<Self> {
        Some(match attr {
            0 => Self::Mode,
            1 => Self::Ids,
            2 => Self::Sources,
            3 => Self::GroupBits,
            4 => Self::GroupShift,
            5 => Self::HartBits,
            6 => Self::GuestBits,
            _ => return None,
        })
    }
}

/// An attribute of the device.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Attribute {
    /// A number in the configuration.
    Config(ConfigAttr),
    /// The guest-physical address of the APLIC.
    AplicAddr,
    /// The guest-physical address of the interrupt file of a vCPU.
    ImsicAddr(VcpuIndex),
    /// Initialises the interrupt controllers.
    Init,
    /// The register of the APLIC at this offset, any number.
    AplicRegister(u64),
    /// A register of the interrupt file of a vCPU.
    ImsicRegister {
        /// The ID of the vCPU; [`VcpuId::MAX`] if it is greater than any can be.
        vcpu: VcpuId,
        /// The number of the register as in the CSR `siselect`, 0 to 4,095.
        isel: u32,
    },
    /// A state, see [`super::state`].
    State(Part),
}

/// Of what a state is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Part {
    /// All interrupt controllers of the virtual machine.
    Machine,
    /// The APLIC.
    Aplic,
    /// The interrupt file of the vCPU with this ID.
    Imsic(VcpuId),
}

impl Part {
    /// Returns the part whose state is the attribute with this number.
    fn decode(attr: u64) -> Option<Self> {
        match attr {
            EXT_SNAPSHOT => Some(Self::Machine),
            EXT_APLIC_STATE => Some(Self::Aplic),
            _ => u32::try_from(attr.checked_sub(EXT_IMSIC_STATE)?)
                .ok()
                .map(VcpuId::new)
                .map(Self::Imsic),
        }
    }
}

impl Attribute {
    /// Returns the attribute that `group` and `attr` of a `struct kvm_device_attr` name; [`None`]
    /// if there is none (`-ENXIO`).
    ///
    /// Whether there is such a vCPU or register is for the caller to find out.
    pub fn decode(group: u32, attr: u64) -> Option<Self> {
        match group {
            GRP_CONFIG => ConfigAttr::decode(attr).map(Self::Config),
            GRP_ADDR if attr == ADDR_APLIC => Some(Self::AplicAddr),
            GRP_ADDR => VcpuIndex::try_from(attr - ADDR_IMSIC)
                .ok()
                .map(Self::ImsicAddr),
            GRP_CTRL if attr == CTRL_INIT => Some(Self::Init),
            GRP_APLIC => Some(Self::AplicRegister(attr)),
            GRP_IMSIC => Some(Self::ImsicRegister {
                // C cuts the number off, so that it finds a vCPU that was not named.
                vcpu: u32::try_from(attr >> IMSIC_ISEL_BITS).map_or(VcpuId::MAX, VcpuId::new),
                // CAST: 12 bits.
                isel: (attr & low_mask(IMSIC_ISEL_BITS)) as u32,
            }),
            GRP_EXT if attr == EXT_ENABLE => Some(Self::Config(ConfigAttr::Extensions)),
            GRP_EXT => Part::decode(attr).map(Self::State),
            _ => None,
        }
    }

    /// Returns the size in bytes of the value in user memory: 0, 4 or 8, or that of a state's
    /// header.
    #[inline]
    pub const fn width(self) -> usize {
        match self {
            Self::Init => 0,
            Self::Config(_) | Self::AplicRegister(_) => size_of::<u32>(),
            Self::AplicAddr | Self::ImsicAddr(_) | Self::ImsicRegister { .. } => size_of::<u64>(),
            Self::State(_) => Header::SIZE,
        }
    }
}

#[cfg_attr(CONFIG_KUNIT, kernel::macros::kunit_tests(aia_core_guest_attribute))]
#[cfg_attr(not(CONFIG_KUNIT), cfg(test))]
mod tests {
    use super::*;

    #[test]
    fn attributes() {
        let decode = Attribute::decode;

        for (n, attr) in [
            ConfigAttr::Mode,
            ConfigAttr::Ids,
            ConfigAttr::Sources,
            ConfigAttr::GroupBits,
            ConfigAttr::GroupShift,
            ConfigAttr::HartBits,
            ConfigAttr::GuestBits,
        ]
        .into_iter()
        .enumerate()
        {
            assert_eq!(decode(0, n as u64), Some(Attribute::Config(attr)));
        }
        assert_eq!(decode(0, 7), None);
        assert_eq!(decode(0, 1 << 32), None);
        assert_eq!(decode(1, 0), Some(Attribute::AplicAddr));
        assert_eq!(decode(1, 1), Some(Attribute::ImsicAddr(VcpuIndex::ZERO)));
        assert_eq!(decode(1, 16384), Some(Attribute::ImsicAddr(VcpuIndex::MAX)));
        assert_eq!(decode(1, 16385), None);
        assert_eq!(decode(1, 0x1_0000_0001), None);
        assert_eq!(decode(1, u64::MAX), None);
        assert_eq!(decode(2, 0), Some(Attribute::Init));
        assert_eq!(decode(2, 1), None);
        assert_eq!(decode(3, 0x3ffc), Some(Attribute::AplicRegister(0x3ffc)));
        assert_eq!(
            decode(3, u64::MAX),
            Some(Attribute::AplicRegister(u64::MAX))
        );
        assert_eq!(decode(5, 0), None);
        assert_eq!(decode(GRP_EXT + 1, 0), None);
        assert_eq!(decode(u32::MAX, 0), None);
    }

    #[test]
    fn extensions() {
        let state = |part| Some(Attribute::State(part));
        let decode = |attr| Attribute::decode(GRP_EXT, attr);

        assert_eq!(decode(0), Some(Attribute::Config(ConfigAttr::Extensions)));
        assert_eq!(decode(1), state(Part::Machine));
        assert_eq!(decode(2), state(Part::Aplic));
        assert_eq!(decode(3), None);
        assert_eq!(decode((1 << 32) - 1), None);
        assert_eq!(decode(1 << 32), state(Part::Imsic(VcpuId::new(0))));
        assert_eq!(
            decode(0x1_0000_1234),
            state(Part::Imsic(VcpuId::new(0x1234)))
        );
        assert_eq!(decode(0x1_ffff_ffff), state(Part::Imsic(VcpuId::MAX)));
        assert_eq!(decode(2 << 32), None);
        assert_eq!(decode(u64::MAX), None);
    }

    /// The ID of a vCPU is not cut off: with C, a number with more than 44 bits names another one.
    #[test]
    fn imsic_registers() {
        let register = |vcpu, isel| {
            Some(Attribute::ImsicRegister {
                vcpu: VcpuId::new(vcpu),
                isel,
            })
        };

        assert_eq!(Attribute::decode(4, 0x70), register(0, 0x70));
        assert_eq!(Attribute::decode(4, 0x3_0fff), register(0x30, 0xfff));
        assert_eq!(Attribute::decode(4, 0x4000_00c0), register(0x4_0000, 0xc0));
        assert_eq!(
            Attribute::decode(4, 1 << 44 | 0x70),
            register(u32::MAX, 0x70)
        );
        assert_eq!(Attribute::decode(4, u64::MAX), register(u32::MAX, 0xfff));
    }

    #[test]
    fn widths() {
        let width = |group, attr| Attribute::decode(group, attr).map(Attribute::width);

        assert_eq!(width(0, 0), Some(4));
        assert_eq!(width(1, 0), Some(8));
        assert_eq!(width(1, 1), Some(8));
        assert_eq!(width(2, 0), Some(0));
        assert_eq!(width(3, 0), Some(4));
        assert_eq!(width(4, 0x70), Some(8));
        assert_eq!(width(GRP_EXT, 0), Some(4));
        assert_eq!(width(GRP_EXT, 1), Some(24));
        assert_eq!(width(GRP_EXT, 1 << 32), Some(24));
    }
}
