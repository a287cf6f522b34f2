// SPDX-License-Identifier: GPL-2.0

//! vCPUs whose CSRs are those of a hart.
//!
//! An SBI implementation that accelerates nested virtualisation may keep the CSRs in memory that it
//! shares with the kernel; what is accessed here is what counts.
//!
//! C header: `arch/riscv/include/asm/kvm_nacl.h`

use core::ops::Deref;

use kernel::bindings;

use crate::{
    Vcpu,
    VcpuLocked, //
};

/// A vCPU that the calling task has loaded: the hart that the task is on has its CSRs. If the task goes
/// to another CPU, they go with it.
///
/// # Examples
///
/// ```
/// use kvm_ext::LoadedVcpu;
///
/// /// Selects the next register for the guest.
/// fn select_next(vcpu: &mut LoadedVcpu<'_>) {
///     vcpu.set_vsiselect(vcpu.vsiselect() + 1);
/// }
/// ```
///
/// That a vCPU is loaded is known to who is called by KVM's run loop. A locked one may be stopped:
///
/// ```compile_fail,E0599
/// # use kvm_ext::VcpuLocked;
/// fn selected(vcpu: &VcpuLocked<'_>) -> usize {
///     vcpu.vsiselect()
/// }
/// ```
///
/// ```compile_fail,E0133
/// # use kvm_ext::{LoadedVcpu, Vcpu};
/// fn loaded(vcpu: &Vcpu) -> LoadedVcpu<'_> {
///     vcpu.assume_loaded()
/// }
/// ```
///
/// # Invariants
///
/// The hart of the calling task has the CSRs of the vCPU, and an AIA.
pub struct LoadedVcpu<'a>(VcpuLocked<'a>);

impl<'a> Deref for LoadedVcpu<'a> {
    type Target = VcpuLocked<'a>;

    #[inline(always)]
    fn deref(&self) -> &VcpuLocked<'a> {
        &self.0
    }
}

impl Vcpu {
    /// The vCPU where the caller knows that it is loaded.
    ///
    /// # Safety
    ///
    /// As for [`Self::assume_locked`]. As long as the value lives the calling task must have the vCPU
    /// loaded, or be just loading or putting it, with preemption off. The host must have an AIA.
    #[inline(always)]
    pub unsafe fn assume_loaded(&self) -> LoadedVcpu<'_> {
        // INVARIANT: By the requirements of this function.
        // SAFETY: By the requirements of this function.
        LoadedVcpu(unsafe { self.assume_locked() })
    }
}

impl LoadedVcpu<'_> {
    /// Reads `vsiselect`.
    #[inline]
    pub fn vsiselect(&self) -> usize {
        // SAFETY: By the type invariant.
        unsafe { bindings::kvm_ncsr_read_vsiselect() }
    }

    /// Writes `vsiselect`.
    #[inline]
    pub fn set_vsiselect(&mut self, value: usize) {
        // SAFETY: By the type invariant.
        unsafe { bindings::kvm_ncsr_write_vsiselect(value) }
    }

    /// Reads `hviprio1` and `hviprio2`.
    #[inline]
    pub fn hviprio(&self) -> [usize; 2] {
        // SAFETY: By the type invariant.
        unsafe {
            [
                bindings::kvm_ncsr_read_hviprio1(),
                bindings::kvm_ncsr_read_hviprio2(),
            ]
        }
    }

    /// Writes `hviprio1` and `hviprio2`.
    #[inline]
    pub fn set_hviprio(&mut self, [first, second]: [usize; 2]) {
        // SAFETY: By the type invariant.
        unsafe {
            bindings::kvm_ncsr_write_hviprio1(first);
            bindings::kvm_ncsr_write_hviprio2(second);
        }
    }

    /// Writes `hvictl`.
    #[inline]
    pub fn set_hvictl(&mut self, value: usize) {
        // SAFETY: By the type invariant.
        unsafe { bindings::kvm_ncsr_write_hvictl(value) }
    }

    /// Gives the hart those of the vCPU's CSRs that [`Self::save_csrs`] saves: it is just being loaded.
    #[inline]
    pub fn restore_csrs(&mut self) {
        let csrs = self.aia_csrs();
        // SAFETY: Only accessed with the vCPU's mutex held.
        let (vsiselect, hviprio) = unsafe {
            (
                (*csrs).vsiselect,
                [(*csrs).hviprio1, (*csrs).hviprio2], //
            )
        };

        self.set_vsiselect(vsiselect);
        self.set_hviprio(hviprio);
    }

    /// Saves those of the vCPU's CSRs that only the hart has while the vCPU is loaded: it is just
    /// being put.
    #[inline]
    pub fn save_csrs(&mut self) {
        let csrs = self.aia_csrs();
        let (vsiselect, hviprio) = (self.vsiselect(), self.hviprio());

        // SAFETY: Only accessed with the vCPU's mutex held.
        unsafe {
            (*csrs).vsiselect = vsiselect;
            [(*csrs).hviprio1, (*csrs).hviprio2] = hviprio;
        }
    }
}
