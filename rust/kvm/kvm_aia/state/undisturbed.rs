// SPDX-License-Identifier: GPL-2.0

//! Who takes a guest file from a vCPU comes to an end soon: others may wait for it.

use kernel::sync::MutexGuard;
use kernel_ext::{
    cpuhplock::CpusReadLock,
    preempt::PreemptionDisabled, //
};

use super::host::HostAia;

/// Nothing but hardware, and CPUs that take an IPI, keeps the running thread from going on where a guest
/// file is in its hands; to be had from before it is taken until it is bound or given back.
///
/// Preemption is off, and who waits spins. With `PREEMPT_RT` that cannot be, since KVM's `mmu_lock` sleeps.
/// There the thread lends its priority to who comes before: one at a time takes files, and no CPU goes
/// offline meanwhile, which would take some. Who waits takes his turn, too.
///
/// Not for a CPU that goes offline itself.
pub(crate) struct Undisturbed<'a> {
    // Given back in this order.
    _turn: Option<MutexGuard<'a, ()>>,
    _cpus: Option<CpusReadLock>,
    _preemption: Option<PreemptionDisabled>,
}

impl<'a> Undisturbed<'a> {
    /// May sleep with `PREEMPT_RT`, and only there.
    #[inline]
    pub(crate) fn new(host: &'a HostAia) -> Self {
        if cfg!(CONFIG_PREEMPT_RT) {
            let cpus = CpusReadLock::new();

            Self {
                _turn: Some(host.moves.lock()),
                _cpus: Some(cpus),
                _preemption: None,
            }
        } else {
            Self {
                _turn: None,
                _cpus: None,
                _preemption: Some(PreemptionDisabled::new()),
            }
        }
    }
}
