// SPDX-License-Identifier: GPL-2.0

//! User mode.

use core::arch::asm;

/// The exception of an ecall in user mode.
pub(crate) const CAUSE_USER_ECALL: u64 = 8;

/// Runs `f` in user mode. The kernel's interrupts come there, whatever sstatus.SIE is.
pub(crate) fn in_user_mode<R>(f: impl FnOnce() -> R) -> R {
    // SAFETY: sret goes on at its end, with the same registers and memory, as there is no
    // translation; sstatus.SIE is the same, too.
    unsafe {
        asm!(
            "csrrci {old}, sstatus, 2", // an interrupt would change sepc
            "andi {old}, {old}, 2",
            "slli {old}, {old}, 4",     // SIE -> SPIE
            "li {new}, 0x120",          // SPP = 0, SPIE = SIE
            "csrc sstatus, {new}",
            "csrs sstatus, {old}",
            "lla {new}, 1f",
            "csrw sepc, {new}",
            "sret",
            "1:",
            old = out(reg) _,
            new = out(reg) _,
            options(nostack),
        )
    };
    let ret = f();
    // SAFETY: leave_user_mode() brings it back behind the instruction.
    unsafe { asm!("ecall", options(nostack)) };
    ret
}

/// Ends what [`in_user_mode`] began: called by the trap of its `ecall` at `epc`.
pub(crate) fn leave_user_mode(epc: u64) {
    // SAFETY: Goes on behind the instruction, which has 4 bytes, in supervisor mode.
    unsafe {
        asm!("csrs sstatus, {spp}", "csrw sepc, {epc}", spp = in(reg) 0x100, epc = in(reg) epc + 4,
             options(nostack))
    };
}
