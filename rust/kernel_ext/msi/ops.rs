// SPDX-License-Identifier: GPL-2.0

//! What a controller that receives MSIs says of the devices that send them.
//!
//! C header: [`include/linux/msi.h`](srctree/include/linux/msi.h), `struct msi_parent_ops`

use super::{
    bus::Bus,
    group::Group, //
};
use crate::irq::data::{
    ChipData,
    IrqData, //
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

    /// More interrupts of MSI-X while others of the device are in use.
    pub const PCI_MSIX_ALLOC_DYN: u32 = bindings::MSI_FLAG_PCI_MSIX_ALLOC_DYN;

    /// Who masks an interrupt of PCI masks it at the controller, too.
    pub const PCI_MASKS_PARENT: u32 = bindings::MSI_FLAG_PCI_MSI_MASK_PARENT;
}

/// What an MSI controller says of the domains of the devices that send to it.
///
/// # Examples
///
/// ```
/// use kernel::{device::property::FwNode, prelude::*};
/// use kernel_ext::{
///     irq::{chip, domain_ops::DomainOps, IrqData},
///     msi::{self, flags, Bus, Group, Message, ParentOps},
/// };
///
/// struct Parent;
///
/// impl ParentOps for Parent {
///     const SUPPORTED: u32 = flags::GENERIC | flags::PCI_MSIX;
///     const REQUIRED: u32 = flags::PCI_MASKS_PARENT;
///     const ACKNOWLEDGED: bool = true;
///     const CHIP_FLAGS: u32 = chip::flags::SKIP_SET_WAKE;
///
///     type Data = &'static u32;
///
///     fn defer_moves(bus: Bus) -> bool {
///         // Address and data are written one after the other.
///         matches!(bus, Bus::PciMsi | Bus::Device)
///     }
///
///     fn activate_shared(_: &IrqData<&'static u32>, _active: bool, group: &Group<'_>) {
///         group.write_message(&Message { address: 0x2800_0000, data: 32 });
///     }
/// }
///
/// fn create<T>(node: &FwNode, controller: &'static T::Host) -> Result
/// where
///     T: DomainOps<Data = &'static u32>,
/// {
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

    /// What the chip of the controller keeps with an interrupt.
    type Data: ChipData;

    /// Whether interrupts of devices on `bus` may only be moved while one of them is handled,
    /// because the devices change from one message to another in several steps.
    fn defer_moves(bus: Bus) -> bool;

    /// One of several interrupts of a device that the same message raises becomes active, or is so no
    /// more: as long as any is, the device needs the message.
    ///
    /// For the core, the message is that of the first one alone. Others may move all of them meanwhile,
    /// or become active; what excludes that is up to the controller. Any context but hardirq.
    fn activate_shared(data: &IrqData<Self::Data>, active: bool, group: &Group<'_>);
}
