// SPDX-License-Identifier: GPL-2.0

//! Virtual machines.

use core::{
    ops::Deref,
    ptr::{
        addr_of,
        addr_of_mut, //
    }, //
};

use kernel::{
    bindings,
    types::{
        NotThreadSafe,
        Opaque, //
    }, //
};

/// A virtual machine (`struct kvm`).
///
/// # Examples
///
/// ```
/// use kernel::{bindings, prelude::*};
/// use kvm_ext::Vm;
///
/// /// # Safety
/// ///
/// /// Only for KVM, which passes a virtual machine.
/// unsafe extern "C" fn init(kvm: *mut bindings::kvm) {
///     // SAFETY: By the requirements of this function.
///     let vm = unsafe { Vm::from_raw(kvm) };
///
///     pr_info!("{} vCPUs\n", vm.online_vcpus());
/// }
/// ```
#[repr(transparent)]
pub struct Vm(Opaque<bindings::kvm>);

// SAFETY: Nobody has one by value, only by reference, which is what `Sync` is about.
unsafe impl Send for Vm {}
// SAFETY: What needs a lock takes it, or wants to see it taken by a [`VmLocked`]; the fields that
// are accessed without are accessed atomically, or do not change.
unsafe impl Sync for Vm {}

impl Vm {
    /// Wraps a virtual machine of C.
    ///
    /// # Safety
    ///
    /// `kvm` must be valid for `'a`.
    #[inline(always)]
    pub unsafe fn from_raw<'a>(kvm: *mut bindings::kvm) -> &'a Self {
        // SAFETY: By the requirements of this function; the wrapper is transparent.
        unsafe { &*kvm.cast() }
    }

    /// The C structure.
    #[inline(always)]
    pub fn as_raw(&self) -> *mut bindings::kvm {
        self.0.get()
    }

    /// The process that made it, as the initial PID namespace knows it; it may be gone.
    pub fn pid(&self) -> i32 {
        // SAFETY: Set when the virtual machine is made.
        unsafe { addr_of!((*self.as_raw()).userspace_pid).read() }
    }

    /// Takes `kvm->lock`. May sleep.
    pub fn lock(&self) -> VmLocked<'_> {
        // SAFETY: The mutex is initialised.
        unsafe { bindings::mutex_lock(addr_of_mut!((*self.as_raw()).lock)) };
        VmLocked {
            vm: self,
            taken: true,
            _not_send: NotThreadSafe,
        }
    }

    /// The virtual machine where the caller knows that its lock is held.
    ///
    /// # Safety
    ///
    /// The calling task must hold `kvm->lock` for as long as the value lives.
    pub unsafe fn assume_locked(&self) -> VmLocked<'_> {
        VmLocked {
            vm: self,
            taken: false,
            _not_send: NotThreadSafe,
        }
    }

    /// Runs `f` with `kvm->slots_lock` held, under which the I/O buses change. May sleep.
    pub(super) fn with_slots_lock<R>(&self, f: impl FnOnce() -> R) -> R {
        // SAFETY: The mutex is initialised.
        let lock = unsafe { addr_of_mut!((*self.as_raw()).slots_lock) };

        // SAFETY: As above.
        unsafe { bindings::mutex_lock(lock) };
        let result = f();
        // SAFETY: Taken above.
        unsafe { bindings::mutex_unlock(lock) };
        result
    }
}

/// A virtual machine whose `kvm->lock` the running task holds.
///
/// # Examples
///
/// ```
/// use kvm_ext::Vm;
///
/// fn take_over(vm: &Vm) {
///     let mut vm = vm.lock();
///
///     if !vm.is_aia_initialized() {
///         vm.set_aia_in_kernel(true);
///     }
/// }
/// ```
///
/// What needs the lock cannot be called without it:
///
/// ```compile_fail,E0599
/// # use kvm_ext::Vm;
/// fn take_over(vm: &Vm) {
///     vm.set_aia_in_kernel(true);
/// }
/// ```
///
/// Who takes a mutex gives it back, so that another thread cannot be given the value:
///
/// ```compile_fail,E0277
/// # use kvm_ext::Vm;
/// fn hand_over(_: impl Send) {}
///
/// fn lock(vm: &Vm) {
///     hand_over(vm.lock());
/// }
/// ```
///
/// To say that the lock is held takes unsafe code:
///
/// ```compile_fail,E0133
/// # use kvm_ext::{Vm, VmLocked};
/// fn locked(vm: &Vm) -> VmLocked<'_> {
///     vm.assume_locked()
/// }
/// ```
pub struct VmLocked<'a> {
    vm: &'a Vm,
    taken: bool,
    _not_send: NotThreadSafe,
}

impl Deref for VmLocked<'_> {
    type Target = Vm;

    fn deref(&self) -> &Vm {
        self.vm
    }
}

impl<'a> VmLocked<'a> {
    /// The virtual machine, for longer than the lock is held.
    pub fn vm(&self) -> &'a Vm {
        self.vm
    }
}

impl Drop for VmLocked<'_> {
    fn drop(&mut self) {
        if self.taken {
            // SAFETY: Taken by `lock`, by the same task.
            unsafe { bindings::mutex_unlock(addr_of_mut!((*self.as_raw()).lock)) };
        }
    }
}
