// SPDX-License-Identifier: GPL-2.0

//! The C side: exported functions, the published state, and C structures.

#![expect(unsafe_code, reason = "the boundary to C")]

use core::ptr;

use aia_core::{
    addr::{
        Host,
        PhysAddr,
        PAGE_SIZE, //
    },
    geometry::Geometry,
    ids::{
        GuestIndex,
        NrIds, //
    },
    vector::slot::Owner, //
};
use kernel::{
    bindings,
    cpu::CpuId,
    device::Device,
    error::from_result,
    macros::export,
    prelude::*,
    sync::atomic::{
        Acquire,
        Atomic,
        Full,
        Relaxed, //
    }, //
};
use kernel_ext::{
    fwnode,
    io::Register,
    irq::Descriptor,
    percpu::PerCpu, //
};

use crate::{
    config::Config,
    early,
    state::{
        Doorbell,
        Imsic, //
    }, //
};

/// The IMSIC of the system, complete, or null.
///
/// # Invariants
///
/// If not null, it points to a value that stays until a failed set-up takes it back, which happens
/// before any other CPU and any other driver runs.
static IMSIC: Atomic<*mut Imsic> = Atomic::new(ptr::null_mut());

/// `irqchip.riscv_imsic_noipi`.
static NOIPI: Atomic<bool> = Atomic::new(false);

/// The IMSIC of the system, if there is one.
#[inline(always)]
pub(crate) fn imsic() -> Option<&'static Imsic> {
    // Dependent loads are ordered after this one; the state was complete when it was stored.
    let imsic = IMSIC.load(Relaxed);

    // SAFETY: By the invariants of `IMSIC`.
    unsafe { imsic.as_ref() }
}

/// The scheme by which the system's IMSIC computes addresses, if there is one.
pub fn geometry() -> Option<Geometry<Host>> {
    imsic().map(|imsic| imsic.geometry)
}

/// The physical address of the supervisor interrupt file of `cpu`, if it has one.
pub fn file_address(cpu: CpuId) -> Option<PhysAddr<Host>> {
    Some(PhysAddr::new(imsic()?.locals.on(cpu)?.doorbell?.address))
}

/// A guest interrupt file's page of registers.
#[derive(Clone, Copy)]
pub struct GuestPage {
    /// `seteipnum_le` (AIA 3.5).
    pub doorbell: Register,
    /// The physical address of the page.
    pub address: PhysAddr<Host>,
}

/// How many guest interrupt files `cpu` has; 0 if there is no IMSIC.
pub fn nr_guest_files(cpu: CpuId) -> u32 {
    imsic()
        .and_then(|imsic| imsic.locals.on(cpu)?.doorbell)
        .map_or(0, |doorbell| doorbell.guest_files)
}

/// How many guest interrupt files every hart has at least; 0 if there is no IMSIC.
pub fn fewest_guest_files() -> u32 {
    imsic().map_or(0, |imsic| imsic.global.fewest_guest_files())
}

/// How many identities a guest interrupt file has, if there is an IMSIC.
pub fn nr_guest_ids() -> Option<NrIds> {
    NrIds::new(imsic()?.global.raw.nr_guest_ids)
}

/// The page of guest interrupt file `guest` of `cpu`, if there is one.
pub fn guest_page(cpu: CpuId, guest: GuestIndex) -> Option<GuestPage> {
    let doorbell = imsic()?.locals.on(cpu)?.doorbell?;

    if !guest.is_guest() || guest.get() > doorbell.guest_files {
        return None;
    }
    let bytes = u64::from(guest.get()) * PAGE_SIZE;

    Some(GuestPage {
        // CAST: A few pages.
        // SAFETY: The mapping covers the guest files of each hart, see `early`.
        doorbell: unsafe { doorbell.register.further(bytes as usize) },
        address: PhysAddr::new(doorbell.address).checked_add(bytes)?,
    })
}

/// Whether the command line says that IPIs shall not be MSIs.
pub(crate) fn noipi() -> bool {
    NOIPI.load(Relaxed)
}

/// The IMSIC while its set-up goes on; taken back when dropped.
pub(crate) struct Published(&'static Imsic);

impl Published {
    /// Publishes `imsic`.
    pub(crate) fn new(imsic: KBox<Imsic>) -> Self {
        let raw = KBox::into_raw(imsic);

        IMSIC.xchg(raw, Full);
        // SAFETY: Just made of a box, and only made one again when `self` is dropped.
        Self(unsafe { &*raw })
    }

    /// What was published.
    pub(crate) fn imsic(&self) -> &'static Imsic {
        self.0
    }

    /// Keeps it for ever.
    pub(crate) fn leak(self) {
        core::mem::forget(self);
    }
}

impl Drop for Published {
    fn drop(&mut self) {
        let raw = IMSIC.xchg(ptr::null_mut(), Full);

        // SAFETY: Published by `new` of a box. The set-up has failed on the only CPU that runs, and
        // has taken the handler and the hotplug callbacks back before.
        drop(unsafe { KBox::from_raw(raw) });
    }
}

/// The descriptor of the interrupt that owns a vector.
#[inline(always)]
pub(crate) fn descriptor(owner: Owner) -> Option<Descriptor> {
    // CAST: Owners are made of descriptors' addresses.
    // SAFETY: A slot loses its owner before the interrupt is freed, and the callers run with
    // interrupts off.
    unsafe { Descriptor::from_addr(owner.get() as usize) }
}

/// Per CPU, what other drivers of the kernel see.
#[repr(transparent)]
struct LocalConfig(bindings::imsic_local_config);

// SAFETY: Only numbers and the address of a mapping that is the same on all CPUs.
unsafe impl Send for LocalConfig {}
// SAFETY: As above; nothing writes to it.
unsafe impl Sync for LocalConfig {}

/// What other drivers of the kernel see: KVM, IOMMU, system MSIs.
///
/// C header: `include/linux/irqchip/riscv-imsic.h`
pub(crate) struct GlobalConfig {
    raw: bindings::imsic_global_config,
    most_guest_files: u32,
    _locals: PerCpu<LocalConfig>,
}

// SAFETY: Only numbers and a per-CPU pointer; nothing writes to it.
unsafe impl Send for GlobalConfig {}
// SAFETY: As above.
unsafe impl Sync for GlobalConfig {}

impl GlobalConfig {
    /// Makes the C structures of `config`.
    pub(crate) fn new(
        config: &Config,
        doorbell: impl Fn(CpuId) -> Option<Doorbell>,
    ) -> Result<Self> {
        let locals = PerCpu::new(|cpu| {
            let mut raw = bindings::imsic_local_config::default();

            if let Some(doorbell) = doorbell(cpu) {
                raw.msi_pa = doorbell.address;
                raw.msi_va = doorbell.register.as_raw();
                raw.nr_guest_files = doorbell.guest_files;
            }
            Ok(LocalConfig(raw))
        })?;
        let guest_files = || config.harts.iter().map(|hart| hart.place.guest_files);
        let geometry = &config.geometry;

        Ok(Self {
            raw: bindings::imsic_global_config {
                guest_index_bits: geometry.guest_index_bits(),
                hart_index_bits: geometry.hart_index_bits(),
                group_index_bits: geometry.group_index_bits(),
                group_index_shift: geometry.group_index_shift(),
                base_addr: geometry.base().get(),
                nr_ids: config.nr_ids.get(),
                nr_guest_ids: config.nr_guest_ids.get(),
                nr_guest_files: guest_files().min().unwrap_or(0),
                // CAST: A transparent wrapper.
                local: locals.as_raw().cast(),
            },
            most_guest_files: guest_files().max().unwrap_or(0),
            _locals: locals,
        })
    }

    /// Guest files of the hart that has fewest.
    pub(crate) fn fewest_guest_files(&self) -> u32 {
        self.raw.nr_guest_files
    }

    /// Guest files of the hart that has most.
    pub(crate) fn most_guest_files(&self) -> u32 {
        self.most_guest_files
    }
}

/// Where the MSIs of the system's IMSIC go; null if there is none.
///
/// C header: `include/linux/irqchip/riscv-imsic.h`
///
/// # Safety
///
/// None: any context. It is `unsafe` because the declaration in the header is.
#[export]
pub(crate) unsafe extern "C" fn imsic_get_global_config() -> *const bindings::imsic_global_config {
    let imsic = IMSIC.load(Acquire);

    // SAFETY: By the invariants of `IMSIC`.
    unsafe { imsic.as_ref() }.map_or(ptr::null(), |imsic| &imsic.global.raw)
}

/// Called for each node that is compatible, in early boot.
///
/// # Safety
///
/// `node` must be valid.
#[export]
pub(crate) unsafe extern "C" fn riscv_imsic_of_init(
    node: *mut bindings::device_node,
    _parent: *mut bindings::device_node,
) -> c_int {
    from_result(|| {
        // SAFETY: By the requirements of this function.
        let node = unsafe { fwnode::from_of(node) }.ok_or(EINVAL)?;

        early::init(node)?;
        Ok(0)
    })
}

/// Called if the command line has `irqchip.riscv_imsic_noipi`.
///
/// # Safety
///
/// None: any context. It is `unsafe` because the declaration in the header is.
#[export]
pub(crate) unsafe extern "C" fn riscv_imsic_noipi(_arg: *mut c_char) -> c_int {
    NOIPI.store(true, Relaxed);
    0
}

/// Called when the device of the node is probed.
///
/// # Safety
///
/// `pdev` must be valid.
#[export]
pub(crate) unsafe extern "C" fn riscv_imsic_probe(pdev: *mut bindings::platform_device) -> c_int {
    from_result(|| {
        // SAFETY: The device is valid while it is probed.
        early::probe(unsafe { Device::from_raw(ptr::addr_of_mut!((*pdev).dev)) })?;
        Ok(0)
    })
}
