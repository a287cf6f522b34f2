// SPDX-License-Identifier: GPL-2.0

//! The hart looks at what waits for it, for other reasons than an interrupt.

use aia_core::vector::operations;
use kernel::{
    cpu::CpuId,
    interrupt::LocalInterruptDisabled, //
};
use kernel_ext::{
    cpuhp,
    irq_work,
    time::timer::Expired, //
};

use crate::{
    hart::ThisHart,
    published, //
};

/// The hart looks at what waits for it.
pub(crate) struct Look;

impl Look {
    fn look(irqs_off: &LocalInterruptDisabled) {
        if let Some(imsic) = published::imsic() {
            operations::sync(&ThisHart::new(imsic, irqs_off));
        }
    }
}

/// The time that something had to wait for is over.
impl Expired for Look {
    fn expired(irqs_off: &LocalInterruptDisabled) {
        Self::look(irqs_off);
    }
}

/// Another CPU has changed something.
impl irq_work::Run for Look {
    fn run(irqs_off: &LocalInterruptDisabled) {
        Self::look(irqs_off);
    }
}

/// Changes that came while the CPU was not quite online, when nobody could ask it to look.
impl cpuhp::Online for Look {
    fn online(_cpu: CpuId, irqs_off: &LocalInterruptDisabled) {
        Self::look(irqs_off);
    }

    fn offline(_cpu: CpuId, _irqs_off: &LocalInterruptDisabled) {}
}
