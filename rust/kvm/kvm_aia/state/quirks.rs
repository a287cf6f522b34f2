// SPDX-License-Identifier: GPL-2.0

//! What is wrong with the harts of some hosts.

#![expect(unsafe_code, reason = "a static key of C")]

use core::ptr;

use aia_core::guest::hart;
use kernel::{
    bindings,
    jump_label::static_branch_unlikely,
    prelude::*, //
};
use kernel_ext::arch::riscv::hypervisor::Hypervisor;

/// Whether a hart may lose `mip.SGEIP`.
///
/// QEMU's do (seen in 10.0 and 11.1). For a write of `hgeie` and for an access to a register of a
/// guest interrupt file, its source works SGEIP out before it takes the lock under which it stores
/// it: an MSI for another file that comes in between is lost to SGEIP until `hgeie` is written again.
#[inline(always)]
pub(crate) fn loses_sgei() -> bool {
    // SAFETY: A static key, which is never gone.
    unsafe {
        static_branch_unlikely!(
            bindings::kvm_riscv_aia_quirks,
            bindings::kvm_riscv_aia_quirks,
            loses_sgei
        )
    }
}

/// Lets the guest external interrupts `lines` interrupt this hart.
#[inline]
pub(crate) fn enable(hart: Hypervisor<'_>, lines: u64) {
    let before = hart.enable(lines);

    reassert(hart, || before | lines);
}

/// Makes `mip.SGEIP` what it has to be, after an access that may have lowered it; `enabled` is what
/// `hgeie` holds.
#[inline]
pub(crate) fn reassert(hart: Hypervisor<'_>, enabled: impl FnOnce() -> u64) {
    if loses_sgei() {
        let enabled = enabled();

        if hart.pending() & enabled != 0 {
            hart.enable(enabled);
        }
    }
}

/// Looks what the host is. Before anybody runs a guest. May sleep.
pub(crate) fn look() {
    let virt = [c"riscv-virtio".as_char_ptr(), ptr::null()];
    // SAFETY: The list ends with null.
    let is_virt = unsafe { bindings::of_machine_compatible_match(virt.as_ptr()) };
    // SAFETY: CPU 0 is possible; what it is called is looked up at boot.
    let vendor = unsafe { bindings::riscv_cached_mvendorid(0) };

    // CAST: As wide as the hart.
    if is_virt || hart::may_be_qemu(vendor as u64) {
        // SAFETY: Process context.
        unsafe { bindings::kvm_riscv_aia_quirk_sgei() };
    }
}
