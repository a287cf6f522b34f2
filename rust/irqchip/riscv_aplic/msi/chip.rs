// SPDX-License-Identifier: GPL-2.0

//! The interrupt chip.

use kernel::{
    prelude::*, //
};
use kernel_ext::{
    irq::{
        chip,
        desc::Locked,
        trigger::Trigger,
        Chip,
        IrqData, //
    },
    msi::Message, //
};

use super::aplic::MsiAplic;
use crate::controller::source_mode;

/// The chip. Its parent is the chip of the IMSIC.
struct MsiChip;

pub(super) const CHIP: Chip<&'static MsiAplic> = Chip::new::<MsiChip>(
    c"APLIC-MSI",
    chip::flags::SET_TYPE_MASKED | chip::flags::MASK_ON_SUSPEND,
)
.with_parent_affinity();

#[vtable]
impl chip::Operations for MsiChip {
    type Data = &'static MsiAplic;

    #[inline]
    fn mask(data: &IrqData<&'static MsiAplic>, locked: &Locked) {
        data.chip_data().controller.mask(data.hwirq());
        chip::mask_parent(data, locked);
    }

    #[inline]
    fn unmask(data: &IrqData<&'static MsiAplic>, locked: &Locked) {
        chip::unmask_parent(data, locked);
        data.chip_data().controller.unmask(data.hwirq());
    }

    fn set_type(
        data: &IrqData<&'static MsiAplic>,
        trigger: Option<Trigger>,
        _locked: &Locked,
    ) -> Result {
        data.chip_data()
            .controller
            .set_trigger(data.hwirq(), trigger)
    }

    #[inline]
    fn eoi(data: &IrqData<&'static MsiAplic>, locked: &Locked) {
        let controller = &data.chip_data().controller;

        // Another CPU handles it still, whose end comes: if the level is there until then, each MSI that
        // is sent now would interrupt this CPU for nothing.
        if data.is_in_progress() {
            return;
        }

        // A change of affinity that came while a move was in flight: the flow of level interrupts
        // has no acknowledgement that would carry it out.
        data.move_pending_at_end(locked);

        if let Some(source) = controller.source(data.hwirq()) {
            controller.retrigger(source, source_mode(data.trigger()));
        }
    }

    #[inline]
    fn write_msi(data: &IrqData<&'static MsiAplic>, message: &Message) {
        let aplic = data.chip_data();
        let Some(source) = aplic.controller.source(data.hwirq()) else {
            return;
        };

        match aplic.target(message) {
            Ok(target) => {
                aplic.controller.set_target(source, target);
                if !aplic.controller.has_taken(source, target) {
                    pr_err!(
                        "source {}: target does not take {:#x}\n",
                        source.get(),
                        target
                    );
                }
            }
            Err(_) => pr_err!(
                "source {}: cannot send {:#x} to {:#x}\n",
                source.get(),
                message.data,
                message.address
            ),
        }
    }
}
