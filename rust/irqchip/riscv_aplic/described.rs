// SPDX-License-Identifier: GPL-2.0

//! The APLICs that the MADT has, from early boot on.

use aia_core::addr::{
    PAGE_OFFSET_MASK,
    PAGE_SIZE, //
};
use kernel::prelude::*;
use kernel_ext::{
    acpi,
    ioport::Range,
    sync::Roster, //
};

/// As many as there are IDs.
static DESCRIBED: Roster<acpi::Aplic, 256> = Roster::new();

/// The MADT has this APLIC. Early boot.
pub(crate) fn describe(aplic: acpi::Aplic) -> Result {
    if !DESCRIBED.push(KBox::leak(KBox::new(aplic, GFP_KERNEL)?)) {
        pr_err!("MADT: APLIC: too many\n");
        return Err(ENOSPC);
    }
    Ok(())
}

/// Those that the MADT has, without those whose structures are malformed.
pub(crate) fn all() -> impl Iterator<Item = &'static acpi::Aplic> {
    DESCRIBED.iter()
}

/// The registers of these APLICs, if they can be mapped. Only where a device of the namespace has
/// registers too: a wrong address may be one that nothing answers at.
pub(crate) fn registers() -> impl Iterator<Item = Range> {
    all().map(|aplic| aplic.registers).filter(|range| {
        range.start() & PAGE_OFFSET_MASK == 0 && range.size() >= PAGE_SIZE && range.is_of_device()
    })
}
