// SPDX-License-Identifier: GPL-2.0

//! What comes of APLICs that are probed in an unusual state of the machine, or when the
//! system runs already. The device tree has been changed for that, and firmware has left
//! registers as no reset does: see `tools/selftest/malformed.py`.
//!
//! Argument: one of
//! `late`     both APLICs in direct mode are disabled in the tree, the test probes them
//! `unknown`  the second one is disabled, and asserts the external interrupt of CPU 2
//! `msi`      the second one is disabled, both send MSIs
//! `left`     nothing is late: only what was left is looked for
//! `foreign`  the second one has other harts than the kernel's, and was left delivering
//! `powerless` the second one is in a power domain that nobody has, and was left delivering
//! `numbers`  the APLIC's own numbers of harts, in MSI mode, are not those of the IMSIC
//! `lines`    a node of the tree has an interrupt of each trigger, and more
//! `power`    the second one is disabled, and in a power domain, see `tools/selftest/powered.py`
//! `faults`   APLICs are spare, see `tools/selftest/aplics.py`

use irqtest::{
    aplic::{
        quiet,
        Aplic, //
    },
    args::Args,
    cpu,
    device::Module,
    dt,
    ensure,
    faults,
    interrupts,
    irqdebug::{
        self,
        Irq, //
    },
    kmsg,
    read,
    wait_until,
    Result,
    PATIENCE, //
};
use ktap::Tap;
use std::process::ExitCode;

const FIRST: u64 = 0xd00_0000;
const SECOND: u64 = 0xd00_8000;

const EDGE_RISING: u32 = 1;
const EDGE_FALLING: u32 = 2;

/// Edge0, as `sourcecfg` has it.
const MODE_EDGE0: u32 = 5;

/// A source without a device.
const LINE: u32 = 40;

/// Harts of each APLIC.
const HARTS: usize = 2;

/// Lines of the node in the device tree.
const LINES: usize = 20;

/// Interrupts of an APLIC arrive on each of these CPUs.
fn works(module: &Module, address: u64, cpus: &[usize]) -> Result {
    let aplic = Aplic::at(address)?;
    let device = module.wired_at(address, LINE, EDGE_RISING)?;
    let vec = device.vecs[0];

    vec.request()?;
    vec.flush()?;
    for &cpu in cpus {
        interrupts::set_affinity(vec.irq, &[cpu])?;
        vec.settle()?;
        let before = vec.stats()?;

        aplic.pend(LINE);
        vec.expect(before.total + 1, &format!("{address:#x} to CPU {cpu}"))?;
        let after = vec.stats()?;

        ensure(after.cpus[cpu] == before.cpus[cpu] + 1, || {
            format!("{address:#x}: not on CPU {cpu}: {after:?}")
        })?;
    }
    device.free()
}

/// The harts' external interrupt, if somebody has mapped it.
fn external() -> Option<u32> {
    irqdebug::irqs().into_iter().find(|irq| {
        Irq::read(*irq).is_ok_and(|irq| {
            irq.chip("RISC-V INTC")
                .is_some_and(|level| level.number("hwirq") == Some(9))
        })
    })
}

fn has_domain(address: u64) -> bool {
    let name = format!("interrupt-controller@{address:x}");

    irqdebug::domains().iter().any(|d| d.contains(&name))
}

fn nothing_left() -> Result {
    let states = read("/sys/devices/system/cpu/hotplug/states")?;

    ensure(external().is_none(), || {
        "the external interrupt is mapped".into()
    })?;
    ensure(!states.contains("aplic"), || {
        "a hotplug state is left".into()
    })?;
    for address in [FIRST, SECOND] {
        ensure(!has_domain(address), || {
            format!("{address:#x} has a domain")
        })?;
        let aplic = Aplic::at(address)?;

        ensure(!aplic.delivers(), || {
            format!("{address:#x} delivers interrupts")
        })?;
        for hart in 0..HARTS {
            ensure(!aplic.delivers_to(hart), || {
                format!("{address:#x} delivers to hart {hart}")
            })?;
        }
    }
    Ok(())
}

/// A probe fails when nearly all is done.
fn failing(module: &Module) -> Result {
    module.take_states(true)?;
    let probed = module.probe(&[FIRST], "");

    module.take_states(false)?;
    ensure(probed.is_err(), || "probed without a hotplug state".into())?;
    nothing_left()
}

/// An MSI domain cannot be made: its parent is none that takes children.
fn orphaned(module: &Module) -> Result {
    let probed = module.probe(&[SECOND], "orphan");

    ensure(probed.is_err(), || "probed without an MSI parent".into())?;
    ensure(!has_domain(SECOND), || "there is a domain".into())?;
    ensure(!Aplic::at(SECOND)?.delivers(), || {
        "it delivers interrupts, though nobody handles them".into()
    })
}

fn late(tap: &mut Tap, module: &Module) {
    tap.check(
        failing(module),
        "no hotplug state is free: refused, and nothing is left",
    );
    tap.check(
        module.probe(&[FIRST, SECOND], ""),
        "two APLICs are probed at once",
    );
    tap.check(
        works(module, FIRST, &[0, 1]),
        "the first one interrupts its CPUs",
    );
    tap.check(
        works(module, SECOND, &[2, 3]),
        "the second one interrupts its CPUs",
    );
}

fn unknown(tap: &mut Tap, module: &Module) {
    tap.check(
        works(module, FIRST, &[0, 1]),
        "the APLIC that is known interrupts its CPUs",
    );
    tap.check(
        module.probe(&[SECOND], ""),
        "the APLIC that was unknown is probed",
    );
    tap.check(quiet(SECOND), "what it was left with is gone");
    tap.check(
        works(module, SECOND, &[2, 3]),
        "it interrupts its CPUs, also the one that had enough",
    );
}

fn msi(tap: &mut Tap, module: &Module) {
    tap.check(
        orphaned(module),
        "no MSI domain can be made: refused, and quiet",
    );
    tap.check(
        module.probe(&[SECOND], ""),
        "then it is probed with its MSI controller",
    );
    tap.check(quiet(SECOND), "what it was left with is gone");
    tap.check(
        works(module, SECOND, &cpu::online()),
        "it interrupts all CPUs",
    );
}

/// A line of the device tree for each number that a trigger can be: those that are none
/// are refused, with a message that names APLIC and source.
fn lines(tap: &mut Tap, module: &Module) {
    let node = dt::find("aia-test,lines").into_iter().next();
    let cells = node.map(|n| n.cells("interrupts")).unwrap_or_default();
    let aplic = dt::find("riscv,aplic").first().map(dt::Node::name);
    let aplic = aplic.unwrap_or_default();

    for (index, line) in cells.chunks_exact(2).enumerate() {
        let (source, trigger) = (line[0], line[1]);
        let exists = matches!(trigger & 0xf, 1 | 2 | 4 | 8);
        let mark = kmsg::Mark::now();
        let got = module
            .line(index)
            .and_then(|device| device.vecs[0].request());
        let said = mark
            .said(&format!("{aplic}: source {source}: "))
            .unwrap_or_default();

        tap.check(
            ensure(got.is_ok() == exists && said != exists, || {
                format!("{got:?}, message: {said}")
            }),
            format!("trigger {trigger:#x} in the device tree"),
        );
    }
}

/// Targets have the numbers that the device tree gives the harts.
fn numbers(tap: &mut Tap, module: &Module) {
    let check = || {
        let aplic = Aplic::first()?;
        let node = dt::find("riscv,aplic")
            .into_iter()
            .next()
            .ok_or("no APLIC")?;
        let indexes = node.cells("riscv,hart-indexes");
        let device = module.wired(LINE, EDGE_RISING)?;
        let vec = device.vecs[0];

        vec.request()?;
        for cpu in cpu::online() {
            let hart = cpu::hart_ids()
                .into_iter()
                .find_map(|(c, hart)| (c == cpu).then_some(hart as usize))
                .ok_or("a CPU without a hart")?;

            vec.move_to(cpu)?;
            let (target, id) = (aplic.target(LINE), vec.target()?.1);

            ensure(target == indexes[hart] << 18 | id, || {
                format!("target {target:#x} for CPU {cpu}, ID {id}, of {indexes:?}")
            })?;
        }
        device.free()
    };

    tap.check(check(), "targets name harts as the device tree does");
}

fn left(tap: &mut Tap, module: &Module) {
    for node in dt::find("riscv,aplic") {
        let address = node.regions().first().map_or(0, |(start, _)| *start);

        tap.check(
            quiet(address),
            format!("{address:#x}: what it was left with is gone"),
        );
    }
    tap.check(works(module, FIRST, &[0, 1]), "its interrupts arrive");
    // Nobody has had to be rescued.
    tap.check(
        ensure(
            kmsg::find("external interrupt is asserted").is_none(),
            || "a CPU had its external interrupt switched off".into(),
        ),
        "nothing was asserted before it was known",
    );
}

/// The second APLIC is as it was left.
fn untouched(tap: &mut Tap, module: &Module) {
    let check = || {
        let aplic = Aplic::at(SECOND)?;

        ensure(aplic.delivers(), || "its delivery is off".into())?;
        for hart in 0..HARTS {
            ensure(aplic.delivers_to(hart), || {
                format!("it does not deliver to its hart {hart}")
            })?;
        }
        ensure(!has_domain(SECOND), || "it has a domain".into())
    };

    tap.check(check(), "an APLIC that is not the kernel's is left alone");
    tap.check(works(module, FIRST, &[0, 1]), "the other one works");
}

/// The APLICs that are there to be probed, by their addresses.
fn spare() -> Vec<u64> {
    dt::all("riscv,aplic")
        .iter()
        .filter(|node| !node.enabled())
        .filter_map(|node| Some(node.regions().first()?.0))
        .filter(|address| address & 0xff_ffff >= 0x1_0000)
        .collect()
}

fn is_direct() -> bool {
    dt::find("riscv,imsics").is_empty()
}

/// The CPUs that the second APLIC can interrupt, of those with one hart each.
fn cpus_of_second() -> Vec<usize> {
    if is_direct() {
        vec![1]
    } else {
        cpu::online()
    }
}

/// Nothing is left of an APLIC that was refused.
fn refused(address: u64) -> Result {
    let claim = format!("{address:x}-");

    ensure(!has_domain(address), || "it has a domain".into())?;
    ensure(
        !read("/proc/iomem")?
            .lines()
            .any(|line| line.trim_start().starts_with(&claim) && line.ends_with("riscv-aplic")),
        || "its registers are claimed".into(),
    )?;
    ensure(!Aplic::at(address)?.delivers(), || {
        "it delivers interrupts".into()
    })
}

/// Probes APLICs with each of a probe's allocations failing, one after the other. One that is done
/// without takes an APLIC, as drivers cannot give one back.
fn probes(module: &Module) -> Result {
    /// For the driver's state, the words of its sources, the domain, and what its names take.
    const LEAST: u32 = 5;

    faults::kmalloc_only()?;
    let mut aplics = spare().into_iter();
    let mut address = aplics.next().ok_or("no spare APLIC")?;
    let (mut failed, mut bound) = (0, 0);

    for n in 1.. {
        let (probed, reached) = module.probe_failing(address, n)?;
        let what = || format!("allocation {n} of {address:#x}");

        match (probed, reached) {
            (Err(e), false) => return Err(format!("{}: none fails: {e}", what())),
            (Err(_), true) => {
                failed += 1;
                refused(address).map_err(|e| format!("{}: {e}", what()))?;
                if is_direct() && bound == 0 {
                    nothing_left().map_err(|e| format!("{}: {e}", what()))?;
                }
            }
            (Ok(()), reached) => {
                bound += 1;
                quiet(address).map_err(|e| format!("{}: {e}", what()))?;
                if !reached {
                    ktap::diag(format!("{n} allocations, {failed} cannot be done without"));
                    break;
                }
                ktap::diag(format!("allocation {n} is done without"));
                address = aplics
                    .next()
                    .ok_or_else(|| format!("{n} allocations, {failed} essential: no APLIC left"))?;
            }
        }
    }
    ensure(failed >= LEAST, || {
        format!("{failed} failures instead of {LEAST} or more")
    })
}

/// The power domain is off as long as no interrupt of its APLIC is requested.
fn switches_off(module: &Module, times: u32) -> Result {
    let switched = || module.power_switched().unwrap_or_default();
    let off = wait_until(PATIENCE, || switched() == (times, times));

    ensure(off, || {
        format!("off and on {:?} times, not {times}", switched())
    })
}

/// Interrupts of the second APLIC, and of the first one while that has no power.
fn works_powered(module: &Module, times: u32) -> Result {
    let (first, second) = match is_direct() {
        true => (vec![0, 1], vec![2, 3]),
        false => (cpu::online(), cpu::online()),
    };

    works(module, SECOND, &second)?;
    switches_off(module, times)?;
    works(module, FIRST, &first)
}

/// Lines of it are set up while it has no power: their triggers and CPUs count later.
fn set_up_without_power(module: &Module, times: u32) -> Result {
    let aplic = Aplic::at(SECOND)?;
    let device = module.wired_at(SECOND, LINE, EDGE_RISING)?;
    let vec = device.vecs[0];
    let cpu = *cpu::online().last().ok_or("no CPU")?;

    vec.set_type(EDGE_FALLING)?;
    vec.affine(cpu)?;
    ensure(aplic.mode(LINE) != MODE_EDGE0, || {
        "registers are written that have no power".into()
    })?;
    vec.request()?;
    vec.flush()?;
    ensure(aplic.mode(LINE) == MODE_EDGE0, || {
        format!("mode {}", aplic.mode(LINE))
    })?;
    let before = vec.stats()?;

    aplic.pend(LINE);
    vec.expect(before.total + 1, "a line set up without power")?;
    let after = vec.stats()?;

    ensure(after.cpus[cpu] == before.cpus[cpu] + 1, || {
        format!("not on CPU {cpu}: {after:?}")
    })?;
    device.free()?;
    switches_off(module, times)
}

fn power(tap: &mut Tap, module: &Module) {
    let probed = module
        .power_domain(SECOND)
        .and_then(|()| module.probe(&[SECOND], ""));

    tap.check(probed, "an APLIC in a power domain is probed");
    tap.check(
        switches_off(module, 1),
        "the domain is switched off, as nobody uses it",
    );
    tap.check(
        (2..5).try_for_each(|times| works_powered(module, times)),
        "it is on when an interrupt is requested, which arrives (95a8ddde3660)",
    );
    tap.check(
        set_up_without_power(module, 5),
        "interrupts are set up without power",
    );
    tap.check(
        module.suspend(true, None).and_then(|_| {
            // It is switched on and off again meanwhile.
            let (_, ons) = module.power_switched()?;

            switches_off(module, ons)?;
            works_powered(module, ons + 1)
        }),
        "the system sleeps while it has none",
    );
}

fn faults(tap: &mut Tap, module: &Module) {
    tap.check(
        probes(module),
        "each allocation of a probe fails: nothing is left, or it is done without",
    );
    tap.check(
        module.probe(&[SECOND], ""),
        "then another one is probed, all of whose allocations succeed",
    );
    tap.check(
        works(module, SECOND, &cpus_of_second()),
        "it interrupts its CPUs",
    );
}

fn main() -> ExitCode {
    let args = Args::of(
        "aplic_probe",
        &[
            "late",
            "unknown",
            "msi",
            "left",
            "foreign",
            "powerless",
            "numbers",
            "lines",
            "power",
            "faults",
        ],
    );
    let given = |word: &str| args.given(word).is_some();
    let module = match Module::load() {
        Ok(module) => module,
        Err(e) => Tap::new(1).bail_out(e),
    };
    let what = [
        ("late", late as fn(&mut Tap, &Module), 4),
        ("unknown", unknown, 4),
        ("msi", msi, 4),
        ("left", left, dt::find("riscv,aplic").len() + 2),
        ("foreign", untouched, 2),
        ("powerless", untouched, 2),
        ("numbers", numbers, 1),
        ("lines", lines, LINES),
        ("power", power, 5),
        ("faults", faults, 3),
    ];
    let Some((_, test, count)) = what.into_iter().find(|(word, ..)| given(word)) else {
        return Tap::skip_all("not said what is unusual");
    };
    let mut tap = Tap::new(count);

    test(&mut tap, &module);
    tap.finish()
}
