// SPDX-License-Identifier: GPL-2.0

//! RISC-V advanced platform-level interrupt controller (APLIC): wired interrupts, delivered to the
//! harts directly or as MSIs to their interrupt files.
//!
//! The modules:
//!
//! - [`abi`]: what C calls;
//! - [`probe`](mod@probe): which of the two delivery modes an APLIC is set up for;
//! - [`direct`]: direct delivery by interrupt delivery controls (IDCs);
//! - [`msi`]: delivery as MSIs;
//! - [`power`]: times without it;
//! - [`controller`]: what both share: the registers of the sources;
//! - [`config`]: what firmware says, checked;
//! - `described`: the APLICs that the MADT has;
//! - [`owners`]: which interrupts the sources belong to.
//!
//! What registers hold is pure logic, in [`aia_core::aplic`].

#![deny(unsafe_code)]

mod abi;
mod config;
mod controller;
#[cfg(CONFIG_ACPI)]
mod described;
mod direct;
mod msi;
mod owners;
mod power;
mod probe;

// For `#[vtable]`.
use kernel_ext::module::BuiltIn as LocalModule;

const __LOG_PREFIX: &[u8] = b"riscv-aplic\0";
