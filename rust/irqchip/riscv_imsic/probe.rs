// SPDX-License-Identifier: GPL-2.0

//! Set-up for devices: when there are some, or, with ACPI, before they are enumerated.

use kernel::{
    device::property::FwNode,
    prelude::*, //
};
use kernel_ext::{
    irq::domain,
    msi, //
};

use crate::{
    domain::ImsicDomain,
    published, //
};

/// Makes the IMSIC of `node` the parent of all MSI domains. May sleep.
pub(crate) fn probe(node: &FwNode) -> Result {
    let imsic = published::imsic()
        .filter(|imsic| imsic.node.is(node))
        .ok_or_else(|| {
            pr_err!("{}: was not set up early\n", node.display_name());
            ENODEV
        })?;

    if domain::exists_for(node) {
        pr_err!("{}: has a domain already\n", node.display_name());
        return Err(EEXIST);
    }
    msi::parent::create::<ImsicDomain, ImsicDomain>(node, imsic).inspect_err(|_| {
        pr_err!("{}: cannot create the domain\n", node.display_name());
    })?;

    let geometry = &imsic.geometry;
    pr_info!(
        "{}:  hart-index-bits: {},  guest-index-bits: {}\n",
        node.display_name(),
        geometry.hart_index_bits(),
        geometry.guest_index_bits()
    );
    pr_info!(
        "{}: group-index-bits: {}, group-index-shift: {}\n",
        node.display_name(),
        geometry.group_index_bits(),
        geometry.group_index_shift()
    );
    pr_info!(
        "{}: per-CPU IDs {} at base address {:#018x}\n",
        node.display_name(),
        imsic.nr_ids.get(),
        geometry.base().get(),
    );
    pr_info!(
        "{}: {} to {} guest files per hart\n",
        node.display_name(),
        imsic.global.fewest_guest_files(),
        imsic.global.most_guest_files(),
    );
    pr_info!(
        "{}: total {} interrupts available\n",
        node.display_name(),
        imsic.available()
    );
    Ok(())
}
