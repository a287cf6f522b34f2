// SPDX-License-Identifier: GPL-2.0

//! CPUs that come and go.

use kernel::{
    cpu::CpuId,
    interrupt::LocalInterruptDisabled, //
};
use kernel_ext::cpuhp;

use super::published::PARENT;

/// The external interrupt of a CPU is on as long as the CPU is online.
pub(super) struct Hotplug;

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
