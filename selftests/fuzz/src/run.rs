// SPDX-License-Identifier: GPL-2.0

//! One input.

use crate::{
    coverage, machine,
    plan::Plan,
    supervisor,
    verdict::{
        self,
        Log, //
    },
};
use std::cell::RefCell;

thread_local! {
    static LOG: RefCell<Option<Log>> = const { RefCell::new(None) };
}

/// Does what `data` says.
///
/// # Panics
///
/// Panics on a finding.
pub fn run(data: &[u8]) {
    let plan = Plan::new(data);
    let before = LOG.with_borrow_mut(|log| match log {
        Some(log) => log.warnings(),
        None => {
            *log = Log::new().ok();
            Vec::new()
        }
    });

    assert!(before.is_empty(), "the kernel says, later: {before:#?}");
    supervisor::begins(data);
    let places = coverage::watch(|| machine::execute(&plan));

    supervisor::ended(places);
    let warnings = LOG.with_borrow_mut(|log| log.as_mut().map_or(Vec::new(), Log::warnings));
    let files = verdict::guest_files();

    assert!(warnings.is_empty(), "the kernel says: {warnings:#?}");
    assert!(
        files.as_deref().unwrap_or_default().is_empty(),
        "guest files of a machine that is gone: {files:?}"
    );
}
