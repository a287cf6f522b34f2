// SPDX-License-Identifier: GPL-2.0

//! Safe abstractions of what an in-kernel interrupt controller needs of KVM.
//!
//! As `kernel_ext`, but part of KVM, which may be a module.
//!
//! C header: [`include/linux/kvm_host.h`](srctree/include/linux/kvm_host.h)

pub mod csr;
pub mod device;
pub mod io_bus;
mod vcpu;
mod vm;

pub use self::{
    vcpu::{
        Vcpu,
        VcpuLocked, //
    },
    vm::{
        AiaConfig,
        VcpusLocked,
        Vm,
        VmLocked, //
    },
};
