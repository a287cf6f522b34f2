// SPDX-License-Identifier: GPL-2.0

//! What C keeps of the interrupt controllers of a virtual machine.
//!
//! C header: [`arch/riscv/include/asm/kvm_aia.h`](srctree/arch/riscv/include/asm/kvm_aia.h),
//! `struct kvm_aia`

use core::ptr::addr_of_mut;

use kernel::{
    bindings,
    prelude::*,
    sync::atomic::{
        Acquire,
        Atomic,
        Relaxed,
        Release, //
    }, //
};

use crate::vm::{
    Vm,
    VmLocked, //
};

/// The size in bytes of the registers of a guest's APLIC.
// CAST: Not narrower.
pub const APLIC_SIZE: u64 = bindings::KVM_DEV_RISCV_APLIC_SIZE as u64;

/// The size in bytes of a guest's interrupt file, which is one page.
// CAST: Not narrower.
pub const IMSIC_SIZE: u64 = bindings::KVM_DEV_RISCV_IMSIC_SIZE as u64;

impl Vm {
    #[inline(always)]
    fn aia(&self) -> *mut bindings::kvm_aia {
        // SAFETY: Stays inside the structure.
        unsafe { addr_of_mut!((*self.as_raw()).arch.aia) }
    }

    /// What the interrupt controllers' driver keeps with the virtual machine
    /// ([`Self::set_aia_state`]), or null. Reads that go through it see what was written before it
    /// was set.
    #[inline(always)]
    pub fn aia_state(&self) -> *mut c_void {
        // SAFETY: A field of a valid structure, only accessed atomically. Dependent loads are
        // ordered.
        unsafe { Atomic::from_ptr(addr_of_mut!((*self.aia()).aplic_state)) }.load(Relaxed)
    }

    /// Sets what [`Self::aia_state`] returns.
    ///
    /// # Safety
    ///
    /// It must be null, or point to what those who use [`Self::aia_state`] take it for, until null is set and all of
    /// them are gone.
    ///
    /// # Examples
    ///
    /// What is behind the pointer is up to who uses it, so that safe code cannot set it:
    ///
    /// ```compile_fail,E0133
    /// # use core::ptr;
    /// # use kvm_ext::Vm;
    /// fn forget(vm: &Vm) {
    ///     vm.set_aia_state(ptr::null_mut());
    /// }
    /// ```
    pub unsafe fn set_aia_state(&self, state: *mut c_void) {
        // SAFETY: As for `aia_state`.
        unsafe { Atomic::from_ptr(addr_of_mut!((*self.aia()).aplic_state)) }.store(state, Release);
    }

    /// Whether the interrupt controllers are initialised; nothing about them changes afterwards, but that
    /// vCPUs may be added.
    #[inline(always)]
    pub fn is_aia_initialized(&self) -> bool {
        // SAFETY: A field of a valid structure. C only reads it.
        unsafe { Atomic::from_ptr(addr_of_mut!((*self.aia()).initialized)) }.load(Acquire)
    }

    /// Whether the interrupt controllers are in the kernel.
    pub fn is_aia_in_kernel(&self) -> bool {
        // SAFETY: A field of a valid structure.
        unsafe { Atomic::from_ptr(addr_of_mut!((*self.aia()).in_kernel)) }.load(Relaxed)
    }
}

impl VmLocked<'_> {
    /// Tells C how many sources the APLIC has: none without one.
    pub fn set_aia_sources(&mut self, nr_sources: u32) {
        // SAFETY: A field of a valid structure.
        unsafe { Atomic::from_ptr(addr_of_mut!((*self.aia()).nr_sources)) }
            .store(nr_sources, Relaxed);
    }

    /// Tells C that user space has said how many sources the APLIC has, be it none.
    pub fn set_aia_sources_told(&mut self) {
        // SAFETY: A field of a valid structure.
        unsafe { Atomic::from_ptr(addr_of_mut!((*self.aia()).sources_told)) }.store(true, Relaxed);
    }

    /// Puts the interrupt controllers into the kernel, or leaves them to user space.
    pub fn set_aia_in_kernel(&mut self, in_kernel: bool) {
        // SAFETY: A field of a valid structure.
        unsafe { Atomic::from_ptr(addr_of_mut!((*self.aia()).in_kernel)) }
            .store(in_kernel, Relaxed);
    }

    /// Makes the interrupt controllers known to be initialised, after everything else.
    pub fn set_aia_initialized(&mut self) {
        // SAFETY: A field of a valid structure.
        unsafe { Atomic::from_ptr(addr_of_mut!((*self.aia()).initialized)) }.store(true, Release);
    }
}

/// Whether a guest may have Ssaia.
///
/// # Examples
///
/// ```
/// use kernel::prelude::*;
/// use kvm_ext::Vm;
///
/// /// Whether a device of `vm` makes sense.
/// fn check(vm: &Vm) -> Result {
///     if !kvm_ext::guests_can_have_ssaia() {
///         return Err(ENODEV);
///     }
///     if vm.is_aia_initialized() {
///         return Err(EBUSY);
///     }
///     Ok(())
/// }
/// ```
pub fn guests_can_have_ssaia() -> bool {
    // SAFETY: Only reads the bitmap of extensions.
    unsafe { bindings::kvm_host_has_ssaia() == 0 }
}
