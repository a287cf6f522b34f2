// SPDX-License-Identifier: GPL-2.0

//! KVM is set up and torn down, and CPUs come and go.

#![expect(unsafe_code, reason = "the boundary to C")]

use kernel::{
    bindings,
    error::from_result,
    interrupt::local_interrupt_disable,
    macros::export,
    prelude::*, //
};
use kvm_ext::device;

use crate::{
    debug,
    device::aia::AiaDevice,
    handler::sgei::SgeiHandler,
    published::{
        host,
        set_host,
        take_host, //
    },
    state::{
        host::HostAia,
        limits,
        quirks, //
    }, //
};

/// The functions of the device.
#[no_mangle]
static kvm_riscv_aia_device_ops: device::Ops = device::ops::<AiaDevice>();

/// Sets KVM's AIA up. Fails with `ENODEV` if the host has none.
///
/// # Safety
///
/// None: called once, when KVM is set up.
#[export]
pub(crate) unsafe extern "C" fn kvm_riscv_aia_init() -> c_int {
    from_result(|| {
        let fewest = i32::try_from(riscv_imsic::fewest_guest_files())?;
        let host = debug::shown(HostAia::new::<SgeiHandler>()?)?;

        quirks::look();
        limits::set(fewest, &host);
        device::register(
            &kvm_riscv_aia_device_ops,
            bindings::kvm_device_type_KVM_DEV_TYPE_RISCV_AIA,
        )?;
        // Nobody makes a device or runs a guest as long as KVM is being set up.
        set_host(host);
        // SAFETY: Process context.
        unsafe { bindings::kvm_riscv_aia_make_available() };
        Ok(0)
    })
}

/// Undoes [`kvm_riscv_aia_init`], if that succeeded.
///
/// # Safety
///
/// There must be no virtual machine, and no CPU may be able to run one: called once, when KVM is
/// torn down.
#[export]
pub(crate) unsafe extern "C" fn kvm_riscv_aia_exit() {
    if host().is_some() {
        device::unregister(bindings::kvm_device_type_KVM_DEV_TYPE_RISCV_AIA);
        // SAFETY: By the requirements of this function.
        drop(unsafe { take_host() });
    }
}

/// This CPU can run guests from now on.
///
/// # Safety
///
/// None: on each CPU, preemption off.
#[export]
pub(crate) unsafe extern "C" fn kvm_riscv_aia_enable() {
    if let Some(host) = host() {
        host.enable(&local_interrupt_disable());
    }
}

/// This CPU cannot run guests any more.
///
/// # Safety
///
/// None: on each CPU, preemption off.
#[export]
pub(crate) unsafe extern "C" fn kvm_riscv_aia_disable() {
    if let Some(host) = host() {
        host.disable();
    }
}

/// This CPU enters a state that may lose its CSRs.
///
/// # Safety
///
/// None: interrupts are off.
#[export]
pub(crate) unsafe extern "C" fn kvm_riscv_aia_pm_enter() {
    if let Some(host) = host() {
        host.enter_low_power(&local_interrupt_disable());
    }
}

/// This CPU is back.
///
/// # Safety
///
/// None: interrupts are off.
#[export]
pub(crate) unsafe extern "C" fn kvm_riscv_aia_pm_exit() {
    if let Some(host) = host() {
        host.exit_low_power(&local_interrupt_disable());
    }
}
