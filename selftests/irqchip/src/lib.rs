// SPDX-License-Identifier: GPL-2.0

//! What the tests of the IMSIC and APLIC drivers share: the machine as the
//! device tree or ACPI describes it, `/proc/interrupts`, irq debugfs, affinity, CPU
//! hotplug, the kernel log, the test module, registers, allocations that fail,
//! and the host.

#![deny(unsafe_code)]

pub mod aplic;
pub mod args;
pub mod bench;
pub mod cpu;
pub mod device;
pub mod dt;
pub mod faults;
pub mod host;
pub mod imsic;
pub mod interrupts;
pub mod irqdebug;
pub mod kmsg;
pub mod madt;
pub mod mem;
pub mod sys;

use std::{
    fs,
    thread::sleep,
    time::{
        Duration,
        Instant, //
    },
};

/// How long to wait for what has to come. It costs nothing when all is well, and a busy
/// host may well stop a virtual CPU for seconds.
pub const PATIENCE: Duration = Duration::from_secs(15);

/// Errors are for people: they end up in the diagnostics of a test.
pub type Result<T = ()> = std::result::Result<T, String>;

/// Reads a file as text.
pub fn read(path: &str) -> Result<String> {
    fs::read_to_string(path).map_err(|e| format!("{path}: {e}"))
}

/// Writes to a file of procfs, sysfs or debugfs.
pub fn write(path: &str, text: &str) -> Result {
    fs::write(path, text).map_err(|e| format!("{path}: {text:?}: {e}"))
}

/// Fails with the message unless the condition holds.
pub fn ensure(condition: bool, message: impl FnOnce() -> String) -> Result {
    if condition {
        Ok(())
    } else {
        Err(message())
    }
}

/// Waits until the condition holds; tells whether it did in time.
pub fn wait_until(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + limit;

    loop {
        // Whoever was stopped in the middle of this looks once more.
        let late = Instant::now() >= end;

        if condition() {
            return true;
        }
        if late {
            return false;
        }
        sleep(Duration::from_millis(2));
    }
}

/// Sleeps for so many milliseconds.
pub fn pause(ms: u64) {
    sleep(Duration::from_millis(ms));
}

/// A small generator of repeatable disorder (xorshift64).
#[derive(Debug)]
pub struct Rng(u64);

impl Rng {
    /// A generator that repeats itself for the same seed.
    pub fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    /// A number below `limit`, which must not be 0.
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }

    /// One of the items, which must not be empty.
    pub fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())]
    }
}
