// SPDX-License-Identifier: GPL-2.0

//! Harts that lose their registers for a while: in a deep idle state, or when the system sleeps.

use kernel::interrupt::LocalInterruptDisabled;
use kernel_ext::cpu_pm;

use crate::{
    hart::ThisHart,
    published, //
};

/// A hart's interrupt file outlives a state that loses it.
pub(crate) struct LowPower;

impl cpu_pm::LowPower for LowPower {
    fn enter(irqs_off: &LocalInterruptDisabled) {
        if let Some(imsic) = published::imsic() {
            let hart = ThisHart::new(imsic, irqs_off);

            hart.local().saved.save(&hart);
        }
    }

    fn exit(irqs_off: &LocalInterruptDisabled) {
        if let Some(imsic) = published::imsic() {
            let hart = ThisHart::new(imsic, irqs_off);

            hart.reset();
            hart.local().saved.restore(&hart);
            hart.deliver();
        }
    }
}
