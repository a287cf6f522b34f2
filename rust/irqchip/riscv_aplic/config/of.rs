// SPDX-License-Identifier: GPL-2.0

//! What the device tree says of an APLIC.
//!
//! `Documentation/devicetree/bindings/interrupt-controller/riscv,aplic.yaml`

use aia_core::addr::{
    PAGE_OFFSET_MASK,
    PAGE_SIZE, //
};
use kernel::{
    device::property::FwNode,
    prelude::*, //
};
use kernel_ext::{
    arch::riscv,
    fwnode,
    ioport::Range,
    of,
    refuse, //
};

use super::Description;

const HART_INDEXES: &CStr = c"riscv,hart-indexes";
const HART_INDEXES_NAME: &str = "riscv,hart-indexes";

/// The registers of all APLICs that the device tree describes as interrupting harts of the
/// kernel by wires, but for those that may have no power.
pub(crate) fn direct_registers() -> impl Iterator<Item = Range> {
    of::compatible(c"riscv,aplic").filter_map(|node| {
        if !fwnode::is_available(&node)
            || node.property_present(c"msi-parent")
            || node.property_present(c"power-domains")
        {
            return None;
        }
        // Others belong to another privilege level, or to somebody else's harts.
        of::irq::parent_harts(&node)
            .ok()?
            .iter()
            .find_map(|hartid| riscv::cpu_of_hart(*hartid))?;

        let ranges = of::address::ranges(&node).ok()?;
        let range = *ranges.first()?;

        (range.start() & PAGE_OFFSET_MASK == 0 && range.size() >= PAGE_SIZE).then_some(range)
    })
}

/// Reads `node`.
///
/// Every refusal is printed, with the node and the property.
pub(crate) fn read(node: &FwNode) -> Result<Description> {
    const SOURCES: &CStr = c"riscv,num-sources";
    const SOURCES_NAME: &str = "riscv,num-sources";

    let nr_sources = fwnode::read_u32(node, SOURCES)
        .map_err(|_| refuse!(node, SOURCES_NAME, "not one 32-bit cell"))?
        .ok_or_else(|| refuse!(node, SOURCES_NAME, "missing"))?;
    let sends_msis = node.property_present(c"msi-parent");
    let harts = if !sends_msis || node.property_present(HART_INDEXES) {
        harts(node)?
    } else {
        KVec::new()
    };
    let ranges = of::address::ranges(node)
        .map_err(|(index, _)| refuse!(node, "reg", "region {} is malformed", index))?;
    let &registers = ranges
        .first()
        .ok_or_else(|| refuse!(node, "reg", "no memory region"))?;

    Ok(Description {
        name: |property| property,
        registers,
        nr_sources,
        first: 0,
        sends_msis,
        harts,
    })
}

/// The harts that the APLIC interrupts, with their indexes in its domain.
fn harts(node: &FwNode) -> Result<KVec<(usize, u32)>> {
    let hartids = of::irq::parent_harts(node)
        .map_err(|error| refuse!(node, "interrupts-extended", "{}", error))?;
    let indexes = hart_indexes(node, hartids.len())?;
    let mut harts = KVec::with_capacity(hartids.len(), GFP_KERNEL)?;

    for (number, &hartid) in hartids.iter().enumerate() {
        let index = match &indexes {
            Some(indexes) => indexes.get(number).copied().ok_or(EINVAL)?,
            None => u32::try_from(number)?,
        };

        harts.push((hartid, index), GFP_KERNEL)?;
    }
    Ok(harts)
}

fn hart_indexes(node: &FwNode, harts: usize) -> Result<Option<KVec<u32>>> {
    if !node.property_present(HART_INDEXES) {
        return Ok(None);
    }

    let count = node
        .property_count_elem::<u32>(HART_INDEXES)
        .map_err(|_| refuse!(node, HART_INDEXES_NAME, "not 32-bit cells"))?;
    if count != harts {
        return Err(refuse!(
            node,
            HART_INDEXES_NAME,
            "{} indexes for {} harts",
            count,
            harts
        ));
    }
    node.property_read_array_vec::<u32>(HART_INDEXES, count)?
        .optional()
        .map(Some)
        .ok_or(EINVAL)
}
