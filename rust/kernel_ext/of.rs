// SPDX-License-Identifier: GPL-2.0

//! Device-tree parsing for interrupt controllers.

pub mod address;
pub mod irq;

use core::ptr::{
    self,
    NonNull, //
};

use kernel::{
    bindings,
    device::property::FwNode,
    prelude::*,
    sync::aref::ARef, //
};

use crate::fwnode;

/// The device-tree node of `fwnode`, or null if it is of another kind.
fn node(fwnode: &FwNode) -> *mut bindings::device_node {
    // SAFETY: The pointer is valid.
    unsafe { bindings::to_of_node(fwnode::as_raw(fwnode)) }
}

/// The nodes that are compatible with `name`, available ones and others.
///
/// # Examples
///
/// ```
/// use kernel_ext::{fwnode, of};
///
/// let controllers = of::compatible(c"riscv,aplic")
///     .filter(|node| fwnode::is_available(node))
///     .count();
/// ```
pub fn compatible(name: &'static CStr) -> Compatible {
    Compatible { name, last: None }
}

/// Iterates over nodes, see [`compatible`].
pub struct Compatible {
    name: &'static CStr,
    last: Option<ARef<FwNode>>,
}

impl Iterator for Compatible {
    type Item = ARef<FwNode>;

    fn next(&mut self) -> Option<ARef<FwNode>> {
        // C gives back a reference on the node that it begins with.
        let from = self.last.take().map_or(ptr::null_mut(), |last| {
            let from = node(&last);

            core::mem::forget(last);
            from
        });

        // SAFETY: The node to begin with is null or valid, with a reference that C gives back, and
        // the name is a string.
        let found = unsafe {
            bindings::of_find_compatible_node(from, ptr::null(), self.name.as_char_ptr())
        };
        let found = NonNull::new(found)?;
        // SAFETY: The node is valid. A node of the tree always has a handle.
        let handle = unsafe { NonNull::new_unchecked(bindings::of_fwnode_handle(found.as_ptr())) };
        // CAST: `FwNode` is a transparent wrapper of a `struct fwnode_handle`.
        // SAFETY: C took a reference on the node, which is the handle's.
        let found: ARef<FwNode> = unsafe { ARef::from_raw(handle.cast()) };

        self.last = Some(found.clone());
        Some(found)
    }
}

/// Lets a platform device be made of a node that an early driver has already probed.
///
/// # Examples
///
/// ```
/// use kernel::{device::property::FwNode, prelude::*};
/// use kernel_ext::of;
///
/// fn init_early(node: &FwNode) -> Result {
///     // Sets up what the boot CPU needs; a platform driver does the rest.
///     of::populate_again(node);
///     Ok(())
/// }
/// ```
pub fn populate_again(fwnode: &FwNode) {
    let node = node(fwnode);

    if !node.is_null() {
        // SAFETY: The node is valid.
        unsafe { bindings::of_node_clear_flag(node, bindings::OF_POPULATED as usize) };
    }
}
