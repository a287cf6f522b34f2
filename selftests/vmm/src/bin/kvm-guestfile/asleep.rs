// SPDX-License-Identifier: GPL-2.0

//! vCPUs in WFI that change their CPU: each WFI puts them to sleep, and each MSI
//! wakes them up (57f576e860d3, 4cec89db80ba, 873f10cf8e4d).

use kvm_bindings::{
    KVM_DEV_RISCV_AIA_CONFIG_IDS,
    KVM_REG_RISCV,
    KVM_REG_RISCV_CSR,
    KVM_REG_SIZE_U64, //
};
use std::{
    thread::sleep,
    time::{
        Duration,
        Instant, //
    },
};
use vmm::{
    abi::{
        csr,
        op, //
    },
    ensure,
    exact,
    host::{
        set_online,
        Interrupts,
        Thread, //
    },
    probe::{
        Probe,
        NO_INTERRUPT, //
    },
    regs::imsic::{
        EIDELIVERY,
        EIE0,
        EIP0,
        EITHRESHOLD, //
    },
    same,
    Config,
    Context,
    Error,
    Guest,
    Machine,
    Mode,
    Result,
    Stats,
    PATIENCE, //
};

/// sie of KVM_GET_ONE_REG.
const SIE: u64 = KVM_REG_RISCV as u64 | KVM_REG_SIZE_U64 | KVM_REG_RISCV_CSR as u64 | 1;

/// CPUs that a vCPU visits.
const MOVES: usize = 16;

/// Waits until vCPU 0 is asleep on `cpu`: KVM has blocked it, and nothing of it
/// runs for a while.
fn asleep(guest: &Guest, cpu: usize) -> Result<Stats> {
    const WHILE: Duration = Duration::from_millis(15);
    let start = Instant::now();

    loop {
        let thread = Thread::named("vcpu0")?;
        let before = guest.stats(0)?;
        let Ok(ran) = thread.run_time() else {
            // It was the one of the machine before, which has ended.
            continue;
        };

        sleep(WHILE);
        let after = guest.stats(0)?;
        let (Ok((sleeps, on)), Ok(runs)) = (thread.sleeps(), thread.run_time()) else {
            continue;
        };
        let ran = runs - ran;

        if sleeps
            && after.get("blocking") == 1
            && after.exits() == before.exits()
            && ran < WHILE.as_nanos() as u64 / 3
        {
            same(on, cpu, || "the CPU on which the vCPU fell asleep".into())?;
            return Ok(after);
        }
        ensure(start.elapsed() < PATIENCE, || {
            format!(
                "vCPU 0 does not sleep on CPU {cpu}: it ran {ran} ns on CPU {on}, {}",
                after.since(&before)
            )
        })?;
    }
}

/// The vCPU is made to move while it sleeps, by the MSI that wakes it up.
fn woken(m: &Machine, mode: Mode) -> Result<()> {
    let guest = m.boot(Config::new(1, mode))?;

    guest.give(0, op::WFI_UNTIL, &[MOVES as u64]);
    let mut before = asleep(&guest, m.cpu(0))?;
    let thread = Thread::named("vcpu0")?;
    for n in 1..=MOVES {
        let (old, new) = (m.cpu(n - 1), m.cpu(n));
        let (irqs, preemptions) = (Interrupts::read(old)?, thread.preemptions()?);

        guest.pin(0, &[new])?;
        guest
            .send_from_host(0, 11, 1, 1, Guest::signal_msi)
            .map_err(|e| {
                let stats = guest.stats(0).map(|stats| stats.since(&before).to_string());

                Error::new(format!(
                    "{e}, {n} of {MOVES}, CPU {old} to {new}, asleep: {:?}, {stats:?}",
                    thread.sleeps()
                ))
            })?;
        let irqs = Interrupts::read(old)?.since(&irqs).guest_external;

        // Where it slept.
        ensure((irqs != 0) == (mode == Mode::Hwaccel), || {
            format!("CPU {old} got {irqs} interrupts of guest files for MSI {n}")
        })?;
        if n == MOVES {
            break;
        }
        let now = asleep(&guest, new)?;
        let stats = now.since(&before);

        same(stats.get("wfi_exit_stat"), 1, || {
            format!("WFIs between MSIs {n} and {}: {stats}", n + 1)
        })?;
        // Another one comes each time that the thread was preempted on the way out.
        let most = 1 + thread.preemptions()? - preemptions;

        ensure((1..=most).contains(&stats.get("halt_wakeup")), || {
            format!("MSI {n} did not wake the vCPU up once: {stats}")
        })?;
        before = now;
    }
    guest.wait(0)?;
    exact(&guest, 0, 11, 1, MOVES as u32)
}

pub(crate) fn hw_woken(m: &Machine) -> Result<()> {
    woken(m, Mode::Hwaccel)
}

pub(crate) fn emul_woken(m: &Machine) -> Result<()> {
    woken(m, Mode::Emul)
}

/// The vCPU moves without an interrupt, and waits again where it came to.
fn moved(m: &Machine, mode: Mode) -> Result<()> {
    let mut guest = m.boot(Config::new(1, mode))?;

    guest.give(0, op::WFI_UNTIL, &[1]);
    let mut before = asleep(&guest, m.cpu(0))?;
    for n in 1..=MOVES {
        guest.stop(0)?;
        guest.start(0, &[m.cpu(n)])?;
        let now = asleep(&guest, m.cpu(n))?;
        let stats = now.since(&before);

        // The WFI that was left ends without a cause, and the guest tries again.
        same(
            (stats.get("wfi_exit_stat"), stats.get("halt_wakeup")),
            (1, 0),
            || format!("WFIs and wake-ups of move {n}: {stats}"),
        )?;
        before = now;
    }
    guest.send_from_host(0, 11, 1, 1, Guest::signal_msi)?;
    guest.wait(0)?;
    exact(&guest, 0, 11, 1, 1)
}

pub(crate) fn hw_moved(m: &Machine) -> Result<()> {
    moved(m, Mode::Hwaccel)
}

pub(crate) fn emul_moved(m: &Machine) -> Result<()> {
    moved(m, Mode::Emul)
}

/// The CPU goes through an idle state that loses its CSRs, while the vCPU sleeps there.
pub(crate) fn hw_idle(m: &Machine) -> Result<()> {
    const ROUNDS: usize = 4;
    let probe = Probe::load()?;
    let guest = m.boot(Config::new(1, Mode::Hwaccel))?;

    guest.give(0, op::WFI_UNTIL, &[ROUNDS as u64]);
    for n in 1..=ROUNDS {
        let cpu = m.cpu(n - 1);

        asleep(&guest, cpu)?;
        let irqs = Interrupts::read(cpu)?;

        let idle = probe.idle(cpu)?;

        ensure(idle.hgeie[0] != 0 && idle.hgeie[0] == idle.hgeie[1], || {
            format!("hgeie of CPU {cpu} before and after: {:#x?}", idle.hgeie)
        })?;
        same((idle.hvictl, idle.hviprio), (NO_INTERRUPT, [0; 2]), || {
            format!("hvictl and hviprio of CPU {cpu} after it")
        })?;
        guest.pin(0, &[m.cpu(n)])?;
        guest.send_from_host(0, 11, 1, 1, Guest::signal_msi)?;
        let irqs = Interrupts::read(cpu)?.since(&irqs).guest_external;

        ensure(irqs != 0, || {
            format!("no interrupt of a guest file of CPU {cpu} for MSI {n}")
        })?;
    }
    guest.wait(0)?;
    exact(&guest, 0, 11, 1, ROUNDS as u32)
}

/// A CPU that goes forgets for whom it has saved that he waits: when it is back, nobody does.
pub(crate) fn hw_gone(m: &Machine) -> Result<()> {
    let _back = m.cpus_back();
    let probe = Probe::load()?;
    let cpu = m.cpu(1);
    let mut guest = Guest::new(m.kvm(), Config::new(1, Mode::Hwaccel))?;

    guest.boot(0, &[cpu])?;
    guest.park(0);
    asleep(&guest, cpu)?;
    let [hgeie, _] = probe.idle(cpu)?.hgeie;

    ensure(hgeie != 0, || {
        format!("nobody waits on CPU {cpu} but the vCPU")
    })?;
    guest.stop(0)?;
    set_online(cpu, false)?;
    set_online(cpu, true)?;
    same(probe.idle(cpu)?.hgeie, [0; 2], || {
        format!("hgeie of CPU {cpu} when it is back, and after an idle state")
    })
}

/// The system sleeps, and its last CPU loses what its guest files hold: a vCPU that does not run
/// finds all of it, and one in WFI is woken up.
pub(crate) fn hw_suspend(m: &Machine) -> Result<()> {
    const ROUNDS: u32 = 4;
    let _back = m.cpus_back();
    let probe = Probe::load()?;
    let cpu = m.cpu(0);
    let mut guest = Guest::new(m.kvm(), Config::new(2, Mode::Auto))?;
    let last: u32 = guest
        .aia()
        .config(KVM_DEV_RISCV_AIA_CONFIG_IDS)
        .context("IDS")?;
    let words = (last + 1) / 64;

    for vcpu in 0..2 {
        guest.boot(vcpu, &[cpu])?;
    }
    guest.give(0, op::WFI_UNTIL, &[u64::from(ROUNDS)]);
    for &other in &m.cpus()[1..] {
        set_online(other, false)?;
    }
    for round in 1..=ROUNDS {
        asleep(&guest, cpu)?;
        guest.stop(1)?;
        for id in [3, last - 1] {
            guest.signal_msi(1, id)?;
        }
        let state = || {
            (0..words)
                .flat_map(|word| [EIP0 + 2 * word, EIE0 + 2 * word])
                .chain([EIDELIVERY, EITHRESHOLD])
                .map(|select| guest.aia().imsic(1, select))
                .collect::<Result<Vec<_>, _>>()
                .context("registers of vCPU 1")
        };
        let before = state()?;

        probe.sleep(m.files_of(cpu), words)?;
        same(state()?, before, || {
            format!("registers of vCPU 1 after sleep {round}")
        })?;
        guest.send_from_host(0, 11, 1, 1, Guest::signal_msi)?;
        guest.start(1, &[cpu])?;
        guest.until(
            |g| [3, last - 1].iter().all(|id| g.count(1, *id) == round),
            || format!("MSIs from before sleep {round}"),
        )?;
    }
    guest.wait(0)?;
    exact(&guest, 0, 11, 1, ROUNDS)?;
    same(guest.total(1), u64::from(2 * ROUNDS), || {
        "interrupts of vCPU 1".into()
    })
}

/// vCPUs that share a CPU fall asleep one after the other, while the MSI for the next one
/// comes: none oversleeps it.
pub(crate) fn hw_others(m: &Machine) -> Result<()> {
    const ROUNDS: u32 = 400;
    const ID: u32 = 11;
    let vcpus = 4.min(m.files() as usize);
    let mut guest = Guest::new(m.kvm(), Config::new(vcpus, Mode::Hwaccel))?;

    for vcpu in 0..vcpus {
        guest.boot(vcpu, &[m.cpu(1)])?;
        guest.park(vcpu);
    }
    for n in 1..=ROUNDS {
        // From its interrupt to its sleep, a vCPU takes nobody knows how long.
        let pause = Duration::from_micros(u64::from(n % 40));

        for vcpu in 0..vcpus {
            guest.signal_msi(vcpu, ID)?;
            let sent = Instant::now();

            while guest.count(vcpu, ID) < n {
                ensure(sent.elapsed() < PATIENCE, || {
                    format!("vCPU {vcpu} oversleeps MSI {n}")
                })?;
            }
            let came = Instant::now();

            while came.elapsed() < pause {}
        }
    }
    for vcpu in 0..vcpus {
        exact(&guest, vcpu, ID, 1, ROUNDS)?;
    }
    Ok(())
}

/// Interrupts by which guest files of `cpu` want to wake vCPUs up, in a moment that is long enough for
/// thousands.
fn wakings(cpu: usize) -> Result<u64> {
    let before = Interrupts::read(cpu)?;

    sleep(Duration::from_millis(300));
    Ok(Interrupts::read(cpu)?.since(&before).guest_external)
}

/// A few may be underway.
const FEW: u64 = 3;

/// A vCPU that waits for something else than external interrupts is not woken up by one that is
/// pending, over and over; it takes it when it enables it.
pub(crate) fn hw_disabled(m: &Machine) -> Result<()> {
    const SEIE: u64 = 1 << 9;
    const ID: u32 = 11;
    let cpu = m.cpu(0);

    for early in [true, false] {
        let mut guest = m.boot(Config::new(1, Mode::Hwaccel))?;

        guest.mask(0)?;
        guest.csr_write(0, csr::SIE, csr::CLEAR, SEIE)?;
        if early {
            guest.signal_msi(0, ID)?;
        }
        guest.give(0, op::WFI, &[]);
        if !early {
            asleep(&guest, cpu)?;
            guest.signal_msi(0, ID)?;
        }
        let wakings = wakings(cpu)?;

        ensure(wakings <= FEW, || {
            format!("{wakings} interrupts for an MSI that the vCPU does not wait for")
        })?;
        asleep(&guest, cpu)?;
        // By user space, as the guest is asleep.
        guest.stop(0)?;
        guest.set_reg(0, SIE, SEIE)?;
        guest.start(0, &[cpu])?;
        guest.wait(0)?;
        guest.unmask(0)?;
        guest.until(|g| g.count(0, ID) == 1, || "the MSI".into())?;
        // And now it waits for them.
        guest.mask(0)?;
        guest.give(0, op::WFI, &[]);
        asleep(&guest, cpu)?;
        guest.signal_msi(0, ID)?;
        guest.wait(0)?;
        guest.unmask(0)?;
        guest.until(|g| g.count(0, ID) == 2, || "the second MSI".into())?;
        exact(&guest, 0, ID, 1, 2)?;
    }
    Ok(())
}

/// Nor is a vCPU that was stopped while it waited, here by another one that ends the machine.
pub(crate) fn hw_ended(m: &Machine) -> Result<()> {
    const SBI_SRST: u64 = 0x5352_5354;
    let mut guest = Guest::new(m.kvm(), Config::new(2, Mode::Hwaccel))?;
    let cpu = m.cpu(1);

    guest.boot(0, &[m.cpu(0)])?;
    guest.boot(1, &[cpu])?;
    guest.park(1);
    guest.until(
        |g| g.stats(1).is_ok_and(|s| s.get("blocking") == 1),
        || "vCPU 1 to wait".into(),
    )?;
    guest.give(0, op::SBI, &[SBI_SRST]);
    guest.wait_end(0)?;
    guest.signal_msi(1, 11)?;
    let wakings = wakings(cpu)?;

    ensure(wakings <= FEW, || {
        format!("{wakings} interrupts for an MSI to a vCPU that is stopped")
    })?;
    same(guest.total(1), 0, || {
        "interrupts of a vCPU that is stopped".into()
    })
}
