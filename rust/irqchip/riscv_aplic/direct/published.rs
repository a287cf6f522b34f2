// SPDX-License-Identifier: GPL-2.0

//! What the handler and CPUs that come find.

#[cfg(CONFIG_ACPI)]
use aia_core::addr::{
    PAGE_OFFSET_MASK,
    PAGE_SIZE, //
};
#[cfg(CONFIG_ACPI)]
use kernel::prelude::*;
use kernel::sync::SetOnce;
#[cfg(CONFIG_ACPI)]
use kernel_ext::acpi;
use kernel_ext::{
    irq::chained,
    of::address::Range,
    sync::Roster, //
};

use super::aplic::DirectAplic;

/// The APLICs of the system that deliver directly.
pub(crate) static APLICS: Roster<DirectAplic, 16> = Roster::new();

/// The harts' external interrupt, once one of them has claimed it.
pub(super) static PARENT: SetOnce<chained::ChainedIrq> = SetOnce::new();

/// The APLICs that the MADT has, as many as there are IDs.
#[cfg(CONFIG_ACPI)]
static DESCRIBED: Roster<acpi::Aplic, 256> = Roster::new();

/// The MADT has this APLIC. Early boot.
#[cfg(CONFIG_ACPI)]
pub(crate) fn describe(aplic: acpi::Aplic) -> Result {
    if !DESCRIBED.push(KBox::leak(KBox::new(aplic, GFP_KERNEL)?)) {
        pr_err!("MADT: APLIC: too many\n");
        return Err(ENOSPC);
    }
    Ok(())
}

/// The APLICs that the MADT has, without those whose structures are malformed.
#[cfg(CONFIG_ACPI)]
pub(crate) fn described() -> impl Iterator<Item = &'static acpi::Aplic> {
    DESCRIBED.iter()
}

/// The registers of these APLICs, if they can be mapped. Only where a device of the namespace has
/// registers too: a wrong address may be one that nothing answers at.
#[cfg(CONFIG_ACPI)]
pub(super) fn described_registers() -> impl Iterator<Item = Range> {
    described().map(|aplic| aplic.registers).filter(|range| {
        range.start() & PAGE_OFFSET_MASK == 0 && range.size() >= PAGE_SIZE && range.is_of_device()
    })
}

/// Only a MADT has some.
#[cfg(not(CONFIG_ACPI))]
pub(super) fn described_registers() -> impl Iterator<Item = Range> {
    core::iter::empty()
}
