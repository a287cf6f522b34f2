// SPDX-License-Identifier: GPL-2.0

//! RISC-V incoming MSI controller (IMSIC): the interrupt files of all harts.
//!
//! From the device tree only; ACPI and power management come later. The modules, from firmware to
//! interrupt:
//!
//! - [`config`]: what the device tree says, checked;
//! - [`early`]: set-up and unwinding, CPU hotplug;
//! - [`state`]: everything that the driver keeps;
//! - [`hart`]: the registers of the running hart's interrupt file;
//! - [`entry`]: interrupt entry;
//! - [`vectors`]: allocation, masking, moves;
//! - [`domain`]: what the interrupt core and the devices' domains see;
//! - [`sender`]: MSI senders that can prove that nothing of theirs is in flight;
//! - [`ffi`]: the C side.
//!
//! The life of a vector is pure logic, in [`aia_core::vector`].

#![deny(unsafe_code)]

mod config;
#[cfg(CONFIG_GENERIC_IRQ_DEBUGFS)]
mod debug;
mod domain;
mod early;
mod entry;
mod ffi;
mod hart;
pub mod sender;
mod state;
mod vectors;

pub use ffi::{
    fewest_guest_files,
    file_address,
    geometry,
    guest_page,
    nr_guest_files,
    nr_guest_ids,
    GuestPage, //
};

const __LOG_PREFIX: &[u8] = b"riscv-imsic\0";
