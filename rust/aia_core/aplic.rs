// SPDX-License-Identifier: GPL-2.0

//! The Advanced Platform-Level Interrupt Controller (APLIC) of one interrupt domain (AIA 4).

pub mod domain;
pub mod domaincfg;
pub mod extempore;
pub mod hart_numbers;
pub mod idc;
pub mod msi_addr;
pub mod regs;
pub mod source;
pub mod target;
