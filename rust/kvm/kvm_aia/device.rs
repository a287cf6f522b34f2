// SPDX-License-Identifier: GPL-2.0

//! `KVM_DEV_TYPE_RISCV_AIA`: what user space configures, sets up and looks at.
//!
//! Values are read from user memory before anything else is looked at, also those that are only
//! written back: that is what C does, and what user space sees of the order of errors.

use aia_core::{
    addr::{
        Guest,
        PhysAddr, //
    },
    guest::{
        attribute::Attribute,
        config::{
            checked_addr,
            raw::RawConfig,
            Config,
            Limits,
            UNDEF_ADDR, //
        }, //
    },
    ids::{
        VcpuId,
        VcpuIndex, //
    },
    isel::Isel, //
};
use kernel::{
    bindings,
    error::Error,
    prelude::*, //
};
use kvm_ext::{
    device::{
        Attr,
        Device, //
    },
    AiaConfig,
    Vcpu,
    VcpuLocked,
    Vm,
    VmLocked, //
};

use crate::{
    aplic::{
        ToVcpus,
        VmAplic, //
    },
    csr,
    ffi,
    host::{
        host,
        Host, //
    },
    imsic::{
        self,
        VcpuImsic, //
    },
    state,
    vm::VmAia, //
};

/// The device.
pub(crate) struct AiaDevice;

/// What the host has for a guest.
pub(crate) fn limits(host: &Host) -> Limits {
    Limits {
        max_ids: host.max_ids,
        has_guest_files: ffi::nr_hgei() != 0,
    }
}

fn error(error: aia_core::guest::config::Error) -> Error {
    Error::from_errno(error.errno())
}

/// What C keeps, as the pure logic knows it.
fn from_c(config: AiaConfig) -> RawConfig {
    RawConfig {
        mode: config.mode,
        nr_ids: config.nr_ids,
        nr_sources: config.nr_sources,
        nr_group_bits: config.nr_group_bits,
        nr_group_shift: config.nr_group_shift,
        nr_hart_bits: config.nr_hart_bits,
        nr_guest_bits: config.nr_guest_bits,
        aplic_addr: config.aplic_addr,
        extensions: config.extensions,
    }
}

fn to_c(config: Config) -> AiaConfig {
    let raw = RawConfig::from(config);

    AiaConfig {
        mode: raw.mode,
        nr_ids: raw.nr_ids,
        nr_sources: raw.nr_sources,
        nr_group_bits: raw.nr_group_bits,
        nr_group_shift: raw.nr_group_shift,
        nr_hart_bits: raw.nr_hart_bits,
        nr_guest_bits: raw.nr_guest_bits,
        aplic_addr: raw.aplic_addr,
        extensions: raw.extensions,
    }
}

/// The configuration.
pub(crate) fn config(vm: &VmLocked<'_>) -> Result<Config> {
    Config::try_from(from_c(vm.config())).map_err(error)
}

/// Sets what a new virtual machine starts with. Nobody else knows it yet.
pub(crate) fn set_defaults(host: &Host, mut vm: VmLocked<'_>) {
    vm.set_config(&to_c(Config::new(&limits(host))));
}

/// Changes the configuration. Fails with `EBUSY` if it is in use already.
fn configure(
    mut vm: VmLocked<'_>,
    change: impl FnOnce(&mut Config) -> Result<(), aia_core::guest::config::Error>,
) -> Result {
    if vm.is_aia_initialized() {
        return Err(EBUSY);
    }
    let mut config = config(&vm)?;

    change(&mut config).map_err(error)?;
    vm.set_config(&to_c(config));
    Ok(())
}

/// The vCPU with this index. Fails with `ENXIO` if there never was one.
fn by_index(vm: &Vm, index: VcpuIndex) -> Result<&Vcpu> {
    if index.get() >= vm.online_vcpus() {
        return Err(ENXIO);
    }
    vm.vcpu(index.get()).ok_or(EINVAL)
}

/// Makes everything that the configuration asks for.
///
/// Fails with `EBUSY` if that was done, or if a vCPU is being created, and with `EINVAL` if the
/// configuration makes no sense; then there is none of it, and it can be tried again.
fn initialize(mut vm: VmLocked<'_>) -> Result {
    let host = host().ok_or(ENODEV)?;

    if vm.is_aia_initialized() || vm.is_vcpu_creation_in_progress() {
        return Err(EBUSY);
    }
    let config = config(&vm)?;
    let map = config.check(&limits(host)).map_err(error)?;
    let vcpus = vm.vm();
    let addresses = || {
        vcpus.vcpus().map(|vcpu| match vcpu.imsic_addr() {
            UNDEF_ADDR => Err(EINVAL),
            addr => Ok((vcpu, PhysAddr::<Guest>::new(addr))),
        })
    };
    let mut base = None;

    for found in addresses() {
        let (_, addr) = found?;

        if *base.get_or_insert(map.base_ppn(addr)) != map.base_ppn(addr) {
            return Err(EINVAL);
        }
    }

    // Nobody sees any of it before all of it is there, so that it can be taken back.
    let aplic = match (config.nr_sources(), config.aplic_addr()) {
        (Some(nr_sources), Some(addr)) => {
            Some(VmAplic::new(nr_sources, addr, ffi::aplic_page(&vm, addr)?)?)
        }
        _ => None,
    };
    let mut files = KVec::with_capacity(usize::try_from(vm.online_vcpus())?, GFP_KERNEL_ACCOUNT)?;

    for found in addresses() {
        let (vcpu, addr) = found?;
        let page = ffi::imsic_page(&vm, addr)?;

        files.push(
            (vcpu, VcpuImsic::new(host, config.nr_ids(), addr, page)?),
            GFP_KERNEL_ACCOUNT,
        )?;
    }

    let aia = KBox::new(VmAia::new(&files, map, aplic)?, GFP_KERNEL_ACCOUNT)?;

    if let Some(aplic) = &aia.aplic {
        vm.set_default_routing(aplic.domain.nr_sources().get() + 1)?;
    }

    // Nothing fails from here on.
    for (vcpu, imsic) in &files {
        vcpu.set_hart_index(map.hart_index(imsic.address()));
    }
    ffi::publish(&mut vm, aia, files);
    Ok(())
}

/// The vCPU with this ID, once there are interrupt files. Fails with `ENODEV` if there is none.
fn by_id(vm: &Vm, id: VcpuId) -> Result<&Vcpu> {
    if !vm.is_aia_initialized() {
        return Err(ENODEV);
    }
    vm.vcpu_by_id(id.get()).ok_or(ENODEV)
}

/// The interrupt file of the vCPU with this ID, with the vCPU stopped, and the register checked.
///
/// Waits until the vCPU leaves the guest: not to be called with the virtual machine's lock held.
fn register_of(vm: &Vm, id: VcpuId, isel: u32) -> Result<(VcpuLocked<'_>, &VcpuImsic, Isel)> {
    let vcpu = by_id(vm, id)?;
    let stopped = vcpu.lock_killable()?;
    let imsic = imsic::of(vcpu).ok_or(ENODEV)?;

    Ok((stopped, imsic, imsic.check(isel)?))
}

/// What user memory holds for an attribute.
enum Value {
    U32(u32),
    U64(u64),
    None,
}

fn read_value(attr: &Attr) -> Result<Value> {
    Ok(match attr.group {
        bindings::KVM_DEV_RISCV_AIA_GRP_CONFIG | bindings::KVM_DEV_RISCV_AIA_GRP_APLIC => {
            Value::U32(attr.read_u32()?)
        }
        bindings::KVM_DEV_RISCV_AIA_GRP_ADDR | bindings::KVM_DEV_RISCV_AIA_GRP_IMSIC => {
            Value::U64(attr.read_u64()?)
        }
        _ => Value::None,
    })
}

impl Device for AiaDevice {
    const NAME: &'static CStr = c"kvm-riscv-aia";

    fn create(mut vm: VmLocked<'_>) -> Result {
        if vm.is_aia_in_kernel() {
            return Err(EEXIST);
        }
        if !csr::guests_can_have_aia() {
            return Err(ENODEV);
        }
        if vm.has_run()? {
            return Err(EBUSY);
        }
        vm.set_aia_in_kernel(true);
        Ok(())
    }

    fn destroy(mut vm: VmLocked<'_>) {
        // User space may not have got the device, for want of a descriptor, and try again.
        vm.set_aia_in_kernel(false);
    }

    fn set(vm: &Vm, attr: &Attr) -> Result {
        let value = read_value(attr)?;

        if let (Some(Attribute::ImsicRegister { vcpu, isel }), Value::U64(value)) =
            (Attribute::decode(attr.group, attr.attr), &value)
        {
            let (vcpu, imsic, isel) = register_of(vm, vcpu, isel)?;

            return imsic.user_access(&vcpu, isel, Some(*value)).map(drop);
        }
        if Attribute::decode(attr.group, attr.attr) == Some(Attribute::Snapshot) {
            return state::set(vm, attr);
        }

        let vm = vm.lock();

        if attr.group == bindings::KVM_DEV_RISCV_AIA_GRP_CONFIG && vm.is_aia_initialized() {
            return Err(EBUSY);
        }
        match (
            Attribute::decode(attr.group, attr.attr).ok_or(ENXIO)?,
            value,
        ) {
            (Attribute::Config(what), Value::U32(value)) => {
                let limits = limits(host().ok_or(ENODEV)?);

                configure(vm, |config| config.set(what, value, &limits))
            }
            (Attribute::AplicAddr, Value::U64(addr)) => {
                configure(vm, |config| config.set_aplic_addr(addr))
            }
            (Attribute::ImsicAddr(index), Value::U64(addr)) => {
                let vcpu = by_index(&vm, index)?;

                if vm.is_aia_initialized() {
                    return Err(EBUSY);
                }
                vcpu.set_imsic_addr(checked_addr(addr).map_err(error)?.get());
                Ok(())
            }
            (Attribute::Init, Value::None) => initialize(vm),
            (Attribute::AplicRegister(offset), Value::U32(value)) => {
                let aia = ffi::aia(&vm).ok_or(ENODEV)?;
                let aplic = aia.aplic.as_ref().ok_or(ENODEV)?;
                let register = aplic.register(offset)?;

                aplic.domain.write(register, value, &ToVcpus(aia));
                Ok(())
            }
            _ => Err(ENXIO),
        }
    }

    fn get(vm: &Vm, attr: &Attr) -> Result {
        read_value(attr)?;
        let value = match Attribute::decode(attr.group, attr.attr).ok_or(ENXIO)? {
            Attribute::Config(what) => Value::U32(config(&vm.lock())?.get(what)),
            Attribute::AplicAddr => Value::U64(vm.lock().config().aplic_addr),
            Attribute::ImsicAddr(index) => Value::U64(by_index(vm, index)?.imsic_addr()),
            Attribute::Init => return Err(ENXIO),
            Attribute::AplicRegister(offset) => {
                let aia = ffi::aia(vm).ok_or(ENODEV)?;
                let aplic = aia.aplic.as_ref().ok_or(ENODEV)?;

                Value::U32(aplic.domain.read(aplic.register(offset)?))
            }
            Attribute::ImsicRegister { vcpu, isel } => {
                let (vcpu, imsic, isel) = register_of(vm, vcpu, isel)?;

                Value::U64(imsic.user_access(&vcpu, isel, None)?)
            }
            Attribute::Snapshot => return state::get(vm, attr),
        };

        match value {
            Value::U32(value) => attr.write_u32(value),
            Value::U64(value) => attr.write_u64(value),
            Value::None => Ok(()),
        }
    }

    fn has(vm: &Vm, attr: &Attr) -> Result {
        match Attribute::decode(attr.group, attr.attr).ok_or(ENXIO)? {
            Attribute::Config(_) | Attribute::AplicAddr | Attribute::Init | Attribute::Snapshot => {
                Ok(())
            }
            Attribute::ImsicAddr(index) => by_index(vm, index).map(drop),
            Attribute::AplicRegister(offset) => ffi::aia(vm)
                .and_then(|aia| aia.aplic.as_ref())
                .ok_or(ENODEV)?
                .register(offset)
                .map(drop),
            Attribute::ImsicRegister { vcpu, isel } => imsic::of(by_id(vm, vcpu)?)
                .ok_or(ENODEV)?
                .check(isel)
                .map(drop),
        }
    }
}
