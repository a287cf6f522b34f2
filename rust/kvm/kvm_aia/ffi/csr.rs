// SPDX-License-Identifier: GPL-2.0

//! The guest and user space access a vCPU's CSRs.

use kernel::{
    bindings,
    error::from_result,
    macros::export,
    prelude::*, //
};
use kernel_ext::nospec;
use kvm_ext::{
    Vcpu,
    VcpuLocked, //
};

use super::host;
use crate::registers::{
    self,
    Access,
    Outcome, //
};

/// The words of `struct kvm_riscv_aia_csr`, which KVM keeps in the same order.
const CSRS: usize = size_of::<bindings::kvm_riscv_aia_csr>() / size_of::<usize>();

const _: () =
    assert!(size_of::<bindings::kvm_vcpu_aia_csr>() == size_of::<bindings::kvm_riscv_aia_csr>());

/// The AIA's CSR `number` of a vCPU, as a word of `struct kvm_riscv_aia_csr`.
///
/// # Safety
///
/// `vcpu` must be valid, and the caller must hold its mutex.
unsafe fn csr_of<'a>(vcpu: *mut bindings::kvm_vcpu, number: usize) -> Result<&'a mut usize> {
    // SAFETY: By the requirements of this function.
    let vcpu = unsafe { Vcpu::from_raw(vcpu) };

    if !vcpu.has_ssaia() {
        return Err(ENOENT);
    }
    let number = nospec::index(number, CSRS).ok_or(ENOENT)?;

    // SAFETY: By the requirements of this function, and there are so many words.
    Ok(unsafe { &mut *vcpu.aia_csrs().cast::<usize>().add(number) })
}

/// Reads an AIA CSR for `KVM_GET_ONE_REG`.
///
/// # Safety
///
/// `vcpu` must be valid, the caller must hold its mutex, and `out` must be writable.
#[export]
pub(crate) unsafe extern "C" fn kvm_riscv_vcpu_aia_get_csr(
    vcpu: *mut bindings::kvm_vcpu,
    number: usize,
    out: *mut usize,
) -> c_int {
    from_result(|| {
        // SAFETY: By the requirements of this function.
        let value = *unsafe { csr_of(vcpu, number) }?;

        // SAFETY: As above.
        unsafe { *out = if host().is_some() { value } else { 0 } };
        Ok(0)
    })
}

/// Writes an AIA CSR for `KVM_SET_ONE_REG`.
///
/// # Safety
///
/// `vcpu` must be valid, and the caller must hold its mutex.
#[export]
pub(crate) unsafe extern "C" fn kvm_riscv_vcpu_aia_set_csr(
    vcpu: *mut bindings::kvm_vcpu,
    number: usize,
    value: usize,
) -> c_int {
    from_result(|| {
        // SAFETY: By the requirements of this function.
        let csr = unsafe { csr_of(vcpu, number) }?;

        if host().is_some() {
            *csr = value;
        }
        Ok(0)
    })
}

/// Emulates an access of the guest to a CSR by `emulate`, and hands the outcome to C.
///
/// # Safety
///
/// `vcpu` must be valid and loaded by the calling task; `old` must be null or writable.
unsafe fn emulated(
    emulate: impl FnOnce(&VcpuLocked<'_>, Access) -> Outcome,
    vcpu: *mut bindings::kvm_vcpu,
    old: *mut usize,
    value: usize,
    mask: usize,
) -> c_int {
    // SAFETY: By the requirements of this function.
    let vcpu = unsafe { Vcpu::from_raw(vcpu).assume_locked() };
    // CAST: As wide as the hart.
    let access = Access {
        value: value as u64,
        mask: mask as u64,
    };

    // CAST: Small numbers.
    (match emulate(&vcpu, access) {
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
    unsafe { emulated(|vcpu, _| registers::stopei(vcpu), vcpu, old, value, mask) }
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
    unsafe { emulated(registers::sireg, vcpu, old, value, mask) }
}
