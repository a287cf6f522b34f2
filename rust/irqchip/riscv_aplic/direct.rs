// SPDX-License-Identifier: GPL-2.0

//! Direct delivery: each hart claims from an interrupt delivery control (IDC) of its own.
//!
//! There may be several APLICs: they share the hart's external interrupt, so its handler asks each
//! one that has an IDC for the hart. What firmware or another kernel has left in an APLIC must not
//! assert it before that APLIC is set up: the first one that is set up silences the others.

use aia_core::{
    addr::PAGE_SIZE,
    aplic::{
        domaincfg::DeliveryMode,
        idc::{
            self,
            TopInterrupt, //
        },
        regs,
        target::{
            DirectTarget,
            Iprio, //
        }, //
    },
    ids::{
        HartIndex,
        SourceId, //
    },
};
use kernel::{
    bindings,
    cpu::CpuId,
    cpumask::Cpumask,
    device::{
        property::FwNode,
        Device, //
    },
    interrupt::LocalInterruptDisabled,
    prelude::*,
    sync::SetOnce, //
};
use kernel_ext::{
    arch::riscv,
    cpuhp,
    cpumask,
    io::Mapping,
    irq::{
        chained,
        chip::{
            self,
            Moved, //
        },
        domain::Domain,
        domain_ops::Ops,
        flow::FlowHandler,
        fwspec::Fwspec,
        new::New,
        trigger::Trigger,
        Chip,
        IrqData, //
    },
    percpu::PerCpu,
    refuse,
    smp::{
        self,
        CpusReadLock, //
    },
    sync::Roster, //
};

use crate::{
    config::{
        self,
        Config,
        HartWire, //
    },
    controller::Controller,
    ffi, //
};

/// An APLIC that delivers directly.
pub(crate) struct DirectAplic {
    controller: Controller,
    /// The hart of each CPU in the domain, [`None`] for CPUs that it does not interrupt.
    harts: PerCpu<Option<HartIndex>>,
    owners: ffi::Owners,
}

/// The APLICs of the system that deliver directly.
static APLICS: Roster<DirectAplic, 16> = Roster::new();

/// The harts' external interrupt, once one of them has claimed it.
static PARENT: SetOnce<chained::Parent> = SetOnce::new();

/// How often all APLICs are asked while the external interrupt stays asserted: much longer than a
/// signal travels.
const PATIENCE: u32 = 1_000;

impl DirectAplic {
    fn new(node: &FwNode, config: &Config, wires: &[HartWire]) -> Result<Self> {
        let aplic = Self {
            controller: Controller::new(node, config, DeliveryMode::Direct)?,
            harts: PerCpu::new(|cpu| {
                Ok(wires
                    .iter()
                    .find(|wire| wire.cpu == cpu)
                    .map(|wire| wire.hart))
            })?,
            owners: ffi::Owners::new(config.nr_sources)?,
        };

        for wire in wires {
            aplic.controller.open_idc(wire.hart);
        }
        Ok(aplic)
    }

    /// Delivers interrupt `data` to the first of `cpus` that is online, or with `force` to the first
    /// one, from now on.
    ///
    /// Fails with `EINVAL` if the domain interrupts none of them.
    #[inline(always)]
    fn aim(&self, data: &IrqData<&'static Self>, cpus: &Cpumask, force: bool) -> Result {
        let source = self.controller.source(data.hwirq()).ok_or(EINVAL)?;
        let (cpu, hart) = cpumask::iter(cpus)
            .filter(|cpu| force || cpumask::is_online(*cpu))
            .find_map(|cpu| Some((cpu, (*self.harts.on(cpu)?)?)))
            .ok_or(EINVAL)?;

        if !self.controller.set_target(source, target(hart)) {
            return Err(self.not_taken(source, hart));
        }
        data.set_effective_affinity(cpu);
        Ok(())
    }

    #[cold]
    fn not_taken(&self, source: SourceId, hart: HartIndex) -> Error {
        pr_err!(
            "source {}: target does not take hart {}\n",
            source.get(),
            hart.get()
        );
        EIO
    }

    /// Handles everything that is pending for this hart; returns whether anything was.
    #[inline(always)]
    fn handle(&self, flow: &chained::Flow<'_>) -> bool {
        let irqs_off = flow.irqs_off();
        let Some(claimi) = (*self.harts.here(irqs_off)).and_then(|hart| {
            let registers = &self.controller.registers().0;

            registers.at(idc::claimi(hart)).ok()
        }) else {
            return false;
        };
        let mut claims = 0;

        loop {
            let claim = claimi.read();
            let Some(top) = TopInterrupt::from_register(claim) else {
                return claims != 0;
            };

            claims |= claim;
            match self.owners.of(top.source, irqs_off) {
                Some(descriptor) => descriptor.handle(flow),
                None => self.silence(top.source),
            }
        }
    }

    /// Keeps the interrupt of `source`, which is nobody's, from coming again.
    #[cold]
    fn silence(&self, source: SourceId) {
        self.controller.mask(source.index());
    }
}

/// What the target register holds for delivery to `hart`.
fn target(hart: HartIndex) -> u32 {
    DirectTarget {
        hart,
        iprio: Iprio::DEFAULT,
    }
    .encode()
}

/// The handler of the harts' external interrupt.
struct Entry;

impl chained::Handler for Entry {
    #[inline(always)]
    fn handle(flow: &chained::Flow<'_>) {
        for round in 0.. {
            if handle_all(flow) || !is_still_asserted(round, flow.irqs_off()) {
                return;
            }
        }
    }
}

/// Handles everything that is pending for this hart; returns whether anything was.
#[inline(always)]
fn handle_all(flow: &chained::Flow<'_>) -> bool {
    let mut any = false;

    for aplic in APLICS.iter() {
        any |= aplic.handle(flow);
    }
    any
}

/// The external interrupt has arrived, and no APLIC has had one for this hart so far: returns
/// whether to ask again.
///
/// It may have been late, and goes away (AIA 4.8.2). If it stays asserted all the time, it comes
/// from something else, which would keep the CPU from everything: it is switched off here.
#[cold]
fn is_still_asserted(round: u32, irqs_off: &LocalInterruptDisabled) -> bool {
    if !riscv::is_external_asserted(irqs_off) {
        return false;
    }
    if round < PATIENCE {
        return true;
    }

    if let Some(parent) = PARENT.as_ref() {
        parent.disable(irqs_off);
    }
    pr_err!(
        "CPU {}: the external interrupt is asserted, but by no APLIC that is set up: switched off. Is one disabled in the device tree?\n",
        CpuId::current().as_u32()
    );
    false
}

/// CPUs come and go.
struct Hotplug;

impl cpuhp::Online for Hotplug {
    fn online(_cpu: CpuId, irqs_off: &LocalInterruptDisabled) {
        if let Some(parent) = PARENT.as_ref() {
            parent.enable(irqs_off);
        }
    }

    fn offline(_cpu: CpuId, irqs_off: &LocalInterruptDisabled) {
        if let Some(parent) = PARENT.as_ref() {
            parent.disable(irqs_off);
        }
    }
}

/// The chip.
struct DirectChip;

static CHIP: Chip<&'static DirectAplic> = Chip::new(
    c"APLIC-DIRECT",
    bindings::IRQCHIP_SET_TYPE_MASKED
        | bindings::IRQCHIP_SKIP_SET_WAKE
        | bindings::IRQCHIP_MASK_ON_SUSPEND,
)
.with_mask::<DirectChip>()
.with_unmask::<DirectChip>()
.with_set_type::<DirectChip>()
.with_eoi::<DirectChip>()
.with_set_affinity::<DirectChip>();

impl chip::Ops for DirectChip {
    type Data = &'static DirectAplic;
}

impl chip::Mask for DirectChip {
    fn mask(data: &IrqData<&'static DirectAplic>, _irqs_off: &LocalInterruptDisabled) {
        data.chip_data().controller.mask(data.hwirq());
    }
}

impl chip::Unmask for DirectChip {
    fn unmask(data: &IrqData<&'static DirectAplic>, _irqs_off: &LocalInterruptDisabled) {
        data.chip_data().controller.unmask(data.hwirq());
    }
}

impl chip::SetType for DirectChip {
    fn set_type(
        data: &IrqData<&'static DirectAplic>,
        trigger: Option<Trigger>,
        _irqs_off: &LocalInterruptDisabled,
    ) -> Result {
        data.chip_data()
            .controller
            .set_trigger(data.hwirq(), trigger)
    }
}

impl chip::Eoi for DirectChip {
    /// The claim was all; the flow only wants a callback.
    fn eoi(_data: &IrqData<&'static DirectAplic>, _irqs_off: &LocalInterruptDisabled) {}
}

impl chip::SetAffinity for DirectChip {
    fn set_affinity(
        data: &IrqData<&'static DirectAplic>,
        cpus: &Cpumask,
        force: bool,
        _irqs_off: &LocalInterruptDisabled,
    ) -> Result<Moved> {
        data.chip_data().aim(data, cpus, force)?;
        Ok(Moved::AndDone)
    }
}

/// The domain of the sources.
struct DirectDomain;

impl Ops for DirectDomain {
    type Host = DirectAplic;
    type Data = &'static DirectAplic;

    fn alloc(aplic: &'static DirectAplic, new: &New<'_, &'static DirectAplic>) -> Result {
        let (first, _) = ffi::fwspec(new)
            .ok_or(EINVAL)
            .and_then(|spec| aplic.controller.translate(spec))?;

        for index in 0..new.count() {
            let hwirq = first + usize::try_from(index)?;

            aplic.controller.source(hwirq).ok_or(EINVAL)?;
            let data = new
                .set_info(index, hwirq, &CHIP, aplic, FlowHandler::FastEoi)
                .ok_or(EINVAL)?;
            let affinity = new.affinity(index).ok_or(EINVAL)?;
            let all = cpumask::possible_mask();

            data.set_single_target();
            // Before anything can come. Maybe all CPUs of the domain are offline.
            [(affinity, false), (all, false), (all, true)]
                .into_iter()
                .find_map(|(cpus, force)| aplic.aim(data, cpus, force).ok())
                .ok_or(EINVAL)?;
        }
        // Only when nothing can fail any more: nobody would take an owner back.
        for (index, hwirq) in (0..new.count()).zip(first..) {
            aplic.owners.give(hwirq, new, index);
        }
        Ok(())
    }

    fn free(aplic: &'static DirectAplic, data: &IrqData<&'static DirectAplic>) {
        aplic.owners.take(data.hwirq());
    }

    fn translate(aplic: &'static DirectAplic, spec: &Fwspec) -> Result<(usize, Trigger)> {
        aplic.controller.translate(spec)
    }
}

/// The harts' external interrupt as long as no APLIC uses it; given back when dropped.
struct External {
    // Dropped first.
    hotplug: cpuhp::Registration,
    parent: chained::Parent,
}

impl External {
    fn claim(node: &FwNode) -> Result<Self> {
        let parent = chained::Parent::of_intc(riscv::IRQ_EXT).inspect_err(|_| {
            refuse!(
                node,
                "interrupts-extended",
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
            parent.install::<Entry>();
        }
    }
}

/// Keeps APLICs that firmware describes, and that are not set up, from asserting the external
/// interrupt: their registers hold anything, and nobody would answer. One that is malformed is left
/// alone, see [`is_still_asserted`].
///
/// Those that are set up have a claim on their registers.
fn silence_others() {
    for start in config::direct_registers() {
        // CAST: Addresses are as wide as the hart.
        if let Ok(registers) = Mapping::exclusive(start, PAGE_SIZE as usize, c"riscv-aplic") {
            registers.write(regs::DOMAINCFG, 0);
        }
    }
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
pub(crate) fn setup(dev: &Device, node: &FwNode, config: &Config, wires: &[HartWire]) -> Result {
    if riscv_imsic::geometry().is_some() {
        return Err(refuse!(
            node,
            "interrupts-extended",
            "the harts' external interrupt belongs to the IMSIC"
        ));
    }

    let _one_at_a_time = ffi::setup_lock().lock();
    let aplic = KBox::new(DirectAplic::new(node, config, wires)?, GFP_KERNEL)?;

    if APLICS.is_full() {
        pr_err!("{}: too many APLICs\n", node.display_name());
        return Err(ENOSPC);
    }
    let external = match PARENT.as_ref() {
        Some(_) => None,
        None => {
            silence_others();
            Some(External::claim(node)?)
        }
    };

    let size = config.nr_sources.get() + 1;
    let aplic =
        Domain::<DirectDomain>::linear(node, size, KBox::into_pin(aplic)).inspect_err(|_| {
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

    dev_info!(
        dev,
        "{} interrupts directly connected to {} CPUs\n",
        config.nr_sources.get(),
        wires.len()
    );
    Ok(())
}

impl Drop for DirectAplic {
    fn drop(&mut self) {
        for hart in cpumask::possible().filter_map(|cpu| *self.harts.on(cpu)?) {
            self.controller.close_idc(hart);
        }
    }
}
