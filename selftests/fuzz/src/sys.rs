// SPDX-License-Identifier: GPL-2.0

//! What the crates for KVM have no safe function for.

#![expect(
    unsafe_code,
    reason = "system calls on memory and numbers of file descriptors"
)]

use kvm_bindings::kvm_userspace_memory_region;
use kvm_ioctls::VmFd;
use std::{
    ffi::{
        c_char,
        c_int,
        CString, //
    },
    fs::File,
    io,
    os::fd::{
        AsRawFd,
        RawFd, //
    },
    ptr::null_mut,
    sync::atomic::{
        AtomicU64,
        Ordering, //
    },
    time::Duration,
};

const KVM_GET_ONE_REG: libc::c_ulong = 0x4010_aeab;
const KVM_SET_ONE_REG: libc::c_ulong = 0x4010_aeac;
const KVM_GET_MP_STATE: libc::c_ulong = 0x8004_ae98;
const KVM_SET_MP_STATE: libc::c_ulong = 0x4004_ae99;
const KVM_SET_DEVICE_ATTR: libc::c_ulong = 0x4018_aee1;
const KVM_GET_DEVICE_ATTR: libc::c_ulong = 0x4018_aee2;
const KVM_HAS_DEVICE_ATTR: libc::c_ulong = 0x4018_aee3;
const KCOV_INIT_TRACE: libc::c_ulong = 0x8008_6301;
const KCOV_ENABLE: libc::c_ulong = 0x6364;
const KCOV_TRACE_PC: libc::c_ulong = 0;

/// The page size.
pub const PAGE: usize = 0x1000;

/// What a system call does with a register or an attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Writes it.
    Set,
    /// Reads it.
    Get,
    /// Asks whether it is there.
    Has,
}

/// Memory of this process that system calls and guests may use as they like, before a page that is not
/// there.
#[derive(Debug)]
pub struct Memory {
    addr: *mut u8,
    len: usize,
}

// SAFETY: It is a mapping, whose bytes are only copied, and by nobody else than a kernel or a guest
// meanwhile: what they hold then is not known, but they are bytes.
unsafe impl Send for Memory {}
// SAFETY: As above.
unsafe impl Sync for Memory {}

impl Memory {
    /// `len` zeroes, a multiple of [`PAGE`].
    pub fn new(len: usize) -> io::Result<Self> {
        // SAFETY: A new mapping, wherever the kernel likes.
        let addr = unsafe {
            libc::mmap(
                null_mut(),
                len + PAGE,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };

        if addr == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let new = Self {
            addr: addr.cast(),
            len,
        };

        // SAFETY: The last page of the mapping, to which there is no reference.
        if unsafe { libc::mprotect(new.addr.add(len).cast(), PAGE, libc::PROT_NONE) } != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(new)
    }

    /// Where it begins.
    pub fn start(&self) -> u64 {
        self.addr as u64
    }

    /// Where so many bytes are left, at most.
    pub fn before_end(&self, bytes: usize) -> u64 {
        self.addr as u64 + self.len.saturating_sub(bytes) as u64
    }

    /// Copies `bytes` to `offset`.
    pub fn write(&self, offset: usize, bytes: &[u8]) {
        assert!(offset <= self.len && bytes.len() <= self.len - offset);
        // SAFETY: They fit.
        unsafe {
            self.addr.add(offset).copy_from(bytes.as_ptr(), bytes.len());
        }
    }

    /// Copies `N` bytes from `offset`.
    pub fn read<const N: usize>(&self, offset: usize) -> [u8; N] {
        let mut bytes = [0; N];

        bytes.copy_from_slice(&self.read_vec(offset, N));
        bytes
    }

    /// Copies `len` bytes from `offset`.
    pub fn read_vec(&self, offset: usize, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];

        assert!(offset <= self.len && len <= self.len - offset);
        // SAFETY: They are there.
        unsafe {
            self.addr
                .add(offset)
                .copy_to(bytes.as_mut_ptr(), bytes.len());
        }
        bytes
    }

    /// Makes its first `len` bytes a region of `vm`, which goes before it does; with 0 there is no region.
    pub fn attach(&self, vm: &VmFd, slot: u32, guest_phys_addr: u64, len: usize) -> io::Result<()> {
        assert!(len <= self.len);
        // SAFETY: The region is part of the mapping, which outlives the machine.
        unsafe {
            vm.set_user_memory_region(kvm_userspace_memory_region {
                slot,
                flags: 0,
                guest_phys_addr,
                memory_size: len as u64,
                userspace_addr: self.start(),
            })
        }
        .map_err(|e| io::Error::from_raw_os_error(e.errno()))
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: The mapping is ours, and nothing refers to it any more.
        unsafe { libc::munmap(self.addr.cast(), self.len + PAGE) };
    }
}

/// An ioctl that takes a number, or an address in a [`Memory`] or beyond all memory.
///
/// # Safety
///
/// What the kernel writes to `argument` must be nobody's.
unsafe fn ioctl(fd: RawFd, number: libc::c_ulong, argument: u64) -> io::Result<()> {
    // SAFETY: The caller vouches for the argument.
    match unsafe { libc::ioctl(fd, number as _, argument) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// An attribute of the device `fd`: writes it from `addr` in `memory`, reads it to there, or asks for it.
///
/// What does not fit ends at the page that is not there.
pub fn attribute(
    fd: RawFd,
    verb: Verb,
    group: u32,
    attr: u64,
    memory: &Memory,
    addr: u64,
) -> io::Result<()> {
    assert!(addr >= memory.start() && addr <= memory.start() + memory.len as u64);
    let mut argument = [u64::from(group) << 32, attr, addr];
    let number = match verb {
        Verb::Set => KVM_SET_DEVICE_ATTR,
        Verb::Get => KVM_GET_DEVICE_ATTR,
        Verb::Has => KVM_HAS_DEVICE_ATTR,
    };

    // SAFETY: The structure is one of three numbers, of which the kernel writes none; the attribute ends
    // in the memory, or at the page that is not there.
    unsafe { ioctl(fd, number, argument.as_mut_ptr() as u64) }
}

/// A register of the vCPU `fd`: writes it from `addr` in `memory`, or reads it to there.
pub fn one_reg(fd: RawFd, verb: Verb, id: u64, memory: &Memory, addr: u64) -> io::Result<()> {
    assert!(addr >= memory.start() && addr <= memory.start() + memory.len as u64);
    let mut argument = [id, addr];
    let number = match verb {
        Verb::Set => KVM_SET_ONE_REG,
        _ => KVM_GET_ONE_REG,
    };

    // SAFETY: As for an attribute.
    unsafe { ioctl(fd, number, argument.as_mut_ptr() as u64) }
}

/// Sets the state of a vCPU in its machine, or reads it.
pub fn mp_state(fd: RawFd, set: Option<u32>) -> io::Result<()> {
    let mut state = set.unwrap_or(0);
    let number = match set {
        Some(_) => KVM_SET_MP_STATE,
        None => KVM_GET_MP_STATE,
    };

    // SAFETY: The structure is one number, which is ours.
    unsafe { ioctl(fd, number, &raw mut state as u64) }
}

/// Interrupts whatever system call its thread waits in, again and again while it is armed.
#[derive(Debug)]
pub struct Alarm(libc::timer_t);

extern "C" fn on_alarm(_: libc::c_int) {}

impl Alarm {
    /// That of the calling thread.
    pub fn new() -> io::Result<Self> {
        // SAFETY: All zeroes are valid values of the two structures, of which each call reads one and
        // writes the timer.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            let mut event: libc::sigevent = std::mem::zeroed();
            let mut timer = std::mem::zeroed();

            // Not restarted: that is what it is for.
            action.sa_sigaction = on_alarm as extern "C" fn(libc::c_int) as usize;
            event.sigev_notify = libc::SIGEV_THREAD_ID;
            event.sigev_signo = libc::SIGUSR1;
            event.sigev_notify_thread_id = libc::gettid();
            if libc::sigaction(libc::SIGUSR1, &action, null_mut()) != 0
                || libc::timer_create(libc::CLOCK_MONOTONIC, &mut event, &mut timer) != 0
            {
                return Err(io::Error::last_os_error());
            }
            Ok(Self(timer))
        }
    }

    /// Rings each `period`, or not at all with 0.
    pub fn set(&self, period: Duration) {
        let time = libc::timespec {
            tv_sec: 0,
            tv_nsec: period.subsec_nanos().into(),
        };
        let times = libc::itimerspec {
            it_interval: time,
            it_value: time,
        };

        // SAFETY: The timer is ours, the times are valid.
        unsafe { libc::timer_settime(self.0, 0, &times, null_mut()) };
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        // SAFETY: The timer is ours, and nobody has it any more.
        unsafe { libc::timer_delete(self.0) };
    }
}

/// Lets the calling thread run on this CPU only; wherever it likes, if that is offline.
pub fn pin(cpu: usize) {
    // SAFETY: A CPU set of all zeroes is the empty one, a bit of which is set within its bounds or not at
    // all; it is of the size given.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();

        libc::CPU_SET(cpu, &mut set);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &set);
    }
}

/// Where KCOV writes the addresses that the thread, which has enabled it, runs through in the kernel.
#[derive(Debug)]
pub struct Kcov {
    words: *mut u64,
    len: usize,
    _file: File,
}

impl Kcov {
    /// Enables it for the calling thread, with room for `len` addresses at a time.
    pub fn new(len: usize) -> io::Result<Self> {
        let file = File::options()
            .read(true)
            .write(true)
            .open("/sys/kernel/debug/kcov")?;
        let fd = file.as_raw_fd();

        // SAFETY: These take numbers, and the mapping is new and as long as the kernel was told.
        unsafe {
            ioctl(fd, KCOV_INIT_TRACE, len as u64)?;
            let addr = libc::mmap(
                null_mut(),
                len * size_of::<u64>(),
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                fd,
                0,
            );

            if addr == libc::MAP_FAILED {
                return Err(io::Error::last_os_error());
            }
            ioctl(fd, KCOV_ENABLE, KCOV_TRACE_PC)?;
            Ok(Self {
                words: addr.cast(),
                len,
                _file: file,
            })
        }
    }

    fn word(&self, n: usize) -> &AtomicU64 {
        assert!(n < self.len);
        // SAFETY: It is in the mapping, which this never gives back, and which only the thread itself
        // writes to while it is in the kernel.
        unsafe { AtomicU64::from_ptr(self.words.add(n)) }
    }

    /// Forgets what was run through.
    pub fn clear(&self) {
        self.word(0).store(0, Ordering::Relaxed);
    }

    /// What was run through since, in order.
    pub fn addresses(&self) -> impl Iterator<Item = u64> + '_ {
        let count = self.word(0).load(Ordering::Relaxed) as usize;

        (1..=count.min(self.len - 1)).map(|n| self.word(n).load(Ordering::Relaxed))
    }
}

/// What the caller saw KVM_EXIT_RISCV_CSR for: gives the access this value.
pub fn answer_csr(run: &mut kvm_bindings::kvm_run, value: u64) {
    run.__bindgen_anon_1.riscv_csr.ret_value = value;
}

/// What the caller saw KVM_EXIT_RISCV_SBI for: returns these two.
pub fn answer_sbi(run: &mut kvm_bindings::kvm_run, ret: [u64; 2]) {
    run.__bindgen_anon_1.riscv_sbi.ret = ret;
}

unsafe extern "C" {
    fn LLVMFuzzerRunDriver(
        argc: *mut c_int,
        argv: *mut *mut *mut c_char,
        test: unsafe extern "C" fn(*const u8, usize) -> c_int,
    ) -> c_int;
    fn LLVMFuzzerTestOneInput(data: *const u8, len: usize) -> c_int;
}

/// Runs libFuzzer with these arguments, the first of which is the program's name; gives its exit code, if
/// it does not end the process.
pub fn fuzz(arguments: Vec<CString>) -> i32 {
    let mut pointers: Vec<_> = arguments.into_iter().map(CString::into_raw).collect();
    let mut count = pointers.len() as c_int;

    pointers.push(null_mut());
    let mut array = pointers.as_mut_ptr();

    // SAFETY: The arguments are as for main(), and never given back, as libFuzzer keeps them. The function
    // is that of the crate, for the target of this program.
    unsafe { LLVMFuzzerRunDriver(&mut count, &mut array, LLVMFuzzerTestOneInput) }
}
