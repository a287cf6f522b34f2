// SPDX-License-Identifier: GPL-2.0

//! The interrupt domain.

use kernel::prelude::*;
use kernel_ext::{
    cpumask,
    irq::{
        domain_ops::DomainOps,
        flow::FlowHandler,
        fwspec::Fwspec,
        new::NewIrqs,
        trigger::Trigger,
        IrqData, //
    }, //
};

use super::{
    aplic::DirectAplic,
    chip::CHIP, //
};

/// The domain of the sources.
pub(super) struct DirectDomain;

impl DomainOps for DirectDomain {
    type Host = DirectAplic;
    type Data = &'static DirectAplic;

    fn alloc(
        aplic: &'static DirectAplic,
        new: &NewIrqs<'_, &'static DirectAplic>,
        spec: Option<&Fwspec>,
    ) -> Result {
        let (first, _) = aplic.controller.translate(spec.ok_or(EINVAL)?)?;

        for index in 0..new.count() {
            let hwirq = first + usize::try_from(index)?;

            aplic.controller.source(hwirq).ok_or(EINVAL)?;
            new.set_info(index, hwirq, &CHIP, aplic, FlowHandler::FastEoi)
                .ok_or(EINVAL)?;
            let affinity = new.affinity(index).ok_or(EINVAL)?;
            let all = cpumask::possible_mask();

            new.set_single_target(index);
            // Before anything can come. Maybe all CPUs of the domain are offline.
            let found = [(affinity, false), (all, false), (all, true)]
                .into_iter()
                .any(|(cpus, force)| {
                    let tell = |cpu| new.set_effective_affinity(index, cpu);

                    aplic.aim(hwirq, cpus, force, tell).is_ok()
                });

            if !found {
                return Err(EINVAL);
            }
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
