// SPDX-License-Identifier: GPL-2.0

//! Each allocation of an attempt fails, one after the other.

use irqtest::faults::Faults;
use libc::ENOMEM;
use std::io;
use vmm::{
    ensure,
    refused,
    Context,
    Error,
    Result, //
};

/// Lets each allocation of what `attempt` does fail, one after the other.
///
/// `make` makes a new one of what `attempt` needs, which fails with `ENOMEM` or does without the
/// memory. `left` judges what a failure leaves, and `after` all that comes later. `least` of
/// the failures cannot be done without.
pub(crate) fn each<T, R>(
    least: u32,
    make: impl Fn() -> Result<T>,
    attempt: impl Fn(&mut T) -> io::Result<R>,
    left: impl Fn(&mut T) -> Result<()>,
    after: impl Fn(&mut T, R) -> Result<()>,
) -> Result<()> {
    let faults = Faults::new().map_err(Error::new)?;
    let (mut failed, mut n) = (0, 0);

    loop {
        n += 1;
        let mut new = make()?;
        let (result, reached) = faults.fail(n, || attempt(&mut new)).map_err(Error::new)?;
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
