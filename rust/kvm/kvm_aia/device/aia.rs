// SPDX-License-Identifier: GPL-2.0

//! The device and its attributes.
//!
//! Values are read from user memory before anything else is looked at, also those that are only
//! written back: that is what C does, and what user space sees of the order of errors.

use aia_core::{
    addr::PhysAddr,
    guest::{
        attribute::{
            self,
            Attribute,
            ConfigAttr, //
        },
        config::{
            checked_addr,
            Config,
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
    new_mutex,
    prelude::*,
    sync::Mutex, //
};
use kvm_ext::{
    device::{
        Attr,
        Device, //
    },
    guests_can_have_ssaia,
    Vcpu,
    VcpuLocked,
    Vm,
    VmLocked, //
};

use super::{
    config::{
        configure,
        error, //
    },
    init::initialize,
    late,
    snapshot, //
};
use crate::{
    ops::inject::ToVcpus,
    published::{
        self,
        host, //
    },
    state::{
        imsic::VcpuImsic,
        limits::limits, //
    }, //
};

/// The device.
#[pin_data]
pub(crate) struct AiaDevice {
    /// Nothing is changed any more once the interrupt controllers are initialised.
    #[pin]
    pub(super) config: Mutex<Config>,
}

/// The vCPU with this index. Fails with `ENXIO` if there never was one.
fn by_index(vm: &Vm, index: VcpuIndex) -> Result<&Vcpu> {
    if index.get() >= vm.online_vcpus() {
        return Err(ENXIO);
    }
    vm.vcpu(index.get()).ok_or(EINVAL)
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
    let imsic = published::imsic(vcpu).ok_or(ENODEV)?;

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
        attribute::GRP_CONFIG | attribute::GRP_APLIC => Value::U32(attr.read_u32()?),
        attribute::GRP_ADDR | attribute::GRP_IMSIC => Value::U64(attr.read_u64()?),
        attribute::GRP_EXT if attr.attr == attribute::EXT_ENABLE => Value::U32(attr.read_u32()?),
        _ => Value::None,
    })
}

impl AiaDevice {
    /// Sets what neither stops vCPUs nor waits for them.
    fn set_locked(&self, mut vm: VmLocked<'_>, what: Attribute, value: Value) -> Result {
        match (what, value) {
            (Attribute::Config(what), Value::U32(value)) => {
                let limits = limits(host().ok_or(ENODEV)?);

                configure(&self.config, &mut vm, |config| {
                    config.set(what, value, &limits)
                })?;
                if what == ConfigAttr::Sources {
                    vm.set_aia_sources_told();
                }
                Ok(())
            }
            (Attribute::AplicAddr, Value::U64(addr)) => {
                configure(&self.config, &mut vm, |config| config.set_aplic_addr(addr))
            }
            (Attribute::ImsicAddr(index), Value::U64(addr)) => {
                let vcpu = by_index(vm.vm(), index)?;

                if vm.is_aia_initialized() {
                    return late::add(&self.config.lock(), vm, vcpu, addr);
                }
                vcpu.set_imsic_addr(checked_addr(addr).map_err(error)?.get());
                Ok(())
            }
            (Attribute::Init, Value::None) => initialize(&*self.config.lock(), vm),
            (Attribute::AplicRegister(offset), Value::U32(value)) => {
                let aia = published::aia(&vm).ok_or(ENODEV)?;
                let aplic = aia.aplic.as_ref().ok_or(ENODEV)?;
                let register = aplic.register(offset)?;

                aplic.domain.write(register, value, &ToVcpus(aia));
                Ok(())
            }
            _ => Err(ENXIO),
        }
    }
}

impl Device for AiaDevice {
    const NAME: &'static CStr = c"kvm-riscv-aia";

    fn create(mut vm: VmLocked<'_>) -> Result<Pin<KBox<Self>>> {
        let limits = limits(host().ok_or(ENODEV)?);

        if vm.is_aia_in_kernel() {
            return Err(EEXIST);
        }
        if !guests_can_have_ssaia() {
            return Err(ENODEV);
        }
        if vm.has_run()? {
            return Err(EBUSY);
        }
        let device = KBox::try_pin_init(
            try_pin_init!(Self {
                config <- new_mutex!(Config::new(&limits), "kvm_aia_config"),
            }),
            GFP_KERNEL_ACCOUNT,
        )?;

        vm.set_aia_in_kernel(true);
        Ok(device)
    }

    fn destroy(&self, mut vm: VmLocked<'_>) {
        // User space may not have got the device, for want of a descriptor, and try again.
        vm.set_aia_in_kernel(false);
    }

    fn set(&self, vm: &Vm, attr: &Attr) -> Result {
        let value = read_value(attr)?;

        match (Attribute::decode(attr.group, attr.attr), value) {
            // These wait for vCPUs, which the lock of the virtual machine forbids.
            (Some(Attribute::ImsicRegister { vcpu, isel }), Value::U64(value)) => {
                let (vcpu, imsic, isel) = register_of(vm, vcpu, isel)?;

                imsic.user_access(&vcpu, isel, Some(value)).map(drop)
            }
            (Some(Attribute::State(part)), _) => snapshot::set(vm, attr, part),
            (what, value) => {
                let vm = vm.lock();

                if attr.group == attribute::GRP_CONFIG && vm.is_aia_initialized() {
                    return Err(EBUSY);
                }
                self.set_locked(vm, what.ok_or(ENXIO)?, value)
            }
        }
    }

    fn get(&self, vm: &Vm, attr: &Attr) -> Result {
        read_value(attr)?;
        let value = match Attribute::decode(attr.group, attr.attr).ok_or(ENXIO)? {
            Attribute::Config(what) => Value::U32(self.config.lock().get(what)),
            Attribute::AplicAddr => {
                let addr = self.config.lock().aplic_addr();

                Value::U64(addr.map_or(UNDEF_ADDR, PhysAddr::get))
            }
            Attribute::ImsicAddr(index) => Value::U64(by_index(vm, index)?.imsic_addr()),
            Attribute::Init => return Err(ENXIO),
            Attribute::AplicRegister(offset) => {
                let aia = published::aia(vm).ok_or(ENODEV)?;
                let aplic = aia.aplic.as_ref().ok_or(ENODEV)?;

                Value::U32(aplic.domain.read(aplic.register(offset)?))
            }
            Attribute::ImsicRegister { vcpu, isel } => {
                let (vcpu, imsic, isel) = register_of(vm, vcpu, isel)?;

                Value::U64(imsic.user_access(&vcpu, isel, None)?)
            }
            Attribute::State(part) => return snapshot::get(vm, attr, part),
        };

        match value {
            Value::U32(value) => attr.write_u32(value),
            Value::U64(value) => attr.write_u64(value),
            Value::None => Ok(()),
        }
    }

    fn has(&self, vm: &Vm, attr: &Attr) -> Result {
        match Attribute::decode(attr.group, attr.attr).ok_or(ENXIO)? {
            Attribute::Config(_) | Attribute::AplicAddr | Attribute::Init => Ok(()),
            Attribute::State(part) => snapshot::has(vm, part),
            Attribute::ImsicAddr(index) => by_index(vm, index).map(drop),
            Attribute::AplicRegister(offset) => published::aia(vm)
                .and_then(|aia| aia.aplic.as_ref())
                .ok_or(ENODEV)?
                .register(offset)
                .map(drop),
            Attribute::ImsicRegister { vcpu, isel } => published::imsic(by_id(vm, vcpu)?)
                .ok_or(ENODEV)?
                .check(isel)
                .map(drop),
        }
    }
}
