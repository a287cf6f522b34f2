// SPDX-License-Identifier: GPL-2.0

//! What ACPI says of an APLIC: its structure in the MADT, those of the harts (RINTC), and its device
//! in the namespace (`RSCV0002`).

use kernel::{
    device::property::FwNode,
    prelude::*, //
};
use kernel_ext::{
    acpi,
    ioport::Range,
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

/// Reads what there is of the APLIC whose device has `node` and `registers`, one of those that the
/// MADT has (`described`). It sends MSIs if the system has an IMSIC (`has_imsic`).
///
/// Every refusal is printed, with the table and the field.
pub(crate) fn read(
    node: &FwNode,
    registers: Option<Range>,
    described: impl Iterator<Item = &'static acpi::Aplic>,
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
    let (mut found, mut namesakes) = (None, 0);
    for aplic in described {
        if aplic.gsi_base == gsis.base {
            found.get_or_insert(aplic);
        }
        namesakes += u32::from(aplic.id == gsis.id);
    }
    // C takes structures that are too short, too.
    let aplic = found.ok_or_else(|| refuse!(node, "MADT: APLIC", "the structure is malformed"))?;
    let mut harts = KVec::new();

    if !has_imsic {
        if gsis.nr_idcs == 0 {
            return Err(refuse!(
                node,
                "MADT: APLIC: number of IDCs",
                "0, and there is no IMSIC for its MSIs"
            ));
        }
        if namesakes > 1 {
            return Err(refuse!(
                node,
                "MADT: APLIC: ID",
                "{} comes {} times, so that the harts are unknown",
                gsis.id,
                namesakes
            ));
        }
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
        nr_sources: aplic.nr_sources.into(),
        first: gsis.base,
        sends_msis: has_imsic,
        harts,
    })
}
