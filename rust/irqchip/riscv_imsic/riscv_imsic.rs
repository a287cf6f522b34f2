// SPDX-License-Identifier: GPL-2.0

//! RISC-V incoming MSI controller (IMSIC): the interrupt files of all harts.
//!
//! The modules, from firmware to interrupt:
//!
//! - [`abi`]: what C calls;
//! - [`early`], [`probe`](mod@probe): set-up, before and when there are devices; [`hotplug`]: CPUs come
//!   and go; [`power`]: they lose their registers for a while;
//! - [`entry`]: interrupt entry; [`look`]: the other reasons to look at what waits for a hart;
//!   [`ipi`]: IPIs;
//! - [`domain`], [`chip`]: what the interrupt core and the devices' domains see;
//! - [`guest_files`]: what KVM sees; `debug`: what debugfs shows;
//! - [`alloc`]: vectors for interrupts; [`group`]: what is done with those that share a message; `trace`: tracepoints of what becomes of them;
//! - [`published`]: where everybody finds the state;
//! - [`hart`]: the registers of the running hart's interrupt file; [`doorbell`]: the pages of all;
//! - [`state`]: everything that the driver keeps, of it [`global_config`]: what other drivers see;
//!   [`chip_data`], [`descriptor`]: what belongs to an interrupt; [`block`]: to several;
//! - [`sender`]: MSI senders that can prove that nothing of theirs is in flight;
//! - [`config`]: what firmware says, checked.
//!
//! Each stands on those that come later. The life of a vector is pure logic, in [`aia_core::vector`].

#![deny(unsafe_code)]

mod abi;
mod alloc;
mod block;
mod chip;
mod chip_data;
mod config;
mod debug;
mod descriptor;
mod domain;
mod doorbell;
mod early;
mod entry;
mod global_config;
mod group;
mod guest_files;
mod hart;
mod hotplug;
mod ipi;
mod look;
mod power;
mod probe;
mod published;
pub mod sender;
mod state;
mod trace;

pub use self::{
    guest_files::{
        fewest_guest_files,
        guest_page,
        nr_guest_files,
        nr_guest_ids,
        GuestPage, //
    },
    published::{
        acpi_node,
        file_address,
        geometry, //
    },
};

// For `#[vtable]`.
use kernel_ext::module::BuiltIn as LocalModule;

const __LOG_PREFIX: &[u8] = b"riscv-imsic\0";
