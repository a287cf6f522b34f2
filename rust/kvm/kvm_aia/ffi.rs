// SPDX-License-Identifier: GPL-2.0

//! The C side: what KVM calls, and what the C structures of KVM hold for us.
//!
//! C header: `arch/riscv/include/asm/kvm_aia.h`

#![expect(unsafe_code, reason = "the boundary to C")]

use core::ptr::{
    self,
    NonNull, //
};

use aia_core::{
    addr::{
        Guest,
        PhysAddr, //
    },
    guest::{
        config::{
            Mode,
            UNDEF_ADDR, //
        },
        hgei::Lines,
        iprio, //
    }, //
};
use kernel::{
    bindings,
    cpu::CpuId,
    error::from_result,
    interrupt::local_interrupt_disable,
    macros::export,
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed,
            Release, //
        },
        lock::Guard, //
    }, //
};
use kernel_ext::{
    smp::PreemptionBorrowed,
    sync::raw_spinlock::RawSpinLockBackend, //
};
use kvm_ext::{
    csr,
    device,
    io_bus::IoDevice,
    Vcpu,
    VcpuLocked,
    Vm,
    VmLocked, //
};

use crate::{
    aplic::AplicPage,
    device::{
        self as aia_device,
        AiaDevice, //
    },
    host::{
        Host,
        NO_INTERRUPT,
        SHOW_PRIORITIES, //
    },
    imsic::{
        ImsicPage,
        Releasing,
        VcpuImsic, //
    },
    registers::{
        self,
        Access,
        Outcome, //
    },
    vm::{
        self,
        VmAia, //
    }, //
};

/// How many guest files every hart has at least; C prints it.
#[no_mangle]
static kvm_riscv_aia_nr_hgei: Atomic<i32> = Atomic::new(0);

/// One more than the identities that a guest's interrupt file may have; C declares it.
#[no_mangle]
static kvm_riscv_aia_max_ids: Atomic<u32> = Atomic::new(0);

/// The functions of the device.
#[repr(transparent)]
struct DeviceOps(bindings::kvm_device_ops);

// SAFETY: Only functions and a name; nobody writes to it.
unsafe impl Sync for DeviceOps {}

#[no_mangle]
static kvm_riscv_aia_device_ops: DeviceOps = DeviceOps(device::ops::<AiaDevice>());

/// How many guest files every hart has at least.
pub(crate) fn nr_hgei() -> u32 {
    kvm_riscv_aia_nr_hgei.load(Relaxed).unsigned_abs()
}

/// A hart has no more than `count` guest files.
pub(crate) fn lower_nr_hgei(count: u32) {
    let count = i32::try_from(count).unwrap_or(i32::MAX);
    let mut old = kvm_riscv_aia_nr_hgei.load(Relaxed);

    while old > count {
        match kvm_riscv_aia_nr_hgei.cmpxchg(old, count, Relaxed) {
            Ok(_) => break,
            Err(now) => old = now,
        }
    }
}

/// What [`host`] returns: null, or a box.
static HOST: Atomic<*mut Host> = Atomic::new(ptr::null_mut());

/// The host; [`None`] if it has no AIA.
#[inline(always)]
pub(crate) fn host() -> Option<&'static Host> {
    // SAFETY: Either null or set by `kvm_riscv_aia_init` to a value that lives until
    // `kvm_riscv_aia_exit`, after everything that could call here. Dependent loads are ordered.
    unsafe { HOST.load(Relaxed).as_ref() }
}

/// The initialised interrupt controllers of a virtual machine.
#[inline(always)]
pub(crate) fn aia(vm: &Vm) -> Option<&VmAia> {
    // SAFETY: Either null or set by `publish` to a value that lives until the virtual machine is
    // destroyed, after everything that could call here.
    unsafe { vm.aia_state().cast::<VmAia>().as_ref() }
}

/// The interrupt file of a vCPU.
///
/// [`None`] before the interrupt controllers are initialised, and for a vCPU that was made later.
#[inline(always)]
pub(crate) fn imsic(vcpu: &Vcpu) -> Option<&VcpuImsic> {
    // SAFETY: Either null or set by `Files::add` to a value that lives until the vCPU is destroyed,
    // after everything that could call here; or until a failed initialisation takes it back, which
    // happens before anybody is let in by `Vm::is_aia_initialized`.
    unsafe { vcpu.imsic_state().cast::<VcpuImsic>().as_ref() }
}

/// A vCPU and its interrupt file, for who delivers MSIs.
pub(crate) struct Member {
    vcpu: NonNull<bindings::kvm_vcpu>,
    imsic: NonNull<VcpuImsic>,
}

// SAFETY: What can be done with a vCPU and its file can be done on any CPU.
unsafe impl Send for Member {}
// SAFETY: As above.
unsafe impl Sync for Member {}

impl Member {
    /// The vCPU, which has an interrupt file, as part of its virtual machine's [`VmAia`].
    pub(crate) fn new(vcpu: &Vcpu) -> Option<Self> {
        Some(Self {
            vcpu: NonNull::new(vcpu.as_raw())?,
            imsic: NonNull::from(imsic(vcpu)?),
        })
    }

    /// The vCPU and its interrupt file.
    #[inline(always)]
    pub(crate) fn get(&self) -> (&Vcpu, &VcpuImsic) {
        // SAFETY: vCPUs, and with them their files, are destroyed together with their virtual
        // machine, when nobody is left who delivers MSIs.
        unsafe { (Vcpu::from_raw(self.vcpu.as_ptr()), self.imsic.as_ref()) }
    }
}

/// Lets everybody see the interrupt controllers.
pub(crate) fn publish(vm: &mut VmLocked<'_>, aia: KBox<VmAia>) {
    vm.set_aia_state(KBox::into_raw(aia).cast());
    vm.set_aia_initialized();
}

/// The interrupt files of the vCPUs while the initialisation goes on; taken back when dropped.
pub(crate) struct Files<'a>(&'a Vm);

impl<'a> Files<'a> {
    /// None, so far.
    pub(crate) fn new(vm: &'a Vm) -> Self {
        Self(vm)
    }

    /// Gives `vcpu` its file.
    pub(crate) fn add(&self, vcpu: &Vcpu, imsic: Pin<KBox<VcpuImsic>>) {
        take_imsic(vcpu);
        // SAFETY: It does not move until `take_imsic` makes it the same box again.
        let imsic = unsafe { Pin::into_inner_unchecked(imsic) };

        vcpu.set_imsic_state(KBox::into_raw(imsic).cast());
    }

    /// Leaves them to the vCPUs.
    pub(crate) fn keep(self) {
        core::mem::forget(self);
    }
}

impl Drop for Files<'_> {
    fn drop(&mut self) {
        self.0.vcpus().for_each(take_imsic);
    }
}

/// Frees the interrupt file of a vCPU, which nobody uses any more. May sleep.
fn take_imsic(vcpu: &Vcpu) {
    let Some(imsic) = imsic(vcpu) else {
        return;
    };

    imsic.destroy();
    let raw = vcpu.imsic_state().cast::<VcpuImsic>();

    vcpu.set_imsic_state(ptr::null_mut());
    // SAFETY: Made of a pinned box by `Files::add`; nobody has it any more.
    drop(unsafe { Pin::new_unchecked(KBox::from_raw(raw)) });
}

/// The device for the page of a vCPU's interrupt file.
pub(crate) fn imsic_page(vm: &Vm, addr: PhysAddr<Guest>) -> Result<IoDevice<ImsicPage>> {
    // SAFETY: Part of a `VcpuImsic`, which goes away with its vCPU.
    unsafe { IoDevice::register(vm, addr.get(), bindings::KVM_DEV_RISCV_IMSIC_SIZE) }
}

/// The device for the registers of an APLIC.
pub(crate) fn aplic_page(vm: &Vm, addr: PhysAddr<Guest>) -> Result<IoDevice<AplicPage>> {
    // SAFETY: Part of a `VmAia`, which goes away before its virtual machine.
    unsafe { IoDevice::register(vm, addr.get(), bindings::KVM_DEV_RISCV_APLIC_SIZE) }
}

/// The vCPU that owns a guest external interrupt.
#[derive(Clone, Copy)]
pub(crate) struct Owner(NonNull<bindings::kvm_vcpu>);

// SAFETY: What can be done with a vCPU can be done on any CPU.
unsafe impl Send for Owner {}

/// The lines of a hart, locked.
type LockedLines<'a> = Guard<'a, Lines<Owner>, RawSpinLockBackend>;

impl Owner {
    /// Makes `vcpu` an owner.
    pub(crate) fn new(vcpu: &Vcpu) -> Self {
        // SAFETY: Made of a reference.
        Self(unsafe { NonNull::new_unchecked(vcpu.as_raw()) })
    }

    /// The vCPU.
    pub(crate) fn vcpu<'a>(self, _lines: &'a LockedLines<'_>) -> &'a Vcpu {
        // SAFETY: A vCPU frees its line, under this lock, before it is freed.
        unsafe { Vcpu::from_raw(self.0.as_ptr()) }
    }

    /// Takes the vCPU's guest file away if it is one of CPU `on`.
    pub(crate) fn begin_release(
        self,
        _lines: &LockedLines<'_>,
        on: CpuId,
    ) -> Option<Releasing<'static>> {
        // SAFETY: The vCPU is alive as long as the lock is held, as above. If a release begins, it
        // is until that ends, since `VcpuImsic::destroy` waits for it: longer than the result.
        let vcpu = unsafe { Vcpu::from_raw(self.0.as_ptr()) };

        imsic(vcpu)?.begin_release(vcpu, Some(on))
    }
}

/// Sets KVM's AIA up. Fails with `ENODEV` if the host has none.
///
/// # Safety
///
/// None: called once, when KVM is set up.
#[export]
pub(crate) unsafe extern "C" fn kvm_riscv_aia_init() -> c_int {
    from_result(|| {
        let fewest = i32::try_from(riscv_imsic::fewest_guest_files())?;
        let host = KBox::new(Host::new()?, GFP_KERNEL)?;

        kvm_riscv_aia_nr_hgei.store(fewest, Relaxed);
        kvm_riscv_aia_max_ids.store(host.max_ids.get() + 1, Relaxed);
        device::register(
            &kvm_riscv_aia_device_ops.0,
            bindings::kvm_device_type_KVM_DEV_TYPE_RISCV_AIA,
        )?;
        // Nobody makes a device or runs a guest as long as KVM is being set up.
        HOST.store(KBox::into_raw(host), Release);
        // SAFETY: Process context.
        unsafe { bindings::kvm_riscv_aia_make_available() };
        Ok(0)
    })
}

/// Undoes [`kvm_riscv_aia_init`], if that succeeded.
///
/// # Safety
///
/// There must be no virtual machine, and no CPU may be able to run one: called once, when KVM is
/// torn down.
#[export]
pub(crate) unsafe extern "C" fn kvm_riscv_aia_exit() {
    let host = HOST.xchg(ptr::null_mut(), Relaxed);

    if !host.is_null() {
        device::unregister(bindings::kvm_device_type_KVM_DEV_TYPE_RISCV_AIA);
        // SAFETY: Made of a box by `kvm_riscv_aia_init`; by the requirements of this function,
        // nobody uses it any more.
        drop(unsafe { KBox::from_raw(host) });
    }
}

/// This CPU can run guests from now on.
///
/// # Safety
///
/// None: on each CPU, preemption off.
#[export]
pub(crate) unsafe extern "C" fn kvm_riscv_aia_enable() {
    if let Some(host) = host() {
        host.enable(&local_interrupt_disable());
    }
}

/// This CPU cannot run guests any more.
///
/// # Safety
///
/// None: on each CPU, preemption off.
#[export]
pub(crate) unsafe extern "C" fn kvm_riscv_aia_disable() {
    if let Some(host) = host() {
        host.disable();
    }
}

/// This CPU enters a state that may lose its CSRs.
///
/// # Safety
///
/// None: interrupts are off.
#[export]
pub(crate) unsafe extern "C" fn kvm_riscv_aia_pm_enter() {
    if let Some(host) = host() {
        host.enter_low_power(&local_interrupt_disable());
    }
}

/// This CPU is back.
///
/// # Safety
///
/// None: interrupts are off.
#[export]
pub(crate) unsafe extern "C" fn kvm_riscv_aia_pm_exit() {
    if let Some(host) = host() {
        host.exit_low_power(&local_interrupt_disable());
    }
}

/// A virtual machine is being made.
///
/// # Safety
///
/// `kvm` must be valid, and nobody else may know it.
#[export]
pub(crate) unsafe extern "C" fn kvm_riscv_aia_init_vm(kvm: *mut bindings::kvm) {
    if let Some(host) = host() {
        // SAFETY: By the requirements of this function.
        aia_device::set_defaults(host, unsafe { Vm::from_raw(kvm).assume_locked() });
    }
}

/// A virtual machine goes away, after its vCPUs.
///
/// # Safety
///
/// `kvm` must be valid, and nobody else may use it.
#[export]
pub(crate) unsafe extern "C" fn kvm_riscv_aia_destroy_vm(kvm: *mut bindings::kvm) {
    // SAFETY: By the requirements of this function.
    let vm = unsafe { Vm::from_raw(kvm) };
    let aia = vm.aia_state().cast::<VmAia>();

    if !aia.is_null() {
        // The APLIC's device is taken from the bus before what it uses is gone.
        vm.set_aia_state(ptr::null_mut());
        // SAFETY: Made of a box by `publish`.
        drop(unsafe { KBox::from_raw(aia) });
    }
}

/// A vCPU is being made.
///
/// # Safety
///
/// `vcpu` must be valid, and nobody else may know it.
#[export]
pub(crate) unsafe extern "C" fn kvm_riscv_vcpu_aia_init(vcpu: *mut bindings::kvm_vcpu) {
    if host().is_some() {
        // SAFETY: By the requirements of this function.
        let vcpu = unsafe { Vcpu::from_raw(vcpu) };

        vcpu.set_imsic_addr(UNDEF_ADDR);
        vcpu.set_hart_index(vcpu.index());
    }
}

/// A vCPU goes away.
///
/// # Safety
///
/// `vcpu` must be valid, and nobody else may use it.
#[export]
pub(crate) unsafe extern "C" fn kvm_riscv_vcpu_aia_deinit(vcpu: *mut bindings::kvm_vcpu) {
    // SAFETY: By the requirements of this function.
    take_imsic(unsafe { Vcpu::from_raw(vcpu) });
}

/// A vCPU is reset.
///
/// # Safety
///
/// `vcpu` must be valid, and the caller must hold its mutex, or be alone in knowing it.
#[export]
pub(crate) unsafe extern "C" fn kvm_riscv_vcpu_aia_reset(vcpu: *mut bindings::kvm_vcpu) {
    if host().is_none() {
        return;
    }
    // SAFETY: By the requirements of this function.
    let mut vcpu = unsafe { Vcpu::from_raw(vcpu).assume_locked() };

    *vcpu.csrs() = Default::default();
    if vcpu.vm().is_aia_initialized() {
        if let Some(imsic) = imsic(vcpu.vcpu()) {
            imsic.reset(vcpu.vcpu());
        }
    }
}

/// Prepares for guest entry. Returns 1, or what `KVM_RUN` returns.
///
/// # Safety
///
/// `vcpu` must be valid and loaded by the calling task, in its run loop, which has disabled
/// preemption just before.
#[export]
pub(crate) unsafe extern "C" fn kvm_riscv_vcpu_aia_update(vcpu: *mut bindings::kvm_vcpu) -> c_int {
    // SAFETY: By the requirements of this function.
    let mut vcpu = unsafe { Vcpu::from_raw(vcpu).assume_locked() };
    // SAFETY: The run loop has done nothing since that depends on it.
    let mut preemption = unsafe { PreemptionBorrowed::assume() };
    let vm = vcpu.vcpu().vm();

    if !vm.is_aia_initialized() {
        return 1;
    }
    match (imsic(vcpu.vcpu()), Mode::new(vm.aia_mode())) {
        (Some(imsic), Some(mode)) => from_result(|| {
            imsic
                .enter(&mut vcpu, mode, &mut preemption)
                .map(c_int::from)
        }),
        _ => 1,
    }
}

/// Loads the AIA's CSRs of a vCPU.
///
/// # Safety
///
/// `vcpu` must be valid and being loaded by the calling task, with preemption off.
#[export]
pub(crate) unsafe extern "C" fn kvm_riscv_vcpu_aia_load(
    vcpu: *mut bindings::kvm_vcpu,
    _cpu: c_int,
) {
    if host().is_none() {
        return;
    }
    // SAFETY: By the requirements of this function.
    let mut vcpu = unsafe { Vcpu::from_raw(vcpu).assume_locked() };
    let csrs = vcpu.csrs();

    csr::set_vsiselect(csrs.vsiselect);
    csr::set_hviprio([csrs.hviprio1, csrs.hviprio2]);
}

/// Saves the AIA's CSRs of a vCPU.
///
/// # Safety
///
/// `vcpu` must be valid and loaded by the calling task, with preemption off.
#[export]
pub(crate) unsafe extern "C" fn kvm_riscv_vcpu_aia_put(vcpu: *mut bindings::kvm_vcpu) {
    if host().is_none() {
        return;
    }
    // SAFETY: By the requirements of this function.
    let mut vcpu = unsafe { Vcpu::from_raw(vcpu).assume_locked() };

    if vcpu.vm().is_aia_initialized() && vcpu.is_blocking() {
        if let Some(imsic) = imsic(&vcpu) {
            imsic.wake_on_interrupt();
        }
    }
    let csrs = vcpu.csrs();

    csrs.vsiselect = csr::vsiselect();
    [csrs.hviprio1, csrs.hviprio2] = csr::hviprio();
}

/// Whether an external interrupt is pending that `vcpu` has enabled and `mask` has.
///
/// # Safety
///
/// `vcpu` must be valid.
#[export]
pub(crate) unsafe extern "C" fn kvm_riscv_vcpu_aia_has_interrupts(
    vcpu: *mut bindings::kvm_vcpu,
    mask: u64,
) -> bool {
    if host().is_none() {
        return false;
    }
    // SAFETY: By the requirements of this function.
    let vcpu = unsafe { Vcpu::from_raw(vcpu) };

    vcpu.vm().is_aia_initialized()
        && vcpu.enabled_interrupts() & mask & 1 << bindings::IRQ_S_EXT != 0
        && imsic(vcpu).is_some_and(VcpuImsic::has_interrupt)
}

/// Writes `hvictl` before guest entry: the external interrupt of VS level that is in `hvip`.
///
/// # Safety
///
/// `vcpu` must be valid and loaded by the calling task, with interrupts off.
#[export]
pub(crate) unsafe extern "C" fn kvm_riscv_vcpu_aia_update_hvip(vcpu: *mut bindings::kvm_vcpu) {
    if host().is_some() {
        // SAFETY: By the requirements of this function.
        let vcpu = unsafe { Vcpu::from_raw(vcpu).assume_locked() };

        // Without a guest file, IPRIO is the priority of the interrupt, and makes it a candidate.
        // Whoever changes which identity is first makes the vCPU leave the guest. User space may
        // have an interrupt controller of its own, of whose priorities nobody knows.
        let priority = if vcpu.is_external_in_hvip() {
            imsic(vcpu.vcpu())
                .and_then(VcpuImsic::top)
                .map_or(1, iprio::external)
        } else {
            0
        };

        csr::set_hvictl(NO_INTERRUPT | SHOW_PRIORITIES | usize::from(priority));
    }
}

/// The AIA's CSR `number` of a vCPU, as a word of `struct kvm_riscv_aia_csr`.
///
/// # Safety
///
/// `vcpu` must be valid, and the caller must hold its mutex.
unsafe fn csr_of<'a>(vcpu: *mut bindings::kvm_vcpu, number: usize) -> Result<&'a mut usize> {
    // SAFETY: By the requirements of this function.
    let vcpu = unsafe { Vcpu::from_raw(vcpu) };

    if !vcpu.has_ssaia() {
        return Err(ENOENT);
    }
    // SAFETY: By the requirements of this function.
    let csrs = unsafe { &mut *vcpu.aia_csrs() };

    // One by one: nothing is indexed by the number of user space.
    Ok(match number {
        0 => &mut csrs.vsiselect,
        1 => &mut csrs.hviprio1,
        2 => &mut csrs.hviprio2,
        3 => &mut csrs.vsieh,
        4 => &mut csrs.hviph,
        5 => &mut csrs.hviprio1h,
        6 => &mut csrs.hviprio2h,
        _ => return Err(ENOENT),
    })
}

/// Reads an AIA CSR for `KVM_GET_ONE_REG`.
///
/// # Safety
///
/// `vcpu` must be valid, the caller must hold its mutex, and `out` must be writable.
#[export]
pub(crate) unsafe extern "C" fn kvm_riscv_vcpu_aia_get_csr(
    vcpu: *mut bindings::kvm_vcpu,
    number: usize,
    out: *mut usize,
) -> c_int {
    from_result(|| {
        // SAFETY: By the requirements of this function.
        let value = *unsafe { csr_of(vcpu, number) }?;

        // SAFETY: As above.
        unsafe { *out = if host().is_some() { value } else { 0 } };
        Ok(0)
    })
}

/// Writes an AIA CSR for `KVM_SET_ONE_REG`.
///
/// # Safety
///
/// `vcpu` must be valid, and the caller must hold its mutex.
#[export]
pub(crate) unsafe extern "C" fn kvm_riscv_vcpu_aia_set_csr(
    vcpu: *mut bindings::kvm_vcpu,
    number: usize,
    value: usize,
) -> c_int {
    from_result(|| {
        // SAFETY: By the requirements of this function.
        let csr = unsafe { csr_of(vcpu, number) }?;

        if host().is_some() {
            *csr = value;
        }
        Ok(0)
    })
}

/// Emulates an access of the guest to a CSR by `emulate`, and hands the outcome to C.
///
/// # Safety
///
/// `vcpu` must be valid and loaded by the calling task; `old` must be null or writable.
unsafe fn emulated(
    emulate: impl FnOnce(&VcpuLocked<'_>, Access) -> Outcome,
    vcpu: *mut bindings::kvm_vcpu,
    old: *mut usize,
    value: usize,
    mask: usize,
) -> c_int {
    // SAFETY: By the requirements of this function.
    let vcpu = unsafe { Vcpu::from_raw(vcpu).assume_locked() };
    // CAST: As wide as the hart.
    let access = Access {
        value: value as u64,
        mask: mask as u64,
    };

    // CAST: Small numbers.
    (match emulate(&vcpu, access) {
        Outcome::Done(value) => {
            // SAFETY: By the requirements of this function.
            if let Some(old) = unsafe { old.as_mut() } {
                // CAST: As wide as the hart.
                *old = value as usize;
            }
            bindings::kvm_insn_return_KVM_INSN_CONTINUE_NEXT_SEPC
        }
        Outcome::Illegal => bindings::kvm_insn_return_KVM_INSN_ILLEGAL_TRAP,
        Outcome::ToUser => bindings::kvm_insn_return_KVM_INSN_EXIT_TO_USER_SPACE,
    }) as c_int
}

/// Emulates an access to `stopei`.
///
/// # Safety
///
/// `vcpu` must be valid and loaded by the calling task; `old` must be null or writable.
#[export]
pub(crate) unsafe extern "C" fn kvm_riscv_vcpu_aia_rmw_topei(
    vcpu: *mut bindings::kvm_vcpu,
    _csr: c_uint,
    old: *mut usize,
    value: usize,
    mask: usize,
) -> c_int {
    // SAFETY: By the requirements of this function.
    unsafe { emulated(registers::stopei, vcpu, old, value, mask) }
}

/// Emulates an access to `sireg`.
///
/// # Safety
///
/// `vcpu` must be valid and loaded by the calling task; `old` must be null or writable.
#[export]
pub(crate) unsafe extern "C" fn kvm_riscv_vcpu_aia_rmw_ireg(
    vcpu: *mut bindings::kvm_vcpu,
    _csr: c_uint,
    old: *mut usize,
    value: usize,
    mask: usize,
) -> c_int {
    // SAFETY: By the requirements of this function.
    unsafe { emulated(registers::sireg, vcpu, old, value, mask) }
}

/// Delivers an MSI.
///
/// # Safety
///
/// `kvm` and `msi` must be valid.
#[export]
pub(crate) unsafe extern "C" fn kvm_riscv_aia_inject_msi(
    kvm: *mut bindings::kvm,
    msi: *mut bindings::kvm_msi,
) -> c_int {
    // SAFETY: By the requirements of this function.
    let (vm, msi) = unsafe { (Vm::from_raw(kvm), &*msi) };
    let addr = u64::from(msi.address_hi) << 32 | u64::from(msi.address_lo);

    from_result(|| vm::inject_msi(vm, addr, msi.data).map(|()| 0))
}

/// Changes a wire of the APLIC.
///
/// # Safety
///
/// `kvm` must be valid.
#[export]
pub(crate) unsafe extern "C" fn kvm_riscv_aia_inject_irq(
    kvm: *mut bindings::kvm,
    irq: c_uint,
    level: bool,
) -> c_int {
    // SAFETY: By the requirements of this function.
    let vm = unsafe { Vm::from_raw(kvm) };

    from_result(|| vm::inject_irq(vm, irq, level).map(|()| 0))
}
