// SPDX-License-Identifier: GPL-2.0

//! `KVM_DEV_TYPE_RISCV_AIA`: what user space configures, sets up and looks at.

pub(crate) mod aia;
pub(crate) mod config;
pub(crate) mod init;
mod late;
pub(crate) mod snapshot;
mod uapi;
