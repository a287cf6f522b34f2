// SPDX-License-Identifier: GPL-2.0

//! Registers of devices, through `/dev/mem`.

#![expect(unsafe_code, reason = "device memory")]

use crate::{
    ensure,
    Result, //
};
use std::{
    fs::OpenOptions,
    io,
    os::{
        fd::AsRawFd,
        unix::fs::OpenOptionsExt, //
    },
    ptr, //
};

/// Device memory that is mapped until the value is dropped.
#[derive(Debug)]
pub struct Window {
    base: *mut u8,
    size: usize,
}

impl Window {
    /// Maps `size` bytes at physical address `start`; both are whole pages.
    pub fn map(start: u64, size: usize) -> Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_SYNC)
            .open("/dev/mem")
            .map_err(|e| format!("/dev/mem: {e}"))?;
        let start = start.try_into().map_err(|_| "address too high")?;

        // SAFETY: A new mapping, which nothing else knows; the result is checked.
        let base = unsafe {
            libc::mmap(
                ptr::null_mut(),
                size,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                file.as_raw_fd(),
                start,
            )
        };

        ensure(base != libc::MAP_FAILED, || {
            format!("/dev/mem: {}", io::Error::last_os_error())
        })?;
        Ok(Self {
            base: base.cast(),
            size,
        })
    }

    fn register(&self, offset: usize) -> *mut u32 {
        assert!(offset % 4 == 0 && offset + 4 <= self.size);
        self.base.wrapping_add(offset).cast()
    }

    /// Reads the 32-bit register at `offset`.
    pub fn read(&self, offset: usize) -> u32 {
        // SAFETY: Aligned, and mapped as long as `self` is there.
        unsafe { self.register(offset).read_volatile() }
    }

    /// Writes the 32-bit register at `offset`.
    pub fn write(&self, offset: usize, value: u32) {
        // SAFETY: Aligned, and mapped as long as `self` is there.
        unsafe { self.register(offset).write_volatile(value) };
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        // SAFETY: Mapped by `map`, and no register is kept.
        unsafe { libc::munmap(self.base.cast(), self.size) };
    }
}
