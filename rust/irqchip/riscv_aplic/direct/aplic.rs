// SPDX-License-Identifier: GPL-2.0

//! The state of an APLIC, and what is done with its registers.

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
    ffi, //
};

/// An APLIC that delivers directly.
pub(crate) struct DirectAplic {
    pub(super) controller: Controller,
    /// The hart of each CPU in the domain, [`None`] for CPUs that it does not interrupt.
    harts: PerCpu<Option<HartIndex>>,
    /// The offset of the register by which each CPU claims; 0 if it does not, or if there is no power.
    claims: PerCpu<Word>,
    pub(super) owners: ffi::Owners,
}

impl DirectAplic {
    pub(super) fn new(node: &FwNode, config: &AplicConfig, wires: &[HartWire]) -> Result<Self> {
        let aplic = Self {
            controller: Controller::new(node, config, DeliveryMode::Direct)?,
            harts: PerCpu::new(|cpu| {
                Ok(wires
                    .iter()
                    .find(|wire| wire.cpu == cpu)
                    .map(|wire| wire.hart))
            })?,
            claims: PerCpu::new(|_| Ok(Word::new(0)))?,
            owners: ffi::Owners::new(config.nr_sources)?,
        };

        aplic.answer(true);
        for wire in wires {
            aplic.controller.open_idc(wire.hart);
        }
        Ok(aplic)
    }

    /// Delivers interrupt `hwirq` to the first of `cpus` that is online, or with `force` to the first
    /// one, from now on, and returns which that is.
    ///
    /// Fails with `ENOSPC` if the domain interrupts none of them: the core then tries all CPUs, for an
    /// interrupt whose CPU goes offline.
    #[inline(always)]
    pub(super) fn aim(&self, hwirq: usize, cpus: &Cpumask, force: bool) -> Result<CpuId> {
        let source = self.controller.source(hwirq).ok_or(EINVAL)?;
        let (cpu, hart) = cpumask::iter(cpus)
            .filter(|cpu| force || cpumask::is_online(*cpu))
            .find_map(|cpu| Some((cpu, (*self.harts.on(cpu)?)?)))
            .ok_or(ENOSPC)?;

        if !self.controller.set_target(source, target(hart)) {
            return Err(self.not_taken(source, hart));
        }
        Ok(cpu)
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
    fn wires(&self) -> impl Iterator<Item = HartIndex> + '_ {
        cpumask::possible().filter_map(|cpu| *self.harts.on(cpu)?)
    }

    /// Whether the handler asks the domain.
    fn answer(&self, asked: bool) {
        for cpu in cpumask::possible() {
            if let (Some(Some(hart)), Some(claims)) = (self.harts.on(cpu), self.claims.on(cpu)) {
                // CAST: An offset of registers.
                claims.store_release(if asked { idc::claimi(*hart) as u64 } else { 0 });
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
                self.wires().all(|hart| domain.is_open(hart))
            },
            |domain| {
                self.answer(true);
                self.wires().for_each(|hart| domain.open_idc(hart));
            },
        );
    }
}

impl Drop for DirectAplic {
    fn drop(&mut self) {
        for hart in self.wires() {
            self.controller.close_idc(hart);
        }
    }
}
