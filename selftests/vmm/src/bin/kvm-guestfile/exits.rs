// SPDX-License-Identifier: GPL-2.0

//! What MSIs may cost in exits.

use vmm::{
    ensure,
    Report,
    Result, //
};

/// No exit has to do with any of `msis` MSIs.
pub(crate) fn no_exits(report: &Report, msis: u64) -> Result<()> {
    ktap::diag(format!("{msis} MSIs: {report}"));
    ensure(report.traps == 0, || format!("the guest trapped: {report}"))?;
    ensure(report.guest_external == 0, || {
        format!("guest files interrupted the host: {report}")
    })?;
    ensure(report.unexplained() <= msis / 200, || {
        format!("exits that no interrupt of the host explains: {report}")
    })
}

/// Each of `msis` MSIs cost at least one exit.
pub(crate) fn exits_each(report: &Report, msis: u64) -> Result<()> {
    ktap::diag(format!("{msis} MSIs: {report}"));
    ensure(report.traps >= msis, || {
        format!("{msis} emulated MSIs, but {report}")
    })
}
