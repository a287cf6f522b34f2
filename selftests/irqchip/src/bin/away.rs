// SPDX-License-Identifier: GPL-2.0

//! A CPU goes offline while no other one has an ID left: its interrupts stay, and what their devices
//! send meanwhile arrives when it is back. Also if they have found a place elsewhere in between.
//!
//! For a machine with few IDs: all of them are used.

use irqtest::{
    cpu,
    device::{
        Device,
        Module,
        Vector, //
    },
    ensure,
    interrupts,
    irqdebug::{
        self,
        Irq, //
    },
    kmsg,
    Result, //
};
use ktap::Tap;
use std::process::ExitCode;

/// How many interrupts are looked at.
const STUCK: usize = 10;

/// Devices of one vector until no ID is left.
fn fill(module: &Module) -> Result<Vec<Device>> {
    let mut devices = Vec::new();

    loop {
        match module.alloc(1, "") {
            Ok(device) => devices.push(device),
            Err(e) if e.contains("os error 28") => return Ok(devices),
            Err(e) => return Err(e),
        }
    }
}

/// The positions of so many devices whose vectors are on `cpu`.
fn on(devices: &[Device], cpu: usize, count: usize) -> Result<Vec<usize>> {
    let mut found = Vec::new();

    for (index, device) in devices.iter().enumerate() {
        if found.len() < count && device.vecs[0].target()?.0 == cpu {
            found.push(index);
        }
    }
    ensure(found.len() == count, || {
        format!("{} vectors on CPU {cpu}", found.len())
    })?;
    Ok(found)
}

/// All IDs in use, some of them on the CPU that goes.
struct Full {
    devices: Vec<Device>,
    stuck: Vec<Vector>,
    stay: usize,
    victim: usize,
}

impl Full {
    fn new(module: &Module) -> Result<Self> {
        let victim = *cpu::removable().last().ok_or("no CPU can go")?;
        let stay = cpu::online()[0];
        let devices = fill(module)?;
        let stuck: Vec<_> = on(&devices, victim, STUCK)?
            .into_iter()
            .map(|index| devices[index].vecs[0])
            .collect();

        stuck.iter().try_for_each(Vector::request)?;
        Ok(Self {
            devices,
            stuck,
            stay,
            victim,
        })
    }

    /// One MSI of each, which has to come now.
    fn works(&self) -> Result {
        for vec in &self.stuck {
            let before = vec.total()?;

            vec.fire(1)?;
            vec.expect(before + 1, "at rest")?;
        }
        Ok(())
    }

    /// The CPU is offline, its interrupts are still there.
    fn go(&self) -> Result {
        cpu::set_online(self.victim, false)?;
        for vec in &self.stuck {
            let target = vec.target()?.0;

            ensure(target == self.victim, || {
                format!("irq {} found a place on CPU {target}", vec.irq)
            })?;
        }
        Ok(())
    }

    /// Gives IDs of the CPU that stays back, and looks at it.
    fn make_room(&mut self, count: usize) -> Result {
        let mut rest = on(&self.devices, self.stay, count)?;

        while let Some(index) = rest.pop() {
            self.devices.remove(index).free()?;
        }
        cpu::flush()
    }
}

/// Each gets so many interrupts.
fn counts(vecs: &[Vector]) -> Result<Vec<u64>> {
    vecs.iter().map(Vector::total).collect()
}

fn expect(vecs: &[Vector], before: &[u64], more: u64, what: &str) -> Result {
    for (vec, before) in vecs.iter().zip(before) {
        vec.expect(before + more, what)?;
    }
    Ok(())
}

fn stuck(module: &Module) -> Result {
    let full = Full::new(module)?;

    full.works()?;
    for _ in 0..3 {
        let before = counts(&full.stuck)?;

        full.go()?;
        full.stuck.iter().try_for_each(|vec| vec.fire(1))?;
        expect(&full.stuck, &before, 0, "while the CPU is away")?;
        cpu::set_online(full.victim, true)?;
        expect(&full.stuck, &before, 1, "sent while the CPU was away")?;
        full.works()?;
    }
    Ok(())
}

/// Some leave the CPU when it is gone.
fn left(module: &Module) -> Result {
    let mut full = Full::new(module)?;
    let mut before = counts(&full.stuck)?;
    // C does not count them.
    let duplicates = || irqdebug::counter("duplicates").unwrap_or(0);

    full.go()?;
    full.stuck.iter().try_for_each(|vec| vec.fire(1))?;
    full.make_room(3)?;
    for (vec, before) in full.stuck[..3].iter().zip(&mut before) {
        let counted = duplicates();

        vec.affine(full.stay)?;
        // If the ID that it gets is another one's on the CPU that it leaves, nobody can look there whether
        // it sent that meanwhile: it gets an interrupt in any case.
        *before += duplicates() - counted;
        ensure(!Irq::read(vec.irq)?.moving(), || {
            "still on its way, from a CPU that is not there".into()
        })?;
        vec.fire(1)?;
        vec.expect(*before + 1, "sent to its new CPU")?;
    }
    cpu::set_online(full.victim, true)?;
    expect(
        &full.stuck[..3],
        &before,
        2,
        "sent before and after the move",
    )?;
    expect(
        &full.stuck[3..],
        &before[3..],
        1,
        "sent while the CPU was away",
    )?;
    full.works()
}

/// Some are freed when the CPU is gone, others have left it before: what was for them is for nobody.
fn freed(module: &Module) -> Result {
    let mut full = Full::new(module)?;

    full.go()?;
    full.stuck.iter().try_for_each(|vec| vec.fire(1))?;
    full.make_room(3)?;
    for vec in &full.stuck[..3] {
        vec.affine(full.stay)?;
    }
    let stay = full.stay;

    full.devices.clear();
    cpu::set_online(full.victim, true)?;
    cpu::flush()?;
    let next = fill(module)?;

    for device in &next {
        device.vecs[0].request()?;
    }
    cpu::flush()?;
    for device in &next {
        let seen = device.vecs[0].total()?;

        ensure(seen == 0, || {
            format!("{:?} got {seen}, CPU {stay} stayed", device.vecs[0])
        })?;
    }
    Ok(())
}

/// An interrupt may go to the CPU that goes and to one that is full: it finds a third one.
fn third(module: &Module) -> Result {
    let mut full = Full::new(module)?;
    let others: Vec<_> = cpu::online()
        .into_iter()
        .filter(|cpu| *cpu != full.victim)
        .collect();
    let &[crowded, .., third] = &others[..] else {
        return Err("no third CPU".into());
    };
    let vec = full.stuck[0];

    // Room for all that has to leave the CPU, but for this one only there.
    full.devices.retain(|device| {
        device.vecs[0] == vec
            || device.vecs[0]
                .target()
                .is_ok_and(|(cpu, _)| cpu != full.victim && cpu != third)
    });
    cpu::flush()?;
    interrupts::set_affinity(vec.irq, &[full.victim, crowded])?;
    vec.settle()?;
    ensure(vec.target()?.0 == full.victim, || {
        format!("it has left CPU {}", full.victim)
    })?;
    let moved = vec.affine(crowded);

    ensure(
        moved.as_ref().is_err_and(|e| e.contains("os error 28")),
        || format!("to CPU {crowded}, which is full: {moved:?}"),
    )?;
    cpu::set_online(full.victim, false)?;
    vec.settle()?;
    let target = vec.target()?.0;

    ensure(target != full.victim && target != crowded, || {
        format!("it is on CPU {target}")
    })?;
    let before = vec.total()?;

    vec.fire(1)?;
    vec.expect(before + 1, "on another CPU")
}

fn main() -> ExitCode {
    let module = match Module::for_imsic() {
        Ok(module) => module,
        Err(exit) => return exit,
    };

    if cpu::removable().is_empty() {
        return Tap::skip_all("no CPU can be taken offline");
    }
    let mut tap = Tap::new(6);
    let mark = kmsg::Mark::now();
    let base = irqdebug::occupancy();

    for (test, what) in [
        (
            stuck as fn(&Module) -> Result,
            "MSIs for a CPU that is away arrive when it is back, all IDs in use",
        ),
        (
            left,
            "so do those of interrupts that have left it meanwhile",
        ),
        (freed, "those of interrupts that are gone reach nobody"),
    ] {
        let result = test(&module);

        tap.check(cpu::all_online().and(result), what);
        if let Err(e) = module.free_all() {
            tap.diag(e);
        }
    }
    let desc = "an interrupt goes to any CPU if those that it may go to are away, or full";

    if cpu::online().len() < 3 {
        tap.skip("needs 3 CPUs", desc);
    } else {
        let result = third(&module);

        tap.check(cpu::all_online().and(result), desc);
        if let Err(e) = module.free_all() {
            tap.diag(e);
        }
    }
    tap.check(irqdebug::occupancy_is(&base), "all IDs came back");
    tap.check(mark.quiet(), "no complaint of the kernel");
    tap.finish()
}
