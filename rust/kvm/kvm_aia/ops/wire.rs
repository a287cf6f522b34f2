// SPDX-License-Identifier: GPL-2.0

//! Wires of the APLIC.

use kernel::prelude::*;

use crate::{
    ops::inject::ToVcpus,
    state::vm::VmAia, //
};

/// Who says what a wire is.
#[derive(Clone, Copy)]
pub(crate) enum Driver {
    /// User space, for its devices.
    UserSpace,
    /// irqfds that are told when an interrupt has been handled (`KVM_IRQFD_FLAG_RESAMPLE`): for KVM,
    /// all of a wire are one.
    Resampler,
}

/// Changes the wire of source `number` of the APLIC, which is high while it is anybody's. Any context.
///
/// Fails with `ENODEV` if there is no such source.
#[inline(always)]
pub(crate) fn inject_irq(aia: &VmAia, number: u32, by: Driver, level: bool) -> Result {
    let aplic = aia.aplic.as_ref().ok_or(ENODEV)?;
    let source = aplic.domain.nr_sources().check(number).ok_or(ENODEV)?;

    match by {
        Driver::UserSpace => aplic.domain.set_input(source, level, &ToVcpus(aia)),
        Driver::Resampler => aplic.domain.set_resampled(source, level, &ToVcpus(aia)),
    }
    Ok(())
}
