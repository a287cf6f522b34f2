// SPDX-License-Identifier: GPL-2.0

//! Controllers that turn wires into MSIs.
//!
//! C header: [`include/linux/msi.h`](srctree/include/linux/msi.h)

use core::ptr::NonNull;

use kernel::{
    bindings,
    device::{
        property::FwNode,
        Core,
        Device, //
    },
    prelude::*, //
};

use crate::{
    fwnode,
    irq::{
        chip::Chip,
        data::ChipData,
        flow::FlowHandler,
        fwspec::Fwspec,
        trigger::Trigger, //
    }, //
};

/// The number of an interrupt of a wired-to-MSI controller, and its trigger, see [`create`].
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
/// The domain lives until `dev`, which is being probed, is unbound, and the controller for ever; if
/// the domain cannot be created, `host` is dropped. Fails with `ENODEV` if `dev` has no MSI
/// controller, see [`has_parent`], and with `EINVAL` if the chip lacks what the core calls.
///
/// # Examples
///
/// ```
/// use kernel::{device::{Core, Device}, prelude::*};
/// use kernel_ext::{
///     io::Mapping,
///     irq::{chip, desc::Locked, fwspec::Fwspec, trigger::Trigger, Chip, IrqData},
///     msi::{wired::{self, WiredToMsi}, Message},
/// };
///
/// struct Wires {
///     registers: Mapping,
/// }
///
/// #[vtable]
/// impl chip::Operations for Wires {
///     type Data = &'static Wires;
///
///     fn mask(data: &IrqData<&'static Wires>, locked: &Locked) {
///         data.chip_data().registers.write(4 * data.hwirq(), 0);
///         chip::mask_parent(data, locked);
///     }
///
///     fn unmask(data: &IrqData<&'static Wires>, locked: &Locked) {
///         chip::unmask_parent(data, locked);
///         data.chip_data().registers.write(4 * data.hwirq(), 1);
///     }
///
///     fn eoi(_data: &IrqData<&'static Wires>, _locked: &Locked) {}
///
///     fn write_msi(data: &IrqData<&'static Wires>, message: &Message) {
///         data.chip_data().registers.write(0x3000 + 4 * data.hwirq(), message.data);
///     }
/// }
///
/// struct WiresDomain;
///
/// impl WiredToMsi for WiresDomain {
///     type Host = Wires;
///
///     fn translate(_wires: &'static Wires, spec: &Fwspec) -> Result<(usize, Trigger)> {
///         match spec.cells() {
///             [number @ 1..1024] => Ok((*number as usize, Trigger::EdgeRising)),
///             _ => Err(EINVAL),
///         }
///     }
/// }
///
/// fn probe(dev: &Device<Core<'_>>, registers: Mapping) -> Result {
///     if !wired::has_parent(dev, None) {
///         return Err(EPROBE_DEFER);
///     }
///     let chip = Chip::new::<Wires>(c"wires", chip::flags::SKIP_SET_WAKE).with_parent_affinity();
///     let wires = KBox::pin(Wires { registers }, GFP_KERNEL)?;
///
///     wired::create::<WiresDomain>(dev, chip, wires, 1024)?;
///     Ok(())
/// }
/// ```
///
/// What is stored is a reference to the controller, so that a chip is refused that expects
/// something else:
///
/// ```compile_fail,E0308
/// # use kernel::{device::{Core, Device}, prelude::*};
/// # use kernel_ext::{irq::{data::ChipWord, Chip}, msi::wired::{self, WiredToMsi}};
/// fn create<T: WiredToMsi>(
///     dev: &Device<Core<'_>>,
///     chip: Chip<ChipWord>,
///     host: Pin<KBox<T::Host>>,
/// ) -> Result<&'static T::Host> {
///     wired::create::<T>(dev, chip, host, 1024)
/// }
/// ```
pub fn create<T: WiredToMsi>(
    dev: &Device<Core<'_>>,
    chip: Chip<&'static T::Host>,
    host: Pin<KBox<T::Host>>,
    count: u32,
) -> Result<&'static T::Host> {
    // SAFETY: The device is valid.
    if unsafe { bindings::dev_get_msi_domain(device_raw(dev)) }.is_null() {
        return Err(ENODEV);
    }
    if !chip.has_callbacks_for(FlowHandler::FastEoi, true) {
        return Err(EINVAL);
    }
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
    template.info.handler = FlowHandler::FastEoi.as_raw();
    template.info.handler_name = c"fasteoi".as_char_ptr().cast_mut();

    // SAFETY: The device is valid and probing. The template is copied. The host lives for ever.
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
    // `create` passed.
    let host = unsafe {
        let info = (*domain).host_data.cast::<bindings::msi_domain_info>();

        <&'static T::Host>::from_raw(NonNull::new_unchecked((*info).data))
    };

    // SAFETY: The core passes a valid specifier, and places for number and trigger.
    unsafe { Fwspec::translate(spec, hwirq, kind, |spec| T::translate(host, spec)) }
}

/// Makes sure that `dev`, which is being probed, knows its MSI controller: the one that its node in a
/// device tree names, or `other`. Returns whether the controller's domain exists. May sleep.
///
/// Nobody else can change it, as it may have interrupts then:
///
/// ```compile_fail,E0308
/// # use kernel::device::Device;
/// # use kernel_ext::msi::wired;
/// fn has_parent(dev: &Device) -> bool {
///     wired::has_parent(dev, None)
/// }
/// ```
pub fn has_parent(dev: &Device<Core<'_>>, other: Option<&FwNode>) -> bool {
    let raw = device_raw(dev);

    // SAFETY: The device is valid, and probing, so that nothing else sets its MSI domain.
    unsafe {
        if bindings::dev_get_msi_domain(raw).is_null() {
            if let Some(node) = dev.fwnode().filter(|node| node.is_of_node()) {
                bindings::of_msi_configure(raw, bindings::to_of_node(fwnode::as_raw(node)));
            } else if let Some(controller) = other {
                bindings::dev_set_msi_domain(
                    raw,
                    bindings::irq_find_matching_fwnode(
                        fwnode::as_raw(controller),
                        bindings::irq_domain_bus_token_DOMAIN_BUS_PLATFORM_MSI,
                    ),
                );
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
