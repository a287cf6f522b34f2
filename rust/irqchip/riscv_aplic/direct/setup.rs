// SPDX-License-Identifier: GPL-2.0

//! Set-up.

use aia_core::{
    addr::PAGE_SIZE,
    aplic::regs, //
};
use kernel::{
    device::{
        property::FwNode,
        Core,
        Device, //
    },
    prelude::*, //
};
use kernel_ext::{
    arch::riscv,
    cpuhp,
    cpuhplock::CpusReadLock,
    cpumask,
    io::Mapping,
    irq::{
        chained,
        domain, //
    },
    refuse,
    smp, //
};

use super::{
    aplic::DirectAplic,
    domain::DirectDomain,
    handler::IdcHandler,
    hotplug::Hotplug,
    published::{
        APLICS,
        PARENT, //
    },
    setup_lock::setup_lock, //
};
use crate::{
    config::{
        self,
        AplicConfig,
        HartWire, //
    },
    power, //
};

/// The harts' external interrupt as long as no APLIC uses it; given back when dropped.
struct External {
    // Dropped first.
    hotplug: cpuhp::Registration,
    parent: chained::ChainedIrq,
}

impl External {
    fn claim(node: &FwNode, config: &AplicConfig) -> Result<Self> {
        let parent = chained::ChainedIrq::of_intc(riscv::IRQ_EXT).inspect_err(|_| {
            refuse!(
                node,
                (config.name)("interrupts-extended"),
                "another controller has the harts' external interrupt, or there is none"
            );
        })?;
        // CPUs that come meanwhile do nothing.
        let hotplug = cpuhp::Registration::new_online::<Hotplug>(c"irqchip/riscv/aplic:starting")?;

        Ok(Self { hotplug, parent })
    }

    /// Lets the interrupt arrive, when at least one APLIC is known.
    fn publish(self) {
        PARENT.populate(self.parent);
        self.hotplug.leak();
        if let Some(parent) = PARENT.as_ref() {
            parent.install::<IdcHandler>();
        }
    }
}

/// Keeps APLICs that firmware describes, and that are not set up, from asserting the external
/// interrupt: their registers hold anything, and nobody would answer. One that is malformed is left
/// alone, see [`handler`](super::handler).
///
/// Those that are set up have a claim on their registers.
fn silence_others() {
    let silence = |range| {
        // CAST: Addresses are as wide as the hart.
        if let Ok(registers) = <Mapping>::exclusive(&range, PAGE_SIZE as usize, c"riscv-aplic") {
            registers.write(regs::DOMAINCFG, 0);
        }
    };

    config::of::direct_registers().for_each(silence);
    #[cfg(CONFIG_ACPI)]
    crate::described::registers().for_each(silence);
}

/// Switches the external interrupt on for all CPUs: for the first APLIC, and for another one where
/// it was asserted for too long. CPUs that come online do so themselves.
fn enable_everywhere() {
    let Some(parent) = PARENT.as_ref() else {
        return;
    };
    let _cpus = CpusReadLock::new();

    for cpu in cpumask::iter(cpumask::online_mask()) {
        // Online, as just found out.
        let _ = smp::call_on(cpu, |irqs_off| parent.enable(irqs_off));
    }
}

/// Sets the APLIC of `node` up to deliver directly.
pub(crate) fn setup(
    dev: &Device<Core<'_>>,
    node: &FwNode,
    config: &AplicConfig,
    wires: &[HartWire],
) -> Result {
    if riscv_imsic::geometry().is_some() {
        return Err(refuse!(
            node,
            (config.name)("interrupts-extended"),
            "the harts' external interrupt belongs to the IMSIC"
        ));
    }

    let _one_at_a_time = setup_lock().lock();
    let aplic = KBox::new(DirectAplic::new(node, config, wires)?, GFP_KERNEL)?;

    if APLICS.is_full() {
        pr_err!("{}: too many APLICs\n", node.display_name());
        return Err(ENOSPC);
    }
    let external = match PARENT.as_ref() {
        Some(_) => None,
        None => {
            silence_others();
            Some(External::claim(node, config)?)
        }
    };

    let size = config.nr_sources.get() + 1;
    let aplic = domain::create_linear::<DirectDomain>(node, size, KBox::into_pin(aplic))
        .inspect_err(|_| {
            pr_err!("{}: cannot create the domain\n", node.display_name());
        })?;

    // Nothing fails from here on. Interrupts may be set up already, but before anything is
    // delivered the handler knows the APLIC.
    APLICS.push(aplic);
    if let Some(external) = external {
        external.publish();
    }
    aplic.controller.start();
    enable_everywhere();
    power::outlive(dev, aplic);

    dev_info!(
        dev,
        "{} interrupts directly connected to {} CPUs\n",
        config.nr_sources.get(),
        wires.len()
    );
    Ok(())
}
