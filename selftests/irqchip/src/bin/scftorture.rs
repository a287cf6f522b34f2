// SPDX-License-Identifier: GPL-2.0

//! The kernel's own torture of `smp_call_function()` and its kin, which is IPIs of all
//! CPUs to all CPUs, with checks of what each side sees of the other's memory.
//!
//! Argument: `seconds` for each of the two runs (default 4), the second one with CPUs
//! that come and go.

use irqtest::{
    args::Args,
    cpu,
    ensure,
    interrupts,
    kmsg,
    wait_until,
    Result, //
};
use ktap::Tap;
use std::{
    process::{
        Command,
        ExitCode, //
    },
    thread::sleep,
    time::Duration, //
};

/// Fewer calls than this are no torture.
const LEAST: u64 = 50;

/// Seconds of the longest run, on a machine that is slow.
const LONGEST: u64 = 32;

/// An unload waits for all calls: where one is lost, for ever.
const LIMIT: Duration = Duration::from_secs(60);

/// No statistics in between; as a module it has to do without resched_cpu().
const ALWAYS: [&str; 2] = ["stat_interval=0", "weight_resched=0"];

/// Jiffies between two changes of the set of online CPUs, and seconds before the first
/// one: the threads have to be on their CPUs by then.
const ONOFF: [&str; 2] = ["onoff_interval=25", "onoff_holdoff=2"];

fn calls() -> interrupts::Line {
    interrupts::lines()
        .into_iter()
        .find(|l| l.name.starts_with("IPI") && l.text == "Function call interrupts")
        .unwrap_or_default()
}

fn load(name: &str, parameters: &[&str]) -> Result {
    let output = Command::new("insmod")
        .arg(format!("/tests/{name}.ko"))
        .args(parameters)
        .output()
        .map_err(|e| format!("insmod: {e}"))?;

    ensure(output.status.success(), || {
        format!("{name}: {}", String::from_utf8_lossy(&output.stderr).trim())
    })
}

fn unload(name: &str) -> Result {
    let mut child = Command::new("rmmod")
        .arg(name)
        .spawn()
        .map_err(|e| format!("rmmod: {e}"))?;
    let mut ended = None;

    wait_until(LIMIT, || {
        ended = child.try_wait().ok().flatten();
        ended.is_some()
    });
    match ended {
        Some(status) => ensure(status.success(), || format!("rmmod {name}: {status}")),
        None => Err(format!("{name} does not end: a call was lost")),
    }
}

/// The number or word that follows `key`.
fn after<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    line.split_once(key)?.1.split_whitespace().next()
}

/// Tortures all CPUs for so long; gives back the kernel's verdict, and the number of calls.
fn run(seconds: u64, parameters: &[&str]) -> Result<(String, u64)> {
    load("scftorture", &[&ALWAYS[..], parameters].concat())?;
    sleep(Duration::from_secs(seconds));
    unload("scftorture")?;

    let log = kmsg::log()?;
    let start = log
        .iter()
        .rposition(|l| l.contains("scftorture: --- Start of test"))
        .ok_or("no start of the test in the log")?;
    let said: Vec<&String> = log[start..]
        .iter()
        .filter(|l| l.contains("scftorture:"))
        .collect();
    let find = |key: &str| {
        said.iter()
            .find(|l| l.contains(key))
            .ok_or_else(|| format!("no {key:?} in the log"))
    };
    let statistics = find("scf_invoked_count VER:")?;

    ktap::diag(statistics);
    if let Ok(error) = find("!!!") {
        return Err(error.to_string());
    }
    let invoked: u64 = after(statistics, "VER: ")
        .and_then(|n| n.parse().ok())
        .ok_or_else(|| format!("no number in {statistics:?}"))?;
    let verdict = after(find("End of test: ")?, "End of test: ").unwrap_or_default();

    Ok((verdict.trim_end_matches(':').into(), invoked))
}

/// Tortures until there were calls enough, each time twice as long; every verdict has to be
/// one of these.
fn torture(
    mut seconds: u64,
    parameters: &[&str],
    verdicts: &[&str],
    enough: impl Fn() -> Result,
) -> Result {
    let mut total = 0;

    loop {
        let (verdict, invoked) = run(seconds, parameters)?;

        ensure(verdicts.contains(&verdict.as_str()), || verdict)?;
        total += invoked;
        let result =
            ensure(total >= LEAST, || format!("only {total} calls")).and_then(|()| enough());

        if result.is_ok() || seconds >= LONGEST {
            return result;
        }
        seconds *= 2;
    }
}

/// All CPUs stay; each of them takes calls, as IPIs.
fn all_stay(seconds: u64) -> Result {
    let before = calls();

    torture(seconds, &[], &["SUCCESS"], || {
        let after = calls();

        for cpu in cpu::online() {
            let seen = after.on(cpu) - before.on(cpu);

            ktap::diag(format!("CPU {cpu}: {seen} function call IPIs"));
            ensure(seen > 0, || format!("no IPI on CPU {cpu}"))?;
        }
        Ok(())
    })
}

/// CPUs come and go meanwhile. That the firmware refused to start one, which is the
/// verdict `LOCK_HOTPLUG`, says nothing of IPIs.
fn some_go(seconds: u64) -> Result {
    torture(seconds + 2, &ONOFF, &["SUCCESS", "LOCK_HOTPLUG"], || Ok(()))
}

fn main() -> ExitCode {
    let seconds = Args::of("scftorture", &["seconds"]).number("seconds", 4);

    if cpu::online().len() < 2 {
        return Tap::skip_all("one CPU only");
    }
    let mut tap = Tap::new(5);
    let mark = kmsg::Mark::now();

    if let Err(e) = load("torture", &[]) {
        tap.bail_out(e);
    }
    tap.check(
        all_stay(seconds),
        "function calls of all CPUs to all CPUs, by IPIs, none lost or too early (825c78e6a60c)",
    );

    let desc = "function calls while CPUs come and go";

    if cpu::removable().is_empty() {
        tap.skip("no CPU can be taken offline", desc);
    } else {
        tap.check(some_go(seconds), desc);
    }
    tap.check(cpu::all_online(), "all CPUs are back");
    tap.check(unload("torture"), "the modules can be unloaded");
    tap.check(mark.quiet(), "no complaint of the kernel");
    tap.finish()
}
