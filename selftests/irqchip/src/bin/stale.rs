// SPDX-License-Identifier: GPL-2.0

//! Pending bits of IDs that nobody owns must be gone before the ID gets an owner
//! (candidate 6): no interrupt that the new owner's device has not sent.
//!
//! Argument: `exact=1` for a driver that takes and counts what arrives at free IDs, and switches those
//! off that get too much.

use irqtest::{
    args::Args,
    cpu,
    device::{
        Device,
        Module, //
    },
    ensure,
    imsic::Imsic,
    irqdebug::{
        self,
        Irq, //
    },
    kmsg,
    pause,
    sys,
    wait_until,
    Result, //
    PATIENCE,
};
use ktap::Tap;
use std::{
    collections::BTreeSet,
    process::ExitCode,
    time::Duration, //
};

/// Vectors of a new owner; enough to get the lowest free IDs of each CPU.
const OWNERS: usize = 16;

/// IDs that a storm for nobody is for: few, so that each gets too many soon.
const STORM: u32 = 4;

/// IDs that get strays now and then: together they get more than any one may.
const SCATTERED: u32 = 40;

/// So many to one ID are less than too many in one second, twice as many are not.
const SELDOM: u32 = 150;

/// Writes all IDs that nobody owns to a CPU's file, and lets the CPU take what it will take:
/// of what it has not seen yet, no driver can tell for whom it was.
fn stray(module: &Module, cpu: usize, ids: u64) -> Result {
    let used: BTreeSet<(usize, u32)> = irqdebug::irqs()
        .into_iter()
        .filter_map(|n| Irq::read(n).ok()?.target())
        .collect();

    (2..=ids as u32)
        .filter(|id| !used.contains(&(cpu, *id)))
        .try_for_each(|id| module.stray(cpu, id))?;
    cpu::flush()
}

/// New owners on all CPUs: none has an interrupt that it did not send.
fn clean(module: &Module) -> Result {
    let device = module.ready(OWNERS, "")?;

    cpu::flush()?;
    let spurious: Vec<(usize, u32)> = device
        .vecs
        .iter()
        .filter(|v| v.total().is_ok_and(|t| t > 0))
        .filter_map(|v| v.target().ok())
        .collect();

    ensure(spurious.is_empty(), || {
        format!("first interrupts that nobody sent, at (CPU, ID) {spurious:?}")
    })?;
    works(&device)
}

fn works(device: &Device) -> Result {
    for vec in &device.vecs {
        let before = vec.total()?;

        vec.fire(1)?;
        vec.expect(before + 1, "fire")?;
    }
    Ok(())
}

/// Strays at rest.
fn unowned(module: &Module, ids: u64) -> Result {
    for cpu in cpu::online() {
        stray(module, cpu, ids)?;
    }
    clean(module)
}

/// Strays while the CPU is offline: its file still takes them.
fn offline(module: &Module, ids: u64) -> Result {
    for cpu in cpu::removable() {
        cpu::set_online(cpu, false)?;
        let strayed = stray(module, cpu, ids);

        cpu::set_online(cpu, true)?;
        strayed?;
        clean(module)?;
    }
    Ok(())
}

/// A move to an ID with a stray bit is not an interrupt either.
fn moved(module: &Module, ids: u64) -> Result {
    let device = module.ready(OWNERS, "")?;

    for cpu in cpu::online() {
        stray(module, cpu, ids)?;
        for vec in &device.vecs {
            vec.move_to(cpu)?;
        }
    }
    for vec in &device.vecs {
        vec.expect(0, "moved to an ID with a stray bit")?;
    }
    works(&device)
}

/// An MSI that came while masked, and then its owner is gone.
fn left_behind(module: &Module) -> Result {
    let device = module.ready(OWNERS, "unlazy")?;

    for vec in &device.vecs {
        vec.mask(true)?;
    }
    // The mask is done by the other CPU.
    cpu::flush()?;
    for vec in &device.vecs {
        vec.fire(1)?;
    }
    device.free()?;
    clean(module)
}

/// IDs that are never anybody's.
fn reserved(module: &Module, ids: u64) -> Result {
    for cpu in cpu::online() {
        for id in [0, 1, ids as u32, ids as u32 + 1, 2047, 2048, u32::MAX] {
            module.stray(cpu, id)?;
        }
    }
    cpu::flush()?;
    clean(module)
}

/// Strays at many IDs, none of which gets many: they are dropped, and no ID is switched off.
fn scattered(module: &Module, ids: u64, exact: bool) -> Result {
    let last = ids as u32 - 1 - STORM;
    let mark = kmsg::Mark::now();
    let dropped = || match exact {
        true => irqdebug::counter("dropped"),
        false => Ok(0),
    };
    let before = dropped()?;

    for cpu in cpu::online() {
        for _ in 0..50 {
            module.strays(cpu, last - SCATTERED + 1..=last, 1)?;
        }
        cpu::flush()?;
    }
    // Of those that come while the CPU stands still, it takes one of each ID.
    let (least, most) = (u64::from(SCATTERED), u64::from(50 * SCATTERED));
    let cpus = cpu::online().len() as u64;
    let counted = dropped()? - before;

    ensure(
        !exact || (cpus * least..=cpus * most).contains(&counted),
        || format!("{counted} dropped"),
    )?;
    clean(module)?;
    mark.without("too many stray MSIs")
}

/// An ID gets a stray now and then, never many in one second: those of seconds ago do not count.
fn seldom(module: &Module, ids: u64) -> Result {
    let id = ids as u32 - 1 - STORM - SCATTERED;
    let mark = kmsg::Mark::now();

    for cpu in cpu::online() {
        for _ in 0..2 {
            for n in 0..SELDOM {
                let before = irqdebug::counter("dropped")?;

                module.stray(cpu, id)?;
                // Of several that come while the CPU stands still, it would take one.
                let taken = wait_until(PATIENCE, || {
                    irqdebug::counter("dropped").is_ok_and(|now| now > before)
                });

                if !taken {
                    mark.without("too many stray MSIs")?;
                    return Err(format!("stray {n} to CPU {cpu} is not dropped"));
                }
            }
            // A second of the kernel's ticks, by which it counts.
            let begin = sys::ticks()?;

            while sys::ticks()? <= begin + Duration::from_millis(1100) {
                pause(50);
            }
        }
    }
    mark.without("too many stray MSIs")
}

/// Something sends to nobody all the time: its hart stays usable, and the IDs come back with the
/// CPU.
fn storm(module: &Module, ids: u64, exact: bool) -> Result {
    let base = irqdebug::occupancy();

    for cpu in cpu::removable() {
        let last = ids as u32 - 1;
        let line = format!("CPU {cpu}: too many stray MSIs");
        let mut rounds = 0;
        let mut result = Ok(());
        let mut off = false;

        // Of those that come while the CPU stands still, it sees one of each ID.
        wait_until(PATIENCE, || {
            rounds += 1;
            result = module.strays(cpu, last - STORM + 1..=last, 250);
            if rounds < 100 {
                return result.is_err();
            }
            off = kmsg::find(&line).is_some();
            off || !exact || result.is_err()
        });
        result?;
        ktap::diag(format!("CPU {cpu}: {rounds} times {} strays", 250 * STORM));
        cpu::flush()?;
        clean(module)?;
        ensure(off || !exact, || format!("no {line:?}"))?;
        cpu::set_online(cpu, false)?;
        cpu::set_online(cpu, true)?;
        irqdebug::occupancy_is(&base)?;
        clean(module)?;
    }
    Ok(())
}

fn main() -> ExitCode {
    let module = match Module::for_imsic() {
        Ok(module) => module,
        Err(exit) => return exit,
    };
    let Some(imsic) = Imsic::find() else {
        return Tap::skip_all("no IMSIC in this machine");
    };
    let exact = Args::of("stale", &["exact"]).given("exact").is_some();
    let mut tap = Tap::new(if exact { 9 } else { 8 });
    let mark = kmsg::Mark::now();

    tap.check(
        reserved(&module, imsic.ids),
        "IDs 0, the IPI's, the last and beyond it do no harm",
    );
    tap.check(
        left_behind(&module),
        "pending when its owner went: not the next owner's (candidate 6)",
    );
    tap.check(
        unowned(&module, imsic.ids),
        "pending without an owner: not the next owner's (candidate 6)",
    );
    if cpu::online().len() < 2 {
        tap.skip(
            "one CPU only",
            "pending without an owner: not of what moves there",
        );
    } else {
        tap.check(
            moved(&module, imsic.ids),
            "pending without an owner: not of what moves there (candidate 6)",
        );
    }
    if cpu::removable().is_empty() {
        tap.skip(
            "no CPU can be taken offline",
            "pending while the CPU was offline",
        );
    } else {
        let result = offline(&module, imsic.ids);

        tap.check(
            cpu::all_online().and(result),
            "pending while the CPU was offline: not the next owner's (candidate 6)",
        );
    }
    tap.check(
        scattered(&module, imsic.ids, exact),
        "a stray here and there switches nothing off",
    );
    if exact {
        tap.check(
            seldom(&module, imsic.ids),
            "strays to one ID, never many in a second, do not add up",
        );
    }
    if cpu::removable().is_empty() {
        tap.skip("no CPU can be taken offline", "a storm for nobody");
    } else {
        let result = storm(&module, imsic.ids, exact);

        tap.check(
            cpu::all_online().and(result),
            "a storm for nobody is switched off until its CPU comes back",
        );
    }
    tap.check(mark.quiet(), "no complaint of the kernel");
    tap.finish()
}
