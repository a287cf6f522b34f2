// SPDX-License-Identifier: GPL-2.0

//! Firmware nodes of drivers that probe before there are devices.
//!
//! C header: [`include/linux/fwnode.h`](srctree/include/linux/fwnode.h)

use core::{
    ops::Deref,
    ptr::{
        self,
        NonNull, //
    }, //
};

use kernel::{
    bindings,
    device::property::FwNode,
    prelude::*,
    sync::aref::ARef, //
};

/// Borrows the firmware node of a device-tree node.
///
/// # Examples
///
/// ```
/// use kernel::{bindings, prelude::*};
/// use kernel_ext::fwnode;
///
/// /// # Safety
/// ///
/// /// Only for `IRQCHIP_DECLARE()`, whose caller passes a valid node.
/// unsafe extern "C" fn init(
///     node: *mut bindings::device_node,
///     _parent: *mut bindings::device_node,
/// ) -> c_int {
///     // SAFETY: By the requirements of this function.
///     let Some(node) = (unsafe { fwnode::from_of(node) }) else {
///         return EINVAL.to_errno();
///     };
///
///     if !fwnode::is_available(node) {
///         return ENODEV.to_errno();
///     }
///     0
/// }
/// ```
///
/// # Safety
///
/// `node` must be a valid `struct device_node` that stays so for `'a`.
pub unsafe fn from_of<'a>(node: *mut bindings::device_node) -> Option<&'a FwNode> {
    // SAFETY: By the requirements of this function.
    let fwnode = unsafe { bindings::of_fwnode_handle(node) };

    // SAFETY: `FwNode` is a transparent wrapper of `struct fwnode_handle`, which lives as long as
    // the node that it is part of.
    unsafe { fwnode.cast::<FwNode>().as_ref() }
}

/// The C structure.
#[inline]
pub fn as_raw(fwnode: &FwNode) -> *mut bindings::fwnode_handle {
    // CAST: `FwNode` is a transparent wrapper of an opaque `struct fwnode_handle`.
    ptr::from_ref(fwnode).cast_mut().cast()
}

/// Whether what the node describes can be used (`status` in a device tree).
pub fn is_available(fwnode: &FwNode) -> bool {
    // SAFETY: The node is valid.
    unsafe { bindings::fwnode_device_is_available(as_raw(fwnode)) }
}

/// A node that is held, to recognise it and to name it.
///
/// # Examples
///
/// ```
/// use kernel::{device::property::FwNode, prelude::*};
/// use kernel_ext::fwnode::HeldNode;
///
/// struct Controller {
///     node: HeldNode,
/// }
///
/// impl Controller {
///     fn of(node: &FwNode) -> Self {
///         Self { node: HeldNode::new(node) }
///     }
///
///     fn is_described_by(&self, node: &FwNode) -> bool {
///         self.node.is(node)
///     }
///
///     fn greet(&self) {
///         pr_info!("{}: found\n", self.node.display_name());
///     }
/// }
/// ```
pub struct HeldNode(ARef<FwNode>);

// SAFETY: The reference count is atomic, so that any thread may give the reference back.
unsafe impl Send for HeldNode {}
// SAFETY: Through a shared reference, nodes are only read and more references taken: names do not
// change, and C looks properties and children up under the lock that they change under.
unsafe impl Sync for HeldNode {}

impl HeldNode {
    /// Takes a reference on `fwnode`.
    pub fn new(fwnode: &FwNode) -> Self {
        Self(fwnode.into())
    }

    /// Whether `fwnode` is the same node.
    pub fn is(&self, fwnode: &FwNode) -> bool {
        ptr::eq(&*self.0, fwnode)
    }
}

impl Deref for HeldNode {
    type Target = FwNode;

    fn deref(&self) -> &FwNode {
        &self.0
    }
}

/// Makes a node with this name, for a controller for which firmware has none. It lives for ever: it has no
/// count of its users. May sleep.
///
/// # Examples
///
/// ```
/// use kernel::prelude::*;
/// use kernel_ext::{fwnode, irq::domain_ops::DomainOps, msi::{self, ParentOps}};
///
/// fn init<T, P>(controller: &'static T::Host) -> Result
/// where
///     T: DomainOps<Data = P::Data>,
///     P: ParentOps,
/// {
///     msi::parent::create::<T, P>(fwnode::create_named(c"example")?, controller)
/// }
/// ```
///
/// Holding it keeps nothing, so that safe code cannot give it back:
///
/// ```compile_fail,E0133
/// use kernel::prelude::*;
/// use kernel_ext::fwnode::{self, HeldNode};
///
/// fn hold() -> Result<HeldNode> {
///     let node = fwnode::create_named(c"example")?;
///     let held = HeldNode::new(node);
///
///     fwnode::free_named(node);
///     Ok(held)
/// }
/// ```
pub fn create_named(name: &'static CStr) -> Result<&'static FwNode> {
    // SAFETY: The name is a string, and is copied.
    let node = unsafe {
        bindings::__irq_domain_alloc_fwnode(
            bindings::IRQCHIP_FWNODE_NAMED,
            0,
            name.as_char_ptr(),
            ptr::null_mut(),
            ptr::null_mut(),
        )
    };
    let node = NonNull::new(node).ok_or(ENOMEM)?;

    // CAST: `FwNode` is a transparent wrapper of `struct fwnode_handle`.
    // SAFETY: Just made, and freed by `free_named` only.
    Ok(unsafe { node.cast().as_ref() })
}

/// Frees what [`create_named`] has made. May sleep.
///
/// # Safety
///
/// `node` must be that, and nobody may have it any more.
pub unsafe fn free_named(node: &'static FwNode) {
    // SAFETY: By the requirements of this function.
    unsafe { bindings::irq_domain_free_fwnode(as_raw(node)) };
}

/// Prints why a driver refuses a property of a node, and is the error for it, `EINVAL`.
///
/// The line has the log prefix of the driver, the node, and the property.
///
/// # Examples
///
/// ```
/// use kernel::{device::property::FwNode, prelude::*};
/// use kernel_ext::{fwnode, refuse};
///
/// fn ids(node: &FwNode) -> Result<u32> {
///     let ids = fwnode::read_u32(node, c"riscv,num-ids")
///         .map_err(|_| refuse!(node, "riscv,num-ids", "not one 32-bit cell"))?
///         .ok_or_else(|| refuse!(node, "riscv,num-ids", "missing"))?;
///
///     if ids % 64 != 63 {
///         return Err(refuse!(node, "riscv,num-ids", "{} is not one less than 64 * n", ids));
///     }
///     Ok(ids)
/// }
/// ```
#[macro_export]
macro_rules! refuse {
    ($node:expr, $property:expr, $($why:tt)+) => {{
        ::kernel::pr_err!(
            "{}: {}: {}\n",
            $node.display_name(),
            $property,
            ::kernel::prelude::fmt!($($why)+)
        );
        ::kernel::error::code::EINVAL
    }};
}

/// Reads the 32-bit property `name`.
///
/// [`None`] if there is no such property. Fails with `EINVAL` if its value is not one cell.
///
/// # Examples
///
/// A property that need not be there:
///
/// ```
/// use kernel::{device::property::FwNode, prelude::*};
/// use kernel_ext::fwnode;
///
/// fn guest_index_bits(node: &FwNode) -> Result<u32> {
///     Ok(fwnode::read_u32(node, c"riscv,guest-index-bits")?.unwrap_or(0))
/// }
/// ```
pub fn read_u32(fwnode: &FwNode, name: &CStr) -> Result<Option<u32>> {
    if !fwnode.property_present(name) {
        return Ok(None);
    }
    if fwnode.property_count_elem::<u32>(name)? != 1 {
        return Err(EINVAL);
    }
    Ok(Some(
        fwnode.property_read::<u32>(name).optional().ok_or(EINVAL)?,
    ))
}
