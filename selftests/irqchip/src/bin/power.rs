// SPDX-License-Identifier: GPL-2.0

//! CPUs and APLICs lose their registers, in idle states and while the system sleeps, with devices at
//! work: no interrupt is lost or made up, and all is as it was.

use irqtest::{
    aplic::Aplic,
    args::Args,
    cpu,
    device::{
        Loss,
        Module,
        Vector, //
    },
    dt::{
        self,
        Mode, //
    },
    ensure,
    host,
    irqdebug,
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
    time::Duration, //
};

const LIMIT: Duration = Duration::from_secs(60);

/// More than any run takes; the threads are stopped when the test is done.
const ENDLESS: u64 = 1_000_000_000;

/// Lines without a device.
const LINES: [u32; 3] = [20, 21, 22];
/// Others, which nobody raises: what is raised before it is asked for may come then.
const QUIET_LINES: [u32; 2] = [30, 31];
const SOURCES: u32 = 96;

const EDGE_RISING: u32 = 1;
const EDGE_FALLING: u32 = 2;
const LEVEL_HIGH: u32 = 4;

fn level(line: u32, high: bool) -> Result {
    host::ask(&format!("line {line} {}", u32::from(high)), LIMIT)
}

/// Each MSI of a device on a CPU that dozes all the time comes, and once, with its handler on that CPU.
fn msis_of_a_dozing_cpu(module: &Module, cpu: usize, loss: Loss) -> Result {
    let device = module.ready(4, "")?;

    for vec in &device.vecs {
        vec.move_to(cpu)?;
        vec.send(ENDLESS, PATIENCE, 20)?;
    }
    let mut calls = 0;
    let dozed = (0..8).try_for_each(|us| -> Result {
        calls += module.doze(cpu, loss, 50, 40 * us)?;
        Ok(())
    });

    for vec in &device.vecs {
        vec.send(0, PATIENCE, 0)?;
        vec.flush()?;
        let sent = vec.sent()?;

        ensure(sent.sent > 20 && sent.lost == 0 && sent.dup == 0, || {
            format!("irq {}: {sent:?}", vec.irq)
        })?;
    }
    dozed?;
    ensure(calls > 20, || format!("{calls} IPIs only"))
}

/// IPIs come even if the MSIs that tell of them are lost.
fn ipis(module: &Module, cpu: usize) -> Result {
    let calls = module.doze(cpu, Loss::All, 2000, 10)?;

    ensure(calls > 20, || format!("{calls} IPIs only"))
}

/// An interrupt that is masked and pending comes when it is unmasked, once.
fn masked(module: &Module, cpu: usize, loss: Loss) -> Result {
    let device = module.ready(2, "unlazy")?;
    let [one, two] = &device.vecs[..] else {
        return Err("no two vectors".into());
    };

    for vec in [one, two] {
        vec.move_to(cpu)?;
        vec.settle()?;
        vec.mask(true)?;
    }
    one.fire(1)?;
    module.doze(cpu, loss, 1, 10)?;
    ensure(one.total()? == 0 && two.total()? == 0, || {
        "an interrupt that is masked came".into()
    })?;
    for vec in [one, two] {
        vec.mask(false)?;
    }
    one.expect(1, "masked and pending")?;
    two.expect(0, "masked and not pending")
}

/// Interrupts that move between CPUs that doze.
fn moves(module: &Module, loss: Loss) -> Result {
    let device = module.ready(2, "")?;
    let cpus = cpu::online();

    for vec in &device.vecs {
        vec.send(ENDLESS, PATIENCE, 20)?;
    }
    let (mut moved, mut busy) = (0, 0);
    for round in 0..60 {
        for vec in &device.vecs {
            // The last move may be in flight.
            match vec.affine(cpus[round % cpus.len()]) {
                Ok(()) => moved += 1,
                Err(_) => busy += 1,
            }
        }
        module.doze(cpus[round / 2 % cpus.len()], loss, 3, 20)?;
    }
    let mut twice = 0;
    for vec in &device.vecs {
        vec.send(0, PATIENCE, 0)?;
        vec.flush()?;
        let sent = vec.sent()?;

        twice += sent.dup;
        ensure(sent.sent > 20 && sent.lost == 0, || {
            format!("irq {}: {sent:?}", vec.irq)
        })?;
    }
    ensure(moved > 20 && twice == 0, || {
        format!("{moved} moves, {busy} times busy, {twice} interrupts twice")
    })
}

/// One night until the line rises, after so many seconds; returns whether it was low before.
fn night_until(module: &Module, loses: bool, line: u32, seconds: u32) -> Result<bool> {
    host::start(&format!("later {seconds}000 line {line} 1"))?;
    let slept = module.suspend(loses, Some(line))?;

    // The console may have lost the answer.
    host::ask("sleep 1", LIMIT)?;
    Ok(slept)
}

/// All registers of an APLIC that say what becomes of its sources. Those of a CPU that goes offline have
/// another target, but all have one.
fn registers(aplic: &Aplic) -> Vec<(u32, bool, bool)> {
    (1..=SOURCES)
        .map(|n| (aplic.mode(n), aplic.target(n) != 0, aplic.is_enabled(n)))
        .collect()
}

/// The lines while the system sleeps: one rises, for a rising edge; one is high all the time, for which a
/// falling edge is waited for in vain; one is a level, which rises before it sleeps.
fn night(module: &Module, loses: bool) -> Result {
    let aplic = Aplic::first()?;
    let [rises, high, asserted] = LINES;

    level(high, true)?;
    let devices = [
        module.wired(rises, EDGE_RISING)?,
        module.wired(high, EDGE_FALLING)?,
        module.wired(asserted, LEVEL_HIGH)?,
    ];
    let [rising, falling, level_high] = devices.each_ref().map(|d| d.vecs[0]);
    for device in &devices {
        device.vecs[0].request()?;
    }
    let before = registers(&aplic);

    // The handler disables a level that is there; that is taken back when it is gone.
    level(asserted, true)?;
    level_high.expect(1, "a level before the night")?;
    let mut edges = 1;
    for seconds in [1, 5, 15] {
        if night_until(module, loses, rises, seconds)? {
            break;
        }
        // It took so long that the line was high before.
        ensure(seconds < 15, || "the system does not come to sleep".into())?;
        level(rises, false)?;
        edges += 1;
    }
    let total = |vec: &Vector| vec.total().unwrap_or(u64::MAX);
    let came = wait_until(PATIENCE, || total(&rising) >= edges);

    pause(100);
    ensure(came && total(&rising) == edges, || {
        format!("{} interrupts of {edges} edges", total(&rising))
    })?;
    ensure(total(&falling) == 0, || "an edge that never was".into())?;
    ensure(total(&level_high) == 1, || {
        format!("{} interrupts of a level", total(&level_high))
    })?;

    level(asserted, false)?;
    level_high.mask(false)?;
    pause(20);
    level_high.expect(1, "a level that is gone")?;
    ensure(registers(&aplic) == before, || {
        "the registers of the APLIC are not as they were".into()
    })?;

    level(asserted, true)?;
    level_high.expect(2, "a level after the night")?;
    level(high, false)?;
    falling.expect(1, "a falling edge after the night")?;
    level(rises, false)?;
    level(rises, true)?;
    rising.expect(edges + 1, "a rising edge after the night")?;
    for line in LINES {
        level(line, false)?;
    }
    Ok(())
}

/// A line wakes the system up only if it was told to: others are disabled in the APLIC meanwhile. Both
/// work afterwards.
fn wakes(module: &Module, loses: bool) -> Result {
    let aplic = Aplic::first()?;
    let [other, wakes] = QUIET_LINES;
    let devices = [
        module.wired(other, EDGE_RISING)?,
        module.wired(wakes, EDGE_RISING)?,
    ];

    for device in &devices {
        device.vecs[0].request()?;
    }
    devices[1].vecs[0].set_wake(true)?;
    module.suspend(loses, None)?;
    let enabled = (module.enabled_asleep(other)?, module.enabled_asleep(wakes)?);

    devices[1].vecs[0].set_wake(false)?;
    ensure(enabled == (false, true), || {
        format!("enabled without and with a wake-up: {enabled:?}")
    })?;
    for device in &devices {
        let before = device.vecs[0].total()?;

        ensure(before == 0, || "an edge that never was".into())?;
    }
    for (device, line) in devices.iter().zip(QUIET_LINES) {
        aplic.pend(line);
        device.vecs[0].expect(1, "an edge after the night")?;
    }
    Ok(())
}

/// MSIs, and a disk, before and after.
fn msis_after_a_night(module: &Module, loses: bool) -> Result {
    let device = module.ready(4, "")?;

    for (vec, cpu) in device.vecs.iter().zip(cpu::online().into_iter().cycle()) {
        vec.move_to(cpu)?;
        vec.send(100, PATIENCE, 0)?;
        vec.finish(PATIENCE)?;
    }
    module.suspend(loses, None)?;
    for vec in &device.vecs {
        vec.settle()?;
        vec.send(100, PATIENCE, 0)?;
        let sent = vec.finish(PATIENCE)?;

        ensure(sent.sent == 100 && sent.lost == 0 && sent.dup == 0, || {
            format!("irq {}: {sent:?}", vec.irq)
        })?;
    }
    Ok(())
}

fn main() -> ExitCode {
    let _ = Args::of("power", &[]);
    let module = match Module::load() {
        Ok(module) => module,
        Err(e) => Tap::new(1).bail_out(e),
    };
    let imsic = dt::mode() == Mode::Msi;
    let cpus = cpu::online();
    let Some(&dozing) = cpus.last().filter(|_| cpus.len() > 1) else {
        return Tap::skip_all("needs two CPUs");
    };
    let mut tap = Tap::new(if imsic { 16 } else { 8 });
    let mark = kmsg::Mark::now();
    let base = irqdebug::occupancy();

    // Who asks, and calls by IPIs, is another CPU.
    if let Err(e) = sys::pin(&cpus[..1]) {
        tap.bail_out(e);
    }
    if imsic {
        for loss in [Loss::Nothing, Loss::Registers] {
            tap.check(
                msis_of_a_dozing_cpu(&module, dozing, loss),
                format!(
                    "MSIs and IPIs of a CPU that dozes and loses {loss:?}: exact (f48b4bd0915b)"
                ),
            );
            tap.check(
                masked(&module, dozing, loss),
                format!("masked and pending, {loss:?} lost"),
            );
            tap.check(
                moves(&module, loss),
                format!("moves between CPUs that doze and lose {loss:?}"),
            );
        }
        tap.check(
            ipis(&module, dozing),
            "IPIs, when MSIs in the state are lost",
        );
        tap.check(irqdebug::occupancy_is(&base), "all IDs came back");
    }
    for loses in [false, true] {
        let what = if loses { "loses" } else { "keeps" };

        tap.check(
            night(&module, loses),
            format!("lines while the system sleeps and {what} registers: exact (95a8ddde3660)"),
        );
        tap.check(
            wakes(&module, loses),
            format!("only what wakes the system up is enabled while it sleeps and {what} them"),
        );
        let result = match imsic {
            true => msis_after_a_night(&module, loses),
            false => module.suspend(loses, None).map(drop),
        };
        tap.check(result, format!("all works after a night that {what} them"));
    }
    tap.check(cpu::all_online(), "all CPUs are back");
    tap.check(mark.quiet(), "no complaint of the kernel");
    tap.finish()
}
