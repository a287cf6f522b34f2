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
pub const APLIC_SIZE: u32 = bindings::KVM_DEV_RISCV_APLIC_SIZE;

/// The size in bytes of a guest's interrupt file, which is one page.
pub const IMSIC_SIZE: u32 = bindings::KVM_DEV_RISCV_IMSIC_SIZE;

/// The configuration of the interrupt controllers of a virtual machine (`struct kvm_aia`).
#[derive(Clone, Copy)]
pub struct AiaConfig {
    /// `KVM_DEV_RISCV_AIA_MODE_*`.
    pub mode: u32,
    /// Identities of an interrupt file.
    pub nr_ids: u32,
    /// Sources of the APLIC.
    pub nr_sources: u32,
    /// Width of the group index.
    pub nr_group_bits: u32,
    /// Position of the group index.
    pub nr_group_shift: u32,
    /// Width of the hart index.
    pub nr_hart_bits: u32,
    /// Width of the guest index.
    pub nr_guest_bits: u32,
    /// Guest-physical address of the APLIC, all ones for none.
    pub aplic_addr: u64,
    /// Extensions of the interface, 16 bits.
    pub extensions: u32,
}

/// C has no field for the extensions: they are in the higher half of the one for the mode.
const EXTENSIONS_SHIFT: u32 = 16;
const MODE_MASK: u32 = (1 << EXTENSIONS_SHIFT) - 1;

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
    /// It must be what everybody who uses that expects.
    pub unsafe fn set_aia_state(&self, state: *mut c_void) {
        // SAFETY: As for `aia_state`.
        unsafe { Atomic::from_ptr(addr_of_mut!((*self.aia()).aplic_state)) }.store(state, Release);
    }

    /// Whether the interrupt controllers are initialised; nothing about them changes afterwards.
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

    /// The mode of the interrupt controllers, which does not change once they are initialised.
    #[inline]
    pub fn aia_mode(&self) -> u32 {
        // SAFETY: A field of a valid structure.
        let mode = unsafe { Atomic::from_ptr(addr_of_mut!((*self.aia()).mode)) }.load(Relaxed);

        mode & MODE_MASK
    }
}

impl VmLocked<'_> {
    /// The configuration.
    pub fn config(&self) -> AiaConfig {
        // SAFETY: The configuration is only written under the lock, which we hold.
        let aia = unsafe { &*self.aia() };

        AiaConfig {
            mode: aia.mode & MODE_MASK,
            nr_ids: aia.nr_ids,
            nr_sources: aia.nr_sources,
            nr_group_bits: aia.nr_group_bits,
            nr_group_shift: aia.nr_group_shift,
            nr_hart_bits: aia.nr_hart_bits,
            nr_guest_bits: aia.nr_guest_bits,
            aplic_addr: aia.aplic_addr,
            extensions: aia.mode >> EXTENSIONS_SHIFT,
        }
    }

    /// Changes the configuration.
    pub fn set_config(&mut self, config: &AiaConfig) {
        let aia = self.aia();

        // SAFETY: We hold the lock under which these fields are accessed; `mode` is also read
        // without it, but not before the interrupt controllers are initialised.
        unsafe {
            (*aia).mode = config.mode & MODE_MASK | config.extensions << EXTENSIONS_SHIFT;
            (*aia).nr_ids = config.nr_ids;
            (*aia).nr_sources = config.nr_sources;
            (*aia).nr_group_bits = config.nr_group_bits;
            (*aia).nr_group_shift = config.nr_group_shift;
            (*aia).nr_hart_bits = config.nr_hart_bits;
            (*aia).nr_guest_bits = config.nr_guest_bits;
            (*aia).aplic_addr = config.aplic_addr;
        }
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
pub fn guests_can_have_ssaia() -> bool {
    // SAFETY: Only reads the bitmap of extensions.
    unsafe { bindings::kvm_host_has_ssaia() == 0 }
}
