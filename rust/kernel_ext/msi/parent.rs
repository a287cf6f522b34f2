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
        Ops,
        Vtable, //
    }, //
};

/// What an MSI controller says of the domains of the devices that send to it.
pub trait Parent: 'static {
    /// `MSI_FLAG_*` that the controller supports.
    const SUPPORTED: u32;
    /// `MSI_FLAG_*` that all device domains have to have.
    const REQUIRED: u32;
    /// `MSI_CHIP_FLAG_*`: which callbacks device chips get by default.
    const CHIP_FLAGS: u32;

    /// Whether interrupts of devices on `bus` may only be moved while one of them is handled,
    /// because the devices change from one message to another in several steps.
    fn defer_moves(bus: Bus) -> bool;
}

/// The C side of a [`Parent`].
struct ParentVtable<P>(PhantomData<P>);

impl<P: Parent> ParentVtable<P> {
    const OPS: bindings::msi_parent_ops = bindings::msi_parent_ops {
        supported_flags: P::SUPPORTED,
        required_flags: P::REQUIRED,
        chip_flags: P::CHIP_FLAGS,
        bus_select_token: bindings::irq_domain_bus_token_DOMAIN_BUS_NEXUS,
        bus_select_mask: bindings::MATCH_PCI_MSI | bindings::MATCH_PLATFORM_MSI,
        prefix: core::ptr::null(),
        init_dev_msi_info: Some(init_dev_msi_info::<P>),
    };

    const OPS_REF: &'static bindings::msi_parent_ops = &Self::OPS;
}

/// # Safety
///
/// Only for the MSI core, which passes valid arguments.
unsafe extern "C" fn init_dev_msi_info<P: Parent>(
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
        if P::defer_moves(Bus::from_raw((*info).bus_token)) {
            (*(*info).chip).flags |= bindings::IRQCHIP_MOVE_DEFERRED as usize;
        }
    }
    true
}

/// Creates the domain of an MSI controller for `fwnode`. May sleep.
pub fn create<T: Ops, P: Parent>(fwnode: &FwNode, host: &'static T::Host) -> Result {
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
