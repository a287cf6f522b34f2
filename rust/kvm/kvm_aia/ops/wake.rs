// SPDX-License-Identifier: GPL-2.0

//! A vCPU waits for an interrupt.

use aia_core::{
    guest::binding::BoundTo,
    ids::Cpu, //
};
use kernel::{
    cpu::CpuId,
    interrupt::local_interrupt_disable, //
};
use kernel_ext::arch::riscv;

use crate::state::{
    imsic::VcpuImsic,
    quirks, //
};

impl VcpuImsic {
    /// Whether an interrupt is in the guest file. A file of another CPU may have one.
    ///
    /// Without a lock: who takes the file away meanwhile wakes the vCPU up afterwards. If the thread
    /// moves between the two looks at its CPU, it may take the other one's interrupts for its own; it
    /// looks again before it runs, and is woken up as soon as it waits.
    pub(crate) fn has_interrupt(&self) -> bool {
        BoundTo::unpack(self.bound.load())
            .is_some_and(|(on, line)| !is_here(on) || self.host.pending() & line.bit() != 0)
    }

    /// The vCPU's thread leaves its CPU, whyever.
    #[inline]
    pub(crate) fn leave(&self) {
        if self.mode.uses_guest_files() {
            self.set_ran(riscv::time());
        }
    }

    /// The vCPU's thread stops running to wait: lets the guest file wake it up, be it at once.
    /// Preemption is off.
    ///
    /// If the thread has come from the CPU of the file without having run the guest here, that CPU
    /// will wake it up: there it was on its way to sleep, too.
    pub(crate) fn wake_on_interrupt(&self) {
        let irqs_off = local_interrupt_disable();

        // Without the lock: the file is taken away by another vCPU on this CPU, which is busy here, or by who
        // has the vCPU's mutex, which is this thread.
        if let Some((on, line)) = BoundTo::unpack(self.bound.load()) {
            if is_here(on) {
                quirks::enable(self.host.hart(&irqs_off), line.bit());
            }
        }
    }
}

/// Whether `cpu` is the running one.
#[inline(always)]
fn is_here(cpu: Cpu) -> bool {
    cpu == Cpu::new(CpuId::current().as_u32())
}
