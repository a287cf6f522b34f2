// SPDX-License-Identifier: GPL-2.0

//! What CPUs remember of how the pages of a virtual machine's interrupt files are translated.

use aia_core::{
    addr::{
        Guest,
        PhysAddr, //
    },
    guest::shootdown::{
        shoot_down,
        HartTranslations,
        LoadedHarts,
        StalePages, //
    },
    ids::Cpu,
    word::Word, //
};
use kernel::{
    cpu::{
        self,
        CpuId, //
    },
    interrupt::LocalInterruptDisabled,
    prelude::*,
    sync::{
        barrier,
        Arc, //
    }, //
};
use kernel_ext::{
    alloc,
    irqflags, //
};
use kvm_ext::Vm;

/// The pages of one virtual machine that are translated otherwise than some CPU may remember.
pub(crate) struct VmTranslations(StalePages<KVec<Word>>);

impl VmTranslations {
    /// Makes it for a virtual machine that has no interrupt files yet. May sleep.
    pub(crate) fn new() -> Result<Arc<Self>> {
        // CAST: Not narrower.
        let cpus = cpu::nr_cpu_ids() as usize;
        let seen = alloc::filled(cpus, GFP_KERNEL_ACCOUNT, || Word::new(0))?;

        Ok(Arc::new(Self(StalePages::new(seen)), GFP_KERNEL_ACCOUNT)?)
    }

    /// There was no page at `page` of `vm`, and now there is one. A CPU that remembers that there is none
    /// traps, which is slow, but not wrong.
    pub(crate) fn added(&self, page: PhysAddr<Guest>) {
        self.0.add(page);
    }

    /// The page at `page` of `vm` is translated otherwise by now, or not at all: see [`shoot_down`].
    /// Interrupts are on.
    pub(crate) fn changed(&self, vm: &Vm, page: PhysAddr<Guest>) {
        shoot_down(VmHarts { vm, stale: self }, page);
    }

    /// A vCPU of `vm` was loaded on the running CPU, and there was a full barrier since. The CPU forgets
    /// what has changed since it last had one.
    #[inline(always)]
    pub(crate) fn loaded(&self, vm: &Vm) {
        // Another CPU's, if the task goes there just now: it will be loaded there.
        if self.0.is_behind(running()) {
            self.catch_up(vm);
        }
    }

    #[cold]
    fn catch_up(&self, vm: &Vm) {
        irqflags::with_interrupts_off(|irqs_off| {
            self.0.catch_up(running(), &Here { vm, irqs_off });
        });
    }
}

/// The running CPU, as the protocols know it.
#[inline(always)]
fn running() -> Cpu {
    Cpu::new(CpuId::current().as_u32())
}

/// The harts on which a virtual machine's vCPUs are loaded.
#[derive(Clone, Copy)]
struct VmHarts<'a> {
    vm: &'a Vm,
    stale: &'a VmTranslations,
}

/// The running hart.
struct Here<'a> {
    vm: &'a Vm,
    irqs_off: &'a LocalInterruptDisabled,
}

impl HartTranslations for Here<'_> {
    fn order_stores(&self) {
        barrier::mb(barrier::Full);
    }

    fn forget(&self, page: PhysAddr<Guest>) {
        self.vm.forget_here(page.get(), self.irqs_off);
    }

    fn forget_all(&self) {
        self.vm.forget_all_here(self.irqs_off);
    }
}

impl<'a> LoadedHarts for VmHarts<'a> {
    type Storage = KVec<Word>;
    type Hart<'b> = Here<'b>;

    fn stale_pages(&self) -> &StalePages<KVec<Word>> {
        &self.stale.0
    }

    fn call_on_loaded(self, f: impl Fn(Cpu, &Here<'_>) + Sync) {
        self.vm.call_on_loaded(|irqs_off| {
            f(
                running(),
                &Here {
                    vm: self.vm,
                    irqs_off,
                },
            )
        });
    }
}
