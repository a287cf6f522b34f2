// SPDX-License-Identifier: GPL-2.0

//! Interrupt files, in memory and of a hart: see the module of the same name.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| aia_core_fuzz::swfile::run(data));
