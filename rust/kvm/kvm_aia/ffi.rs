// SPDX-License-Identifier: GPL-2.0

//! The C side: what KVM calls, in the submodules, and what the C structures of KVM hold for us.
//!
//! C header: `arch/riscv/include/asm/kvm_aia.h`

#![expect(unsafe_code, reason = "the boundary to C")]

mod csr;
mod host;
mod vcpu;
mod vm;

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
        hgei::Lines,
        imsic::evict, //
    },
    ids::{
        Cpu,
        Hgei, //
    },
};
use kernel::{
    bindings,
    cpu::CpuId,
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
use kernel_ext::sync::{
    raw_spinlock::RawSpinLockBackend,
    RawSpinLock, //
};
use kvm_ext::{
    io_bus::IoDevice,
    Vcpu,
    Vm,
    VmLocked, //
};

use crate::{
    aplic::AplicPage,
    host::Host,
    imsic::{
        ImsicPage,
        VcpuImsic,
        VcpuImsicRef, //
    },
    vm::VmAia, //
};

pub(crate) use self::host::{
    lower_nr_hgei,
    nr_hgei, //
};

/// What [`host`] returns: null, or a box.
static HOST: Atomic<*mut Host> = Atomic::new(ptr::null_mut());

/// The host; [`None`] if it has no AIA.
#[inline(always)]
pub(crate) fn host() -> Option<&'static Host> {
    // SAFETY: Either null or set by `set_host` to a value that lives until `take_host`, after
    // everything that could call here. Dependent loads are ordered.
    unsafe { HOST.load(Relaxed).as_ref() }
}

/// Makes `host` what [`host`] returns, as long as nobody makes a device or runs a guest.
fn set_host(host: KBox<Host>) {
    HOST.store(KBox::into_raw(host), Release);
}

/// Undoes [`set_host`]; [`None`] if there is no host.
///
/// # Safety
///
/// Nobody may use it any more.
unsafe fn take_host() -> Option<KBox<Host>> {
    let host = HOST.xchg(ptr::null_mut(), Relaxed);

    // SAFETY: Made of a box by `set_host`; by the requirements of this function, nobody has it.
    (!host.is_null()).then(|| unsafe { KBox::from_raw(host) })
}

/// The initialised interrupt controllers of a virtual machine.
#[inline(always)]
pub(crate) fn aia(vm: &Vm) -> Option<&VmAia> {
    // SAFETY: Either null or set by `publish` to a value that lives until `take_aia`, after
    // everything that could call here.
    unsafe { vm.aia_state().cast::<VmAia>().as_ref() }
}

/// The interrupt file of a vCPU.
///
/// [`None`] before the interrupt controllers are initialised, and for a vCPU that was made later.
#[inline(always)]
pub(crate) fn imsic(vcpu: &Vcpu) -> Option<&VcpuImsic> {
    // SAFETY: Either null or set by `publish` to a value that lives until the vCPU is destroyed, after
    // everything that could call here.
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
    /// A vCPU and the interrupt file that it will have, as part of its virtual machine's [`VmAia`].
    pub(crate) fn new((vcpu, imsic): &(&Vcpu, Pin<KBox<VcpuImsic>>)) -> Option<Self> {
        Some(Self {
            vcpu: NonNull::new(vcpu.as_raw())?,
            imsic: NonNull::from(&**imsic),
        })
    }

    /// The vCPU and its interrupt file.
    #[inline(always)]
    pub(crate) fn get(&self) -> (&Vcpu, &VcpuImsic) {
        // SAFETY: The `VmAia` is published together with the files, which are destroyed with their
        // vCPUs, together with the virtual machine, when nobody is left who delivers MSIs.
        unsafe { (Vcpu::from_raw(self.vcpu.as_ptr()), self.imsic.as_ref()) }
    }
}

/// Lets everybody see the interrupt controllers, and the vCPUs' interrupt files, those of `aia`. None of
/// it is taken back.
pub(crate) fn publish(
    vm: &mut VmLocked<'_>,
    aia: KBox<VmAia>,
    files: KVec<(&Vcpu, Pin<KBox<VcpuImsic>>)>,
) {
    for (vcpu, imsic) in files {
        // SAFETY: It does not move until `take_imsic` makes it the same box again.
        let imsic = unsafe { Pin::into_inner_unchecked(imsic) };

        vcpu.set_imsic_state(KBox::into_raw(imsic).cast());
    }
    vm.set_aia_state(KBox::into_raw(aia).cast());
    vm.set_aia_initialized();
}

/// Takes the interrupt controllers of a virtual machine, if it has some.
///
/// # Safety
///
/// Nobody else may use the virtual machine any more.
unsafe fn take_aia(vm: &Vm) -> Option<KBox<VmAia>> {
    let aia = vm.aia_state().cast::<VmAia>();

    // Before its devices are taken from the bus, one after the other.
    vm.set_aia_state(ptr::null_mut());
    // SAFETY: Made of a box by `publish`; by the requirements of this function, nobody has it.
    (!aia.is_null()).then(|| unsafe { KBox::from_raw(aia) })
}

/// Frees the interrupt file of a vCPU, which nobody uses any more. May sleep.
fn take_imsic(vcpu: &Vcpu) {
    let Some(imsic) = imsic(vcpu) else {
        return;
    };

    imsic.destroy(vcpu);
    let raw = vcpu.imsic_state().cast::<VcpuImsic>();

    vcpu.set_imsic_state(ptr::null_mut());
    // SAFETY: Made of a pinned box by `publish`; nobody has it any more.
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
}

/// The guest files of the running hart, by the lock of its lines.
struct Owners<'a>(&'a RawSpinLock<Lines<Owner>>);

impl evict::Hart for Owners<'_> {
    /// Not for longer than the trait says.
    type Owner = VcpuImsicRef<'static>;

    fn with_owner<R>(&self, line: Hgei, f: impl FnOnce(VcpuImsicRef<'static>) -> R) -> Option<R> {
        let lines = self.0.lock();
        let owner = lines.owner(line)?;
        // SAFETY: A vCPU frees its line, under this lock, before it is freed. If a release begins, it is
        // alive until that ends, since `VcpuImsic::destroy` waits for it.
        let vcpu = unsafe { Vcpu::from_raw(owner.0.as_ptr()) };

        Some(f(imsic(vcpu)?.of(vcpu)))
    }
}

/// Takes the guest file behind `line` of this CPU away from its owner ([`evict::evict`]).
pub(crate) fn evict(lines: &RawSpinLock<Lines<Owner>>, here: CpuId, line: Hgei) {
    evict::evict(&Owners(lines), Cpu::new(here.as_u32()), line);
}

/// Saves what the guest file behind `line` of this CPU holds ([`evict::park`]).
pub(crate) fn park(lines: &RawSpinLock<Lines<Owner>>, here: CpuId, line: Hgei) {
    evict::park(&Owners(lines), Cpu::new(here.as_u32()), line);
}

/// Undoes [`park`].
pub(crate) fn unpark(lines: &RawSpinLock<Lines<Owner>>, here: CpuId, line: Hgei) {
    evict::unpark(&Owners(lines), Cpu::new(here.as_u32()), line);
}
