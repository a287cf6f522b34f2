// SPDX-License-Identifier: GPL-2.0

//! Direct delivery: each hart claims from an interrupt delivery control (IDC) of its own.
//!
//! There may be several APLICs: they share the hart's external interrupt, so its handler asks each
//! one that has an IDC for the hart.

use aia_core::{
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
        IdcIndex, //
    },
    vector::slot::Owner,
    word::Word, //
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
    irq::{
        chained,
        chip::{
            self,
            Moved,
            Trigger, //
        },
        domain::{
            Domain,
            Flow,
            New,
            Ops, //
        },
        fwspec::Fwspec,
        Chip,
        IrqData, //
    },
    percpu::PerCpu, //
};

use crate::{
    config::{
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
    /// The descriptor of each source's interrupt, or zero.
    owners: KVec<Word>,
}

/// The APLICs of the system that deliver directly, filled from the start.
static APLICS: [SetOnce<&'static DirectAplic>; 16] = [const { SetOnce::new() }; 16];

/// The harts' external interrupt, once one of them has claimed it.
static PARENT: SetOnce<chained::Parent> = SetOnce::new();

/// Register `register` of the IDC of `hart`.
#[inline(always)]
fn idc(hart: HartIndex, register: usize) -> usize {
    regs::idc(IdcIndex::from(hart)) + register
}

impl DirectAplic {
    fn new(node: &FwNode, config: &Config, wires: &[HartWire]) -> Result<Self> {
        let controller = Controller::new(node, config, DeliveryMode::Direct)?;
        let sources = usize::try_from(config.nr_sources.get())?;
        let mut owners = KVec::with_capacity(sources + 1, GFP_KERNEL)?;

        for _ in 0..=sources {
            owners.push(Word::new(0), GFP_KERNEL)?;
        }
        Ok(Self {
            controller,
            harts: PerCpu::new(|cpu| {
                Ok(wires
                    .iter()
                    .find(|wire| wire.cpu == cpu)
                    .map(|wire| wire.hart))
            })?,
            owners,
        })
    }

    /// Lets all IDCs deliver, and points all sources at one of them: targets hold anything.
    fn start(&self, wires: &[HartWire]) -> Result {
        for wire in wires {
            self.controller.write(idc(wire.hart, regs::IDC_IFORCE), 0);
            self.controller
                .write(idc(wire.hart, regs::IDC_ITHRESHOLD), idc::ITHRESHOLD_NONE);
            self.controller
                .write(idc(wire.hart, regs::IDC_IDELIVERY), idc::IDELIVERY_ON);
        }

        let here = CpuId::current();
        let first = wires
            .iter()
            .find(|wire| wire.cpu == here)
            .or(wires.first())
            .ok_or(EINVAL)?;
        for source in self.controller.nr_sources().iter() {
            self.controller.set_target(source, target(first.hart));
        }
        Ok(())
    }

    /// Undoes [`Self::start`].
    fn stop(&self) {
        self.controller.stop();
        for hart in cpumask::possible().filter_map(|cpu| *self.harts.on(cpu)?) {
            self.controller
                .write(idc(hart, regs::IDC_IDELIVERY), idc::IDELIVERY_OFF);
        }
    }

    /// Handles everything that is pending for this hart.
    #[inline]
    fn handle(&self, flow: &chained::Flow<'_>) {
        let Some(hart) = *self.harts.here(flow.irqs_off()) else {
            return;
        };

        while let Some(top) =
            TopInterrupt::from_register(self.controller.read(idc(hart, regs::IDC_CLAIMI)))
        {
            let owner = self
                .owners
                .get(top.source.index())
                .and_then(|owner| Owner::new(owner.load()));

            match owner.and_then(ffi::descriptor) {
                Some(descriptor) => descriptor.handle(flow),
                // Nobody's: keep it from coming again.
                None => self.controller.mask(top.source.index()),
            }
        }
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
    fn handle(flow: &chained::Flow<'_>) {
        for aplic in APLICS.iter().map_while(SetOnce::as_ref) {
            aplic.handle(flow);
        }
    }
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
        let aplic = data.chip_data();
        let source = aplic.controller.source(data.hwirq()).ok_or(EINVAL)?;
        let (cpu, hart) = cpumask::iter(cpus)
            .filter(|cpu| force || cpumask::is_online(*cpu))
            .find_map(|cpu| Some((cpu, (*aplic.harts.on(cpu)?)?)))
            .ok_or(EINVAL)?;

        if !aplic.controller.set_target(source, target(hart)) {
            pr_err!(
                "source {}: target does not take hart {}\n",
                source.get(),
                hart.get()
            );
            return Err(EIO);
        }
        data.set_effective_affinity(cpu);
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
            new.set_info(index, hwirq, &CHIP, aplic, Flow::FastEoi)
                .ok_or(EINVAL)?
                .set_single_target();
        }
        // Only when nothing can fail any more: nobody would take an owner back.
        for (index, word) in (0..new.count()).zip(aplic.owners.iter().skip(first)) {
            if let Some(owner) = new.descriptor(index) {
                word.store_release(owner.addr() as u64);
            }
        }
        Ok(())
    }

    fn free(aplic: &'static DirectAplic, data: &IrqData<&'static DirectAplic>) {
        if let Some(word) = aplic.owners.get(data.hwirq()) {
            word.swap(0);
        }
    }

    fn translate(aplic: &'static DirectAplic, spec: &Fwspec) -> Result<(usize, Trigger)> {
        aplic.controller.translate(spec)
    }
}

/// Installs the handler, with the first APLIC. Fails with `ENOSPC` if there are too many.
fn prepare() -> Result {
    if PARENT.as_ref().is_none() {
        let parent = chained::Parent::of_intc(riscv::IRQ_EXT)?;

        parent.install::<Entry>();
        PARENT.populate(parent);
        cpuhp::Registration::new_online::<Hotplug>(c"irqchip/riscv/aplic:starting")?.leak();
    }
    if APLICS.iter().all(|slot| slot.as_ref().is_some()) {
        return Err(ENOSPC);
    }
    Ok(())
}

/// Sets the APLIC of `node` up to deliver directly.
pub(crate) fn setup(dev: &Device, node: &FwNode, config: &Config, wires: &[HartWire]) -> Result {
    let aplic = KBox::new(DirectAplic::new(node, config, wires)?, GFP_KERNEL)?;

    prepare()?;
    aplic.start(wires)?;

    let size = config.nr_sources.get() + 1;
    let aplic =
        Domain::<DirectDomain>::linear(node, size, KBox::into_pin(aplic)).inspect_err(|_| {
            pr_err!("{}: cannot create the domain\n", node.display_name());
        })?;
    APLICS.iter().any(|slot| slot.populate(aplic));
    aplic.controller.start();

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
        self.stop();
    }
}
