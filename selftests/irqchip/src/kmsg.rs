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

/// What is in the log, oldest first: the number of each message, and its first line.
///
/// The kernel counts messages from boot; old ones give way when the buffer is full.
fn records() -> Result<Vec<(u64, String)>> {
    let mut file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open("/dev/kmsg")
        .map_err(|e| format!("/dev/kmsg: {e}"))?;
    let mut records = Vec::new();
    let mut record = [0; 8192];

    loop {
        match file.read(&mut record) {
            Ok(0) => break,
            Ok(n) => {
                records.extend(parse(&String::from_utf8_lossy(&record[..n])));
            }
            Err(e) if e.kind() == ErrorKind::WouldBlock => break,
            // Records were overwritten: go on with the oldest that is there.
            Err(e) if e.raw_os_error() == Some(libc::EPIPE) => continue,
            Err(e) => return Err(format!("/dev/kmsg: {e}")),
        }
    }
    Ok(records)
}

/// A record of `/dev/kmsg`: "priority,number,time,flags;text".
fn parse(record: &str) -> Option<(u64, String)> {
    let (prefix, text) = record.split_once(';')?;

    Some((
        prefix.split(',').nth(1)?.parse().ok()?,
        text.lines().next().unwrap_or_default().into(),
    ))
}

/// The log, one line for each message, without the prefix.
pub fn log() -> Result<Vec<String>> {
    Ok(records()?.into_iter().map(|(_, line)| line).collect())
}

/// The first line that has this in it.
pub fn find(needle: &str) -> Option<String> {
    log().ok()?.into_iter().find(|l| l.contains(needle))
}

/// A place in the log, to look for complaints that come after it: the number of the next
/// message.
#[derive(Debug)]
pub struct Mark(u64);

impl Mark {
    /// The end of the log as it is now.
    pub fn now() -> Self {
        Self(records().map_or(0, |r| r.last().map_or(0, |(n, _)| n + 1)))
    }

    /// The beginning of the log.
    pub fn boot() -> Self {
        Self(0)
    }

    /// Whether a message that came after the mark has this in it.
    pub fn said(&self, needle: &str) -> Result<bool> {
        Ok(records()?
            .iter()
            .any(|(number, line)| *number >= self.0 && line.contains(needle)))
    }

    /// Fails with the first complaints that came after the mark.
    pub fn quiet(&self) -> Result {
        self.lacks(COMPLAINTS)
    }

    /// Fails with the first lines after the mark that have this in them.
    pub fn without(&self, needle: &str) -> Result {
        self.lacks(&[needle])
    }

    fn lacks(&self, needles: &[&str]) -> Result {
        let bad: Vec<String> = records()?
            .into_iter()
            .filter(|(number, _)| *number >= self.0)
            .map(|(_, line)| line)
            .filter(|l| needles.iter().any(|n| l.contains(n)))
            .take(3)
            .collect();

        if bad.is_empty() {
            Ok(())
        } else {
            Err(bad.join("\n"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_and_first_line() {
        let record = "6,339,5140900,-;a device; or two\n SUBSYSTEM=x\n";

        assert_eq!(parse(record), Some((339, "a device; or two".into())));
        assert_eq!(parse("no prefix"), None);
    }
}
