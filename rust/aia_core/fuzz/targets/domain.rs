// SPDX-License-Identifier: GPL-2.0

//! The host's APLIC: see the module of the same name.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| aia_core_fuzz::domain::run(data));
