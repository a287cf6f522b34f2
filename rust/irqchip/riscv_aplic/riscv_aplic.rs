// SPDX-License-Identifier: GPL-2.0

//! RISC-V advanced platform-level interrupt controller (APLIC): wired interrupts, delivered to the
//! harts directly or as MSIs to their interrupt files.
//!
//! From the device tree only; ACPI and power management come later. The modules:
//!
//! - [`config`]: what the device tree says, checked;
//! - [`controller`]: what both delivery modes share: the registers of the sources;
//! - [`direct`]: direct delivery by interrupt delivery controls (IDCs);
//! - [`msi`]: delivery as MSIs;
//! - [`probe`](mod@probe): set-up;
//! - [`ffi`]: the C side.
//!
//! What registers hold is pure logic, in [`aia_core::aplic`].

#![deny(unsafe_code)]

mod config;
mod controller;
mod direct;
mod ffi;
mod msi;
mod probe;

const __LOG_PREFIX: &[u8] = b"riscv-aplic\0";
