// SPDX-License-Identifier: GPL-2.0

//! Set-up before there are devices, CPU hotplug, and unwinding if the set-up fails.

#![expect(
    unsafe_code,
    reason = "registers live as long as their mapping, which only this file can promise"
)]

use aia_core::{
    addr::PAGE_SIZE,
    vector::{
        access::HartAccess,
        operations,
        POKE, //
    }, //
};
use kernel::{
    bindings,
    cpu::CpuId,
    device::{
        property::FwNode,
        Device, //
    },
    interrupt::LocalInterruptDisabled,
    prelude::*, //
};
use kernel_ext::{
    arch::riscv::{
        self,
        aia::Aia, //
    },
    cpuhp,
    fwnode,
    io::Mapping,
    ipi_mux,
    irq::chained::{
        self,
        Parent, //
    },
    msi,
    of, //
};

use crate::{
    config::Config,
    domain::ImsicDomain,
    entry::Entry,
    ffi,
    hart::ThisHart,
    state::{
        Doorbell,
        Imsic, //
    },
    vectors::{
        to_cpu,
        Look, //
    }, //
};

/// IPIs are MSIs with the identity for pokes.
struct Ipi;

impl ipi_mux::Send for Ipi {
    fn send(cpu: CpuId) {
        if let Some(imsic) = ffi::imsic() {
            imsic.ring(to_cpu(cpu));
        }
    }
}

/// CPUs come and go.
struct Hotplug;

impl cpuhp::Prepare for Hotplug {
    fn prepare(cpu: CpuId) -> Result {
        let local = ffi::imsic().and_then(|imsic| imsic.locals.on(cpu));

        if local.ok_or(ENODEV)?.doorbell.is_none() {
            pr_err!(
                "CPU {} has no interrupt file, it stays offline\n",
                cpu.as_u32()
            );
            return Err(ENODEV);
        }
        Ok(())
    }
}

impl cpuhp::Starting for Hotplug {
    fn starting(_cpu: CpuId, irqs_off: &LocalInterruptDisabled) {
        let Some(imsic) = ffi::imsic() else {
            return;
        };
        let hart = ThisHart::new(imsic, irqs_off);

        hart.reset();
        operations::go_online(&hart);
        imsic.parent.enable(irqs_off);
        hart.deliver();
    }

    fn dying(_cpu: CpuId, irqs_off: &LocalInterruptDisabled) {
        let Some(imsic) = ffi::imsic() else {
            return;
        };
        let hart = ThisHart::new(imsic, irqs_off);

        hart.local().timer.stop();
        operations::go_offline(&hart);
        hart.disable(POKE);
    }
}

/// The doorbell of each CPU that has one.
type Doorbells = KVec<(CpuId, Doorbell)>;

/// Maps what harts use of the regions, and finds the doorbell of each CPU in them.
fn map(config: &Config) -> Result<(KVec<Mapping>, Doorbells)> {
    let mut mappings = KVec::with_capacity(config.regions.len(), GFP_KERNEL)?;

    for (index, region) in config.regions.iter().enumerate() {
        let used = config
            .harts
            .iter()
            .filter(|hart| hart.place.region == index)
            .map(|hart| hart.place.offset + (1 + u64::from(hart.place.guest_files)) * PAGE_SIZE)
            .max()
            // A region of none of our harts: the list keeps its order.
            .unwrap_or(PAGE_SIZE);

        mappings.push(
            Mapping::new(region.start.get(), usize::try_from(used)?)?,
            GFP_KERNEL,
        )?;
    }

    let mut doorbells = KVec::with_capacity(config.harts.len(), GFP_KERNEL)?;
    for hart in config.harts.iter() {
        let mapping = mappings.get(hart.place.region).ok_or(EINVAL)?;
        let offset = usize::try_from(hart.place.offset)?;
        // SAFETY: Doorbells are only kept in an `Imsic`, which drops its mappings last.
        let register = unsafe { mapping.register(offset) }?;

        doorbells.push(
            (
                hart.cpu,
                Doorbell {
                    register,
                    address: hart.place.addr.get(),
                    guest_files: hart.place.guest_files,
                },
            ),
            GFP_KERNEL,
        )?;
    }

    Ok((mappings, doorbells))
}

/// Sets the IMSIC of `node` up: interrupts can be taken, and IPIs sent, when it returns.
///
/// On an error, everything that was done is undone. Early boot, one CPU online.
pub(crate) fn init(node: &FwNode) -> Result {
    if ffi::imsic().is_some() {
        pr_err!(
            "{}: compatible: there is an IMSIC already, this one is ignored\n",
            node.display_name()
        );
        return Err(EALREADY);
    }
    let Some(aia) = Aia::detect() else {
        pr_err!("{}: not all harts have the AIA\n", node.display_name());
        return Err(ENODEV);
    };

    let config = Config::of_node(node)?;
    let parent = Parent::of_intc(riscv::IRQ_EXT).inspect_err(|_| {
        pr_err!(
            "{}: interrupts-extended: no parent interrupt controller\n",
            node.display_name()
        );
    })?;
    let (mappings, doorbells) = map(&config).inspect_err(|_| {
        pr_err!("{}: reg: cannot be mapped\n", node.display_name());
    })?;
    let imsic = Imsic::new(
        &config,
        aia,
        fwnode::Held::new(node),
        parent,
        mappings,
        &doorbells,
    )?;

    // From here on, dropping `published` takes the IMSIC back.
    let published = ffi::Published::new(KBox::new(imsic, GFP_KERNEL)?);
    let imsic = published.imsic();

    let files = cpuhp::Registration::new_prepare::<Hotplug>(c"irqchip/riscv/imsic:prepare")?;
    imsic.parent.install::<Entry<'_>>();
    let hotplug = cpuhp::Registration::new::<Hotplug>(
        bindings::cpuhp_state_CPUHP_AP_IRQ_RISCV_IMSIC_STARTING,
        c"irqchip/riscv/imsic:starting",
    )
    .inspect_err(|_| {
        pr_err!(
            "{}: the boot CPU cannot be brought up\n",
            node.display_name()
        );
    })?;

    let ours = !ffi::noipi() && !ipi_mux::is_provided();
    let late = if ours {
        None
    } else {
        Some(cpuhp::Registration::new_online::<Look>(
            c"irqchip/riscv/imsic:online",
        )?)
    };

    // Last, since the multiplexer cannot be removed.
    if ours {
        ipi_mux::create::<Ipi>(bindings::ipi_message_type_IPI_MAX, || {
            imsic.ipis.set(1);
        })
        .inspect_err(|_| {
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
    published.leak();
    of::populate_again(node);
    Ok(())
}

/// Makes the IMSIC the parent of all MSI domains, once there are devices.
pub(crate) fn probe(dev: &Device) -> Result {
    let node = dev.fwnode().ok_or(ENODEV)?;
    let imsic = ffi::imsic()
        .filter(|imsic| imsic.node.is(node))
        .ok_or_else(|| {
            pr_err!("{}: was not set up early\n", node.display_name());
            ENODEV
        })?;

    if chained::has_domain(node) {
        pr_err!("{}: has a domain already\n", node.display_name());
        return Err(EEXIST);
    }
    msi::parent::create::<ImsicDomain, ImsicDomain>(node, imsic)
        .inspect_err(|_| {
            pr_err!("{}: cannot create the domain\n", node.display_name());
        })?
        .leak();

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
