// SPDX-License-Identifier: GPL-2.0

//! Devices of the VMM in the guest's address space.

use std::fmt::Debug;

/// Devices that a guest accesses by loads and stores that end in the VMM.
pub trait Bus: Debug + Send + Sync {
    /// Fills `data`, which is zero, with what lies at guest-physical `addr`; false
    /// if nothing does.
    fn load(&self, addr: u64, data: &mut [u8]) -> bool;

    /// Stores `data` at `addr`; false if nothing lies there.
    fn store(&self, addr: u64, data: &[u8]) -> bool;
}
