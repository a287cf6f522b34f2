// SPDX-License-Identifier: GPL-2.0

//! Device memory for drivers that probe before there are devices.
//!
//! C header: [`include/linux/io.h`](srctree/include/linux/io.h)

use core::{
    marker::PhantomData,
    ops::Deref,
    ptr::NonNull, //
};

use kernel::{
    bindings,
    prelude::*, //
};

use crate::of::address::Range;

/// The width of a physical address: page tables of RV64 hold page numbers of 44 bits.
const PHYSICAL_BITS: u32 = 56;

/// A mapping of device memory; unmapped when dropped.
///
/// # Invariants
///
/// `base` is the start of an I/O mapping of `size` bytes.
pub struct Mapping {
    base: NonNull<u8>,
    size: usize,
    /// Given up after the mapping is gone: fields are dropped after `drop()`.
    claim: Option<Claim>,
}

// SAFETY: The mapping is the same on all CPUs, and accesses to it need no synchronisation.
unsafe impl Send for Mapping {}
// SAFETY: As above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps the first `size` bytes of `range`. May sleep.
    ///
    /// Fails with `EINVAL` if it has not so many, or is no physical memory, and with `EIO` if it cannot
    /// be mapped.
    pub fn new(range: &Range, size: usize) -> Result<Self> {
        let start = range.start();

        if size as u64 > range.size() {
            return Err(EINVAL);
        }
        let last = (size as u64)
            .checked_sub(1)
            .and_then(|rest| start.checked_add(rest))
            .ok_or(EINVAL)?;

        if last >> PHYSICAL_BITS != 0 {
            return Err(EINVAL);
        }
        // SAFETY: Firmware says that it is a device's.
        let base = unsafe { bindings::ioremap(start, size) };

        // INVARIANT: Just mapped.
        Ok(Self {
            base: NonNull::new(base.cast()).ok_or(EIO)?,
            size,
            claim: None,
        })
    }

    /// As [`Self::new`], but fails with `EBUSY` if the memory belongs to somebody else, and shows
    /// `name` as the owner in `/proc/iomem`.
    pub fn exclusive(range: &Range, size: usize, name: &'static CStr) -> Result<Self> {
        // The claim comes first and goes last.
        let claim = Claim::new(range.start(), size, name)?;

        let mut mapping = Self::new(range, size)?;

        mapping.claim = Some(claim);
        Ok(mapping)
    }

    /// Reads the 32-bit register at `offset` (`readl()`); zero outside the mapping.
    #[inline]
    pub fn read(&self, offset: usize) -> u32 {
        self.at(offset).map_or(0, |register| register.read())
    }

    /// Writes the 32-bit register at `offset` (`writel()`); nothing happens outside the mapping.
    #[inline]
    pub fn write(&self, offset: usize, value: u32) {
        if let Ok(register) = self.at(offset) {
            register.write(value);
        }
    }

    /// The 32-bit register at `offset`, which must be aligned and inside the mapping, for more than
    /// one access.
    #[inline]
    pub fn at(&self, offset: usize) -> Result<BorrowedRegister<'_>> {
        Ok(BorrowedRegister {
            // SAFETY: The register lives no longer than the mapping is borrowed.
            register: unsafe { self.register(offset) }?,
            _mapping: PhantomData,
        })
    }

    /// The 32-bit register at `offset`, which must be aligned and inside the mapping.
    ///
    /// # Safety
    ///
    /// The register must not be used after the mapping was dropped.
    #[inline]
    pub unsafe fn register(&self, offset: usize) -> Result<Register> {
        if offset % 4 != 0 || offset.checked_add(4).ok_or(EINVAL)? > self.size {
            return Err(EINVAL);
        }
        // SAFETY: Inside the mapping, as just checked.
        let ptr = unsafe { self.base.add(offset) };

        // INVARIANT: Aligned, mapped, and the caller keeps the mapping.
        Ok(Register(ptr))
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: By the type invariant.
        unsafe { bindings::iounmap(self.base.as_ptr().cast()) };
    }
}

/// A claim of a range of physical addresses; given up when dropped.
struct Claim {
    start: u64,
    size: usize,
}

impl Claim {
    fn new(start: u64, size: usize, name: &'static CStr) -> Result<Self> {
        // SAFETY: The name lives for ever.
        let claimed =
            unsafe { bindings::request_mem_region(start, size as u64, name.as_char_ptr()) };

        if claimed.is_null() {
            return Err(EBUSY);
        }
        Ok(Self { start, size })
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // SAFETY: Claimed by `new`.
        unsafe { bindings::release_mem_region(self.start, self.size as u64) };
    }
}

/// One 32-bit register in device memory.
///
/// # Invariants
///
/// The address is a mapped, naturally aligned one for as long as the value is used.
#[derive(Clone, Copy)]
pub struct Register(NonNull<u8>);

// SAFETY: The mapping is the same on all CPUs, and accesses to it need no synchronisation.
unsafe impl Send for Register {}
// SAFETY: As above.
unsafe impl Sync for Register {}

impl Register {
    /// Writes `value` after all earlier accesses to memory are visible (`writel()`).
    #[inline(always)]
    pub fn write(self, value: u32) {
        // SAFETY: By the type invariant.
        unsafe { bindings::writel(value, self.0.as_ptr().cast()) };
    }

    /// Reads the register before all later accesses to memory (`readl()`).
    #[inline(always)]
    pub fn read(self) -> u32 {
        // SAFETY: By the type invariant.
        unsafe { bindings::readl(self.0.as_ptr().cast()) }
    }

    /// The register `bytes` further on.
    ///
    /// # Safety
    ///
    /// The same mapping must have an aligned register there.
    #[inline]
    pub unsafe fn further(self, bytes: usize) -> Self {
        // INVARIANT: By the requirements of this function.
        // SAFETY: As above.
        Self(unsafe { self.0.add(bytes) })
    }

    /// The address, for C.
    pub fn as_raw(self) -> *mut c_void {
        self.0.as_ptr().cast()
    }
}

/// A register of a mapping that is not dropped meanwhile.
#[derive(Clone, Copy)]
pub struct BorrowedRegister<'a> {
    register: Register,
    _mapping: PhantomData<&'a Mapping>,
}

impl Deref for BorrowedRegister<'_> {
    type Target = Register;

    #[inline(always)]
    fn deref(&self) -> &Register {
        &self.register
    }
}

/// The physical address of a page of registers that a guest may have.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct DevicePage(u64);

impl DevicePage {
    /// The page at physical address `address`.
    ///
    /// # Safety
    ///
    /// The page must be a device's, for ever, and whatever is stored there by whoever must not touch
    /// memory.
    pub unsafe fn new(address: u64) -> Self {
        Self(address)
    }

    /// Its physical address.
    #[inline(always)]
    pub fn address(self) -> u64 {
        self.0
    }
}
