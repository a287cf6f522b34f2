// SPDX-License-Identifier: GPL-2.0

//! What KVM allocates for this thread, by the kernel's trace events.

use crate::{
    mount,
    read,
    write, //
};
use std::{
    fs,
    path::{
        Path,
        PathBuf, //
    },
};
use vmm::{
    ensure,
    Context,
    Error,
    Result, //
};

const ROOT: &str = "/sys/kernel/tracing";

const EVENTS: &[&str] = &[
    "kmalloc",
    "kmem_cache_alloc",
    "kfree",
    "kmem_cache_free",
    "mm_page_alloc",
    "mm_page_free",
];

const PAGE: u64 = 0x1000;

/// An allocation.
#[derive(Debug)]
pub(crate) struct Allocation {
    /// The event, for people.
    event: String,
    /// Address or page frame, with the name of the field.
    place: (&'static str, String),
    /// The bytes that it takes.
    pub(crate) bytes: u64,
    /// Whether it asks to be charged.
    pub(crate) accounted: bool,
    /// Whether the thread has not freed it.
    pub(crate) lasts: bool,
}

impl std::fmt::Display for Allocation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.event)
    }
}

impl Allocation {
    /// Whether `symbol` is in the name of the function that allocates.
    pub(crate) fn is_by(&self, symbol: &str) -> bool {
        self.event.contains(symbol)
    }
}

fn file(name: &str) -> PathBuf {
    Path::new(ROOT).join(name)
}

/// Lets the events of the calling thread be traced, until it is dropped.
struct Tracing;

impl Tracing {
    fn start() -> Result<Self> {
        // SELF/task/TID
        let thread = fs::read_link("/proc/thread-self").context("/proc/thread-self")?;
        let tid = thread
            .file_name()
            .and_then(|name| name.to_str())
            .ok_or_else(|| Error::new("no thread ID"))?;

        mount("tracefs", ROOT, "trace")?;
        write(&file("tracing_on"), "0")?;
        write(&file("trace"), "")?;
        write(&file("trace_options"), "nohash-ptr")?;
        write(&file("set_event_pid"), tid)?;
        let new = Self;

        for event in EVENTS {
            write(&file(&format!("events/kmem/{event}/enable")), "1")?;
        }
        write(&file("tracing_on"), "1")?;
        Ok(new)
    }

    /// The trace.
    fn stop(self) -> Result<String> {
        write(&file("tracing_on"), "0")?;
        read(&file("trace"))
    }
}

impl Drop for Tracing {
    fn drop(&mut self) {
        let _ = write(&file("events/kmem/enable"), "0");
        let _ = write(&file("set_event_pid"), "");
    }
}

/// The value of a field of an event.
fn field<'a>(fields: &'a str, name: &str) -> Option<&'a str> {
    fields
        .split_whitespace()
        .find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
}

fn number(fields: &str, name: &str) -> Option<u64> {
    field(fields, name)?.parse().ok()
}

/// Whether the event is one of an interrupt that came just then: after the CPU come letters for
/// interrupts, need to reschedule, and context.
fn is_of_interrupt(head: &str) -> bool {
    head.split_whitespace()
        .rev()
        .nth(1)
        .and_then(|flags| flags.chars().nth(2))
        .is_some_and(|context| context != '.')
}

/// Whether it is KVM that allocates, which is a module, or may be: for pages there is no more to
/// see than that they are none of slabs, nor of user space, and zero as page tables have to be.
fn is_of_kvm(event: &str, fields: &str) -> bool {
    let flags = field(fields, "gfp_flags").unwrap_or_default();

    if event == "mm_page_alloc" {
        flags.contains("ZERO") && !flags.contains("COMP") && !flags.contains("MOVABLE")
    } else {
        // The latter does not tell who calls it; it is for Rust.
        fields.contains("[kvm]") || fields.contains("call_site=kvrealloc_")
    }
}

/// The allocations of a trace.
fn parse(trace: &str) -> Result<Vec<Allocation>> {
    let mut found: Vec<Allocation> = Vec::new();

    for line in trace.lines().filter(|line| !line.starts_with('#')) {
        ensure(!line.contains("LOST"), || format!("trace: {line}"))?;
        let Some((head, (event, fields))) = line
            .split_once(": ")
            .and_then(|(head, rest)| Some((head, rest.split_once(": ")?)))
        else {
            continue;
        };
        let name = if event.starts_with("mm_page") {
            "pfn"
        } else {
            "ptr"
        };
        let place = field(fields, name)
            .map(|value| (name, value.to_owned()))
            .ok_or_else(|| Error::new(format!("trace: {line}")))?;

        if event.ends_with("free") {
            if let Some(freed) = found.iter_mut().rev().find(|a| a.place == place) {
                freed.lasts = false;
            }
            continue;
        }
        if is_of_interrupt(head) || !is_of_kvm(event, fields) {
            continue;
        }
        // What is large comes twice, the second time with the caller's name.
        found.retain(|a| !a.lasts || a.place != place);
        let bytes = if name == "pfn" {
            number(fields, "order").map(|order| PAGE << order)
        } else {
            number(fields, "bytes_alloc")
        };

        found.push(Allocation {
            event: format!("{event}: {fields}"),
            place,
            bytes: bytes.ok_or_else(|| Error::new(format!("trace: {line}")))?,
            accounted: fields.contains("ACCOUNT") || fields.contains("accounted=true"),
            lasts: true,
        });
    }
    Ok(found)
}

/// Calls `f`; what KVM allocates for it.
pub(crate) fn allocations<T>(f: impl FnOnce() -> Result<T>) -> Result<(T, Vec<Allocation>)> {
    let tracing = Tracing::start()?;
    let result = f();
    let trace = tracing.stop()?;
    let written = trace
        .lines()
        .find_map(|l| l.strip_prefix("# entries-in-buffer/entries-written: "))
        .and_then(|l| l.split_whitespace().next()?.split_once('/'));

    ensure(written.is_some_and(|(there, all)| there == all), || {
        format!("the trace is not complete: {written:?}")
    })?;
    Ok((result?, parse(&trace)?))
}
