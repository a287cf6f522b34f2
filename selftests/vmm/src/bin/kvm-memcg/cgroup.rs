// SPDX-License-Identifier: GPL-2.0

//! A memory cgroup, version 2, with this process in it.

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
    thread::sleep,
    time::{
        Duration,
        Instant, //
    },
};
use vmm::{
    Context,
    Result,
    PATIENCE, //
};

const ROOT: &str = "/sys/fs/cgroup";

/// How long nothing may change for the charge to be settled.
const STILL: Duration = Duration::from_secs(2);

/// The cgroup. The process is in the root again when it is dropped.
pub(crate) struct Cgroup(PathBuf);

impl Cgroup {
    /// Makes it and moves the process there.
    pub(crate) fn enter() -> Result<Self> {
        let root = Path::new(ROOT);
        let new = Self(root.join("kvm-memcg"));

        mount("cgroup2", ROOT, "cgroup.procs")?;
        write(&root.join("cgroup.subtree_control"), "+memory")?;
        fs::create_dir(&new.0).context(new.0.display())?;
        write(&new.0.join("cgroup.procs"), "0")?;
        Ok(new)
    }

    /// The bytes that are charged to it, up to what each CPU holds in advance, see
    /// [`crate::charge`].
    pub(crate) fn charge(&self) -> Result<u64> {
        let path = self.0.join("memory.current");

        read(&path)?.trim().parse().context(path.display())
    }

    /// The charge once it does not change any more, or is no more than `enough`: some of what is
    /// freed, as KVM's I/O buses are, is so later.
    pub(crate) fn settled(&self, enough: u64) -> Result<u64> {
        let start = Instant::now();
        let mut charge = self.charge()?;
        let mut since = start;

        while charge > enough && since.elapsed() < STILL && start.elapsed() < PATIENCE {
            sleep(Duration::from_millis(50));
            let now = self.charge()?;

            if now != charge {
                charge = now;
                since = Instant::now();
            }
        }
        Ok(charge)
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let _ = write(&Path::new(ROOT).join("cgroup.procs"), "0");
        let _ = fs::remove_dir(&self.0);
    }
}
