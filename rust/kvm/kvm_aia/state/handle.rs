// SPDX-License-Identifier: GPL-2.0

//! A vCPU and its interrupt file, as the protocols of [`aia_core::guest::imsic`] see them.

use aia_core::{
    guest::{
        binding::{
            Binding,
            BoundTo,
            GuestFileLocation as _, //
        },
        imsic::vcpu::{
            self,
            Event,
            InterruptFile,
            Offline, //
        },
    },
    ids::{
        Cpu,
        NrIds, //
    },
    swfile::SwFile,
    word::Word, //
};
use kernel::{
    cpu::CpuId,
    prelude::*, //
};
use kernel_ext::smp;
use kvm_ext::{
    Statistic,
    Vcpu, //
};

use super::{
    guest_file::GuestFile,
    imsic::{
        VcpuImsic, //
        VseipRight,
    },
    trace,
    undisturbed::Undisturbed, //
};

/// A vCPU and its interrupt file.
#[derive(Clone, Copy)]
pub(crate) struct VcpuImsicRef<'a> {
    vcpu: &'a Vcpu,
    imsic: &'a VcpuImsic,
}

impl<'a> VcpuImsicRef<'a> {
    /// They belong together.
    #[inline(always)]
    pub(crate) fn new(vcpu: &'a Vcpu, imsic: &'a VcpuImsic) -> Self {
        Self { vcpu, imsic }
    }
}

/// The external interrupt of a vCPU in `hvip`, and the right to change it.
pub(crate) struct Vseip<'a> {
    vcpu: &'a Vcpu,
    _right: &'a mut VseipRight,
}

impl vcpu::Vseip for Vseip<'_> {
    #[inline]
    fn is_pending(&self) -> bool {
        self.vcpu.has_external_interrupt()
    }

    #[inline]
    fn set(&mut self, pending: bool) {
        self.vcpu.set_external_interrupt(pending);
    }
}

impl InterruptFile for VcpuImsicRef<'_> {
    type File = GuestFile;
    type Vseip<'a> = Vseip<'a>;
    type Error = Error;

    #[inline]
    fn with_binding<R: Send>(self, f: impl FnOnce(&mut Binding<GuestFile>) -> R + Send) -> R {
        self.imsic.binding.with(f)
    }

    #[inline]
    fn bound(&self) -> &Word {
        &self.imsic.bound
    }

    #[inline]
    fn sw_file(&self) -> &SwFile {
        &self.imsic.sw_file
    }

    #[inline]
    fn with_vseip(self, f: impl FnOnce(&mut Vseip<'_>) + Send) {
        self.imsic.vseip.with(|right| {
            f(&mut Vseip {
                vcpu: self.vcpu,
                _right: right,
            })
        });
    }

    #[inline]
    fn hart_ids(self) -> NrIds {
        self.imsic.host.max_ids
    }

    fn map(self, file: &GuestFile) -> Result {
        let (vm, address) = (self.vcpu.vm(), self.imsic.address);

        // Others may have unmapped the page of a file that we leave. Then nobody has waited for stores to it.
        let leaves = !BoundTo::is_software(self.imsic.bound.load());

        if vm.map_device_page(address.get(), file.page())? || leaves {
            self.imsic.translations.changed(vm, address);
        } else {
            self.imsic.translations.added(address);
        }
        Ok(())
    }

    fn unmap(self, file: &GuestFile) {
        let (vm, address) = (self.vcpu.vm(), self.imsic.address);

        vm.unmap_device_page(address.get(), file.page());
        self.imsic.translations.changed(vm, address);
    }

    fn call_on<R: Send>(self, cpu: Cpu, f: impl FnOnce() -> R + Send) -> Result<R, Offline> {
        let cpu = CpuId::from_u32(cpu.get()).ok_or(Offline)?;

        smp::call_on(cpu, |_| f()).map_err(|_| Offline)
    }

    /// Who moves the state has preemption off, except with `PREEMPT_RT`, where KVM's `mmu_lock` sleeps,
    /// and whoever spins might keep the lock's owner from running. So this may sleep there; who is
    /// [`Undisturbed`] himself does not wait there at all, since nobody else moves a state.
    fn wait(self) {
        if cfg!(CONFIG_PREEMPT_RT) {
            drop(Undisturbed::new(self.imsic.host));
        } else {
            core::hint::spin_loop();
        }
    }

    #[inline]
    fn count(self, event: Event) {
        trace::happened(self.vcpu, event);
        self.vcpu.count(match event {
            Event::MsiToFile(_) => Statistic::MsiFile,
            Event::MsiToMemory(_) => Statistic::MsiMemory,
            Event::Moved(_) => Statistic::FileMoves,
            Event::Evicted(_) => Statistic::FileEvictions,
            Event::Stole(_) => Statistic::FileSteals,
            Event::Robbed(_) => Statistic::FileLosses,
        });
    }

    fn report_lost(self, file: &GuestFile) {
        pr_warn!(
            "CPU {} is offline, the interrupts in guest file {} are lost\n",
            file.cpu().get(),
            file.hgei().get()
        );
    }
}
