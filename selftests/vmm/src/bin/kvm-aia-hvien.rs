// SPDX-License-Identifier: GPL-2.0

//! The CSR hvien, of which KVM has one bit: it comes and goes with KVM's use of a
//! CPU, and KVM leaves the others alone (ea6398a5af81). And hvictl, which injects
//! nothing while no guest runs, and priorities, which no guest finds that has not set
//! them, whatever a CPU brings along.
//!
//! That KVM's bit is there, the tester has to say, by `kvm_hvien=1`.

use std::process::ExitCode;
use vmm::{
    diag,
    ensure,
    host::{
        has_extension,
        set_online, //
    },
    probe::{
        Probe,
        NO_INTERRUPT, //
    },
    same,
    suite,
    Config,
    Guest,
    Machine,
    Need,
    Result,
    Test, //
};

/// KVM's: overflow interrupts of performance counters, with Sscofpmf.
const OVERFLOW: u64 = 1 << 13;
/// Somebody else's. Interrupts 48 to 63 are for custom use (AIA 1.6).
const FOREIGN: u32 = 50;
const FOREIGN_BIT: u64 = 1 << FOREIGN;
/// The second time a machine has run on each CPU.
const ROUNDS: u32 = 2;

/// The foreign bit of all CPUs, until this is dropped.
struct Foreign {
    probe: Probe,
    /// What KVM adds.
    kvm: u64,
}

impl Foreign {
    fn new(m: &Machine) -> Result<Self> {
        let probe = Probe::load()?;

        probe.set_hvien(FOREIGN)?;
        let mask = probe.hvien(m.cpu(0))?.mask;
        let kvm = if suite::says("kvm_hvien")? {
            OVERFLOW
        } else {
            0
        };

        diag(format!("hvien has the bits {mask:#x}, {kvm:#x} for KVM"));
        same(has_extension("sscofpmf")?, kvm != 0, || {
            "Sscofpmf, for which KVM has its bit".into()
        })?;
        same(mask & OVERFLOW, kvm, || "KVM's bit of hvien".into())?;
        ensure(mask & FOREIGN_BIT != 0, || {
            format!("hvien has no bit {FOREIGN}")
        })?;
        Ok(Self { probe, kvm })
    }

    /// hvien of a CPU that is online or not: with KVM's bit or without.
    fn check(&self, cpu: usize, online: bool, when: &str) -> Result<()> {
        let hvien = self.probe.hvien(cpu)?;
        let kvm = if online { self.kvm } else { 0 };

        same(
            (hvien.online, hvien.value),
            (online, FOREIGN_BIT | kvm),
            || format!("CPU {cpu} {when}: online, and hvien"),
        )
    }

    /// hvictl of a CPU on which no guest runs.
    fn check_hvictl(&self, cpu: usize, when: &str) -> Result<()> {
        same(self.probe.hvien(cpu)?.hvictl, NO_INTERRUPT, || {
            format!("hvictl of CPU {cpu} {when}")
        })
    }

    /// hviprio of a CPU on which no guest has run yet.
    fn check_priorities(&self, cpu: usize, when: &str) -> Result<()> {
        same(self.probe.hvien(cpu)?.hviprio, [0; 2], || {
            format!("hviprio1 and hviprio2 of CPU {cpu} {when}")
        })
    }

    /// A machine runs on the CPU.
    fn run(&self, m: &Machine, cpu: usize) -> Result<()> {
        let mut guest = Guest::new(m.kvm(), Config::new(1, m.best_mode()))?;

        guest.boot(0, &[cpu])?;
        guest.send_from_host(0, 1, 20, 1, Guest::signal_msi)?;
        self.check(cpu, true, "with a guest")
    }
}

/// A CPU goes offline and comes back.
fn hotplug(m: &Machine) -> Result<()> {
    let _back = m.cpus_back();
    let foreign = Foreign::new(m)?;

    for _ in 0..ROUNDS {
        for &cpu in &m.cpus()[1..] {
            foreign.check(cpu, true, "before it goes")?;
            set_online(cpu, false)?;
            foreign.check(cpu, false, "when KVM has ceased to use it")?;
            foreign.check_hvictl(cpu, "when KVM has ceased to use it")?;
            set_online(cpu, true)?;
            foreign.check(cpu, true, "when KVM uses it again")?;
            foreign.check_hvictl(cpu, "when KVM uses it again")?;
            foreign.check_priorities(cpu, "when KVM uses it again")?;
            foreign.run(m, cpu)?;
        }
    }
    Ok(())
}

/// A CPU goes through an idle state.
fn idle(m: &Machine) -> Result<()> {
    let foreign = Foreign::new(m)?;

    for _ in 0..ROUNDS {
        for &cpu in m.cpus() {
            let idle = foreign.probe.idle(cpu)?;

            same(
                (idle.hvien, idle.injects),
                (FOREIGN_BIT, NO_INTERRUPT),
                || format!("hvien and hvictl of CPU {cpu} in an idle state"),
            )?;
            same((idle.hvictl, idle.hviprio), (NO_INTERRUPT, [0; 2]), || {
                format!("hvictl and hviprio of CPU {cpu} after an idle state")
            })?;
            foreign.check(cpu, true, "after an idle state")?;
            foreign.run(m, cpu)?;
        }
    }
    Ok(())
}

const TESTS: &[Test] = &[
    (
        "hotplug keeps the bits of others",
        Need::FilesAndCpus(0, 2),
        hotplug,
    ),
    ("idle states keep the bits of others", Need::Nothing, idle),
];

fn main() -> ExitCode {
    suite::run(TESTS)
}
