// SPDX-License-Identifier: GPL-2.0

//! Direct delivery: each hart claims from an interrupt delivery control (IDC) of its own.
//!
//! There may be several APLICs: they share the hart's external interrupt, so its handler asks each
//! one that has an IDC for the hart. What firmware or another kernel has left in an APLIC must not
//! assert it before that APLIC is set up: the first one that is set up silences the others.

mod aplic;
mod chip;
mod domain;
mod handler;
mod hotplug;
pub(crate) mod published;
pub(crate) mod setup;
mod setup_lock;
