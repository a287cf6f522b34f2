// SPDX-License-Identifier: GPL-2.0

//! The vCPUs of a virtual machine.

use core::{
    marker::PhantomData,
    ptr::{
        addr_of,
        NonNull, //
    }, //
};

use kernel::{
    bindings,
    prelude::*,
    types::NotThreadSafe, //
};

use crate::{
    vcpu::{
        Vcpu,
        VcpuLocked, //
    },
    vm::{
        Vm,
        VmLocked, //
    }, //
};

impl Vm {
    /// One more than the highest index of a vCPU.
    pub const MAX_VCPUS: u32 = bindings::KVM_MAX_VCPUS;

    /// How many vCPUs there are, at least.
    #[inline]
    pub fn online_vcpus(&self) -> u32 {
        // SAFETY: The virtual machine is valid.
        unsafe { bindings::kvm_online_vcpus(self.as_raw()) }.unsigned_abs()
    }

    /// The vCPU with this index.
    ///
    /// The index may come from a guest or from user space: speculation does not get past the end.
    #[inline]
    pub fn vcpu(&self, index: u32) -> Option<&Vcpu> {
        let index = i32::try_from(index).ok()?;
        // SAFETY: The virtual machine is valid, and any index is fine.
        let vcpu = NonNull::new(unsafe { bindings::kvm_get_vcpu(self.as_raw(), index) })?;

        // SAFETY: vCPUs live as long as their virtual machine.
        Some(unsafe { Vcpu::from_raw(vcpu.as_ptr()) })
    }

    /// The vCPU that user space has given this ID.
    pub fn vcpu_by_id(&self, id: u32) -> Option<&Vcpu> {
        let id = i32::try_from(id).ok()?;
        // SAFETY: The virtual machine is valid, and any ID is fine.
        let vcpu = NonNull::new(unsafe { bindings::kvm_get_vcpu_by_id(self.as_raw(), id) })?;

        // SAFETY: vCPUs live as long as their virtual machine.
        Some(unsafe { Vcpu::from_raw(vcpu.as_ptr()) })
    }

    /// All vCPUs, by index.
    pub fn vcpus(&self) -> impl Iterator<Item = &Vcpu> {
        (0..self.online_vcpus()).map_while(|index| self.vcpu(index))
    }
}

impl VmLocked<'_> {
    /// Whether a vCPU is being created, and not yet among [`Vm::vcpus`].
    pub fn is_vcpu_creation_in_progress(&self) -> bool {
        // SAFETY: The virtual machine is valid, and its lock is held.
        unsafe { bindings::kvm_is_vcpu_creation_in_progress(self.as_raw()) }
    }

    /// Whether a vCPU has run; fails with `EBUSY` if one runs now, or is being created.
    pub fn has_run(&self) -> Result<bool> {
        let _stopped = self.try_lock_vcpus()?;

        Ok(self
            .vcpus()
            // SAFETY: The vCPU's mutex is held, so nobody writes to the field.
            .any(|vcpu| unsafe { addr_of!((*vcpu.as_raw()).arch.ran_atleast_once).read() }))
    }

    /// Takes the mutexes of all vCPUs, so that none runs.
    ///
    /// Fails with `EBUSY` if one runs now, or is being created.
    pub fn try_lock_vcpus(&self) -> Result<VcpusLocked<'_>> {
        // C warns of the latter.
        if self.is_vcpu_creation_in_progress()
            // SAFETY: The virtual machine is valid, and its lock is held.
            || unsafe { bindings::kvm_trylock_all_vcpus(self.as_raw()) } != 0
        {
            return Err(EBUSY);
        }
        Ok(VcpusLocked {
            vm: self.vm(),
            _vm_lock: PhantomData,
            _not_send: NotThreadSafe,
        })
    }
}

/// The vCPUs of a virtual machine, whose mutexes, and `kvm->lock`, the running task holds.
///
/// # Examples
///
/// ```
/// use kernel::prelude::*;
/// use kvm_ext::{VcpusLocked, Vm};
///
/// /// Takes the external interrupts of all vCPUs away while none runs.
/// fn clear(vm: &Vm) -> Result {
///     let vm = vm.lock();
///     let vcpus = vm.try_lock_vcpus()?;
///
///     for id in 0..VcpusLocked::MAX_IDS {
///         if let Some(vcpu) = vcpus.by_id(id) {
///             vcpu.set_external_interrupt(false);
///         }
///     }
///     Ok(())
/// }
/// ```
///
/// A vCPU could be added as soon as `kvm->lock` is given up, so that it cannot be before:
///
/// ```compile_fail,E0505
/// # use kernel::prelude::*;
/// # use kvm_ext::Vm;
/// fn early(vm: &Vm) -> Result {
///     let vm = vm.lock();
///     let vcpus = vm.try_lock_vcpus()?;
///
///     drop(vm);
///     drop(vcpus);
///     Ok(())
/// }
/// ```
///
/// A [`VcpuLocked`] does not outlive the lock:
///
/// ```compile_fail,E0505
/// # use kvm_ext::VcpusLocked;
/// fn later(vcpus: VcpusLocked<'_>) {
///     let first = vcpus.by_id(0);
///
///     drop(vcpus);
///     drop(first);
/// }
/// ```
pub struct VcpusLocked<'a> {
    vm: &'a Vm,
    _vm_lock: PhantomData<&'a VmLocked<'a>>,
    _not_send: NotThreadSafe,
}

impl VcpusLocked<'_> {
    /// One more than the highest ID of a vCPU.
    pub const MAX_IDS: u32 = bindings::KVM_MAX_VCPU_IDS;

    /// The vCPU that user space has given this ID.
    pub fn by_id(&self, id: u32) -> Option<VcpuLocked<'_>> {
        let vcpu = self.vm.vcpu_by_id(id)?;

        // SAFETY: All mutexes are held as long as `self` lives, which is borrowed for as long as the
        // value does.
        Some(unsafe { vcpu.assume_locked() })
    }
}

impl Drop for VcpusLocked<'_> {
    fn drop(&mut self) {
        // SAFETY: Locked when the value was made, by the same task; no vCPU can be added since,
        // because `kvm->lock` is held.
        unsafe { bindings::kvm_unlock_all_vcpus(self.vm.as_raw()) };
    }
}
