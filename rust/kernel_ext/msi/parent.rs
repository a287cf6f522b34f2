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

use super::{
    bus::Bus,
    group::{
        self,
        Group, //
    },
    message::Message,
    ops::ParentOps, //
};
use crate::irq::{
    data::IrqData,
    domain,
    domain_ops::{
        DomainOps,
        Vtable, //
    }, //
};

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
        let bus = Bus::from_raw((*info).bus_token);

        if P::defer_moves(bus) {
            (*(*info).chip).flags |= bindings::IRQCHIP_MOVE_DEFERRED as usize;
        }
        // The library has refused a controller in between: the parent of the interrupts is `P`'s.
        if bus == Bus::PciMsi {
            group::take_over(&mut *info, write_msi_msg::<P>);
        }
    }
    true
}

/// Creates the domain of an MSI controller for `fwnode`, see [`ParentOps`]. May sleep.
pub fn create<T, P>(fwnode: &FwNode, host: &'static T::Host) -> Result
where
    T: DomainOps<Data = P::Data>,
    P: ParentOps,
{
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

/// # Safety
///
/// Only for the core, which passes valid arguments.
unsafe extern "C" fn write_msi_msg<P: ParentOps>(
    data: *mut bindings::irq_data,
    raw: *mut bindings::msi_msg,
) {
    // SAFETY: The core passes valid arguments, and frees no interrupt of a device while it activates or
    // deactivates one. All have a parent, which `P` made, and its data is set up.
    let (message, parent, group) = unsafe {
        (
            Message::from_raw(&*raw),
            IrqData::<P::Data>::from_raw((*data).parent_data),
            Group::from_raw(data),
        )
    };

    match group {
        Some(group) if group.count() > 1 => {
            P::activate_shared(parent, message != Message::default(), &group);
        }
        // SAFETY: As above.
        _ => unsafe { group::write_as_before(data, &mut *raw) },
    }
}
