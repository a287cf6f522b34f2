// SPDX-License-Identifier: GPL-2.0

//! TAP output in the dialect of the kernel's selftests (`kselftest.h`).
//!
//! A test program makes one [`Tap`] with its plan, reports each result once,
//! and returns what [`Tap::finish`] gives.
//!
//! ```
//! let mut tap = ktap::Tap::new(2);
//! tap.ok(1 + 1 == 2, "sum");
//! tap.skip("no second CPU", "move to the second CPU");
//! assert!(tap.passed());
//! let _exit_code = tap.finish();
//! ```

#![forbid(unsafe_code)]

use std::{
    fmt::Display,
    io::{
        stdout,
        Write, //
    },
    process::{
        exit,
        ExitCode, //
    },
};

/// Exit code of a program whose results are all "ok" or skipped.
pub const KSFT_PASS: u8 = 0;
/// Exit code of a program with a failed or a missing result.
pub const KSFT_FAIL: u8 = 1;
/// Exit code of a program that was skipped as a whole.
pub const KSFT_SKIP: u8 = 4;

/// The state of one test program's output.
#[derive(Debug)]
pub struct Tap {
    planned: usize,
    passed: usize,
    failed: usize,
    skipped: usize,
}

/// Writes one line. Errors are ignored: without a console there is nobody to tell.
fn line(text: &str) {
    // What tests of this crate write is not to be taken for theirs: only the macro's output is caught.
    if cfg!(test) {
        println!("{text}");
        return;
    }
    let mut out = stdout().lock();

    let _ = writeln!(out, "{text}");
    let _ = out.flush();
}

/// A result line must stay one line, and '#' starts a directive.
fn clean(desc: &str) -> String {
    desc.replace('\n', " ").replace('#', "\\#")
}

impl Tap {
    /// Prints the header and the plan.
    pub fn new(planned: usize) -> Self {
        line("TAP version 13");
        line(&format!("1..{planned}"));
        Self {
            planned,
            passed: 0,
            failed: 0,
            skipped: 0,
        }
    }

    /// The exit of a program that cannot test anything on this machine.
    pub fn skip_all(reason: impl Display) -> ExitCode {
        line("TAP version 13");
        line(&format!("1..0 # SKIP {reason}"));
        ExitCode::from(KSFT_SKIP)
    }

    fn number(&self) -> usize {
        self.passed + self.failed + self.skipped
    }

    /// Reports one result, "ok" if `good`, and returns `good`.
    pub fn ok(&mut self, good: bool, desc: impl AsRef<str>) -> bool {
        let word = if good {
            self.passed += 1;
            "ok"
        } else {
            self.failed += 1;
            "not ok"
        };

        line(&format!(
            "{word} {} {}",
            self.number(),
            clean(desc.as_ref())
        ));
        good
    }

    /// Reports the outcome of `result`; an error is a failure that says why.
    pub fn check<E: Display>(&mut self, result: Result<(), E>, desc: impl AsRef<str>) -> bool {
        if let Err(e) = &result {
            self.diag(format!("{}: {e}", desc.as_ref()));
        }
        self.ok(result.is_ok(), desc)
    }

    /// Reports a failure.
    pub fn not_ok(&mut self, desc: impl AsRef<str>) {
        self.ok(false, desc);
    }

    /// Reports a test that this machine cannot run.
    pub fn skip(&mut self, reason: impl Display, desc: impl AsRef<str>) {
        self.skipped += 1;
        line(&format!(
            "ok {} {} # SKIP {reason}",
            self.number(),
            clean(desc.as_ref()),
        ));
    }

    /// Prints text as comment lines.
    pub fn diag(&self, text: impl Display) {
        diag(text);
    }

    /// Stops at once: what comes after would mean nothing.
    pub fn bail_out(&self, reason: impl Display) -> ! {
        line(&format!("Bail out! {reason}"));
        exit(KSFT_FAIL.into());
    }

    /// Whether nothing failed so far.
    pub fn passed(&self) -> bool {
        self.failed == 0
    }

    /// Prints the totals and gives the exit code. A result short of the plan is a failure.
    pub fn finish(self) -> ExitCode {
        if self.number() != self.planned {
            diag(format!(
                "planned {} tests but reported {}",
                self.planned,
                self.number(),
            ));
        }
        diag(format!(
            "Totals: pass:{} fail:{} xfail:0 xpass:0 skip:{} error:0",
            self.passed, self.failed, self.skipped,
        ));
        ExitCode::from(self.code())
    }

    fn code(&self) -> u8 {
        if self.failed == 0 && self.number() == self.planned {
            KSFT_PASS
        } else {
            KSFT_FAIL
        }
    }
}

/// Prints text as comment lines.
pub fn diag(text: impl Display) {
    for l in text.to_string().lines() {
        line(&format!("# {l}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_good() {
        let mut tap = Tap::new(2);

        assert!(tap.ok(true, "a"));
        tap.skip("why", "b");
        assert!(tap.passed());
        assert_eq!(tap.code(), KSFT_PASS);
    }

    #[test]
    fn one_failure() {
        let mut tap = Tap::new(2);

        assert!(!tap.ok(false, "a"));
        assert!(!tap.check(Err("broken"), "b"));
        assert!(!tap.passed());
        assert_eq!(tap.code(), KSFT_FAIL);
    }

    #[test]
    fn short_of_the_plan() {
        let mut tap = Tap::new(2);

        tap.ok(true, "a");
        assert!(tap.passed());
        assert_eq!(tap.code(), KSFT_FAIL);
    }

    #[test]
    fn description_stays_one_line() {
        assert_eq!(clean("a\nb # SKIP"), "a b \\# SKIP");
    }
}
