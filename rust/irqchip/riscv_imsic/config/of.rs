// SPDX-License-Identifier: GPL-2.0

//! What the device tree says of the IMSIC.
//!
//! `Documentation/devicetree/bindings/interrupt-controller/riscv,imsics.yaml`

use aia_core::geometry;
use kernel::{
    device::property::FwNode,
    prelude::*, //
};
use kernel_ext::{
    fwnode,
    of,
    refuse, //
};

use super::Description;

/// Reads a property of one cell, and refuses other shapes.
fn optional(node: &FwNode, name: &'static CStr) -> Result<Option<u32>> {
    fwnode::read_u32(node, name).map_err(|_| {
        refuse!(
            node,
            name.to_str().unwrap_or_default(),
            "not one 32-bit cell"
        )
    })
}

/// Reads `node`.
///
/// Every refusal is printed, with the node and the property.
pub(crate) fn read(node: &FwNode) -> Result<Description> {
    let hartids = of::irq::parent_harts(node)
        .map_err(|error| refuse!(node, "interrupts-extended", "{}", error))?;
    let ranges = of::address::ranges(node)
        .map_err(|(index, _)| refuse!(node, "reg", "region {} is malformed", index))?;
    let harts = u32::try_from(hartids.len())?;
    let nr_ids = optional(node, c"riscv,num-ids")?
        .ok_or_else(|| refuse!(node, "riscv,num-ids", "missing"))?;

    Ok(Description {
        name: |property| property,
        hartids,
        ranges,
        range_per_hart: false,
        nr_ids,
        nr_guest_ids: optional(node, c"riscv,num-guest-ids")?.unwrap_or(nr_ids),
        guest_index_bits: optional(node, c"riscv,guest-index-bits")?.unwrap_or(0),
        hart_index_bits: match optional(node, c"riscv,hart-index-bits")? {
            Some(bits) => bits,
            None => geometry::default_hart_index_bits(harts),
        },
        group_index_bits: optional(node, c"riscv,group-index-bits")?.unwrap_or(0),
        group_index_shift: optional(node, c"riscv,group-index-shift")?
            .unwrap_or(geometry::DEFAULT_GROUP_INDEX_SHIFT),
    })
}
