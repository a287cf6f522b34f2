// SPDX-License-Identifier: GPL-2.0

//! Inter-processor interrupts.

use kernel_ext::ipi_mux;

use crate::state::LocalHart;

/// IPIs are MSIs with the identity for pokes.
impl ipi_mux::Target for LocalHart {
    #[inline(always)]
    fn ring(&self) {
        self.poke();
    }
}
