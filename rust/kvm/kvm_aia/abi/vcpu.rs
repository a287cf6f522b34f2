// SPDX-License-Identifier: GPL-2.0

//! A vCPU comes, runs, waits, and goes.

#![expect(unsafe_code, reason = "the boundary to C")]

use aia_core::guest::{
    config::UNDEF_ADDR,
    hart,
    iprio, //
};
use kernel::{
    bindings,
    error::from_result,
    macros::export,
    prelude::*, //
};
use kernel_ext::{
    preempt::PreemptionBorrowed,
    task, //
};
use kvm_ext::Vcpu;

use crate::{
    published::{
        aia,
        host,
        imsic,
        take_imsic, //
    },
    state::imsic::VcpuImsic, //
};

/// `hvictl` that injects nothing.
// CAST: As wide as the hart.
const NO_INTERRUPT: usize = hart::NO_INTERRUPT as usize;

/// `hvictl.IPRIOM`: the guest sees the priority of the top interrupt in `stopi` (AIA 6.3.3).
const SHOW_PRIORITIES: usize = 1 << 8;

/// A vCPU is being made.
///
/// # Safety
///
/// `vcpu` must be valid, and nobody else may know it.
#[export]
pub(crate) unsafe extern "C" fn kvm_riscv_vcpu_aia_init(vcpu: *mut bindings::kvm_vcpu) {
    if host().is_some() {
        // SAFETY: By the requirements of this function.
        let vcpu = unsafe { Vcpu::from_raw(vcpu) };

        vcpu.set_imsic_addr(UNDEF_ADDR);
        vcpu.set_hart_index(vcpu.index());
    }
}

/// A vCPU goes away.
///
/// # Safety
///
/// `vcpu` must be valid, and nobody else may use it.
#[export]
pub(crate) unsafe extern "C" fn kvm_riscv_vcpu_aia_deinit(vcpu: *mut bindings::kvm_vcpu) {
    // SAFETY: By the requirements of this function.
    let vcpu = unsafe { Vcpu::from_raw(vcpu) };

    if let Some(imsic) = imsic(vcpu) {
        imsic.destroy(vcpu);
    }
    // SAFETY: As above; who still used the file was waited for.
    drop(unsafe { take_imsic(vcpu) });
}

/// A vCPU is reset.
///
/// # Safety
///
/// `vcpu` must be valid and not loaded, and the caller must hold its mutex, or be alone in knowing it.
#[export]
pub(crate) unsafe extern "C" fn kvm_riscv_vcpu_aia_reset(vcpu: *mut bindings::kvm_vcpu) {
    // SAFETY: By the requirements of this function.
    unsafe { reset(vcpu, VcpuImsic::reset) };
}

/// A vCPU is reset for the SBI, by its thread, after [`kvm_riscv_vcpu_aia_begin_reset`].
///
/// # Safety
///
/// As of [`kvm_riscv_vcpu_aia_reset`].
#[export]
pub(crate) unsafe extern "C" fn kvm_riscv_vcpu_aia_finish_reset(vcpu: *mut bindings::kvm_vcpu) {
    // SAFETY: By the requirements of this function.
    unsafe { reset(vcpu, VcpuImsic::finish_reset) };
}

/// Resets a vCPU, and its interrupt file by `reset_file`.
///
/// # Safety
///
/// As of [`kvm_riscv_vcpu_aia_reset`].
unsafe fn reset(vcpu: *mut bindings::kvm_vcpu, reset_file: impl FnOnce(&VcpuImsic, &Vcpu)) {
    if host().is_none() {
        return;
    }
    // SAFETY: By the requirements of this function.
    let mut vcpu = unsafe { Vcpu::from_raw(vcpu).assume_locked() };

    vcpu.reset_csrs();
    if let Some(imsic) = imsic(vcpu.vcpu()) {
        reset_file(imsic, vcpu.vcpu());
    }
}

/// The SBI is asked to start a vCPU's hart, or to suspend the system: its thread will reset it.
///
/// # Safety
///
/// `vcpu` must be valid, and not execute.
#[export]
pub(crate) unsafe extern "C" fn kvm_riscv_vcpu_aia_begin_reset(vcpu: *mut bindings::kvm_vcpu) {
    // SAFETY: By the requirements of this function.
    let vcpu = unsafe { Vcpu::from_raw(vcpu) };

    if let Some(imsic) = imsic(vcpu) {
        imsic.begin_reset(vcpu);
    }
}

/// The SBI stops a vCPU's hart, or lets the system sleep: nothing of its interrupt file is left, which is in memory until the vCPU
/// enters the guest again.
///
/// # Safety
///
/// `vcpu` must be valid, and the calling task must be its thread, with preemption on.
#[export]
pub(crate) unsafe extern "C" fn kvm_riscv_vcpu_aia_stop(vcpu: *mut bindings::kvm_vcpu) {
    // SAFETY: By the requirements of this function.
    let vcpu = unsafe { Vcpu::from_raw(vcpu).assume_locked() };

    if let Some(imsic) = imsic(vcpu.vcpu()) {
        imsic.reset(vcpu.vcpu());
    }
}

/// Prepares for guest entry. Returns 1, or what `KVM_RUN` returns.
///
/// # Safety
///
/// `vcpu` must be valid and loaded by the calling task, in its run loop, which has disabled
/// preemption just before.
#[export]
pub(crate) unsafe extern "C" fn kvm_riscv_vcpu_aia_update(vcpu: *mut bindings::kvm_vcpu) -> c_int {
    // SAFETY: By the requirements of this function.
    let mut vcpu = unsafe { Vcpu::from_raw(vcpu).assume_locked() };
    // SAFETY: The run loop has done nothing since that depends on it.
    let mut preemption = unsafe { PreemptionBorrowed::assume() };

    match imsic(vcpu.vcpu()) {
        Some(imsic) => from_result(|| imsic.enter(&mut vcpu, &mut preemption).map(c_int::from)),
        None => 1,
    }
}

/// Loads the AIA's CSRs of a vCPU.
///
/// # Safety
///
/// `vcpu` must be valid and being loaded by the calling task, with preemption off.
#[export]
pub(crate) unsafe extern "C" fn kvm_riscv_vcpu_aia_load(
    vcpu: *mut bindings::kvm_vcpu,
    _cpu: c_int,
) {
    if host().is_none() {
        return;
    }
    // SAFETY: By the requirements of this function.
    unsafe { Vcpu::from_raw(vcpu).assume_loaded() }.restore_csrs();
}

/// A vCPU has been loaded on the running CPU, and a full barrier was executed since.
///
/// # Safety
///
/// `vcpu` must be valid and loaded by the calling task; if the task has gone to another CPU since then, it
/// will call this again before it enters the guest.
#[export]
pub(crate) unsafe extern "C" fn kvm_riscv_vcpu_aia_loaded(vcpu: *mut bindings::kvm_vcpu) {
    // SAFETY: By the requirements of this function.
    let vm = unsafe { Vcpu::from_raw(vcpu) }.vm();

    if let Some(aia) = aia(vm) {
        aia.translations.loaded(vm);
    }
}

/// Whether an external interrupt has to wake `vcpu` up, whose thread stops running.
///
/// Not if it is woken up already, or just preempted: it will look for interrupts before it waits.
/// Nor if none would make it run: whoever changes that wakes it up, and here it comes again. An
/// interrupt that cannot be taken stays pending, and would interrupt the host over and over.
fn waits(vcpu: &Vcpu) -> bool {
    vcpu.is_blocking()
        && task::is_going_to_sleep()
        && enables_external_interrupt(vcpu, u64::MAX)
        && !vcpu.is_stopped()
}

/// Whether `vcpu` has enabled its external interrupt, as far as `mask` has it.
#[inline(always)]
fn enables_external_interrupt(vcpu: &Vcpu, mask: u64) -> bool {
    vcpu.enabled_interrupts() & mask & 1 << bindings::IRQ_S_EXT != 0
}

/// Saves the AIA's CSRs of a vCPU.
///
/// # Safety
///
/// `vcpu` must be valid and loaded by the calling task, with preemption off.
#[export]
pub(crate) unsafe extern "C" fn kvm_riscv_vcpu_aia_put(vcpu: *mut bindings::kvm_vcpu) {
    if host().is_none() {
        return;
    }
    // SAFETY: By the requirements of this function.
    let mut vcpu = unsafe { Vcpu::from_raw(vcpu).assume_loaded() };

    if let Some(imsic) = imsic(&vcpu) {
        if waits(&vcpu) {
            imsic.wake_on_interrupt();
        }
        imsic.leave();
    }
    vcpu.save_csrs();
}

/// Whether an external interrupt is pending that `vcpu` has enabled and `mask` has.
///
/// # Safety
///
/// `vcpu` must be valid.
#[export]
pub(crate) unsafe extern "C" fn kvm_riscv_vcpu_aia_has_interrupts(
    vcpu: *mut bindings::kvm_vcpu,
    mask: u64,
) -> bool {
    // SAFETY: By the requirements of this function.
    let vcpu = unsafe { Vcpu::from_raw(vcpu) };

    enables_external_interrupt(vcpu, mask) && imsic(vcpu).is_some_and(VcpuImsic::has_interrupt)
}

/// Writes `hvictl` before guest entry: the external interrupt of VS level that is in `hvip`.
///
/// # Safety
///
/// `vcpu` must be valid and loaded by the calling task, with interrupts off.
#[export]
pub(crate) unsafe extern "C" fn kvm_riscv_vcpu_aia_update_hvip(vcpu: *mut bindings::kvm_vcpu) {
    if host().is_some() {
        // SAFETY: By the requirements of this function.
        let mut vcpu = unsafe { Vcpu::from_raw(vcpu).assume_loaded() };

        // Without a guest file, IPRIO is the priority of the interrupt, and makes it a candidate. Who
        // makes it pending makes the vCPU leave the guest, but not who changes which identity is first:
        // until something else does, the guest sees the priority of the former one. User space may have an
        // interrupt controller of its own, of whose priorities nobody knows.
        let priority = if vcpu.is_external_in_hvip() {
            imsic(vcpu.vcpu())
                .and_then(VcpuImsic::top)
                .map_or(1, iprio::external)
        } else {
            0
        };

        vcpu.set_hvictl(NO_INTERRUPT | SHOW_PRIORITIES | usize::from(priority));
    }
}
