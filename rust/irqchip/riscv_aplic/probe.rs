// SPDX-License-Identifier: GPL-2.0

//! Set-up of an APLIC when its device is probed.

use kernel::{
    device::Device,
    prelude::*, //
};

use crate::{
    config::{
        AplicConfig,
        Delivery, //
    },
    direct,
    msi, //
};

/// Sets the APLIC `dev` up. On an error, everything that was done is undone.
pub(crate) fn probe(dev: &Device) -> Result {
    let node = dev.fwnode().ok_or(ENODEV)?;

    if !node.is_of_node() {
        return Err(ENODEV);
    }

    let config = AplicConfig::of_node(node)?;
    match &config.delivery {
        Delivery::Msi(harts) => msi::setup::setup(dev, node, &config, harts),
        Delivery::Direct(wires) => direct::setup::setup(dev, node, &config, wires),
    }
}
