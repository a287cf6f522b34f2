// SPDX-License-Identifier: GPL-2.0

//! What the handler and CPUs that come find.

use kernel::sync::SetOnce;
use kernel_ext::{
    irq::chained,
    sync::Roster, //
};

use super::aplic::DirectAplic;

/// The APLICs of the system that deliver directly.
pub(crate) static APLICS: Roster<DirectAplic, 16> = Roster::new();

/// The harts' external interrupt, once one of them has claimed it.
pub(super) static PARENT: SetOnce<chained::ChainedIrq> = SetOnce::new();
