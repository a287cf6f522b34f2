// SPDX-License-Identifier: GPL-2.0

//! The kernel log.

use crate::Result;
use std::{
    fs::OpenOptions,
    io::{
        ErrorKind,
        Read, //
    },
    os::unix::fs::OpenOptionsExt, //
};

/// What must not be in the log of a healthy kernel.
const COMPLAINTS: &[&str] = &[
    "WARNING:",
    "BUG:",
    "Oops",
    "Kernel panic",
    "INFO: task",
    "possible circular locking",
    "Invalid wait context",
    "did not update eff. affinity mask",
    "list_add double add",
    "nobody cared",
    "unexpected IRQ",
    "vector not found",
    "No irq handler for vector",
    "soft lockup",
    "detected stalls",
];

/// The log from boot, one line for each message, without the prefix.
pub fn log() -> Result<Vec<String>> {
    let mut file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open("/dev/kmsg")
        .map_err(|e| format!("/dev/kmsg: {e}"))?;
    let mut lines = Vec::new();
    let mut record = [0; 8192];

    loop {
        match file.read(&mut record) {
            Ok(0) => break,
            Ok(n) => {
                let text = String::from_utf8_lossy(&record[..n]);
                let text = text.split_once(';').map_or("", |(_, t)| t);

                lines.push(text.lines().next().unwrap_or_default().to_string());
            }
            Err(e) if e.kind() == ErrorKind::WouldBlock => break,
            // Records were overwritten: go on with the oldest that is there.
            Err(e) if e.raw_os_error() == Some(libc::EPIPE) => continue,
            Err(e) => return Err(format!("/dev/kmsg: {e}")),
        }
    }
    Ok(lines)
}

/// The first line that has this in it.
pub fn find(needle: &str) -> Option<String> {
    log().ok()?.into_iter().find(|l| l.contains(needle))
}

/// A place in the log, to look for complaints that come after it.
#[derive(Debug)]
pub struct Mark(usize);

impl Mark {
    /// The end of the log as it is now.
    pub fn now() -> Self {
        Self(log().map_or(0, |l| l.len()))
    }

    /// The beginning of the log.
    pub fn boot() -> Self {
        Self(0)
    }

    /// Fails with the first complaints that came after the mark.
    pub fn quiet(&self) -> Result {
        let bad: Vec<String> = log()?
            .into_iter()
            .skip(self.0)
            .filter(|l| COMPLAINTS.iter().any(|c| l.contains(c)))
            .take(3)
            .collect();

        if bad.is_empty() {
            Ok(())
        } else {
            Err(bad.join("\n"))
        }
    }
}
