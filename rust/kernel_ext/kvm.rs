// SPDX-License-Identifier: GPL-2.0

//! What an in-kernel interrupt controller needs of KVM.
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
