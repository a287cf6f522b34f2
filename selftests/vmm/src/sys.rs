// SPDX-License-Identifier: GPL-2.0

//! What needs `unsafe`: mappings, and system calls that no crate wraps.

#![expect(unsafe_code, reason = "mappings and raw system calls")]

use crate::{
    abi::{
        Mailbox,
        MAILBOXES,
        MAX_VCPUS,
        RAM_BASE,
        RAM_SIZE, //
    },
    slot::{
        Slot,
        SLOTS,
        SLOTS_BASE, //
    },
    Context,
    Error,
    Place,
    Result, //
};
use kvm_bindings::{
    kvm_device_attr,
    kvm_run,
    kvm_userspace_memory_region,
    KVM_MEM_LOG_DIRTY_PAGES, //
};
use kvm_ioctls::{
    DeviceFd,
    VmFd, //
};
use std::{
    fs::{
        File,
        OpenOptions, //
    },
    io,
    iter,
    mem::{
        align_of,
        size_of, //
    },
    os::fd::{
        AsRawFd,
        FromRawFd,
        OwnedFd, //
    },
    os::unix::fs::OpenOptionsExt,
    ptr::{
        null_mut,
        write_volatile, //
    },
    slice,
    sync::Arc, //
};
use vm_memory::{
    bitmap::AtomicBitmap,
    Bytes,
    FileOffset,
    GuestAddress,
    GuestMemoryBackend,
    GuestMemoryMmap,
    GuestRegionMmap,
    MmapRegion, //
};

const PAGE: usize = 0x1000;

const KVM_CREATE_VCPU: libc::c_ulong = 0xae41;
const KVM_GET_STATS_FD: libc::c_ulong = 0xaece;
const KVM_GET_REG_LIST: libc::c_ulong = 0xc008_aeb0;
const KVM_INTERRUPT: libc::c_ulong = 0x4004_ae86;
const KVM_SET_SIGNAL_MASK: libc::c_ulong = 0x4004_ae8b;

/// Room for the registers of a vCPU.
const MAX_REGS: usize = 2000;

/// A shared mapping, unmapped by drop.
#[derive(Debug)]
struct Mapping {
    addr: *mut libc::c_void,
    len: usize,
}

// SAFETY: A mapping is plain memory that belongs to the process, not to a thread.
unsafe impl Send for Mapping {}
// SAFETY: As above; the users of a mapping say how it may be accessed.
unsafe impl Sync for Mapping {}

impl Mapping {
    fn new(len: usize, flags: libc::c_int, file: Option<&File>, offset: u64) -> io::Result<Self> {
        // SAFETY: A new mapping where the kernel likes takes no memory away.
        let addr = unsafe {
            libc::mmap(
                null_mut(),
                len,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | flags,
                file.map_or(-1, AsRawFd::as_raw_fd),
                offset as libc::off_t,
            )
        };

        if addr == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Self { addr, len })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: The mapping is ours and nothing refers to it any more.
        unsafe { libc::munmap(self.addr, self.len) };
    }
}

/// A file of memory that has no name.
fn memory_file() -> io::Result<File> {
    // SAFETY: Takes a string that ends, and gives a new file descriptor, which is ours.
    unsafe {
        let file = libc::memfd_create(c"guest".as_ptr(), libc::MFD_CLOEXEC);

        if file < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(File::from_raw_fd(file))
    }
}

/// The guest's RAM as devices of the VMM see it: what they write is noted, too.
pub type Ram = GuestMemoryMmap<AtomicBitmap>;

/// The guest's RAM. The VMM looks into it by [`GuestMemory::mailbox`], and its devices by
/// [`GuestMemory::ram`].
#[derive(Debug)]
pub struct GuestMemory(Arc<Ram>);

impl GuestMemory {
    /// Zeroed RAM with `image` at its start.
    pub fn new(image: &[u8]) -> Result<Self> {
        // Populated now, so that the guest faults on the G-stage only, and once per page.
        Self::of_size(RAM_SIZE, libc::MAP_POPULATE, &[(0, image)])
    }

    /// So many bytes of zeroed RAM, at least [`RAM_SIZE`], with each of `parts` at
    /// its offset.
    pub fn with_parts(size: u64, parts: &[(u64, &[u8])]) -> Result<Self> {
        if size < RAM_SIZE {
            return Err(Error::new("less guest memory than the mailboxes need"));
        }
        Self::of_size(size, 0, parts)
    }

    fn of_size(size: u64, flags: libc::c_int, parts: &[(u64, &[u8])]) -> Result<Self> {
        let file = memory_file().context("guest memory")?;

        file.set_len(size).context("guest memory")?;
        let new = Self::of_file(file, flags)?;

        for &(offset, part) in parts {
            new.0
                .write_slice(part, GuestAddress(RAM_BASE + offset))
                .context("guest image larger than its memory")?;
        }
        Ok(new)
    }

    /// All that the file holds, which is one of [`Self::file`], maybe another process'.
    pub(crate) fn of_file(file: File, flags: libc::c_int) -> Result<Self> {
        let size = file.metadata().context("guest memory")?.len();
        let map = MmapRegion::build(
            Some(FileOffset::new(file, 0)),
            size as usize,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_SHARED | flags,
        )
        .context("guest memory")?;
        let region = GuestRegionMmap::new(map, GuestAddress(RAM_BASE))
            .ok_or_else(|| Error::new("guest memory that ends nowhere"))?;

        Ok(Self(Arc::new(
            Ram::from_regions(vec![region]).context("guest memory")?,
        )))
    }

    /// The file that it is.
    pub(crate) fn file(&self) -> &File {
        self.map().file_offset().expect("all memory has one").file()
    }

    /// For devices of the VMM.
    pub fn ram(&self) -> Arc<Ram> {
        Arc::clone(&self.0)
    }

    fn map(&self) -> &MmapRegion<AtomicBitmap> {
        self.0.iter().next().expect("there is one")
    }

    fn base(&self) -> *mut u8 {
        self.map().as_ptr()
    }

    fn size(&self) -> usize {
        self.map().size()
    }

    /// Its pages that have ever been used, by numbers from 0.
    pub(crate) fn used(&self) -> Result<Vec<usize>> {
        let mut pages = vec![0_u8; self.size() / PAGE];

        // SAFETY: There is a byte for each page of the mapping.
        if unsafe { libc::mincore(self.base().cast(), self.size(), pages.as_mut_ptr()) } != 0 {
            return Err(io::Error::last_os_error()).context("mincore");
        }
        Ok((0..pages.len()).filter(|&n| pages[n] & 1 != 0).collect())
    }

    /// Its pages that `vm`, which [tracks](Self::track) them, or a device of the VMM has written to since
    /// this was asked.
    pub(crate) fn written(&self, vm: &VmFd) -> Result<Vec<usize>> {
        let by_devices = self.map().bitmap().get_and_reset();
        let by_vcpus = vm
            .get_dirty_log(0, self.size())
            .context("KVM_GET_DIRTY_LOG")?;
        let bits = by_vcpus
            .iter()
            .zip(by_devices.iter().chain(iter::repeat(&0)))
            .map(|(vcpus, devices)| vcpus | devices)
            .enumerate()
            .flat_map(|(word, bits)| (0..64).map(move |bit| (word * 64 + bit, bits >> bit & 1)));

        Ok(bits.filter(|(_, bit)| *bit != 0).map(|(n, _)| n).collect())
    }

    /// Copies pages of `other`, which is as large (checked), and which a guest may write to meanwhile: then it is
    /// not known what they hold here.
    pub(crate) fn copy(&self, other: &Self, pages: &[usize]) {
        for &page in pages {
            let offset = page * PAGE;

            assert!(offset < self.size() && self.size() == other.size());
            // SAFETY: The page is in both mappings, of which nobody has a reference to memory.
            unsafe {
                let from = other.base().add(offset);

                self.base().add(offset).copy_from(from, PAGE);
            }
        }
    }

    /// Makes it the RAM of `vm`. It must stay in place as long as `vm` can run,
    /// to which end [`crate::Guest`] owns both.
    pub(crate) fn attach(&self, vm: &VmFd) -> Result<()> {
        self.slot(vm, 0)
    }

    /// As [`Self::attach`], also once it is; KVM notes what is written.
    pub(crate) fn track(&self, vm: &VmFd) -> Result<()> {
        self.map().bitmap().reset();
        self.slot(vm, KVM_MEM_LOG_DIRTY_PAGES)
    }

    fn slot(&self, vm: &VmFd, flags: u32) -> Result<()> {
        let region = kvm_userspace_memory_region {
            slot: 0,
            flags,
            guest_phys_addr: RAM_BASE,
            memory_size: self.size() as u64,
            userspace_addr: self.base() as u64,
        };

        // SAFETY: The mapping is of that size, and outlives the VM, see above.
        unsafe { vm.set_user_memory_region(region) }.context("KVM_SET_USER_MEMORY_REGION")
    }

    /// One `T` for each vCPU, from the guest-physical address `ADDR` on.
    ///
    /// # Safety
    ///
    /// `T` must consist of atomics, which the guest may change at any time and
    /// which allow any value.
    unsafe fn per_vcpu<T, const ADDR: u64>(&self) -> &[T] {
        let offset = const {
            let offset = (ADDR - RAM_BASE) as usize;

            assert!(offset % align_of::<T>() == 0 && align_of::<T>() <= 4096);
            assert!(offset + MAX_VCPUS * size_of::<T>() <= RAM_SIZE as usize);
            offset
        };

        // SAFETY: They lie in the mapping, which has RAM_SIZE or more, aligned to pages, and the caller
        // vouches for the rest.
        unsafe { slice::from_raw_parts(self.base().add(offset).cast(), MAX_VCPUS) }
    }

    /// The mailbox of a vCPU.
    pub fn mailbox(&self, vcpu: usize) -> &Mailbox {
        // SAFETY: A mailbox consists of atomics.
        let boxes = unsafe { self.per_vcpu::<Mailbox, MAILBOXES>() };

        &boxes[vcpu]
    }

    /// The slots of a vCPU for MSIs with sequence numbers.
    pub fn slots(&self, vcpu: usize) -> &[Slot; SLOTS] {
        // SAFETY: A slot consists of atomics.
        let slots = unsafe { self.per_vcpu::<[Slot; SLOTS], SLOTS_BASE>() };

        &slots[vcpu]
    }
}

/// Memory of a huge page, if the kernel has any.
#[derive(Debug)]
pub(crate) struct HugeMemory {
    /// Room for a page that is aligned.
    map: Mapping,
}

impl HugeMemory {
    /// The size of the page, and the alignment of the guest-physical address.
    pub(crate) const SIZE: u64 = 0x20_0000;

    pub(crate) fn new() -> Result<Self> {
        let len = 2 * Self::SIZE as usize;
        // SAFETY: A new mapping, wherever the kernel likes.
        let addr = unsafe {
            libc::mmap(
                null_mut(),
                len,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };

        if addr == libc::MAP_FAILED {
            return Err(io::Error::last_os_error()).context("memory of a huge page");
        }
        let new = Self {
            map: Mapping { addr, len },
        };

        // SAFETY: The page is part of the mapping, to which there is no reference. Advice is all that
        // the first is, which a kernel without huge pages does not take.
        unsafe {
            libc::madvise(new.page(), Self::SIZE as usize, libc::MADV_HUGEPAGE);
            new.page().cast::<u8>().write_bytes(0, Self::SIZE as usize);
        }
        Ok(new)
    }

    /// Forgets what it holds, and makes it a huge page again, or small pages.
    pub(crate) fn refill(&self, huge: bool) -> io::Result<()> {
        let advice = if huge {
            libc::MADV_HUGEPAGE
        } else {
            libc::MADV_NOHUGEPAGE
        };

        for advice in [libc::MADV_DONTNEED, advice] {
            // SAFETY: The page is part of the mapping, to which there is no reference.
            if unsafe { libc::madvise(self.page(), Self::SIZE as usize, advice) } != 0 {
                return Err(io::Error::last_os_error());
            }
        }
        // SAFETY: As above. The first of the small pages is enough.
        unsafe { self.page().cast::<u8>().write(0) };
        Ok(())
    }

    fn page(&self) -> *mut libc::c_void {
        let skip = self.map.addr.align_offset(Self::SIZE as usize);

        self.map.addr.wrapping_byte_add(skip)
    }

    /// Makes it memory of `vm` at `guest_phys_addr`. It must stay in place as long as `vm` can run.
    pub(crate) fn attach(&self, vm: &VmFd, slot: u32, guest_phys_addr: u64) -> Result<()> {
        let region = kvm_userspace_memory_region {
            slot,
            flags: 0,
            guest_phys_addr,
            memory_size: Self::SIZE,
            userspace_addr: self.page() as u64,
        };

        // SAFETY: The mapping is of that size, and outlives the VM, see above.
        unsafe { vm.set_user_memory_region(region) }.context("KVM_SET_USER_MEMORY_REGION")
    }
}

/// A page of physical memory with device registers.
#[derive(Debug)]
pub struct PhysPage(Mapping);

impl PhysPage {
    /// Maps the page at `addr`. The caller is root and knows what lies there.
    pub fn new(addr: u64) -> Result<Self> {
        let mem = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_SYNC)
            .open("/dev/mem")
            .context("/dev/mem")?;

        Ok(Self(
            Mapping::new(0x1000, 0, Some(&mem), addr)
                .context(format!("mapping the page at {addr:#x}"))?,
        ))
    }

    /// Stores to the first word, an IMSIC page's seteipnum_le.
    pub fn write_first(&self, value: u32) {
        // SAFETY: The page is mapped; what the store does is up to the device.
        unsafe { write_volatile(self.0.addr.cast::<u32>(), value.to_le()) };
    }
}

/// The file with the binary statistics of a VM or vCPU.
pub(crate) fn stats_fd(fd: &impl AsRawFd) -> io::Result<File> {
    // SAFETY: The ioctl takes no argument and returns a new file descriptor, which is ours.
    unsafe {
        let stats = libc::ioctl(fd.as_raw_fd(), KVM_GET_STATS_FD as _, 0);

        if stats < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(File::from_raw_fd(stats))
    }
}

/// KVM_CREATE_VCPU, and nothing else: not the mapping that the crate makes.
pub(crate) fn create_vcpu(vm: &impl AsRawFd, id: u64) -> io::Result<OwnedFd> {
    // SAFETY: The ioctl takes a number and returns a new file descriptor, which is ours.
    unsafe {
        let vcpu = libc::ioctl(vm.as_raw_fd(), KVM_CREATE_VCPU as _, id);

        if vcpu < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(OwnedFd::from_raw_fd(vcpu))
    }
}

/// The IDs of KVM_GET_REG_LIST. kvm_bindings has room for fewer than there are.
pub(crate) fn reg_list(vcpu: &impl AsRawFd) -> io::Result<Vec<u64>> {
    // The number, and as many IDs.
    let mut list = vec![0; 1 + MAX_REGS];

    list[0] = MAX_REGS as u64;
    // SAFETY: The kernel writes no more IDs than the number says that there is room for.
    if unsafe { libc::ioctl(vcpu.as_raw_fd(), KVM_GET_REG_LIST as _, list.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    list.truncate(1 + list[0] as usize);
    Ok(list.split_off(1))
}

/// Sets or clears the external interrupt of the vCPU behind `fd`.
pub(crate) fn interrupt(fd: i32, level: bool) -> io::Result<()> {
    let what = if level {
        kvm_bindings::KVM_INTERRUPT_SET
    } else {
        kvm_bindings::KVM_INTERRUPT_UNSET
    };

    // SAFETY: The ioctl reads a number from memory, and takes any.
    if unsafe { libc::ioctl(fd, KVM_INTERRUPT as _, &what) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Lets KVM_RUN of the vCPU be interrupted by all signals, blocked or not, or by those that are not.
pub(crate) fn let_signals_in(vcpu: &impl AsRawFd, all: bool) -> io::Result<()> {
    /// `struct kvm_signal_mask` with its set.
    #[repr(C)]
    struct SignalMask {
        len: u32,
        set: [u8; 8],
    }
    let none = SignalMask {
        len: 8,
        set: [0; 8],
    };
    let mask = if all {
        &raw const none
    } else {
        std::ptr::null()
    };

    // SAFETY: The kernel reads the structure, with as many bytes of the set as it says, or nothing.
    if unsafe { libc::ioctl(vcpu.as_raw_fd(), KVM_SET_SIGNAL_MASK as _, mask) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Sends a signal to the calling thread.
pub(crate) fn raise(signal: libc::c_int) -> io::Result<()> {
    // SAFETY: The signal has a handler, or is blocked.
    if unsafe { libc::raise(signal) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Memory of the process that a device cannot use as it would like to.
#[derive(Debug)]
pub struct TestMemory(Mapping);

impl TestMemory {
    const PAGE: usize = 0x1000;

    /// A page, one that is not there, and one that can only be read.
    pub fn new() -> Result<Self> {
        let map = Mapping::new(3 * Self::PAGE, libc::MAP_ANONYMOUS, None, 0)
            .context("memory that is not there")?;

        for (page, prot) in [(1, libc::PROT_NONE), (2, libc::PROT_READ)] {
            // SAFETY: A page of the mapping, to which there is no reference.
            let failed =
                unsafe { libc::mprotect(map.addr.byte_add(page * Self::PAGE), Self::PAGE, prot) };

            if failed != 0 {
                return Err(io::Error::last_os_error()).context("mprotect");
            }
        }
        Ok(Self(map))
    }

    pub(crate) fn address(&self, place: Place) -> u64 {
        let page = Self::PAGE as u64;

        self.0.addr as u64
            + match place {
                Place::Nowhere => page,
                Place::Short(bytes) => page - bytes.min(page),
                Place::ReadOnly => 2 * page,
            }
    }
}

/// Reads a device attribute that is as many bytes as those in `bytes` ask for, and no more than there are.
pub(crate) fn get_device_bytes(
    dev: &DeviceFd,
    group: u32,
    attr: u64,
    bytes: &mut [u8],
) -> io::Result<()> {
    let mut attr = kvm_device_attr {
        flags: 0,
        group,
        attr,
        addr: bytes.as_mut_ptr() as u64,
    };

    // SAFETY: The caller says how much the attribute has.
    unsafe { dev.get_device_attr(&mut attr) }.map_err(|e| io::Error::from_raw_os_error(e.errno()))
}

/// Reads a device attribute over the low bytes of `value`.
pub(crate) fn get_device_attr(
    dev: &DeviceFd,
    group: u32,
    attr: u64,
    value: &mut u128,
) -> io::Result<()> {
    let mut attr = kvm_device_attr {
        flags: 0,
        group,
        attr,
        addr: (value as *mut u128) as u64,
    };

    // SAFETY: The device writes at most the attribute's size, and none has more than 8 bytes.
    unsafe { dev.get_device_attr(&mut attr) }.map_err(|e| io::Error::from_raw_os_error(e.errno()))
}

/// Reads a device attribute to `place` in `mem`.
pub(crate) fn get_device_attr_at(
    dev: &DeviceFd,
    group: u32,
    attr: u64,
    mem: &TestMemory,
    place: Place,
) -> io::Result<()> {
    let mut attr = kvm_device_attr {
        flags: 0,
        group,
        attr,
        addr: mem.address(place),
    };

    // SAFETY: The device writes at most to the mapping, to which there is no reference.
    unsafe { dev.get_device_attr(&mut attr) }.map_err(|e| io::Error::from_raw_os_error(e.errno()))
}

/// Extension, function and arguments of an SBI call that KVM left to us.
pub(crate) fn sbi_call(run: &kvm_run) -> (u64, u64, [u64; 6]) {
    // SAFETY: The caller saw KVM_EXIT_RISCV_SBI, for which this member is valid.
    let sbi = unsafe { &run.__bindgen_anon_1.riscv_sbi };

    (sbi.extension_id, sbi.function_id, sbi.args)
}

/// Sets error and value that such a call returns.
pub(crate) fn set_sbi_ret(run: &mut kvm_run, ret: [u64; 2]) {
    run.__bindgen_anon_1.riscv_sbi.ret = ret;
}

/// Gives the CSR whose access KVM left to us the value `value`; its number.
pub(crate) fn answer_csr(run: &mut kvm_run, value: u64) -> u64 {
    // SAFETY: The caller saw KVM_EXIT_RISCV_CSR, for which this member is valid.
    let csr = unsafe { &mut run.__bindgen_anon_1.riscv_csr };

    csr.ret_value = value;
    csr.csr_num
}

/// The calling thread's id.
pub(crate) fn gettid() -> libc::pid_t {
    // SAFETY: Always allowed.
    unsafe { libc::gettid() }
}

/// Lets thread `tid` (0: the caller) run on `cpus` only.
pub(crate) fn set_affinity(tid: libc::pid_t, cpus: &[usize]) -> io::Result<()> {
    // SAFETY: A CPU set of all zeroes is the empty one.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };

    for &cpu in cpus {
        // SAFETY: Sets a bit of `set`, within its bounds or not at all.
        unsafe { libc::CPU_SET(cpu, &mut set) };
    }
    // SAFETY: `set` is of the size given.
    if unsafe { libc::sched_setaffinity(tid, size_of::<libc::cpu_set_t>(), &set) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Gives the calling thread the least real-time priority, or none. The threads
/// that it starts do not inherit it.
pub(crate) fn set_realtime(on: bool) -> io::Result<()> {
    // SAFETY: All zeroes are valid parameters.
    let mut param: libc::sched_param = unsafe { std::mem::zeroed() };

    param.sched_priority = on.into();
    let policy = if on {
        libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK
    } else {
        libc::SCHED_OTHER
    };

    // SAFETY: The parameters are valid, and only read.
    if unsafe { libc::sched_setscheduler(0, policy, &param) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Lets the calling thread run only where nobody else wants to.
pub(crate) fn set_idle() -> io::Result<()> {
    // SAFETY: All zeroes are valid parameters.
    let param: libc::sched_param = unsafe { std::mem::zeroed() };

    // SAFETY: The parameters are valid, and only read.
    if unsafe { libc::sched_setscheduler(0, libc::SCHED_IDLE, &param) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// The signal that gets a vCPU out of KVM_RUN.
pub(crate) fn kick_signal() -> libc::c_int {
    libc::SIGUSR1
}

/// Lets this process have so many open files at least.
pub fn raise_open_files(count: u64) -> io::Result<()> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };

    // SAFETY: The structure is ours.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) } != 0 {
        return Err(io::Error::last_os_error());
    }
    limit.rlim_cur = limit.rlim_cur.max(count);
    limit.rlim_max = limit.rlim_max.max(count);
    // SAFETY: As above.
    if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
