// SPDX-License-Identifier: GPL-2.0

//! The state of an APLIC, and what is done with its registers.

use core::num::NonZeroU32;

use aia_core::{
    aplic::{
        domaincfg::DeliveryMode,
        idc::{
            self,
            TopInterrupt, //
        },
        target::{
            DirectTarget,
            Iprio, //
        }, //
    },
    ids::{
        HartIndex,
        SourceId, //
    },
    word::Word, //
};
use kernel::{
    cpu::CpuId,
    cpumask::Cpumask,
    device::property::FwNode,
    prelude::*, //
};
use kernel_ext::{
    cpumask,
    irq::chained,
    percpu::PerCpu,
    pm_domain::Powered, //
};

use crate::{
    config::{
        AplicConfig,
        HartWire, //
    },
    controller::Controller,
    owners::Owners, //
};

/// An APLIC that delivers directly.
pub(crate) struct DirectAplic {
    pub(super) controller: Controller,
    /// The harts of the domain, each of another CPU.
    wires: KVec<HartWire>,
    /// What target registers hold for delivery to each CPU, by its number, up to the last one that the
    /// domain interrupts; [`None`] for those that it does not.
    targets: KVec<Option<NonZeroU32>>,
    /// The offset of the register by which each CPU claims; 0 if it does not, or if there is no power.
    claims: PerCpu<Word>,
    pub(super) owners: Owners,
}

impl DirectAplic {
    pub(super) fn new(node: &FwNode, config: &AplicConfig, harts: &[HartWire]) -> Result<Self> {
        let mut wires = KVec::with_capacity(harts.len(), GFP_KERNEL)?;
        let mut targets = KVec::new();

        for wire in harts {
            if wires.iter().all(|known: &HartWire| known.cpu != wire.cpu) {
                wires.push(*wire, GFP_KERNEL)?;
            }
        }
        let last = wires.iter().map(|wire| wire.cpu.as_u32()).max();
        for cpu in 0..=last.ok_or(EINVAL)? {
            let wire = wires.iter().find(|wire| wire.cpu.as_u32() == cpu);

            targets.push(
                wire.and_then(|wire| NonZeroU32::new(target(wire.hart))),
                GFP_KERNEL,
            )?;
        }

        let aplic = Self {
            controller: Controller::new(node, config, DeliveryMode::Direct)?,
            wires,
            targets,
            claims: PerCpu::new(|_| Ok(Word::new(0)))?,
            owners: Owners::new(config.nr_sources)?,
        };

        aplic.answer(true);
        for hart in aplic.harts() {
            aplic.controller.open_idc(hart);
        }
        Ok(aplic)
    }

    /// Delivers interrupt `hwirq` to the first of `cpus` that is online, or with `force` to the first
    /// one, from now on; `tell` is told which that is.
    ///
    /// Fails with `ENOSPC` if the domain interrupts none of them: the core then tries all CPUs, for an
    /// interrupt whose CPU goes offline; and with `EIO` if the target register does not take it.
    #[inline(always)]
    pub(super) fn aim(
        &self,
        hwirq: usize,
        cpus: &Cpumask,
        force: bool,
        tell: impl Fn(CpuId),
    ) -> Result {
        let source = self.controller.source(hwirq).ok_or(EINVAL)?;
        let among = if force { cpus } else { cpumask::online_mask() };
        let cpu = cpumask::common(cpus, among).next().ok_or(ENOSPC)?;

        match self.target(cpu) {
            Some(target) => self.aim_at(source, target, || tell(cpu)),
            None => self.aim_further(source, cpumask::common(cpus, among), tell),
        }
    }

    /// As [`Self::aim`], for one of `cpus`.
    #[cold]
    #[inline(never)]
    fn aim_further(
        &self,
        source: SourceId,
        mut cpus: cpumask::Common<'_>,
        tell: impl Fn(CpuId),
    ) -> Result {
        let (cpu, target) = cpus
            .find_map(|cpu| Some((cpu, self.target(cpu)?)))
            .ok_or(ENOSPC)?;

        self.aim_at(source, target, || tell(cpu))
    }

    /// What target registers hold for delivery to `cpu`, if the domain interrupts it.
    #[inline(always)]
    fn target(&self, cpu: CpuId) -> Option<NonZeroU32> {
        // CAST: A small number.
        *self.targets.get(cpu.as_u32() as usize)?
    }

    #[inline(always)]
    fn aim_at(&self, source: SourceId, target: NonZeroU32, tell: impl FnOnce()) -> Result {
        self.controller.set_target(source, target.get());
        tell();
        // Last, so that nothing has to be kept for afterwards.
        if self.controller.takes(target.get()) {
            return Ok(());
        }
        self.check(source, target.get())
    }

    /// Fails if the register of `source` has not taken `target`.
    #[cold]
    #[inline(never)]
    fn check(&self, source: SourceId, target: u32) -> Result {
        if self.controller.has_taken(source, target) {
            return Ok(());
        }
        pr_err!(
            "source {}: target does not take {:#x}\n",
            source.get(),
            target
        );
        Err(EIO)
    }

    /// Handles everything that is pending for this hart; returns whether anything was.
    #[inline(always)]
    pub(super) fn handle(&self, flow: &chained::ChainedContext<'_>) -> bool {
        let irqs_off = flow.irqs_off();
        // CAST: As it was stored.
        let offset = self.claims.here(irqs_off).load() as usize;
        if offset == 0 {
            return false;
        }
        let Ok(claimi) = self.controller.registers().0.at(offset) else {
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

impl DirectAplic {
    /// The harts of the domain.
    fn harts(&self) -> impl Iterator<Item = HartIndex> + '_ {
        self.wires.iter().map(|wire| wire.hart)
    }

    /// Whether the handler asks the domain.
    fn answer(&self, asked: bool) {
        for wire in self.wires.iter() {
            if let Some(claims) = self.claims.on(wire.cpu) {
                // CAST: An offset of registers.
                claims.store_release(if asked {
                    idc::claimi(wire.hart) as u64
                } else {
                    0
                });
            }
        }
    }
}

impl Powered for DirectAplic {
    fn power_off(&self) {
        self.answer(false);
        self.controller.save();
    }

    fn power_on(&self) {
        // The handler asks again before anything is delivered.
        self.controller.restore(
            |domain| {
                self.answer(true);
                self.harts().all(|hart| domain.is_open(hart))
            },
            |domain| {
                self.answer(true);
                self.harts().for_each(|hart| domain.open_idc(hart));
            },
        );
    }
}

impl Drop for DirectAplic {
    fn drop(&mut self) {
        for hart in self.harts() {
            self.controller.close_idc(hart);
        }
    }
}
