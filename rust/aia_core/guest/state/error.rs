// SPDX-License-Identifier: GPL-2.0

//! What can be wrong with a snapshot.

use crate::error::EINVAL;

/// Why a snapshot is refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SnapshotError {
    /// The version is an unknown one.
    Version,
    /// The size is not what the numbers make it.
    Size,
    /// The virtual machine has other numbers of identities, sources or vCPUs.
    Counts,
    /// A reserved field is not 0.
    Reserved,
    /// `domaincfg` or `genmsi` cannot have this value.
    Domain,
    /// No source can be in this state.
    Source,
    /// A source is pending and enabled, and the domain delivers: then it would have been sent.
    Due,
    /// The IDs of the vCPUs do not ascend.
    VcpuOrder,
    /// No interrupt file can be in this state.
    File,
}

impl SnapshotError {
    /// Returns the error number of Linux, which is negative.
    #[inline]
    pub const fn errno(self) -> i32 {
        EINVAL
    }
}
