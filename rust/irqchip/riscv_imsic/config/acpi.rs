// SPDX-License-Identifier: GPL-2.0

//! What ACPI says of the IMSIC: the MADT's structures IMSIC, and RINTC for each hart.

use kernel::{
    device::property::FwNode,
    prelude::*, //
};
use kernel_ext::{
    acpi::{
        self,
        RintcFile, //
    },
    arch::riscv,
    refuse, //
};

use super::Description;

/// The field of the MADT that says what a property of the device tree does.
fn name(property: &'static str) -> &'static str {
    match property {
        "compatible" => "MADT: IMSIC",
        "interrupts-extended" => "MADT: RINTC: hart ID",
        "reg" => "MADT: RINTC: IMSIC base address and size",
        "riscv,num-ids" => "MADT: IMSIC: supervisor mode interrupt identities",
        "riscv,num-guest-ids" => "MADT: IMSIC: guest mode interrupt identities",
        "riscv,guest-index-bits" => "MADT: IMSIC: guest index bits",
        "riscv,hart-index-bits" => "MADT: IMSIC: hart index bits",
        "riscv,group-index-bits" => "MADT: IMSIC: group index bits",
        "riscv,group-index-shift" => "MADT: IMSIC: group index shift",
        _ => property,
    }
}

/// Reads the IMSIC structure `imsic` and what the RINTC structures say of harts that the kernel runs.
///
/// Every refusal is printed, with the structure and the field. A hart that is disabled need not have
/// an interrupt file.
pub(crate) fn read(
    node: &FwNode,
    imsic: &acpi::Imsic,
    files: impl Iterator<Item = RintcFile>,
) -> Result<Description> {
    let mut hartids = KVec::new();
    let mut ranges = KVec::new();

    for (index, file) in files.enumerate() {
        if riscv::cpu_of_hart(file.hartid).is_none() {
            continue;
        }
        if hartids.contains(&file.hartid) {
            return Err(refuse!(
                node,
                name("interrupts-extended"),
                "number {} names hart {} again",
                index,
                file.hartid
            ));
        }
        hartids.push(file.hartid, GFP_KERNEL)?;
        ranges.push(file.range, GFP_KERNEL)?;
    }

    Ok(Description {
        name,
        hartids,
        ranges,
        range_per_hart: true,
        nr_ids: imsic.num_ids.into(),
        nr_guest_ids: imsic.num_guest_ids.into(),
        guest_index_bits: imsic.guest_index_bits.into(),
        hart_index_bits: imsic.hart_index_bits.into(),
        group_index_bits: imsic.group_index_bits.into(),
        group_index_shift: imsic.group_index_shift.into(),
    })
}
