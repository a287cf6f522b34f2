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

/// A range of physical addresses that firmware says to be a device's registers, see [`ranges`].
#[derive(Clone, Copy)]
pub struct Range {
    start: u64,
    size: u64,
}

impl Range {
    /// A range that firmware names elsewhere than in a `reg`.
    pub(crate) const fn new(start: u64, size: u64) -> Self {
        Self { start, size }
    }

    /// The memory that firmware gives to a platform device, number `index` of it, if there is so much.
    ///
    /// # Safety
    ///
    /// `pdev` must be valid.
    pub unsafe fn of_device(pdev: *mut bindings::platform_device, index: u32) -> Option<Self> {
        // SAFETY: By the requirements of this function.
        let resource =
            unsafe { bindings::platform_get_resource(pdev, bindings::IORESOURCE_MEM, index) };

        // SAFETY: A resource of a valid device is valid, or null.
        unsafe { resource.as_ref() }.map(Self::from_resource)
    }

    /// The range of a resource of C.
    pub(crate) fn from_resource(resource: &bindings::resource) -> Self {
        // Of an empty range, the last byte is before the first.
        Self::new(
            resource.start,
            resource.end.wrapping_sub(resource.start).wrapping_add(1),
        )
    }

    /// Whether its first page, or a part of it, is memory of a device that the kernel knows of, or
    /// main memory.
    pub fn is_of_device(&self) -> bool {
        // SAFETY: Looks any range up.
        let found = unsafe {
            bindings::region_intersects(
                self.start,
                bindings::PAGE_SIZE,
                bindings::IORESOURCE_MEM as usize,
                bindings::IORES_DESC_NONE as usize,
            )
        };

        found == bindings::REGION_INTERSECTS as c_int
    }

    /// Where it begins.
    pub fn start(&self) -> u64 {
        self.start
    }

    /// Its size in bytes, which may be zero.
    pub fn size(&self) -> u64 {
        self.size
    }
}

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
