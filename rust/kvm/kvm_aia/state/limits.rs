// SPDX-License-Identifier: GPL-2.0

//! What the host has for guests, as far as C knows it, too.

#![expect(unsafe_code, reason = "symbols of C")]

use aia_core::guest::config::Limits;
use kernel::sync::atomic::{
    Atomic,
    Relaxed, //
};

use super::host::HostAia;

/// How many guest files every hart has at least; C prints it.
#[no_mangle]
static kvm_riscv_aia_nr_hgei: Atomic<i32> = Atomic::new(0);

/// One more than the identities that a guest's interrupt file may have; C declares it.
#[no_mangle]
static kvm_riscv_aia_max_ids: Atomic<u32> = Atomic::new(0);

/// How many guest files every hart has at least.
fn nr_hgei() -> u32 {
    kvm_riscv_aia_nr_hgei.load(Relaxed).unsigned_abs()
}

/// A hart has no more than `count` guest files.
pub(crate) fn lower_nr_hgei(count: u32) {
    let count = i32::try_from(count).unwrap_or(i32::MAX);
    let mut old = kvm_riscv_aia_nr_hgei.load(Relaxed);

    while old > count {
        match kvm_riscv_aia_nr_hgei.cmpxchg(old, count, Relaxed) {
            Ok(_) => break,
            Err(now) => old = now,
        }
    }
}

/// The host has so many guest files on every hart, at least, and this most identities.
pub(crate) fn set(fewest: i32, host: &HostAia) {
    kvm_riscv_aia_nr_hgei.store(fewest, Relaxed);
    kvm_riscv_aia_max_ids.store(host.max_ids.get() + 1, Relaxed);
}

/// What the host has for a guest.
pub(crate) fn limits(host: &HostAia) -> Limits {
    Limits {
        max_ids: host.max_ids,
        has_guest_files: nr_hgei() != 0,
    }
}
