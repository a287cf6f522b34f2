// SPDX-License-Identifier: GPL-2.0

//! Device-tree parsing for interrupt controllers.

pub mod address;
pub mod irq;

use kernel::{
    bindings,
    device::property::FwNode, //
};

use crate::fwnode;

/// The device-tree node of `fwnode`, or null if it is of another kind.
fn node(fwnode: &FwNode) -> *mut bindings::device_node {
    // SAFETY: The pointer is valid.
    unsafe { bindings::to_of_node(fwnode::as_raw(fwnode)) }
}

/// Lets a platform device be made of a node that an early driver has already probed.
pub fn populate_again(fwnode: &FwNode) {
    let node = node(fwnode);

    if !node.is_null() {
        // SAFETY: The node is valid.
        unsafe { bindings::of_node_clear_flag(node, bindings::OF_POPULATED as usize) };
    }
}
