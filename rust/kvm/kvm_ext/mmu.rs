// SPDX-License-Identifier: GPL-2.0

//! Device memory in the address space of a virtual machine.

use kernel::{
    bindings,
    error::to_result,
    prelude::*, //
};

use kernel_ext::io::DevicePage;

use crate::vm::Vm;

impl Vm {
    /// Maps `page` to guest-physical address `guest`, instead of what was there. Does not sleep,
    /// but with `PREEMPT_RT`; preemption may be off.
    ///
    /// When this has returned, no vCPU stores to what was there; what one has stored there is
    /// ordered by a `fence o, w` before what the calling CPU does next. Fails with `ENOMEM`, and
    /// leaves what was mapped, if there is no memory for a page table.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::prelude::*;
    /// use kernel_ext::io::DevicePage;
    /// use kvm_ext::{Vcpu, Vm};
    ///
    /// /// Lets MSIs to a vCPU go to a guest interrupt file of the host.
    /// fn redirect(vm: &Vm, vcpu: &Vcpu, file: DevicePage) -> Result {
    ///     vm.map_device_page(vcpu.imsic_addr(), file)
    /// }
    /// ```
    ///
    /// A guest can do what it wants with the page, so that the number of one is refused; what makes
    /// a [`DevicePage`] of it is unsafe:
    ///
    /// ```compile_fail,E0308
    /// # use kernel::prelude::*;
    /// # use kvm_ext::Vm;
    /// fn expose(vm: &Vm) -> Result {
    ///     vm.map_device_page(0x2800_0000, 0x8000_0000)
    /// }
    /// ```
    ///
    /// ```compile_fail,E0133
    /// # use kernel::prelude::*;
    /// # use kernel_ext::io::DevicePage;
    /// # use kvm_ext::Vm;
    /// fn expose(vm: &Vm) -> Result {
    ///     vm.map_device_page(0x2800_0000, DevicePage::new(0x8000_0000))
    /// }
    /// ```
    pub fn map_device_page(&self, guest: u64, page: DevicePage) -> Result {
        // SAFETY: The virtual machine is valid.
        to_result(unsafe {
            bindings::kvm_riscv_mmu_map_io_page(self.as_raw(), guest, page.address())
        })
    }

    /// Unmaps a page that [`Self::map_device_page`] has mapped, unless something else is there by
    /// now. What it says of stores holds in any case.
    pub fn unmap_device_page(&self, guest: u64, page: DevicePage) {
        // SAFETY: The virtual machine is valid.
        unsafe { bindings::kvm_riscv_mmu_unmap_io_page(self.as_raw(), guest, page.address()) };
    }
}
