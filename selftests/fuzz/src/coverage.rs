// SPDX-License-Identifier: GPL-2.0

//! What libFuzzer learns from: counters of what an input reached.

#![expect(
    unsafe_code,
    reason = "a section of its own, by which libFuzzer finds the counters"
)]

use crate::sys::Kcov;
use std::{
    cell::OnceCell,
    sync::atomic::{
        AtomicU8,
        Ordering, //
    }, //
};

/// Places of the kernel, by a hash of their addresses, and answers.
const COUNTERS: usize = 1 << 16;
/// Counters that are for answers only.
const ANSWERS: usize = 1 << 12;
/// Addresses that KCOV has room for: an input that runs through more is not seen to its end.
const MOST: usize = 1 << 18;

// SAFETY: libFuzzer takes all that is in the section for bytes that it may read and clear between inputs,
// when nobody else uses them.
#[unsafe(link_section = "__libfuzzer_extra_counters")]
static REACHED: [AtomicU8; COUNTERS] = [const { AtomicU8::new(0) }; COUNTERS];

thread_local! {
    /// KCOV, which sees the thread that runs inputs, and no other.
    static KCOV: OnceCell<Option<Kcov>> = const { OnceCell::new() };
}

/// Counts, up to the most that fits.
fn count(n: usize) {
    let counter = &REACHED[n];
    let value = counter.load(Ordering::Relaxed);

    counter.store(value.saturating_add(1), Ordering::Relaxed);
}

/// Any number as one of many that are next to each other.
fn hash(value: u64) -> usize {
    // The golden ratio: addresses that differ little end far from each other.
    (value.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize
}

/// Notes that `what` was answered with `errno`.
pub fn answered(what: u8, errno: i32) {
    count(hash(u64::from(what) << 32 | u64::from(errno as u32)) % ANSWERS);
}

/// Calls `f`, and notes what the kernel ran for it; gives how many places that were, none if it cannot tell.
pub fn watch(f: impl FnOnce()) -> Option<usize> {
    KCOV.with(|kcov| {
        let Some(kcov) = kcov.get_or_init(|| Kcov::new(MOST).ok()) else {
            f();
            return None;
        };

        kcov.clear();
        f();
        let mut all = 0;

        for address in kcov.addresses() {
            count(ANSWERS + hash(address) % (COUNTERS - ANSWERS));
            all += 1;
        }
        Some(all)
    })
}
