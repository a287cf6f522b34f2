// SPDX-License-Identifier: GPL-2.0

//! The interrupt domain.

use kernel::prelude::*;
use kernel_ext::{
    irq::{
        fwspec::Fwspec,
        trigger::Trigger, //
    },
    msi::wired::WiredToMsi, //
};

use super::aplic::MsiAplic;

/// The domain of the sources.
pub(super) struct MsiDomain;

impl WiredToMsi for MsiDomain {
    type Host = MsiAplic;

    fn translate(aplic: &'static MsiAplic, spec: &Fwspec) -> Result<(usize, Trigger)> {
        aplic.controller.translate(spec)
    }
}
