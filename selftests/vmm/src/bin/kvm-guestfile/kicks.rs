// SPDX-License-Identifier: GPL-2.0

//! Who kicks a vCPU that runs: an MSI to its guest file does not (d252435aca44).

use vmm::{
    ensure,
    exact,
    host,
    measure,
    Config,
    Guest,
    Machine,
    Mode,
    Result, //
};

const MSIS: u32 = 1500;

/// Lets the calling thread run everywhere again.
struct Unpin<'a>(&'a Machine);

impl Drop for Unpin<'_> {
    fn drop(&mut self) {
        let _ = host::pin_self(self.0.cpus());
    }
}

/// MSIs from one CPU to a vCPU that runs on another one, each after the last was
/// counted; the IPIs that the latter got.
fn kicks(m: &Machine, mode: Mode) -> Result<u64> {
    let (from, to) = (m.cpu(0), m.cpu(1));
    let mut guest = Guest::new(m.kvm(), Config::new(1, mode))?;

    guest.boot(0, &[to])?;
    host::pin_self(&[from])?;
    let _unpin = Unpin(m);
    let report = measure(&mut guest, &[0], &[to], |g| {
        g.send_from_host(0, 7, 1, MSIS, Guest::signal_msi)
    })?;

    ktap::diag(format!("{mode}: {MSIS} MSIs: {report}"));
    exact(&guest, 0, 7, 1, MSIS)?;
    Ok(report.reschedules)
}

pub(crate) fn none(m: &Machine) -> Result<()> {
    let kicks = kicks(m, Mode::Hwaccel)?;

    ensure(kicks < u64::from(MSIS) / 30, || {
        format!("{kicks} kicks for {MSIS} MSIs to a guest file")
    })
}

/// What [`none`] counts is there when there are kicks.
pub(crate) fn each(m: &Machine) -> Result<()> {
    let kicks = kicks(m, Mode::Emul)?;

    ensure(kicks > u64::from(MSIS) / 3, || {
        format!("{kicks} kicks for {MSIS} MSIs to an emulated file")
    })
}
