// SPDX-License-Identifier: GPL-2.0

//! Guest interrupt files of the hardware.

use aia_core::{
    guest::{
        binding::GuestFileLocation,
        file::{
            FileRegisters,
            Settled, //
        },
        imsic::vcpu, //
    },
    ids::{
        Cpu,
        Eiid,
        GuestIndex,
        Hgei, //
    },
    isel::{
        IndirectRegister, //
        Isel,
    }, //
};
use kernel::{
    cpu::CpuId,
    interrupt::{
        local_interrupt_disable,
        LocalInterruptDisabled, //
    },
    pr_warn_once,
    sync::barrier, //
};
use kernel_ext::{
    arch::riscv::{
        aia::FileRegister,
        hypervisor::GuestFileRegisters, //
    },
    io::DevicePage, //
};
use kvm_ext::Vcpu;
use riscv_imsic::GuestPage;

use super::{
    host::HostAia,
    quirks, //
};

/// A guest interrupt file that belongs to a vCPU; given back when dropped.
///
/// Its registers can be accessed on its own CPU only, MSIs can be stored from everywhere. Must not
/// be dropped with the lock of the vCPU's binding held.
pub(crate) struct GuestFile {
    host: &'static HostAia,
    cpu: CpuId,
    hgei: Hgei,
    settled: bool,
    page: GuestPage,
}

impl GuestFile {
    /// Takes a file of `cpu` for `vcpu`; [`None`] if none is free. It holds anything.
    pub(crate) fn alloc(host: &'static HostAia, cpu: CpuId, vcpu: &Vcpu) -> Option<Self> {
        let (hgei, settled) = host.alloc(cpu, vcpu)?;
        let page =
            GuestIndex::new(hgei.get()).and_then(|guest| riscv_imsic::guest_page(cpu, guest));

        match page {
            Some(page) => Some(Self {
                host,
                cpu,
                hgei,
                settled,
                page,
            }),
            None => {
                host.free(cpu, hgei, settled);
                None
            }
        }
    }

    /// Its page.
    pub(crate) fn page(&self) -> DevicePage {
        self.page.page
    }
}

impl GuestFileLocation for GuestFile {
    #[inline]
    fn cpu(&self) -> Cpu {
        Cpu::new(self.cpu.as_u32())
    }

    #[inline]
    fn hgei(&self) -> Hgei {
        self.hgei
    }
}

impl vcpu::GuestFile for GuestFile {
    type Registers<'a> = OwnRegisters<'a>;

    #[inline]
    fn store(&self, eiid: Eiid) {
        self.page.doorbell.write(eiid.get());
    }

    #[inline]
    fn here<R>(&self, f: impl FnOnce(&OwnRegisters<'_>) -> R) -> R {
        let irqs_off = local_interrupt_disable();

        with_registers(self.host, self.hgei, self.page, &irqs_off, f)
    }

    fn take_settled(&mut self) -> bool {
        core::mem::take(&mut self.settled)
    }

    fn set_settled(&mut self, settled: Settled) {
        self.settled = settled == Settled::Yes;
        if !self.settled {
            pr_warn_once!(
                "an MSI to a guest file of CPU {} does not arrive\n",
                self.cpu.as_u32()
            );
        }
    }
}

impl Drop for GuestFile {
    fn drop(&mut self) {
        self.host.free(self.cpu, self.hgei, self.settled);
    }
}

/// The register with this number.
#[inline(always)]
fn register(isel: Isel) -> FileRegister {
    match isel.register() {
        IndirectRegister::Eip(word) => FileRegister::eip(word.get()),
        IndirectRegister::Eie(word) => FileRegister::eie(word.get()),
        IndirectRegister::Eithreshold => FileRegister::EITHRESHOLD,
        // The protocol asks for no others of the hardware.
        IndirectRegister::Eidelivery
        | IndirectRegister::Iprio { .. }
        | IndirectRegister::Reserved => FileRegister::EIDELIVERY,
    }
}

/// Calls `f` with the registers of the guest file behind `hgei` of the running hart, if that has it.
pub(crate) fn with_registers_here<R>(
    host: &HostAia,
    hgei: Hgei,
    irqs_off: &LocalInterruptDisabled,
    f: impl FnOnce(&OwnRegisters<'_>) -> R,
) -> Option<R> {
    let page = riscv_imsic::guest_page(CpuId::current(), GuestIndex::new(hgei.get())?)?;

    Some(with_registers(host, hgei, page, irqs_off, f))
}

#[inline]
fn with_registers<R>(
    host: &HostAia,
    hgei: Hgei,
    page: GuestPage,
    irqs_off: &LocalInterruptDisabled,
    f: impl FnOnce(&OwnRegisters<'_>) -> R,
) -> R {
    let hart = host.hart(irqs_off);
    let result = hart.with_guest_file(hgei.get(), |registers| f(&OwnRegisters { registers, page }));

    quirks::reassert(hart, || hart.enabled());
    result
}

/// The registers of a guest interrupt file of the running hart.
pub(crate) struct OwnRegisters<'a> {
    registers: &'a GuestFileRegisters<'a>,
    page: GuestPage,
}

impl FileRegisters for OwnRegisters<'_> {
    #[inline]
    fn read(&self, isel: Isel) -> u64 {
        self.registers.read(register(isel))
    }

    #[inline]
    fn swap(&self, isel: Isel, value: u64) -> u64 {
        self.registers.swap(register(isel), value)
    }

    #[inline]
    fn set(&self, isel: Isel, bits: u64) {
        self.registers.set(register(isel), bits);
    }

    #[inline]
    fn clear(&self, isel: Isel, bits: u64) -> u64 {
        self.registers.clear(register(isel), bits)
    }

    #[inline]
    fn store(&self, eiid: Eiid) {
        // What has been read comes before it, and device memory.
        barrier::mb(barrier::Full);
        self.page.doorbell.write(eiid.get());
    }

    #[inline]
    fn pause(&self) {
        core::hint::spin_loop();
    }
}
