// SPDX-License-Identifier: GPL-2.0

//! What interrupts, and accesses of guests, lead to.

pub(crate) mod aplic_page;
pub(crate) mod imsic_page;
pub(crate) mod sgei;
pub(crate) mod trap;
