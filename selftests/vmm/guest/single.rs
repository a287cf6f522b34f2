// SPDX-License-Identifier: GPL-2.0

//! More single instructions that may trap, see probe.rs.

use crate::{
    abi::Mailbox,
    probe::probe, //
};
use core::arch::asm;

/// Waits for an interrupt.
pub(crate) fn wfi(mb: &Mailbox) -> (u64, u64) {
    probe(mb, || {
        // SAFETY: Only waits.
        unsafe { asm!("wfi", options(nostack)) };
        0
    })
}

/// Runs an instruction that reads the 32-bit word at `addr` into `{}`.
macro_rules! atomic {
    ($mb:expr, $insn:literal, $addr:expr) => {
        probe($mb, || {
            let value: u64;

            // SAFETY: As for probe::load().
            unsafe {
                asm!(concat!($insn, "({})"), inout(reg) 0u64 => value, in(reg) $addr,
                     options(nostack))
            }
            value & 0xffff_ffff
        })
    };
}

/// Adds 0 to the 32-bit word at `addr`.
pub(crate) fn amo(mb: &Mailbox, addr: u64) -> (u64, u64) {
    atomic!(mb, "amoadd.w {}, zero, ", addr)
}

/// Loads the 32-bit word at `addr`, with a reservation.
pub(crate) fn load_reserved(mb: &Mailbox, addr: u64) -> (u64, u64) {
    atomic!(mb, "lr.w {}, ", addr)
}
