// SPDX-License-Identifier: GPL-2.0

//! KVM is set up and torn down, and CPUs come and go.

use kernel::{
    bindings,
    error::from_result,
    interrupt::local_interrupt_disable,
    macros::export,
    prelude::*,
    sync::atomic::{
        Atomic,
        Relaxed, //
    },
};
use kvm_ext::device;

use super::{
    host,
    set_host,
    take_host, //
};
use crate::{
    device::AiaDevice,
    host::Host, //
};

/// How many guest files every hart has at least; C prints it.
#[no_mangle]
static kvm_riscv_aia_nr_hgei: Atomic<i32> = Atomic::new(0);

/// One more than the identities that a guest's interrupt file may have; C declares it.
#[no_mangle]
static kvm_riscv_aia_max_ids: Atomic<u32> = Atomic::new(0);

/// The functions of the device.
#[repr(transparent)]
struct DeviceOps(bindings::kvm_device_ops);

// SAFETY: Only functions and a name; nobody writes to it.
unsafe impl Sync for DeviceOps {}

#[no_mangle]
static kvm_riscv_aia_device_ops: DeviceOps = DeviceOps(device::ops::<AiaDevice>());

/// How many guest files every hart has at least.
pub(crate) fn nr_hgei() -> u32 {
    kvm_riscv_aia_nr_hgei.load(Relaxed).unsigned_abs()
}

/// A hart has no more than `count` guest files.
pub(crate) fn lower_nr_hgei(count: u32) {
    let count = i32::try_from(count).unwrap_or(i32::MAX);
    let mut old = kvm_riscv_aia_nr_hgei.load(Relaxed);

    while old > count {
        match kvm_riscv_aia_nr_hgei.cmpxchg(old, count, Relaxed) {
            Ok(_) => break,
            Err(now) => old = now,
        }
    }
}

/// Sets KVM's AIA up. Fails with `ENODEV` if the host has none.
///
/// # Safety
///
/// None: called once, when KVM is set up.
#[export]
pub(crate) unsafe extern "C" fn kvm_riscv_aia_init() -> c_int {
    from_result(|| {
        let fewest = i32::try_from(riscv_imsic::fewest_guest_files())?;
        let host = KBox::new(Host::new()?, GFP_KERNEL)?;

        kvm_riscv_aia_nr_hgei.store(fewest, Relaxed);
        kvm_riscv_aia_max_ids.store(host.max_ids.get() + 1, Relaxed);
        device::register(
            &kvm_riscv_aia_device_ops.0,
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
