// SPDX-License-Identifier: GPL-2.0

//! Guest files are taken away from their vCPUs, by the CPU that they belong to.

use aia_core::{
    guest::imsic::evict,
    ids::{
        Cpu,
        Hgei, //
    },
};
use kernel::cpu::CpuId;

use crate::{
    ops::owners::Owners,
    state::host::HgeiControl, //
};

/// Takes the guest file behind `line` of this CPU away from its owner ([`evict::evict`]).
pub(crate) fn evict(hart: &HgeiControl, here: CpuId, line: Hgei) {
    evict::evict(&Owners(hart), Cpu::new(here.as_u32()), line);
}

/// Saves what the guest file behind `line` of this CPU holds ([`evict::park`]).
pub(crate) fn park(hart: &HgeiControl, here: CpuId, line: Hgei) {
    evict::park(&Owners(hart), Cpu::new(here.as_u32()), line);
}

/// Undoes [`park`].
pub(crate) fn unpark(hart: &HgeiControl, here: CpuId, line: Hgei) {
    evict::unpark(&Owners(hart), Cpu::new(here.as_u32()), line);
}
