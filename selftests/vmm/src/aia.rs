// SPDX-License-Identifier: GPL-2.0

//! The in-kernel AIA device, KVM_DEV_TYPE_RISCV_AIA, by its attributes.
//!
//! Widths: 32 bits in the groups CONFIG and APLIC, 64 bits in ADDR, and an
//! `unsigned long` in IMSIC. An IMSIC's address goes by vCPU *index*, its
//! registers by vCPU *id*.

use crate::{
    sys::{
        get_device_attr,
        get_device_attr_at,
        get_device_bytes,
        TestMemory, //
    },
    Context,
    Result, //
};
use kvm_bindings::*;
use kvm_ioctls::{
    DeviceFd,
    VmFd, //
};
use serde::{
    Deserialize,
    Serialize, //
};
use std::{
    fmt::Display,
    io, //
};

/// How KVM provides the vCPUs' interrupt files.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub enum Mode {
    /// All in software.
    Emul,
    /// In guest interrupt files of the hardware, or not at all.
    Hwaccel,
    /// In guest interrupt files as far as there are any.
    Auto,
}

impl Mode {
    /// The number in the UAPI.
    pub fn to_raw(self) -> u32 {
        match self {
            Self::Emul => KVM_DEV_RISCV_AIA_MODE_EMUL,
            Self::Hwaccel => KVM_DEV_RISCV_AIA_MODE_HWACCEL,
            Self::Auto => KVM_DEV_RISCV_AIA_MODE_AUTO,
        }
    }
}

impl Display for Mode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Emul => "emul",
            Self::Hwaccel => "hwaccel",
            Self::Auto => "auto",
        })
    }
}

/// What the device has beyond the one in C, see Documentation/kvm-extensions.rst.
pub mod ext {
    /// The group of all of it.
    pub const GROUP: u32 = 0x5255_0000;

    /// A set of bits.
    pub const ENABLE: u64 = 0;
    /// Mode AUTO on any host.
    pub const AUTO_ANYWHERE: u32 = 1 << 0;
    /// As many identities in mode EMUL as the specification has.
    pub const EMUL_IDS: u32 = 1 << 1;
    /// Interrupt files for vCPUs that are made after INIT.
    pub const LATE_VCPUS: u32 = 1 << 2;

    /// The state of all.
    pub const SNAPSHOT: u64 = 1;
    /// That of the APLIC.
    pub const APLIC_STATE: u64 = 2;

    /// That of the interrupt file of a vCPU.
    pub const fn imsic_state(vcpu_id: u64) -> u64 {
        1 << 32 | vcpu_id
    }
}

/// Where a system call finds its argument in the memory of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// No memory is there.
    Nowhere,
    /// Only so many bytes are there.
    Short(u64),
    /// It can only be read, and is zero.
    ReadOnly,
}

/// The AIA device of a VM.
#[derive(Debug)]
pub struct Aia(DeviceFd);

impl Aia {
    /// Creates the device.
    pub fn new(vm: &VmFd) -> io::Result<Self> {
        let mut device = kvm_create_device {
            type_: kvm_device_type_KVM_DEV_TYPE_RISCV_AIA,
            fd: 0,
            flags: 0,
        };

        vm.create_device(&mut device)
            .map(Self)
            .map_err(|e| io::Error::from_raw_os_error(e.errno()))
    }

    /// Sets an attribute to `value`, of which the device takes as many of the
    /// low bytes as the attribute has.
    pub fn set(&self, group: u32, attr: u64, value: u64) -> io::Result<()> {
        self.0
            .set_device_attr(&kvm_device_attr {
                flags: 0,
                group,
                attr,
                addr: std::ptr::from_ref(&value) as u64,
            })
            .map_err(|e| io::Error::from_raw_os_error(e.errno()))
    }

    /// Reads an attribute over the low bytes of `value`: as many as it has.
    pub fn get(&self, group: u32, attr: u64, mut value: u128) -> io::Result<u128> {
        get_device_attr(&self.0, group, attr, &mut value)?;
        Ok(value)
    }

    /// Whether the device has the attribute, or why not.
    pub fn has(&self, group: u32, attr: u64) -> io::Result<()> {
        self.0
            .has_device_attr(&kvm_device_attr {
                flags: 0,
                group,
                attr,
                addr: 0,
            })
            .map_err(|e| io::Error::from_raw_os_error(e.errno()))
    }

    /// Sets an attribute to what lies at `place`.
    pub fn set_at(&self, group: u32, attr: u64, mem: &TestMemory, place: Place) -> io::Result<()> {
        self.0
            .set_device_attr(&kvm_device_attr {
                flags: 0,
                group,
                attr,
                addr: mem.address(place),
            })
            .map_err(|e| io::Error::from_raw_os_error(e.errno()))
    }

    /// Reads an attribute to `place`.
    pub fn get_at(&self, group: u32, attr: u64, mem: &TestMemory, place: Place) -> io::Result<()> {
        get_device_attr_at(&self.0, group, attr, mem, place)
    }

    /// Sets an attribute of the group CONFIG.
    pub fn set_config(&self, attr: u32, value: u32) -> io::Result<()> {
        self.set(KVM_DEV_RISCV_AIA_GRP_CONFIG, attr.into(), value.into())
    }

    /// Reads an attribute of the group CONFIG.
    pub fn config(&self, attr: u32) -> io::Result<u32> {
        self.get(KVM_DEV_RISCV_AIA_GRP_CONFIG, attr.into(), 0)
            .map(|value| value as u32)
    }

    /// The state that is this attribute of the extensions.
    pub fn state(&self, attr: u64) -> io::Result<Vec<u8>> {
        /// The fields of the header: version, size, and four more.
        const HEADER: usize = 24;
        // With version 0 it is only asked for the header.
        let mut header = vec![0; HEADER];

        get_device_bytes(&self.0, ext::GROUP, attr, &mut header)?;
        let size = u32::from_le_bytes([header[4], header[5], header[6], header[7]]);
        let mut state = header;

        state.resize(size as usize, 0);
        get_device_bytes(&self.0, ext::GROUP, attr, &mut state)?;
        Ok(state)
    }

    /// Sets it.
    pub fn set_state(&self, attr: u64, state: &[u8]) -> io::Result<()> {
        self.0
            .set_device_attr(&kvm_device_attr {
                flags: 0,
                group: ext::GROUP,
                attr,
                addr: state.as_ptr() as u64,
            })
            .map_err(|e| io::Error::from_raw_os_error(e.errno()))
    }

    /// Sets the extensions.
    pub fn set_extensions(&self, bits: u32) -> io::Result<()> {
        self.set(ext::GROUP, ext::ENABLE, bits.into())
    }

    /// Reads them.
    pub fn extensions(&self) -> io::Result<u32> {
        self.get(ext::GROUP, ext::ENABLE, 0)
            .map(|value| value as u32)
    }

    /// Sets the mode.
    pub fn set_mode(&self, mode: Mode) -> io::Result<()> {
        self.set_config(KVM_DEV_RISCV_AIA_CONFIG_MODE, mode.to_raw())
    }

    /// Sets the guest-physical address of the APLIC.
    pub fn set_aplic_addr(&self, addr: u64) -> io::Result<()> {
        self.set(
            KVM_DEV_RISCV_AIA_GRP_ADDR,
            KVM_DEV_RISCV_AIA_ADDR_APLIC.into(),
            addr,
        )
    }

    /// Reads the address of the APLIC.
    pub fn aplic_addr(&self) -> io::Result<u64> {
        self.get(
            KVM_DEV_RISCV_AIA_GRP_ADDR,
            KVM_DEV_RISCV_AIA_ADDR_APLIC.into(),
            0,
        )
        .map(|addr| addr as u64)
    }

    /// Sets the guest-physical address of the IMSIC of the vCPU with this index.
    pub fn set_imsic_addr(&self, index: usize, addr: u64) -> io::Result<()> {
        self.set(KVM_DEV_RISCV_AIA_GRP_ADDR, 1 + index as u64, addr)
    }

    /// Reads the address of an IMSIC.
    pub fn imsic_addr(&self, index: usize) -> io::Result<u64> {
        self.get(KVM_DEV_RISCV_AIA_GRP_ADDR, 1 + index as u64, 0)
            .map(|addr| addr as u64)
    }

    /// Initialises the irqchip, after which its configuration is fixed.
    pub fn init(&self) -> io::Result<()> {
        self.set(
            KVM_DEV_RISCV_AIA_GRP_CTRL,
            KVM_DEV_RISCV_AIA_CTRL_INIT.into(),
            0,
        )
    }

    /// Reads a register of the APLIC by its offset.
    pub fn aplic(&self, offset: u32) -> io::Result<u32> {
        self.get(KVM_DEV_RISCV_AIA_GRP_APLIC, offset.into(), 0)
            .map(|value| value as u32)
    }

    /// Writes a register of the APLIC.
    pub fn set_aplic(&self, offset: u32, value: u32) -> io::Result<()> {
        self.set(KVM_DEV_RISCV_AIA_GRP_APLIC, offset.into(), value.into())
    }

    /// The attribute of a register of an IMSIC.
    pub fn imsic_attr(vcpu_id: usize, select: u32) -> u64 {
        ((vcpu_id as u64) << KVM_DEV_RISCV_AIA_IMSIC_ISEL_BITS) | u64::from(select)
    }

    /// Reads a register of an IMSIC. Waits until the vCPU has left KVM_RUN.
    pub fn imsic(&self, vcpu_id: usize, select: u32) -> io::Result<u64> {
        self.get(
            KVM_DEV_RISCV_AIA_GRP_IMSIC,
            Self::imsic_attr(vcpu_id, select),
            0,
        )
        .map(|value| value as u64)
    }

    /// Writes a register of an IMSIC. Waits until the vCPU has left KVM_RUN.
    pub fn set_imsic(&self, vcpu_id: usize, select: u32, value: u64) -> io::Result<()> {
        self.set(
            KVM_DEV_RISCV_AIA_GRP_IMSIC,
            Self::imsic_attr(vcpu_id, select),
            value,
        )
    }

    /// Configures the device as the VMMs in the field do, up to INIT.
    pub(crate) fn configure(&self, cfg: &crate::Config) -> Result<()> {
        self.set_mode(cfg.mode)
            .context(format!("AIA mode {}", cfg.mode))?;
        if let Some(ids) = cfg.ids {
            self.set_config(KVM_DEV_RISCV_AIA_CONFIG_IDS, ids)
                .context(format!("AIA IDS {ids}"))?;
        }
        if cfg.sources != 0 {
            self.set_config(KVM_DEV_RISCV_AIA_CONFIG_SRCS, cfg.sources)
                .context(format!("AIA SRCS {}", cfg.sources))?;
            self.set_aplic_addr(crate::abi::APLIC_BASE)
                .context("AIA APLIC address")?;
        }
        self.set_config(KVM_DEV_RISCV_AIA_CONFIG_GUEST_BITS, cfg.guest_bits)
            .context("AIA GUEST_BITS")?;
        self.set_config(KVM_DEV_RISCV_AIA_CONFIG_HART_BITS, cfg.hart_bits())
            .context("AIA HART_BITS")?;
        for index in 0..cfg.vcpus {
            self.set_imsic_addr(index, cfg.imsic_page(index))
                .context(format!("AIA IMSIC {index} address"))?;
        }
        Ok(())
    }
}
