// SPDX-License-Identifier: GPL-2.0

//! A vCPU in WFI wakes up, whoever sends the MSI.

use crate::boot;
use std::{
    thread::sleep,
    time::Duration, //
};
use vmm::{
    abi::{
        op,
        APLIC_BASE, //
    },
    ensure,
    exact,
    regs::aplic,
    Context,
    Guest,
    Machine,
    Mode,
    Result, //
};

const ID: u32 = 40;
const TIMES: u32 = 20;

/// The vCPU sleeps, is woken up by the MSI that `send` sends, and takes it once; again and again.
fn wakes(guest: &Guest, mut send: impl FnMut(&Guest) -> Result<()>) -> Result<()> {
    guest.give(0, op::WFI_UNTIL, &[TIMES.into()]);
    for n in 1..=TIMES {
        guest.until(
            |g| g.stats(0).is_ok_and(|s| s.get("blocking") == 1),
            || format!("sleep {n}"),
        )?;
        send(guest)?;
        guest
            .until(|g| g.count(0, ID) >= n, || format!("wake-up {n}"))
            .context(format!("{} interrupts", guest.total(0)))?;
    }
    guest.wait(0)?;
    exact(guest, 0, ID, 1, TIMES)
}

pub(crate) fn host(m: &Machine) -> Result<()> {
    wakes(&boot(m, Mode::Emul, 1)?, |g| g.signal_msi(0, ID))
}

pub(crate) fn vcpu(m: &Machine) -> Result<()> {
    wakes(&boot(m, Mode::Emul, 2)?, |g| {
        g.store(1, g.config().imsic_page(0), 4, ID.into())?
            .read(|| "store to the IMSIC".into())?;
        Ok(())
    })
}

pub(crate) fn wire(m: &Machine) -> Result<()> {
    let mut cfg = crate::config(1, Mode::Emul);

    cfg.sources = 1;
    let guest = m.boot(cfg)?;

    for (register, value) in [
        (aplic::SOURCECFG + 4, aplic::sm::EDGE1),
        (aplic::TARGET + 4, ID),
        (aplic::SETIENUM, 1),
        (aplic::DOMAINCFG, aplic::IE),
    ] {
        guest.call(
            0,
            op::WRITE32,
            &[APLIC_BASE + u64::from(register), value.into()],
        )?;
    }
    wakes(&guest, |g| {
        g.irq_line(1, true)?;
        g.irq_line(1, false)
    })
}

/// Delivery that is switched on wakes, too: WFI sees what is pending.
pub(crate) fn not_needed(m: &Machine) -> Result<()> {
    let guest = boot(m, Mode::Emul, 1)?;

    guest.mask(0)?;
    guest.signal_msi(0, ID)?;
    // With the interrupt pending, WFI does not wait even while it is masked.
    guest.give(0, op::WFI_UNTIL, &[1]);
    sleep(Duration::from_millis(30));
    ensure(guest.total(0) == 0, || "taken while masked".into())?;
    guest.abort(0);
    guest.wait(0)?;
    guest.unmask(0)?;
    guest.until(|g| g.count(0, ID) == 1, || "the interrupt".into())
}
