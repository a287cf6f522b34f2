// SPDX-License-Identifier: GPL-2.0

//! What is kept of the host, of a virtual machine and of a vCPU.

pub(crate) mod aplic;
pub(crate) mod guest_file;
pub(crate) mod handle;
pub(crate) mod host;
pub(crate) mod imsic;
pub(crate) mod limits;
pub(crate) mod quirks;
pub(crate) mod trace;
pub(crate) mod translations;
pub(crate) mod undisturbed;
pub(crate) mod vm;
