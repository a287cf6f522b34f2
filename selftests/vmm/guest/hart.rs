// SPDX-License-Identifier: GPL-2.0

//! What guest programs do with their hart.
//!
//! The program has a function `guest_trap(mailbox, scause, sepc, stval)`, to which
//! [`trap_entry`] goes; the mailbox is what sscratch says.

use core::arch::{
    asm,
    global_asm, //
};

/// The supervisor external interrupt.
pub(crate) const IRQ_S_EXT: u64 = 9;
/// The bit of scause that tells interrupts from exceptions.
pub(crate) const CAUSE_IRQ: u64 = 1 << 63;

global_asm!(
    // Saves what a Rust function may change, and calls it.
    ".pushsection .text, \"ax\"",
    ".balign 4",
    "trap_entry:",
    "addi sp, sp, -128",
    "sd ra, 0(sp)",
    "sd t0, 8(sp)",
    "sd t1, 16(sp)",
    "sd t2, 24(sp)",
    "sd t3, 32(sp)",
    "sd t4, 40(sp)",
    "sd t5, 48(sp)",
    "sd t6, 56(sp)",
    "sd a0, 64(sp)",
    "sd a1, 72(sp)",
    "sd a2, 80(sp)",
    "sd a3, 88(sp)",
    "sd a4, 96(sp)",
    "sd a5, 104(sp)",
    "sd a6, 112(sp)",
    "sd a7, 120(sp)",
    "csrr a0, sscratch",
    "csrr a1, scause",
    "csrr a2, sepc",
    "csrr a3, stval",
    "call guest_trap", // after an interrupt, or past a probed instruction
    "ld ra, 0(sp)",
    "ld t0, 8(sp)",
    "ld t1, 16(sp)",
    "ld t2, 24(sp)",
    "ld t3, 32(sp)",
    "ld t4, 40(sp)",
    "ld t5, 48(sp)",
    "ld t6, 56(sp)",
    "ld a0, 64(sp)",
    "ld a1, 72(sp)",
    "ld a2, 80(sp)",
    "ld a3, 88(sp)",
    "ld a4, 96(sp)",
    "ld a5, 104(sp)",
    "ld a6, 112(sp)",
    "ld a7, 120(sp)",
    "addi sp, sp, 128",
    "sret",
    // The compiler may call memset; in Rust it could become a call of itself.
    ".globl memset",
    "memset:",
    "add a2, a0, a2", // end
    "mv t0, a0",      // a0 is what it returns
    "1: beq t0, a2, 2f",
    "sb a1, 0(t0)",
    "addi t0, t0, 1",
    "j 1b",
    "2: ret",
    // And memcpy.
    ".globl memcpy",
    "memcpy:",
    "add a2, a0, a2", // end
    "mv t0, a0",      // a0 is what it returns
    "1: beq t0, a2, 2f",
    "lb t1, 0(a1)",
    "sb t1, 0(t0)",
    "addi a1, a1, 1",
    "addi t0, t0, 1",
    "j 1b",
    "2: ret",
    ".popsection",
);

/// Reads the top pending and enabled identity from stopei and claims it.
pub(crate) fn claim() -> u64 {
    let topei: u64;

    // SAFETY: Changes nothing but the interrupt file.
    unsafe { asm!("csrrw {}, 0x15c, zero", out(reg) topei, options(nostack)) };
    topei >> 16
}

/// Masks or unmasks interrupts.
pub(crate) fn irq_enable(on: bool) {
    // SAFETY: The handler is set and needs nothing but the stack.
    unsafe {
        if on {
            asm!("csrsi sstatus, 2", options(nostack))
        } else {
            asm!("csrci sstatus, 2", options(nostack))
        }
    }
}

/// The time in ticks.
pub(crate) fn time() -> u64 {
    let now: u64;

    // SAFETY: Only reads a counter.
    unsafe { asm!("rdtime {}", out(reg) now, options(nomem, nostack)) };
    now
}

/// An SBI call: extension, function, and three arguments, of six.
pub(crate) fn sbi(a: &[u64; 6]) -> (u64, u64) {
    let (error, value);

    // SAFETY: No call is made that changes memory of the program.
    unsafe {
        asm!("ecall", in("a7") a[0], in("a6") a[1], inlateout("a0") a[2] => error,
             inlateout("a1") a[3] => value, in("a2") a[4], options(nostack))
    };
    (error, value)
}
