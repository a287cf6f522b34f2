// SPDX-License-Identifier: GPL-2.0

//! Interrupts raised by irq core's injection (`trigger` in irq debugfs), which
//! goes through the chip's retrigger callback: exact counts on the right CPU.
//!
//! Argument: `replays`, how often an interrupt comes while it is disabled, on each CPU (default 20).

use irqtest::{
    args::Args,
    cpu,
    device::{
        Device,
        Module, //
    },
    ensure,
    interrupts::{
        self,
        Line, //
    },
    irqdebug::{
        self,
        Irq, //
    },
    kmsg,
    wait_until,
    Result,
    PATIENCE, //
};
use ktap::Tap;
use std::process::ExitCode;

/// Rounds on each CPU.
const ROUNDS: u64 = 25;

/// Triggers once, and waits until it was counted.
fn once(irq: u32) -> Result {
    let before = interrupts::total(irq);

    irqdebug::trigger(irq)?;
    let came = wait_until(PATIENCE, || interrupts::total(irq) > before);

    ensure(came, || format!("irq {irq}: no interrupt after trigger"))
}

/// Waits until a move has happened and is over. A deferred one is made by the next
/// interrupt, after it was counted.
fn moved(irq: u32, cpu: usize) -> Result {
    let there = wait_until(PATIENCE, || {
        Irq::read(irq).is_ok_and(|i| i.effective() == [cpu] && !i.moving())
    });

    ensure(there, || {
        let shown = irqdebug::show(irq).unwrap_or_default();

        format!(
            "irq {irq}: effective {:?}, of which debugfs says: {}",
            interrupts::effective(irq),
            shown.split_whitespace().collect::<Vec<_>>().join(" ")
        )
    })
}

/// Rounds on one CPU after the other. Where moves are deferred to the next
/// interrupt, that one still goes to the old CPU, and not one more.
fn rounds(irq: u32) -> Result {
    let deferred = Irq::read(irq)?
        .levels
        .iter()
        .any(|l| l.flags.iter().any(|f| f == "IRQCHIP_MOVE_DEFERRED"));
    let mut cpus = cpu::online();

    // End where it began, so that each CPU was moved to.
    cpus.push(cpus[0]);
    irqdebug::settle(irq)?;
    interrupts::set_affinity(irq, &cpus[..1])?;
    if deferred {
        once(irq)?;
    }
    moved(irq, cpus[0])?;

    for pair in cpus.windows(2) {
        let (old, new) = (pair[0], pair[1]);
        let before = interrupts::line(irq);

        interrupts::set_affinity(irq, &[new])?;
        for round in 0..ROUNDS {
            once(irq)?;
            if deferred && round == 0 {
                moved(irq, new)?;
            }
        }
        moved(irq, new)?;
        irqdebug::flush(irq)?;
        let after = interrupts::line(irq);
        let (on_old, on_new) = (
            after.on(old) - before.on(old),
            after.on(new) - before.on(new),
        );
        let late = u64::from(deferred && old != new);

        ensure(after.total() - before.total() == ROUNDS, || {
            format!(
                "irq {irq}: {} interrupts for {ROUNDS} triggers",
                after.total() - before.total()
            )
        })?;
        ensure(on_new == ROUNDS - late, || {
            format!("irq {irq}: {on_old} on CPU {old}, {on_new} on CPU {new}, the target")
        })?;
    }
    Ok(())
}

/// Moves without a pause between the moves and the triggers.
fn chase(irq: u32) -> Result {
    let cpus = cpu::online();
    let before = interrupts::total(irq);
    let count = 200;

    for round in 0..count {
        // A move may be refused while the one before it is under way.
        let _ = interrupts::set_affinity(irq, &[cpus[round % cpus.len()]]);
        once(irq)?;
    }
    irqdebug::flush(irq)?;
    let seen = interrupts::total(irq) - before;

    ensure(seen == count as u64, || {
        format!("irq {irq}: {seen} interrupts for {count} triggers")
    })
}

/// What came while the interrupt was disabled is replayed by the chip, once.
fn replay(device: &Device, rounds: u64) -> Result {
    let vec = device.vecs[0];

    for cpu in cpu::online() {
        vec.move_to(cpu)?;
        for _ in 0..rounds {
            let before = vec.total()?;

            vec.mask(true)?;
            vec.fire(1)?;
            vec.flush()?;
            ensure(vec.total()? == before, || "came while disabled".into())?;
            vec.mask(false)?;
            vec.expect(before + 1, "disable, fire, enable")?;
        }
    }
    Ok(())
}

fn level(rtc: &Line) -> Result {
    let irq = rtc.irq().ok_or("not a number")?;

    ensure(irqdebug::trigger(irq).is_err(), || {
        "a level interrupt was injected".into()
    })?;
    irqdebug::flush(irq)?;
    ensure(interrupts::total(irq) == rtc.total(), || {
        "the count of a level interrupt changed".into()
    })
}

fn main() -> ExitCode {
    let args = Args::of("trigger", &["replays"]);
    let module = match Module::for_imsic() {
        Ok(module) => module,
        Err(exit) => return exit,
    };
    let mut tap = Tap::new(10);
    let mark = kmsg::Mark::now();

    match interrupts::find(&["PCI-MSIX", "-config"]).and_then(|l| l.irq()) {
        Some(irq) => {
            tap.check(
                rounds(irq),
                "PCI MSI-X: exact counts on the CPU asked for (896f8e436f99)",
            );
            tap.check(chase(irq), "PCI MSI-X: exact counts while it moves");
        }
        None => {
            tap.skip(
                "no virtio-pci device",
                "PCI MSI-X: exact counts on the CPU asked for (896f8e436f99)",
            );
            tap.skip(
                "no virtio-pci device",
                "PCI MSI-X: exact counts while it moves",
            );
        }
    }

    for flags in ["", "deferred"] {
        let kind = if flags.is_empty() { "atomic" } else { flags };

        match module.ready(1, flags) {
            Ok(device) => {
                let irq = device.vecs[0].irq;

                tap.check(
                    rounds(irq),
                    format!(
                        "platform MSI, {kind}: exact counts on the CPU asked for (7.3 retrigger)"
                    ),
                );
                tap.check(
                    chase(irq),
                    format!("platform MSI, {kind}: exact counts while it moves"),
                );
                tap.check(
                    replay(&device, args.number("replays", 20)),
                    format!("platform MSI, {kind}: replayed once after disable (7.3 retrigger)"),
                );
            }
            Err(e) => tap.bail_out(e),
        }
    }

    let desc = "a level interrupt cannot be injected";

    match interrupts::find(&["rtc"]) {
        Some(rtc) => {
            tap.check(level(&rtc), desc);
        }
        None => tap.skip("no RTC", desc),
    }
    tap.check(mark.quiet(), "no complaint of the kernel");
    tap.finish()
}
