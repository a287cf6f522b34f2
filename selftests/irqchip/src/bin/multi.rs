// SPDX-License-Identifier: GPL-2.0

//! Several interrupts by one message (PCI, MSI without X), of a real device: QEMU's xHCI controller.
//! Their IDs are a block of one CPU, which moves as a whole.
//!
//! Argument: `rounds`, how many moves there are while all of them are sent (default 16).

use irqtest::{
    args::Args,
    cpu,
    device::{
        Device,
        Module,
        Vector, //
    },
    ensure,
    imsic::Imsic,
    interrupts,
    irqdebug::{
        self,
        Occupancy, //
    },
    kmsg,
    pause,
    wait_until,
    Result,
    PATIENCE, //
};
use ktap::Tap;
use std::{
    process::ExitCode,
    time::Duration, //
};

/// As many as the device has.
const MOST: usize = 16;

/// Never ends by itself.
const ENDLESS: u64 = 1 << 30;

/// Long enough for a host that is busy.
const TIMEOUT: Duration = Duration::from_secs(20);

fn no_space(error: &str) -> bool {
    error.contains("os error 28")
}

/// A device of which all interrupts are requested.
fn ready(module: &Module, count: usize) -> Result<Device> {
    let device = module.multi(count)?;

    device.vecs.iter().try_for_each(Vector::request)?;
    Ok(device)
}

/// Where the block is: its CPU, and its first ID. An error if it is none.
fn block(device: &Device) -> Result<(usize, u32)> {
    let (cpu, first) = device.vecs[0].target()?;
    let size = device.vecs.len().next_power_of_two() as u32;

    ensure(first % size == 0, || {
        format!("{first} is no start of {size}")
    })?;
    for (vec, id) in device.vecs.iter().zip(first..) {
        ensure(vec.target()? == (cpu, id), || {
            format!(
                "irq {} is at {:?}, not {:?}",
                vec.irq,
                vec.target(),
                (cpu, id)
            )
        })?;
    }
    Ok((cpu, first))
}

/// Each raises the interrupt of its own number, on this CPU, and no other one.
fn each(device: &Device, cpu: usize) -> Result {
    let mut expected = device.stats()?;

    for (n, vec) in device.vecs.iter().enumerate() {
        expected[n].total += 1;
        expected[n].cpus[cpu] += 1;
        vec.fire(1)?;
        wait_until(PATIENCE, || {
            vec.total().is_ok_and(|total| total >= expected[n].total)
        });
        let now = device.stats()?;

        ensure(now == expected, || {
            format!("number {n} was sent: {now:?}, not {expected:?}")
        })?;
    }
    // Nor one that takes its time.
    pause(50);
    ensure(device.stats()? == expected, || "one too many".into())
}

fn back(base: Occupancy) -> Result {
    irqdebug::occupancy_is(&Ok(base))
}

/// What is in use when `count` IDs more than in `base` are.
fn taken(base: Occupancy, count: usize) -> Occupancy {
    Occupancy {
        available: base.available - count as u64,
        allocated: base.allocated + count as u64,
    }
}

/// Every number of interrupts: blocks of a power of two, of which nothing leaks.
fn sizes(module: &Module, base: Occupancy) -> Result {
    for count in [2, 3, 8, MOST - 1, MOST] {
        let device = ready(module, count)?;
        let (cpu, _) = block(&device)?;

        each(&device, cpu)?;
        back(taken(base, count.next_power_of_two()))?;
        device.free()?;
        back(base)?;
    }
    Ok(())
}

/// Who moves one of them moves all.
fn moves(module: &Module) -> Result {
    let device = ready(module, MOST)?;

    for by in (0..MOST).step_by(3) {
        for cpu in cpu::online() {
            device.go(by, cpu)?;
            let (now, _) = block(&device)?;

            ensure(now == cpu, || format!("on CPU {now}, not {cpu}"))?;
            if by == 0 {
                each(&device, cpu)?;
            }
        }
    }
    Ok(())
}

/// Interrupts that take IDs of `cpu` away, so that a block has to change its IDs to go there.
fn elsewhere(module: &Module) -> Result {
    let cpus = cpu::online();
    let device = ready(module, MOST)?;
    let (here, first) = block(&device)?;
    let there = *cpus.iter().find(|cpu| **cpu != here).ok_or("one CPU")?;
    let mut fillers = Vec::new();
    // One that has to move there may keep its ID.
    let placed = interrupts::DefaultAffinity::new(&[there])?;

    // The lowest ID that is free comes first; those below the block are free again afterwards.
    let filler = loop {
        let filler = module.ready(1, "")?;
        let vec = filler.vecs[0];

        if vec.target()?.0 != there {
            vec.affine(there)?;
            vec.settle()?;
        }
        if vec.target()?.1 >= first {
            break filler;
        }
        fillers.push(filler);
    };
    drop(placed);
    drop(fillers);
    let before = filler.vecs[0].total()?;

    for vec in &device.vecs {
        vec.send(ENDLESS, TIMEOUT, 0)?;
    }
    for round in 0..4 {
        go_while_it_sends(
            &device,
            round % MOST,
            if round % 2 == 0 { there } else { here },
        )?;
    }
    stop(&device)?;
    device.go(0, there)?;
    let (_, other) = block(&device)?;
    ensure(other != first, || format!("ID {first} was free"))?;
    each(&device, there)?;
    let after = filler.vecs[0].total()?;

    ensure(after == before, || {
        format!("another one's interrupt, {after} times")
    })
}

/// As [`Device::go`], while all of them arrive anyway.
fn go_while_it_sends(device: &Device, by: usize, cpu: usize) -> Result {
    let vec = &device.vecs[by];
    let moved = || {
        wait_until(Duration::from_millis(500), || {
            vec.target().is_ok_and(|target| target.0 == cpu)
        })
    };

    for _ in 0..60 {
        vec.affine(cpu)?;
        if moved() {
            return block(device).map(|_| ());
        }
    }
    Err(format!("no move to CPU {cpu}"))
}

/// Ends what [`Vector::send`] started: nothing was lost, and nothing came twice.
fn stop(device: &Device) -> Result {
    for vec in &device.vecs {
        vec.send(0, TIMEOUT, 0)?;
    }
    for (n, vec) in device.vecs.iter().enumerate() {
        ensure(
            wait_until(PATIENCE, || vec.sent().is_ok_and(|sent| !sent.running)),
            || format!("number {n} does not stop"),
        )?;
        let sent = vec.sent()?;

        ensure(sent.sent > 0 && sent.lost == 0 && sent.dup == 0, || {
            format!("number {n}: {sent:?}")
        })?;
    }
    Ok(())
}

/// All of them are sent all the time, while any of them moves them.
fn storm(module: &Module, rounds: usize) -> Result {
    let cpus = cpu::online();
    let device = ready(module, MOST)?;

    for vec in &device.vecs {
        vec.send(ENDLESS, TIMEOUT, 0)?;
    }
    for round in 0..rounds {
        go_while_it_sends(&device, round % MOST, cpus[round % cpus.len()])?;
    }
    stop(&device)
}

/// A mask of one concerns no other one, also while they move; what comes meanwhile is there afterwards.
fn masks(module: &Module) -> Result {
    let device = ready(module, 4)?;
    let [a, b, c, d] = [0, 1, 2, 3].map(|n| device.vecs[n]);

    for cpu in cpu::online() {
        let before = b.total()?;

        b.mask(true)?;
        b.fire(1)?;
        pause(20);
        ensure(b.total()? == before, || "a masked one came".into())?;
        device.go(2, cpu)?;
        for vec in [a, c, d] {
            let before = vec.total()?;

            vec.fire(1)?;
            vec.expect(before + 1, "one that is not masked")?;
        }
        ensure(b.total()? == before, || {
            "a masked one came after a move".into()
        })?;
        b.mask(false)?;
        b.expect(before + 1, "when it is not masked any more")?;
    }
    Ok(())
}

/// The message is that of all: the first one, whose message it is for the core, comes and goes, and the
/// others do not notice, wherever they are.
fn without_the_first(module: &Module) -> Result {
    let device = ready(module, 4)?;
    let first = device.vecs[0];

    for cpu in cpu::online() {
        first.release()?;
        for vec in &device.vecs[1..] {
            let before = vec.total()?;

            vec.fire(1)?;
            vec.expect(before + 1, "while the first one is free")?;
        }
        // A move that nobody else tells the device of.
        device.go(2, cpu)?;
        for vec in &device.vecs[1..] {
            let before = vec.total()?;

            vec.fire(1)?;
            vec.expect(before + 1, "after a move while the first one is free")?;
        }
        first.request()?;
        each(&device, cpu)?;
    }
    // The last one takes the message along, and the first that comes brings it back.
    for vec in &device.vecs {
        vec.release()?;
    }
    device.vecs[3].request()?;
    let before = device.vecs[3].total()?;
    device.vecs[3].fire(1)?;
    device.vecs[3].expect(before + 1, "before the first one is there")
}

/// The first one comes and goes while the others are sent, and move.
fn first_comes_and_goes(module: &Module, rounds: usize) -> Result {
    let cpus = cpu::online();
    let mut device = ready(module, MOST)?;

    for vec in &device.vecs[1..] {
        vec.send(ENDLESS, TIMEOUT, 0)?;
    }
    for round in 0..rounds {
        let by = &device.vecs[1 + round % (MOST - 1)];

        by.affine(cpus[round % cpus.len()])?;
        device.vecs[0].release()?;
        by.affine(cpus[(round + 1) % cpus.len()])?;
        device.vecs[0].request()?;
    }
    device.vecs.remove(0);
    stop(&device)
}

/// They leave a CPU that goes offline, and nothing is lost.
fn offline(module: &Module) -> Result {
    let device = ready(module, MOST)?;

    for vec in &device.vecs {
        vec.send(ENDLESS, TIMEOUT, 0)?;
    }
    for cpu in cpu::removable() {
        go_while_it_sends(&device, 3, cpu)?;
        cpu::set_online(cpu, false)?;
        let left = block(&device);

        pause(50);
        cpu::set_online(cpu, true)?;
        ensure(left?.0 != cpu, || format!("left on CPU {cpu}"))?;
    }
    stop(&device)
}

/// With most IDs in use, in pieces, there is a block or `ENOSPC`; of one that fails nothing leaks, and
/// when there is room again, there is a block.
fn crowded(module: &Module, imsic: &Imsic, base: Occupancy) -> Result {
    let devices: Vec<_> = (0..base.available * 9 / 10 / 4)
        .map(|_| module.alloc(4, ""))
        .collect::<Result<_>>()?;

    // Every other one goes: half is free, in pieces.
    let mut keep = Vec::new();
    for (n, device) in devices.into_iter().enumerate() {
        if n % 2 == 0 {
            keep.push(device);
        } else {
            device.free()?;
        }
    }
    let half = taken(base, 4 * keep.len());
    back(half)?;

    let mut refused = 0;
    for count in [MOST, 8, 4, 2] {
        match ready(module, count) {
            Ok(device) => {
                let (cpu, _) = block(&device)?;

                each(&device, cpu)?;
                device.free()?;
            }
            Err(error) if no_space(&error) => refused += 1,
            Err(error) => return Err(error),
        }
        back(half)?;
    }
    ktap::diag(format!(
        "{} of {} IDs of {} each taken: {refused} of 4 sizes refused",
        4 * keep.len(),
        base.available,
        imsic.ids
    ));

    // All of them: then there is none.
    keep.push(module.alloc(half.available as usize, "")?);
    ensure(module.multi(2).is_err_and(|e| no_space(&e)), || {
        "two where there is none".into()
    })?;
    drop(keep);
    back(base)?;
    let device = ready(module, MOST)?;
    each(&device, block(&device)?.0)
}

fn main() -> ExitCode {
    let rounds = Args::of("multi", &["rounds"]).number("rounds", 16) as usize;
    let module = match Module::for_imsic() {
        Ok(module) => module,
        Err(exit) => return exit,
    };
    let Some(imsic) = Imsic::find() else {
        return Tap::skip_all("no IMSIC in this machine");
    };
    let mut tap = Tap::new(10);
    let mark = kmsg::Mark::now();
    let base = match irqdebug::occupancy() {
        Ok(base) => base,
        Err(e) => tap.bail_out(e),
    };

    tap.check(
        sizes(&module, base),
        "IDs are a block of one CPU, and each message raises its own interrupt",
    );
    tap.check(moves(&module), "who moves one of them moves all");
    tap.check(
        elsewhere(&module),
        "to other IDs: nothing is lost or another one's",
    );
    tap.check(
        storm(&module, rounds),
        format!("{rounds} moves while all of them are sent"),
    );
    tap.check(
        without_the_first(&module),
        "the others go on when the first one is free",
    );
    tap.check(
        first_comes_and_goes(&module, rounds),
        format!("the first one comes and goes {rounds} times while the others are sent"),
    );
    tap.check(masks(&module), "a mask of one concerns no other one");
    if cpu::removable().is_empty() {
        tap.skip("no CPU can be taken offline", "they leave a CPU that goes");
    } else {
        let result = offline(&module);

        tap.check(cpu::all_online().and(result), "they leave a CPU that goes");
    }
    tap.check(
        crowded(&module, &imsic, base).and_then(|()| back(base)),
        "where most IDs are taken there is a block or ENOSPC",
    );
    tap.check(mark.quiet(), "no complaint of the kernel");
    tap.finish()
}
