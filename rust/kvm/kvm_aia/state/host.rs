// SPDX-License-Identifier: GPL-2.0

//! The host: which guest external interrupts, and with them guest interrupt files, are in use.

#![expect(
    unsafe_code,
    reason = "CSRs that harts must have, and vCPUs by their addresses"
)]

use core::ptr::NonNull;

use aia_core::{
    guest::{
        hart,
        hgei::Lines,
        power::SavedFiles, //
    },
    ids::{
        Hgei,
        NrIds, //
    },
    word::Word, //
};
use kernel::{
    cpu::CpuId,
    interrupt::LocalInterruptDisabled,
    prelude::*,
    static_lock_class,
    sync::{
        lock::Guard,
        new_mutex,
        Mutex, //
    }, //
};
use kernel_ext::{
    alloc,
    arch::riscv::{
        aia::Aia,
        hypervisor::{
            self,
            Hypervisor,
            GUEST_INTERRUPTS,
            IRQ_S_GEXT, //
        }, //
    },
    irq::percpu::{
        PerCpuHandler,
        PerCpuIrq, //
    },
    percpu::PerCpu,
    sync::{
        raw_spinlock::RawSpinLockBackend,
        RawSpinLock, //
    },
    time::monotonic_ns, //
};
use kvm_ext::Vcpu;

/// The vCPU that owns a guest external interrupt.
#[derive(Clone, Copy)]
pub(crate) struct HgeiOwner(NonNull<Vcpu>);

// SAFETY: What can be done with a vCPU can be done on any CPU.
unsafe impl Send for HgeiOwner {}

/// The lines of a hart, locked.
pub(crate) type LockedLines<'a> = Guard<'a, Lines<HgeiOwner>, RawSpinLockBackend>;

impl HgeiOwner {
    /// Makes `vcpu` an owner.
    pub(crate) fn new(vcpu: &Vcpu) -> Self {
        Self(NonNull::from(vcpu))
    }

    /// The vCPU.
    ///
    /// # Safety
    ///
    /// It frees its line, under the lock of the lines, before it is freed: the caller must hold that, or
    /// have seen to it that the vCPU waits for him.
    pub(crate) unsafe fn vcpu<'a>(self) -> &'a Vcpu {
        // SAFETY: By the requirements of this function.
        unsafe { self.0.as_ref() }
    }
}

/// The vCPUs that own those of `lines` that are in `mask`, with their lines.
pub(crate) fn owners<'a>(
    lines: &'a LockedLines<'_>,
    mask: u64,
) -> impl Iterator<Item = (Hgei, &'a Vcpu)> {
    // SAFETY: The lock is held.
    lines
        .owners(mask)
        .map(|(line, owner)| (line, unsafe { owner.vcpu() }))
}

/// One hart's guest external interrupts.
pub(crate) struct HgeiControl {
    /// Rank "lines": outside of the vCPUs' bindings and of the scheduler's locks.
    pub(crate) lines: Pin<KBox<RawSpinLock<Lines<HgeiOwner>>>>,
    /// Whether there may be a free line, for who would take the lock in vain.
    free: Word,
    /// Before this time, in nanoseconds, no line is taken from its owner for a vCPU that can do without:
    /// for who would take the lock in vain.
    pub(crate) next_steal: Word,
    /// `hgeie` while the hart is in a state that loses it.
    pub(crate) saved: Word,
    /// What guest files hold while the hart is in a deep idle state.
    pub(crate) saved_files: SavedFiles<KVVec<Word>>,
}

impl HgeiControl {
    /// Changes the lines, and the word that says whether one is free with them.
    pub(crate) fn change<R>(&self, f: impl FnOnce(&mut Lines<HgeiOwner>) -> R) -> R {
        let mut lines = self.lines.lock();
        let result = f(&mut lines);

        self.free.store_release(lines.has_free().into());
        result
    }
}

/// What the host has for virtual machines.
pub(crate) struct HostAia {
    pub(crate) harts: PerCpu<HgeiControl>,
    pub(crate) sgei: PerCpuIrq,
    /// The interrupts that guests have, as in `sie`.
    guest_interrupts: Word,
    /// The most identities that an interrupt file of a guest can have.
    pub(crate) max_ids: NrIds,
    /// Rank "moves": see [`Undisturbed`](super::undisturbed::Undisturbed).
    pub(crate) moves: Pin<KBox<Mutex<()>>>,
}

/// Places to keep what the guest files of `cpu` hold, with `nr_ids` identities each.
fn places(cpu: CpuId, nr_ids: NrIds) -> Result<KVVec<Word>> {
    if !cfg!(CONFIG_CPU_PM) {
        return Ok(KVVec::new());
    }
    let count = SavedFiles::<KVVec<Word>>::words_for(riscv_imsic::nr_guest_files(cpu), nr_ids);

    Ok(alloc::filled(count, GFP_KERNEL, || Word::new(0))?)
}

impl HostAia {
    /// Looks what the host has; `H` handles the interrupt of a hart that says that one of a vCPU is
    /// pending. May sleep.
    ///
    /// Fails with `ENODEV` if that is no AIA.
    pub(crate) fn new<H: PerCpuHandler>() -> Result<Self> {
        if Aia::detect().is_none() {
            return Err(ENODEV);
        }
        let max_ids = riscv_imsic::nr_guest_ids().unwrap_or(NrIds::MAX);
        let harts = PerCpu::new(|cpu| {
            Ok(HgeiControl {
                lines: KBox::pin_init(
                    RawSpinLock::new(Lines::new(), c"kvm_aia_lines", static_lock_class!()),
                    GFP_KERNEL,
                )?,
                free: Word::new(0),
                next_steal: Word::new(0),
                saved: Word::new(0),
                saved_files: SavedFiles::new(places(cpu, max_ids)?, max_ids),
            })
        })?;

        Ok(Self {
            harts,
            // SAFETY: KVM calls `disable` on each CPU that has called `enable`, before it is torn
            // down and when the CPU goes offline.
            sgei: unsafe { PerCpuIrq::of_intc::<H>(IRQ_S_GEXT, c"riscv-kvm") }.inspect_err(
                |_| {
                    pr_err!("unable to request SGEI IRQ\n");
                },
            )?,
            // Each hart takes away what its `hvien` lacks.
            guest_interrupts: Word::new(GUEST_INTERRUPTS | hart::HVIEN_PMU_OVF),
            max_ids,
            moves: KBox::pin_init(new_mutex!((), "kvm_aia_moves"), GFP_KERNEL)?,
        })
    }

    /// The interrupts that guests have, as in `sie`: those that they get, and the one that `hvien`
    /// lets them have.
    pub(crate) fn guest_interrupts(&self) -> u64 {
        self.guest_interrupts.load()
    }

    /// Guests do not get `interrupts`.
    pub(crate) fn without(&self, interrupts: u64) {
        if interrupts != 0 {
            self.guest_interrupts.clear(interrupts);
        }
    }

    /// Gives the lowest free guest external interrupt of `cpu` to `vcpu`, and says whether its file is
    /// settled.
    pub(crate) fn alloc(&self, cpu: CpuId, vcpu: &Vcpu) -> Option<(Hgei, bool)> {
        let hart = self.harts.on(cpu)?;

        if hart.free.load() == 0 {
            return None;
        }
        hart.change(|lines| {
            let line = lines.alloc(HgeiOwner::new(vcpu), monotonic_ns())?;

            Some((line, lines.is_settled(line)))
        })
    }

    /// Takes it back. The owner's lock of the binding must not be held.
    pub(crate) fn free(&self, cpu: CpuId, line: Hgei, settled: bool) {
        if let Some(hart) = self.harts.on(cpu) {
            hart.change(|lines| lines.free(line, settled));
        }
    }

    /// The running hart's CSRs.
    #[inline(always)]
    pub(crate) fn hart<'a>(&self, irqs_off: &'a LocalInterruptDisabled) -> Hypervisor<'a> {
        // SAFETY: KVM sets a host up only if all harts have the H extension, and `Self::new` only
        // succeeds if they have Ssaia.
        unsafe { Hypervisor::new(irqs_off) }
    }

    /// The guest external interrupts that are pending on the CPU that runs this now.
    #[inline(always)]
    pub(crate) fn pending(&self) -> u64 {
        // SAFETY: As above.
        unsafe { hypervisor::pending() }
    }
}
