// SPDX-License-Identifier: GPL-2.0

//! Set-up.

use aia_core::aplic::msi_addr::MsiAddrConfig;
use kernel::{
    device::{
        property::FwNode,
        Core,
        Device, //
    },
    prelude::*, //
};
use kernel_ext::{
    msi::wired,
    refuse, //
};

use super::{
    aplic::MsiAplic,
    chip::CHIP,
    domain::MsiDomain,
    published::APLICS, //
};
use crate::{
    config::{
        AplicConfig,
        HartWire, //
    },
    power, //
};

/// Sets the APLIC of `node` up to deliver MSIs.
///
/// Fails with `EPROBE_DEFER` as long as there is no MSI controller, before anything is touched.
pub(crate) fn setup(
    dev: &Device<Core<'_>>,
    node: &FwNode,
    config: &AplicConfig,
    harts: &[HartWire],
) -> Result {
    let geometry = riscv_imsic::geometry().ok_or_else(|| {
        refuse!(node, (config.name)("msi-parent"), "there is no IMSIC");
        ENODEV
    })?;
    if !wired::has_parent(dev, riscv_imsic::acpi_node()) {
        return Err(EPROBE_DEFER);
    }
    let address = MsiAddrConfig::new(&geometry).map_err(|error| {
        refuse!(
            node,
            (config.name)("msi-parent"),
            "{} of the IMSIC: {}",
            error.property(),
            error.message()
        )
    })?;

    let aplic = MsiAplic::new(node, config, harts, address)?;
    aplic.program_address(node)?;

    let count = config.nr_sources.get() + 1;
    let aplic = wired::create::<MsiDomain>(dev, CHIP, aplic, count).inspect_err(|_| {
        pr_err!("{}: cannot create the domain\n", node.display_name());
    })?;

    // As long as it does not deliver, nothing of it is in flight.
    if riscv_imsic::sender::register(aplic).is_err() {
        pr_warn!(
            "{}: too many APLICs: moved vectors wait for some ms instead of asking\n",
            node.display_name()
        );
    }
    if !APLICS.push(aplic) {
        pr_warn!(
            "{}: too many APLICs: this one does not outlive a time without power\n",
            node.display_name()
        );
    }
    aplic.controller.start();
    power::outlive(dev, aplic);
    dev_info!(
        dev,
        "{} interrupts forwarded to MSI base {:#018x}\n",
        config.nr_sources.get(),
        address.base().get()
    );
    Ok(())
}
