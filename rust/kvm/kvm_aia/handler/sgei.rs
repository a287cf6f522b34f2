// SPDX-License-Identifier: GPL-2.0

//! The interrupt of a hart that says that a guest file has an interrupt.

use kernel::interrupt::LocalInterruptDisabled;
use kernel_ext::irq::percpu::PerCpuHandler;

use crate::{
    published::host,
    state::{
        host::owners,
        quirks, //
    }, //
};

/// A guest external interrupt is pending that was enabled: that of a vCPU that waits.
pub(crate) struct SgeiHandler;

impl PerCpuHandler for SgeiHandler {
    fn handle(irqs_off: &LocalInterruptDisabled) {
        let Some(host) = host() else {
            return;
        };
        let hart = host.hart(irqs_off);
        let mut enabled = hart.enabled();

        loop {
            let pending = hart.pending() & enabled;

            if pending == 0 {
                break;
            }
            // Their vCPUs enable them again when they wait again.
            enabled = hart.disable(pending) & !pending;
            let lines = host.harts.here(irqs_off).lines.lock();

            for (_, vcpu) in owners(&lines, pending) {
                vcpu.kick();
            }
            // Another one that comes now interrupts again.
            if !quirks::loses_sgei() {
                break;
            }
        }
    }
}
