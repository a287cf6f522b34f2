// SPDX-License-Identifier: GPL-2.0

//! The guest accesses its interrupt file in memory.

use aia_core::{
    eix,
    guest::imsic::access,
    ids::Eiid,
    isel::IndirectRegister, //
};
use kvm_ext::VcpuLocked;

use crate::state::{
    handle::VcpuImsicRef,
    imsic::VcpuImsic, //
};

impl VcpuImsic {
    /// The identity for which the file in memory interrupts.
    #[inline]
    pub(crate) fn top(&self) -> Option<Eiid> {
        self.sw_file.top()
    }

    /// The guest reads `*topei`, and claims what it reads by a write (AIA 3.9).
    pub(crate) fn access_topei(&self, vcpu: &VcpuLocked<'_>, write: bool) -> u64 {
        if !write {
            return eix::topei_value(self.sw_file.top());
        }
        eix::topei_value(access::claim(VcpuImsicRef::new(vcpu, self)))
    }

    /// The guest accesses a register of the file in memory: bits of `mask` become those of `value`.
    /// Returns the old value, or [`None`] if it is no register of an interrupt file.
    pub(crate) fn access(
        &self,
        vcpu: &VcpuLocked<'_>,
        register: IndirectRegister,
        value: u64,
        mask: u64,
    ) -> Option<u64> {
        access::access(VcpuImsicRef::new(vcpu, self), register, value, mask)
    }
}
