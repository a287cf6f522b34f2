// SPDX-License-Identifier: GPL-2.0

//! The system calls that the standard library does not have.

#![expect(unsafe_code, reason = "system calls")]

use crate::Result;
use std::{
    cell::RefCell,
    ffi::CString,
    fs::File,
    io,
    mem,
    os::fd::AsRawFd,
    time::Duration, //
};

thread_local! {
    /// Where the thread wants to run; nothing for all CPUs.
    static WISH: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
}

/// Lets the calling thread run on these CPUs only.
pub fn pin(cpus: &[usize]) -> Result {
    go(cpus)?;
    WISH.with_borrow_mut(|wish| *wish = cpus.to_vec());
    Ok(())
}

/// Takes the calling thread to each of these CPUs, one after the other, and back to where
/// it may run: where [`pin`] said, or on all those possible.
pub fn tour(cpus: &[usize], possible: &[usize]) -> Result {
    let result = cpus.iter().try_for_each(|cpu| go(&[*cpu]));
    // Not what the kernel says: that leaves out CPUs that are offline now.
    let back = WISH.with_borrow(|wish| go(if wish.is_empty() { possible } else { wish }));

    // The CPU of the wish may be gone.
    result.and(back.or_else(|_| go(possible)))
}

fn go(cpus: &[usize]) -> Result {
    // SAFETY: `cpu_set_t` is a bit map; all zeroes is the empty set.
    let mut set: libc::cpu_set_t = unsafe { mem::zeroed() };

    for &cpu in cpus {
        if cpu >= libc::CPU_SETSIZE as usize {
            return Err(format!("CPU {cpu} is beyond what a CPU set holds"));
        }
        // SAFETY: `cpu` is within the set.
        unsafe { libc::CPU_SET(cpu, &mut set) };
    }

    // SAFETY: `set` is valid for reads of the size that goes with it.
    match unsafe { libc::sched_setaffinity(0, mem::size_of_val(&set), &set) } {
        0 => Ok(()),
        _ => Err(format!(
            "sched_setaffinity {cpus:?}: {}",
            io::Error::last_os_error()
        )),
    }
}

/// The time since boot as the kernel's ticks count it: it stands still when they are late.
pub fn ticks() -> Result<Duration> {
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };

    // SAFETY: `now` is valid for writes.
    match unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC_COARSE, &mut now) } {
        0 => Ok(Duration::new(now.tv_sec as u64, now.tv_nsec as u32)),
        _ => Err(format!("clock_gettime: {}", io::Error::last_os_error())),
    }
}

/// A command of membarrier(2).
#[derive(Clone, Copy, Debug)]
#[repr(i32)]
pub enum Membarrier {
    /// Waits for a grace period of all CPUs.
    Global = libc::MEMBARRIER_CMD_GLOBAL,
    /// Interrupts the CPUs that run threads of this process.
    PrivateExpedited = libc::MEMBARRIER_CMD_PRIVATE_EXPEDITED,
    /// Has to come before `PrivateExpedited`.
    RegisterPrivateExpedited = libc::MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED,
    /// Interrupts all CPUs whose process has registered.
    GlobalExpedited = libc::MEMBARRIER_CMD_GLOBAL_EXPEDITED,
    /// Has to come before `GlobalExpedited`.
    RegisterGlobalExpedited = libc::MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED,
}

/// membarrier(2) with flags 0.
pub fn membarrier(command: Membarrier) -> Result {
    // SAFETY: The call takes numbers only.
    match unsafe { libc::syscall(libc::SYS_membarrier, command as i32, 0, 0) } {
        0 => Ok(()),
        _ => Err(format!(
            "membarrier {command:?}: {}",
            io::Error::last_os_error()
        )),
    }
}

/// When a kernel that is loaded takes over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// When [`kexec`] says so.
    Boot,
    /// When the one that runs has died.
    Crash,
}

/// The number of kexec_file_load(2) in `asm-generic/unistd.h`, which libc lacks for riscv64.
const SYS_KEXEC_FILE_LOAD: libc::c_long = 294;

/// `KEXEC_FILE_ON_CRASH` of `linux/kexec.h`.
const ON_CRASH: libc::c_ulong = 2;

/// kexec_file_load(2).
pub fn kexec_load(kernel: &File, initrd: &File, cmdline: &str, next: Next) -> Result {
    let cmdline = CString::new(cmdline).map_err(|e| format!("command line: {e}"))?;
    let flags = if next == Next::Crash { ON_CRASH } else { 0 };

    // SAFETY: `cmdline` is valid for reads of that length; descriptors and flags are numbers.
    let ret = unsafe {
        libc::syscall(
            SYS_KEXEC_FILE_LOAD,
            kernel.as_raw_fd(),
            initrd.as_raw_fd(),
            cmdline.as_bytes_with_nul().len(),
            cmdline.as_ptr(),
            flags,
        )
    };

    match ret {
        0 => Ok(()),
        _ => Err(format!("kexec_file_load: {}", io::Error::last_os_error())),
    }
}

/// Leaves this kernel for the one that is loaded; says why it did not.
pub fn kexec() -> String {
    // SAFETY: The call takes a number only.
    unsafe { libc::reboot(libc::RB_KEXEC) };
    format!("reboot: {}", io::Error::last_os_error())
}

/// Waits until the console has sent what was written.
pub fn drain() -> Result {
    // SAFETY: The call takes a number only.
    match unsafe { libc::tcdrain(libc::STDOUT_FILENO) } {
        0 => Ok(()),
        _ => Err(format!("tcdrain: {}", io::Error::last_os_error())),
    }
}
