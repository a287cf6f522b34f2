// SPDX-License-Identifier: GPL-2.0

//! MSI-X of a real device, QEMU's xHCI controller: interrupts that come when others of the device are
//! there already, and that move one by one.

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
        Occupancy, //
    },
    kmsg,
    wait_until,
    Result,
    PATIENCE, //
};
use ktap::Tap;
use std::{
    process::ExitCode,
    time::Duration, //
};

const COUNT: usize = 4;
const ENDLESS: u64 = 1 << 30;
/// Long enough for a host that is busy.
const TIMEOUT: Duration = Duration::from_secs(20);

fn ready(module: &Module) -> Result<Device> {
    let device = module.multi(COUNT)?;

    device.vecs.iter().try_for_each(Vector::request)?;
    Ok(device)
}

/// Each has an identity of its own, and raises its own interrupt, where it is.
fn each(module: &Module, base: Occupancy) -> Result {
    let device = ready(module)?;

    irqdebug::occupancy_is(&Ok(Occupancy {
        available: base.available - COUNT as u64,
        allocated: base.allocated + COUNT as u64,
    }))?;
    for round in 0..4 {
        for (n, vec) in device.vecs.iter().enumerate() {
            let cpus = cpu::online();
            let cpu = cpus[(n + round) % cpus.len()];

            device.go(n, cpu)?;
            let mut expected = device.stats()?;

            expected[n].total += 1;
            expected[n].cpus[cpu] += 1;
            vec.fire(1)?;
            vec.expect(expected[n].total, "on another CPU")?;
            let now = device.stats()?;

            ensure(now == expected, || {
                format!("number {n} was sent: {now:?}, not {expected:?}")
            })?;
        }
    }
    device.free()?;
    irqdebug::occupancy_is(&Ok(base))
}

/// All are sent all the time, and move.
fn storm(module: &Module) -> Result {
    let device = ready(module)?;
    let cpus = cpu::online();

    for vec in &device.vecs {
        vec.send(ENDLESS, TIMEOUT, 0)?;
    }
    for round in 0..40 {
        let vec = &device.vecs[round % COUNT];
        let cpu = cpus[(round / COUNT) % cpus.len()];

        vec.affine(cpu)?;
        let moved = wait_until(PATIENCE, || vec.target().is_ok_and(|(at, _)| at == cpu));

        ensure(moved, || format!("round {round}: not on CPU {cpu}"))?;
    }
    for vec in &device.vecs {
        vec.send(0, TIMEOUT, 0)?;
    }
    for (n, vec) in device.vecs.iter().enumerate() {
        let stopped = wait_until(PATIENCE, || vec.sent().is_ok_and(|sent| !sent.running));
        let sent = vec.sent()?;

        ensure(
            stopped && sent.sent > 0 && sent.lost == 0 && sent.dup == 0,
            || format!("number {n}: {sent:?}"),
        )?;
    }
    Ok(())
}

/// An interrupt is allocated on a CPU which goes before it is requested, and its identity is in use
/// elsewhere: the device, whose interrupt is masked, has sent nothing, and nothing comes.
fn moved_at_request(module: &Module) -> Result {
    let [.., leaving] = cpu::removable()[..] else {
        return Err("no CPU can be taken offline".into());
    };
    let placed = interrupts::DefaultAffinity::new(&[leaving])?;
    let device = module.multi(COUNT)?;

    drop(placed);
    let vec = device.vecs[0];
    let (at, id) = vec.target()?;

    ensure(at == leaving, || format!("on CPU {at}, not {leaving}"))?;
    // So that it changes its identity, too.
    let mut fillers = Vec::new();
    for cpu in cpu::online().into_iter().filter(|cpu| *cpu != leaving) {
        let placed = interrupts::DefaultAffinity::new(&[cpu])?;

        loop {
            let filler = module.alloc(1, "")?;
            let (on, taken) = filler.vecs[0].target()?;

            ensure(on == cpu, || format!("CPU {cpu} is full"))?;
            fillers.push(filler);
            if taken >= id {
                break;
            }
        }
        drop(placed);
    }
    cpu::set_online(leaving, false)?;
    let requested = vec.request();
    let went = vec.target();
    let came = vec.total();

    cpu::set_online(leaving, true)?;
    requested?;
    ensure(went? != (leaving, id), || "it did not move".into())?;
    ensure(came? == 0, || "an interrupt that no device sent".into())?;
    vec.fire(1)?;
    vec.expect(1, "when the device sends")
}

fn main() -> ExitCode {
    let module = match Module::for_imsic() {
        Ok(module) => module,
        Err(exit) => return exit,
    };
    let mut tap = Tap::new(4);
    let mark = kmsg::Mark::now();
    let base = match irqdebug::occupancy() {
        Ok(base) => base,
        Err(e) => tap.bail_out(e),
    };

    tap.check(
        each(&module, base),
        "interrupts that come later, on any CPU",
    );
    tap.check(storm(&module), "moves while all of them are sent");
    if cpu::removable().is_empty() {
        tap.skip("no CPU can be taken offline", "a CPU that goes before");
    } else {
        tap.check(
            cpu::all_online().and(moved_at_request(&module)),
            "moved before it is requested: nothing comes",
        );
    }
    tap.check(mark.quiet(), "no complaint of the kernel");
    tap.finish()
}
