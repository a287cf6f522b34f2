// SPDX-License-Identifier: GPL-2.0

//! The guest accesses a CSR that traps.

#![expect(unsafe_code, reason = "the boundary to C")]

use kernel::{
    bindings,
    macros::export,
    prelude::*, //
};
use kvm_ext::{
    LoadedVcpu,
    Vcpu, //
};

use crate::handler::trap::{
    self,
    Access,
    Outcome, //
};

/// Emulates an access of the guest to a CSR of Ssaia by `emulate`, and hands the outcome to C.
///
/// # Safety
///
/// `vcpu` must be valid and loaded by the calling task; `old` must be null or writable.
unsafe fn emulated(
    emulate: impl FnOnce(&mut LoadedVcpu<'_>, Access) -> Outcome,
    vcpu: *mut bindings::kvm_vcpu,
    old: *mut usize,
    value: usize,
    mask: usize,
) -> c_int {
    // SAFETY: By the requirements of this function.
    let vcpu = unsafe { Vcpu::from_raw(vcpu) };

    if !vcpu.has_ssaia() {
        return bindings::kvm_insn_return_KVM_INSN_ILLEGAL_TRAP as c_int;
    }
    // SAFETY: By the requirements of this function; it has no Ssaia on a host without.
    let mut vcpu = unsafe { vcpu.assume_loaded() };
    // CAST: As wide as the hart.
    let access = Access {
        value: value as u64,
        mask: mask as u64,
    };

    // CAST: Small numbers.
    (match emulate(&mut vcpu, access) {
        Outcome::Done(value) => {
            // SAFETY: By the requirements of this function.
            if let Some(old) = unsafe { old.as_mut() } {
                // CAST: As wide as the hart.
                *old = value as usize;
            }
            bindings::kvm_insn_return_KVM_INSN_CONTINUE_NEXT_SEPC
        }
        Outcome::Illegal => bindings::kvm_insn_return_KVM_INSN_ILLEGAL_TRAP,
        Outcome::ToUser => bindings::kvm_insn_return_KVM_INSN_EXIT_TO_USER_SPACE,
    }) as c_int
}

/// Emulates an access to `stopei`.
///
/// # Safety
///
/// `vcpu` must be valid and loaded by the calling task; `old` must be null or writable.
#[export]
pub(crate) unsafe extern "C" fn kvm_riscv_vcpu_aia_rmw_topei(
    vcpu: *mut bindings::kvm_vcpu,
    _csr: c_uint,
    old: *mut usize,
    value: usize,
    mask: usize,
) -> c_int {
    // SAFETY: By the requirements of this function.
    unsafe { emulated(|vcpu, _| trap::stopei(vcpu), vcpu, old, value, mask) }
}

/// Emulates an access to `sireg`.
///
/// # Safety
///
/// `vcpu` must be valid and loaded by the calling task; `old` must be null or writable.
#[export]
pub(crate) unsafe extern "C" fn kvm_riscv_vcpu_aia_rmw_ireg(
    vcpu: *mut bindings::kvm_vcpu,
    _csr: c_uint,
    old: *mut usize,
    value: usize,
    mask: usize,
) -> c_int {
    // SAFETY: By the requirements of this function.
    unsafe { emulated(trap::sireg, vcpu, old, value, mask) }
}
