// SPDX-License-Identifier: GPL-2.0

//! Moves of a device that changes its message in several steps, while no ID is free on both CPUs: on
//! the way it may send with the address of one vector and the ID of the other, which is somebody
//! else's.
//!
//! For a machine with few IDs: all of them are used.
//!
//! Argument: `exact=1` for a driver that counts what it may have raised twice: no more than what was at
//! somebody else's ID.

use irqtest::{
    args::Args,
    cpu,
    device::{
        Device,
        Module,
        Vector, //
    },
    ensure,
    irqdebug,
    kmsg,
    read,
    sys,
    wait_until,
    write,
    Result,
    PATIENCE, //
};
use ktap::Tap;
use std::process::ExitCode;

/// Points of an update where the device may send, three for each of two callbacks.
const POINTS: i32 = 6;

const DEFAULT_AFFINITY: &str = "/proc/irq/default_smp_affinity";

/// Devices of one vector until no ID is left.
fn fill(module: &Module) -> Result<Vec<Device>> {
    let mut devices = Vec::new();

    loop {
        match module.ready(1, "") {
            Ok(device) => devices.push(device),
            Err(e) if e.contains("os error 28") => return Ok(devices),
            Err(e) => return Err(e),
        }
    }
}

/// A device whose messages change in steps, on `from`, and others that have all IDs but one of `to`,
/// which is neither free on `from` nor the device's.
struct Crowd {
    device: Device,
    _others: Vec<Device>,
    /// Who has the free ID of `to` on `from`.
    other: Vector,
}

impl Crowd {
    fn new(module: &Module, from: usize, to: usize, requested: bool) -> Result<Self> {
        let device = module.alloc(1, "deferred")?;
        let vec = device.vecs[0];

        // A device that is not in use yet moves at once.
        ensure(vec.target()?.0 == from || requested, || {
            format!("allocated on CPU {}", vec.target().unwrap_or((99, 0)).0)
        })?;
        if requested {
            vec.request()?;
            vec.settle()?;
            vec.affine(from)?;
            vec.fire(1)?;
            wait_until(PATIENCE, || vec.target().is_ok_and(|t| t.0 == from));
            vec.settle()?;
        }
        let own = vec.target()?.1;
        let mut others = fill(module)?;
        let mut places = Vec::new();

        for (index, other) in others.iter().enumerate() {
            places.push((index, other.vecs[0].target()?));
        }
        // An ID that two of the others have, one on each CPU.
        let (free, here) = places
            .iter()
            .filter(|(_, (cpu, id))| *cpu == to && *id != own)
            .find_map(|(free, (_, id))| {
                let (here, _) = places.iter().find(|(_, at)| *at == (from, *id))?;

                Some((*free, *here))
            })
            .ok_or("no ID that two of the others have")?;
        let other = others[here].vecs[0];

        others.remove(free).free()?;
        cpu::flush()?;
        Ok(Self {
            device,
            _others: others,
            other,
        })
    }
}

/// How many interrupts the driver may have raised twice.
fn duplicates(exact: bool) -> Result<u64> {
    match exact {
        true => irqdebug::counter("duplicates"),
        false => Ok(0),
    }
}

/// An MSI at each point of a move that the old CPU makes.
fn injected(module: &Module, exact: bool) -> Result<u32> {
    let cpus = cpu::online();
    let mut hits = 0;
    let counted = duplicates(exact)?;

    for point in 0..POINTS {
        let crowd = Crowd::new(module, cpus[0], cpus[1], true)?;
        let vec = crowd.device.vecs[0];
        let before = (vec.total()?, crowd.other.total()?);
        let old = vec.target()?;

        vec.inject(point)?;
        vec.affine(cpus[1])?;
        vec.fire(1)?;
        let moved = wait_until(PATIENCE, || vec.target().is_ok_and(|t| t.0 == cpus[1]));

        ensure(moved, || format!("point {point}: did not move"))?;
        vec.flush()?;
        ensure(vec.injected()?, || format!("point {point} was not reached"))?;
        vec.expect(before.0 + 2, &format!("injected at point {point}"))?;
        let new = vec.target()?;
        let others = crowd.other.total()? - before.1;

        ensure(new.1 != old.1, || format!("point {point}: the same ID"))?;
        ensure(others <= 1, || {
            format!("point {point}: {others} for another")
        })?;
        hits += others as u32;
        drop(crowd);
        module.free_all()?;
    }
    // The old CPU makes the moves, and can look.
    let counted = duplicates(exact)? - counted;

    ensure(!exact || hits > 0 && counted == hits.into(), || {
        format!("{hits} for another, {counted} counted")
    })?;
    Ok(hits)
}

/// Another CPU moves the device when it is first used, and it sends at another one's ID.
fn from_afar(module: &Module, exact: bool) -> Result {
    let cpus = cpu::online();
    let all = read(DEFAULT_AFFINITY)?;

    sys::pin(&cpus[1..2])?;
    let result = (|| {
        write(DEFAULT_AFFINITY, &format!("{:x}", 1 << cpus[0]))?;
        let crowd = Crowd::new(module, cpus[0], cpus[1], false)?;
        let vec = crowd.device.vecs[0];
        let counted = duplicates(exact)?;

        write(DEFAULT_AFFINITY, &format!("{:x}", 1 << cpus[1]))?;
        // The first update is that of the activation, before anything moves.
        vec.inject(3 + 2)?;
        vec.request()?;
        vec.settle()?;
        ensure(vec.target()?.0 == cpus[1], || {
            format!("is on CPU {}", vec.target().unwrap_or((99, 0)).0)
        })?;
        ensure(vec.injected()?, || "did not send in between".into())?;
        vec.expect(1, "sent in the middle of the move")?;
        let counted = duplicates(exact)? - counted;

        // Another CPU cannot look.
        ensure(counted == u64::from(exact), || {
            format!("{counted} moves without knowing, instead of one")
        })?;
        vec.fire(1)?;
        vec.expect(2, "after the move")?;
        drop(crowd);
        Ok(())
    })();

    write(DEFAULT_AFFINITY, all.trim())?;
    sys::pin(&cpus)?;
    result
}

fn main() -> ExitCode {
    let module = match Module::for_imsic() {
        Ok(module) => module,
        Err(exit) => return exit,
    };

    if cpu::online().len() != 2 {
        return Tap::skip_all("for two CPUs");
    }
    let exact = Args::of("crowded", &["exact"]).given("exact").is_some();
    let mut tap = Tap::new(4);
    let mark = kmsg::Mark::now();
    let base = irqdebug::occupancy();
    let result = injected(&module, exact);

    if let Ok(hits) = result {
        tap.diag(format!("{hits} of {POINTS} were sent at another one's ID"));
    }
    tap.check(
        result.map(|_| ()),
        "an MSI at each point of a move arrives once, all IDs in use (896f8e436f99)",
    );
    if let Err(e) = module.free_all() {
        tap.diag(e);
    }
    let result = from_afar(&module, exact);

    tap.check(result, "a move by another CPU, all IDs in use");
    if let Err(e) = module.free_all() {
        tap.diag(e);
    }
    tap.check(irqdebug::occupancy_is(&base), "all IDs came back");
    tap.check(mark.quiet(), "no complaint of the kernel");
    tap.finish()
}
