// SPDX-License-Identifier: GPL-2.0

//! The running hart's CSRs.

#![expect(unsafe_code, reason = "only this file knows which harts have the CSRs")]

use kernel::{
    bindings,
    interrupt::LocalInterruptDisabled, //
};
use kernel_ext::arch::riscv::hypervisor::{
    self,
    Hypervisor, //
};

use crate::host::Host;

impl Host {
    /// The running hart's CSRs.
    #[inline(always)]
    pub(crate) fn hart<'a>(&self, irqs_off: &'a LocalInterruptDisabled) -> Hypervisor<'a> {
        // SAFETY: KVM sets a host up only if all harts have the H extension, and `Host::new` only
        // succeeds if they have Ssaia.
        unsafe { Hypervisor::new(irqs_off) }
    }

    /// The guest external interrupts that are pending on the CPU that runs this now.
    #[inline(always)]
    pub(crate) fn pending(&self) -> u64 {
        // SAFETY: As above.
        unsafe { hypervisor::pending() }
    }
}

/// Whether all harts have Ssaia.
pub(crate) fn has_aia() -> bool {
    // SAFETY: Only reads the bitmap of extensions.
    unsafe { bindings::riscv_has_ssaia() }
}

/// Whether a guest may have Ssaia.
pub(crate) fn guests_can_have_aia() -> bool {
    // SAFETY: Only reads the bitmap of extensions.
    unsafe { bindings::kvm_host_has_ssaia() == 0 }
}

/// Whether all harts have Sscofpmf.
pub(crate) fn has_sscofpmf() -> bool {
    // SAFETY: Only reads the bitmap of extensions.
    unsafe { bindings::riscv_has_sscofpmf() }
}
