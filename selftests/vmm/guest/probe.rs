// SPDX-License-Identifier: GPL-2.0

//! Single instructions that may trap, and what they trap with.

use crate::abi::{
    csr,
    Mailbox, //
};
use core::{
    arch::asm,
    sync::atomic::Ordering, //
};

/// Mailbox::probe while a probed instruction has not trapped.
const PROBING: u64 = 1;

/// Takes the exception of a probed instruction; false if none is probed.
pub(crate) fn trapped(mb: &Mailbox, cause: u64, epc: u64) -> bool {
    let probing = mb.probe.load(Ordering::Relaxed) == PROBING;

    if probing {
        let tval: u64;

        mb.probe.store(PROBING + 1 + cause, Ordering::Relaxed);
        // SAFETY: Only reads a register.
        unsafe { asm!("csrr {}, stval", out(reg) tval, options(nomem, nostack)) };
        mb.tval.store(tval, Ordering::Relaxed);
        // SAFETY: Goes on behind the instruction, which has 4 bytes and no other effect.
        unsafe { asm!("csrw sepc, {}", in(reg) epc + 4, options(nostack)) };
    }
    probing
}

/// Runs one instruction of 4 bytes, which may trap: what it read, and 0, or
/// scause + 1 of the exception.
pub(crate) fn probe(mb: &Mailbox, f: impl FnOnce() -> u64) -> (u64, u64) {
    mb.probe.store(PROBING, Ordering::Relaxed);
    let value = f();

    (value, mb.probe.swap(0, Ordering::Relaxed) - PROBING)
}

/// Loads `size` bytes at `addr`.
pub(crate) fn load(mb: &Mailbox, addr: u64, size: u64) -> (u64, u64) {
    macro_rules! load {
        ($insn:literal) => {{
            let value: u64;

            // SAFETY: The VMM gives addresses of devices; a trap is expected.
            unsafe {
                asm!(".option push", ".option norvc", concat!($insn, " {}, 0({})"), ".option pop",
                     inout(reg) 0u64 => value, in(reg) addr, options(nostack))
            }
            value
        }};
    }
    probe(mb, || match size {
        1 => load!("lbu"),
        2 => load!("lhu"),
        4 => load!("lwu"),
        _ => load!("ld"),
    })
}

/// Stores the `size` low bytes of `value` at `addr`.
pub(crate) fn store(mb: &Mailbox, addr: u64, size: u64, value: u64) -> (u64, u64) {
    macro_rules! store {
        ($insn:literal) => {
            // SAFETY: See load().
            unsafe {
                asm!(".option push", ".option norvc", concat!($insn, " {}, 0({})"), ".option pop",
                     in(reg) value, in(reg) addr, options(nostack))
            }
        };
    }
    probe(mb, || {
        match size {
            1 => store!("sb"),
            2 => store!("sh"),
            4 => store!("sw"),
            _ => store!("sd"),
        }
        0
    })
}

/// Accesses the CSR `$csr` by the instruction `$how`; the old value if it is read.
macro_rules! access {
    ($csr:literal, $how:expr, $value:expr) => {{
        let value: u64 = $value;
        let old: u64;

        // SAFETY: Touches no memory, and nothing but interrupts; a trap is expected.
        unsafe {
            match $how {
                csr::READ => {
                    asm!(concat!("csrr {}, ", $csr), inout(reg) 0u64 => old, options(nostack))
                }
                csr::WRITE => {
                    old = 0;
                    asm!(concat!("csrw ", $csr, ", {}"), in(reg) value, options(nostack))
                }
                csr::SWAP => asm!(concat!("csrrw {}, ", $csr, ", {}"), inout(reg) 0u64 => old,
                                  in(reg) value, options(nostack)),
                csr::SET => asm!(concat!("csrrs {}, ", $csr, ", {}"), inout(reg) 0u64 => old,
                                 in(reg) value, options(nostack)),
                _ => asm!(concat!("csrrc {}, ", $csr, ", {}"), inout(reg) 0u64 => old,
                          in(reg) value, options(nostack)),
            }
        }
        old
    }};
}

/// Accesses the CSR `number`, one of [`csr`], by the instruction `how`.
pub(crate) fn csr(mb: &Mailbox, number: u64, how: u64, value: u64) -> (u64, u64) {
    probe(mb, || match number {
        csr::SEED => access!("0x015", how, value),
        csr::SIE => access!("0x104", how, value),
        csr::SCOUNTEREN => access!("0x106", how, value),
        csr::SIP => access!("0x144", how, value),
        csr::SISELECT => access!("0x150", how, value),
        csr::SIREG => access!("0x151", how, value),
        csr::STOPEI => access!("0x15c", how, value),
        csr::STOPI => access!("0xdb0", how, value),
        csr::CYCLE => access!("0xc00", how, value),
        csr::TIME => access!("0xc01", how, value),
        csr::INSTRET => access!("0xc02", how, value),
        csr::HPMCOUNTER3 => access!("0xc03", how, value),
        _ => panic!(),
    })
}
