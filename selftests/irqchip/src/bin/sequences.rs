// SPDX-License-Identifier: GPL-2.0

//! Random sequences of what drivers and user space do with interrupts: devices come and go, their
//! interrupts are requested, masked, moved and sent, one by one and in the background, their messages take
//! effect late, CPUs go offline or stand still. Each interrupt is handled as often as a model says.
//!
//! Arguments: `rounds` sequences (default 8) of `steps` (default 250) each; `seed` of the first (default 1);
//! `exact=1` for a driver that counts the interrupts which it may have raised twice: no others are.

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
    pause,
    wait_until,
    Result,
    Rng,
    PATIENCE, //
};
use ktap::Tap;
use std::{
    collections::VecDeque,
    process::ExitCode,
    thread,
    time::Duration, //
};

const MOST_DEVICES: usize = 6;
const MOST_VECTORS: usize = 4;

/// How often a line is disabled at a time.
const MOST_DISABLED: u32 = 2;

/// How much of what was done is told when it goes wrong.
const TOLD: usize = 40;

/// How long a sender in the background may take.
const LIMIT: Duration = Duration::from_secs(60);

/// An interrupt, and what is known of it.
struct Line {
    vec: Vector,
    requested: bool,
    disabled: u32,
    /// How often it was sent since it was disabled.
    sent_disabled: u32,
    /// How often its handler has run.
    handled: u64,
    /// How often that was once too often.
    twice: u64,
    /// It is sent in the background.
    sending: bool,
    /// How late its message takes effect.
    late: Duration,
}

impl Line {
    fn new(vec: Vector) -> Self {
        Self {
            vec,
            requested: false,
            disabled: 0,
            sent_disabled: 0,
            handled: 0,
            twice: 0,
            sending: false,
            late: Duration::ZERO,
        }
    }

    /// Whether it can be sent, and is handled then.
    fn is_ready(&self) -> bool {
        self.requested && self.disabled == 0 && !self.sending
    }

    /// Its handler runs between `least` and `most` times more, but that a driver may raise it once more
    /// for each of its moves.
    fn expect(&mut self, least: u64, most: u64) -> Result {
        let (least, most) = (self.handled + least, self.handled + most);
        let came = wait_until(PATIENCE, || self.vec.total().is_ok_and(|n| n >= least));

        self.vec.flush()?;
        let total = self.vec.total()?;

        ensure(came, || {
            format!("irq {}: handled {total} times, not {least}", self.vec.irq)
        })?;
        self.twice += total.saturating_sub(most);
        let updates = self.vec.message()?.updates;

        ensure(self.twice <= updates, || {
            format!(
                "irq {}: handled {total} times, not {most}; {} too often, {updates} moves",
                self.vec.irq, self.twice
            )
        })?;
        self.handled = total;
        Ok(())
    }

    /// Waits until what is sent in the background has come.
    fn finish(&mut self) -> Result {
        if !std::mem::take(&mut self.sending) {
            return Ok(());
        }
        let sent = self.vec.finish(LIMIT)?;

        ensure(sent.lost == 0, || {
            format!("irq {}: {} of {} lost", self.vec.irq, sent.lost, sent.sent)
        })?;
        self.expect(sent.sent, sent.sent)
    }
}

/// A device and its interrupts.
struct Lines {
    device: Device,
    lines: Vec<Line>,
}

struct World<'a> {
    module: &'a Module,
    rng: Rng,
    devices: Vec<Lines>,
    removable: Vec<usize>,
    offline: Vec<usize>,
    /// What was done last.
    done: VecDeque<String>,
    /// How often an interrupt was handled, and once too often, by lines that are gone.
    handled: u64,
    twice: u64,
}

impl<'a> World<'a> {
    fn new(module: &'a Module, seed: u64) -> Self {
        // The generator begins with what the seed has for it.
        let mut rng = Rng::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));

        rng.below(2);
        Self {
            module,
            rng,
            devices: Vec::new(),
            removable: cpu::removable(),
            offline: Vec::new(),
            done: VecDeque::new(),
            handled: 0,
            twice: 0,
        }
    }

    fn note(&mut self, what: String) {
        if self.done.len() == TOLD {
            self.done.pop_front();
        }
        self.done.push_back(what);
    }

    /// One of the lines for which `fits`.
    fn pick(&mut self, fits: impl Fn(&Line) -> bool) -> Option<(usize, usize)> {
        let fitting: Vec<_> = self
            .devices
            .iter()
            .enumerate()
            .flat_map(|(d, device)| (0..device.lines.len()).map(move |l| (d, l)))
            .filter(|&(d, l)| fits(&self.devices[d].lines[l]))
            .collect();

        (!fitting.is_empty()).then(|| self.rng.pick(&fitting))
    }

    /// Does `f` with one of the lines for which `fits`, and notes it as `what`.
    fn with_one(
        &mut self,
        what: &str,
        fits: impl Fn(&Line) -> bool,
        f: impl FnOnce(&mut Line) -> Result,
    ) -> Result {
        let Some((d, l)) = self.pick(fits) else {
            return Ok(());
        };
        let irq = self.devices[d].lines[l].vec.irq;

        self.note(format!("irq {irq}: {what}"));
        f(&mut self.devices[d].lines[l])
    }

    fn step(&mut self) -> Result {
        match self.rng.below(24) {
            0 | 1 => self.come(),
            2 => self.go(),
            3..=5 => self.with_one(
                "request",
                |line| !line.requested,
                |line| {
                    line.requested = true;
                    line.vec.request()?;
                    // Before, it has no message at all.
                    thread::sleep(line.late);
                    Ok(())
                },
            ),
            6 => self.with_one("release", Line::is_ready, |line| {
                line.requested = false;
                line.vec.release()
            }),
            7 | 8 => self.with_one(
                "disable",
                |line| line.requested && line.disabled < MOST_DISABLED && !line.sending,
                |line| {
                    line.disabled += 1;
                    line.vec.mask(true)
                },
            ),
            9..=11 => self.with_one(
                "enable",
                |line| line.disabled > 0,
                |line| {
                    line.disabled -= 1;
                    line.vec.mask(false)?;
                    if line.disabled > 0 {
                        return Ok(());
                    }
                    // What was sent meanwhile is one interrupt, or two, if the first was taken and put off.
                    match std::mem::take(&mut line.sent_disabled) {
                        0 => line.expect(0, 0),
                        1 => line.expect(1, 1),
                        _ => line.expect(1, 2),
                    }
                },
            ),
            12..=14 => self.with_one("send", Line::is_ready, |line| {
                line.vec.fire(1)?;
                line.expect(1, 1)
            }),
            15 => self.with_one(
                "send, disabled",
                |line| line.disabled > 0,
                |line| {
                    line.sent_disabled += 1;
                    line.vec.fire(1)
                },
            ),
            16..=18 => self.move_one(),
            19 => {
                let count = 1 + self.rng.below(200) as u64;
                let settle = self.rng.below(50) as u64;

                self.with_one(&format!("send {count}"), Line::is_ready, |line| {
                    line.sending = true;
                    line.vec.send(count, PATIENCE, settle)
                })
            }
            20 => self.with_one("end of sending", |line| line.sending, Line::finish),
            21 => {
                let late = Duration::from_micros(self.rng.pick(&[0, 0, 20, 400]));

                self.with_one(
                    &format!("late by {late:?}"),
                    |_| true,
                    |line| {
                        line.late = late;
                        line.vec.posted(late)
                    },
                )
            }
            22 => self.plug(),
            _ => self.disturb(),
        }
    }

    /// A device comes.
    fn come(&mut self) -> Result {
        if self.devices.len() == MOST_DEVICES {
            return Ok(());
        }
        let count = 1 + self.rng.below(MOST_VECTORS);
        let kinds = ["", "deferred", "unlazy", "deferred unlazy", "wires"];
        let kind = self.rng.pick(&kinds);

        self.note(format!("a device with {count} lines, {kind}"));
        let device = match kind {
            "wires" => self.module.wires(count)?,
            flags => self.module.alloc(count, flags)?,
        };
        let lines = device.vecs.iter().map(|&vec| Line::new(vec)).collect();

        self.devices.push(Lines { device, lines });
        Ok(())
    }

    /// A device goes, with whatever its lines are at.
    fn go(&mut self) -> Result {
        if self.devices.is_empty() {
            return Ok(());
        }
        let index = self.rng.below(self.devices.len());
        let cpu = self.rng.pick(&cpu::online());
        let moves = self.rng.below(3) == 0;
        let Lines { device, mut lines } = self.devices.swap_remove(index);

        self.note(format!(
            "irqs {:?}: go",
            lines.iter().map(|l| l.vec.irq).collect::<Vec<_>>()
        ));
        lines.iter_mut().try_for_each(Line::finish)?;
        for line in &lines {
            self.handled += line.handled;
            self.twice += line.twice;
        }
        if moves && lines.iter().all(|line| line.requested) {
            device.move_free(cpu)
        } else {
            device.free()
        }
    }

    /// A line moves to another CPU, if it may at the moment.
    fn move_one(&mut self) -> Result {
        let cpu = self.rng.pick(&cpu::online());

        self.with_one(
            &format!("to CPU {cpu}"),
            |line| line.requested,
            |line| {
                // One that has just moved is refused.
                let _ = line.vec.affine(cpu);
                Ok(())
            },
        )
    }

    /// A CPU goes offline, or comes back.
    fn plug(&mut self) -> Result {
        if self.removable.is_empty() {
            return Ok(());
        }
        let cpu = self.rng.pick(&self.removable);

        match self.offline.iter().position(|&other| other == cpu) {
            Some(index) => {
                self.note(format!("CPU {cpu} comes"));
                self.offline.swap_remove(index);
                cpu::set_online(cpu, true)
            }
            // The last one cannot.
            None if cpu::online().len() == 1 => Ok(()),
            None => {
                self.note(format!("CPU {cpu} goes"));
                self.offline.push(cpu);
                cpu::set_online(cpu, false)
            }
        }
    }

    /// A CPU stands still for a moment, or somebody looks.
    fn disturb(&mut self) -> Result {
        if self.rng.below(2) == 0 {
            let cpu = self.rng.pick(&cpu::online());

            self.note(format!("CPU {cpu} stands still"));
            return self.module.hold(cpu, 2);
        }
        self.with_one(
            "shown",
            |_| true,
            |line| {
                irqdebug::show(line.vec.irq)?;
                irqdebug::domains()
                    .iter()
                    .try_for_each(|name| irqdebug::domain(name).map(drop))
            },
        )
    }

    /// All devices go, and all CPUs come.
    fn end(&mut self) -> Result {
        while !self.devices.is_empty() {
            self.go()?;
        }
        for cpu in std::mem::take(&mut self.offline) {
            cpu::set_online(cpu, true)?;
        }
        Ok(())
    }
}

/// Goes a sequence; returns how many interrupts were handled.
fn sequence(module: &Module, seed: u64, steps: u64, exact: bool) -> Result<u64> {
    let base = irqdebug::occupancy();
    let counted = || exact.then(|| irqdebug::counter("duplicates")).transpose();
    let before = counted()?;
    let mut world = World::new(module, seed);
    let gone = (0..steps).try_for_each(|_| world.step());
    let result = gone.and_then(|()| world.end());

    if result.is_err() {
        for line in &world.done {
            ktap::diag(format!("seed {seed}: {line}"));
        }
        // Whatever is left is of no interest.
        world.devices.clear();
    }
    cpu::all_online()?;
    result?;
    if let (Some(before), Some(now)) = (before, counted()?) {
        ensure(world.twice <= now - before, || {
            format!("{} twice, but {} counted", world.twice, now - before)
        })?;
    }
    while module.is_held()? {
        pause(2);
    }
    irqdebug::occupancy_is(&base)?;
    Ok(world.handled)
}

fn main() -> ExitCode {
    let args = Args::of("sequences", &["rounds", "steps", "seed", "exact"]);
    let rounds = args.number("rounds", 8);
    let steps = args.number("steps", 250);
    let first = args.number("seed", 1);
    let exact = args.given("exact").is_some();
    let module = match Module::for_imsic() {
        Ok(module) => module,
        Err(exit) => return exit,
    };
    let mut tap = Tap::new(rounds as usize + 1);
    let mark = kmsg::Mark::now();

    for (n, seed) in (first..first + rounds).enumerate() {
        let handled = sequence(&module, seed, steps, exact);

        if let Ok(handled) = handled {
            tap.diag(format!("seed {seed}: {handled} interrupts"));
        }
        tap.check(
            handled.and_then(|n| ensure(n > 0, || "no interrupt at all".into())),
            format!("a random sequence, {}: each interrupt once", n + 1),
        );
    }
    tap.check(mark.quiet(), "no complaint of the kernel");
    tap.finish()
}
