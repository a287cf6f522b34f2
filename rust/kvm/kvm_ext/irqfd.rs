// SPDX-License-Identifier: GPL-2.0

//! Interrupts of a virtual machine that user space raises, and those who wait for the guest to have
//! handled them.
//!
//! C header: [`include/linux/kvm_irqfd.h`](srctree/include/linux/kvm_irqfd.h)

use core::ptr::addr_of_mut;

use kernel::{
    bindings,
    error::to_result,
    prelude::*,
    sync::atomic::{
        Atomic,
        Relaxed, //
    }, //
};

use crate::vm::Vm;

impl Vm {
    /// Whether anybody wants to know of handled interrupts ([`Self::notify_acked`]).
    #[inline(always)]
    pub fn has_ack_notifiers(&self) -> bool {
        // SAFETY: Stays inside the structure.
        let first = unsafe { addr_of_mut!((*self.as_raw()).irq_ack_notifier_list.first) };

        // SAFETY: A field of a valid structure, only accessed atomically. Who is added after this
        // has not raised the wire of a handled interrupt.
        !unsafe { Atomic::from_ptr(first.cast::<*mut c_void>()) }
            .load(Relaxed)
            .is_null()
    }

    /// Tells those who want to know that a guest has handled the interrupt of an APLIC's source.
    /// They may change wires of the APLIC. May sleep.
    ///
    /// # Examples
    ///
    /// ```
    /// use kvm_ext::Vm;
    ///
    /// /// The guest has handled the interrupt of `source`.
    /// fn complete(vm: &Vm, source: u32) {
    ///     if vm.has_ack_notifiers() {
    ///         vm.notify_acked(source);
    ///     }
    /// }
    /// ```
    pub fn notify_acked(&self, source: u32) {
        if source < bindings::KVM_IRQCHIP_NUM_PINS {
            // SAFETY: The virtual machine is valid, and C has so many pins. It ignores what is
            // routed nowhere.
            unsafe { bindings::kvm_notify_acked_irq(self.as_raw(), 0, source) };
        }
    }

    /// Routes interrupt `n` of user space to source `n` of the APLIC, for `count` interrupts. May
    /// sleep.
    pub fn set_default_routing(&self, count: u32) -> Result {
        // SAFETY: The virtual machine is valid.
        to_result(unsafe { bindings::kvm_riscv_setup_default_irq_routing(self.as_raw(), count) })
    }
}
