// SPDX-License-Identifier: GPL-2.0

//! What one can watch: tracepoints of the life of a vector.
//!
//! C header: `rust/irqchip/riscv_aia_trace.h`

#![expect(unsafe_code, reason = "tracepoints are functions in C")]

use aia_core::{
    ids::Eiid,
    vector::{
        slot::Sender,
        VectorId, //
    },
};

mod c {
    kernel::declare_trace! {
        /// # Safety
        ///
        /// Always safe to call.
        pub(super) unsafe fn imsic_alloc(irq: u32, cpu: u32, eiid: u32);
        /// # Safety
        ///
        /// Always safe to call.
        pub(super) unsafe fn imsic_free(irq: u32, cpu: u32, eiid: u32);
        /// # Safety
        ///
        /// Always safe to call.
        pub(super) unsafe fn imsic_move(irq: u32, old_cpu: u32, old_eiid: u32, cpu: u32, eiid: u32);
        /// # Safety
        ///
        /// Always safe to call.
        pub(super) unsafe fn imsic_moved(eiid: u32, proof: u32);
    }
}

/// `irq` has got `vector`.
#[inline(always)]
pub(crate) fn alloc(irq: u32, vector: VectorId) {
    // SAFETY: Always safe to call.
    unsafe { c::imsic_alloc(irq, vector.cpu().get(), vector.eiid().get()) };
}

/// `irq` gives `vector` back.
#[inline(always)]
pub(crate) fn free(irq: u32, vector: VectorId) {
    // SAFETY: Always safe to call.
    unsafe { c::imsic_free(irq, vector.cpu().get(), vector.eiid().get()) };
}

/// `irq` has moved from `old` to `new`.
#[inline(always)]
pub(crate) fn moves(irq: u32, old: VectorId, new: VectorId) {
    // SAFETY: Always safe to call.
    unsafe {
        c::imsic_move(
            irq,
            old.cpu().get(),
            old.eiid().get(),
            new.cpu().get(),
            new.eiid().get(),
        )
    };
}

/// Nothing more arrives at `eiid` of this CPU, from a sender of the kind `sender`.
#[inline(always)]
pub(crate) fn moved(eiid: Eiid, sender: Sender) {
    let proof = match sender {
        Sender::Ordered => 0,
        Sender::Fenced => 1,
        Sender::Posted => 2,
    };

    // SAFETY: Always safe to call.
    unsafe { c::imsic_moved(eiid.get(), proof) };
}
