// SPDX-License-Identifier: GPL-2.0

//! Who kicks a vCPU that runs: an MSI to its guest file does not (d252435aca44).

use vmm::{
    abi::op,
    ensure,
    exact,
    host::{
        self,
        Interrupts, //
    },
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

/// A CPU that runs a vCPU is told each time that the page of another one's interrupt file is translated
/// otherwise: its guest would go on to store MSIs to the former file.
pub(crate) fn told(m: &Machine) -> Result<()> {
    const MOVES: u64 = 50;
    let [here, there, runs] = [0, 1, 2].map(|n| m.cpu(n));
    let mut guest = Guest::new(m.kvm(), Config::new(2, Mode::Hwaccel))?;

    guest.boot(0, &[here])?;
    // It looks for commands all the time.
    guest.boot(1, &[runs])?;
    host::pin_self(&[here])?;
    let _unpin = Unpin(m);
    let before = Interrupts::read(runs)?;
    let moves = guest.stats(0)?.get("aia_file_moves");

    for round in 0..MOVES {
        let cpu = if round % 2 == 0 { there } else { here };

        guest.pin(0, &[cpu])?;
        guest.call(0, op::NOP, &[])?;
    }
    let moves = guest.stats(0)?.get("aia_file_moves") - moves;
    let calls = Interrupts::read(runs)?.since(&before).calls;

    ktap::diag(format!("{moves} moves, {calls} calls"));
    ensure(moves >= MOVES && calls >= moves, || {
        format!("{calls} calls for {moves} moves")
    })
}
