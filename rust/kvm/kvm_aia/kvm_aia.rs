// SPDX-License-Identifier: GPL-2.0

//! KVM's AIA interrupt controllers: an IMSIC interrupt file for each vCPU, in a guest interrupt file
//! of the hardware or in memory, and an APLIC for each virtual machine.
//!
//! From the outside to the inside; each stands on those that come later:
//!
//! - [`abi`]: what KVM calls;
//! - [`setup`]: CPUs come and go; [`debug`]: what debugfs shows;
//! - [`device`]: `KVM_DEV_TYPE_RISCV_AIA`: configuration, set-up, registers and snapshots;
//! - [`handler`]: pages of registers, emulated CSRs, and the interrupt that wakes vCPUs up;
//! - [`ops`]: what is done with the state: MSIs, wires, guest entry, eviction;
//! - [`published`]: where everybody finds the state;
//! - [`state`]: the host's guest files, a vCPU's interrupt file, a virtual machine's APLIC.
//!
//! What is logic without hardware is in [`aia_core::guest`], [`aia_core::guest_aplic`] and
//! [`aia_core::swfile`]. `Documentation/locking.rst` has the ranks of the locks.

#![deny(unsafe_code)]

mod abi;
mod debug;
mod device;
mod handler;
mod ops;
mod published;
mod setup;
mod state;

const __LOG_PREFIX: &[u8] = b"kvm\0";
