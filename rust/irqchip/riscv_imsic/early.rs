// SPDX-License-Identifier: GPL-2.0

//! Set-up before there are devices, and unwinding if it fails.

use aia_core::vector::POKE;
use kernel::{
    device::property::FwNode,
    prelude::*, //
};
use kernel_ext::{
    arch::riscv::{
        self,
        aia::Aia, //
    },
    cpu_pm,
    cpuhp,
    fwnode,
    ipi_mux,
    irq::chained::ChainedIrq,
    of, //
};

use crate::{
    config::{
        Description,
        ImsicConfig, //
    },
    doorbell,
    entry::ExternalInterrupt,
    hotplug::Hotplug,
    look::Look,
    power::LowPower,
    published::{
        self,
        Publication, //
    },
    state::Imsic, //
};

/// Sets the IMSIC of `node`, of which firmware says what `read` finds, up: interrupts can be taken, and
/// IPIs sent, when it returns.
///
/// On an error, everything that was done is undone. Early boot, one CPU online.
pub(crate) fn init(node: &FwNode, read: impl FnOnce() -> Result<Description>) -> Result {
    let said = read()?;
    let name = said.name;

    if published::imsic().is_some() {
        pr_err!(
            "{}: {}: there is an IMSIC already, this one is ignored\n",
            node.display_name(),
            name("compatible")
        );
        return Err(EALREADY);
    }
    let Some(aia) = Aia::detect() else {
        pr_err!("{}: not all harts have the AIA\n", node.display_name());
        return Err(ENODEV);
    };

    let config = ImsicConfig::new(node, said)?;
    let parent = ChainedIrq::of_intc(riscv::IRQ_EXT).inspect_err(|_| {
        pr_err!(
            "{}: {}: no parent interrupt controller\n",
            node.display_name(),
            name("interrupts-extended")
        );
    })?;
    let (mappings, doorbells) = doorbell::map(&config).inspect_err(|_| {
        pr_err!(
            "{}: {}: cannot be mapped\n",
            node.display_name(),
            name("reg")
        );
    })?;
    let imsic = Imsic::new::<Look>(
        &config,
        aia,
        fwnode::HeldNode::new(node),
        parent,
        mappings,
        &doorbells,
    )?;

    // From here on, dropping `publication` takes the IMSIC back.
    let publication = Publication::new(KBox::new(imsic, GFP_KERNEL)?);
    let imsic = publication.imsic();

    let files = cpuhp::Registration::new_prepare::<Hotplug>(c"irqchip/riscv/imsic:prepare")?;
    imsic.parent.install::<ExternalInterrupt<'_>>();
    let hotplug = cpuhp::Registration::new::<Hotplug>(
        cpuhp::State::RISCV_IMSIC_STARTING,
        c"irqchip/riscv/imsic:starting",
    )
    .inspect_err(|_| {
        pr_err!(
            "{}: the boot CPU cannot be brought up\n",
            node.display_name()
        );
    })?;

    let power = cpu_pm::Registration::new::<LowPower>()?;

    let ours = !published::noipi() && !ipi_mux::is_provided();
    let late = if ours {
        None
    } else {
        Some(cpuhp::Registration::new_online::<Look>(
            c"irqchip/riscv/imsic:online",
        )?)
    };

    // Last, since the multiplexer cannot be removed.
    if ours {
        ipi_mux::create(&imsic.locals).inspect_err(|_| {
            pr_err!("{}: cannot provide IPIs\n", node.display_name());
        })?;
        pr_info!(
            "{}: providing IPIs using interrupt {}\n",
            node.display_name(),
            POKE.get()
        );
    }

    files.leak();
    hotplug.leak();
    late.map(cpuhp::Registration::leak);
    power.leak();
    publication.leak();
    of::populate_again(node);
    Ok(())
}
