// SPDX-License-Identifier: GPL-2.0

//! CPUs offline and back, many times, with devices at work.
//!
//! Arguments: `rounds` for each CPU (default 8), `exact=1` for a driver that counts the interrupts which
//! it may have raised twice.

use irqtest::{
    args::Args,
    cpu,
    device::{
        Device,
        Module, //
    },
    ensure,
    interrupts,
    irqdebug::{
        self,
        Irq, //
    },
    kmsg,
    pause,
    wait_until,
    Result,
    PATIENCE, //
};
use ktap::Tap;
use std::process::ExitCode;

/// More than any run takes; the threads are stopped when the test is done.
const ENDLESS: u64 = 1_000_000_000;

/// Nothing that was started is left on a CPU that is offline.
fn evacuated(cpu: usize) -> Result {
    for nr in irqdebug::irqs() {
        let irq = Irq::read(nr)?;

        if !irq.has("IRQD_IRQ_STARTED") || irq.has("IRQD_PER_CPU") {
            continue;
        }
        ensure(irq.target().is_none_or(|t| t.0 != cpu), || {
            format!("irq {nr} is still on CPU {cpu}")
        })?;
    }
    Ok(())
}

/// Everything of a device to one CPU, as a user does it; an interrupt there proves it.
fn bring(device: &Device, cpu: usize) -> Result {
    for vec in &device.vecs {
        interrupts::set_affinity(vec.irq, &[cpu])?;
        let there = wait_until(PATIENCE, || {
            interrupts::effective(vec.irq) == [cpu] && vec.target().is_ok_and(|t| t.0 == cpu)
        });

        ensure(there, || format!("irq {} did not go to CPU {cpu}", vec.irq))?;
        let before = vec.stats()?;
        let counted = wait_until(PATIENCE, || {
            vec.stats()
                .is_ok_and(|s| s.cpus[cpu] > before.cpus[cpu] + 2)
        });

        ensure(counted, || {
            format!("irq {} does not come on CPU {cpu}", vec.irq)
        })?;
    }
    Ok(())
}

fn cycle(device: &Device, cpu: usize) -> Result {
    bring(device, cpu)?;
    cpu::set_online(cpu, false)?;
    evacuated(cpu)?;
    pause(5);
    cpu::set_online(cpu, true)?;
    bring(device, cpu)
}

/// All CPUs but one go, one after the other, and come back the other way round.
fn down_to_one(device: &Device) -> Result {
    let mut gone = Vec::new();
    let mut result = Ok(());

    for cpu in cpu::removable() {
        if cpu::online().len() > 1 {
            result = result.and(cpu::set_online(cpu, false));
            gone.push(cpu);
        }
    }
    let last = cpu::online();

    for vec in &device.vecs {
        let before = vec.total()?;
        let goes_on = wait_until(PATIENCE, || vec.total().is_ok_and(|t| t > before + 2));

        result = result.and(ensure(goes_on && vec.target()?.0 == last[0], || {
            format!("irq {} does not come on CPU {last:?}", vec.irq)
        }));
    }
    for cpu in gone.into_iter().rev() {
        result = result.and(cpu::set_online(cpu, true));
    }
    result
}

fn main() -> ExitCode {
    let args = Args::of("hotplug", &["rounds", "exact"]);
    let rounds = args.number("rounds", 8);
    let exact = args.given("exact").is_some();
    let duplicates = || match exact {
        true => irqdebug::counter("duplicates"),
        false => Ok(0),
    };
    let module = match Module::for_imsic() {
        Ok(module) => module,
        Err(exit) => return exit,
    };

    if cpu::removable().is_empty() || cpu::online().len() < 2 {
        return Tap::skip_all("no CPU can be taken offline");
    }
    let mut tap = Tap::new(8);
    let mark = kmsg::Mark::now();
    let base = irqdebug::occupancy();
    let counted = duplicates();
    let device = match module.ready(4, "").and_then(|d| {
        d.vecs
            .iter()
            .try_for_each(|v| v.send(ENDLESS, PATIENCE, 50))?;
        Ok(d)
    }) {
        Ok(device) => device,
        Err(e) => tap.bail_out(e),
    };

    let result = (0..rounds).try_for_each(|_| {
        cpu::removable()
            .into_iter()
            .try_for_each(|c| cycle(&device, c))
    });

    tap.check(
        result,
        format!("{rounds} times each CPU: offline moves all away, affinity works after online (cefafbd56140)"),
    );
    tap.check(cpu::all_online(), "all CPUs are back");
    let result = down_to_one(&device);

    tap.check(
        cpu::all_online().and(result),
        "down to one CPU, and up again",
    );

    let mut sent = 0;
    let mut lost = 0;
    let mut dup = 0;
    let mut twice = Ok(());

    for vec in &device.vecs {
        if let (Ok(s), Ok(message)) = (vec.sent(), vec.message()) {
            sent += s.sent;
            lost += s.lost;
            dup += s.dup;
            twice = twice.and(ensure(s.dup <= message.updates, || {
                format!("irq {}: {} twice, {message:?}", vec.irq, s.dup)
            }));
        } else {
            lost += 1;
        }
    }
    tap.diag(format!("{sent} MSIs meanwhile, {lost} lost, {dup} twice"));
    tap.ok(
        lost == 0 && sent > 100,
        "none lost meanwhile (51611130d57d)",
    );
    if exact {
        twice = twice.and_then(|()| {
            let more = duplicates()? - counted?;

            ensure(dup <= more, || format!("{dup} twice, but {more} counted"))
        });
    }
    tap.check(twice, "no more doubles of a vector than moves");

    let mut quiet = Ok(());

    for vec in &device.vecs {
        // Stops the thread; the counts are as they were.
        quiet = quiet.and(vec.spray(0)).and_then(|()| {
            vec.flush()?;
            let before = vec.total()?;

            vec.fire(1)?;
            vec.expect(before + 1, "at the end")
        });
    }
    tap.check(quiet, "exact counts at the end");
    drop(device);
    tap.check(irqdebug::occupancy_is(&base), "all IDs came back");
    tap.check(mark.quiet(), "no complaint of the kernel");
    tap.finish()
}
