// SPDX-License-Identifier: GPL-2.0

//! Ranges of physical addresses.
//!
//! C header: [`include/linux/ioport.h`](srctree/include/linux/ioport.h)

use kernel::{
    bindings,
    prelude::*, //
};

/// A range of physical addresses that firmware says to be a device's registers; those of a node:
/// [`ranges`](crate::of::address::ranges).
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
