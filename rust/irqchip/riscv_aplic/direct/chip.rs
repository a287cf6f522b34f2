// SPDX-License-Identifier: GPL-2.0

//! The interrupt chip.

use kernel::{
    bindings,
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

pub(super) static CHIP: Chip<&'static DirectAplic> = Chip::new(
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
    fn mask(data: &IrqData<&'static DirectAplic>, _locked: &Locked) {
        data.chip_data().controller.mask(data.hwirq());
    }
}

impl chip::Unmask for DirectChip {
    fn unmask(data: &IrqData<&'static DirectAplic>, _locked: &Locked) {
        data.chip_data().controller.unmask(data.hwirq());
    }
}

impl chip::SetType for DirectChip {
    fn set_type(
        data: &IrqData<&'static DirectAplic>,
        trigger: Option<Trigger>,
        _locked: &Locked,
    ) -> Result {
        data.chip_data()
            .controller
            .set_trigger(data.hwirq(), trigger)
    }
}

impl chip::Eoi for DirectChip {
    /// The claim was all; the flow only wants a callback.
    fn eoi(_data: &IrqData<&'static DirectAplic>, _locked: &Locked) {}
}

impl chip::SetAffinity for DirectChip {
    fn set_affinity(
        data: &IrqData<&'static DirectAplic>,
        cpus: &Cpumask,
        force: bool,
        _locked: &Locked,
    ) -> Result {
        data.chip_data().aim(data, cpus, force)
    }
}
