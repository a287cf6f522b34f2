// SPDX-License-Identifier: GPL-2.0

//! A virtual machine comes, gets interrupts, and goes.

#![expect(unsafe_code, reason = "the boundary to C")]

use kernel::{
    bindings,
    error::from_result,
    macros::export,
    prelude::*, //
};
use kvm_ext::Vm;

use crate::{
    ops::{
        inject::inject_msi,
        wire::{
            inject_irq,
            Driver, //
        }, //
    },
    published::{
        aia,
        take_aia, //
    }, //
};

/// A virtual machine is being made: what it needs comes with the device.
///
/// # Safety
///
/// None.
#[export]
pub(crate) unsafe extern "C" fn kvm_riscv_aia_init_vm(_kvm: *mut bindings::kvm) {}

/// A virtual machine goes away, after its vCPUs.
///
/// # Safety
///
/// `kvm` must be valid, and nobody else may use it.
#[export]
pub(crate) unsafe extern "C" fn kvm_riscv_aia_destroy_vm(kvm: *mut bindings::kvm) {
    // SAFETY: By the requirements of this function.
    drop(unsafe { take_aia(Vm::from_raw(kvm)) });
}

/// Delivers an MSI.
///
/// # Safety
///
/// `kvm` and `msi` must be valid.
#[export]
pub(crate) unsafe extern "C" fn kvm_riscv_aia_inject_msi(
    kvm: *mut bindings::kvm,
    msi: *mut bindings::kvm_msi,
) -> c_int {
    // SAFETY: By the requirements of this function.
    let (vm, msi) = unsafe { (Vm::from_raw(kvm), &*msi) };
    let addr = u64::from(msi.address_hi) << 32 | u64::from(msi.address_lo);

    from_result(|| inject_msi(aia(vm).ok_or(EBUSY)?, addr, msi.data).map(|()| 0))
}

/// Changes a wire of the APLIC, for user space.
///
/// # Safety
///
/// `kvm` must be valid.
#[export]
pub(crate) unsafe extern "C" fn kvm_riscv_aia_inject_irq(
    kvm: *mut bindings::kvm,
    irq: c_uint,
    level: bool,
) -> c_int {
    // SAFETY: By the requirements of this function.
    let vm = unsafe { Vm::from_raw(kvm) };

    from_result(|| inject_irq(aia(vm).ok_or(EBUSY)?, irq, Driver::UserSpace, level).map(|()| 0))
}

/// Changes a wire of the APLIC, for irqfds that are told when an interrupt has been handled.
///
/// # Safety
///
/// `kvm` must be valid.
#[export]
pub(crate) unsafe extern "C" fn kvm_riscv_aia_inject_resampled(
    kvm: *mut bindings::kvm,
    irq: c_uint,
    level: bool,
) -> c_int {
    // SAFETY: By the requirements of this function.
    let vm = unsafe { Vm::from_raw(kvm) };

    from_result(|| inject_irq(aia(vm).ok_or(EBUSY)?, irq, Driver::Resampler, level).map(|()| 0))
}
