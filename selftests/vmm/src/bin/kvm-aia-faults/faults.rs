// SPDX-License-Identifier: GPL-2.0

//! Lets one allocation of the calling thread fail, see the kernel's
//! Documentation/fault-injection.

use libc::ENOMEM;
use std::{
    fs::{
        self,
        File, //
    },
    io,
    os::unix::fs::FileExt, //
};
use vmm::{
    ensure,
    refused,
    Context,
    Result, //
};

const DEBUGFS: &str = "/sys/kernel/debug";

/// The thread's own count of allocations until one fails.
pub(crate) struct Faults(File);

impl Faults {
    /// For the calling thread. An error if the kernel cannot do that.
    pub(crate) fn new() -> Result<Self> {
        for (file, value) in [
            // Those that may sleep fail, too, and those of single pages.
            ("failslab/ignore-gfp-wait", "N"),
            ("fail_page_alloc/ignore-gfp-wait", "N"),
            ("fail_page_alloc/min-order", "0"),
            // Without a word about it.
            ("failslab/verbose", "0"),
            ("fail_page_alloc/verbose", "0"),
        ] {
            fs::write(format!("{DEBUGFS}/{file}"), value).context(file)?;
        }
        File::options()
            .read(true)
            .write(true)
            .open("/proc/thread-self/fail-nth")
            .map(Self)
            .context("fail-nth")
    }

    /// Does `what` with its `n`th allocation failing; says whether it had that many.
    fn fail<T>(&self, n: u32, what: impl FnOnce() -> T) -> Result<(T, bool)> {
        let mut left = [0; 16];

        self.0
            .write_at(n.to_string().as_bytes(), 0)
            .context("fail-nth")?;
        let result = what();
        let len = self.0.read_at(&mut left, 0);

        // Whatever comes now is not to fail.
        self.0.write_at(b"0", 0).context("fail-nth")?;
        let left = String::from_utf8_lossy(&left[..len.context("fail-nth")?]).into_owned();

        Ok((result, left.trim_end() == "0"))
    }

    /// Lets each allocation of what `attempt` does fail, one after the other.
    ///
    /// `make` makes a new one of what `attempt` needs, which fails with `ENOMEM` or does without the
    /// memory. `left` judges what a failure leaves, and `after` all that comes later. `least` of
    /// the failures cannot be done without.
    pub(crate) fn each<T, R>(
        &self,
        least: u32,
        make: impl Fn() -> Result<T>,
        attempt: impl Fn(&mut T) -> io::Result<R>,
        left: impl Fn(&mut T) -> Result<()>,
        after: impl Fn(&mut T, R) -> Result<()>,
    ) -> Result<()> {
        let (mut failed, mut n) = (0, 0);

        loop {
            n += 1;
            let mut new = make()?;
            let (result, reached) = self.fail(n, || attempt(&mut new))?;
            let when = || format!("allocation {n} fails");
            let result = match result {
                Ok(result) => result,
                Err(e) => {
                    refused(Err::<(), _>(e), ENOMEM, || {
                        format!("the attempt, {}", when())
                    })?;
                    ensure(reached, || format!("ENOMEM, but only {n} allocations"))?;
                    failed += 1;
                    left(&mut new).context(when())?;
                    attempt(&mut new).context(format!("again, once {}", when()))?
                }
            };

            after(&mut new, result).context(when())?;
            if !reached {
                break;
            }
        }
        vmm::diag(format!(
            "{} allocations, {failed} cannot be done without",
            n - 1
        ));
        ensure(failed >= least, || {
            format!("{failed} failures instead of {least} or more")
        })
    }
}
