// SPDX-License-Identifier: GPL-2.0

//! Devices send MSIs to the APLIC: setipnum_le and setipnum_be are ports for that (AP-25), and
//! Detached sources are there for it (AP-30).

use crate::domain::{
    to,
    Domain, //
};
use vmm::{
    abi::APLIC_BASE,
    regs::aplic::*,
    same,
    Context,
    Machine,
    Mode,
    Result, //
};

fn at(offset: u32) -> u64 {
    APLIC_BASE + u64::from(offset)
}

/// A domain with sources of which each mode has one: 1 to 5, active in all but the first, low.
fn domain(m: &Machine) -> Result<Domain> {
    let d = Domain::new(m, Mode::Emul, 1, 40)?;

    for (source, mode) in [
        (2, sm::DETACHED),
        (3, sm::EDGE1),
        (4, sm::EDGE0),
        (5, sm::LEVEL1),
        (40, sm::DETACHED),
    ] {
        d.source(source, mode, to(0, 50 + source))?;
    }
    d.deliver(true)?;
    Ok(d)
}

/// Each number is an MSI of its source, as if a vCPU had written it; nothing else is.
pub(crate) fn signal(m: &Machine) -> Result<()> {
    let d = domain(m)?;
    let send = |offset: u32, data: u32| {
        d.guest()
            .signal(at(offset), data)
            .context(format!("MSI {data:#x} to {offset:#x}"))
    };

    for source in [2, 3, 4, 40] {
        send(SETIPNUM_LE, source)?;
        d.came(0, &[50 + source], "by setipnum_le")?;
        send(SETIPNUM_BE, source.swap_bytes())?;
        d.came(0, &[50 + source], "by setipnum_be")?;
    }
    // Inactive, a low level, none, another byte order.
    for number in [1, 5, 0, 41, 2 << 24, !0] {
        send(SETIPNUM_LE, number)?;
    }
    for number in [2, 3, 5 << 24] {
        send(SETIPNUM_BE, number)?;
    }
    // Registers that are no ports, and what is behind the APLIC.
    for offset in [
        SETIPNUM,
        SETIENUM,
        GENMSI,
        SETIP,
        SETIPNUM_LE + 1,
        SETIPNUM_BE + 4,
        SIZE,
        SIZE + SETIPNUM_LE,
    ] {
        send(offset, 2)?;
    }
    d.came(0, &[], "by what is no MSI to a port")?;
    for word in 0..2 {
        d.reads(SETIP + 4 * word, 0, "at the end")?;
    }

    // A level is made pending as long as its wire is high.
    d.wire(5, true)?;
    d.came(0, &[55], "by the wire")?;
    send(SETIPNUM_LE, 5)?;
    d.came(0, &[55], "by setipnum_le with the wire high")?;

    // What is not enabled waits.
    d.write(CLRIENUM, 2)?;
    send(SETIPNUM_LE, 2)?;
    d.came(0, &[], "while source 2 is not enabled")?;
    d.pending(2, true, "by setipnum_le")?;
    d.write(SETIENUM, 2)?;
    d.came(0, &[52], "when source 2 is enabled")
}

/// The same by a route of an irqfd, which signals in atomic context.
pub(crate) fn irqfd(m: &Machine) -> Result<()> {
    let d = domain(m)?;
    let line = d
        .guest()
        .route_msis(&[(at(SETIPNUM_LE), 2), (at(SETIPNUM_BE), 3 << 24)])?;
    let events = [d.guest().irqfd(line)?, d.guest().irqfd(line + 1)?];

    for _ in 0..20 {
        for (event, source) in events.iter().zip([2, 3]) {
            event.write(1).context("eventfd")?;
            d.comes(0, &[50 + source], "by an event")?;
        }
    }
    same(d.guest().left(), vec![], || "left to user space".into())
}
