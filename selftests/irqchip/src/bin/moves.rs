// SPDX-License-Identifier: GPL-2.0

//! Moves of MSIs between CPUs: nothing lost at any point of a move, no move
//! that stays in flight, and nothing that outlives the interrupt it belongs to.

use irqtest::{
    cpu,
    device::{
        Device,
        Module,
        Vector, //
    },
    dt::Imsic,
    ensure,
    irqdebug::{
        self,
        Irq, //
    },
    kmsg,
    pause,
    sys,
    wait_until,
    Result,
    PATIENCE, //
};
use ktap::Tap;
use std::{
    process::ExitCode,
    thread,
    time::{
        Duration,
        Instant, //
    },
};

/// Points of an update where the device may send, three for each callback.
const POINTS: i32 = 9;

/// How long a CPU is held with interrupts off, several ticks.
const HOLD_MS: u64 = 60;

/// Where the driver and the device say that the vector is.
fn consistent(vec: Vector, cpu: usize, imsic: &Imsic) -> Result {
    let target = vec.target()?;
    let message = vec.message()?;
    let page = imsic.page(cpu).ok_or(format!("no page for CPU {cpu}"))?;

    ensure(target.0 == cpu, || {
        format!("on CPU {} instead of {cpu}", target.0)
    })?;
    ensure(message.address == page && message.id == target.1, || {
        format!("{message:x?} is not ID {} at {page:#x}", target.1)
    })
}

/// Moves in process context, for a device whose moves may be done there.
fn right_cpu(module: &Module, imsic: &Imsic) -> Result {
    let device = module.ready(4, "")?;

    for round in 0..3 {
        for &cpu in &cpu::online() {
            for vec in &device.vecs {
                vec.move_to(cpu)?;
                consistent(*vec, cpu, imsic)?;
                let before = vec.stats()?;

                vec.fire(1)?;
                vec.expect(before.total + 1, "fire after a move")?;
                let after = vec.stats()?;

                ensure(after.cpus[cpu] == before.cpus[cpu] + 1, || {
                    format!("round {round}: not on CPU {cpu}")
                })?;
            }
        }
    }
    Ok(())
}

/// Makes the vector go to `cpu`, firing once if its moves are deferred.
fn go(vec: Vector, cpu: usize, deferred: bool) -> Result {
    vec.settle()?;
    vec.affine(cpu)?;
    if deferred {
        vec.fire(1)?;
        let moved = wait_until(PATIENCE, || vec.target().is_ok_and(|t| t.0 == cpu));

        ensure(moved, || {
            format!("deferred move to CPU {cpu} did not happen")
        })?;
    }
    vec.settle()
}

/// One MSI at each point of an update: it has to arrive, and once. IDs that differ
/// on both CPUs make all states of the message distinct.
fn injected(module: &Module, flags: &str) -> Result<u32> {
    let deferred = flags == "deferred";
    let cpus = cpu::online();
    let device = module.ready(1, flags)?;
    let filler = module.ready(3, "")?;
    let vec = device.vecs[0];
    let mut fired = 0;

    for vec in &filler.vecs {
        vec.move_to(cpus[1])?;
    }
    go(vec, cpus[0], deferred)?;

    for round in 0..4 {
        for point in 0..POINTS {
            let (from, to) = (cpus[round % 2], cpus[1 - round % 2]);

            // From the old CPU, and from the new one.
            sys::pin(&[cpus[round / 2]])?;
            let before = vec.total()?;

            vec.inject(point)?;
            go(vec, to, deferred)?;
            // The old CPU makes a deferred move, which shows before it writes the message.
            vec.flush()?;
            let hit = vec.injected()?;

            vec.inject(-1)?;
            fired += u32::from(hit);
            vec.expect(
                before + u64::from(hit) + u64::from(deferred),
                &format!("round {round}, injected at point {point}: {hit}"),
            )?;

            // And back, undisturbed.
            go(vec, from, deferred)?;
            vec.expect(
                before + u64::from(hit) + 2 * u64::from(deferred),
                &format!("round {round}, on the way back from point {point}"),
            )?;
        }
    }
    sys::pin(&cpus)?;
    ensure(module.bad()? == 0, || {
        format!("{} messages to nowhere", module.bad().unwrap_or(0))
    })?;
    ensure(fired >= 8, || format!("only {fired} injections happened"))?;
    Ok(fired)
}

/// An MSI that waits in the old file while the vector leaves.
fn pending(module: &Module) -> Result {
    let cpus = cpu::online();
    let device = module.ready(1, "")?;
    let vec = device.vecs[0];

    sys::pin(&cpus[..1])?;
    for _ in 0..10 {
        vec.move_to(cpus[1])?;
        let before = vec.total()?;

        module.hold(cpus[1], HOLD_MS)?;
        vec.fire(1)?;
        vec.affine(cpus[0])?;
        pause(HOLD_MS + 10);
        vec.settle()?;
        vec.expect(before + 1, "pending in the old file")?;
    }

    // And from the old CPU itself, with the interrupt masked in the file.
    for _ in 0..10 {
        vec.move_to(cpus[0])?;
        let before = vec.total()?;

        vec.mask(true)?;
        vec.fire(1)?;
        vec.affine(cpus[1])?;
        cpu::flush()?;
        ensure(vec.total()? == before, || "came while disabled".into())?;
        vec.mask(false)?;
        vec.settle()?;
        vec.expect(before + 1, "pending and masked in the old file")?;
    }
    sys::pin(&cpus)
}

/// A move is over soon, without any interrupt to help, whoever started it. Some may take
/// longer, of a hart that the host does not let run; one without help would take for ever.
fn prompt(module: &Module) -> Result<(Duration, Duration)> {
    let cpus = cpu::online();
    let device = module.ready(1, "")?;
    let vec = device.vecs[0];
    let mut times = Vec::new();
    let mut flushes = Vec::new();

    for round in 0..20 {
        sys::pin(&[cpus[round % cpus.len()]])?;
        let target = cpus[(round / 2 + 1) % cpus.len()];

        vec.affine(target)?;
        let start = Instant::now();

        vec.settle()?;
        times.push(start.elapsed());
        let start = Instant::now();

        cpu::flush()?;
        flushes.push(start.elapsed());
    }
    sys::pin(&cpus)?;
    times.sort_unstable();
    flushes.sort_unstable();
    let (median, longest) = (times[times.len() / 2], times[times.len() - 1]);
    // Some ticks, and as much again for a slow emulator; where idle CPUs take longer to wake
    // up, that many times longer.
    let limit = Duration::from_millis(100).max(5 * flushes[flushes.len() / 2]);

    ensure(median < limit, || {
        format!("moves took {times:?}, {limit:?} are allowed")
    })?;
    Ok((median, longest))
}

/// While the old CPU cannot take part, a move there is in flight; the next one
/// is either done or refused as busy, and possible later.
fn in_flight(module: &Module) -> Result {
    let cpus = cpu::online();
    let device = module.ready(1, "")?;
    let vec = device.vecs[0];

    sys::pin(&cpus[..1])?;
    for _ in 0..5 {
        vec.move_to(cpus[1])?;
        module.hold(cpus[1], HOLD_MS)?;
        vec.affine(cpus[0])?;
        let moving = Irq::read(vec.irq)?.moving();
        let again = vec.affine(cpus[1]);

        if let Err(e) = &again {
            ensure(e.contains("os error 16"), || e.clone())?;
        }
        ensure(moving || again.is_ok(), || {
            "refused although no move is in flight".into()
        })?;
        let before = vec.total()?;

        vec.fire(1)?;
        pause(HOLD_MS + 10);
        vec.settle()?;
        vec.expect(before + 1, "fired while in flight")?;
        vec.move_to(cpus[1])?;
        vec.move_to(cpus[0])?;
        vec.fire(1)?;
        vec.expect(before + 2, "after both moves")?;
    }
    sys::pin(&cpus)
}

/// Moves at the very time when a CPU of the move goes.
fn offline(module: &Module) -> Result {
    let removable = cpu::removable();
    let Some(&victim) = removable.last() else {
        return Err("no CPU can be taken offline".into());
    };
    let stay = cpu::online()[0];
    let device = module.ready(6, "")?;

    for round in 0..12 {
        for vec in &device.vecs {
            vec.move_to(if round % 2 == 0 { victim } else { stay })?;
        }
        // Leave moves in flight, in both directions, with an MSI behind them.
        if round % 3 == 0 {
            module.hold(if round % 2 == 0 { stay } else { victim }, 20)?;
        }
        let before: Vec<u64> = device
            .vecs
            .iter()
            .map(Vector::total)
            .collect::<Result<_>>()?;

        for vec in &device.vecs {
            vec.fire(1)?;
            vec.affine(if round % 2 == 0 { stay } else { victim })?;
        }
        cpu::set_online(victim, false)?;
        for (vec, before) in device.vecs.iter().zip(&before) {
            vec.expect(before + 1, "fired before the CPU went")?;
            let target = vec.target()?.0;

            ensure(cpu::online().contains(&target), || {
                format!("irq {} is on CPU {target}, which is offline", vec.irq)
            })?;
            vec.fire(1)?;
            vec.expect(before + 2, "fired after the CPU went")?;
        }
        cpu::set_online(victim, true)?;

        // Whatever happened: each can go anywhere again.
        for (vec, before) in device.vecs.iter().zip(&before) {
            for &cpu in &cpu::online() {
                vec.move_to(cpu)?;
            }
            vec.fire(1)?;
            vec.expect(before + 3, "fired after the CPU came back")?;
        }
    }
    Ok(())
}

/// Moves away from a CPU in the last moments before it goes: the old CPU is done with
/// a move, the new one has not seen the end of it. Moves that wait for an interrupt are
/// made by the old CPU itself, and one MSI after the other starts them.
fn race(module: &Module) -> Result {
    let removable = cpu::removable();
    let victim = *removable.last().ok_or("no CPU can be taken offline")?;
    let stay = cpu::online()[0];
    let base = irqdebug::occupancy()?;
    let mark = kmsg::Mark::now();
    let device = module.ready(60, "deferred")?;

    sys::pin(&[stay])?;
    for _ in 0..15 {
        for vec in &device.vecs {
            vec.settle()?;
            vec.affine(victim)?;
            vec.fire(1)?;
        }
        for vec in &device.vecs {
            vec.settle()?;
            vec.affine(stay)?;
        }
        thread::scope(|scope| {
            scope.spawn(|| {
                for vec in &device.vecs {
                    // A vector that could not be fired shows below.
                    let _ = vec.fire(1);

                    thread::sleep(Duration::from_micros(200));
                }
            });
            cpu::set_online(victim, false)
        })?;
        cpu::set_online(victim, true)?;
    }
    sys::pin(&cpu::online())?;

    for vec in &device.vecs {
        vec.settle()?;
        let before = vec.total()?;

        vec.fire(1)?;
        vec.expect(before + 1, "after the race")?;
    }
    device.free()?;
    irqdebug::occupancy_is(&Ok(base))?;
    mark.quiet()
}

/// The ID left by a move goes to another interrupt while the move is still in flight.
fn reuse(module: &Module) -> Result {
    let cpus = cpu::online();

    sys::pin(&cpus[..1])?;
    for _ in 0..10 {
        let first = module.ready(2, "")?;

        for vec in &first.vecs {
            vec.move_to(cpus[0])?;
        }
        // The old CPU is this one and is done at once, the new one cannot be.
        module.hold(cpus[1], HOLD_MS)?;
        for vec in &first.vecs {
            vec.affine(cpus[1])?;
        }
        let second = module.ready(4, "")?;

        for vec in &second.vecs {
            let _ = vec.affine(cpus[0]);
        }
        pause(HOLD_MS + 10);
        if cpu::removable().contains(&cpus[1]) {
            cpu::set_online(cpus[1], false)?;
            cpu::set_online(cpus[1], true)?;
        }
        for vec in first.vecs.iter().chain(&second.vecs) {
            let before = vec.total()?;

            vec.fire(1)?;
            vec.expect(before + 1, "after an ID was used again")?;
        }
        let mut targets: Vec<_> = irqdebug::irqs()
            .into_iter()
            .filter_map(|n| Irq::read(n).ok()?.target())
            .collect();
        let all = targets.len();

        targets.sort_unstable();
        targets.dedup();
        ensure(targets.len() == all, || "two interrupts share an ID".into())?;
    }
    sys::pin(&cpus)
}

/// A device whose updates take effect late goes on with the old message. What it
/// sends so must not reach whoever gets the old ID, and when it is through, all is exact.
fn posted(module: &Module, delay: Duration) -> Result<u64> {
    let cpus = cpu::online();
    let device = module.ready(1, "")?;
    let vec = device.vecs[0];
    let rounds = 40;
    let mut stragglers = 0;

    for round in 0..rounds {
        vec.posted(Duration::ZERO)?;
        vec.move_to(cpus[round % cpus.len()])?;
        vec.fire(1)?;
        vec.flush()?;
        let before = vec.total()?;

        vec.posted(delay)?;
        vec.affine(cpus[(round + 1) % cpus.len()])?;
        vec.fire(1)?;
        vec.flush()?;
        stragglers += vec.total()?.saturating_sub(before);

        // The old ID is the lowest free one: these get it.
        let next = module.ready(8, "")?;

        for other in &next.vecs {
            other.expect(0, "a straggler went to the next owner")?;
        }
        next.free()?;
        vec.posted(Duration::ZERO)?;
        vec.flush()?;
        let before = vec.total()?;

        vec.fire(1)?;
        vec.expect(before + 1, "after the straggler")?;
    }
    Ok(rounds as u64 - stragglers.min(rounds as u64))
}

/// The vector with the highest ID, so that a move gives it another one.
fn highest(device: &Device) -> Result<Vector> {
    let mut best = (device.vecs[0], 0);

    for vec in &device.vecs {
        let id = vec.target()?.1;

        if id > best.1 {
            best = (*vec, id);
        }
    }
    Ok(best.0)
}

/// A move, and the interrupt is gone before the old CPU could take part.
fn freed(module: &Module, flags: &str) -> Result {
    let cpus = cpu::online();
    let base = irqdebug::occupancy()?;
    let mark = kmsg::Mark::now();

    sys::pin(&cpus[..1])?;
    for _ in 0..10 {
        let device = module.ready(6, flags)?;

        for vec in &device.vecs {
            go(*vec, cpus[1], flags == "deferred")?;
        }
        let vec = highest(&device)?;
        let old = vec.target()?;

        module.hold(cpus[1], HOLD_MS)?;
        device.move_free(cpus[0])?;
        pause(HOLD_MS + 30);
        irqdebug::occupancy_is(&Ok(base))
            .map_err(|e| format!("after a move away from {old:?} and free: {e}"))?;
    }
    sys::pin(&cpus)?;
    mark.quiet()
}

fn main() -> ExitCode {
    let module = match Module::for_imsic() {
        Ok(module) => module,
        Err(exit) => return exit,
    };
    let Some(imsic) = Imsic::find() else {
        return Tap::skip_all("no device tree");
    };

    if cpu::online().len() < 2 {
        return Tap::skip_all("one CPU only");
    }
    let mut tap = Tap::new(15);
    let mark = kmsg::Mark::now();
    let base = irqdebug::occupancy();

    tap.check(
        right_cpu(&module, &imsic),
        "device and driver agree after a move (999f458c1771, f2edf797dab1)",
    );
    for flags in ["", "deferred"] {
        let kind = if flags.is_empty() { "atomic" } else { flags };
        let result = injected(&module, flags);

        if let Ok(fired) = result {
            tap.diag(format!("{fired} MSIs were sent in the middle of a move"));
        }
        tap.check(
            result.map(|_| ()),
            format!("{kind} device: an MSI at each point of a move arrives once (896f8e436f99)"),
        );
    }
    tap.check(
        pending(&module),
        "what is pending in the old file moves along",
    );

    let result = prompt(&module);

    if let Ok((median, longest)) = result {
        tap.diag(format!("moves: median {median:?}, longest {longest:?}"));
    }
    tap.check(
        result.map(|_| ()),
        "a move ends by itself on an idle CPU (08fb624802d8)",
    );
    tap.check(
        in_flight(&module),
        "a second move while one is in flight (0f67911e821c)",
    );
    if cpu::removable().is_empty() {
        tap.skip("no CPU can be taken offline", "CPU offline");
    } else {
        let result = offline(&module);

        tap.check(
            cpu::all_online().and(result),
            "CPU offline with moves in flight, moves work afterwards (51611130d57d, cefafbd56140)",
        );
    }
    if cpu::removable().is_empty() {
        tap.skip("no CPU can be taken offline", "moves race with CPU offline");
    } else {
        let result = race(&module);

        tap.check(
            cpu::all_online().and(result),
            "moves race with CPU offline: no ID is freed twice (candidate 4)",
        );
    }
    let result = reuse(&module);

    tap.check(
        cpu::all_online().and(result),
        "the old ID is used again while a move is in flight (candidate 4)",
    );
    for micros in [20, 500] {
        let result = posted(&module, Duration::from_micros(micros));

        if let Ok(lost) = result {
            tap.diag(format!(
                "updates late by {micros} us: {lost} of 40 stragglers were not delivered"
            ));
        }
        tap.check(
            result.map(|_| ()),
            format!("update late by {micros} us: no straggler reaches a stranger"),
        );
    }
    tap.check(
        irqdebug::occupancy_is(&base),
        "all IDs came back, none twice (candidate 4)",
    );
    tap.check(mark.quiet(), "no complaint of the kernel");

    // Last: a kernel with this bug does not survive it.
    for flags in ["", "deferred"] {
        let kind = if flags.is_empty() { "atomic" } else { flags };

        tap.check(
            freed(&module, flags),
            format!("{kind} device freed with a move in flight (candidate 1)"),
        );
    }
    tap.finish()
}
