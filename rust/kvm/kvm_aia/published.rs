// SPDX-License-Identifier: GPL-2.0

//! Where everybody finds the state of the host, of a virtual machine, and of a vCPU.
//!
//! It is looked up once, by who is called from outside: what is called from there gets a reference.

#![expect(unsafe_code, reason = "pointers in structures of C")]

use core::{
    ops::Deref,
    ptr, //
};

use kernel::{
    debugfs::File,
    prelude::*,
    sync::atomic::{
        Atomic,
        Relaxed,
        Release, //
    },
    warn_on, //
};
use kvm_ext::{
    Vcpu,
    Vm,
    VmLocked, //
};

use crate::state::{
    host::HostAia,
    imsic::VcpuImsic,
    vm::VmAia, //
};

/// What [`host`] returns, with what debugfs shows of it: null, or a box.
static HOST: Atomic<*mut File<HostAia>> = Atomic::new(ptr::null_mut());

/// The host; [`None`] if it has no AIA.
#[inline(always)]
pub(crate) fn host() -> Option<&'static HostAia> {
    // SAFETY: Either null or set by `set_host` to a value that lives until `take_host`, after
    // everything that could call here. Dependent loads are ordered.
    unsafe { HOST.load(Relaxed).as_ref() }.map(Deref::deref)
}

/// Makes `host` what [`host`] returns, as long as nobody makes a device or runs a guest.
pub(crate) fn set_host(host: Pin<KBox<File<HostAia>>>) {
    // SAFETY: It does not move until `take_host` makes it the same box again.
    let host = unsafe { Pin::into_inner_unchecked(host) };

    HOST.store(KBox::into_raw(host), Release);
}

/// Undoes [`set_host`]; [`None`] if there is no host.
///
/// # Safety
///
/// Nobody may use it any more.
pub(crate) unsafe fn take_host() -> Option<Pin<KBox<File<HostAia>>>> {
    let host = HOST.xchg(ptr::null_mut(), Relaxed);

    // SAFETY: Made of a box by `set_host`; by the requirements of this function, nobody has it.
    (!host.is_null()).then(|| Pin::from(unsafe { KBox::from_raw(host) }))
}

/// The initialised interrupt controllers of a virtual machine.
#[inline(always)]
pub(crate) fn aia(vm: &Vm) -> Option<&VmAia> {
    // SAFETY: Either null or set by `publish` to a value that lives until `take_aia`, after
    // everything that could call here.
    unsafe { vm.aia_state().cast::<VmAia>().as_ref() }
}

/// The interrupt file of a vCPU.
///
/// [`None`] before the interrupt controllers are initialised, and for a vCPU that was made later and has
/// got none since.
#[inline(always)]
pub(crate) fn imsic(vcpu: &Vcpu) -> Option<&VcpuImsic> {
    // SAFETY: Either null or set by `publish_file` to a value that lives until the vCPU is destroyed, after
    // everything that could call here.
    unsafe { vcpu.imsic_state().cast::<VcpuImsic>().as_ref() }
}

/// Lets everybody see the interrupt file of a vCPU of `vm`, and MSIs find it if [there is
/// room](VmAia::has_room). It is not taken back.
///
/// A vCPU that has one keeps that, with a warning.
pub(crate) fn publish_file(vm: &mut VmLocked<'_>, vcpu: &Vcpu, new: Pin<KBox<VcpuImsic>>) {
    let (Some(aia), None, true) = (
        aia(vm.vm()),
        imsic(vcpu),
        ptr::eq(vcpu.vm(), vm.vm()), //
    ) else {
        warn_on!(true);
        return;
    };
    // SAFETY: It does not move until `take_imsic` makes it the same box again.
    let imsic = KBox::leak(unsafe { Pin::into_inner_unchecked(new) });

    vcpu.set_imsic_addr(imsic.address().get());
    vcpu.set_hart_index(aia.map.hart_index(imsic.address()));
    // SAFETY: A `VcpuImsic`, until `take_imsic`, when nobody uses it any more.
    unsafe { vcpu.set_imsic_state(ptr::from_mut(imsic).cast()) };
    // SAFETY: The lock is held, the vCPU is one of the same virtual machine, and its file goes with it.
    unsafe { aia.add(vcpu, imsic) };
}

/// Lets everybody see the interrupt controllers, which are not taken back, before those who wait until they
/// are initialised look for them.
pub(crate) fn publish(vm: &mut VmLocked<'_>, aia: KBox<VmAia>) {
    // It lives until `take_aia`.
    let aia = KBox::leak(aia);

    // SAFETY: A `VmAia`, until `take_aia`, when nobody uses it any more.
    unsafe { vm.set_aia_state(ptr::from_mut(aia).cast()) };
}

/// Takes the interrupt controllers of a virtual machine, if it has some.
///
/// # Safety
///
/// Nobody else may use the virtual machine any more.
pub(crate) unsafe fn take_aia(vm: &Vm) -> Option<KBox<VmAia>> {
    let aia = vm.aia_state().cast::<VmAia>();

    // Before its devices are taken from the bus, one after the other.
    // SAFETY: Null.
    unsafe { vm.set_aia_state(ptr::null_mut()) };
    // SAFETY: Made of a box by `publish`; by the requirements of this function, nobody has it.
    (!aia.is_null()).then(|| unsafe { KBox::from_raw(aia) })
}

/// Takes the interrupt file of a vCPU, if it has one.
///
/// # Safety
///
/// Nobody may use it any more.
pub(crate) unsafe fn take_imsic(vcpu: &Vcpu) -> Option<Pin<KBox<VcpuImsic>>> {
    let raw = vcpu.imsic_state().cast::<VcpuImsic>();

    // SAFETY: Null.
    unsafe { vcpu.set_imsic_state(ptr::null_mut()) };
    // SAFETY: Made of a pinned box by `publish_file`; by the requirements of this function, nobody has it.
    (!raw.is_null()).then(|| unsafe { Pin::new_unchecked(KBox::from_raw(raw)) })
}
