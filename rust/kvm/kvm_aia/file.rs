// SPDX-License-Identifier: GPL-2.0

//! Guest interrupt files of the hardware.

use aia_core::{
    addr::{
        Host as HostSpace,
        PhysAddr, //
    },
    eix::EixWord,
    guest::binding,
    ids::{
        Cpu,
        Eiid,
        GuestIndex,
        Hgei,
        NrIds, //
    },
    isel::Isel,
    swfile::Image, //
};
use kernel::{
    cpu::CpuId,
    prelude::*, //
};
use kernel_ext::{
    arch::riscv::hypervisor::Hypervisor,
    smp, //
};
use kvm_ext::Vcpu;
use riscv_imsic::GuestPage;

use crate::host::{
    host,
    Host, //
};

/// A guest interrupt file that belongs to a vCPU; given back when dropped.
///
/// Its registers can be accessed on its own CPU only, MSIs can be stored from everywhere. Must not
/// be dropped with the lock of the vCPU's binding held.
pub(crate) struct GuestFile {
    cpu: CpuId,
    hgei: Hgei,
    page: GuestPage,
}

impl binding::GuestFile for GuestFile {
    #[inline]
    fn cpu(&self) -> Cpu {
        Cpu::new(self.cpu.as_u32())
    }

    #[inline]
    fn hgei(&self) -> Hgei {
        self.hgei
    }
}

impl GuestFile {
    /// Takes a file of `cpu` for `vcpu`; [`None`] if none is free. It holds anything.
    pub(crate) fn alloc(host: &'static Host, cpu: CpuId, vcpu: &Vcpu) -> Option<Self> {
        let hgei = host.alloc(cpu, vcpu)?;
        let page =
            GuestIndex::new(hgei.get()).and_then(|guest| riscv_imsic::guest_page(cpu, guest));

        match page {
            Some(page) => Some(Self { cpu, hgei, page }),
            None => {
                host.free(cpu, hgei);
                None
            }
        }
    }

    /// The guest external interrupt that it raises.
    #[inline]
    pub(crate) fn line(&self) -> Hgei {
        self.hgei
    }

    /// The CPU that has it.
    #[inline]
    pub(crate) fn on(&self) -> CpuId {
        self.cpu
    }

    /// The physical address of its page.
    pub(crate) fn address(&self) -> PhysAddr<HostSpace> {
        self.page.address
    }

    /// Stores an MSI.
    #[inline]
    pub(crate) fn store(&self, eiid: Eiid) {
        self.page.doorbell.write(eiid.get());
    }

    /// Clears everything: nothing is pending, enabled or delivered. On its own CPU.
    pub(crate) fn clear(&self, hart: Hypervisor<'_>, nr_ids: NrIds) {
        let registers = hart.guest_file(self.hgei.get());

        registers.swap(Isel::EIDELIVERY.get(), 0);
        registers.swap(Isel::EITHRESHOLD.get(), 0);
        for word in EixWord::all(nr_ids) {
            registers.swap(Isel::eip(word).get(), 0);
            registers.swap(Isel::eie(word).get(), 0);
        }
    }

    /// Takes the state out and gives the file back. On its own CPU (AIA 6.1.2, steps 1 and 4).
    pub(crate) fn save_here(self, hart: Hypervisor<'_>, nr_ids: NrIds, image: &mut Image) {
        self.read_all(hart, nr_ids, image);
    }

    /// As [`Self::save_here`], from any CPU.
    pub(crate) fn save(self, host: &'static Host, image: &mut Image) {
        let saved = smp::call_on(self.cpu, |irqs_off| {
            self.read_all(host.hart(irqs_off), host.max_ids, image);
        });

        // A CPU does not go offline before its files are given back.
        if saved.is_err() {
            pr_warn!(
                "CPU {} is offline, the interrupts in guest file {} are lost\n",
                self.cpu.as_u32(),
                self.hgei.get()
            );
        }
    }

    fn read_all(&self, hart: Hypervisor<'_>, nr_ids: NrIds, image: &mut Image) {
        let registers = hart.guest_file(self.hgei.get());

        image.eidelivery = registers.swap(Isel::EIDELIVERY.get(), 0);
        image.eithreshold = registers.swap(Isel::EITHRESHOLD.get(), 0);
        for (word, eip, eie) in image.words_mut(nr_ids) {
            *eip = registers.swap(Isel::eip(word).get(), 0);
            *eie = registers.swap(Isel::eie(word).get(), 0);
        }
    }

    /// Adds the pending and enable bits of `image`, and loads threshold and delivery. On its own CPU
    /// (AIA 6.1.2, steps 5 and 6).
    pub(crate) fn load(&self, hart: Hypervisor<'_>, nr_ids: NrIds, image: &Image) {
        let registers = hart.guest_file(self.hgei.get());

        for (word, eip, eie) in image.words(nr_ids) {
            if eip != 0 {
                registers.set(Isel::eip(word).get(), eip);
            }
            if eie != 0 {
                registers.set(Isel::eie(word).get(), eie);
            }
        }
        registers.swap(Isel::EITHRESHOLD.get(), image.eithreshold);
        registers.swap(Isel::EIDELIVERY.get(), image.eidelivery);
    }

    /// Adds the pending bits of `image`. On its own CPU.
    pub(crate) fn pend(&self, hart: Hypervisor<'_>, nr_ids: NrIds, image: &Image) {
        if image.eip.iter().all(|eip| *eip == 0) {
            return;
        }
        let registers = hart.guest_file(self.hgei.get());

        for (word, eip, _) in image.words(nr_ids) {
            if eip != 0 {
                registers.set(Isel::eip(word).get(), eip);
            }
        }
    }
}

impl Drop for GuestFile {
    fn drop(&mut self) {
        if let Some(host) = host() {
            host.free(self.cpu, self.hgei);
        }
    }
}
