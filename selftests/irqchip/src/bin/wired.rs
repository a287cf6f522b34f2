// SPDX-License-Identifier: GPL-2.0

//! Wired lines through the APLIC, raised by the host: exact counts for edges and
//! levels, in both modes of the APLIC, also while they move.
//!
//! Argument: `exact=1` if the machine's APLIC drops the pending bit of a level
//! source with its line, as the specification wants it. QEMU before 11.1 does not,
//! and raises a level interrupt up to twice. In direct mode an exact APLIC forgets
//! a level that falls before its hart has looked (AIA 4.7), so that nothing can be
//! said of short pulses of the RTC's line; those tests are skipped.

use irqtest::{
    aplic::Aplic,
    args::Args,
    cpu,
    device::{
        Device,
        Module,
        Vector, //
    },
    dt::{
        self,
        Mode, //
    },
    ensure,
    host,
    interrupts,
    irqdebug::{
        self,
        Irq, //
    },
    kmsg,
    madt::Madt,
    pause,
    sys,
    wait_until,
    write,
    Result,
    PATIENCE, //
};
use ktap::Tap;
use std::{
    process::ExitCode,
    time::{
        Duration,
        Instant, //
    }, //
};

/// The RTC's line: level, active high, lowered by its driver's handler.
const RTC_LINE: u32 = 11;
/// The UART's line.
const UART_LINE: u32 = 10;
const RTC_DRIVER: &str = "/sys/bus/platform/drivers/goldfish_rtc";

/// Lines without a device.
const FREE_LINES: [u32; 6] = [20, 21, 22, 23, 24, 25];
const OTHER_LINE: u32 = 30;

const EDGE_RISING: u32 = 1;
const EDGE_FALLING: u32 = 2;
const LEVEL_HIGH: u32 = 4;
const LEVEL_LOW: u32 = 8;

/// All that a line can do.
const KINDS: [u32; 4] = [EDGE_RISING, EDGE_FALLING, LEVEL_HIGH, LEVEL_LOW];

/// Edge1, as `sourcecfg` has it.
const MODE_EDGE1: u32 = 4;

const LIMIT: Duration = Duration::from_secs(60);
const PULSES: u64 = 40;

fn pulse(line: u32) -> Result {
    host::ask(&format!("pulse {line} 1"), LIMIT)
}

fn level(line: u32, high: bool) -> Result {
    host::ask(&format!("line {line} {}", u32::from(high)), LIMIT)
}

/// How many interrupts a level source may make for one assertion.
struct Exactness(u64);

impl Exactness {
    fn check(&self, what: &str, asserted: u64, seen: u64) -> Result {
        ensure((asserted..=asserted * self.0).contains(&seen), || {
            format!("{what}: {seen} interrupts for {asserted}")
        })
    }
}

fn rtc() -> Result<u32> {
    interrupts::find(&["rtc"])
        .and_then(|l| l.irq())
        .ok_or("no line of the RTC".into())
}

/// The CPUs that a line can go to: an APLIC in direct mode need not reach all.
fn reachable() -> Result<Vec<usize>> {
    let irq = interrupts::find(&["ttyS0"])
        .and_then(|l| l.irq())
        .ok_or("no line of the UART")?;
    let wish = interrupts::affinity(irq);
    let cpus = cpu::online()
        .into_iter()
        .filter(|cpu| interrupts::set_affinity(irq, &[*cpu]).is_ok())
        .collect();

    interrupts::set_affinity(irq, &wish)?;
    Ok(cpus)
}

/// Pulses of the RTC's line, one at a time, with `between` in between.
fn rtc_pulses(exact: &Exactness, mut between: impl FnMut(u64) -> Result) -> Result {
    let irq = rtc()?;
    let start = interrupts::total(irq);
    let mut before = start;

    for n in 0..PULSES {
        pulse(RTC_LINE)?;
        between(n)?;
        let came = wait_until(PATIENCE, || interrupts::total(irq) > before);

        ensure(came, || format!("pulse {n} is lost"))?;
        // The second one, if there is one.
        irqdebug::flush(irq)?;
        before = interrupts::total(irq);
    }
    exact.check("RTC", PULSES, interrupts::total(irq) - start)
}

/// Pulses of a line without a device, as an edge: one interrupt for each.
fn edge_pulses(vec: Vector, line: u32, mut between: impl FnMut(u64) -> Result) -> Result {
    let start = vec.total()?;

    for n in 0..PULSES {
        pulse(line)?;
        between(n)?;
        let came = wait_until(PATIENCE, || vec.total().is_ok_and(|t| t > start + n));

        ensure(came, || format!("pulse {n} of line {line} is lost"))?;
    }
    vec.expect(start + PULSES, "edges")
}

fn line(module: &Module, line: u32, kind: u32) -> Result<(Device, Vector)> {
    let device = module.wired(line, kind)?;
    let vec = device.vecs[0];

    vec.request()?;
    // Setting up a source with an edge may make it pending once, says the specification.
    vec.flush()?;
    Ok((device, vec))
}

fn edges(module: &Module) -> Result {
    for (nr, kind) in [(FREE_LINES[0], EDGE_RISING), (FREE_LINES[1], EDGE_FALLING)] {
        let (_device, vec) = line(module, nr, kind)?;

        edge_pulses(vec, nr, |_| Ok(()))?;
        // Only the edge that was asked for.
        let before = vec.total()?;

        level(nr, true)?;
        vec.expect(before + u64::from(kind == EDGE_RISING), "raise")?;
        level(nr, false)?;
        vec.expect(before + 1, "lower")?;
    }
    Ok(())
}

/// A level goes on interrupting as long as it is there.
fn levels(module: &Module, exact: &Exactness) -> Result {
    for (nr, kind) in [(FREE_LINES[2], LEVEL_HIGH), (FREE_LINES[4], LEVEL_LOW)] {
        let active = kind == LEVEL_HIGH;

        level(nr, !active)?;
        let (_device, vec) = line(module, nr, kind)?;

        vec.expect(0, "inactive from the start")?;
        for _ in 0..10 {
            let before = vec.total()?;

            level(nr, active)?;
            vec.expect(before + 1, "the handler disables the line")?;
            vec.mask(false)?;
            vec.expect(before + 2, "enabled while still active")?;
            level(nr, !active)?;
            vec.mask(false)?;
            vec.flush()?;
            let spurious = vec.total()? - before - 2;

            exact.check("level", 2, 2 + spurious)?;
            if spurious > 0 {
                // The handler has disabled it once more.
                vec.mask(false)?;
                vec.flush()?;
            }
        }
        level(nr, false)?;
    }
    Ok(())
}

/// A line that is active when it is set up: writing sourcecfg need not make it pending.
fn active_at_setup(module: &Module) -> Result {
    for _ in 0..5 {
        level(FREE_LINES[3], true)?;
        let (device, vec) = line(module, FREE_LINES[3], LEVEL_HIGH)?;

        vec.expect(1, "active when it was set up")?;
        level(FREE_LINES[3], false)?;
        device.free()?;
    }
    Ok(())
}

/// The kernel has said something of a trigger since the mark.
fn said_so(mark: &kmsg::Mark, kind: u32) -> Result {
    ensure(mark.said("trigger")?, || {
        format!("the kernel says nothing of trigger {kind}")
    })
}

/// A trigger that does not exist, as a device tree may have it: whoever asks for the
/// interrupt gets an error, and the kernel a message.
fn unknown_triggers(module: &Module) -> Result {
    // The upper bits mean nothing here, and never did.
    for kind in (0..16).chain([0x103, 0xffff_fff0, 0x104, 0xffff_fff8]) {
        let mark = kmsg::Mark::now();
        let device = module.wired(OTHER_LINE, kind);

        if KINDS.contains(&(kind & 0xf)) {
            device?.vecs[0].request()?;
            continue;
        }
        // Either the line is refused, or its interrupt.
        let refused = device.and_then(|device| device.vecs[0].request());

        ensure(refused.is_err(), || {
            format!("trigger {kind:#x} gives an interrupt that never comes")
        })?;
        said_so(&mark, kind)?;
    }
    Ok(())
}

/// A change of the trigger that fails leaves the former one as it was, of a line that is
/// in use and enabled, or disabled.
fn failed_changes(module: &Module) -> Result {
    let aplic = Aplic::first()?;
    let nr = FREE_LINES[0];
    let (_device, vec) = line(module, nr, EDGE_RISING)?;
    let mode = aplic.mode(nr);
    let target = aplic.target(nr);

    for kind in (1..16).filter(|kind| !KINDS.contains(kind)) {
        for masked in [false, true] {
            let before = vec.total()?;

            if masked {
                vec.mask(true)?;
            }
            let changed = vec.set_type(kind);

            ensure(
                changed.as_ref().is_err_and(|e| e.contains("os error 22")),
                || format!("trigger {kind}: {changed:?}"),
            )?;
            ensure(aplic.mode(nr) == mode && aplic.target(nr) == target, || {
                format!("trigger {kind}: mode or target are others than before")
            })?;
            pulse(nr)?;
            if masked {
                vec.flush()?;
                ensure(vec.total()? == before, || "came while disabled".into())?;
                vec.mask(false)?;
            }
            vec.expect(before + 1, &format!("after trigger {kind}"))?;
        }
    }
    Ok(())
}

/// Without a trigger a line is inactive, and loses what the APLIC knows of it.
fn off_and_on(module: &Module) -> Result {
    let nr = FREE_LINES[0];
    let (_device, vec) = line(module, nr, EDGE_RISING)?;

    for kind in [EDGE_RISING, EDGE_FALLING, EDGE_RISING] {
        let before = vec.total()?;

        vec.set_type(0)?;
        pulse(nr)?;
        vec.expect(before, "without a trigger")?;
        vec.set_type(kind)?;
        vec.flush()?;
        edge_pulses(vec, nr, |_| Ok(()))?;
    }
    Ok(())
}

/// An interrupt that nobody has requested yet has a CPU already.
fn mapped(module: &Module) -> Result {
    let cpus = reachable()?;

    for nr in FREE_LINES {
        let device = module.wired(nr, EDGE_RISING)?;
        let irq = device.vecs[0].irq;
        let effective = Irq::read(irq)?.effective();

        ensure(effective.len() == 1 && cpus.contains(&effective[0]), || {
            format!("irq {irq} of line {nr} is to go to {effective:?}")
        })?;
        device.free()?;
    }
    Ok(())
}

/// A source that is pending and enabled, though nobody has asked for it: it must not come
/// again and again.
fn of_nobody() -> Result {
    let aplic = Aplic::first()?;
    // Where a line of somebody goes.
    let target = aplic.target(UART_LINE);
    let mark = kmsg::Mark::now();

    // Whatever it was used for before.
    aplic.set_mode(OTHER_LINE, 0);
    aplic.set_mode(OTHER_LINE, MODE_EDGE1);
    aplic.set_target(OTHER_LINE, target);
    aplic.enable(OTHER_LINE);
    aplic.pend(OTHER_LINE);
    let masked = wait_until(PATIENCE, || !aplic.is_enabled(OTHER_LINE));
    let pending = aplic.is_pending(OTHER_LINE);

    aplic.set_mode(OTHER_LINE, 0);
    ensure(masked && !pending, || {
        format!("masked: {masked}, still pending: {pending}")
    })?;
    mark.quiet()
}

/// What came while the interrupt was disabled is replayed, once.
fn replay(module: &Module) -> Result {
    let nr = FREE_LINES[0];
    let (_device, vec) = line(module, nr, EDGE_RISING)?;

    for _ in 0..10 {
        let before = vec.total()?;

        vec.mask(true)?;
        pulse(nr)?;
        vec.flush()?;
        ensure(vec.total()? == before, || "came while disabled".into())?;
        vec.mask(false)?;
        vec.expect(before + 1, "disable, pulse, enable")?;
    }
    Ok(())
}

/// A pulse, and the line moves at once.
fn moving_edges(module: &Module) -> Result {
    let cpus = reachable()?;
    let nr = FREE_LINES[0];
    let (_device, vec) = line(module, nr, EDGE_RISING)?;

    // Also from the CPU that the line leaves.
    for from in &cpus[..2] {
        sys::pin(&[*from])?;
        edge_pulses(vec, nr, |n| {
            interrupts::set_affinity(vec.irq, &[cpus[n as usize % cpus.len()]])
        })?;
    }
    sys::pin(&cpu::online())
}

/// Moves, with the pulse while they are in flight.
fn moving_levels(exact: &Exactness) -> Result {
    let cpus = reachable()?;
    let irq = rtc()?;

    for from in &cpus[..2] {
        sys::pin(&[*from])?;
        rtc_pulses(exact, |n| {
            interrupts::set_affinity(irq, &[cpus[n as usize % cpus.len()]])
        })?;
    }
    sys::pin(&cpu::online())
}

/// The host does not wait for the guest: many pulses while the line moves all the
/// time. Pulses that come close together are one; what must not happen is that the
/// line falls silent.
fn hammered(module: &Module, exact: &Exactness, once: bool) -> Result<u64> {
    let cpus = reachable()?;
    let irq = rtc()?;
    let start = interrupts::total(irq);
    let action = format!("pulse {RTC_LINE} 500 1000");
    let mut moves = 0u64;

    host::start(&action)?;
    while host::finish(&action, Duration::from_millis(1)).is_err() {
        interrupts::set_affinity(irq, &[cpus[moves as usize % cpus.len()]])?;
        moves += 1;
        ensure(moves < 1_000_000, || "the host does not answer".into())?;
    }
    irqdebug::flush(irq)?;
    let seen = interrupts::total(irq) - start;

    let twice = if once { 0 } else { moves };

    ensure(seen > 0 && seen <= 500 * exact.0 + twice, || {
        format!("{seen} interrupts for 500 pulses and {moves} moves")
    })?;
    rtc_pulses(exact, |_| Ok(()))?;
    let (_device, vec) = line(module, FREE_LINES[5], EDGE_RISING)?;

    edge_pulses(vec, FREE_LINES[5], |_| Ok(()))?;
    Ok(seen)
}

fn offline(exact: &Exactness) -> Result {
    let irq = rtc()?;
    let cpus = reachable()?;

    for cpu in cpu::removable() {
        if !cpus.contains(&cpu) {
            continue;
        }
        interrupts::set_affinity(irq, &[cpu])?;
        rtc_pulses(exact, |n| match n {
            10 => cpu::set_online(cpu, false),
            20 => cpu::set_online(cpu, true),
            _ => Ok(()),
        })?;
        interrupts::set_affinity(irq, &cpus)?;
    }
    Ok(())
}

/// The driver goes and comes back.
fn rebind(exact: &Exactness) -> Result {
    let device = std::fs::read_dir(RTC_DRIVER)
        .map_err(|e| format!("{RTC_DRIVER}: {e}"))?
        .filter_map(|e| e.ok()?.file_name().into_string().ok())
        .find(|n| n.contains(".rtc"))
        .ok_or("no RTC device")?;
    let cpus = reachable()?;

    for n in 0..4 {
        interrupts::set_affinity(rtc()?, &[cpus[n % cpus.len()]])?;
        write(&format!("{RTC_DRIVER}/unbind"), &device)?;
        // Nobody listens to this one.
        pulse(RTC_LINE)?;
        write(&format!("{RTC_DRIVER}/bind"), &device)?;
        irqdebug::flush(rtc()?)?;
        rtc_pulses(exact, |_| Ok(()))?;
    }
    Ok(())
}

/// Of a controller that turns wires into MSIs and is no APLIC, nothing tells when all that
/// it sent has arrived. Its message changes some time after the interrupt has moved, and
/// what it sends until then has to arrive, too.
fn other_controller(module: &Module) -> Result {
    let cpus = reachable()?;
    let device = module.wires(1)?;
    let vec = device.vecs[0];
    let rounds = 20;

    vec.request()?;
    for round in 0..rounds {
        let before = vec.total()?;

        vec.posted(Duration::from_millis(2))?;
        vec.affine(cpus[round % cpus.len()])?;
        vec.fire(1)?;
        vec.expect(before + 1, &format!("round {round}, sent in mid-move"))?;
        vec.posted(Duration::ZERO)?;
        vec.fire(1)?;
        vec.expect(before + 2, &format!("round {round}, sent after it"))?;
    }
    device.free()
}

/// A line with a chained handler, which the core calls without the descriptor's lock, is told to move
/// while it is being moved: it does so when it can.
fn chained(module: &Module) -> Result {
    let cpus = reachable()?;
    let aplic = Aplic::first()?;
    let nr = FREE_LINES[0];
    let device = module.wired(nr, EDGE_RISING)?;
    let vec = device.vecs[0];
    let on = |cpu: usize| Irq::read(vec.irq).is_ok_and(|irq| irq.effective() == [cpu]);

    vec.chain()?;
    vec.flush()?;
    sys::pin(&cpus[..1])?;
    for round in 0..5 {
        vec.settle()?;
        vec.affine(cpus[1])?;
        vec.settle()?;
        ensure(on(cpus[1]), || {
            format!("round {round}: not on CPU {}", cpus[1])
        })?;
        let before = vec.total()?;
        let held = module.hold_until(cpus[1])?;

        vec.affine(cpus[0])?;
        vec.affine(cpus[1])?;
        // Not the host: its answer may come by an interrupt of the CPU that is held.
        aplic.pend(nr);
        held.let_go()?;
        vec.expect(before + 1, "an interrupt while the line was to move")?;
        vec.settle()?;
        aplic.pend(nr);
        vec.expect(before + 2, "an interrupt afterwards")?;
        ensure(wait_until(PATIENCE, || on(cpus[1])), || {
            format!("round {round}: the second move was forgotten")
        })?;
    }
    vec.release()?;
    sys::pin(&cpu::online())
}

/// An edge that comes on the new CPU of a line, while the former one still handles the edge before.
fn overtaken(module: &Module) -> Result {
    let cpus = reachable()?;
    let aplic = Aplic::first()?;
    let [nr, next, ..] = FREE_LINES;
    let (_device, vec) = line(module, nr, EDGE_RISING)?;
    let (_device, after) = line(module, next, EDGE_RISING)?;

    sys::pin(&cpus[..1])?;
    after.settle()?;
    after.affine(cpus[0])?;
    for round in 0..5 {
        vec.settle()?;
        vec.affine(cpus[1])?;
        vec.flush()?;
        let (before, last) = (vec.total()?, after.total()?);
        // Until this goes, not the host: its answer may come to the CPU that is busy.
        let lingers = module.linger(vec)?;

        aplic.pend(nr);
        let busy = wait_until(PATIENCE, || module.is_held().unwrap_or(false));

        ensure(busy, || format!("round {round}: the handler does not run"))?;
        vec.affine(cpus[0])?;
        aplic.pend(nr);
        // Nothing tells that this CPU has taken it, but that it has taken what came later.
        aplic.pend(next);
        let taken = wait_until(PATIENCE, || after.total().is_ok_and(|t| t > last));

        lingers.let_go()?;
        ensure(taken, || format!("round {round}: another line's is lost"))?;
        vec.expect(before + 2, &format!("round {round}"))?;
    }
    sys::pin(&cpu::online())
}

/// How far this thread gets in some time.
fn progress() -> u64 {
    let start = Instant::now();
    let mut steps = 0;

    while start.elapsed() < Duration::from_millis(500) {
        steps += 1;
    }
    steps
}

/// A level that comes on the new CPU of a line, while the former one still handles the level before, does
/// not interrupt again and again for what it cannot handle.
fn overtaken_level(module: &Module) -> Result {
    let cpus = reachable()?;
    let nr = FREE_LINES[2];
    let uart = interrupts::find(&["ttyS0"])
        .and_then(|l| l.irq())
        .ok_or("no line of the UART")?;
    let wish = interrupts::affinity(uart);

    level(nr, false)?;
    let (_device, vec) = line(module, nr, LEVEL_HIGH)?;

    sys::pin(&cpus[..1])?;
    // The answers of the host.
    interrupts::set_affinity(uart, &cpus[..1])?;
    vec.settle()?;
    vec.affine(cpus[1])?;
    vec.flush()?;
    let undisturbed = progress();
    let lingers = module.linger(vec)?;

    // Nobody waits for an answer of the host: who reads them may have slept on the CPU that is busy.
    host::start(&format!("line {nr} 1"))?;
    let busy = wait_until(PATIENCE, || module.is_held().unwrap_or(false));

    ensure(busy, || "the handler does not run".into())?;
    vec.affine(cpus[0])?;
    host::start(&format!("line {nr} 0"))?;
    host::start(&format!("line {nr} 1"))?;
    let disturbed = progress();

    lingers.let_go()?;
    // All answers are there, and forgotten.
    pause(300);
    level(nr, false)?;
    interrupts::set_affinity(uart, &wish)?;
    sys::pin(&cpu::online())?;
    ensure(disturbed > undisturbed / 4, || {
        format!("{disturbed} steps instead of {undisturbed}")
    })?;
    // The handler has disabled the line, and it has been active since: it may come once more.
    vec.mask(false)?;
    vec.flush()?;
    if vec.total()? > 1 {
        vec.mask(false)?;
        vec.flush()?;
    }
    let before = vec.total()?;

    level(nr, true)?;
    vec.expect(before + 1, "afterwards")?;
    level(nr, false)
}

/// A line is asked to wake the system up: there is nothing to be done for that.
fn wakes(module: &Module) -> Result {
    let (_device, vec) = line(module, OTHER_LINE, EDGE_RISING)?;

    vec.set_wake(true)?;
    vec.set_wake(false)
}

/// The line is gone before the old CPU could take part in its move.
fn freed(module: &Module) -> Result {
    let cpus = reachable()?;
    let base = irqdebug::occupancy();
    let mark = kmsg::Mark::now();

    sys::pin(&cpus[..1])?;
    for _ in 0..5 {
        // Several, so that a move gives some of them another ID.
        let devices = FREE_LINES
            .iter()
            .map(|nr| module.wired(*nr, EDGE_RISING))
            .collect::<Result<Vec<_>>>()?;

        for vec in devices.iter().flat_map(|d| &d.vecs) {
            vec.request()?;
            interrupts::set_affinity(vec.irq, &[cpus[1]])?;
        }
        for vec in devices.iter().flat_map(|d| &d.vecs) {
            vec.flush()?;
        }
        let held = module.hold_until(cpus[1])?;

        for device in devices.into_iter().rev() {
            device.move_free(cpus[0])?;
        }
        held.let_go()?;
        // In direct mode there are no IDs.
        if base.is_ok() {
            irqdebug::occupancy_is(&base)?;
        }
    }
    sys::pin(&cpu::online())?;
    mark.quiet()
}

/// A line whose CPU goes offline goes to another one, also if of all those that it may go to, none that
/// is left gets interrupts of the APLIC.
fn left_behind(module: &Module) -> Result {
    let reach = reachable()?;
    let cpu = *cpu::removable()
        .iter()
        .rfind(|cpu| reach.contains(cpu))
        .ok_or("no CPU that goes")?;
    let (_device, vec) = line(module, OTHER_LINE, EDGE_RISING)?;
    let elsewhere = cpu::online().into_iter().find(|c| !reach.contains(c));
    let cpus: Vec<_> = [cpu].into_iter().chain(elsewhere).collect();

    interrupts::set_affinity(vec.irq, &cpus)?;
    vec.settle()?;
    edge_pulses(vec, OTHER_LINE, |_| Ok(()))?;
    ensure(interrupts::effective(vec.irq) == [cpu], || {
        format!("not on CPU {cpu}")
    })?;
    cpu::set_online(cpu, false)?;
    edge_pulses(vec, OTHER_LINE, |_| Ok(()))
}

/// A line that is active when it is asked for, by when the CPU has gone that it was to go to: its first
/// interrupt must not wait there, as no other one comes.
fn gone_before(module: &Module) -> Result {
    let reach = reachable()?;
    let nr = FREE_LINES[3];

    for cpu in cpu::removable() {
        if !reach.contains(&cpu) {
            continue;
        }
        let device = {
            let _placed = interrupts::DefaultAffinity::new(&[cpu])?;

            module.wired(nr, LEVEL_HIGH)?
        };
        let vec = device.vecs[0];
        let effective = Irq::read(vec.irq)?.effective();

        ensure(effective == [cpu], || {
            format!("is to go to {effective:?}, not to CPU {cpu}")
        })?;
        cpu::set_online(cpu, false)?;
        level(nr, true)?;
        vec.request()?;
        let came = vec.expect(1, "active when it was asked for");

        level(nr, false)?;
        cpu::set_online(cpu, true)?;
        came?;
        device.free()?;
    }
    Ok(())
}

fn main() -> ExitCode {
    let args = Args::of("wired", &["once", "exact"]);
    let mode = dt::mode();

    if mode == Mode::None {
        return Tap::skip_all("no APLIC in this machine");
    }
    let once = args.given("once").is_some();
    let mut tap = Tap::new(if once { 24 } else { 20 });
    let exact = Exactness(if args.number("exact", 0) == 1 { 1 } else { 2 });
    // In MSI mode the pulse is over before anything could go wrong.
    let pulses = Exactness(if mode == Mode::Msi { 1 } else { exact.0 });
    let module = match Module::load() {
        Ok(module) => module,
        Err(e) => tap.bail_out(e),
    };
    let mark = kmsg::Mark::now();
    let several = reachable().is_ok_and(|cpus| cpus.len() > 1);

    tap.diag(format!("{mode:?} mode, up to {} for a level", exact.0));
    // Short pulses of a level.
    let forgets = mode == Mode::Direct && exact.0 == 1;
    let has_rtc = rtc().is_ok();
    let pulse = |tap: &mut Tap, desc: &str, test: &dyn Fn() -> Result| {
        if !has_rtc {
            tap.skip("no RTC", desc);
        } else if forgets {
            tap.skip("a level that falls before it is taken is none", desc);
        } else {
            tap.check(test(), desc);
        }
    };

    pulse(
        &mut tap,
        &format!("{PULSES} pulses of a level line (RTC): as many interrupts"),
        &|| rtc_pulses(&pulses, |_| Ok(())),
    );
    tap.check(
        edges(&module),
        format!("{PULSES} edges, rising and falling: as many interrupts"),
    );
    tap.check(
        levels(&module, &exact),
        "a level interrupts as long as it is active, high and low",
    );
    tap.check(
        active_at_setup(&module),
        "a level that is active at its set-up interrupts (03f9885c60ad)",
    );
    tap.check(
        replay(&module),
        "an edge that came while disabled is replayed once",
    );
    tap.check(
        mapped(&module),
        "a line has a CPU before it is requested (35d77eb7b974)",
    );
    let desc = "a trigger that does not exist is an error, and a message";

    if Madt::find().is_some() {
        tap.skip("ACPI has names for those that exist only", desc);
    } else {
        tap.check(unknown_triggers(&module), desc);
    }
    tap.check(
        failed_changes(&module),
        "a change of the trigger that fails leaves the former one working",
    );
    tap.check(
        off_and_on(&module),
        "a line without a trigger is off, and on again with one",
    );
    tap.check(wakes(&module), "a line is set to wake the system up");
    if mode == Mode::Direct {
        tap.check(of_nobody(), "an interrupt of nobody does not come again");
    } else {
        tap.skip(
            "an MSI of nobody is another test's",
            "an interrupt of nobody",
        );
    }
    if several {
        tap.check(
            moving_edges(&module),
            "edges while the line moves: none lost, none twice (candidate 5)",
        );
        pulse(
            &mut tap,
            "levels while the line moves: none lost (candidate 5)",
            &|| moving_levels(&pulses),
        );
        pulse(
            &mut tap,
            "hammered while it moves: exact afterwards (candidate 5)",
            &|| {
                let seen = hammered(&module, &pulses, once)?;

                ktap::diag(format!("{seen} interrupts for 500 pulses without a pause"));
                Ok(())
            },
        );
        // C does not ask for it.
        if once {
            tap.check(
                overtaken(&module),
                "an edge on the new CPU while the old one handles another: both come",
            );
            let desc = "a level on the new CPU while the old one handles it: no storm";

            if mode == Mode::Msi {
                tap.check(overtaken_level(&module), desc);
            } else {
                tap.skip("the wire interrupts as long as it is there", desc);
            }
        }
    } else {
        if once {
            tap.skip("one CPU only", "an edge on the new CPU");
            tap.skip("one CPU only", "a level on the new CPU");
        }
        for desc in [
            "edges while the line moves",
            "levels while the line moves",
            "hammered while it moves",
        ] {
            tap.skip("one CPU only", desc);
        }
    }
    if cpu::removable().is_empty() || !several {
        for desc in ["CPU offline with pulses under way", "a line whose CPU goes"] {
            tap.skip("no CPU can be taken offline", desc);
        }
        if once {
            tap.skip("no CPU can be taken offline", "a line that is asked for");
        }
    } else {
        let result = left_behind(&module);

        tap.check(
            cpu::all_online().and(result),
            "a line whose CPU goes leaves it, wherever it may go",
        );
        // C loses it.
        if once {
            let result = gone_before(&module);

            tap.check(
                cpu::all_online().and(result),
                "a line that is asked for when its CPU has gone",
            );
        }
        pulse(
            &mut tap,
            "CPU offline and back with pulses under way: none lost",
            &|| {
                let result = offline(&pulses);

                cpu::all_online().and(result)
            },
        );
    }
    pulse(&mut tap, "driver unbound and bound again", &|| {
        rebind(&pulses)
    });
    if several && mode == Mode::Msi {
        tap.check(
            other_controller(&module),
            "no interrupt of another controller is lost when it moves",
        );
    } else {
        tap.skip("no moves, or no MSIs", "wires of another controller");
    }
    tap.check(mark.quiet(), "no complaint of the kernel");

    // Last: a kernel with these bugs does not survive them.
    if several && once {
        tap.check(
            chained(&module),
            "a line with a chained handler is moved twice",
        );
    } else if once {
        tap.skip(
            "one CPU only",
            "a line with a chained handler is moved twice",
        );
    }
    if several {
        tap.check(
            freed(&module),
            "line freed with a move in flight (candidate 1)",
        );
    } else {
        tap.skip("one CPU only", "line freed with a move in flight");
    }
    tap.finish()
}
