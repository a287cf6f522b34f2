// SPDX-License-Identifier: GPL-2.0

//! KVM guests with and without hardware guest interrupt files: every MSI
//! arrives once, and with a guest file none of them costs an exit.
//!
//! The argument (AIA_ARG_kvm_guestfile) is the number of guest files that each
//! CPU of the machine has; without it the kernel's own count is believed.

use ktap::Tap;
use kvm_bindings::*;
use kvm_ioctls::{
    Cap,
    Kvm,
    VmFd, //
};
use std::{
    env,
    process::ExitCode,
    sync::atomic::{
        AtomicBool,
        Ordering, //
    },
    thread::{
        scope,
        sleep, //
    },
    time::{
        Duration,
        Instant, //
    },
};
use vmm::{
    abi::{
        op,
        APLIC_BASE,
        DOORBELL, //
    },
    host::{
        self,
        Imsics, //
    },
    measure,
    Aia,
    Config,
    Context,
    End,
    Error,
    Guest,
    Mode,
    Report,
    Result,
    PATIENCE, //
};

const NO_VSFILE: u64 = 1;

/// The machine.
struct Env {
    kvm: Kvm,
    cpus: Vec<usize>,
    /// Guest interrupt files per CPU.
    files: u32,
    /// The same as the tester says.
    expected: Option<u32>,
    imsics: Option<Imsics>,
}

impl Env {
    /// The CPU on which vCPU `n` of several runs.
    fn cpu(&self, n: usize) -> usize {
        self.cpus[n % self.cpus.len()]
    }

    /// Boots a guest of `cfg` with its vCPUs spread over the CPUs.
    fn boot(&self, cfg: Config) -> Result<Guest> {
        let mut guest = Guest::new(&self.kvm, cfg)?;

        for n in 0..cfg.vcpus {
            guest.boot(n, &[self.cpu(n)])?;
        }
        Ok(guest)
    }
}

/// What a test needs of the machine.
#[derive(Clone, Copy)]
enum Need {
    Nothing,
    /// So many guest files per CPU.
    Files(u32),
    /// So many guest files and CPUs.
    FilesAndCpus(u32, usize),
    /// So many guest files on all CPUs together.
    Vcpus(u32),
}

impl Need {
    /// Why `env` does not do.
    fn missing(self, env: &Env) -> Option<String> {
        let (files, cpus) = match self {
            Self::Nothing => (0, 1),
            Self::Files(files) => (files, 1),
            Self::FilesAndCpus(files, cpus) => (files, cpus),
            Self::Vcpus(n) if env.files * (env.cpus.len() as u32) < n => {
                return Some(format!("needs {n} guest files on all CPUs together"));
            }
            Self::Vcpus(_) => (0, 1),
        };

        if env.files < files {
            Some(format!("needs {files} guest files per CPU"))
        } else if env.cpus.len() < cpus {
            Some(format!("needs {cpus} CPUs"))
        } else {
            None
        }
    }
}

fn ensure(good: bool, what: impl FnOnce() -> String) -> Result<()> {
    if good {
        Ok(())
    } else {
        Err(Error::new(what()))
    }
}

/// Identities first..first+ids of `vcpu` were counted `times` each, and nothing else was.
fn exact(guest: &Guest, vcpu: usize, first: u32, ids: u32, times: u32) -> Result<()> {
    // One too many may still be on its way.
    sleep(Duration::from_millis(10));
    for id in first..first + ids {
        let n = guest.count(vcpu, id);

        ensure(n == times, || {
            format!("vCPU {vcpu} counted identity {id} {n} times instead of {times}")
        })?;
    }
    let total = guest.total(vcpu);

    ensure(total == u64::from(ids) * u64::from(times), || {
        format!("vCPU {vcpu} counted {total} interrupts in all instead of {ids} * {times}")
    })
}

/// No exit has to do with any of `msis` MSIs.
fn no_exits(report: &Report, msis: u64) -> Result<()> {
    ktap::diag(format!("{msis} MSIs: {report}"));
    ensure(report.traps == 0, || format!("the guest trapped: {report}"))?;
    ensure(report.guest_external == 0, || {
        format!("guest files interrupted the host: {report}")
    })?;
    ensure(report.unexplained() <= msis / 200, || {
        format!("exits that no interrupt of the host explains: {report}")
    })
}

/// Each of `msis` MSIs cost at least one exit.
fn exits_each(report: &Report, msis: u64) -> Result<()> {
    ktap::diag(format!("{msis} MSIs: {report}"));
    ensure(report.traps >= msis, || {
        format!("{msis} emulated MSIs, but {report}")
    })
}

/// An AIA device and its VM, which no vCPU uses.
fn device(env: &Env) -> Result<(Aia, VmFd)> {
    let vm = env.kvm.create_vm().context("KVM_CREATE_VM")?;

    Ok((Aia::new(&vm).context("KVM_CREATE_DEVICE")?, vm))
}

fn file_count(env: &Env) -> Result<()> {
    let kernel = host::kvm_guest_files()?;

    ktap::diag(format!(
        "kernel: {kernel:?} guest files per CPU, told: {:?}, room: {:?}",
        env.expected,
        env.imsics.as_ref().map(Imsics::room),
    ));
    if let (Some(kernel), Some(expected)) = (kernel, env.expected) {
        ensure(kernel == expected, || {
            format!("the kernel found {kernel} guest files, the machine has {expected}")
        })?;
    }
    if let Some(room) = env.imsics.as_ref().map(Imsics::room) {
        // QEMU may have fewer files than pages, but has some if there are pages.
        ensure(env.files <= room && (env.files == 0) == (room == 0), || {
            format!(
                "{} guest files where the device tree has room for {room}",
                env.files
            )
        })?;
    }
    Ok(())
}

fn modes(env: &Env) -> Result<()> {
    let (aia, _vm) = device(env)?;
    let default = aia.config(KVM_DEV_RISCV_AIA_CONFIG_MODE).context("MODE")?;
    let wanted = if env.files == 0 {
        Mode::Emul
    } else {
        Mode::Auto
    };

    ensure(default == wanted.to_raw(), || {
        format!("default mode {default} instead of {wanted}")
    })?;
    for mode in [Mode::Hwaccel, Mode::Auto, Mode::Emul] {
        let errno = aia.set_mode(mode).err().map(|e| e.raw_os_error());
        let wanted = (env.files == 0 && mode != Mode::Emul).then_some(Some(libc::EINVAL));

        ensure(errno == wanted, || {
            format!("setting {mode} gave errno {errno:?} instead of {wanted:?}")
        })?;
        if errno.is_none() {
            let now = aia.config(KVM_DEV_RISCV_AIA_CONFIG_MODE).context("MODE")?;

            ensure(now == mode.to_raw(), || {
                format!("mode reads {now} after {mode}")
            })?;
        }
    }
    let errno = aia
        .set_config(KVM_DEV_RISCV_AIA_CONFIG_MODE, 3)
        .err()
        .and_then(|e| e.raw_os_error());

    ensure(errno == Some(libc::EINVAL), || {
        format!("setting mode 3 gave errno {errno:?}")
    })
}

/// MSIs of vCPU `from` to vCPU 0; the exits of all vCPUs meanwhile.
fn from_vcpu(env: &Env, mode: Mode, from: usize, guest_bits: u32) -> Result<(Report, u64)> {
    const IDS: u32 = 50;
    const ROUNDS: u32 = 40;
    let cfg = Config {
        guest_bits,
        ..Config::new(from + 1, mode)
    };
    let mut guest = env.boot(cfg)?;
    let vcpus: Vec<usize> = (0..cfg.vcpus).collect();
    let mut cpus: Vec<usize> = vcpus.iter().map(|&v| env.cpu(v)).collect();

    cpus.dedup();
    let report = measure(&mut guest, &vcpus, &cpus, |g| {
        g.give_send(from, 0, 7, IDS, ROUNDS.into());
        let [sent, _] = g.wait(from)?;

        ensure(sent == u64::from(IDS * ROUNDS), || {
            format!("the sender saw {sent} of {IDS} * {ROUNDS} MSIs arrive once")
        })
    })?;

    exact(&guest, 0, 7, IDS, ROUNDS)?;
    if from != 0 {
        exact(&guest, from, 7, IDS, 0)?;
    }
    Ok((report, (IDS * ROUNDS).into()))
}

fn hw_self(env: &Env) -> Result<()> {
    let (report, msis) = from_vcpu(env, Mode::Hwaccel, 0, 0)?;

    no_exits(&report, msis)
}

fn hw_other(env: &Env) -> Result<()> {
    let (report, msis) = from_vcpu(env, Mode::Hwaccel, 1, 0)?;

    no_exits(&report, msis)
}

fn hw_guest_bits(env: &Env) -> Result<()> {
    let (report, msis) = from_vcpu(env, Mode::Hwaccel, 1, 2)?;

    no_exits(&report, msis)
}

fn emul_self(env: &Env) -> Result<()> {
    let (report, msis) = from_vcpu(env, Mode::Emul, 0, 0)?;

    exits_each(&report, msis)
}

fn emul_other(env: &Env) -> Result<()> {
    let (report, msis) = from_vcpu(env, Mode::Emul, 1, 0)?;

    exits_each(&report, msis)
}

fn emul_guest_bits(env: &Env) -> Result<()> {
    let (report, msis) = from_vcpu(env, Mode::Emul, 1, 2)?;

    exits_each(&report, msis)
}

/// MSIs by KVM_SIGNAL_MSI; the exits meanwhile.
fn from_host(env: &Env, mode: Mode) -> Result<(Report, u64)> {
    const IDS: u32 = 50;
    const ROUNDS: u32 = 40;
    let mut guest = env.boot(Config::new(1, mode))?;
    let report = measure(&mut guest, &[0], &[env.cpu(0)], |g| {
        g.send_from_host(0, 1, IDS, ROUNDS, Guest::signal_msi)
    })?;

    exact(&guest, 0, 1, IDS, ROUNDS)?;
    Ok((report, (IDS * ROUNDS).into()))
}

fn hw_signal(env: &Env) -> Result<()> {
    let (report, msis) = from_host(env, Mode::Hwaccel)?;

    no_exits(&report, msis)
}

fn emul_signal(env: &Env) -> Result<()> {
    let (report, msis) = from_host(env, Mode::Emul)?;

    exits_each(&report, msis)
}

/// MSIs by irqfd; the exits meanwhile.
fn irqfd(env: &Env, mode: Mode) -> Result<(Report, u64)> {
    const FIRST: u32 = 30;
    const IDS: u32 = 20;
    const ROUNDS: u32 = 50;
    let mut guest = env.boot(Config::new(1, mode))?;
    let msis: Vec<_> = (FIRST..FIRST + IDS).map(|id| (0, id)).collect();

    guest.route(&msis)?;
    let events = (0..IDS)
        .map(|n| guest.irqfd(guest.msi_line(n)))
        .collect::<Result<Vec<_>>>()?;
    let report = measure(&mut guest, &[0], &[env.cpu(0)], |g| {
        g.send_from_host(0, FIRST, IDS, ROUNDS, |_, _, id| {
            events[(id - FIRST) as usize].write(1).context("eventfd")
        })
    })?;

    exact(&guest, 0, FIRST, IDS, ROUNDS)?;
    Ok((report, (IDS * ROUNDS).into()))
}

fn hw_irqfd(env: &Env) -> Result<()> {
    let (report, msis) = irqfd(env, Mode::Hwaccel)?;

    no_exits(&report, msis)
}

fn emul_irqfd(env: &Env) -> Result<()> {
    let (report, msis) = irqfd(env, Mode::Emul)?;

    exits_each(&report, msis)
}

/// Wires of the guest's APLIC, driven by KVM_IRQ_LINE; the exits meanwhile.
fn wires(env: &Env, mode: Mode) -> Result<(Report, u64)> {
    const DOMAINCFG_IE_DM: u64 = (1 << 8) | (1 << 2);
    const SOURCECFG: u64 = 0x4;
    const EDGE_RISE: u64 = 4;
    const LEVEL_HIGH: u64 = 6;
    const SETIENUM: u64 = 0x1edc;
    const TARGET: u64 = 0x3004;
    const FIRST: u32 = 40;
    const SOURCES: u32 = 16;
    const ROUNDS: u32 = 50;
    let cfg = Config {
        sources: SOURCES,
        ..Config::new(1, mode)
    };
    let mut guest = env.boot(cfg)?;

    // Odd sources by edge, even ones by level; source s sends FIRST + s - 1 to hart 0.
    for s in 1..=u64::from(SOURCES) {
        let word = 4 * (s - 1);
        let kind = if s % 2 != 0 { EDGE_RISE } else { LEVEL_HIGH };

        guest.call(0, op::WRITE32, &[APLIC_BASE + SOURCECFG + word, kind])?;
        guest.call(
            0,
            op::WRITE32,
            &[APLIC_BASE + TARGET + word, u64::from(FIRST) + s - 1],
        )?;
        guest.call(0, op::WRITE32, &[APLIC_BASE + SETIENUM, s])?;
    }
    guest.call(0, op::WRITE32, &[APLIC_BASE, DOMAINCFG_IE_DM])?;
    let report = measure(&mut guest, &[0], &[env.cpu(0)], |g| {
        g.send_from_host(0, FIRST, SOURCES, ROUNDS, |g, _, id| {
            let line = id - FIRST + 1;

            g.irq_line(line, true)?;
            g.irq_line(line, false)
        })
    })?;

    exact(&guest, 0, FIRST, SOURCES, ROUNDS)?;
    Ok((report, (SOURCES * ROUNDS).into()))
}

fn hw_wires(env: &Env) -> Result<()> {
    let (report, msis) = wires(env, Mode::Hwaccel)?;

    no_exits(&report, msis)
}

fn emul_wires(env: &Env) -> Result<()> {
    let (report, msis) = wires(env, Mode::Emul)?;

    exits_each(&report, msis)
}

/// A vCPU in WFI wakes up for each MSI.
fn wfi(env: &Env, mode: Mode) -> Result<Report> {
    const MSIS: u32 = 40;
    let mut guest = env.boot(Config::new(1, mode))?;
    let before = guest.stats(0)?;
    let report = measure(&mut guest, &[0], &[env.cpu(0)], |g| {
        g.give(0, op::WFI_UNTIL, &[MSIS.into()]);
        for n in 1..=MSIS {
            // Longer than KVM polls before it lets a vCPU sleep.
            sleep(Duration::from_millis(3));
            g.send_from_host(0, 11, 1, 1, Guest::signal_msi)
                .context(format!("wake-up {n}"))?;
        }
        g.wait(0)?;
        Ok(())
    })?;
    let stats = guest.stats(0)?.since(&before);

    ktap::diag(format!("{MSIS} MSIs to a vCPU in WFI: {report}; {stats}"));
    exact(&guest, 0, 11, 1, MSIS)?;
    ensure(stats.get("wfi_exit_stat") >= 1, || {
        format!("no WFI was seen: {stats}")
    })?;
    ensure(stats.get("halt_wait_ns") > 0, || {
        format!("the vCPU never slept: {stats}")
    })?;
    Ok(report)
}

fn hw_wfi(env: &Env) -> Result<()> {
    let report = wfi(env, Mode::Hwaccel)?;

    ensure(report.guest_external > 0, || {
        format!("no guest file woke the vCPU: {report}")
    })
}

fn emul_wfi(env: &Env) -> Result<()> {
    let report = wfi(env, Mode::Emul)?;

    ensure(report.guest_external == 0, || {
        format!("a guest file woke an emulated vCPU: {report}")
    })
}

/// A guest that polls stopei with interrupts masked claims each MSI once, the
/// lowest identity first; and the console and doorbell of the VMM work.
fn polling(env: &Env, mode: Mode) -> Result<()> {
    let mut guest = env.boot(Config::new(1, mode))?;

    let last = guest
        .aia()
        .config(KVM_DEV_RISCV_AIA_CONFIG_IDS)
        .context("IDS")?;

    guest.call(0, op::IRQ_ENABLE, &[0])?;
    for id in [last, 5, 62, 33] {
        guest.signal_msi(0, id)?;
    }
    for (n, id) in [5, 33, 62, last].into_iter().enumerate() {
        guest.call(0, op::POLL_CLAIM, &[1])?;
        ensure(
            guest.count(0, id) == 1 && guest.total(0) == n as u64 + 1,
            || format!("claim {n} was not identity {id}"),
        )?;
    }
    guest.call(0, op::IRQ_ENABLE, &[1])?;
    guest.call(0, op::NOP, &[])?;
    ensure(guest.total(0) == 4, || "claimed twice".into())?;
    guest.call(0, op::WRITE32, &[DOORBELL, 1])?;
    ensure(guest.doorbell() == 1, || "no doorbell".into())?;
    // SBI debug console, write byte
    guest.call(0, op::SBI, &[0x4442_434e, 2, u64::from(b'!')])?;
    ensure(guest.console() == b"!", || {
        format!("console: {:?}", guest.console())
    })?;
    // SBI system reset, shutdown
    guest.give(0, op::SBI, &[0x5352_5354, 0, 0, 0]);
    let end = guest.wait_end(0)?;

    ensure(end == End::SystemEvent(KVM_SYSTEM_EVENT_SHUTDOWN), || {
        format!("shutdown gave {end:?}")
    })
}

fn hw_polling(env: &Env) -> Result<()> {
    polling(env, Mode::Hwaccel)
}

fn emul_polling(env: &Env) -> Result<()> {
    polling(env, Mode::Emul)
}

/// The device's view of a stopped vCPU's file, and an identity set pending by it.
fn state(env: &Env, mode: Mode) -> Result<()> {
    const EIDELIVERY: u32 = 0x70;
    const EITHRESHOLD: u32 = 0x72;
    const EIP0: u32 = 0x80;
    const EIE0: u32 = 0xc0;
    const PENDING: u64 = (1 << 9) | (1 << 61);
    let mut guest = Guest::new(
        &env.kvm,
        Config {
            ids: Some(63),
            ..Config::new(1, mode)
        },
    )?;
    let read = |g: &Guest, select| {
        g.aia()
            .imsic(0, select)
            .context(format!("reading IMSIC register {select:#x}"))
    };

    guest.boot(0, &[env.cpu(0)])?;
    guest.call(0, op::IREG_WRITE, &[EITHRESHOLD.into(), 60])?;
    guest.stop(0)?;
    for (select, wanted) in [(EIDELIVERY, 1), (EITHRESHOLD, 60), (EIP0, 0), (EIE0, !1u64)] {
        let got = read(&guest, select)?;

        ensure(got == wanted, || {
            format!("IMSIC register {select:#x} reads {got:#x} instead of {wanted:#x}")
        })?;
    }
    guest
        .aia()
        .set_imsic(0, EIP0, PENDING)
        .context("writing eip0")?;
    let got = read(&guest, EIP0)?;

    ensure(got == PENDING, || format!("eip0 reads {got:#x}"))?;
    guest.start(0, &[env.cpu(0)])?;
    guest.until(|g| g.count(0, 9) == 1, || "identity 9".into())?;
    guest.call(0, op::NOP, &[])?;
    ensure(guest.total(0) == 1, || {
        "identity 61 came in spite of the threshold".into()
    })?;
    guest.call(0, op::IREG_WRITE, &[EITHRESHOLD.into(), 0])?;
    guest.until(|g| g.count(0, 61) == 1, || "identity 61".into())?;
    ensure(guest.total(0) == 2, || {
        format!("{} interrupts instead of 2", guest.total(0))
    })
}

fn hw_state(env: &Env) -> Result<()> {
    state(env, Mode::Hwaccel)
}

fn emul_state(env: &Env) -> Result<()> {
    state(env, Mode::Emul)
}

/// Each guest file of a CPU belongs to one vCPU, and sits where the machine's
/// address map says: an MSI to that physical address reaches the vCPU.
fn places(env: &Env) -> Result<()> {
    const FIRST: u32 = 20;
    let imsics = env
        .imsics
        .as_ref()
        .ok_or_else(|| Error::new("the device tree shows no IMSIC"))?;
    let files = env.files as usize;
    let cpu = env.cpu(0);
    let mut guest = Guest::new(&env.kvm, Config::new(files, Mode::Hwaccel))?;

    for n in 0..files {
        guest.boot(n, &[cpu])?;
    }
    let all = |g: &Guest| (0..files).map(|n| g.total(n)).sum::<u64>();

    for line in 1..=env.files {
        imsics.send_to_guest_file(cpu, line, FIRST + line)?;
    }
    guest.until(
        |g| all(g) == env.files.into(),
        || format!("one MSI per guest file of CPU {cpu}, came {}", all(&guest)),
    )?;
    for n in 0..files {
        let lines: Vec<u32> = (1..=env.files)
            .filter(|line| guest.count(n, FIRST + line) != 0)
            .collect();

        ktap::diag(format!("vCPU {n}: guest file {lines:?} of CPU {cpu}"));
        ensure(lines.len() == 1 && guest.total(n) == 1, || {
            format!("vCPU {n} took the MSIs of guest files {lines:?}")
        })?;
    }

    // A file that belongs to nobody wakes nobody; one that follows its vCPU does.
    let Some(&other) = env.cpus.get(1) else {
        return Ok(());
    };
    for line in 1..=env.files {
        imsics.send_to_guest_file(other, line, FIRST)?;
    }
    guest.pin(0, &[other])?;
    guest.call(0, op::NOP, &[])?;
    ensure(all(&guest) == env.files.into(), || {
        format!("an MSI to a file of nobody on CPU {other} was taken")
    })?;
    let before = guest.total(0);

    for line in 1..=env.files {
        imsics.send_to_guest_file(other, line, FIRST + line)?;
    }
    guest.until(
        |g| g.total(0) != before,
        || format!("an MSI after the move to CPU {other}"),
    )?;
    guest.call(0, op::NOP, &[])?;
    ensure(
        guest.total(0) == before + 1 && all(&guest) == u64::from(env.files) + 1,
        || format!("{} MSIs after the move instead of 1", all(&guest)),
    )
}

/// The vCPU that finds no guest file is told so, and enters when one is free.
fn exhausted(env: &Env) -> Result<()> {
    let files = env.files as usize;
    let cpu = env.cpu(0);
    let mut guest = Guest::new(&env.kvm, Config::new(files + 1, Mode::Hwaccel))?;

    for n in 0..files {
        guest.boot(n, &[cpu])?;
    }
    for attempt in 0..3 {
        guest.start(files, &[cpu])?;
        let end = guest.wait_end(files)?;

        ensure(
            end == End::FailEntry {
                reason: NO_VSFILE,
                cpu: cpu as u32,
            },
            || format!("entry {attempt} without a guest file gave {end:?}"),
        )?;
    }
    // The others are none the worse for it.
    for n in 0..files {
        guest.send_from_host(n, 1, 20, 2, Guest::signal_msi)?;
        exact(&guest, n, 1, 20, 2)?;
    }
    if let Some(&other) = env.cpus.get(1) {
        // vCPU 0 leaves, its file is free once it runs elsewhere.
        guest.pin(0, &[other])?;
        guest.call(0, op::NOP, &[])?;
        let start = Instant::now();

        loop {
            guest.start(files, &[cpu])?;
            guest.give(files, op::TOUCH, &[]);
            guest.until(
                |g| g.done(files) || g.ended(files),
                || "the last vCPU".into(),
            )?;
            if guest.done(files) {
                break;
            }
            guest.wait_end(files)?;
            ensure(start.elapsed() < Duration::from_secs(20), || {
                "the guest file did not become free".into()
            })?;
        }
        guest.call(files, op::IMSIC_INIT, &[1, 63])?;
        guest.send_from_host(files, 1, 20, 2, Guest::signal_msi)?;
        exact(&guest, files, 1, 20, 2)?;
    }
    // All files come back with the end of the VM.
    drop(guest);
    let mut guest = Guest::new(&env.kvm, Config::new(files, Mode::Hwaccel))?;

    for n in 0..files {
        guest
            .boot(n, &[cpu])
            .context("after the end of the first VM")?;
    }
    Ok(())
}

/// More vCPUs than guest files in mode auto: all of them get every MSI, from
/// each other and from the host, and as many as there are files need no exit for it.
fn overcommit(env: &Env) -> Result<()> {
    const IDS: u32 = 40;
    const ROUNDS: u32 = 5;
    let files = env.files as usize;
    let vcpus = files + 2;
    let cpu = env.cpu(0);
    let mut guest = Guest::new(&env.kvm, Config::new(vcpus, Mode::Auto))?;
    let mut accelerated = 0;

    for n in 0..vcpus {
        guest.boot(n, &[cpu])?;
    }
    for n in 0..vcpus {
        let report = measure(&mut guest, &[n], &[cpu], |g| {
            g.send_from_host(n, 1, IDS, ROUNDS, Guest::signal_msi)
        })?;

        exact(&guest, n, 1, IDS, ROUNDS)?;
        if report.traps == 0 {
            accelerated += 1;
        } else {
            exits_each(&report, (IDS * ROUNDS).into())?;
        }
    }
    ensure(accelerated == files, || {
        format!("{accelerated} of {vcpus} vCPUs took MSIs without exits; there are {files} files")
    })?;
    // A ring: each vCPU sends to the next, some to a guest file and some to software.
    for n in 0..vcpus {
        guest.give_send(n, (n + 1) % vcpus, 1, IDS, ROUNDS.into());
    }
    for n in 0..vcpus {
        let [sent, _] = guest.wait(n)?;

        ensure(sent == u64::from(IDS * ROUNDS), || {
            format!("vCPU {n} saw {sent} of {IDS} * {ROUNDS} MSIs arrive once")
        })?;
    }
    for n in 0..vcpus {
        exact(&guest, n, 1, IDS, 2 * ROUNDS)?;
    }
    Ok(())
}

/// Two VMs share the guest files of a CPU; neither gets the other's MSIs.
fn two_vms(env: &Env) -> Result<()> {
    const IDS: u32 = 40;
    const ROUNDS: u32 = 10;
    let mode = if env.files == 0 {
        Mode::Emul
    } else {
        Mode::Auto
    };
    let cfg = Config::new(2, mode);
    let mut guests = [env.boot(cfg)?, env.boot(cfg)?];

    for g in &guests {
        g.give_send(1, 0, 1, IDS, ROUNDS.into());
        g.give_send(0, 1, 1, IDS, ROUNDS.into());
    }
    guests[0].send_from_host(0, 41, 20, 3, Guest::signal_msi)?;
    for g in &mut guests {
        for n in 0..2 {
            let [sent, _] = g.wait(n)?;

            ensure(sent == u64::from(IDS * ROUNDS), || {
                format!("vCPU {n} saw {sent} of {IDS} * {ROUNDS} MSIs arrive once")
            })?;
        }
    }
    exact(&guests[1], 0, 1, IDS, ROUNDS)?;
    exact(&guests[1], 1, 1, IDS, ROUNDS)?;
    exact(&guests[0], 1, 1, IDS, ROUNDS)?;
    ensure(
        guests[0].total(0) == u64::from(IDS * ROUNDS + 20 * 3),
        || format!("{} interrupts", guests[0].total(0)),
    )
}

/// MSIs flow to vCPU 0 by `round`, again and again, while it changes its CPU.
/// Gives the number of rounds.
fn moving(env: &Env, guest: &Guest, mut round: impl FnMut() -> Result<()>) -> Result<u32> {
    /// Moves after which MSIs arrived before the next.
    const MOVES: u32 = 150;
    let failed = AtomicBool::new(false);

    scope(|s| {
        let mover = s.spawn(|| {
            let mut last = Instant::now();
            let (mut moves, mut fruitful) = (0, 0);

            while fruitful < MOVES && !failed.load(Ordering::Relaxed) {
                let seen = guest.total(0);

                guest.pin(0, &[env.cpu(moves as usize + 1)])?;
                moves += 1;
                sleep(Duration::from_micros(700));
                if guest.total(0) != seen {
                    fruitful += 1;
                    last = Instant::now();
                }
                ensure(last.elapsed() < PATIENCE, || {
                    format!("only {fruitful} of {moves} moves met MSIs")
                })?;
            }
            Ok::<u32, Error>(moves)
        });
        let mut rounds = 0;
        let mut sent = Ok(());

        while sent.is_ok() && !mover.is_finished() {
            sent = round();
            rounds += 1;
        }
        failed.store(sent.is_err(), Ordering::Relaxed);
        let moves = mover
            .join()
            .map_err(|_| Error::new("the moving thread panicked"))?;

        sent.context(format!("round {rounds}, after {moves:?} moves"))?;
        ktap::diag(format!(
            "{} moves, {rounds} rounds, {} MSIs",
            moves?,
            guest.total(0)
        ));
        Ok(rounds)
    })
}

/// MSIs from the host to a vCPU that keeps moving.
fn move_host(env: &Env, mode: Mode) -> Result<()> {
    const IDS: u32 = 60;
    let guest = env.boot(Config::new(1, mode))?;
    let rounds = moving(env, &guest, || {
        guest.send_from_host(0, 1, IDS, 1, Guest::signal_msi)
    })?;

    exact(&guest, 0, 1, IDS, rounds)
}

fn hw_move_host(env: &Env) -> Result<()> {
    move_host(env, Mode::Hwaccel)
}

fn emul_move_host(env: &Env) -> Result<()> {
    move_host(env, Mode::Emul)
}

/// MSIs from another vCPU, which stays where it is, to one that keeps moving.
fn move_vcpu(env: &Env, mode: Mode) -> Result<()> {
    const IDS: u32 = 60;
    const ROUNDS: u32 = 20;
    let guest = env.boot(Config::new(2, mode))?;
    let rounds = moving(env, &guest, || {
        guest.give_send(1, 0, 1, IDS, ROUNDS.into());
        let [sent, _] = guest.wait(1)?;

        ensure(sent == u64::from(IDS * ROUNDS), || {
            format!("the sender saw {sent} of {IDS} * {ROUNDS} MSIs arrive once")
        })
    })?;

    exact(&guest, 0, 1, IDS, rounds * ROUNDS)
}

fn hw_move_vcpu(env: &Env) -> Result<()> {
    move_vcpu(env, Mode::Hwaccel)
}

/// As above where the moving vCPU finds a guest file on some CPUs only: the
/// first CPU's are all taken.
fn auto_move_vcpu(env: &Env) -> Result<()> {
    let cpu = env.cpu(0);
    let files = env.files as usize;
    let mut others = Guest::new(&env.kvm, Config::new(files, Mode::Hwaccel))?;

    for n in 0..files {
        others.boot(n, &[cpu])?;
        // It keeps its file, and leaves the CPU to the others.
        others.stop(n)?;
    }
    move_vcpu(env, Mode::Auto)?;
    for n in 0..files {
        others.start(n, &[cpu])?;
        others.send_from_host(n, 1, 10, 1, Guest::signal_msi)?;
        exact(&others, n, 1, 10, 1)?;
    }
    Ok(())
}

/// A test: what it shows, what it needs, and the test.
type Test = (&'static str, Need, fn(&Env) -> Result<()>);

const TESTS: &[Test] = &[
    (
        "KVM finds the guest files that the machine has",
        Need::Nothing,
        file_count,
    ),
    (
        "hwaccel and auto are accepted only where there are guest files",
        Need::Nothing,
        modes,
    ),
    (
        "emul: MSIs of a vCPU to itself, exact, exits for each",
        Need::Nothing,
        emul_self,
    ),
    (
        "emul: MSIs between vCPUs, exact, exits for each",
        Need::Nothing,
        emul_other,
    ),
    (
        "emul: MSIs with guest index bits in the address",
        Need::Nothing,
        emul_guest_bits,
    ),
    (
        "emul: MSIs by KVM_SIGNAL_MSI, exact, exits for each",
        Need::Nothing,
        emul_signal,
    ),
    (
        "emul: MSIs by irqfd, exact, exits for each",
        Need::Nothing,
        emul_irqfd,
    ),
    (
        "emul: wires by KVM_IRQ_LINE, exact, exits for each",
        Need::Nothing,
        emul_wires,
    ),
    ("emul: MSIs wake a vCPU in WFI", Need::Nothing, emul_wfi),
    (
        "emul: claims by polling, console, doorbell, shutdown",
        Need::Nothing,
        emul_polling,
    ),
    (
        "emul: registers by the device, pending bits set by it",
        Need::Nothing,
        emul_state,
    ),
    (
        "emul: no MSI is lost while the vCPU moves",
        Need::FilesAndCpus(0, 2),
        emul_move_host,
    ),
    (
        "guest file: MSIs of a vCPU to itself, exact, no exit",
        Need::Files(1),
        hw_self,
    ),
    (
        "guest file: MSIs between vCPUs, exact, no exit",
        Need::Vcpus(2),
        hw_other,
    ),
    (
        "guest file: MSIs with guest index bits, exact, no exit",
        Need::Vcpus(2),
        hw_guest_bits,
    ),
    (
        "guest file: MSIs by KVM_SIGNAL_MSI, exact, no exit",
        Need::Files(1),
        hw_signal,
    ),
    (
        "guest file: MSIs by irqfd, exact, no exit",
        Need::Files(1),
        hw_irqfd,
    ),
    (
        "guest file: wires by KVM_IRQ_LINE, exact, no exit",
        Need::Files(1),
        hw_wires,
    ),
    (
        "guest file: MSIs wake a vCPU in WFI",
        Need::Files(1),
        hw_wfi,
    ),
    (
        "guest file: claims by polling, console, doorbell, shutdown",
        Need::Files(1),
        hw_polling,
    ),
    (
        "guest file: registers by the device, pending bits set by it",
        Need::Files(1),
        hw_state,
    ),
    (
        "guest files are where the address map says, one vCPU in each",
        Need::Files(1),
        places,
    ),
    (
        "hwaccel without a free guest file fails the entry, and only that",
        Need::Files(1),
        exhausted,
    ),
    (
        "auto with more vCPUs than guest files delivers every MSI",
        Need::Files(1),
        overcommit,
    ),
    (
        "two VMs share the guest files, and nothing else",
        Need::Nothing,
        two_vms,
    ),
    (
        "guest file: no MSI of the host is lost while the vCPU moves",
        Need::FilesAndCpus(1, 2),
        hw_move_host,
    ),
    (
        "guest file: no MSI of a vCPU is lost while the other moves",
        Need::FilesAndCpus(2, 2),
        hw_move_vcpu,
    ),
    (
        "auto: none is lost moving between guest file and software",
        Need::FilesAndCpus(1, 2),
        auto_move_vcpu,
    ),
];

/// What the machine has, or why nothing can be tested there.
fn look() -> Result<Result<Env, String>> {
    let has_h = host::has_hypervisor()?;
    let kvm = match Kvm::new() {
        Ok(kvm) => kvm,
        Err(e) if has_h => return Err(Error::new(format!("/dev/kvm: {e}"))),
        Err(_) => return Ok(Err("no hypervisor extension".into())),
    };
    let imsics = Imsics::read()?;

    if !kvm.check_extension(Cap::Irqchip) {
        return if imsics.is_none() {
            Ok(Err("KVM has no AIA on this machine".into()))
        } else {
            Err(Error::new("KVM has no AIA, but the machine has an IMSIC"))
        };
    }
    let expected = match env::var("AIA_ARG_kvm_guestfile") {
        Ok(n) => Some(n.parse().context("AIA_ARG_kvm_guestfile")?),
        Err(_) => None,
    };
    let files = host::kvm_guest_files()?.or(expected).ok_or_else(|| {
        Error::new("neither the kernel's log nor the argument tells the number of guest files")
    })?;

    Ok(Ok(Env {
        kvm,
        cpus: host::online_cpus()?,
        files,
        expected,
        imsics,
    }))
}

fn main() -> ExitCode {
    let env = match look() {
        Ok(Ok(env)) => env,
        Ok(Err(why)) => return Tap::skip_all(why),
        Err(e) => Tap::new(TESTS.len()).bail_out(e),
    };
    let mut tap = Tap::new(TESTS.len());

    tap.diag(format!(
        "{} CPUs, {} guest files each",
        env.cpus.len(),
        env.files
    ));
    for &(name, need, test) in TESTS {
        match need.missing(&env) {
            Some(why) => tap.skip(why, name),
            None => {
                tap.check(test(&env), name);
            }
        }
    }
    tap.finish()
}
