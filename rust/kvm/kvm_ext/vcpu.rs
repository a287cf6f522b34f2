// SPDX-License-Identifier: GPL-2.0

//! Virtual CPUs.

use core::{
    ops::Deref,
    ptr::{
        addr_of,
        addr_of_mut, //
    }, //
};

use kernel::{
    bindings,
    cpu::CpuId,
    prelude::*,
    sync::atomic::{
        Atomic,
        Relaxed,
        Release, //
    },
    types::{
        NotThreadSafe,
        Opaque, //
    }, //
};

use kernel_ext::arch::riscv::hypervisor;

use crate::Vm;

/// A virtual CPU (`struct kvm_vcpu`).
///
/// # Examples
///
/// ```
/// use kvm_ext::Vcpu;
///
/// /// For a vCPU whose interrupt file is in software.
/// fn update(vcpu: &Vcpu, pending: bool) {
///     if vcpu.has_external_interrupt() != pending {
///         vcpu.set_external_interrupt(pending);
///     }
/// }
/// ```
#[repr(transparent)]
pub struct Vcpu(Opaque<bindings::kvm_vcpu>);

// SAFETY: Nobody has one by value, only by reference, which is what `Sync` is about.
unsafe impl Send for Vcpu {}
// SAFETY: What needs the vCPU's mutex takes it, or wants to see it taken by a [`VcpuLocked`]; the
// fields that are accessed without are accessed atomically, or do not change.
unsafe impl Sync for Vcpu {}

impl Vcpu {
    /// Wraps a vCPU of C.
    ///
    /// # Safety
    ///
    /// `vcpu` must be valid for `'a`.
    #[inline(always)]
    pub unsafe fn from_raw<'a>(vcpu: *mut bindings::kvm_vcpu) -> &'a Self {
        // SAFETY: By the requirements of this function; the wrapper is transparent.
        unsafe { &*vcpu.cast() }
    }

    /// The C structure.
    #[inline(always)]
    pub fn as_raw(&self) -> *mut bindings::kvm_vcpu {
        self.0.get()
    }

    #[inline(always)]
    fn aia(&self) -> *mut bindings::kvm_vcpu_aia {
        // SAFETY: Stays inside the structure.
        unsafe { addr_of_mut!((*self.as_raw()).arch.aia_context) }
    }

    /// The virtual machine that it belongs to.
    #[inline(always)]
    pub fn vm(&self) -> &Vm {
        // SAFETY: Set when the vCPU is made, and valid for longer.
        unsafe { Vm::from_raw(addr_of!((*self.as_raw()).kvm).read()) }
    }

    /// What user space calls it, which tells it from the other vCPUs of its virtual machine.
    #[inline]
    pub fn id(&self) -> u32 {
        // SAFETY: Set when the vCPU is made.
        unsafe { addr_of!((*self.as_raw()).vcpu_id).read() }.unsigned_abs()
    }

    /// Its index among the vCPUs of its virtual machine.
    #[inline]
    pub fn index(&self) -> u32 {
        // SAFETY: Set when the vCPU is made.
        unsafe { addr_of!((*self.as_raw()).vcpu_idx).read() }.unsigned_abs()
    }

    /// The CPU that it is loaded on.
    #[inline]
    pub fn cpu(&self) -> Option<CpuId> {
        // SAFETY: A field of a valid structure.
        let cpu = unsafe { Atomic::from_ptr(addr_of_mut!((*self.as_raw()).cpu)) }.load(Relaxed);

        CpuId::from_i32(cpu)
    }

    /// What the interrupt controllers' driver keeps with the vCPU, or null. Reads that go through
    /// it see what was written before it was set.
    #[inline(always)]
    pub fn imsic_state(&self) -> *mut c_void {
        // SAFETY: A field of a valid structure, only accessed atomically. Dependent loads are
        // ordered.
        unsafe { Atomic::from_ptr(addr_of_mut!((*self.aia()).imsic_state)) }.load(Relaxed)
    }

    /// Sets what [`Self::imsic_state`] returns.
    ///
    /// # Safety
    ///
    /// It must be null, or point to what those who use [`Self::imsic_state`] take it for, until null is set and all of
    /// them are gone.
    ///
    /// # Examples
    ///
    /// What is behind the pointer is up to who uses it, so that safe code cannot set it:
    ///
    /// ```compile_fail,E0133
    /// # use core::ptr;
    /// # use kvm_ext::Vcpu;
    /// fn forget(vcpu: &Vcpu) {
    ///     vcpu.set_imsic_state(ptr::null_mut());
    /// }
    /// ```
    pub unsafe fn set_imsic_state(&self, state: *mut c_void) {
        // SAFETY: As for `imsic_state`.
        unsafe { Atomic::from_ptr(addr_of_mut!((*self.aia()).imsic_state)) }.store(state, Release);
    }

    /// The guest-physical address of its interrupt file, all ones if it is not set.
    #[inline]
    pub fn imsic_addr(&self) -> u64 {
        // SAFETY: A field of a valid structure, only accessed atomically.
        unsafe { Atomic::from_ptr(addr_of_mut!((*self.aia()).imsic_addr)) }.load(Relaxed)
    }

    /// Sets what [`Self::imsic_addr`] returns. Under the lock of the virtual machine, or before
    /// anybody knows the vCPU.
    pub fn set_imsic_addr(&self, addr: u64) {
        // SAFETY: As for `imsic_addr`.
        unsafe { Atomic::from_ptr(addr_of_mut!((*self.aia()).imsic_addr)) }.store(addr, Relaxed);
    }

    /// Sets the hart index that C shows.
    pub fn set_hart_index(&self, hart_index: u32) {
        // SAFETY: As for `set_imsic_addr`.
        unsafe { Atomic::from_ptr(addr_of_mut!((*self.aia()).hart_index)) }
            .store(hart_index, Relaxed);
    }

    /// The interrupts that the guest has enabled (`vsie`), as of its last exit.
    #[inline]
    pub fn enabled_interrupts(&self) -> u64 {
        // SAFETY: A field of a valid structure.
        let vsie = unsafe { Atomic::from_ptr(addr_of_mut!((*self.as_raw()).arch.guest_csr.vsie)) };

        // CAST: As wide as the hart.
        vsie.load(Relaxed) as u64
    }

    /// The AIA's CSRs of the vCPU while it is not loaded, for whoever holds its mutex.
    pub fn aia_csrs(&self) -> *mut bindings::kvm_vcpu_aia_csr {
        // SAFETY: Stays inside the structure.
        unsafe { addr_of_mut!((*self.aia()).guest_csr) }
    }

    /// Whether it has the Ssaia extension: the host does, and user space has not taken it away.
    #[inline(always)]
    pub fn has_ssaia(&self) -> bool {
        const WORD: usize = bindings::RISCV_ISA_EXT_SSAIA as usize / usize::BITS as usize;
        const BIT: usize = 1 << (bindings::RISCV_ISA_EXT_SSAIA % usize::BITS);
        // SAFETY: A field of a valid structure, only accessed atomically.
        let word = unsafe { Atomic::from_ptr(addr_of_mut!((*self.as_raw()).arch.isa[WORD])) };

        word.load(Relaxed) & BIT != 0
    }

    /// Whether its thread waits for an interrupt.
    #[inline]
    pub fn is_blocking(&self) -> bool {
        // SAFETY: The vCPU is valid.
        unsafe { bindings::kvm_vcpu_is_blocking(self.as_raw()) }
    }

    /// Whether it is stopped or paused: no interrupt makes it run.
    #[inline]
    pub fn is_stopped(&self) -> bool {
        // SAFETY: A field of a valid structure.
        let mp_state =
            unsafe { Atomic::from_ptr(addr_of_mut!((*self.as_raw()).arch.mp_state.mp_state)) };
        // SAFETY: As above.
        let pause = unsafe { Atomic::from_ptr(addr_of_mut!((*self.as_raw()).arch.pause)) };

        mp_state.load(Relaxed) == bindings::KVM_MP_STATE_STOPPED || pause.load(Relaxed)
    }

    /// Wakes it up, or makes it leave the guest. Takes locks of the scheduler.
    #[inline]
    pub fn kick(&self) {
        // SAFETY: The vCPU is valid.
        unsafe { bindings::kvm_vcpu_kick(self.as_raw()) };
    }

    /// Whether [`Self::set_external_interrupt`] was last called with true.
    #[inline]
    pub fn has_external_interrupt(&self) -> bool {
        // SAFETY: A field of a valid structure.
        let pending =
            unsafe { Atomic::from_ptr(addr_of_mut!((*self.as_raw()).arch.irqs_pending[0])) };

        pending.load(Relaxed) & 1 << bindings::IRQ_VS_EXT != 0
    }

    /// Makes the external interrupt of VS level pending in software, or not. Takes locks of the
    /// scheduler, since it wakes the vCPU up.
    #[inline]
    pub fn set_external_interrupt(&self, pending: bool) {
        // The interrupt is one of those that can be set, so that it does not fail.
        let _ = if pending {
            // SAFETY: The vCPU is valid.
            unsafe { bindings::kvm_riscv_vcpu_set_interrupt(self.as_raw(), bindings::IRQ_VS_EXT) }
        } else {
            // SAFETY: The vCPU is valid.
            unsafe { bindings::kvm_riscv_vcpu_unset_interrupt(self.as_raw(), bindings::IRQ_VS_EXT) }
        };
    }

    /// Counts one more for `statistic`. Any context. Of those that come at the same time some may not be
    /// counted, as with KVM's own statistics.
    #[inline(always)]
    pub fn count(&self, statistic: Statistic) {
        let stat = self.as_raw();
        // SAFETY: Stays inside the structure.
        let field = unsafe {
            match statistic {
                Statistic::MsiFile => addr_of_mut!((*stat).stat.aia_msi_file),
                Statistic::MsiMemory => addr_of_mut!((*stat).stat.aia_msi_memory),
                Statistic::FileMoves => addr_of_mut!((*stat).stat.aia_file_moves),
                Statistic::FileMisses => addr_of_mut!((*stat).stat.aia_file_misses),
                Statistic::FileEvictions => addr_of_mut!((*stat).stat.aia_file_evictions),
                Statistic::FileSteals => addr_of_mut!((*stat).stat.aia_file_steals),
                Statistic::FileLosses => addr_of_mut!((*stat).stat.aia_file_losses),
            }
        };
        // SAFETY: A field of a valid structure; C reads and resets it as a word.
        let field = unsafe { Atomic::<u64>::from_ptr(field) };

        field.store(field.load(Relaxed).wrapping_add(1), Relaxed);
    }

    /// Takes the mutex of the vCPU, which its thread holds as long as it runs the guest. May sleep.
    ///
    /// Fails with `EINTR` if the calling task is killed meanwhile.
    pub fn lock_killable(&self) -> Result<VcpuLocked<'_>> {
        // SAFETY: The mutex is initialised.
        if unsafe { bindings::mutex_lock_killable(addr_of_mut!((*self.as_raw()).mutex)) } != 0 {
            return Err(EINTR);
        }
        Ok(VcpuLocked {
            vcpu: self,
            taken: true,
            _not_send: NotThreadSafe,
        })
    }

    /// The vCPU where the caller knows that its mutex is held.
    ///
    /// # Safety
    ///
    /// The calling task must hold the vCPU's mutex for as long as the value lives, or be alone in
    /// knowing the vCPU.
    #[inline(always)]
    pub unsafe fn assume_locked(&self) -> VcpuLocked<'_> {
        VcpuLocked {
            vcpu: self,
            taken: false,
            _not_send: NotThreadSafe,
        }
    }
}

/// What is counted of a vCPU, in KVM's statistics (`KVM_GET_STATS_FD`, debugfs).
///
/// See [`Vcpu::count`].
#[derive(Clone, Copy)]
pub enum Statistic {
    /// MSIs of the host that were stored to its guest interrupt file.
    MsiFile,
    /// MSIs of the host that went to its interrupt file in memory.
    MsiMemory,
    /// How often its state followed it to a guest interrupt file.
    FileMoves,
    /// Entries into the guest without a guest interrupt file, since its CPU had none left.
    FileMisses,
    /// How often a CPU that went offline took its guest interrupt file away.
    FileEvictions,
    /// How often it took the guest interrupt file of another vCPU.
    FileSteals,
    /// How often another vCPU took its guest interrupt file.
    FileLosses,
}

/// Why a vCPU cannot run.
///
/// See [`VcpuLocked::fail_entry`].
#[derive(Clone, Copy)]
pub enum FailedEntry {
    /// The CPU has no guest interrupt file for it.
    NoGuestFile,
}

/// A vCPU whose mutex the running task holds: nobody else runs it or changes its registers.
///
/// A task may have several of one vCPU: its thread, which is in the midst of something, is put and loaded
/// again when another one gets the CPU. So no references to registers are given out.
///
/// # Examples
///
/// ```
/// use kernel::{cpu::CpuId, prelude::*};
/// use kvm_ext::{FailedEntry, Vcpu, VcpuLocked};
///
/// /// For another thread than its own.
/// fn has_external_interrupt(vcpu: &Vcpu) -> Result<bool> {
///     Ok(vcpu.lock_killable()?.is_external_in_hvip())
/// }
///
/// /// For its own thread, where KVM enters the guest.
/// fn enter(vcpu: &mut VcpuLocked<'_>, file: Option<u32>) -> Result {
///     let hgei = file.ok_or(ENOSPC).inspect_err(|_| {
///         vcpu.fail_entry(FailedEntry::NoGuestFile, CpuId::current());
///     })?;
///
///     vcpu.set_vgein(hgei);
///     Ok(())
/// }
/// ```
///
/// Registers of a vCPU that may be running cannot be had:
///
/// ```compile_fail,E0599
/// # use kvm_ext::Vcpu;
/// fn has_external_interrupt(vcpu: &Vcpu) -> bool {
///     vcpu.is_external_in_hvip()
/// }
/// ```
///
/// Who takes a mutex gives it back, so that another thread cannot be given the value:
///
/// ```compile_fail,E0277
/// # use kernel::prelude::*;
/// # use kvm_ext::Vcpu;
/// fn hand_over(_: impl Send) {}
///
/// fn lock(vcpu: &Vcpu) -> Result {
///     hand_over(vcpu.lock_killable()?);
///     Ok(())
/// }
/// ```
///
/// To say that the mutex is held takes unsafe code:
///
/// ```compile_fail,E0133
/// # use kvm_ext::{Vcpu, VcpuLocked};
/// fn locked(vcpu: &Vcpu) -> VcpuLocked<'_> {
///     vcpu.assume_locked()
/// }
/// ```
pub struct VcpuLocked<'a> {
    vcpu: &'a Vcpu,
    taken: bool,
    _not_send: NotThreadSafe,
}

impl Deref for VcpuLocked<'_> {
    type Target = Vcpu;

    #[inline(always)]
    fn deref(&self) -> &Vcpu {
        self.vcpu
    }
}

impl<'a> VcpuLocked<'a> {
    /// The vCPU, for longer than it is locked.
    #[inline(always)]
    pub fn vcpu(&self) -> &'a Vcpu {
        self.vcpu
    }

    /// Makes the AIA's CSRs of the vCPU what they are after a reset, once it is loaded the next time.
    pub fn reset_csrs(&mut self) {
        // SAFETY: Only accessed with the vCPU's mutex held.
        unsafe { self.aia_csrs().write(Default::default()) };
    }

    /// Lets the guest use the guest interrupt file behind this guest external interrupt of its CPU;
    /// 0 for none.
    pub fn set_vgein(&mut self, hgei: u32) {
        // SAFETY: Only accessed with the vCPU's mutex held.
        unsafe {
            let hstatus = addr_of_mut!((*self.as_raw()).arch.guest_context.hstatus);

            *hstatus = hypervisor::with_vgein(*hstatus, hgei);
        }
    }

    /// Whether the external interrupt of VS level is set in what the vCPU's `hvip` is to be.
    #[inline]
    pub fn is_external_in_hvip(&self) -> bool {
        // SAFETY: Only accessed with the vCPU's mutex held.
        let hvip = unsafe { addr_of!((*self.as_raw()).arch.guest_csr.hvip).read() };

        hvip >> bindings::IRQ_VS_EXT & 1 != 0
    }

    /// Whether the CSR instruction of the guest that KVM emulates now writes the CSR, be it with
    /// what that holds.
    #[inline]
    pub fn writes_csr(&self) -> bool {
        // SAFETY: Only accessed with the vCPU's mutex held.
        let insn = unsafe { addr_of!((*self.as_raw()).arch.csr_decode.insn).read() };

        writes(insn)
    }

    /// Tells user space that the vCPU cannot run on `cpu`, and why (`KVM_EXIT_FAIL_ENTRY`).
    pub fn fail_entry(&mut self, reason: FailedEntry, cpu: CpuId) {
        let reason = match reason {
            FailedEntry::NoGuestFile => bindings::KVM_EXIT_FAIL_ENTRY_NO_VSFILE,
        };

        // SAFETY: The page that is shared with user space is valid as long as the vCPU.
        unsafe {
            let run = (*self.as_raw()).run;

            (*run)
                .__bindgen_anon_1
                .fail_entry
                .hardware_entry_failure_reason = reason.into();
            (*run).__bindgen_anon_1.fail_entry.cpu = cpu.as_u32();
            (*run).exit_reason = bindings::KVM_EXIT_FAIL_ENTRY;
        }
    }
}

impl Drop for VcpuLocked<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        if self.taken {
            // SAFETY: Taken by `lock_killable`, by the same task.
            unsafe { bindings::mutex_unlock(addr_of_mut!((*self.as_raw()).mutex)) };
        }
    }
}

/// Whether a CSR instruction writes the CSR: `csrrs`, `csrrc` and their immediate forms do unless
/// the field for the operand is 0, whatever a register holds (Zicsr).
#[inline]
const fn writes(insn: usize) -> bool {
    const OPERAND: usize = 0x1f << 15;
    /// The lower bits of `funct3`, which say what is done with the operand.
    const HOW: usize = 0x3 << 12;
    const REPLACES: usize = 0x1 << 12;

    insn & HOW == REPLACES || insn & OPERAND != 0
}
