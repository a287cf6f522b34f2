// SPDX-License-Identifier: GPL-2.0

//! Architecture specific abstractions.

pub mod riscv;
