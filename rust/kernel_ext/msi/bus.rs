// SPDX-License-Identifier: GPL-2.0

//! Kinds of domains of devices that send MSIs.
//!
//! C header: [`include/linux/irqdomain_defs.h`](srctree/include/linux/irqdomain_defs.h)

use kernel::bindings;

/// The bus that a domain of device interrupts belongs to; see [`ParentOps`](super::ParentOps) for
/// an example.
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
