// SPDX-License-Identifier: GPL-2.0

//! The registers of an interrupt file in memory, and its signal to the vCPU.
//!
//! Whoever changes the file makes the external interrupt of the vCPU what the file says.

use crate::{
    ids::Eiid,
    isel::IndirectRegister, //
};

use super::vcpu::{
    InterruptFile,
    Vseip as _, //
};

/// Makes the external interrupt of the vCPU what the file in memory says.
#[inline]
pub fn signal(vcpu: impl InterruptFile) {
    // Evaluated under the lock: the last one leaves it right. Who has set it before has woken the vCPU
    // up under the lock, too, so that nobody has to be told what is so already.
    vcpu.with_vseip(|vseip| {
        let asserted = vcpu.sw_file().is_asserted();

        if vseip.is_pending() != asserted {
            vseip.set(asserted);
        }
    });
}

/// Claims an identity ([`crate::swfile::SwFile::claim`]). By the vCPU's own thread.
pub fn claim(vcpu: impl InterruptFile) -> Option<Eiid> {
    let claimed = vcpu.sw_file().claim();

    signal(vcpu);
    claimed
}

/// Accesses a register ([`crate::swfile::SwFile::access`]). By the vCPU's own thread.
pub fn access(
    vcpu: impl InterruptFile,
    register: IndirectRegister,
    value: u64,
    mask: u64,
) -> Option<u64> {
    let old = vcpu.sw_file().access(register, value, mask)?;

    if mask != 0 {
        signal(vcpu);
    }
    Some(old)
}
