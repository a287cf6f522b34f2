// SPDX-License-Identifier: GPL-2.0

//! A small virtual machine monitor for tests of KVM's RISC-V AIA irqchip.
//!
//! [`Guest`] is a virtual machine with the in-kernel AIA device and a guest
//! program that obeys commands in memory, [`Aia`] is the device alone, and
//! [`host`] tells what the machine below has. See `guest/main.rs` for the guest.
//! [`fixture`] is a machine for the device that never runs; [`suite`] runs a table
//! of tests.

#![deny(unsafe_code)]

/// The interface between the VMM and its guest program.
#[path = "../guest/abi.rs"]
pub mod abi;
mod aia;
mod bus;
mod commands;
pub mod fixture;
mod guest;
pub mod host;
mod measure;
mod park;
pub mod plain;
pub mod probe;
pub mod regs;
/// MSIs with sequence numbers.
#[path = "../guest/slot.rs"]
pub mod slot;
mod stats;
pub mod suite;
mod sys;
mod vcpu;
mod verdict;

pub use ktap::diag;

pub use aia::{
    ext,
    Aia,
    Mode,
    Place, //
};
pub use bus::Bus;
pub use commands::{
    Outcome,
    ILLEGAL,
    LOAD_ACCESS,
    STORE_ACCESS, //
};
pub use guest::{
    Config,
    Guest,
    MachineState,
    Number,
    Program,
    Router,
    Sent,
    PATIENCE, //
};
pub use measure::{
    measure,
    Report, //
};
pub use stats::Stats;
pub use suite::{
    Machine,
    Need,
    Test, //
};
pub use sys::{
    raise_open_files,
    GuestMemory,
    Ram,
    TestMemory, //
};
pub use vcpu::{
    answer,
    End,
    Left,
    NO_VSFILE, //
};
pub use verdict::{
    ensure,
    exact,
    refused,
    same, //
};

use std::fmt::Display;

/// What went wrong, in words for a test's diagnostics.
#[derive(Debug)]
pub struct Error(String);

impl Error {
    /// An error of these words.
    pub fn new(text: impl Display) -> Self {
        Self(text.to_string())
    }
}

impl Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

impl From<String> for Error {
    fn from(text: String) -> Self {
        Self(text)
    }
}

/// Result with an error in words.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Says what was tried when it fails.
pub trait Context<T> {
    /// Puts `what` in front of the error.
    fn context(self, what: impl Display) -> Result<T>;
}

impl<T, E: Display> Context<T> for std::result::Result<T, E> {
    fn context(self, what: impl Display) -> Result<T> {
        self.map_err(|e| Error(format!("{what}: {e}")))
    }
}
