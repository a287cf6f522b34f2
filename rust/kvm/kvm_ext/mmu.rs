// SPDX-License-Identifier: GPL-2.0

//! Device memory in the address space of a virtual machine.

use core::ptr;

use kernel::{
    bindings,
    error::to_result,
    interrupt::LocalInterruptDisabled,
    prelude::*, //
};

use kernel_ext::io::DevicePage;

use crate::vm::Vm;

impl Vm {
    /// Maps `page` to guest-physical address `guest`, instead of what was there; returns whether anything
    /// was. Does not sleep, but with `PREEMPT_RT`; preemption may be off.
    ///
    /// CPUs may use the former translation until they are made to [forget](Self::forget_here) it. Fails
    /// with `ENOMEM`, and leaves what was mapped, if there is no memory for a page table, and with `EFAULT`
    /// once the virtual machine has no tables any more.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::prelude::*;
    /// use kernel_ext::io::DevicePage;
    /// use kvm_ext::{Vcpu, Vm};
    ///
    /// /// Lets MSIs to a vCPU go to a guest interrupt file of the host.
    /// fn redirect(vm: &Vm, vcpu: &Vcpu, file: DevicePage) -> Result<bool> {
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
    /// fn expose(vm: &Vm) -> Result<bool> {
    ///     vm.map_device_page(0x2800_0000, 0x8000_0000)
    /// }
    /// ```
    ///
    /// ```compile_fail,E0133
    /// # use kernel::prelude::*;
    /// # use kernel_ext::io::DevicePage;
    /// # use kvm_ext::Vm;
    /// fn expose(vm: &Vm) -> Result<bool> {
    ///     vm.map_device_page(0x2800_0000, DevicePage::new(0x8000_0000))
    /// }
    /// ```
    pub fn map_device_page(&self, guest: u64, page: DevicePage) -> Result<bool> {
        // SAFETY: The virtual machine is valid.
        let former =
            unsafe { bindings::kvm_riscv_mmu_map_io_page(self.as_raw(), guest, page.address()) };

        to_result(former)?;
        Ok(former != 0)
    }

    /// Unmaps a page that [`Self::map_device_page`] has mapped, unless something else is there by
    /// now. What it says of the former translation holds in any case.
    pub fn unmap_device_page(&self, guest: u64, page: DevicePage) {
        // SAFETY: The virtual machine is valid.
        unsafe { bindings::kvm_riscv_mmu_unmap_io_page(self.as_raw(), guest, page.address()) };
    }

    /// Calls `f` on each CPU that has a vCPU loaded, which may be the running one, and waits. Does not
    /// sleep, but with `PREEMPT_RT`; preemption may be off, and interrupts must be on.
    ///
    /// Whoever loads a vCPU that was not found sees what was written before. What vCPUs that are not
    /// loaded have stored to device memory is ordered by a `fence o, w` before what the calling CPU does
    /// next.
    ///
    /// # Examples
    ///
    /// ```
    /// use kvm_ext::Vm;
    ///
    /// /// The page at guest-physical address `guest` is another one by now.
    /// fn forget(vm: &Vm, guest: u64) {
    ///     vm.call_on_loaded(|irqs_off| vm.forget_here(guest, irqs_off));
    /// }
    /// ```
    pub fn call_on_loaded<F: Fn(&LocalInterruptDisabled) + Sync>(&self, f: F) {
        // SAFETY: The virtual machine is valid. The function has the right signature for the argument,
        // which stays until it has returned everywhere, since the call waits.
        unsafe {
            bindings::kvm_riscv_call_on_loaded(
                self.as_raw(),
                Some(entry::<F>),
                ptr::from_ref(&f).cast_mut().cast(),
            )
        };
    }

    /// Makes the running CPU forget how the page at guest-physical address `guest` was translated.
    pub fn forget_here(&self, guest: u64, _irqs_off: &LocalInterruptDisabled) {
        // SAFETY: The virtual machine is valid, and the CPU has the H extension.
        unsafe { bindings::kvm_riscv_local_hfence_io_page(self.as_raw(), guest) };
    }

    /// Makes the running CPU forget how all pages of the virtual machine were translated.
    pub fn forget_all_here(&self, _irqs_off: &LocalInterruptDisabled) {
        // SAFETY: The virtual machine is valid, and the CPU has the H extension.
        unsafe { bindings::kvm_riscv_local_hfence_io_pages(self.as_raw()) };
    }
}

/// # Safety
///
/// `f` must point to an `F`, with interrupts off.
unsafe extern "C" fn entry<F: Fn(&LocalInterruptDisabled) + Sync>(f: *mut c_void) {
    // SAFETY: By the requirements of this function; several CPUs may use it at a time.
    let f = unsafe { &*f.cast::<F>() };

    // SAFETY: Functions are called with interrupts off.
    f(unsafe { LocalInterruptDisabled::assume_disabled() });
}
