// SPDX-License-Identifier: GPL-2.0

//! KVM's AIA interrupt controllers: an IMSIC interrupt file for each vCPU, in a guest interrupt file
//! of the hardware or in memory, and an APLIC for each virtual machine.
//!
//! From user space and guest to hardware:
//!
//! - [`device`]: `KVM_DEV_TYPE_RISCV_AIA`, configuration and set-up;
//! - [`vm`]: a virtual machine's part: which vCPU an MSI is for, the APLIC ([`aplic`]);
//! - [`registers`]: emulated CSRs of the guest;
//! - [`imsic`]: a vCPU's interrupt file, and its moves;
//! - [`file`]: a guest interrupt file of the hardware, as an owned value;
//! - [`host`]: which guest files are in use; the interrupt that wakes vCPUs up;
//! - [`state`]: the state of all of it for user space, to go on elsewhere;
//! - [`csr`]: the running hart's CSRs;
//! - [`ffi`]: the C side.
//!
//! What is logic without hardware is in [`aia_core::guest`], [`aia_core::guest_aplic`] and
//! [`aia_core::swfile`]. `Documentation/locking.rst` has the ranks of the locks.

#![deny(unsafe_code)]

mod aplic;
mod csr;
mod device;
mod ffi;
mod file;
mod host;
mod imsic;
mod registers;
mod state;
mod vm;

const __LOG_PREFIX: &[u8] = b"kvm\0";
