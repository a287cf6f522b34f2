// SPDX-License-Identifier: GPL-2.0

//! Machines that are not made after all, as a signal comes in between, leave nothing. Their root of page
//! tables is charged to nobody, so the memory that is free tells.

#![expect(unsafe_code, reason = "a timer that sends signals")]

use std::{
    fs,
    mem,
    ptr::null_mut,
    thread::sleep,
    time::Duration, //
};
use vmm::{
    diag,
    ensure,
    Context,
    Error,
    Machine,
    Result, //
};

/// How many are not made.
const MACHINES: u64 = 1000;
/// The root of the page tables of each.
const ROOT: u64 = 16 << 10;

extern "C" fn nothing(_signal: libc::c_int) {}

/// A signal every 200 microseconds, as long as it lives.
struct Signals;

impl Signals {
    fn new() -> Result<Self> {
        // SAFETY: All zeroes are a valid value.
        let mut action: libc::sigaction = unsafe { mem::zeroed() };

        action.sa_sigaction = nothing as extern "C" fn(libc::c_int) as usize;
        // SAFETY: The handler does nothing.
        let set = unsafe { libc::sigaction(libc::SIGALRM, &action, null_mut()) };

        ensure(set == 0, || "sigaction".into())?;
        Self::every(200)?;
        Ok(Self)
    }

    fn every(us: libc::suseconds_t) -> Result<()> {
        let time = libc::timeval {
            tv_sec: 0,
            tv_usec: us,
        };
        let timer = libc::itimerval {
            it_interval: time,
            it_value: time,
        };
        // SAFETY: A valid structure.
        let set = unsafe { libc::setitimer(libc::ITIMER_REAL, &timer, null_mut()) };

        ensure(set == 0, || "setitimer".into())
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        let _ = Self::every(0);
    }
}

/// Bytes of memory that is free.
fn free() -> Result<u64> {
    let all = fs::read_to_string("/proc/meminfo").context("meminfo")?;
    let kib = all
        .lines()
        .find_map(|line| line.strip_prefix("MemFree:"))
        .and_then(|rest| rest.split_whitespace().next())
        .and_then(|number| number.parse::<u64>().ok())
        .ok_or_else(|| Error::new("no MemFree"))?;

    Ok(kib << 10)
}

/// Until `count` machines are not made.
fn fail(m: &Machine, count: u64) -> Result<u64> {
    let signals = Signals::new()?;
    let mut tries = 0;
    let mut failed = 0;

    while failed < count && tries < 100 * count {
        tries += 1;
        match m.kvm().create_vm() {
            Ok(_) => (),
            Err(e) if e.errno() == libc::EINTR => failed += 1,
            Err(e) => return Err(e).context("KVM_CREATE_VM"),
        }
    }
    drop(signals);
    ensure(failed == count, || {
        format!("{failed} of {tries} machines were not made")
    })?;
    Ok(tries)
}

pub(crate) fn test(m: &Machine) -> Result<()> {
    // So that what the kernel keeps for next time is there.
    fail(m, MACHINES / 10)?;
    let before = free()?;
    let tries = fail(m, MACHINES)?;
    let mut after = free()?;

    // What goes by RCU goes later.
    for _ in 0..100 {
        if after + ROOT * MACHINES / 4 >= before {
            break;
        }
        sleep(Duration::from_millis(100));
        after = free()?;
    }
    diag(format!(
        "free: {before}, after {MACHINES} of {tries} machines that were not made {after}"
    ));
    ensure(after + ROOT * MACHINES / 4 >= before, || {
        format!("of {before} bytes that were free {after} are left")
    })
}
