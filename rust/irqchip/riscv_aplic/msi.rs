// SPDX-License-Identifier: GPL-2.0

//! Delivery as MSIs.

mod aplic;
mod chip;
mod domain;
pub(crate) mod published;
pub(crate) mod setup;
