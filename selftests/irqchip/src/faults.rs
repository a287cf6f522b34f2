// SPDX-License-Identifier: GPL-2.0

//! Lets one allocation of the calling thread fail, see the kernel's
//! Documentation/fault-injection.

use crate::{
    write,
    Result, //
};
use std::{
    fs::{
        self,
        File, //
    },
    os::unix::fs::FileExt, //
};

const DEBUGFS: &str = "/sys/kernel/debug";
const FAIL_NTH: &str = "/proc/thread-self/fail-nth";

/// Whatever is to fail can, and fails without a word about it. An error if the kernel cannot do that.
pub fn quietly() -> Result {
    set(&[
        // Those that may sleep fail, too, and those of single pages.
        ("failslab/ignore-gfp-wait", "N"),
        ("fail_page_alloc/ignore-gfp-wait", "N"),
        ("fail_page_alloc/min-order", "0"),
        ("failslab/verbose", "0"),
        ("fail_page_alloc/verbose", "0"),
    ])
}

/// As [`quietly`], but only what is allocated by `kmalloc()` fails: kmemleak and KASAN allocate, too,
/// each time that somebody does, and do without.
pub fn kmalloc_only() -> Result {
    const SLAB: &str = "/sys/kernel/slab";

    quietly()?;
    // Nobody asks for that many pages.
    set(&[
        ("fail_page_alloc/min-order", "20"),
        ("failslab/cache-filter", "Y"),
    ])?;
    for cache in fs::read_dir(SLAB).map_err(|e| format!("{SLAB}: {e}"))? {
        let cache = cache.map_err(|e| format!("{SLAB}: {e}"))?.path();

        if cache
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with("kmalloc"))
        {
            write(&cache.join("failslab").to_string_lossy(), "1")?;
        }
    }
    Ok(())
}

fn set(values: &[(&str, &str)]) -> Result {
    values
        .iter()
        .try_for_each(|(file, value)| write(&format!("{DEBUGFS}/{file}"), value))
}

/// The thread's own count of allocations until one fails.
#[derive(Debug)]
pub struct Faults(File);

impl Faults {
    /// For the calling thread: whatever can fail, see [`quietly`]. An error if the kernel cannot do
    /// that.
    pub fn new() -> Result<Self> {
        quietly()?;
        Self::open()
    }

    /// For the calling thread, see [`kmalloc_only`]. An error if the kernel cannot do that.
    pub fn of_kmalloc() -> Result<Self> {
        kmalloc_only()?;
        Self::open()
    }

    fn open() -> Result<Self> {
        File::options()
            .read(true)
            .write(true)
            .open(FAIL_NTH)
            .map(Self)
            .map_err(|e| format!("{FAIL_NTH}: {e}"))
    }

    fn set(&self, n: u32) -> Result {
        self.0
            .write_at(n.to_string().as_bytes(), 0)
            .map(drop)
            .map_err(|e| format!("{FAIL_NTH}: {n}: {e}"))
    }

    /// Does `what` with its `n`th allocation failing; says whether it had that many.
    pub fn fail<T>(&self, n: u32, what: impl FnOnce() -> T) -> Result<(T, bool)> {
        let mut left = [0; 16];

        self.set(n)?;
        let result = what();
        let len = self.0.read_at(&mut left, 0);

        // Whatever comes now is not to fail.
        self.set(0)?;
        let len = len.map_err(|e| format!("{FAIL_NTH}: {e}"))?;

        Ok((
            result,
            String::from_utf8_lossy(&left[..len]).trim_end() == "0",
        ))
    }
}
