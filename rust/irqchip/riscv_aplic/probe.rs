// SPDX-License-Identifier: GPL-2.0

//! Set-up of an APLIC when its device is probed.

use kernel::{
    device::{
        property::FwNode,
        Core,
        Device, //
    },
    prelude::*, //
};
#[cfg(CONFIG_ACPI)]
use kernel_ext::acpi;
use kernel_ext::ioport::Range;

use crate::{
    config::{
        self,
        AplicConfig,
        Delivery,
        Description, //
    },
    direct,
    msi, //
};

/// What firmware says of the APLIC of `node`; `registers` are those of its device.
fn read(node: &FwNode, registers: Option<Range>) -> Result<Description> {
    #[cfg(CONFIG_ACPI)]
    if !node.is_of_node() {
        let has_imsic = riscv_imsic::acpi_node().is_some();

        return config::acpi::read(node, registers, crate::described::all(), has_imsic);
    }
    // A device tree says it in more detail.
    let _ = registers;
    config::of::read(node)
}

/// Sets the APLIC `dev`, which firmware gives the registers `registers`, up. On an error, everything
/// that was done is undone.
pub(crate) fn probe(dev: &Device<Core<'_>>, registers: Option<Range>) -> Result {
    let node = dev.fwnode().ok_or(ENODEV)?;
    let config = AplicConfig::new(node, read(node, registers)?)?;

    match &config.delivery {
        Delivery::Msi(harts) => msi::setup::setup(dev, node, &config, harts),
        Delivery::Direct(wires) => direct::setup::setup(dev, node, &config, wires),
    }?;

    // Devices with wired interrupts are made from now on.
    #[cfg(CONFIG_ACPI)]
    if !node.is_of_node() {
        acpi::clear_dependencies(dev);
    }
    Ok(())
}
