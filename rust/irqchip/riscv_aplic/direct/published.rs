// SPDX-License-Identifier: GPL-2.0

//! What the handler and CPUs that come find.

use aia_core::addr::{
    PAGE_OFFSET_MASK,
    PAGE_SIZE, //
};
#[cfg(CONFIG_ACPI)]
use kernel::prelude::*;
use kernel::sync::SetOnce;
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

/// The registers of APLICs that the MADT has.
static DESCRIBED: Roster<Range, 64> = Roster::new();

/// The MADT has an APLIC with these registers. Early boot.
#[cfg(CONFIG_ACPI)]
pub(crate) fn describe(registers: Range) -> Result {
    if !DESCRIBED.push(KBox::leak(KBox::new(registers, GFP_KERNEL)?)) {
        pr_warn!("MADT: APLIC: too many, one that another kernel has used may not be silent\n");
    }
    Ok(())
}

/// The registers of all APLICs that the MADT has, and that can be mapped.
pub(super) fn described() -> impl Iterator<Item = Range> {
    DESCRIBED
        .iter()
        .copied()
        .filter(|range| range.start() & PAGE_OFFSET_MASK == 0 && range.size() >= PAGE_SIZE)
}
