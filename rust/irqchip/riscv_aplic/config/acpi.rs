// SPDX-License-Identifier: GPL-2.0

//! What ACPI says of an APLIC: its structure in the MADT, those of the harts (RINTC), and its device
//! in the namespace (`RSCV0002`).

use kernel::{
    device::property::FwNode,
    prelude::*, //
};
use kernel_ext::{
    acpi,
    of::address::Range,
    refuse, //
};

use super::Description;

/// The field of a table that says what a property of the device tree does.
fn name(property: &'static str) -> &'static str {
    match property {
        "interrupts-extended" => "MADT: RINTC: external interrupt controller ID",
        "reg" => "_CRS",
        "riscv,num-sources" => "MADT: APLIC: external interrupt sources",
        "riscv,hart-indexes" => "MADT: RINTC: IDC number",
        "msi-parent" => "MADT: IMSIC",
        _ => property,
    }
}

/// Reads what there is of the APLIC whose device has `node` and `registers`. It sends MSIs if the
/// system has an IMSIC (`has_imsic`).
///
/// Every refusal is printed, with the table and the field.
pub(crate) fn read(
    node: &FwNode,
    registers: Option<Range>,
    has_imsic: bool,
) -> Result<Description> {
    let gsis = acpi::gsis(node).ok_or_else(|| {
        refuse!(
            node,
            "_GSB",
            "no APLIC of the MADT begins at this interrupt"
        )
    })?;
    let registers = registers.ok_or_else(|| refuse!(node, name("reg"), "no memory region"))?;
    let mut harts = KVec::new();

    if !has_imsic {
        for hart in acpi::wired_harts(gsis.id) {
            harts.push(hart, GFP_KERNEL)?;
        }
        if usize::try_from(gsis.nr_idcs)? != harts.len() {
            pr_warn!(
                "{}: MADT: APLIC: {} IDCs, but {} harts name it\n",
                node.display_name(),
                gsis.nr_idcs,
                harts.len()
            );
        }
    }

    Ok(Description {
        name,
        registers,
        nr_sources: gsis.count,
        first: gsis.base,
        sends_msis: has_imsic,
        harts,
    })
}
