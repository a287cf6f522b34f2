// SPDX-License-Identifier: GPL-2.0

//! Allocation of IDs: up to the last one, spread over the CPUs, and none leaks.
//!
//! Argument: `rounds`, how often a device comes and goes (default 1000); a fifth of that with its
//! interrupts in use.

use irqtest::{
    args::Args,
    cpu,
    device::{
        Device,
        Module, //
    },
    ensure,
    imsic::Imsic,
    interrupts,
    irqdebug::{
        self,
        Occupancy, //
    },
    kmsg,
    Result, //
};
use ktap::Tap;
use std::{
    collections::BTreeMap,
    process::ExitCode, //
};

/// No space left on device.
fn no_space(error: &str) -> bool {
    error.contains("os error 28")
}

/// Allocates until nothing is left; every refusal has to be ENOSPC.
fn fill(module: &Module) -> Result<Vec<Device>> {
    let start = irqdebug::occupancy()?;
    let mut devices = Vec::new();
    let mut size = 64;
    let mut taken = 0;
    let mut refused = false;

    while size > 0 {
        match module.alloc(size, "") {
            Ok(device) => {
                devices.push(device);
                taken += size as u64;
                refused = false;
            }
            Err(e) if no_space(&e) => {
                // What was had of this one comes back first. Some may only have waited for their
                // hart, which has looked now.
                back(Occupancy {
                    available: start.available.saturating_sub(taken),
                    allocated: start.allocated + taken,
                })?;
                if refused {
                    size /= 2;
                }
                refused = !refused;
            }
            Err(e) => return Err(e),
        }
    }
    Ok(devices)
}

/// IDs of all interrupts by CPU, each once.
fn placement(imsic: &Imsic) -> Result<BTreeMap<usize, u64>> {
    let mut seen = std::collections::BTreeSet::new();
    let mut by_cpu = BTreeMap::new();

    for irq in irqdebug::irqs() {
        let Some((cpu, id)) = irqdebug::Irq::read(irq)?.target() else {
            continue;
        };

        ensure((2..=imsic.ids).contains(&id.into()), || {
            format!("irq {irq} has ID {id}")
        })?;
        ensure(seen.insert((cpu, id)), || {
            format!("irq {irq} shares ID {id} of CPU {cpu}")
        })?;
        *by_cpu.entry(cpu).or_insert(0) += 1;
    }
    Ok(by_cpu)
}

fn exhaust(module: &Module, imsic: &Imsic, base: Occupancy) -> Result {
    let mut devices = fill(module)?;
    let total: usize = devices.iter().map(|d| d.vecs.len()).sum();
    let full = irqdebug::occupancy()?;

    ensure(total as u64 == base.available, || {
        format!("{total} vectors, {} were available", base.available)
    })?;
    ensure(full.available == 0, || format!("{full:?} when full"))?;
    let by_cpu = placement(imsic)?;
    let usable = irqdebug::usable(imsic.ids)?;

    for cpu in cpu::online() {
        ensure(by_cpu.get(&cpu) == Some(&usable), || {
            format!("by CPU {by_cpu:?} when full")
        })?;
    }

    // What is there works, the last one too, and cannot go to a CPU that is full.
    let last = devices
        .last()
        .and_then(|d| d.vecs.last().copied())
        .ok_or("no vector")?;

    last.request()?;
    last.fire(1)?;
    last.expect(1, "the last vector")?;
    let home = last.target()?.0;

    if let Some(other) = cpu::online().into_iter().find(|c| *c != home) {
        match last.affine(other) {
            Err(e) if no_space(&e) => (),
            result => return Err(format!("move to a full CPU: {result:?}")),
        }
        last.fire(1)?;
        last.expect(2, "after a move that was refused")?;
    }

    // One back, one to have; then none again.
    let size = devices.pop().map_or(0, |d| d.vecs.len());
    back(Occupancy {
        available: size as u64,
        allocated: full.allocated - size as u64,
    })?;
    let again = module.ready(size, "")?;

    again.vecs[0].fire(1)?;
    again.vecs[0].expect(1, "after an ID came back")?;
    ensure(module.alloc(1, "").is_err_and(|e| no_space(&e)), || {
        "one more than there are".into()
    })?;
    drop(again);
    drop(devices);
    back(base)
}

/// All IDs come back: when their harts have looked at them, and after a move when no MSI can be on
/// its way any more.
fn back(base: Occupancy) -> Result {
    irqdebug::occupancy_is(&Ok(base))
}

/// More than there are fails as a whole.
fn too_many(module: &Module, base: Occupancy) -> Result {
    // The module takes 4096 at once, and two harts may have 2 x 2045.
    for more in [1, 5] {
        match module.alloc(base.available as usize + more, "") {
            Err(e) if no_space(&e) => back(base)?,
            result => return Err(format!("{result:?}")),
        }
    }
    Ok(())
}

/// New IDs go where most are free.
fn spread(module: &Module, imsic: &Imsic, base: Occupancy) -> Result {
    let cpus = cpu::online();
    let device = module.alloc(cpus.len() * 8, "")?;
    let by_cpu = placement(imsic)?;
    let counts: Vec<u64> = cpus
        .iter()
        .map(|c| by_cpu.get(c).copied().unwrap_or(0))
        .collect();
    let (least, most) = (
        counts.iter().min().copied().unwrap_or(0),
        counts.iter().max().copied().unwrap_or(0),
    );

    drop(device);
    back(base)?;
    ensure(most - least <= 1, || format!("by CPU {by_cpu:?}"))
}

/// A device. Those that were freed before may have all IDs, of a hart that was not let to look
/// at them; then they have to come back first.
fn ready(module: &Module, count: usize, flags: &str, base: Occupancy) -> Result<Device> {
    match module.ready(count, flags) {
        Err(e) if no_space(&e) => {
            back(base)?;
            module.ready(count, flags)
        }
        result => result,
    }
}

fn rounds(module: &Module, base: Occupancy, count: usize) -> Result {
    for round in 0..count {
        let flags = if round % 2 == 0 { "" } else { "deferred" };
        let device = ready(module, 1 + round % 3, flags, base)?;

        if round % 50 == 0 {
            device.vecs[0].fire(1)?;
            device.vecs[0].expect(1, "fire")?;
        }
    }
    back(base)
}

/// Frees in the middle of moves and of masking.
fn busy_rounds(module: &Module, base: Occupancy, count: usize) -> Result {
    let cpus = cpu::online();

    for round in 0..count {
        let device = ready(module, 2, "", base)?;

        for vec in &device.vecs {
            interrupts::set_affinity(vec.irq, &[cpus[round % cpus.len()]])?;
            vec.fire(1)?;
            if round % 3 == 0 {
                vec.mask(true)?;
            }
        }
        // In flight is fine, but on the same CPU, or this is candidate 1: see "moves". What is not
        // masked has arrived: the kernel complains of an MSI that it takes while it frees.
        for vec in &device.vecs {
            vec.settle()?;
            vec.flush()?;
        }
    }
    back(base)
}

/// A device that goes on sending while its interrupt is freed and requested.
fn requests(module: &Module, count: usize) -> Result {
    let device = module.ready(2, "")?;

    for vec in &device.vecs {
        vec.spray(100)?;
    }
    for _ in 0..count {
        for vec in &device.vecs {
            vec.release()?;
            vec.request()?;
        }
    }
    for vec in &device.vecs {
        vec.spray(0)?;
    }
    for vec in &device.vecs {
        vec.flush()?;
        let before = vec.total()?;

        vec.fire(1)?;
        vec.expect(before + 1, "after all that")?;
    }
    Ok(())
}

/// IDs of a CPU that is offline are not for new owners.
fn offline(module: &Module, imsic: &Imsic, base: Occupancy) -> Result {
    for cpu in cpu::removable() {
        cpu::set_online(cpu, false)?;
        // Interrupts that nobody has requested may stay where they are.
        let result = placement(imsic).and_then(|before| {
            let devices = fill(module)?;
            let after = placement(imsic)?;

            drop(devices);
            ensure(after.get(&cpu) == before.get(&cpu), || {
                format!("CPU {cpu} is offline, by CPU {after:?}, before: {before:?}")
            })
        });

        cpu::set_online(cpu, true)?;
        result?;
    }
    back(base)
}

fn main() -> ExitCode {
    let module = match Module::for_imsic() {
        Ok(module) => module,
        Err(exit) => return exit,
    };
    let Some(imsic) = Imsic::find() else {
        return Tap::skip_all("no IMSIC in this machine");
    };
    let count = Args::of("ids", &["rounds"]).number("rounds", 1000).max(1) as usize;
    let busy = count.div_ceil(5);
    let mut tap = Tap::new(8);
    let mark = kmsg::Mark::now();
    let base = match irqdebug::occupancy() {
        Ok(base) => base,
        Err(e) => tap.bail_out(e),
    };

    tap.check(
        spread(&module, &imsic, base),
        "new IDs are spread evenly over the CPUs",
    );
    tap.check(
        exhaust(&module, &imsic, base),
        "all IDs can be had, then ENOSPC, and they come back",
    );
    tap.check(
        too_many(&module, base),
        "a device that wants too many gets none, and none leaks",
    );
    tap.check(
        rounds(&module, base, count),
        format!("no ID leaks in {count} rounds of allocation and free"),
    );
    tap.check(
        busy_rounds(&module, base, busy),
        "no ID leaks when moved, fired and masked before",
    );
    tap.check(
        requests(&module, busy),
        "free and request while the device sends",
    );
    if cpu::removable().is_empty() {
        tap.skip(
            "no CPU can be taken offline",
            "no ID of a CPU that is offline",
        );
    } else {
        let result = offline(&module, &imsic, base);

        tap.check(
            cpu::all_online().and(result),
            "no ID of a CPU that is offline is given out",
        );
    }
    tap.check(mark.quiet(), "no complaint of the kernel");
    tap.finish()
}
