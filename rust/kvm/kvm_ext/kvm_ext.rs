// SPDX-License-Identifier: GPL-2.0

//! Safe abstractions of what an in-kernel interrupt controller needs of KVM.
//!
//! As `kernel_ext`, but part of KVM, which may be a module.
//!
//! C header: [`include/linux/kvm_host.h`](srctree/include/linux/kvm_host.h)

mod aia;
pub mod device;
pub mod io_bus;
mod irqfd;
mod loaded;
mod mmu;
mod vcpu;
mod vcpus;
mod vm;

pub use self::{
    aia::{
        guests_can_have_ssaia,
        APLIC_SIZE,
        IMSIC_SIZE, //
    },
    loaded::LoadedVcpu,
    vcpu::{
        FailedEntry,
        Statistic,
        Vcpu,
        VcpuLocked, //
    },
    vcpus::VcpusLocked,
    vm::{
        Vm,
        VmLocked, //
    },
};
