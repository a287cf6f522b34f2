// SPDX-License-Identifier: GPL-2.0

//! Wires by irqfd: each event is a pulse.

use crate::domain::{
    to,
    Domain, //
};
use vmm::{
    regs::aplic::*,
    Context,
    Machine,
    Mode,
    Result, //
};

const EVENTS: u32 = 20;

/// The first event comes through, and only its own source.
pub(crate) fn first(m: &Machine) -> Result<()> {
    let d = Domain::new(m, Mode::Emul, 2, 40)?;
    let mut events = Vec::new();

    d.deliver(true)?;
    for source in [1, 31, 32, 40] {
        d.source(source, sm::EDGE1, to(source % 2, 50 + source))?;
        events.push((source, d.guest().irqfd(source)?));
    }
    for (source, event) in &events {
        event.write(1).context("eventfd")?;
        d.comes((source % 2) as usize, &[50 + source], "by an event")?;
        d.came((1 - source % 2) as usize, &[], "by an event")?;
    }
    Ok(())
}

/// As many MSIs as events. (7.3: arch/riscv/kvm/vm.c raises the wire for an
/// event, and never lowers it.)
fn each(m: &Machine, sm: u32) -> Result<()> {
    let d = Domain::new(m, Mode::Emul, 1, 8)?;

    d.deliver(true)?;
    d.source(3, sm, to(0, 77))?;
    let event = d.guest().irqfd(3)?;

    for n in 1..=EVENTS {
        event.write(1).context("eventfd")?;
        d.comes(0, &[77], &format!("by event {n}"))?;
    }
    Ok(())
}

pub(crate) fn edges(m: &Machine) -> Result<()> {
    each(m, sm::EDGE1)
}

pub(crate) fn levels(m: &Machine) -> Result<()> {
    each(m, sm::LEVEL1)
}

/// The wire is as it was after an event.
pub(crate) fn pulse(m: &Machine) -> Result<()> {
    let d = Domain::new(m, Mode::Emul, 1, 8)?;

    d.deliver(true)?;
    d.source(3, sm::EDGE1, to(0, 77))?;
    d.input(3, false, "before the event")?;
    let event = d.guest().irqfd(3)?;

    event.write(1).context("eventfd")?;
    d.comes(0, &[77], "by the event")?;
    d.input(3, false, "after the event")
}
