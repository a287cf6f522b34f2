// SPDX-License-Identifier: GPL-2.0

//! Many MSIs with sequence numbers, and what happens meanwhile.

use crate::{
    count,
    disturb::{
        blink,
        shove,
        Random,
        Thief, //
    },
    plan::{
        row,
        sleeper,
        From, //
    },
    senders::{
        joined,
        send,
        Budget,
        Irqfds,
        Progress, //
    },
    tally::tally,
};
use std::thread::scope;
use vmm::{
    diag,
    ensure,
    host::urgent,
    same,
    Config,
    Guest,
    Machine,
    Mode,
    Result, //
};

/// MSIs of all vCPUs that cost their sender an exit, as those do that find no
/// guest file.
fn trapped(guest: &Guest) -> Result<u64> {
    (0..guest.config().vcpus)
        .map(|v| Ok(guest.stats(v)?.get("mmio_exit_kernel")))
        .sum()
}

/// What flowed.
pub(crate) struct Flow {
    /// MSIs of vCPUs.
    by_vcpus: u64,
    /// Those of them that cost an exit.
    trapped: u64,
}

/// At least `count` MSIs flow in `guest` while `disturb` is called again and again,
/// at least `times`.
pub(crate) fn flow(
    guest: &Guest,
    count: u64,
    times: u64,
    mut disturb: impl FnMut() -> Result<()>,
) -> Result<Flow> {
    let paths = row(guest.config());
    let sleeper = sleeper(guest.config());
    let irqfds = Irqfds::new(guest, &paths)?;
    let budget = Budget::new(count);
    let mut progress = Progress::new();
    let before = trapped(guest)?;

    guest.park(sleeper);
    let (sent, disturbed) = scope(|s| {
        let threads: Vec<_> = paths
            .iter()
            .enumerate()
            .map(|(n, path)| {
                let (irqfds, budget) = (&irqfds, &budget);

                s.spawn(move || send(guest, path, n, irqfds, budget))
            })
            .collect();
        let mut disturbed = urgent(true).map(|()| 0);

        while let Ok(n) = disturbed {
            if n >= times {
                budget.enough();
            }
            if threads.iter().all(|t| t.is_finished()) {
                break;
            }
            disturbed = disturb().map(|()| n + 1);
            progress.say(|| format!("{} MSIs, {n} disturbances", budget.sent()));
        }
        if disturbed.is_err() {
            budget.fail();
        }
        // All of them, before one that failed ends this.
        let sent: Vec<_> = threads.into_iter().map(|t| joined(t.join())).collect();

        (sent, disturbed)
    });
    urgent(false)?;
    let sent: Vec<u64> = sent.into_iter().collect::<Result<_>>()?;
    let disturbances = disturbed?;
    let seconds = progress.seconds();

    guest.unpark(sleeper)?;
    let tally = tally(guest, &paths)?;
    let from = |wanted: fn(&From) -> bool| -> u64 {
        let those = paths.iter().zip(&sent).filter(|(p, _)| wanted(&p.from));

        those.map(|(_, n)| n).sum()
    };
    let flow = Flow {
        by_vcpus: from(|f| matches!(f, From::Vcpu(_))),
        trapped: trapped(guest)? - before,
    };

    same(tally.sent(), sent.iter().sum(), || "MSIs in all".into())?;
    diag(format!(
        "{} vCPUs, {}: {} MSIs in {seconds:.1} s, {disturbances} disturbances",
        guest.config().vcpus,
        guest.config().mode,
        tally.sent()
    ));
    diag(format!("  {tally}"));
    diag(format!(
        "  {} by vCPUs, of which {} trapped, {} by KVM_SIGNAL_MSI, {} by irqfds",
        flow.by_vcpus,
        flow.trapped,
        from(|f| *f == From::Signal),
        from(|f| *f == From::Irqfd),
    ));
    Ok(flow)
}

/// The vCPUs move at every chance while one MSI out of `part` of them all flows.
fn moving(m: &Machine, cfg: Config, part: u64) -> Result<()> {
    let guest = m.boot(cfg)?;
    let mut random = Random::new(1);

    flow(&guest, count() / part, moves() / part, || {
        shove(m, &guest, &mut random)
    })
    .map(drop)
}

/// So many moves there are at least.
fn moves() -> u64 {
    count() / 100
}

/// As many vCPUs as find a file on any CPU that they move to, but not more than
/// make sense; or more than there are on all CPUs, if they take those of others.
fn all_in_files(m: &Machine) -> Result<usize> {
    let files = m.files() as usize;

    Ok(if m.overcommits()? {
        16.min(files * m.cpus().len() + 2)
    } else {
        4.min(files)
    })
}

/// More vCPUs than there are files on a CPU.
fn more_than_files(m: &Machine) -> usize {
    m.files() as usize + 2
}

pub(crate) fn emul(m: &Machine) -> Result<()> {
    moving(m, Config::new(4, Mode::Emul), 1)
}

pub(crate) fn hwaccel(m: &Machine) -> Result<()> {
    moving(m, Config::new(all_in_files(m)?, Mode::Hwaccel), 1)
}

/// More vCPUs than all CPUs have files, unless these have many.
pub(crate) fn many(m: &Machine) -> Result<()> {
    moving(m, Config::new(16, m.best_mode()), 10)
}

/// There are more vCPUs than files, and another machine that takes files away.
pub(crate) fn auto(m: &Machine) -> Result<()> {
    let mut thief = Thief::new(m)?;
    let guest = m.boot(Config::new(more_than_files(m), Mode::Auto))?;
    let mut random = Random::new(2);

    // These take longer.
    let flow = flow(&guest, count(), moves() / 4, || {
        thief.go()?;
        shove(m, &guest, &mut random)
    })?;
    diag(format!("  {}", thief.report()));
    ensure((1..flow.by_vcpus).contains(&flow.trapped), || {
        format!(
            "{} of {} MSIs of vCPUs found no file; some should, and some should not",
            flow.trapped, flow.by_vcpus
        )
    })
}

/// The CPUs go and come, too.
fn hotplug(m: &Machine, cfg: Config) -> Result<()> {
    let _back = m.cpus_back();
    let guest = m.boot(cfg)?;
    let mut random = Random::new(3);

    flow(&guest, count() / 10, (count() / 3000).clamp(3, 40), || {
        for _ in 0..8 {
            shove(m, &guest, &mut random)?;
        }
        blink(m, &mut random)
    })
    .map(drop)
}

pub(crate) fn hotplug_emul(m: &Machine) -> Result<()> {
    hotplug(m, Config::new(4, Mode::Emul))
}

pub(crate) fn hotplug_hwaccel(m: &Machine) -> Result<()> {
    hotplug(m, Config::new(all_in_files(m)?, Mode::Hwaccel))
}

pub(crate) fn hotplug_auto(m: &Machine) -> Result<()> {
    hotplug(m, Config::new(more_than_files(m), Mode::Auto))
}
