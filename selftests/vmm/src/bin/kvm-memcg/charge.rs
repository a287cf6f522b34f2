// SPDX-License-Identifier: GPL-2.0

//! What is charged to the cgroup.

use crate::{
    accounted::machine,
    cgroup::Cgroup,
    trace::allocations,
    SOURCES, //
};
use std::path::Path;
use vmm::{
    diag,
    ensure,
    fixture::Fixture,
    host,
    Config,
    Context,
    Error,
    Machine,
    Result, //
};

/// What a CPU charges in advance, or has not uncharged yet, at most: MEMCG_CHARGE_BATCH pages.
const BATCH: u64 = 64 * 0x1000;

/// What KVM's I/O bus allocates. It copies the bus for each device, and frees the old one later.
const BUS: &str = "kvm_io_bus_register_dev";

/// What INIT leaves of one machine, I/O buses aside.
fn size(f: &Fixture) -> Result<u64> {
    let ((), all) = allocations(|| f.aia.init().context("INIT"))?;

    Ok(all
        .iter()
        .filter(|a| a.lasts && !a.is_by(BUS))
        .map(|a| a.bytes)
        .sum())
}

fn test(m: &Machine, machines: u64, vcpus: usize, sources: u32) -> Result<()> {
    let wanted = machines * size(&machine(m, vcpus, sources)?)?;

    // So that one CPU charges, and thus the process, too, has its memory by now.
    host::pin_self(&m.cpus()[..1])?;
    let cgroup = Cgroup::enter()?;
    let before = cgroup.settled(0)?;
    let made: Vec<Fixture> = (0..machines)
        .map(|_| machine(m, vcpus, sources))
        .collect::<Result<_>>()?;
    let without = cgroup.settled(0)?;

    for f in &made {
        f.aia.init().context("INIT")?;
    }
    let with = cgroup.settled(0)?;

    drop(made);
    // What was made in this cgroup may be freed on any CPU.
    let rest = before + BATCH * m.cpus().len() as u64;
    let after = cgroup.settled(rest)?;

    drop(cgroup);
    host::pin_self(m.cpus())?;
    diag(format!(
        "charged: {before}, machines {without}, INIT {with} (allocates {wanted}), end {after}"
    ));
    ensure(with + BATCH >= without + wanted, || {
        format!("INIT allocates {wanted}, but the charge went from {without} to {with}")
    })?;
    ensure(after <= rest, || {
        format!("the charge was {before}, but is {after} in the end")
    })
}

pub(crate) fn vcpus(m: &Machine) -> Result<()> {
    // About as many as files can be open.
    test(m, 14, 64, 0)
}

pub(crate) fn sources(m: &Machine) -> Result<()> {
    test(m, 64, 1, SOURCES)
}

/// Machines that have run leave nothing, of which page tables are the most.
pub(crate) fn ran(m: &Machine) -> Result<()> {
    const MACHINES: u64 = 100;
    let run = || m.boot(Config::new(1, m.best_mode())).map(drop);

    host::pin_self(&m.cpus()[..1])?;
    let cgroup = Cgroup::enter()?;

    // So that the process has its memory by now.
    run()?;
    let before = cgroup.settled(0)?;

    (0..MACHINES).try_for_each(|_| run())?;
    let rest = before + BATCH * m.cpus().len() as u64;
    let after = cgroup.settled(rest)?;

    drop(cgroup);
    host::pin_self(m.cpus())?;
    diag(format!(
        "charged: {before}, {MACHINES} machines later {after}"
    ));
    ensure(after <= rest, || {
        format!("the charge was {before}, but is {after} after {MACHINES} machines")
    })
}

/// Memory that is mapped by small pages and by a huge page in turn leaves no page tables behind.
pub(crate) fn huge_pages(m: &Machine) -> Result<()> {
    const ROUNDS: u64 = 600;
    const ADDR: u64 = 0x9000_0000;

    ensure(
        Path::new("/sys/kernel/mm/transparent_hugepage").exists(),
        || "a kernel without huge pages".into(),
    )?;
    host::pin_self(&m.cpus()[..1])?;
    let cgroup = Cgroup::enter()?;
    let mut guest = m.boot(Config::new(1, m.best_mode()))?;

    guest.cover(ADDR)?;
    let round = || {
        for huge in [false, true] {
            guest.refill_covers(huge)?;
            guest.load(0, ADDR, 4)?.read(|| "load".into())?;
        }
        Ok::<_, Error>(())
    };

    round()?;
    let before = cgroup.settled(0)?;

    (0..ROUNDS).try_for_each(|_| round())?;
    let rest = before + BATCH * m.cpus().len() as u64;
    let after = cgroup.settled(rest)?;

    drop(guest);
    drop(cgroup);
    host::pin_self(m.cpus())?;
    diag(format!("charged: {before}, {ROUNDS} rounds later {after}"));
    ensure(after <= rest, || {
        format!("the charge was {before}, but is {after} after {ROUNDS} rounds")
    })
}
