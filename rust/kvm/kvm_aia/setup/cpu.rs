// SPDX-License-Identifier: GPL-2.0

//! CPUs come and go, and lose their CSRs in between.

use aia_core::{
    guest::hart,
    ids::Hgei, //
};
use kernel::{
    cpu::CpuId,
    interrupt::{
        local_interrupt_disable,
        LocalInterruptDisabled, //
    }, //
};
use kernel_ext::{
    arch::riscv::{
        hypervisor::Hypervisor,
        isa, //
    },
    irqflags::are_interrupts_off,
    preempt::PreemptionDisabled,
    system::is_system_ending, //
};

use crate::{
    ops::evict,
    state::{
        guest_file::{
            with_registers_here,
            OwnRegisters, //
        },
        host::{
            HostAia,
            LockedLines, //
        },
        limits::lower_nr_hgei,
        quirks, //
    }, //
};

impl HostAia {
    /// This CPU can run guests from now on, again if it was asleep.
    pub(crate) fn enable(&self, irqs_off: &LocalInterruptDisabled) {
        let hart = self.hart(irqs_off);
        let count = hart::lines(Csrs(hart), riscv_imsic::nr_guest_files(CpuId::current()));

        lower_nr_hgei(count);
        self.harts
            .here(irqs_off)
            .change(|lines| lines.set_count(count));
        self.without(hart::begin(Csrs(hart)));
        for line in (1..=Hgei::MAX.get()).filter_map(Hgei::new) {
            evict::unpark(self.harts.here(irqs_off), CpuId::current(), line);
        }
        quirks::enable(hart, self.harts.here(irqs_off).saved.load());
        self.sgei.enable(irqs_off);
    }

    /// This CPU cannot run guests any more, or all of the system goes to sleep, or ends.
    pub(crate) fn disable(&self) {
        // Before interrupts are off here.
        let stopped = are_interrupts_off();
        // Who waits for a file to be released spins, see `VcpuImsicRef::wait`.
        let _undisturbed = (!cfg!(CONFIG_PREEMPT_RT)).then(PreemptionDisabled::new);
        let irqs_off = local_interrupt_disable();

        self.cease(&irqs_off);
        if is_system_ending() {
            // This interrupts whatever runs, and nobody needs what is in the files.
        } else if stopped {
            self.sleep(&irqs_off);
        } else {
            drop(irqs_off);
            self.evict_all();
        }
    }

    /// This CPU takes no interrupts of guests any more.
    fn cease(&self, irqs_off: &LocalInterruptDisabled) {
        hart::end(Csrs(self.hart(irqs_off)));
        self.sgei.disable(irqs_off);
    }

    /// All of the system goes to sleep, and this is the last CPU: no task runs before it is back. The
    /// guest files and `hgeie` may be lost, and are kept for [`Self::enable`]. They stay with their
    /// vCPUs: to take them away needs KVM's `mmu_lock`, which sleeps with `PREEMPT_RT`.
    fn sleep(&self, irqs_off: &LocalInterruptDisabled) {
        let here = self.harts.here(irqs_off);

        here.saved.swap(self.hart(irqs_off).enabled());
        for line in (1..=Hgei::MAX.get()).filter_map(Hgei::new) {
            evict::park(here, CpuId::current(), line);
        }
    }

    /// This CPU goes offline: whoever has a guest file here loses it.
    ///
    /// No vCPU's thread can run here any more, so that nobody takes another file.
    fn evict_all(&self) {
        let here = CpuId::current();
        let Some(hart) = self.harts.on(here) else {
            return;
        };

        for line in (1..=Hgei::MAX.get()).filter_map(Hgei::new) {
            evict::evict(hart, here, line);
        }
        // Nobody waits for one any more.
        self.hart(&local_interrupt_disable()).disable(!0);
        hart.saved.swap(0);
    }

    /// Saves what a state that loses the CSRs and the guest files would lose.
    pub(crate) fn enter_low_power(&self, irqs_off: &LocalInterruptDisabled) {
        let here = self.harts.here(irqs_off);

        here.saved.swap(hart::suspend(Csrs(self.hart(irqs_off))));
        self.each_file(&here.lines.lock(), irqs_off, |line, file| {
            here.saved_files.save(line, file);
        });
    }

    /// Undoes [`Self::enter_low_power`].
    pub(crate) fn exit_low_power(&self, irqs_off: &LocalInterruptDisabled) {
        let here = self.harts.here(irqs_off);

        let mut lines = here.lines.lock();

        // One that was given back meanwhile is nobody's, and nobody knows what is in it.
        lines.unsettle();
        self.each_file(&lines, irqs_off, |line, file| {
            here.saved_files.restore(line, file);
        });
        drop(lines);
        self.without(hart::resume(Csrs(self.hart(irqs_off)), here.saved.load()));
    }

    /// Calls `f` for each guest file of this CPU, whose lines are `lines`, that is somebody's. Nobody takes
    /// one meanwhile, which only a vCPU's thread does that runs here.
    fn each_file(
        &self,
        lines: &LockedLines<'_>,
        irqs_off: &LocalInterruptDisabled,
        f: impl Fn(Hgei, &OwnRegisters<'_>),
    ) {
        for (line, _) in lines.owners(!0) {
            let _ = with_registers_here(self, line, irqs_off, |file| f(line, file));
        }
    }
}

/// The running hart's CSRs, for [`hart`].
#[derive(Clone, Copy)]
struct Csrs<'a>(Hypervisor<'a>);

impl hart::Csrs for Csrs<'_> {
    fn has_pmu_ovf(self) -> bool {
        isa::has_sscofpmf()
    }

    fn enabled(self) -> u64 {
        self.0.enabled()
    }

    fn enable(self, lines: u64) {
        quirks::enable(self.0, lines);
    }

    fn disable(self, lines: u64) -> u64 {
        self.0.disable(lines)
    }

    fn swap_enabled(self, lines: u64) -> u64 {
        self.0.swap_enabled(lines)
    }

    fn write_hvictl(self, value: u64) {
        // CAST: As wide as the hart.
        self.0.write_hvictl(value as usize);
    }

    fn clear_priorities(self) {
        self.0.clear_priorities();
    }

    fn hvien(self) -> u64 {
        // CAST: As wide as the hart.
        self.0.hvien() as u64
    }

    fn change_hvien(self, mask: u64, set: bool) {
        // CAST: As wide as the hart.
        self.0.change_hvien(mask as usize, set);
    }

    fn take_guest_external(self, on: bool) {
        self.0.take_guest_external(on);
    }
}
