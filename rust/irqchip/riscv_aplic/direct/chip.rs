// SPDX-License-Identifier: GPL-2.0

//! The interrupt chip.

use kernel::{
    cpumask::Cpumask,
    prelude::*, //
};
use kernel_ext::irq::{
    chip,
    desc::Locked,
    trigger::Trigger,
    Chip,
    IrqData, //
};

use super::aplic::DirectAplic;

/// The chip.
pub(super) struct DirectChip;

pub(super) static CHIP: Chip<&'static DirectAplic> = Chip::new::<DirectChip>(
    c"APLIC-DIRECT",
    chip::flags::SET_TYPE_MASKED | chip::flags::SKIP_SET_WAKE | chip::flags::MASK_ON_SUSPEND,
);

#[vtable]
impl chip::Operations for DirectChip {
    type Data = &'static DirectAplic;

    #[inline]
    fn mask(data: &IrqData<&'static DirectAplic>, _locked: &Locked) {
        data.chip_data().controller.mask(data.hwirq());
    }

    #[inline]
    fn unmask(data: &IrqData<&'static DirectAplic>, _locked: &Locked) {
        data.chip_data().controller.unmask(data.hwirq());
    }

    fn set_type(
        data: &IrqData<&'static DirectAplic>,
        trigger: Option<Trigger>,
        _locked: &Locked,
    ) -> Result {
        data.chip_data()
            .controller
            .set_trigger(data.hwirq(), trigger)
    }

    /// The claim was all; the flow only wants a callback.
    #[inline]
    fn eoi(_data: &IrqData<&'static DirectAplic>, _locked: &Locked) {}

    #[inline(always)]
    fn set_affinity(
        data: &IrqData<&'static DirectAplic>,
        cpus: &Cpumask,
        force: bool,
        locked: &Locked,
    ) -> Result {
        data.chip_data().aim(data.hwirq(), cpus, force, |cpu| {
            data.set_effective_affinity(cpu, locked);
        })
    }
}
