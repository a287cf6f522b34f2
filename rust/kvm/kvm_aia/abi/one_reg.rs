// SPDX-License-Identifier: GPL-2.0

//! User space accesses a vCPU's CSRs.

#![expect(unsafe_code, reason = "the boundary to C")]

use kernel::{
    bindings,
    error::from_result,
    macros::export,
    prelude::*, //
};
use kernel_ext::nospec;
use kvm_ext::Vcpu;

use crate::published::host;

/// The words of `struct kvm_riscv_aia_csr`, which KVM keeps in the same order.
const CSRS: usize = size_of::<bindings::kvm_riscv_aia_csr>() / size_of::<usize>();

const _: () =
    assert!(size_of::<bindings::kvm_vcpu_aia_csr>() == size_of::<bindings::kvm_riscv_aia_csr>());

/// The AIA's CSR `number` of a vCPU, as a word of `struct kvm_riscv_aia_csr`, of which who holds the mutex
/// of the vCPU may read and write it while the vCPU is not loaded.
///
/// # Safety
///
/// `vcpu` must be valid.
unsafe fn csr_of(vcpu: *mut bindings::kvm_vcpu, number: usize) -> Result<*mut usize> {
    // SAFETY: By the requirements of this function.
    let vcpu = unsafe { Vcpu::from_raw(vcpu) };

    if !vcpu.has_ssaia() {
        return Err(ENOENT);
    }
    let number = nospec::index(number, CSRS).ok_or(ENOENT)?;

    // SAFETY: There are so many words.
    Ok(unsafe { vcpu.aia_csrs().cast::<usize>().add(number) })
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
        let csr = unsafe { csr_of(vcpu, number) }?;

        // SAFETY: As above; nobody else accesses it.
        unsafe { *out = if host().is_some() { *csr } else { 0 } };
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
            // SAFETY: By the requirements of this function; nobody else accesses it.
            unsafe { *csr = value };
        }
        Ok(0)
    })
}
