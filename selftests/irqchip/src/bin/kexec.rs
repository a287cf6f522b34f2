// SPDX-License-Identifier: GPL-2.0

//! A kernel that starts the same one again, by kexec or because it dies, and leaves the interrupt
//! controllers as no driver would: what comes through to the other kernel.
//!
//! It runs in both. Arguments: in the first one,
//! `leave`    makes the state, and leaves this kernel for the one in `/boot`, by kexec
//! `crash`    by dying instead
//! `wired`    by dying in the handler of a wire that is to move, with MSIs
//! `hart`     on this hart
//!
//! In the other one,
//! `hart`     the hart that it has to run on first
//! `cpus`     how many CPUs it has to have
//!
//! The first one leaves behind:
//!
//! - a level of a wire that stays asserted, enabled and pending, for a CPU that is offline;
//! - a wire that changes all the time until the other kernel says that it is enough;
//! - sources that are pending and enabled, or pending and masked, in each APLIC, for a CPU that is
//!   offline (its external interrupt is asserted in direct mode), and for the one that is left;
//! - pending bits of all identities in the interrupt file of a CPU that is offline, and of the
//!   one that dies; masked interrupts that are pending in the file of the one that goes on;
//! - a disk that is being read, by a kernel that dies, and a guest interrupt file that interrupts
//!   the hart, by one that does not die in the handler of a wire.

use irqtest::{
    aplic::{
        quiet,
        Aplic, //
    },
    args::Args,
    cpu,
    device::{
        Device,
        Module,
        Vector, //
    },
    dt::{
        self,
        Mode,
        Node, //
    },
    ensure,
    host,
    imsic::Imsic,
    interrupts,
    irqdebug,
    kmsg,
    pause,
    read,
    sys::{
        self,
        Next, //
    },
    write,
    Result, //
};
use ktap::Tap;
use std::{
    fs::{
        File,
        OpenOptions, //
    },
    io::{
        Read,
        Seek, //
    },
    os::unix::fs::OpenOptionsExt,
    process::ExitCode,
    thread,
    time::Duration, //
};

const EDGE_RISING: u32 = 1;
const LEVEL_HIGH: u32 = 4;

/// Edge1 and Level1, as `sourcecfg` has them.
const MODE_EDGE1: u32 = 4;
const MODE_LEVEL1: u32 = 6;

/// A wire that is asserted all the time.
const ASSERTED: u32 = 50;
/// A wire that changes all the time.
const HAMMERED: u32 = 51;
/// A source that is enabled and pending, or was sent.
const ENABLED: u32 = 52;
/// A source that is pending and masked.
const MASKED: u32 = 53;
/// A source that is enabled and pending for the CPU that is left.
const OWN: u32 = 54;
/// Shows what `target` has to hold for a CPU.
const PROBE: u32 = 55;
/// Lines whose first interrupt is to be one that was sent.
const LINES: [u32; 5] = [HAMMERED, ENABLED, MASKED, OWN, PROBE];

/// An identity that nobody owns.
const STRAY: u32 = 200;

/// Less often than what a driver may take for a storm.
const GAP_US: u32 = 10_000;

/// MSIs of a new device.
const OWNERS: usize = 16;

const LIMIT: Duration = Duration::from_secs(60);

/// The CPUs that an APLIC can interrupt.
fn cpus_of(node: &Node, mode: Mode) -> Vec<usize> {
    if mode == Mode::Msi {
        return cpu::online();
    }
    let harts = dt::external_interrupts(node);

    cpu::hart_ids()
        .into_iter()
        .filter(|(_, hart)| harts.contains(hart))
        .map(|(cpu, _)| cpu)
        .collect()
}

/// The APLICs, the one that devices are wired to first.
fn aplics() -> Vec<Node> {
    let mut nodes = dt::find("riscv,aplic");

    nodes.sort_by_key(Node::regions);
    nodes
}

/// An APLIC, and what its registers have to hold.
struct Dirty {
    aplic: Aplic,
    /// A CPU that is to go offline, and the target that means it.
    away: usize,
    away_target: u32,
    /// The target of the CPU that is left, if the APLIC reaches that.
    own_target: Option<u32>,
}

impl Dirty {
    fn new(module: &Module, node: &Node, mode: Mode, own: usize, kept: usize) -> Result<Self> {
        let (address, _) = *node.regions().first().ok_or("an APLIC without reg")?;
        let aplic = Aplic::at(address)?;
        let cpus = cpus_of(node, mode);
        let away = cpu::removable()
            .into_iter()
            .rev()
            .find(|cpu| ![own, kept].contains(cpu) && cpus.contains(cpu))
            .ok_or("no other CPU")?;
        let device = module.wired_at(address, PROBE, EDGE_RISING)?;
        let vec = device.vecs[0];
        let target = |cpu| -> Result<u32> {
            interrupts::set_affinity(vec.irq, &[cpu])?;
            vec.settle()?;
            Ok(aplic.target(PROBE))
        };

        vec.request()?;
        let away_target = target(away)?;
        let own_target = match cpus.contains(&own) {
            true => Some(target(own)?),
            false => None,
        };

        device.free()?;
        Ok(Self {
            aplic,
            away,
            away_target,
            own_target,
        })
    }

    /// Makes a source of nobody active, and lets it go somewhere.
    fn source(&self, source: u32, mode: u32, target: u32) {
        self.aplic.set_mode(source, 0);
        self.aplic.set_mode(source, mode);
        self.aplic.set_target(source, target);
    }

    fn is_left(&self, source: u32, enabled: bool) -> Result {
        let now = (self.aplic.is_enabled(source), self.aplic.is_pending(source));

        ensure(now == (enabled, true), || {
            format!(
                "{:#x}: source {source}: (enabled, pending) is {now:?}",
                self.aplic.address
            )
        })
    }

    /// In direct mode. Its away CPU has gone, so that nobody answers.
    fn pend_direct(&self, first: bool) -> Result {
        let hart = (self.away_target >> 18) as usize;

        if first {
            self.source(ASSERTED, MODE_LEVEL1, self.away_target);
            self.source(HAMMERED, MODE_EDGE1, self.away_target);
            self.aplic.enable(ASSERTED);
            self.aplic.enable(HAMMERED);
            host::ask(&format!("line {ASSERTED} 1"), LIMIT)?;
            self.is_left(ASSERTED, true)?;
        }
        self.source(ENABLED, MODE_EDGE1, self.away_target);
        self.source(MASKED, MODE_EDGE1, self.away_target);
        self.aplic.enable(ENABLED);
        self.aplic.pend(ENABLED);
        self.aplic.pend(MASKED);
        self.is_left(ENABLED, true)?;
        self.is_left(MASKED, false)?;
        ensure(
            self.aplic.delivers() && self.aplic.delivers_to(hart),
            || format!("{:#x}: nothing is delivered", self.aplic.address),
        )
    }

    /// In MSI mode. The first APLIC has to go on delivering, for the console.
    fn pend_msi(&self, first: bool, own: u32) -> Result {
        if first {
            self.source(ASSERTED, MODE_LEVEL1, self.away_target & !0x7ff | STRAY);
            self.source(HAMMERED, MODE_EDGE1, own & !0x7ff | STRAY);
            self.aplic.enable(ASSERTED);
            self.aplic.enable(HAMMERED);
            host::ask(&format!("line {ASSERTED} 1"), LIMIT)?;
        } else {
            self.aplic.stop();
            self.source(ENABLED, MODE_EDGE1, self.away_target & !0x7ff | STRAY);
            self.aplic.enable(ENABLED);
            self.aplic.pend(ENABLED);
            self.is_left(ENABLED, true)?;
        }
        self.source(MASKED, MODE_EDGE1, self.away_target & !0x7ff | STRAY);
        self.aplic.pend(MASKED);
        self.is_left(MASKED, false)
    }

    /// In direct mode, of the CPU that is left: it must not take it. Where its threshold is.
    fn pend_own(&self) -> Result<Option<u64>> {
        let Some(target) = self.own_target else {
            return Ok(None);
        };
        let hart = (target >> 18) as usize;

        self.aplic.hold_back(hart);
        self.source(OWN, MODE_EDGE1, target);
        self.aplic.enable(OWN);
        self.aplic.pend(OWN);
        self.is_left(OWN, true)?;
        Ok(Some(self.aplic.threshold_of(hart)))
    }
}

/// Loads the other kernel.
fn load(next: Next) -> Result {
    let open = |name: &str| File::open(name).map_err(|e| format!("{name}: {e}"));
    let loaded = match next {
        Next::Boot => "/sys/kernel/kexec_loaded",
        Next::Crash => "/sys/kernel/kexec_crash_loaded",
    };

    sys::kexec_load(
        &open("/boot/Image")?,
        &open("/boot/initrd")?,
        read("/boot/cmdline")?.trim(),
        next,
    )?;
    ensure(read(loaded)?.trim() == "1", || format!("not in {loaded}"))
}

/// Reads a disk all the time.
fn read_disk() -> Result {
    const SIZE: usize = 4096;

    let mut disk = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_DIRECT)
        .open("/dev/vda")
        .map_err(|e| format!("/dev/vda: {e}"))?;
    let mut buffer = vec![0; 2 * SIZE];
    // What is read without a cache has to be aligned.
    let start = buffer.as_ptr().align_offset(SIZE);

    thread::spawn(move || {
        while disk.read_exact(&mut buffer[start..start + SIZE]).is_ok() {
            let _ = disk.rewind();
        }
    });
    Ok(())
}

/// Interrupts that are masked when they arrive at a CPU, and stay there.
fn masked(module: &Module, own: usize) -> Result<Device> {
    let device = module.ready(OWNERS, "unlazy")?;

    for vec in &device.vecs {
        vec.move_to(own)?;
        vec.mask(true)?;
    }
    // The mask is done by the other CPU.
    cpu::flush()?;
    for vec in &device.vecs {
        vec.fire(1)?;
    }
    cpu::flush()?;
    for vec in &device.vecs {
        ensure(vec.total()? == 0, || "came in spite of the mask".into())?;
    }
    Ok(device)
}

/// What is done last, when everything was said.
enum End {
    Kexec,
    /// The CPU stores these in a register before.
    Crash(u64, std::ops::RangeInclusive<u32>),
    /// The source [`OWN`] is sent, whose handler dies.
    Handler(Aplic),
}

impl End {
    /// Returns why the kernel is still there.
    fn go(self, module: &Module, own: usize) -> String {
        match self {
            End::Kexec => sys::kexec(),
            End::Crash(register, numbers) => {
                format!("{:?}", module.crash(own, register, numbers))
            }
            End::Handler(aplic) => {
                aplic.pend(OWN);
                pause(10_000);
                "no handler has died".into()
            }
        }
    }
}

/// An interrupt of a wire on a CPU, whose handler dies while a move waits.
fn dies_in_handler(module: &Module, aplic: Aplic, own: usize) -> Result<End> {
    let others: Vec<_> = cpu::online()
        .into_iter()
        .filter(|cpu| *cpu != own)
        .take(2)
        .collect();
    let others = others.try_into().map_err(|_| "no two other CPUs")?;
    let device = module.wired_at(aplic.address, OWN, EDGE_RISING)?;
    let vec = device.vecs[0];

    vec.request()?;
    interrupts::set_affinity(vec.irq, &[own])?;
    vec.settle()?;
    vec.crash_moving(others)?;
    // It is left as it is.
    std::mem::forget(device);
    Ok(End::Handler(aplic))
}

fn make_state(
    module: &Module,
    own: usize,
    next: Next,
    mode: Mode,
    in_handler: bool,
) -> Result<End> {
    let nodes = aplics();
    // The console stays with it.
    let kept = nodes
        .first()
        .and_then(|node| cpus_of(node, mode).into_iter().find(|cpu| *cpu != own))
        .ok_or("no CPU for the console")?;
    let aplics = nodes
        .iter()
        .map(|node| Dirty::new(module, node, mode, own, kept))
        .collect::<Result<Vec<_>>>()?;
    let uart = interrupts::find(&["ttyS0"])
        .and_then(|l| l.irq())
        .ok_or("no line of the UART")?;

    interrupts::set_affinity(uart, &[kept])?;
    // Not where its interrupts are held back.
    sys::pin(&[kept])?;
    for dirty in &aplics {
        cpu::set_online(dirty.away, false)?;
    }
    for (n, dirty) in aplics.iter().enumerate() {
        match (mode, dirty.own_target) {
            (Mode::Msi, Some(own)) => dirty.pend_msi(n == 0, own)?,
            _ => dirty.pend_direct(n == 0)?,
        }
    }
    host::ask(&format!("hammer {HAMMERED} {GAP_US}"), LIMIT)?;
    match next {
        Next::Boot => write("/sys/kernel/reboot/cpu", &own.to_string())?,
        // Nothing completes what a disk was asked for when the system shuts it down, and CPUs do
        // not go offline before.
        Next::Crash => read_disk()?,
    }
    match Imsic::find() {
        Some(imsic) => {
            let last = imsic.ids as u32;

            for dirty in &aplics {
                module.strays(dirty.away, 2..=last, 1)?;
            }
            // It is left as it is.
            std::mem::forget(masked(module, own)?);
            if in_handler {
                let dirty = aplics.into_iter().next().ok_or("no APLIC")?;

                return dies_in_handler(module, dirty.aplic, own);
            }
            Ok(match next {
                Next::Boot => End::Kexec,
                Next::Crash => End::Crash(imsic.page(own).ok_or("no page")?, 2..=last),
            })
        }
        None => {
            let mut threshold = None;

            for dirty in &aplics {
                threshold = threshold.or(dirty.pend_own()?);
            }
            Ok(match next {
                Next::Boot => End::Kexec,
                Next::Crash => End::Crash(threshold.ok_or("no APLIC of the CPU")?, 0..=0),
            })
        }
    }
}

fn leave(hart: u64, next: Next, in_handler: bool) -> ExitCode {
    let mut tap = Tap::new(2);
    let mode = dt::mode();
    let own = match cpu::hart_ids().into_iter().find(|of| of.1 == hart) {
        Some((own, _)) => own,
        None => tap.bail_out(format!("no hart {hart}")),
    };
    let module = match Module::load() {
        Ok(module) => module,
        Err(e) => tap.bail_out(e),
    };

    tap.check(load(next), "another kernel is loaded");
    let made = make_state(&module, own, next, mode, in_handler);
    let state = made.as_ref().map(|_| ()).map_err(Clone::clone);

    tap.check(
        state,
        "sources and identities are left pending, also enabled ones",
    );
    let passed = tap.passed();
    let exit = tap.finish();
    let (true, Ok(end)) = (passed, made) else {
        return exit;
    };

    // What /init says of a test that has ended: this one does not return.
    println!("# selftest kexec: exit 0");
    let _ = sys::drain();
    println!("# still here: {}", end.go(&module, own));
    ExitCode::FAILURE
}

/// The kernel runs where it was told to.
fn place(hart: u64, cpus: usize) -> Result {
    let online = cpu::online();
    let harts = cpu::hart_ids();

    ensure(harts.first() == Some(&(0, hart)), || {
        format!("CPU 0 is not hart {hart}: {harts:?}")
    })?;
    ensure(online.len() == cpus, || {
        format!("{online:?} online instead of {cpus}")
    })
}

/// Nothing that came, or was asserted, was too much for a driver.
fn calm() -> Result {
    let boot = kmsg::Mark::boot();

    boot.quiet()?;
    boot.without("too many stray MSIs")?;
    boot.without("external interrupt is asserted")
}

/// MSIs of the wire that changed have arrived until its APLIC was probed, if the driver counts
/// what is for nobody. Where that is `likely`: a kernel may be fast, and the host busy.
fn in_flight(mode: Mode, likely: bool) -> Result {
    if let (Mode::Msi, Ok(dropped)) = (mode, irqdebug::counter("dropped")) {
        ktap::diag(format!("{dropped} MSIs of nobody dropped so far"));
        ensure(dropped > 0 || !likely, || "no MSI has arrived here".into())?;
    }
    Ok(())
}

/// Nothing is left of what the other kernel has done to an APLIC.
fn cleaned(node: &Node) -> Result {
    let (address, _) = *node.regions().first().ok_or("an APLIC without reg")?;

    quiet(address)
}

fn line(module: &Module, line: u32, kind: u32) -> Result<(Device, Vector)> {
    let device = module.wired(line, kind)?;
    let vec = device.vecs[0];

    vec.request()?;
    vec.flush()?;
    Ok((device, vec))
}

/// The level that was asserted all the time interrupts its new owner, once until that lets it
/// again.
fn asserted(module: &Module) -> Result {
    let (device, vec) = line(module, ASSERTED, LEVEL_HIGH)?;

    vec.expect(1, "asserted when it was set up")?;
    vec.mask(false)?;
    vec.expect(2, "enabled while it is asserted")?;
    host::ask(&format!("line {ASSERTED} 0"), LIMIT)?;
    device.free()
}

/// Lines that were left pending, or moved until now, on each CPU: the first interrupt is one that
/// was sent.
fn first_edges(module: &Module, cpus: &[usize]) -> Result {
    for nr in LINES {
        let (device, vec) = line(module, nr, EDGE_RISING)?;
        let mut sent = 0;

        for &cpu in cpus {
            let at = format!("line {nr}, CPU {cpu}");

            interrupts::set_affinity(vec.irq, &[cpu])?;
            vec.expect(sent, &format!("{at}, at first"))?;
            host::ask(&format!("pulse {nr} 1"), LIMIT)?;
            sent += 1;
            vec.expect(sent, &format!("{at}, a pulse"))?;
            ensure(vec.stats()?.cpus[cpu] == 1, || format!("{at}: elsewhere"))?;
        }
        device.free()?;
    }
    Ok(())
}

/// MSIs, on each CPU: the first one is one that was sent.
fn first_msis(module: &Module) -> Result {
    let device = module.ready(OWNERS, "")?;

    for cpu in cpu::online() {
        for vec in &device.vecs {
            vec.move_to(cpu)?;
        }
        cpu::flush()?;
        for vec in &device.vecs {
            let before = vec.stats()?.cpus[cpu];

            ensure(before == 0, || {
                format!("CPU {cpu}: an interrupt that nobody sent")
            })?;
            let total = vec.total()?;

            vec.fire(1)?;
            vec.expect(total + 1, "fire")?;
            ensure(vec.stats()?.cpus[cpu] == 1, || format!("not on CPU {cpu}"))?;
        }
    }
    device.free()
}

fn arrived(hart: u64, cpus: usize, likely: bool) -> ExitCode {
    let mode = dt::mode();
    // One for other harts only disturbs nobody.
    let mut nodes = aplics();

    nodes.retain(|node| !cpus_of(node, mode).is_empty());
    let mut tap = Tap::new(nodes.len() + 6);
    let module = match Module::load() {
        Ok(module) => module,
        Err(e) => tap.bail_out(e),
    };

    tap.check(
        place(hart, cpus),
        format!("another kernel runs on hart {hart}, with {cpus} CPUs"),
    );
    tap.check(
        host::ask("hammered", LIMIT).and_then(|()| in_flight(mode, likely)),
        "a wire has changed all the time, and MSIs were in flight",
    );
    pause(20);
    for node in &nodes {
        tap.check(
            cleaned(node),
            format!("{}: what it was left with is gone", node.name()),
        );
    }
    tap.check(
        asserted(&module),
        "a level that was asserted all the time interrupts its owner",
    );
    tap.check(
        first_edges(
            &module,
            &nodes.first().map_or_else(Vec::new, |n| cpus_of(n, mode)),
        ),
        "the first edge of a line is one that was sent",
    );
    if mode == Mode::Msi {
        tap.check(
            first_msis(&module),
            "the first MSI of a device is one that was sent",
        );
    } else {
        tap.skip("no IMSIC in the device tree", "the first MSI of a device");
    }
    tap.check(calm(), "no storm, and no complaint of the kernel");
    tap.finish()
}

fn main() -> ExitCode {
    let args = Args::of("kexec", &["leave", "crash", "wired", "hart", "cpus"]);
    let next = match args.given("crash") {
        Some(_) => Next::Crash,
        None => Next::Boot,
    };

    if args.given("leave").is_some() {
        return leave(args.number("hart", 0), next, args.given("wired").is_some());
    }
    match (args.given("hart"), args.given("cpus")) {
        (Some(hart), Some(cpus)) => arrived(hart, cpus as usize, args.given("wired").is_none()),
        _ => Tap::skip_all("not said which kernel this is"),
    }
}
