// SPDX-License-Identifier: GPL-2.0

//! vCPUs that sleep while they have nothing to do, so that there can be many.

use crate::{
    abi::op,
    Guest,
    Result, //
};

impl Guest {
    /// The identity that wakes a vCPU up for a command.
    pub const WAKE: u32 = 255;

    /// Lets a vCPU sleep by WFI; interrupts still come.
    pub fn park(&self, vcpu: usize) {
        self.give(vcpu, op::WFI_UNTIL, &[u64::MAX]);
    }

    /// Wakes it, so that it takes commands again.
    pub fn unpark(&self, vcpu: usize) -> Result<()> {
        // It may be on its way to sleep and miss the word, but not the interrupt.
        self.abort(vcpu);
        self.signal_msi(vcpu, Self::WAKE)?;
        self.wait(vcpu).map(drop)
    }
}
