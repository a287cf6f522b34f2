// SPDX-License-Identifier: GPL-2.0

//! Inter-processor interrupts.

use kernel::cpu::CpuId;
use kernel_ext::ipi_mux;

use crate::{
    published,
    state::to_cpu, //
};

/// IPIs are MSIs with the identity for pokes.
pub(crate) struct Ipi;

impl ipi_mux::Send for Ipi {
    fn send(cpu: CpuId) {
        if let Some(imsic) = published::imsic() {
            imsic.ring(to_cpu(cpu));
        }
    }
}
