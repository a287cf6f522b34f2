// SPDX-License-Identifier: GPL-2.0

//! Address ranges of device-tree nodes.
//!
//! C header: [`include/linux/of_address.h`](srctree/include/linux/of_address.h)

use kernel::{
    bindings,
    device::property::FwNode,
    error::to_result,
    prelude::*, //
};

use crate::ioport::Range;

/// All ranges of the node's `reg`, if it has one.
///
/// Fails with `EINVAL` and the number of the range if one cannot be translated, or if cells are
/// left over.
///
/// # Examples
///
/// ```
/// use kernel::{device::property::FwNode, prelude::*};
/// use kernel_ext::{of, refuse};
///
/// /// How many bytes of registers there are.
/// fn size(node: &FwNode) -> Result<u64> {
///     let ranges = of::address::ranges(node)
///         .map_err(|(index, _)| refuse!(node, "reg", "region {} is malformed", index))?;
///
///     Ok(ranges.iter().map(|range| range.size()).sum())
/// }
/// ```
pub fn ranges(fwnode: &FwNode) -> Result<KVec<Range>, (usize, Error)> {
    let node = super::node(fwnode);
    let mut ranges = KVec::new();

    if node.is_null() {
        return Err((0, EINVAL));
    }
    if !fwnode.property_present(c"reg") {
        return Ok(ranges);
    }
    let cells = fwnode
        .property_count_elem::<u32>(c"reg")
        .map_err(|error| (0, error))?;
    // SAFETY: The node is valid.
    let (address, size) = unsafe {
        (
            bindings::of_n_addr_cells(node),
            bindings::of_n_size_cells(node),
        )
    };
    // The numbers are any that a cell can hold, too large ones negative.
    let width = usize::try_from(address)
        .ok()
        .zip(usize::try_from(size).ok())
        .and_then(|(address, size)| address.checked_add(size))
        .filter(|width| *width > 0)
        .ok_or((0, EINVAL))?;

    for index in 0..cells / width {
        let range = range(node, index).map_err(|error| (index, error))?;

        ranges
            .push(range, GFP_KERNEL)
            .map_err(|_| (index, ENOMEM))?;
    }
    if cells % width != 0 {
        return Err((cells / width, EINVAL));
    }
    Ok(ranges)
}

/// The range number `index` of a valid node.
fn range(node: *mut bindings::device_node, index: usize) -> Result<Range> {
    let mut resource = bindings::resource::default();
    let index = c_int::try_from(index)?;

    // SAFETY: The node is valid, and so is the resource that is filled.
    to_result(unsafe { bindings::of_address_to_resource(node, index, &mut resource) })?;

    Ok(Range::from_resource(&resource))
}
