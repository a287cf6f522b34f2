// SPDX-License-Identifier: GPL-2.0

//! Pure logic of the RISC-V Advanced Interrupt Architecture (AIA).
//!
//! This crate knows what the specification says about numbers, addresses and register contents; it
//! touches no hardware. Drivers read and write registers and ask this crate what the values mean.
//!
//! Rules that hold for every module:
//!
//! - no `unsafe`, no allocation, `core` only;
//! - numbers of different kinds are different types ([`ids`]), as are host- and guest-physical
//!   addresses ([`addr`]); a number is checked once, when the type is made;
//! - no input panics: what comes from firmware, a guest or user space meets `checked_*`, `get()`
//!   and constructors that return [`Option`] or [`Result`];
//! - a function that follows a rule of the specification names its section, e.g. "AIA 3.6", after
//!   revision 20250312 of "The RISC-V Advanced Interrupt Architecture".
//!
//! One source, two builds: Kbuild makes a kernel crate of it, whose tests run as KUnit suites;
//! Cargo makes a host crate of it, whose tests run under `cargo test`.

#![cfg_attr(not(any(test, CONFIG_RUST)), no_std)]
#![forbid(unsafe_code)]

pub mod addr;
pub mod aplic;
mod bits;
pub mod eix;
pub mod error;
pub mod geometry;
pub mod guest;
pub mod guest_aplic;
pub mod ids;
pub mod isel;
pub mod nospec;
pub mod regions;
pub mod swfile;
pub mod vector;
pub mod word;
