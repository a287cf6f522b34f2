// SPDX-License-Identifier: GPL-2.0

//! Who sends MSIs to whom, and by which identities.

use vmm::{
    slot::Ids,
    Config, //
};

/// Where MSIs come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum From {
    /// A vCPU, by stores.
    Vcpu(usize),
    /// The VMM, by KVM_SIGNAL_MSI.
    Signal,
    /// The VMM, by irqfds.
    Irqfd,
}

/// MSIs of one sender to one receiver.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Path {
    pub(crate) from: From,
    pub(crate) to: usize,
    pub(crate) ids: Ids,
}

const fn ids(first: u32, bursts: u32, singles: u32) -> Ids {
    Ids {
        first,
        bursts,
        singles,
    }
}

const SIGNAL: Ids = ids(1, 2, 47);
const IRQFD: Ids = ids(51, 2, 47);
const VCPU: Ids = ids(101, 6, 140);

/// The vCPU that sleeps between its interrupts, and sends nothing.
pub(crate) fn sleeper(cfg: &Config) -> usize {
    cfg.vcpus - 1
}

/// The vCPUs in a row, from each to the next, the sleeper last; and from the VMM
/// to the first and the last.
pub(crate) fn row(cfg: &Config) -> Vec<Path> {
    let mut paths: Vec<_> = (0..sleeper(cfg))
        .map(|v| Path {
            from: From::Vcpu(v),
            to: v + 1,
            ids: VCPU,
        })
        .collect();
    let mut ends = vec![0, sleeper(cfg)];

    ends.dedup();
    for to in ends {
        paths.push(Path {
            from: From::Signal,
            to,
            ids: SIGNAL,
        });
        paths.push(Path {
            from: From::Irqfd,
            to,
            ids: IRQFD,
        });
    }
    paths
}
