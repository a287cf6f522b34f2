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

/// The range number `index` of the node's `reg`: physical start and size in bytes.
///
/// Fails with `EINVAL` if there is no such range.
pub fn range(fwnode: &FwNode, index: u32) -> Result<(u64, u64)> {
    let mut resource = bindings::resource::default();
    let node = super::node(fwnode);

    if node.is_null() {
        return Err(EINVAL);
    }
    // CAST: An index into `reg` is small.
    // SAFETY: The node is valid, and so is the resource that is filled.
    to_result(unsafe { bindings::of_address_to_resource(node, index as c_int, &mut resource) })?;

    let size = resource
        .end
        .checked_sub(resource.start)
        .and_then(|last| last.checked_add(1))
        .ok_or(EINVAL)?;

    Ok((resource.start, size))
}
