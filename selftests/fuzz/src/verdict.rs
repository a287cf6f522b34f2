// SPDX-License-Identifier: GPL-2.0

//! What is a finding.

use crate::coverage;
use kvm_ioctls::Kvm;
use std::{
    fs::{
        self,
        File, //
    },
    io::{
        self,
        Read, //
    },
    os::unix::fs::OpenOptionsExt,
    sync::atomic::{
        AtomicU64,
        Ordering, //
    },
};

/// What the system calls may fail with, whatever is asked of them.
const ERRORS: [i32; 14] = [
    libc::E2BIG,
    libc::EAGAIN,
    libc::EBADF,
    libc::EBUSY,
    libc::EEXIST,
    libc::EFAULT,
    libc::EINTR,
    libc::EINVAL,
    libc::ENODEV,
    libc::ENOENT,
    libc::ENOMEM,
    libc::ENOSPC,
    libc::ENXIO,
    libc::EOPNOTSUPP,
];

/// What the kernel warns of when a CPU goes offline: its threads, and a firmware that is slow on a busy host.
const EXPECTED: [&str; 4] = [
    "no longer affine to cpu",
    "select_fallback_rq: ",
    "isn't stopped; status",
    "may not have stopped",
];

/// System calls so far.
static CALLS: AtomicU64 = AtomicU64::new(0);

/// System calls of all inputs.
pub fn calls() -> u64 {
    CALLS.load(Ordering::Relaxed)
}

/// Looks at the answer of a system call of the kind `what`.
///
/// # Panics
///
/// Panics if no system call may answer that.
pub fn judge<T>(what: u8, answer: io::Result<T>) -> io::Result<T> {
    let errno = answer
        .as_ref()
        .err()
        .map_or(0, |e| e.raw_os_error().unwrap_or(-1));

    CALLS.fetch_add(1, Ordering::Relaxed);
    coverage::answered(what, errno);
    assert!(
        errno == 0 || ERRORS.contains(&errno),
        "a system call failed with {errno}: {}",
        io::Error::from_raw_os_error(errno)
    );
    answer
}

/// The kernel's log, read from now on.
#[derive(Debug)]
pub struct Log(File);

impl Log {
    /// At its end.
    pub fn new() -> io::Result<Self> {
        let mut log = File::options()
            .read(true)
            .custom_flags(libc::O_NONBLOCK)
            .open("/dev/kmsg")?;

        io::Seek::seek(&mut log, io::SeekFrom::End(0))?;
        Ok(Self(log))
    }

    /// What the kernel has warned of since this was asked.
    pub fn warnings(&mut self) -> Vec<String> {
        /// The least urgent level that is a finding: KERN_WARNING.
        const WARNING: u32 = 4;
        let mut warnings = Vec::new();
        let mut record = [0; 8192];

        while let Ok(len) = self.0.read(&mut record) {
            let text = String::from_utf8_lossy(&record[..len]).into_owned();
            let level = text.split(',').next().and_then(|n| n.parse::<u32>().ok());

            if level.is_some_and(|level| level % 8 <= WARNING)
                && !EXPECTED.iter().any(|expected| text.contains(expected))
            {
                warnings.push(text.trim_end().to_owned());
            }
        }
        warnings
    }
}

/// Guest interrupt files that are in use, and whose, as debugfs has it; none if the drivers do not say.
pub fn guest_files() -> Option<String> {
    let text = fs::read_to_string("/sys/kernel/debug/riscv-aia/guest_files").ok()?;

    Some(text.lines().filter(|l| l.starts_with(' ')).collect())
}

/// /dev/kvm.
pub fn kvm() -> Kvm {
    Kvm::new().expect("/dev/kvm")
}
