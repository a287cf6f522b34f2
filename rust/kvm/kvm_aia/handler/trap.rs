// SPDX-License-Identifier: GPL-2.0

//! CSRs of the guest that trap: the indirectly accessed ones and `stopei`.
//!
//! KVM has looked who accesses them, and whether the vCPU has them: the guest's user mode does not get
//! here.

use aia_core::{
    guest::iprio,
    isel::{
        IndirectRegister, //
        Isel,
    },
};
use kvm_ext::{
    LoadedVcpu,
    VcpuLocked, //
};

use crate::published::{
    host,
    imsic, //
};

/// What the guest does to a CSR: the bits of `mask` become those of `value`.
#[derive(Clone, Copy)]
pub(crate) struct Access {
    pub(crate) value: u64,
    pub(crate) mask: u64,
}

/// How a trapped access goes on.
pub(crate) enum Outcome {
    /// It is done; the CSR held this.
    Done(u64),
    /// The guest gets an illegal-instruction exception.
    Illegal,
    /// User space has to do it.
    ToUser,
}

/// `stopei` (AIA 3.9). Any write claims.
///
/// Before INIT user space has the interrupt file, if anybody has. Afterwards it cannot have that of a
/// vCPU that came too late for one: such a hart has no IMSIC (AIA 2.3).
pub(crate) fn stopei(vcpu: &VcpuLocked<'_>) -> Outcome {
    if !vcpu.vm().is_aia_initialized() {
        return Outcome::ToUser;
    }
    match imsic(vcpu) {
        Some(imsic) => Outcome::Done(imsic.access_topei(vcpu, vcpu.writes_csr())),
        None => Outcome::Illegal,
    }
}

/// `sireg`, for the register that `siselect` selects (AIA 2.1). For who has the interrupt file, see
/// [`stopei`].
///
/// An odd number of an array is an illegal instruction (AIA 3.8.3): what the guest's hypervisor sees
/// as a virtual one, the guest would not see on a hart of its own.
pub(crate) fn sireg(vcpu: &mut LoadedVcpu<'_>, access: Access) -> Outcome {
    let number = vcpu.vsiselect() as u64;
    let Some(isel) = Isel::new(number) else {
        return match number {
            0x30..=0x3f => Outcome::Illegal,
            0x80..=0xff if vcpu.vm().is_aia_initialized() => Outcome::Illegal,
            _ => Outcome::ToUser,
        };
    };

    match isel.register() {
        IndirectRegister::Iprio { first } => priorities(vcpu, first, access),
        register if vcpu.vm().is_aia_initialized() => imsic(vcpu)
            .and_then(|imsic| imsic.access(vcpu, register, access.value, access.mask))
            .map_or(Outcome::Illegal, Outcome::Done),
        _ => Outcome::ToUser,
    }
}

/// The priorities of major interrupts `first` to `first + 7` (AIA 6.3.1), as far as the guest has
/// them.
fn priorities(vcpu: &mut LoadedVcpu<'_>, first: u32, access: Access) -> Outcome {
    let Some(host) = host() else {
        return Outcome::Illegal;
    };
    let interrupts = host.guest_interrupts();
    // CAST: As wide as the hart.
    let hviprio = vcpu.hviprio().map(|register| register as u64);
    let old = iprio::read(first, interrupts, hviprio);

    if access.mask != 0 {
        let new = old & !access.mask | access.value & access.mask;
        let hviprio = iprio::write(first, interrupts, new, hviprio);

        // CAST: As wide as the hart.
        vcpu.set_hviprio(hviprio.map(|register| register as usize));
    }
    Outcome::Done(old)
}
