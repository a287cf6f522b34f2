// SPDX-License-Identifier: GPL-2.0

//! Controllers that receive MSIs: the parents of the domains of all devices that send MSIs to them.
//!
//! C header: [`include/linux/irqchip/irq-msi-lib.h`](srctree/include/linux/irqchip/irq-msi-lib.h)

use core::marker::PhantomData;

use kernel::{
    bindings,
    device::property::FwNode,
    prelude::*, //
};

use super::bus::Bus;
use crate::irq::{
    domain,
    domain_ops::{
        DomainOps,
        Vtable, //
    }, //
};

/// What domains of devices can and have to do (`MSI_FLAG_*`); combined by `|`.
pub mod flags {
    use kernel::bindings;

    /// All that is up to the device.
    pub const GENERIC: u32 = bindings::MSI_GENERIC_FLAGS_MASK;

    /// Several interrupts of a PCI device by one message: they are set up together, and theirs are the
    /// numbers from that of the message on, of which the lowest bits are clear.
    pub const MULTI_PCI_MSI: u32 = bindings::MSI_FLAG_MULTI_PCI_MSI;

    /// MSI-X of PCI.
    pub const PCI_MSIX: u32 = bindings::MSI_FLAG_PCI_MSIX;

    /// Who masks an interrupt of PCI masks it at the controller, too.
    pub const PCI_MASKS_PARENT: u32 = bindings::MSI_FLAG_PCI_MSI_MASK_PARENT;
}

/// What an MSI controller says of the domains of the devices that send to it.
///
/// # Examples
///
/// ```
/// use kernel::{device::property::FwNode, prelude::*};
/// use kernel_ext::{irq::{chip, domain_ops::DomainOps}, msi::{self, flags, Bus, ParentOps}};
///
/// struct Parent;
///
/// impl ParentOps for Parent {
///     const SUPPORTED: u32 = flags::GENERIC | flags::PCI_MSIX;
///     const REQUIRED: u32 = flags::PCI_MASKS_PARENT;
///     const ACKNOWLEDGED: bool = true;
///     const CHIP_FLAGS: u32 = chip::flags::SKIP_SET_WAKE;
///
///     fn defer_moves(bus: Bus) -> bool {
///         // Address and data are written one after the other.
///         matches!(bus, Bus::PciMsi | Bus::Device)
///     }
/// }
///
/// fn create<T: DomainOps>(node: &FwNode, controller: &'static T::Host) -> Result {
///     msi::parent::create::<T, Parent>(node, controller)
/// }
/// ```
pub trait ParentOps: 'static {
    /// The [`flags`] that the controller supports.
    const SUPPORTED: u32;
    /// The [`flags`] that all device domains have to have.
    const REQUIRED: u32;
    /// Whether the chips of devices pass acknowledgements on, if they have no callback of their
    /// own.
    const ACKNOWLEDGED: bool;
    /// What the chips of all devices are like, see [`chip::flags`](crate::irq::chip::flags).
    const CHIP_FLAGS: u32;

    /// Whether interrupts of devices on `bus` may only be moved while one of them is handled,
    /// because the devices change from one message to another in several steps.
    fn defer_moves(bus: Bus) -> bool;
}

/// The C side of [`ParentOps`].
struct ParentVtable<P>(PhantomData<P>);

impl<P: ParentOps> ParentVtable<P> {
    const OPS: bindings::msi_parent_ops = bindings::msi_parent_ops {
        supported_flags: P::SUPPORTED,
        // The core's callbacks where those of the device have none.
        required_flags: P::REQUIRED
            | bindings::MSI_FLAG_USE_DEF_DOM_OPS
            | bindings::MSI_FLAG_USE_DEF_CHIP_OPS,
        chip_flags: if P::ACKNOWLEDGED {
            bindings::MSI_CHIP_FLAG_SET_ACK
        } else {
            0
        },
        bus_select_token: bindings::irq_domain_bus_token_DOMAIN_BUS_NEXUS,
        bus_select_mask: bindings::MATCH_ALL_MSI,
        prefix: core::ptr::null(),
        init_dev_msi_info: Some(init_dev_msi_info::<P>),
    };

    const OPS_REF: &'static bindings::msi_parent_ops = &Self::OPS;
}

/// # Safety
///
/// Only for the MSI core, which passes valid arguments.
unsafe extern "C" fn init_dev_msi_info<P: ParentOps>(
    dev: *mut bindings::device,
    domain: *mut bindings::irq_domain,
    real_parent: *mut bindings::irq_domain,
    info: *mut bindings::msi_domain_info,
) -> bool {
    // SAFETY: The core passes valid arguments.
    if !unsafe { bindings::msi_lib_init_dev_msi_info(dev, domain, real_parent, info) } {
        return false;
    }

    // SAFETY: The core passes a valid structure, with a chip that is the new domain's own.
    unsafe {
        // CAST: Not narrower.
        (*(*info).chip).flags |= P::CHIP_FLAGS as usize;
        if P::defer_moves(Bus::from_raw((*info).bus_token)) {
            (*(*info).chip).flags |= bindings::IRQCHIP_MOVE_DEFERRED as usize;
        }
    }
    true
}

/// Creates the domain of an MSI controller for `fwnode`, see [`ParentOps`]. May sleep.
pub fn create<T: DomainOps, P: ParentOps>(fwnode: &FwNode, host: &'static T::Host) -> Result {
    let mut info = domain::info::<T>(fwnode, host);

    info.ops = Vtable::<T>::PARENT_OPS_REF;
    // SAFETY: Everything that the structure refers to lives for ever, but for the node, which the
    // core takes a reference on.
    let created =
        unsafe { bindings::msi_create_parent_irq_domain(&mut info, ParentVtable::<P>::OPS_REF) };

    if created.is_null() {
        return Err(ENOMEM);
    }
    Ok(())
}
