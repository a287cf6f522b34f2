// SPDX-License-Identifier: GPL-2.0

//! The host: which guest external interrupts, and with them guest interrupt files, are in use, and
//! the interrupt of a hart that says that one of them is pending.

use aia_core::{
    guest::{
        hart,
        hgei::Lines, //
    },
    ids::{
        Hgei,
        NrIds, //
    },
    word::Word, //
};
use kernel::{
    bindings,
    cpu::CpuId,
    interrupt::{
        local_interrupt_disable,
        LocalInterruptDisabled, //
    },
    prelude::*,
    static_lock_class, //
};
use kernel_ext::{
    arch::riscv::hypervisor::{
        Hypervisor,
        IRQ_S_GEXT, //
    },
    irq::percpu::{
        Handler,
        PerCpuIrq, //
    },
    percpu::PerCpu,
    smp::{
        are_interrupts_off,
        is_system_ending,
        PreemptionDisabled, //
    },
    sync::RawSpinLock, //
};
use kvm_ext::Vcpu;

use crate::{
    csr,
    ffi::{
        self,
        Owner, //
    }, //
};

pub(crate) use crate::ffi::host;

/// The interrupts that any guest has, as in `sie`.
const GUEST_INTERRUPTS: u64 =
    1 << bindings::IRQ_S_SOFT | 1 << bindings::IRQ_S_TIMER | 1 << bindings::IRQ_S_EXT;

/// One hart's guest external interrupts.
struct Hart {
    /// Rank "lines": outside of the vCPUs' bindings and of the scheduler's locks.
    lines: Pin<KBox<RawSpinLock<Lines<Owner>>>>,
    /// Whether there may be a free line, for who would take the lock in vain.
    free: Word,
    /// `hgeie` while the hart is in a state that loses it.
    saved: Word,
}

impl Hart {
    /// Changes the lines, and the word that says whether one is free with them.
    fn change<R>(&self, f: impl FnOnce(&mut Lines<Owner>) -> R) -> R {
        let mut lines = self.lines.lock();
        let result = f(&mut lines);

        self.free.store_release(lines.has_free().into());
        result
    }
}

/// What the host has for virtual machines.
pub(crate) struct Host {
    harts: PerCpu<Hart>,
    sgei: PerCpuIrq<Sgei>,
    /// The interrupts that guests have, as in `sie`.
    guest_interrupts: Word,
    /// The most identities that an interrupt file of a guest can have.
    pub(crate) max_ids: NrIds,
}

impl Host {
    /// Looks what the host has. May sleep.
    ///
    /// Fails with `ENODEV` if that is no AIA.
    pub(crate) fn new() -> Result<Self> {
        if !csr::has_aia() {
            return Err(ENODEV);
        }
        let harts = PerCpu::new(|_| {
            Ok(Hart {
                lines: KBox::pin_init(
                    RawSpinLock::new(Lines::new(), c"kvm_aia_lines", static_lock_class!()),
                    GFP_KERNEL,
                )?,
                free: Word::new(0),
                saved: Word::new(0),
            })
        })?;

        Ok(Self {
            harts,
            sgei: PerCpuIrq::of_intc(IRQ_S_GEXT, c"riscv-kvm").inspect_err(|_| {
                pr_err!("unable to request SGEI IRQ\n");
            })?,
            // Each hart takes away what its `hvien` lacks.
            guest_interrupts: Word::new(GUEST_INTERRUPTS | hart::HVIEN_PMU_OVF),
            max_ids: riscv_imsic::nr_guest_ids().unwrap_or(NrIds::MAX),
        })
    }

    /// The interrupts that guests have, as in `sie`: those that they get, and the one that `hvien`
    /// lets them have.
    pub(crate) fn guest_interrupts(&self) -> u64 {
        self.guest_interrupts.load()
    }

    /// Gives the lowest free guest external interrupt of `cpu` to `vcpu`, and says whether its file is
    /// settled.
    pub(crate) fn alloc(&self, cpu: CpuId, vcpu: &Vcpu) -> Option<(Hgei, bool)> {
        let hart = self.harts.on(cpu)?;

        if hart.free.load() == 0 {
            return None;
        }
        hart.change(|lines| {
            let line = lines.alloc(Owner::new(vcpu))?;

            Some((line, lines.is_settled(line)))
        })
    }

    /// Takes it back. The owner's lock of the binding must not be held.
    pub(crate) fn free(&self, cpu: CpuId, line: Hgei, settled: bool) {
        if let Some(hart) = self.harts.on(cpu) {
            hart.change(|lines| lines.free(line, settled));
        }
    }

    /// This CPU can run guests from now on, again if it was asleep.
    pub(crate) fn enable(&self, irqs_off: &LocalInterruptDisabled) {
        let hart = self.hart(irqs_off);
        let count = hart::lines(Csrs(hart), riscv_imsic::nr_guest_files(CpuId::current()));

        ffi::lower_nr_hgei(count);
        self.harts
            .here(irqs_off)
            .change(|lines| lines.set_count(count));
        self.without(hart::begin(Csrs(hart)));
        for line in (1..=Hgei::MAX.get()).filter_map(Hgei::new) {
            ffi::unpark(&self.harts.here(irqs_off).lines, CpuId::current(), line);
        }
        hart.enable(self.harts.here(irqs_off).saved.load());
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
            ffi::park(&here.lines, CpuId::current(), line);
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
            ffi::evict(&hart.lines, here, line);
        }
        // Nobody waits for one any more.
        self.hart(&local_interrupt_disable()).disable(!0);
        hart.saved.swap(0);
    }

    /// Saves what a state that loses the CSRs would lose.
    pub(crate) fn enter_low_power(&self, irqs_off: &LocalInterruptDisabled) {
        let saved = hart::suspend(Csrs(self.hart(irqs_off)));

        self.harts.here(irqs_off).saved.swap(saved);
    }

    /// Undoes [`Self::enter_low_power`].
    pub(crate) fn exit_low_power(&self, irqs_off: &LocalInterruptDisabled) {
        let saved = self.harts.here(irqs_off).saved.load();

        self.without(hart::resume(Csrs(self.hart(irqs_off)), saved));
    }

    /// Guests do not get `interrupts`.
    fn without(&self, interrupts: u64) {
        if interrupts != 0 {
            self.guest_interrupts.clear(interrupts);
        }
    }
}

/// The running hart's CSRs, for [`hart`].
#[derive(Clone, Copy)]
struct Csrs<'a>(Hypervisor<'a>);

impl hart::Csrs for Csrs<'_> {
    fn has_pmu_ovf(self) -> bool {
        csr::has_sscofpmf()
    }

    fn enabled(self) -> u64 {
        self.0.enabled()
    }

    fn enable(self, lines: u64) {
        self.0.enable(lines);
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

/// `hvictl` that injects nothing.
// CAST: As wide as the hart.
pub(crate) const NO_INTERRUPT: usize = hart::NO_INTERRUPT as usize;

/// `hvictl.IPRIOM`: the guest sees the priority of the top interrupt in `stopi` (AIA 6.3.3).
pub(crate) const SHOW_PRIORITIES: usize = 1 << 8;

/// A guest external interrupt is pending that was enabled: that of a vCPU that waits.
struct Sgei;

impl Handler for Sgei {
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

            for (_, owner) in lines.owners(pending) {
                owner.vcpu(&lines).kick();
            }
            // Another one that comes now would interrupt again, but not always in QEMU, see
            // `Hypervisor::reassert`.
        }
    }
}
