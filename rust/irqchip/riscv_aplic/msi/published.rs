// SPDX-License-Identifier: GPL-2.0

//! What finds all of them.

use kernel_ext::sync::Roster;

use super::aplic::MsiAplic;

/// The APLICs of the system that deliver MSIs.
pub(crate) static APLICS: Roster<MsiAplic, 64> = Roster::new();
