// SPDX-License-Identifier: GPL-2.0

//! What one can watch: tracepoints of what becomes of a vCPU's interrupt file, and of its MSIs.
//!
//! C header: `rust/kvm/kvm_aia_trace.h`

#![expect(unsafe_code, reason = "tracepoints are functions in C")]

use aia_core::guest::imsic::vcpu::Event;
use kvm_ext::Vcpu;

mod c {
    use kernel::bindings::kvm_vcpu;

    kernel::declare_trace! {
        /// # Safety
        ///
        /// `vcpu` must be valid.
        pub(super) unsafe fn kvm_aia_file(vcpu: *mut kvm_vcpu, event: u32, hgei: u32);
        /// # Safety
        ///
        /// `vcpu` must be valid.
        pub(super) unsafe fn kvm_aia_msi(vcpu: *mut kvm_vcpu, eiid: u32, file: bool);
    }
}

/// `event` has happened to the interrupt file of `vcpu`. Any context.
#[inline(always)]
pub(crate) fn happened(vcpu: &Vcpu, event: Event) {
    let (number, line) = match event {
        Event::MsiToFile(eiid) => {
            // SAFETY: The vCPU is valid.
            return unsafe { c::kvm_aia_msi(vcpu.as_raw(), eiid.get(), true) };
        }
        Event::MsiToMemory(eiid) => {
            // SAFETY: The vCPU is valid.
            return unsafe { c::kvm_aia_msi(vcpu.as_raw(), eiid.get(), false) };
        }
        Event::Moved(line) => (0, line),
        Event::Evicted(line) => (2, line),
        Event::Stole(line) => (3, line),
        Event::Robbed(line) => (4, line),
    };

    // SAFETY: The vCPU is valid.
    unsafe { c::kvm_aia_file(vcpu.as_raw(), number, line.get()) };
}

/// `vcpu` has found no guest file for it on its CPU.
#[inline(always)]
pub(crate) fn missed(vcpu: &Vcpu) {
    // SAFETY: The vCPU is valid.
    unsafe { c::kvm_aia_file(vcpu.as_raw(), 1, 0) };
}
