// SPDX-License-Identifier: GPL-2.0

//! Moves of MSIs between CPUs: nothing lost at any point of a move, no move
//! that stays in flight, and nothing that outlives the interrupt it belongs to.
//!
//! Arguments: `exact=1` for a driver that knows when nothing can be on its way any more, and that sends
//! on what arrives before: every straggler arrives, and no state of a message is anybody else's.
//! `untimed=1` on a kernel that takes longer for a move than a straggler is on its way: of stragglers it
//! is tested that they do no harm, and what happens to those that are in time.

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
        Irq, //
    },
    kmsg,
    sys,
    wait_until,
    Result, //
    PATIENCE,
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
const POINTS: i32 = 3;

/// As many stragglers are judged; the host may spoil some, but hardly so many in a row.
const STRAGGLERS: u32 = 30;
const ATTEMPTS: u32 = 1000;

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

/// What a driver that is `exact` has counted so far.
fn counter(exact: bool, name: &str) -> Result<u64> {
    match exact {
        true => irqdebug::counter(name),
        false => Ok(0),
    }
}

/// Moves in process context, for a device whose moves may be done there.
fn right_cpu(module: &Module, imsic: &Imsic, exact: bool) -> Result {
    let device = module.ready(4, "")?;
    let counted = counter(exact, "moves")?;
    let mut moves = 0;

    for round in 0..3 {
        for &cpu in &cpu::online() {
            for vec in &device.vecs {
                moves += u64::from(vec.target()?.0 != cpu);
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
    let counted = counter(exact, "moves")? - counted;

    ensure(!exact || counted == moves, || {
        format!("{moves} moves, {counted} counted")
    })
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

/// Interrupts that have all IDs of `cpu` up to `id`: what moves there gets another one.
fn occupy(module: &Module, cpu: usize, id: u32) -> Result<Vec<Device>> {
    let mut fillers = Vec::new();
    // One that has to move there may keep its ID.
    let _placed = interrupts::DefaultAffinity::new(&[cpu])?;

    loop {
        let filler = module.ready(1, "")?;
        let vec = filler.vecs[0];

        if vec.target()?.0 != cpu {
            vec.affine(cpu)?;
        }
        let (_, last) = vec.target()?;

        fillers.push(filler);
        // An interrupt gets the lowest ID that is free.
        if last >= id {
            return Ok(fillers);
        }
    }
}

/// What became of [`injected`].
#[derive(Clone, Copy, Default)]
struct Injected {
    /// Moves in which the device sent.
    fired: u32,
    /// Moves in which it had the message of neither vector on the way.
    passing: u32,
}

/// One MSI at each point of an update: it has to arrive, and once. Another interrupt has the ID on the
/// new CPU, so that IDs differ on both CPUs and all states of the message are distinct.
fn injected(module: &Module, flags: &str, exact: bool) -> Result<Injected> {
    let deferred = flags == "deferred";
    let cpus = cpu::online();
    let device = module.ready(1, flags)?;
    let vec = device.vecs[0];
    let mut seen = Injected::default();

    go(vec, cpus[0], deferred)?;
    let counted = (counter(exact, "duplicates")?, counter(exact, "dropped")?);

    // From the old CPU, and from the new one; there, and back.
    for round in 0..4 {
        // A device that changes address and data one after the other gets two updates, and of which it is
        // not known from a driver that does.
        for point in 0..if deferred || exact {
            2 * POINTS
        } else {
            POINTS
        } {
            let (from, to) = (cpus[round % 2], cpus[1 - round % 2]);
            let what = format!("round {round}, injected at point {point}");

            go(vec, from, deferred)?;
            sys::pin(&[cpus[round / 2]])?;
            let old = vec.target()?;
            let fillers = occupy(module, to, old.1)?;
            let before = vec.total()?;

            vec.inject(point)?;
            go(vec, to, deferred)?;
            // The old CPU makes a deferred move, which shows before it writes the message.
            vec.flush()?;
            let hit = vec.injected()?;
            let points = vec.points()?;

            vec.inject(-1)?;
            vec.expect(before + u64::from(hit) + u64::from(deferred), &what)?;
            let new = vec.target()?;

            ensure(!exact || new.1 != old.1, || {
                format!("{what}: from {old:?} to {new:?}")
            })?;
            ensure(!exact || hit, || {
                format!("{what}, which is beyond {points}")
            })?;
            seen.fired += u32::from(hit);
            seen.passing += u32::from(points as i32 > POINTS);
            drop(fillers);
        }
    }
    sys::pin(&cpus)?;
    ensure(module.bad()? == 0, || {
        format!("{} messages to nowhere", module.bad().unwrap_or(0))
    })?;
    ensure(seen.fired >= 8, || {
        format!("only {} injections happened", seen.fired)
    })?;
    // What is sent on the way is for an ID that forwards, and for nobody else.
    let now = (counter(exact, "duplicates")?, counter(exact, "dropped")?);

    ensure(now == counted, || {
        format!("duplicates and dropped: {now:?}, before {counted:?}")
    })?;
    Ok(seen)
}

/// An MSI of any device may wake the system up: nothing has to be arranged for that.
fn wakes(module: &Module) -> Result {
    ["", "deferred"].iter().try_for_each(|flags| {
        let device = module.ready(1, flags)?;

        device.vecs[0].set_wake(true)?;
        device.vecs[0].set_wake(false)
    })
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

        let held = module.hold_until(cpus[1])?;

        vec.fire(1)?;
        vec.affine(cpus[0])?;
        held.let_go()?;
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
///
/// A driver that is `exact` does not do the next one as long as the CPU is held.
fn in_flight(module: &Module, exact: bool) -> Result {
    let cpus = cpu::online();
    let device = module.ready(1, "")?;
    let vec = device.vecs[0];

    sys::pin(&cpus[..1])?;
    for _ in 0..5 {
        vec.move_to(cpus[1])?;
        let held = module.hold_until(cpus[1])?;

        vec.affine(cpus[0])?;
        let moving = Irq::read(vec.irq)?.moving();
        let again = vec.affine(cpus[1]);
        let (still, target) = (Irq::read(vec.irq)?.moving(), vec.target()?);

        if let Err(e) = &again {
            ensure(e.contains("os error 16"), || e.clone())?;
        }
        ensure(moving || again.is_ok(), || {
            "refused although no move is in flight".into()
        })?;
        ensure(!exact || moving && still && target.0 == cpus[0], || {
            format!("while the old CPU is held: moving {moving}, then {still}, target {target:?}")
        })?;
        let before = vec.total()?;

        vec.fire(1)?;
        held.let_go()?;
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
        let held = module.hold_until(cpus[1])?;

        for vec in &first.vecs {
            vec.affine(cpus[1])?;
        }
        let second = module.ready(4, "")?;

        for vec in &second.vecs {
            let _ = vec.affine(cpus[0]);
        }
        held.let_go()?;
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
///
/// Gives back how many stragglers were lost, and of how many that is known. A driver that is `exact`
/// loses none of them.
///
/// On an `untimed` kernel hardly any of them is in time.
fn posted(module: &Module, delay: Duration, exact: bool, untimed: bool) -> Result<(u32, u32)> {
    let cpus = cpu::online();
    let device = module.ready(1, "")?;
    let strangers = module.ready(3, "")?;
    let vec = device.vecs[0];
    let (mut judged, mut lost) = (0, 0);
    let forwarded = counter(exact, "forwarded")?;

    for round in 0..if untimed { STRAGGLERS } else { ATTEMPTS } {
        if judged == STRAGGLERS {
            break;
        }
        let (from, to) = (cpus[round as usize % 2], cpus[1 - round as usize % 2]);

        // Away first, so that the vector gets the lowest ID, and they the next ones. By the old
        // CPU, and by the new one.
        sys::pin(&[cpus[round as usize / 2 % 2]])?;
        for other in &strangers.vecs {
            other.settle()?;
            other.affine(to)?;
        }
        for other in &strangers.vecs {
            other.settle()?;
        }
        vec.move_to(from)?;
        vec.flush()?;
        let before = vec.total()?;
        let foreign: Vec<u64> = strangers
            .vecs
            .iter()
            .map(Vector::total)
            .collect::<Result<_>>()?;
        let in_time = vec.straggle(to, &strangers, delay)?;

        vec.flush()?;
        for (other, before) in strangers.vecs.iter().zip(foreign) {
            ensure(!in_time || other.total()? == before, || {
                format!("round {round}: a straggler went to the next owner")
            })?;
        }
        let mut came = vec.total()? - before;

        if in_time {
            judged += 1;
            lost += u32::from(came == 0);
            if exact {
                vec.expect(before + 1, "a straggler")?;
                came = 1;
            }
        }
        vec.fire(1)?;
        vec.expect(before + came + 1, "after the straggler")?;
    }
    sys::pin(&cpus)?;
    ensure(untimed || judged == STRAGGLERS, || {
        format!("only {judged} stragglers were in time")
    })?;
    // Some may have been found pending instead, when the CPU looked.
    ensure(
        !exact || untimed || counter(exact, "forwarded")? > forwarded,
        || "none was counted as sent on".into(),
    )?;
    Ok((lost, judged))
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

        let held = module.hold_until(cpus[1])?;

        device.move_free(cpus[0])?;
        held.let_go()?;
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
        return Tap::skip_all("no IMSIC in this machine");
    };

    if cpu::online().len() < 2 {
        return Tap::skip_all("one CPU only");
    }
    let args = Args::of("moves", &["exact", "untimed"]);
    let exact = args.given("exact").is_some();
    let untimed = args.given("untimed").is_some();
    let mut tap = Tap::new(if exact { 17 } else { 15 });
    let mark = kmsg::Mark::now();
    let base = irqdebug::occupancy();

    tap.check(
        right_cpu(&module, &imsic, exact),
        "device and driver agree after a move (999f458c1771, f2edf797dab1)",
    );
    // C loses what the second kind of device sends.
    let kinds: &[&str] = if exact {
        &["", "stepwise", "deferred"]
    } else {
        &["", "deferred"]
    };

    for &flags in kinds {
        let kind = if flags.is_empty() { "atomic" } else { flags };
        let result = injected(&module, flags, exact);

        if let Ok(Injected { fired, passing }) = result {
            tap.diag(format!(
                "{fired} MSIs were sent in the middle of a move, {passing} of them in two steps"
            ));
        }
        tap.check(
            result.map(|_| ()),
            format!("{kind} device: an MSI at each point of a move arrives once (896f8e436f99)"),
        );
    }
    // Not with C.
    if exact {
        tap.check(wakes(&module), "an MSI may wake the system up");
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
        in_flight(&module, exact),
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
    // Both are shorter than what a posted write may take.
    for micros in [1500, 3000] {
        let result = posted(&module, Duration::from_micros(micros), exact, untimed);

        if let Ok((lost, judged)) = result {
            tap.diag(format!(
                "updates late by {micros} us: {lost} of {judged} stragglers were not delivered"
            ));
        }
        tap.check(
            result.map(|_| ()),
            format!("update late by {micros} us: no straggler reaches a stranger, or is lost"),
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
