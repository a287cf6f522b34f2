// SPDX-License-Identifier: GPL-2.0

//! The attribute with a snapshot: a block of memory of any size, right in front of memory that is
//! not there.

#![expect(unsafe_code, reason = "mappings and raw system calls")]

use kvm_bindings::kvm_device_attr;
use kvm_ioctls::DeviceFd;
use std::{
    collections::BTreeSet,
    fs,
    io,
    os::fd::FromRawFd,
    ptr::null_mut,
    slice, //
};
use vmm::{
    ext,
    Context,
    Error,
    Result, //
};

const PAGE: usize = 0x1000;

/// Memory whose end is the end of what can be accessed.
struct Guarded {
    map: *mut libc::c_void,
    map_len: usize,
    len: usize,
}

impl Guarded {
    fn new(bytes: &[u8]) -> io::Result<Self> {
        let pages = bytes.len().div_ceil(PAGE);
        let map_len = (pages + 1) * PAGE;
        // SAFETY: A new mapping where the kernel likes takes no memory away.
        let map = unsafe {
            libc::mmap(
                null_mut(),
                map_len,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };

        if map == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let mut new = Self {
            map,
            map_len,
            len: bytes.len(),
        };

        new.bytes().copy_from_slice(bytes);
        // SAFETY: The last page of the mapping, to which there is no reference.
        if unsafe { libc::mprotect(map.byte_add(pages * PAGE), PAGE, libc::PROT_NONE) } != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(new)
    }

    fn start(&self) -> *mut u8 {
        // SAFETY: The content ends where the last page begins.
        unsafe { self.map.byte_add(self.map_len - PAGE - self.len) }.cast()
    }

    fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: That much is there, and only this value knows of it.
        unsafe { slice::from_raw_parts_mut(self.start(), self.len) }
    }

    fn attr(&self, attr: u64) -> kvm_device_attr {
        kvm_device_attr {
            flags: 0,
            group: ext::GROUP,
            attr,
            addr: self.start() as u64,
        }
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        // SAFETY: The mapping is ours and nothing refers to it any more.
        unsafe { libc::munmap(self.map, self.map_len) };
    }
}

fn errno(e: vmm_sys_util::errno::Error) -> io::Error {
    io::Error::from_raw_os_error(e.errno())
}

/// A second descriptor of an AIA device.
pub(crate) struct Device(DeviceFd);

/// Descriptors of AIA devices.
fn devices() -> Result<BTreeSet<i32>> {
    let mut found = BTreeSet::new();

    for entry in fs::read_dir("/proc/self/fd").context("/proc/self/fd")? {
        let entry = entry.context("/proc/self/fd")?;
        // The descriptor of the directory itself is gone by then.
        let is_device = fs::read_link(entry.path())
            .is_ok_and(|link| link.to_string_lossy().contains("kvm-riscv-aia"));

        if is_device {
            let name = entry.file_name();

            found.extend(name.to_str().and_then(|name| name.parse::<i32>().ok()));
        }
    }
    Ok(found)
}

impl Device {
    /// That of the machine that `make` makes.
    pub(crate) fn of<T>(make: impl FnOnce() -> Result<T>) -> Result<(T, Self)> {
        let before = devices()?;
        let made = make()?;
        let new = devices()?
            .difference(&before)
            .next()
            .copied()
            .ok_or_else(|| Error::new("no new AIA device"))?;
        // SAFETY: Makes a descriptor, nothing else.
        let fd = unsafe { libc::fcntl(new, libc::F_DUPFD_CLOEXEC, 0) };

        if fd < 0 {
            return Err(io::Error::last_os_error()).context("fcntl");
        }
        // SAFETY: It is ours alone.
        Ok((made, Self(unsafe { DeviceFd::from_raw_fd(fd) })))
    }

    /// Reads the attribute into memory that holds `bytes`, and no more than that; gives what it
    /// holds then, too.
    pub(crate) fn get(&self, bytes: &[u8]) -> Result<(io::Result<()>, Vec<u8>)> {
        self.get_part(ext::SNAPSHOT, bytes)
    }

    /// As [`Self::get`] for the attribute with the state of a part.
    pub(crate) fn get_part(&self, attr: u64, bytes: &[u8]) -> Result<(io::Result<()>, Vec<u8>)> {
        let mut memory = Guarded::new(bytes).context("memory")?;
        let mut attr = memory.attr(attr);
        // SAFETY: The device cannot get past the end of the memory, whatever the header says.
        let result = unsafe { self.0.get_device_attr(&mut attr) }.map_err(errno);

        Ok((result, memory.bytes().to_vec()))
    }

    /// Sets the attribute to `bytes`.
    pub(crate) fn set(&self, bytes: &[u8]) -> io::Result<()> {
        self.set_part(ext::SNAPSHOT, bytes)
    }

    /// As [`Self::set`] for the attribute with the state of a part.
    pub(crate) fn set_part(&self, attr: u64, bytes: &[u8]) -> io::Result<()> {
        let memory = Guarded::new(bytes)?;

        self.0.set_device_attr(&memory.attr(attr)).map_err(errno)
    }
}
