// SPDX-License-Identifier: GPL-2.0

//! Fuzzes KVM's AIA irqchip: libFuzzer makes inputs, each of which is what two threads do to a virtual
//! machine of its own, by system calls and by the guest's instructions ([`plan`]).
//!
//! What the kernel's AIA crates ran for it is what libFuzzer learns from ([`coverage`]), if the kernel has
//! KCOV; otherwise only what came back. A finding is an answer that no system call may have, a state that
//! does not read back as it was set, a guest interrupt file that is still in use when its machine is gone,
//! anything that the kernel warns of, and a system call that does not end ([`verdict`], [`supervisor`]).
//!
//! Arguments, by environment as of all tests: `AIA_ARG_kvm_fuzz_seconds`.

#![deny(unsafe_code)]

mod code;
mod coverage;
#[path = "../../../rust/aia_core/fuzz/src/input.rs"]
mod input;
mod machine;
mod plan;
mod run;
mod supervisor;
mod sys;
mod verdict;

libfuzzer_sys::fuzz_target!(|data: &[u8]| run::run(data));

fn main() -> std::process::ExitCode {
    supervisor::main()
}
