// SPDX-License-Identifier: GPL-2.0

//! Whose guest interrupt file is taken, where a vCPU is about to run and all files of its hart are in
//! use.
//!
//! - Never that of a vCPU that runs. The one that needs a file is on the hart, so no other runs there.
//! - First that of a vCPU whose thread is on another hart, where it needs another file anyway; then of
//!   one that waits for an interrupt, or is stopped; then of one that could run. Of several, the one
//!   whose thread left the hart first.
//! - Who cannot run without one gets one in any case. Who can takes none that its owner has had for
//!   less than the [tenure](TENURE_NS): however fast vCPUs alternate, a file changes its owner at most
//!   once in that time for their sake, and the others run with their state in memory.
//! - What that costs is known afterwards only, and is not the same for all: all harts on which the
//!   victim's machine runs have to forget a page. So for the sake of those who can do without,
//!   a hart [rests](rest) after each.

/// For how long a file stays with its owner at least, if whoever wants it can do without: 1 ms.
///
/// A steal takes somewhat more instructions than an IPI of a vCPU to itself that finds the state in memory
/// (`Documentation/performance.rst`). So those gain who get more than 1,200 or so in a second; at 1 GHz and
/// an instruction per cycle, those that gain nothing lose less than a hundredth of their time.
pub const TENURE_NS: u64 = 1_000_000;

/// For how long a hart takes no other file, for who can do without, after it took so many nanoseconds to
/// take one: with them it spends a fiftieth of its time at most.
///
/// No longer than 100 ms: what took that long was not the steal.
pub const fn rest(took: u64) -> u64 {
    const TIMES: u64 = 50;
    const MOST_NS: u64 = 100_000_000;
    let rest = took.saturating_mul(TIMES);

    if rest < MOST_NS {
        rest
    } else {
        MOST_NS
    }
}

/// When the tenure ends of who has a file since `since`.
pub(super) const fn tenure_end(since: u64) -> u64 {
    since.saturating_add(TENURE_NS)
}

/// Whether it has ended at the time `now`. The clock may be behind by a few nanoseconds on another hart.
pub(super) const fn is_over(since: u64, now: u64) -> bool {
    now >= tenure_end(since)
}

/// What the owner of a file does; first the one whose file is taken first.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Activity {
    /// Its thread is on another hart.
    Elsewhere,
    /// It waits for an interrupt, or is stopped.
    Blocked,
    /// It could run: it was preempted, or user space does something for it.
    Ready,
}

/// What speaks for leaving a file with its owner; the least of several loses it.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Standing {
    /// What it does.
    pub activity: Activity,
    /// When its thread left its hart, in any unit.
    pub ran: u64,
}

/// How much a vCPU needs a file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Demand {
    /// It cannot run without.
    Must,
    /// Its state may be in memory.
    May,
}

/// Why nobody's file is taken.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NoVictim {
    /// The hart has no files at all.
    NoLine,
    /// Not before this time, in nanoseconds.
    Early {
        /// The first end of a tenure.
        until: u64,
    },
    /// A file is free, or is just being taken from its owner: try again.
    Busy,
}

#[cfg_attr(CONFIG_KUNIT, kernel::macros::kunit_tests(aia_core_guest_victim))]
#[cfg_attr(not(CONFIG_KUNIT), cfg(test))]
mod tests {
    use super::*;

    #[test]
    fn a_hart_rests_for_as_long_as_it_was_busy_and_not_for_ever() {
        assert_eq!(rest(0), 0);
        assert_eq!(rest(20_000), 1_000_000);
        assert_eq!(rest(2_000_000), 100_000_000);
        assert_eq!(rest(3_000_000), 100_000_000);
        assert_eq!(rest(u64::MAX), 100_000_000);
    }
}
