// SPDX-License-Identifier: GPL-2.0

//! CSRs of the vCPU that is loaded on this CPU.
//!
//! An SBI implementation that accelerates nested virtualisation may keep them in memory that it
//! shares with the kernel; these functions access what counts.
//!
//! C header: `arch/riscv/include/asm/kvm_nacl.h`

use kernel::bindings;

/// Reads `vsiselect`. With preemption off and a vCPU loaded, as all of these.
///
/// # Examples
///
/// ```
/// use kvm_ext::{ncsr, LoadedCsrs, VcpuLocked};
///
/// /// Called when a vCPU leaves its CPU.
/// fn save(vcpu: &mut VcpuLocked<'_>) {
///     let csrs = LoadedCsrs {
///         vsiselect: ncsr::vsiselect(),
///         hviprio: ncsr::hviprio(),
///     };
///
///     // SAFETY: It is just being put.
///     unsafe { vcpu.set_loaded_csrs(csrs) };
/// }
/// ```
#[inline]
pub fn vsiselect() -> usize {
    // SAFETY: KVM runs only on harts that have the CSR, if it has an AIA at all.
    unsafe { bindings::kvm_ncsr_read_vsiselect() }
}

/// Writes `vsiselect`.
#[inline]
pub fn set_vsiselect(value: usize) {
    // SAFETY: As for `vsiselect`.
    unsafe { bindings::kvm_ncsr_write_vsiselect(value) }
}

/// Reads `hviprio1` and `hviprio2`.
#[inline]
pub fn hviprio() -> [usize; 2] {
    // SAFETY: As for `vsiselect`.
    unsafe {
        [
            bindings::kvm_ncsr_read_hviprio1(),
            bindings::kvm_ncsr_read_hviprio2(),
        ]
    }
}

/// Writes `hviprio1` and `hviprio2`.
#[inline]
pub fn set_hviprio([first, second]: [usize; 2]) {
    // SAFETY: As for `vsiselect`.
    unsafe {
        bindings::kvm_ncsr_write_hviprio1(first);
        bindings::kvm_ncsr_write_hviprio2(second);
    }
}

/// Whether a CSR instruction writes the CSR: `csrrs`, `csrrc` and their immediate forms do unless
/// the field for the operand is 0, whatever a register holds (Zicsr).
#[inline]
pub(crate) const fn writes(insn: usize) -> bool {
    const OPERAND: usize = 0x1f << 15;
    /// The lower bits of `funct3`, which say what is done with the operand.
    const HOW: usize = 0x3 << 12;
    const REPLACES: usize = 0x1 << 12;

    insn & HOW == REPLACES || insn & OPERAND != 0
}

/// Writes `hvictl`.
#[inline]
pub fn set_hvictl(value: usize) {
    // SAFETY: As for `vsiselect`.
    unsafe { bindings::kvm_ncsr_write_hvictl(value) }
}
