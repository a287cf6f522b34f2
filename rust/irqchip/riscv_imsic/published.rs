// SPDX-License-Identifier: GPL-2.0

//! Where everybody finds the IMSIC of the system.
//!
//! It is looked up once, by who is called from outside: what is called from there gets a reference.

#![expect(unsafe_code, reason = "a pointer that is null before the set-up")]

use core::ptr;

use aia_core::{
    addr::{
        Host,
        PhysAddr, //
    },
    geometry::Geometry, //
};

use kernel::{
    cpu::CpuId,
    device::property::FwNode,
    prelude::*,
    sync::atomic::{
        Atomic,
        Full,
        Relaxed, //
    }, //
};

use crate::state::Imsic;

/// The IMSIC of the system, complete, or null.
///
/// # Invariants
///
/// If not null, it points to a value that stays until a failed set-up takes it back, which happens
/// before any other CPU and any other driver runs.
static IMSIC: Atomic<*mut Imsic> = Atomic::new(ptr::null_mut());

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

/// The node of the system's IMSIC, if ACPI describes it.
pub fn acpi_node() -> Option<&'static FwNode> {
    imsic()
        .map(|imsic| &*imsic.node)
        .filter(|node| !node.is_of_node())
}

/// The IMSIC while its set-up goes on; taken back when dropped.
pub(crate) struct Publication(&'static Imsic);

impl Publication {
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

impl Drop for Publication {
    fn drop(&mut self) {
        let raw = IMSIC.xchg(ptr::null_mut(), Full);

        // SAFETY: Published by `new` of a box. The set-up has failed on the only CPU that runs, and
        // has taken the handler and the hotplug callbacks back before.
        drop(unsafe { KBox::from_raw(raw) });
    }
}

/// `irqchip.riscv_imsic_noipi`.
static NOIPI: Atomic<bool> = Atomic::new(false);

/// Whether the command line says that IPIs shall not be MSIs.
pub(crate) fn noipi() -> bool {
    NOIPI.load(Relaxed)
}

/// IPIs shall not be MSIs. Early boot.
pub(crate) fn set_noipi() {
    NOIPI.store(true, Relaxed);
}
