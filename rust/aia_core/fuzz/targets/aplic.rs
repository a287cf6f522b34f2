// SPDX-License-Identifier: GPL-2.0

//! A guest's APLIC: see the module of the same name.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| aia_core_fuzz::aplic::run(data));
