// SPDX-License-Identifier: GPL-2.0

//! The tracepoints of the IMSIC driver: whoever watches sees each vector that is taken, moved, and
//! given back. For drivers that have them, on a machine with a PCI device that has several interrupts by
//! one message.

use irqtest::{
    cpu,
    device::{
        Device,
        Module,
        Vector, //
    },
    dt,
    ensure,
    irqdebug,
    kmsg,
    read,
    write,
    Result, //
};
use ktap::Tap;
use std::{
    path::Path,
    process::{
        Command,
        ExitCode, //
    }, //
};

const ROOT: &str = "/sys/kernel/tracing";
const EVENTS: &str = "/sys/kernel/tracing/events/riscv_aia/enable";

/// A source without a device.
const LINE: u32 = 40;
const EDGE_RISING: u32 = 1;

/// Mounts the file system with the tracepoints.
fn mount() -> Result {
    if Path::new(ROOT).join("trace").exists() {
        return Ok(());
    }
    let status = Command::new("mount")
        .args(["-t", "tracefs", "none", ROOT])
        .status()
        .map_err(|e| format!("mount: {e}"))?;

    ensure(status.success(), || format!("mount {ROOT}: {status}"))
}

/// What `f` lets be traced: the CPU, and the event from its name on.
fn trace(f: impl FnOnce() -> Result) -> Result<Vec<(usize, String)>> {
    write(&format!("{ROOT}/trace"), "")?;
    write(EVENTS, "1")?;
    let result = f();

    write(EVENTS, "0")?;
    result?;
    Ok(read(&format!("{ROOT}/trace"))?
        .lines()
        .filter_map(|line| {
            let (head, event) = line.split_once(": imsic_")?;
            let (_, rest) = head.split_once('[')?;

            Some((
                rest.split(']').next()?.parse().ok()?,
                format!("imsic_{event}"),
            ))
        })
        .collect())
}

/// Whether an event is one of the interrupts `irqs`.
fn is_of(event: &str, irqs: &[u32]) -> bool {
    irqs.iter()
        .any(|irq| event.contains(&format!(" irq={irq} ")))
}

/// Exactly these events were traced of the interrupts `irqs`, in any order.
fn are_of(traced: &[(usize, String)], irqs: &[u32], mut wanted: Vec<String>) -> Result {
    let mut found: Vec<_> = traced
        .iter()
        .map(|(_, event)| event.clone())
        .filter(|event| is_of(event, irqs))
        .collect();

    found.sort();
    wanted.sort();
    ensure(found == wanted, || {
        format!("{found:?} instead of {wanted:?}")
    })
}

/// Exactly these events were traced of the interrupts `irqs`, and of identities that they have left, in
/// any order: an old identity may be free before its move is told.
fn are(traced: &[(usize, String)], irqs: &[u32], wanted: &[String]) -> Result {
    let mut found: Vec<_> = traced
        .iter()
        .map(|(_, event)| event)
        .filter(|event| event.starts_with("imsic_moved") || is_of(event, irqs))
        .collect();
    let mut all: Vec<_> = wanted.iter().collect();

    found.sort();
    all.sort();
    ensure(found == all, || format!("{traced:?} instead of {wanted:?}"))
}

/// A device with some interrupts comes and goes.
fn comes_and_goes(module: &Module) -> Result {
    let mut wanted = Vec::new();
    let mut irqs = Vec::new();
    let traced = trace(|| {
        let device = module.alloc(3, "")?;

        for vec in &device.vecs {
            let (cpu, eiid) = vec.target()?;

            irqs.push(vec.irq);
            wanted.push(format!(
                "imsic_alloc: irq={} cpu={cpu} eiid={eiid}",
                vec.irq
            ));
        }
        Ok(())
    })?;
    let freed = wanted.iter().map(|event| event.replace("alloc", "free"));
    let wanted: Vec<_> = wanted.iter().cloned().chain(freed).collect();

    are(&traced, &irqs, &wanted)
}

/// An interrupt moves; its old CPU says how it knows that nothing is in flight any more.
fn moves(vec: Vector, proof: &str) -> Result {
    let cpus = cpu::online();

    vec.request()?;
    vec.move_to(cpus[0])?;
    let old = vec.target()?;
    let traced = trace(|| vec.move_to(cpus[1]))?;
    let new = vec.target()?;

    are(
        &traced,
        &[vec.irq],
        &[
            format!(
                "imsic_move: irq={} cpu={} eiid={} old_cpu={} old_eiid={}",
                vec.irq, new.0, new.1, old.0, old.1
            ),
            format!("imsic_moved: eiid={} proof={proof}", old.1),
        ],
    )?;
    let left: Vec<_> = traced
        .iter()
        .filter(|(_, event)| event.starts_with("imsic_moved"))
        .map(|(cpu, _)| *cpu)
        .collect();

    ensure(left == [old.0], || {
        format!("{left:?} ended a move from CPU {}", old.0)
    })
}

/// Interrupts that share a message get IDs, move and go together; each of them is told.
fn shared(module: &Module) -> Result {
    const COUNT: usize = 4;
    let mut device = None;
    let traced = trace(|| {
        device = Some(module.multi(COUNT)?);
        Ok(())
    })?;
    let device = device.ok_or("no device")?;
    let irqs: Vec<_> = device.vecs.iter().map(|vec| vec.irq).collect();
    let places = |device: &Device| -> Result<Vec<_>> {
        let vecs = device.vecs.iter();

        vecs.map(|vec| Ok((vec.irq, vec.target()?))).collect()
    };
    let each = |event: &str, places: &[(u32, (usize, u32))]| -> Vec<_> {
        let places = places.iter();

        places
            .map(|(irq, (cpu, eiid))| format!("imsic_{event}: irq={irq} cpu={cpu} eiid={eiid}"))
            .collect()
    };
    let old = places(&device)?;
    let here = old[0].1 .0;

    are_of(&traced, &irqs, each("alloc", &old))?;
    device.vecs.iter().try_for_each(Vector::request)?;
    let there = cpu::online().into_iter().find(|&cpu| cpu != here);
    let traced = trace(|| device.go(1, there.ok_or("one CPU")?))?;
    let new = places(&device)?;
    let moved = each("move", &new)
        .into_iter()
        .zip(&old)
        .map(|(event, (_, (cpu, eiid)))| format!("{event} old_cpu={cpu} old_eiid={eiid}"))
        .collect();

    are_of(&traced, &irqs, moved)?;
    let traced = trace(|| device.free())?;

    are_of(&traced, &irqs, each("free", &new))
}

/// Nothing is traced when nobody watches.
fn off(module: &Module) -> Result {
    write(&format!("{ROOT}/trace"), "")?;
    drop(module.alloc(3, "")?);
    let trace = read(&format!("{ROOT}/trace"))?;

    ensure(!trace.contains("imsic_"), || trace)
}

fn main() -> ExitCode {
    let module = match Module::for_imsic() {
        Ok(module) => module,
        Err(exit) => return exit,
    };

    if irqdebug::occupancy().is_err() {
        return Tap::skip_all("no IMSIC in this machine");
    }
    if cpu::online().len() < 2 {
        return Tap::skip_all("one CPU only");
    }
    let mut tap = Tap::new(6);
    let mark = kmsg::Mark::now();

    if let Err(e) = mount() {
        tap.bail_out(e);
    }
    tap.check(comes_and_goes(&module), "a device comes and goes");
    tap.check(
        module
            .alloc(1, "")
            .and_then(|device| moves(device.vecs[0], "time")),
        "a move of a device of which nothing is known",
    );
    if dt::mode() == dt::Mode::Msi {
        tap.check(
            module
                .wired(LINE, EDGE_RISING)
                .and_then(|device| moves(device.vecs[0], "answer")),
            "a move of a line",
        );
    } else {
        tap.skip("no APLIC that sends MSIs", "a move of a line");
    }
    tap.check(
        shared(&module),
        "a PCI device with several interrupts by one message",
    );
    tap.check(off(&module), "nothing when nobody watches");
    tap.check(mark.quiet(), "no complaint of the kernel");
    tap.finish()
}
