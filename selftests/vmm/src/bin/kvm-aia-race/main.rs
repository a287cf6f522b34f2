// SPDX-License-Identifier: GPL-2.0

//! Races of everything that can be done with the device. Whatever happens,
//! the kernel must not complain, nor hang.
//!
//! The argument (AIA_ARG_kvm_aia_race) is how many seconds each of the tests
//! without an end of its own takes (2).

mod creation;
mod end;
mod init;
mod late;
mod noise;
mod running;
#[path = "../kvm-aia-extensions/sys.rs"]
mod sys;

use noise::Random;
use std::{
    process::ExitCode,
    sync::atomic::{
        AtomicBool,
        Ordering, //
    },
    thread::scope,
    time::{
        Duration,
        Instant, //
    },
};
use vmm::{
    suite::{
        self,
        told, //
    },
    Error,
    Need::{
        Nothing,
        Vcpus, //
    },
    Result,
    Test, //
};

/// How long a test takes that could go on for ever.
fn duration() -> Duration {
    let seconds = told("kvm_aia_race").expect("a number of seconds");

    Duration::from_secs(seconds.unwrap_or(2).into())
}

/// What a thread does again and again.
type Job<'a> = &'a (dyn Fn(&mut Random) -> Result<()> + Sync);

/// Runs each of `jobs` in a thread of its own for [`duration`], and says how often each ran.
fn while_running(jobs: &[Job<'_>]) -> Result<Vec<u64>> {
    let stop = AtomicBool::new(false);

    scope(|s| {
        let threads: Vec<_> = jobs
            .iter()
            .zip(1..)
            .map(|(job, seed)| {
                let stop = &stop;

                s.spawn(move || {
                    let mut random = Random::new(seed);
                    let mut runs = 0;
                    let start = Instant::now();

                    while start.elapsed() < duration() && !stop.load(Ordering::Relaxed) {
                        if let Err(e) = job(&mut random) {
                            stop.store(true, Ordering::Relaxed);
                            return Err(e);
                        }
                        runs += 1;
                    }
                    Ok(runs)
                })
            })
            .collect();

        threads
            .into_iter()
            .map(|t| {
                t.join()
                    .map_err(|_| Error::new("a thread panicked"))
                    .and_then(|runs| runs)
            })
            .collect()
    })
}

const TESTS: &[Test] = &[
    (
        "INIT fails while attributes are read",
        Nothing,
        init::failing,
    ),
    ("INIT fails at its end while vCPUs run", Nothing, init::late),
    ("INIT against CONFIG", Nothing, init::consistent),
    ("INIT against INIT", Nothing, init::twice),
    ("INIT against vCPUs", Nothing, init::vcpus),
    (
        "INIT while vCPUs are made: errors",
        Nothing,
        creation::failing,
    ),
    (
        "INIT while vCPUs are made: who has a file",
        Nothing,
        creation::files,
    ),
    ("late vCPUs against all the rest", Nothing, late::all),
    ("INIT under running vCPUs, software", Nothing, running::emul),
    (
        "INIT under running vCPUs, guest files",
        Vcpus(2),
        running::hwaccel,
    ),
    ("end: attributes", Nothing, end::device_last),
    ("end: irqfds", Nothing, end::irqfds),
    (
        "a guest works on while others come and go",
        Nothing,
        running::neighbours,
    ),
    (
        "addresses of vCPUs that run, candidate 12",
        Nothing,
        running::addresses,
    ),
    (
        "registers of vCPUs that run, candidate 12",
        Nothing,
        running::registers,
    ),
];

fn main() -> ExitCode {
    suite::run(TESTS)
}
