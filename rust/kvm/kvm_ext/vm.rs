// SPDX-License-Identifier: GPL-2.0

//! Virtual machines.

use core::{
    marker::PhantomData,
    ops::Deref,
    ptr::{
        addr_of,
        addr_of_mut,
        NonNull, //
    }, //
};

use kernel::{
    bindings,
    error::to_result,
    prelude::*,
    sync::atomic::{
        Acquire,
        Atomic,
        Relaxed,
        Release, //
    },
    types::{
        NotThreadSafe,
        Opaque, //
    }, //
};

use crate::{
    Vcpu,
    VcpuLocked, //
};

/// A virtual machine (`struct kvm`).
#[repr(transparent)]
pub struct Vm(Opaque<bindings::kvm>);

// SAFETY: What can be done with a virtual machine can be done on any CPU.
unsafe impl Send for Vm {}
// SAFETY: What needs a lock takes it, or wants to see it taken.
unsafe impl Sync for Vm {}

/// The configuration of the interrupt controllers of a virtual machine (`struct kvm_aia`).
#[derive(Clone, Copy)]
pub struct AiaConfig {
    /// `KVM_DEV_RISCV_AIA_MODE_*`.
    pub mode: u32,
    /// Identities of an interrupt file.
    pub nr_ids: u32,
    /// Sources of the APLIC.
    pub nr_sources: u32,
    /// Width of the group index.
    pub nr_group_bits: u32,
    /// Position of the group index.
    pub nr_group_shift: u32,
    /// Width of the hart index.
    pub nr_hart_bits: u32,
    /// Width of the guest index.
    pub nr_guest_bits: u32,
    /// Guest-physical address of the APLIC, all ones for none.
    pub aplic_addr: u64,
    /// Extensions of the interface, 16 bits.
    pub extensions: u32,
}

/// C has no field for the extensions: they are in the higher half of the one for the mode.
const EXTENSIONS_SHIFT: u32 = 16;
const MODE_MASK: u32 = (1 << EXTENSIONS_SHIFT) - 1;

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

    #[inline(always)]
    fn aia(&self) -> *mut bindings::kvm_aia {
        // SAFETY: Stays inside the structure.
        unsafe { addr_of_mut!((*self.as_raw()).arch.aia) }
    }

    /// What the interrupt controllers' driver keeps with the virtual machine
    /// ([`Self::set_aia_state`]), or null. Reads that go through it see what was written before it
    /// was set.
    #[inline(always)]
    pub fn aia_state(&self) -> *mut c_void {
        // SAFETY: A field of a valid structure, only accessed atomically. Dependent loads are
        // ordered.
        unsafe { Atomic::from_ptr(addr_of_mut!((*self.aia()).aplic_state)) }.load(Relaxed)
    }

    /// Sets what [`Self::aia_state`] returns.
    pub fn set_aia_state(&self, state: *mut c_void) {
        // SAFETY: As for `aia_state`.
        unsafe { Atomic::from_ptr(addr_of_mut!((*self.aia()).aplic_state)) }.store(state, Release);
    }

    /// Whether the interrupt controllers are initialised; nothing about them changes afterwards.
    #[inline(always)]
    pub fn is_aia_initialized(&self) -> bool {
        // SAFETY: A field of a valid structure. C only reads it.
        unsafe { Atomic::from_ptr(addr_of_mut!((*self.aia()).initialized)) }.load(Acquire)
    }

    /// Whether the interrupt controllers are in the kernel.
    pub fn is_aia_in_kernel(&self) -> bool {
        // SAFETY: A field of a valid structure.
        unsafe { Atomic::from_ptr(addr_of_mut!((*self.aia()).in_kernel)) }.load(Relaxed)
    }

    /// The mode of the interrupt controllers, which does not change once they are initialised.
    #[inline]
    pub fn aia_mode(&self) -> u32 {
        // SAFETY: A field of a valid structure.
        let mode = unsafe { Atomic::from_ptr(addr_of_mut!((*self.aia()).mode)) }.load(Relaxed);

        mode & MODE_MASK
    }

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

    /// Maps the page of device memory at host-physical address `host` to guest-physical address
    /// `guest`, instead of what was there. Does not sleep, but with `PREEMPT_RT`; preemption may be
    /// off.
    ///
    /// When this has returned, no vCPU stores to what was there; what one has stored there is ordered
    /// by a `fence o, w` before what the calling CPU does next. Fails with `ENOMEM`, and leaves what
    /// was mapped, if there is no memory for a page table.
    pub fn map_device_page(&self, guest: u64, host: u64) -> Result {
        // SAFETY: The virtual machine is valid.
        to_result(unsafe { bindings::kvm_riscv_mmu_map_io_page(self.as_raw(), guest, host) })
    }

    /// Unmaps a page that [`Self::map_device_page`] has mapped, unless something else is there by
    /// now. What it says of stores holds in any case.
    pub fn unmap_device_page(&self, guest: u64, host: u64) {
        // SAFETY: The virtual machine is valid.
        unsafe { bindings::kvm_riscv_mmu_unmap_io_page(self.as_raw(), guest, host) };
    }

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
    pub fn notify_acked(&self, source: u32) {
        // SAFETY: The virtual machine is valid. C ignores what is routed nowhere.
        unsafe { bindings::kvm_notify_acked_irq(self.as_raw(), 0, source) };
    }

    /// Routes interrupt `n` of user space to source `n` of the APLIC, for `count` interrupts. May
    /// sleep.
    pub fn set_default_routing(&self, count: u32) -> Result {
        // SAFETY: The virtual machine is valid.
        to_result(unsafe { bindings::kvm_riscv_setup_default_irq_routing(self.as_raw(), count) })
    }
}

/// A virtual machine whose `kvm->lock` the running task holds.
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

    /// The configuration.
    pub fn config(&self) -> AiaConfig {
        // SAFETY: The configuration is only written under the lock, which we hold.
        let aia = unsafe { &*self.aia() };

        AiaConfig {
            mode: aia.mode & MODE_MASK,
            nr_ids: aia.nr_ids,
            nr_sources: aia.nr_sources,
            nr_group_bits: aia.nr_group_bits,
            nr_group_shift: aia.nr_group_shift,
            nr_hart_bits: aia.nr_hart_bits,
            nr_guest_bits: aia.nr_guest_bits,
            aplic_addr: aia.aplic_addr,
            extensions: aia.mode >> EXTENSIONS_SHIFT,
        }
    }

    /// Changes the configuration.
    pub fn set_config(&mut self, config: &AiaConfig) {
        let aia = self.aia();

        // SAFETY: We hold the lock under which these fields are accessed; `mode` is also read
        // without it, but not before the interrupt controllers are initialised.
        unsafe {
            (*aia).mode = config.mode & MODE_MASK | config.extensions << EXTENSIONS_SHIFT;
            (*aia).nr_ids = config.nr_ids;
            (*aia).nr_sources = config.nr_sources;
            (*aia).nr_group_bits = config.nr_group_bits;
            (*aia).nr_group_shift = config.nr_group_shift;
            (*aia).nr_hart_bits = config.nr_hart_bits;
            (*aia).nr_guest_bits = config.nr_guest_bits;
            (*aia).aplic_addr = config.aplic_addr;
        }
    }

    /// Puts the interrupt controllers into the kernel, or leaves them to user space.
    pub fn set_aia_in_kernel(&mut self, in_kernel: bool) {
        // SAFETY: A field of a valid structure.
        unsafe { Atomic::from_ptr(addr_of_mut!((*self.aia()).in_kernel)) }
            .store(in_kernel, Relaxed);
    }

    /// Makes the interrupt controllers known to be initialised, after everything else.
    pub fn set_aia_initialized(&mut self) {
        // SAFETY: A field of a valid structure.
        unsafe { Atomic::from_ptr(addr_of_mut!((*self.aia()).initialized)) }.store(true, Release);
    }

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
            vm: self.vm,
            _vm_lock: PhantomData,
            _not_send: NotThreadSafe,
        })
    }
}

/// The vCPUs of a virtual machine, whose mutexes, and `kvm->lock`, the running task holds.
pub struct VcpusLocked<'a> {
    vm: &'a Vm,
    _vm_lock: PhantomData<&'a VmLocked<'a>>,
    _not_send: NotThreadSafe,
}

impl VcpusLocked<'_> {
    /// One more than the highest ID of a vCPU.
    pub const MAX_IDS: u32 = bindings::KVM_MAX_VCPU_IDS;

    /// The vCPU that user space has given this ID; one at a time.
    pub fn by_id(&mut self, id: u32) -> Option<VcpuLocked<'_>> {
        let vcpu = self.vm.vcpu_by_id(id)?;

        // SAFETY: All mutexes are held as long as `self` lives, and `self` is borrowed for as long
        // as the value does.
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

impl Drop for VmLocked<'_> {
    fn drop(&mut self) {
        if self.taken {
            // SAFETY: Taken by `lock`, by the same task.
            unsafe { bindings::mutex_unlock(addr_of_mut!((*self.as_raw()).lock)) };
        }
    }
}
