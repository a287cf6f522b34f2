// SPDX-License-Identifier: GPL-2.0

//! Wires of the APLIC.

use kernel::prelude::*;

use crate::{
    ops::inject::ToVcpus,
    state::vm::VmAia, //
};

/// Changes the wire of source `number` of the APLIC. Any context.
///
/// Fails with `ENODEV` if there is no such source.
pub(crate) fn inject_irq(aia: &VmAia, number: u32, level: bool) -> Result {
    let aplic = aia.aplic.as_ref().ok_or(ENODEV)?;
    let source = aplic.domain.nr_sources().check(number).ok_or(ENODEV)?;

    aplic.domain.set_input(source, level, &ToVcpus(aia));
    Ok(())
}
