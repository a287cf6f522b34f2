// SPDX-License-Identifier: GPL-2.0

//! Guest files are taken away from their vCPUs, by the CPU that they belong to.

#![expect(
    unsafe_code,
    reason = "a vCPU that is used for longer than its line's lock is held"
)]

use aia_core::{
    guest::{
        hgei::Lines,
        imsic::evict, //
    },
    ids::{
        Cpu,
        Hgei, //
    },
};
use kernel::cpu::CpuId;
use kernel_ext::sync::RawSpinLock;

use crate::{
    published::imsic,
    state::{
        handle::VcpuImsicRef,
        host::HgeiOwner, //
    }, //
};

/// The guest files of the running hart, by the lock of its lines.
struct Owners<'a>(&'a RawSpinLock<Lines<HgeiOwner>>);

impl evict::HgeiOwners for Owners<'_> {
    /// Not for longer than the trait says.
    type Owner = VcpuImsicRef<'static>;

    fn with_owner<R>(&self, line: Hgei, f: impl FnOnce(VcpuImsicRef<'static>) -> R) -> Option<R> {
        let lines = self.0.lock();
        let owner = lines.owner(line)?;
        // SAFETY: A vCPU frees its line, under this lock, before it is freed. If a release begins, it is
        // alive until that ends, since `release::destroy` waits for it.
        let vcpu = unsafe { owner.vcpu_unlocked() };

        Some(f(VcpuImsicRef::new(vcpu, imsic(vcpu)?)))
    }
}

/// Takes the guest file behind `line` of this CPU away from its owner ([`evict::evict`]).
pub(crate) fn evict(lines: &RawSpinLock<Lines<HgeiOwner>>, here: CpuId, line: Hgei) {
    evict::evict(&Owners(lines), Cpu::new(here.as_u32()), line);
}

/// Saves what the guest file behind `line` of this CPU holds ([`evict::park`]).
pub(crate) fn park(lines: &RawSpinLock<Lines<HgeiOwner>>, here: CpuId, line: Hgei) {
    evict::park(&Owners(lines), Cpu::new(here.as_u32()), line);
}

/// Undoes [`park`].
pub(crate) fn unpark(lines: &RawSpinLock<Lines<HgeiOwner>>, here: CpuId, line: Hgei) {
    evict::unpark(&Owners(lines), Cpu::new(here.as_u32()), line);
}
