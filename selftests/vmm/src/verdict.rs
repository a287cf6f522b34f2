// SPDX-License-Identifier: GPL-2.0

//! What tests expect, and the words for it when it is not so.

use crate::{
    Error,
    Guest,
    Result, //
};
use std::{
    fmt::Debug,
    io,
    thread::sleep,
    time::Duration, //
};

/// Fails with the words of `what` unless `good`.
pub fn ensure(good: bool, what: impl FnOnce() -> String) -> Result<()> {
    if good {
        Ok(())
    } else {
        Err(Error::new(what()))
    }
}

/// Fails unless `got` is `wanted`.
pub fn same<T: PartialEq + Debug>(got: T, wanted: T, what: impl FnOnce() -> String) -> Result<()> {
    ensure(got == wanted, || {
        format!("{}: {got:x?} instead of {wanted:x?}", what())
    })
}

/// Fails unless `result` is the error `errno`.
pub fn refused<T: Debug>(
    result: io::Result<T>,
    errno: i32,
    what: impl FnOnce() -> String,
) -> Result<()> {
    let wanted = io::Error::from_raw_os_error(errno);

    match result {
        Err(e) if e.raw_os_error() == Some(errno) => Ok(()),
        other => Err(Error::new(format!(
            "{}: {other:?} instead of {wanted}",
            what()
        ))),
    }
}

/// Identities first..first+ids of `vcpu` were counted `times` each, and nothing else was.
pub fn exact(guest: &Guest, vcpu: usize, first: u32, ids: u32, times: u32) -> Result<()> {
    // One too many may still be on its way.
    sleep(Duration::from_millis(10));
    for id in first..first + ids {
        let n = guest.count(vcpu, id);

        ensure(n == times, || {
            format!("vCPU {vcpu} counted identity {id} {n} times instead of {times}")
        })?;
    }
    let total = guest.total(vcpu);

    ensure(total == u64::from(ids) * u64::from(times), || {
        format!("vCPU {vcpu} counted {total} interrupts in all instead of {ids} * {times}")
    })
}
