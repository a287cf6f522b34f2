// SPDX-License-Identifier: GPL-2.0

//! Counts the exits of vCPUs while something happens, without causing any.

use crate::{
    host::Interrupts,
    Guest,
    Result,
    Stats, //
};

/// What happened to some vCPUs in a window of time, all of them together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// All exits from guest mode.
    pub exits: u64,
    /// Exits that the guest's own instructions caused.
    pub traps: u64,
    /// Interrupts that the host took on the CPUs, whether or not the guest ran.
    pub host_interrupts: u64,
    /// Those of them by which a guest interrupt file woke a vCPU.
    pub guest_external: u64,
    /// Those of them by which other CPUs wanted the CPU's attention, as a kick does.
    pub reschedules: u64,
}

impl Report {
    /// Exits for which neither the guest nor an interrupt of the host accounts.
    /// A stray reschedule interrupt that the host does not count may be among them.
    pub fn unexplained(&self) -> u64 {
        self.exits
            .saturating_sub(self.traps)
            .saturating_sub(self.host_interrupts)
    }
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} exits, {} by the guest, {} host interrupts on its CPUs ({} from guest files, {} to \
             reschedule), {} left",
            self.exits,
            self.traps,
            self.host_interrupts,
            self.guest_external,
            self.reschedules,
            self.unexplained(),
        )
    }
}

fn sum<T>(of: &[T], f: impl Fn(&T) -> u64) -> u64 {
    of.iter().map(f).sum()
}

/// Runs `f` and reports the exits of `vcpus`, which are pinned to `cpus`, meanwhile.
pub fn measure(
    guest: &mut Guest,
    vcpus: &[usize],
    cpus: &[usize],
    f: impl FnOnce(&mut Guest) -> Result<()>,
) -> Result<Report> {
    let interrupts = || {
        cpus.iter()
            .map(|&c| Interrupts::read(c))
            .collect::<Result<Vec<_>>>()
    };
    let stats = |g: &Guest| {
        vcpus
            .iter()
            .map(|&v| g.stats(v))
            .collect::<Result<Vec<Stats>>>()
    };

    // The host's interrupts are read outside of the exits that they explain.
    let irqs = interrupts()?;
    let before = stats(guest)?;
    f(guest)?;
    let after = stats(guest)?;
    let irqs: Vec<_> = interrupts()?
        .iter()
        .zip(&irqs)
        .map(|(new, old)| new.since(old))
        .collect();
    let delta: Vec<_> = after
        .iter()
        .zip(&before)
        .map(|(new, old)| new.since(old))
        .collect();

    Ok(Report {
        exits: sum(&delta, Stats::exits),
        traps: sum(&delta, Stats::traps),
        host_interrupts: sum(&irqs, |i| i.all),
        guest_external: sum(&irqs, |i| i.guest_external),
        reschedules: sum(&irqs, |i| i.reschedule),
    })
}
