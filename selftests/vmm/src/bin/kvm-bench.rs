// SPDX-License-Identifier: GPL-2.0

//! Goes the paths of KVM's interrupt controllers again and again, for `make bench`, which counts what
//! each costs. As a test, it shows that the benchmark measures what it says: each interrupt arrives.

use irqtest::bench::path;
use std::{
    hint,
    process::ExitCode,
    sync::{
        atomic::{
            AtomicBool,
            Ordering::Relaxed, //
        },
        Arc, //
    },
    thread::{
        self,
        JoinHandle, //
    },
};
use vmm::{
    abi::{
        op,
        APLIC_BASE, //
    },
    ensure,
    exact,
    host,
    suite,
    Config,
    End,
    Guest,
    Machine,
    Mode,
    Need::{
        Files,
        FilesAndCpus,
        Nothing, //
    },
    Result,
    Test, //
};

const IDS: u32 = 10;
const ROUNDS: u32 = 10;

/// Interrupts are delivered, by MSIs.
const DOMAINCFG_IE_DM: u64 = (1 << 8) | (1 << 2);

/// MSIs of the host.
fn signal<const N: i16>(m: &Machine, mode: Mode, name: &str) -> Result<()> {
    let guest = m.boot(Config::new(1, mode))?;

    path::<N, _>(name, || {
        guest.send_from_host(0, 1, IDS, ROUNDS, Guest::signal_msi)
    })?;
    exact(&guest, 0, 1, IDS, ROUNDS)
}

/// Edges of a wire of the guest's APLIC.
fn wire<const N: i16>(m: &Machine, mode: Mode, name: &str) -> Result<()> {
    const SOURCECFG: u64 = 0x4;
    const EDGE_RISE: u64 = 4;
    const SETIENUM: u64 = 0x1edc;
    const TARGET: u64 = 0x3004;
    const FIRST: u32 = 40;
    let cfg = Config {
        sources: IDS,
        ..Config::new(1, mode)
    };
    let guest = m.boot(cfg)?;

    for s in 1..=u64::from(IDS) {
        let word = 4 * (s - 1);
        let to = u64::from(FIRST) + s - 1;

        guest.call(0, op::WRITE32, &[APLIC_BASE + SOURCECFG + word, EDGE_RISE])?;
        guest.call(0, op::WRITE32, &[APLIC_BASE + TARGET + word, to])?;
        guest.call(0, op::WRITE32, &[APLIC_BASE + SETIENUM, s])?;
    }
    guest.call(0, op::WRITE32, &[APLIC_BASE, DOMAINCFG_IE_DM])?;
    path::<N, _>(name, || {
        guest.send_from_host(0, FIRST, IDS, ROUNDS, |g, _, id| {
            let line = id - FIRST + 1;

            g.irq_line(line, true)?;
            g.irq_line(line, false)
        })
    })?;
    exact(&guest, 0, FIRST, IDS, ROUNDS)
}

/// MSIs of a vCPU to itself.
fn itself<const N: i16>(m: &Machine, mode: Mode, name: &str) -> Result<()> {
    let guest = m.boot(Config::new(1, mode))?;

    path::<N, _>(name, || {
        guest.give_send(0, 0, 1, IDS, ROUNDS.into());
        guest.wait(0)
    })?;
    exact(&guest, 0, 1, IDS, ROUNDS)
}

/// Exits that have nothing to do with interrupts, and entries.
fn entries<const N: i16>(m: &Machine, mode: Mode, name: &str) -> Result<()> {
    const BASE: u64 = 0x10;
    let guest = m.boot(Config::new(1, mode))?;

    path::<N, _>(name, || {
        (0..IDS * ROUNDS).try_for_each(|_| guest.sbi(0, BASE, 0, &[]).map(drop))
    })
}

/// Keeps a CPU from sleeping, as long as it lives.
struct KeptAwake {
    end: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl KeptAwake {
    fn new(cpu: usize) -> Self {
        let end = Arc::new(AtomicBool::new(false));
        let seen = end.clone();
        let thread = thread::spawn(move || {
            // Where it cannot be there, or would be in the way, it is of no use.
            if host::pin_self(&[cpu]).and_then(|()| host::idle()).is_ok() {
                while !seen.load(Relaxed) {
                    hint::spin_loop();
                }
            }
        });

        Self {
            end,
            thread: Some(thread),
        }
    }
}

impl Drop for KeptAwake {
    fn drop(&mut self) {
        self.end.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            // It does not panic.
            let _ = thread.join();
        }
    }
}

/// A vCPU goes from CPU to CPU, with its guest file. The others of so many have never run.
///
/// The CPU that it comes from is asked for the registers of the file, and does not sleep: how long it
/// takes to wake up is not what is counted.
fn moves<const N: i16>(m: &Machine, vcpus: usize) -> Result<()> {
    let mut guest = Guest::new(m.kvm(), Config::new(vcpus, Mode::Hwaccel))?;
    let _awake = [m.cpu(0), m.cpu(1)].map(KeptAwake::new);

    guest.boot(0, &[m.cpu(0)])?;
    path::<N, _>(&format!("KVM: move of a guest file, {vcpus} vCPUs"), || {
        (1..=40 * ROUNDS as usize).try_for_each(|round| {
            guest.pin(0, &[m.cpu(round)])?;
            guest.call(0, op::NOP, &[]).map(drop)
        })
    })
}

/// There is a vCPU more than guest files: who runs takes the file of who has left the CPU first. The
/// drivers in C have that for nobody.
fn takes<const N: i16>(m: &Machine) -> Result<()> {
    let cpu = m.cpu(0);
    let last = m.files_of(cpu) as usize;
    let mut guest = Guest::new(m.kvm(), Config::new(last + 1, Mode::Hwaccel))?;

    for n in 0..last {
        guest.boot(n, &[cpu])?;
    }
    if !m.overcommits()? {
        guest.start(last, &[cpu])?;
        let end = guest.wait_end(last)?;

        return ensure(matches!(end, End::FailEntry { .. }), || {
            format!("a vCPU without a guest file ended by {end:?}")
        });
    }
    guest.boot(last, &[cpu])?;
    path::<N, _>("KVM: guest file of another vCPU", || {
        (0..5 * ROUNDS as usize)
            .try_for_each(|round| guest.call(round % (last + 1), op::NOP, &[]).map(drop))
    })?;
    let taken: Result<u64> = (0..=last).try_fold(0, |taken, n| {
        Ok(taken + guest.stats(n)?.get("aia_file_steals"))
    });

    ensure(taken? >= u64::from(ROUNDS), || {
        "hardly a guest file was taken".into()
    })
}

/// The guest writes `domaincfg` of an APLIC with so many sources, all of them idle.
fn domaincfg<const N: i16>(m: &Machine, sources: u32) -> Result<()> {
    let guest = m.boot(Config {
        sources,
        ..Config::new(1, Mode::Emul)
    })?;

    path::<N, _>(
        &format!("KVM: guest write to domaincfg, {sources} sources"),
        || {
            (0..IDS * ROUNDS).try_for_each(|_| {
                guest
                    .call(0, op::WRITE32, &[APLIC_BASE, DOMAINCFG_IE_DM])
                    .map(drop)
            })
        },
    )
}

const TESTS: &[Test] = &[
    ("memory: KVM_SIGNAL_MSI", Nothing, |m| {
        signal::<20>(m, Mode::Emul, "KVM: MSI to memory")
    }),
    ("guest file: KVM_SIGNAL_MSI", Files(1), |m| {
        signal::<21>(m, Mode::Hwaccel, "KVM: MSI to a guest file")
    }),
    ("memory: wires", Nothing, |m| {
        wire::<22>(m, Mode::Emul, "KVM: wire, memory")
    }),
    ("guest file: wires", Files(1), |m| {
        wire::<23>(m, Mode::Hwaccel, "KVM: wire, guest file")
    }),
    ("memory: MSIs to itself", Nothing, |m| {
        itself::<24>(m, Mode::Emul, "KVM: MSI of a vCPU to itself, memory")
    }),
    ("memory: entries", Nothing, |m| {
        entries::<25>(m, Mode::Emul, "KVM: guest entry, memory")
    }),
    ("guest file: entries", Files(1), |m| {
        entries::<26>(m, Mode::Hwaccel, "KVM: guest entry, guest file")
    }),
    ("guest file: moves", FilesAndCpus(1, 2), |m| {
        moves::<27>(m, 1)?;
        moves::<28>(m, 4)?;
        moves::<29>(m, 16)?;
        moves::<30>(m, 64)
    }),
    ("guest file: taken from others", Files(1), |m| {
        takes::<35>(m)
    }),
    ("APLIC: writes to domaincfg", Nothing, |m| {
        domaincfg::<31>(m, 31)?;
        domaincfg::<32>(m, 63)?;
        domaincfg::<33>(m, 127)?;
        domaincfg::<34>(m, 254)
    }),
];

fn main() -> ExitCode {
    suite::run(TESTS)
}
