// SPDX-License-Identifier: GPL-2.0

//! Tells a benchmark which path the machine goes: `tools/bench` counts what it costs. Without one,
//! nobody sees it.

#![allow(unsafe_code, reason = "an instruction")]

use ktap::diag;

/// No path.
const NONE: i16 = 1;

/// Executes a HINT, `slti zero, zero, N`.
fn mark<const N: i16>() {
    #[cfg(target_arch = "riscv64")]
    // SAFETY: It changes nothing.
    unsafe {
        std::arch::asm!(
            "slti zero, zero, {n}",
            n = const N,
            options(nomem, nostack, preserves_flags)
        )
    };
}

/// Calls `f`, which goes the path `name` many times, number `N` from 2 to 255.
pub fn path<const N: i16, R>(name: &str, f: impl FnOnce() -> R) -> R {
    begin::<N>(name);
    let result = f();

    end();
    result
}

/// Says that a path begins, where it ends elsewhere, by [`end`].
pub fn begin<const N: i16>(name: &str) {
    diag(format!("path {N} {name}"));
    mark::<N>();
}

/// Says that the path that was begun has ended.
pub fn end() {
    mark::<NONE>();
}
