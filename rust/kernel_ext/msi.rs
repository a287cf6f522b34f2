// SPDX-License-Identifier: GPL-2.0

//! Message signalled interrupts, seen from the controller that receives them, and from one that
//! turns wires into messages.
//!
//! C headers: [`include/linux/msi.h`](srctree/include/linux/msi.h),
//! [`include/linux/irqchip/irq-msi-lib.h`](srctree/include/linux/irqchip/irq-msi-lib.h)

use core::{
    marker::PhantomData,
    ptr::NonNull, //
};

use kernel::{
    bindings,
    device::Device,
    prelude::*, //
};

use crate::{
    fwnode,
    irq::{
        chip::{
            Chip,
            Trigger, //
        },
        data::ChipData,
        domain::Flow,
        fwspec::Fwspec, //
    }, //
};

/// What a device writes to raise an interrupt: `data`, 32 bits, to physical address `address`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Message {
    /// The physical address.
    pub address: u64,
    /// The value.
    pub data: u32,
}

impl Message {
    pub(crate) fn to_raw(self) -> bindings::msi_msg {
        let mut raw = bindings::msi_msg::default();

        // CAST: The two halves.
        raw.__bindgen_anon_1.address_lo = self.address as u32;
        raw.__bindgen_anon_2.address_hi = (self.address >> 32) as u32;
        raw.__bindgen_anon_3.data = self.data;
        raw
    }

    pub(crate) fn from_raw(raw: &bindings::msi_msg) -> Self {
        // SAFETY: On RISC-V, both members of each union are 32 bits without padding.
        let (low, high, data) = unsafe {
            (
                raw.__bindgen_anon_1.address_lo,
                raw.__bindgen_anon_2.address_hi,
                raw.__bindgen_anon_3.data,
            )
        };

        Self {
            address: (u64::from(high) << 32) | u64::from(low),
            data,
        }
    }
}

/// The bus that a domain of device interrupts belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Bus {
    /// PCI devices with MSI.
    PciMsi,
    /// PCI devices with MSI-X.
    PciMsix,
    /// Platform and other devices that store a message in registers of their own.
    Device,
    /// Controllers that turn wires into messages.
    WiredToMsi,
    /// Anything else.
    Other,
}

impl Bus {
    pub(crate) fn from_raw(token: bindings::irq_domain_bus_token) -> Self {
        match token {
            bindings::irq_domain_bus_token_DOMAIN_BUS_PCI_DEVICE_MSI => Bus::PciMsi,
            bindings::irq_domain_bus_token_DOMAIN_BUS_PCI_DEVICE_MSIX => Bus::PciMsix,
            bindings::irq_domain_bus_token_DOMAIN_BUS_DEVICE_MSI => Bus::Device,
            bindings::irq_domain_bus_token_DOMAIN_BUS_WIRED_TO_MSI => Bus::WiredToMsi,
            _ => Bus::Other,
        }
    }
}

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
pub(crate) struct ParentVtable<P>(PhantomData<P>);

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

    pub(crate) const OPS_REF: &'static bindings::msi_parent_ops = &Self::OPS;
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

/// The number of an interrupt of a wired-to-MSI controller, and its trigger.
pub trait WiredToMsi: 'static {
    /// The controller.
    type Host: Sync + 'static;

    /// Decodes a specifier of firmware: number and trigger. Who asks for the interrupt hears only
    /// that there is none, so say why.
    fn translate(host: &'static Self::Host, spec: &Fwspec) -> Result<(usize, Trigger)>;
}

/// Creates the domain of a controller that turns `count` wires, the numbers 0..count, into
/// messages. May sleep.
///
/// The domain and its controller live for ever; if it cannot be created, `host` is dropped. `dev` must
/// have got its MSI controller, see [`has_parent`], and must not be unbound.
pub fn create_wired<T: WiredToMsi>(
    dev: &Device,
    chip: Chip<&'static T::Host>,
    host: Pin<KBox<T::Host>>,
    count: u32,
) -> Result<&'static T::Host> {
    // SAFETY: The value is not moved out of its box.
    let host = KBox::into_raw(unsafe { Pin::into_inner_unchecked(host) });
    // SAFETY: Just made of a box, which is only made again if nothing got the reference.
    let kept: &'static T::Host = unsafe { &*host };
    let mut template = bindings::msi_domain_template {
        chip: chip.raw,
        ..Default::default()
    };

    template.ops.set_desc = Some(set_wired_desc);
    template.ops.msi_translate = Some(translate_wired::<T>);
    template.info.bus_token = bindings::irq_domain_bus_token_DOMAIN_BUS_WIRED_TO_MSI;
    template.info.flags = bindings::MSI_FLAG_USE_DEV_FWNODE;
    template.info.handler = Flow::FastEoi.handler();
    template.info.handler_name = c"fasteoi".as_char_ptr().cast_mut();

    // SAFETY: The device is valid. The template is copied. The host lives for ever.
    let created = unsafe {
        bindings::msi_create_device_irq_domain(
            device_raw(dev),
            bindings::msi_domain_ids_MSI_DEFAULT_DOMAIN,
            &template,
            count,
            kept.into_raw().as_ptr(),
            kept.into_raw().as_ptr(),
        )
    };

    if created {
        Ok(kept)
    } else {
        // SAFETY: There is no domain, so that no callback has seen the host.
        drop(unsafe { KBox::from_raw(host) });
        Err(ENOMEM)
    }
}

/// # Safety
///
/// Only for the MSI core, which passes valid arguments.
unsafe extern "C" fn set_wired_desc(
    arg: *mut bindings::msi_alloc_info_t,
    desc: *mut bindings::msi_desc,
) {
    // SAFETY: The core passes valid structures; the cookie holds the number of the wire.
    unsafe {
        (*arg).desc = desc;
        // CAST: The numbers of wires are small.
        (*arg).hwirq = (*desc).__bindgen_anon_1.data.icookie.value as u32 as usize;
    }
}

/// # Safety
///
/// Only for the MSI core, which passes valid arguments.
unsafe extern "C" fn translate_wired<T: WiredToMsi>(
    domain: *mut bindings::irq_domain,
    spec: *mut bindings::irq_fwspec,
    hwirq: *mut usize,
    kind: *mut u32,
) -> c_int {
    // SAFETY: In device domains the host data is the domain info, and its data is the host that
    // `create_wired` passed.
    let host = unsafe {
        let info = (*domain).host_data.cast::<bindings::msi_domain_info>();

        <&'static T::Host>::from_raw(NonNull::new_unchecked((*info).data))
    };

    // SAFETY: The core passes a valid specifier, and places for number and trigger.
    unsafe { Fwspec::translate(spec, hwirq, kind, |spec| T::translate(host, spec)) }
}

/// Makes sure that `dev`, a device of a device tree, knows its MSI controller; returns whether the
/// controller's domain exists. May sleep.
pub fn has_parent(dev: &Device) -> bool {
    let raw = device_raw(dev);

    // SAFETY: The device is valid, and probing, so that nothing else sets its MSI domain.
    unsafe {
        if bindings::dev_get_msi_domain(raw).is_null() {
            if let Some(node) = dev.fwnode().filter(|node| node.is_of_node()) {
                bindings::of_msi_configure(raw, bindings::to_of_node(fwnode::as_raw(node)));
            }
        }
        !bindings::dev_get_msi_domain(raw).is_null()
    }
}

/// The C structure of a device.
fn device_raw(dev: &Device) -> *mut bindings::device {
    // CAST: `Device` is a transparent wrapper of an opaque `struct device`.
    core::ptr::from_ref(dev).cast_mut().cast()
}
