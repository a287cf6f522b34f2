// SPDX-License-Identifier: GPL-2.0

//! Device memory for drivers that probe before there are devices.
//!
//! C header: [`include/linux/io.h`](srctree/include/linux/io.h)

use core::{
    marker::PhantomData,
    ptr::NonNull, //
};

use kernel::{
    bindings,
    prelude::*, //
};

use crate::ioport::Range;

/// The width of a physical address: page tables of RV64 hold page numbers of 44 bits.
const PHYSICAL_BITS: u32 = 56;

/// A mapping of device memory; unmapped when dropped.
///
/// # Examples
///
/// ```
/// use kernel::{device::property::FwNode, prelude::*};
/// use kernel_ext::{io::Mapping, of};
///
/// const DOMAINCFG: usize = 0;
///
/// fn probe(node: &FwNode) -> Result<Mapping> {
///     let ranges = of::address::ranges(node).map_err(|(_, error)| error)?;
///     let registers = Mapping::exclusive(ranges.first().ok_or(EINVAL)?, 0x4000, c"example")?;
///
///     registers.write(DOMAINCFG, 1 << 8);
///     if registers.read(DOMAINCFG) & 1 << 8 == 0 {
///         return Err(EIO);
///     }
///     Ok(registers)
/// }
/// ```
///
/// Only what firmware describes can be mapped. A number is no [`Range`], and a `Range` cannot be
/// made of one:
///
/// ```compile_fail,E0308
/// # use kernel::prelude::*;
/// use kernel_ext::io::Mapping;
///
/// # fn example() -> Result {
/// let memory = <Mapping>::new(0x8000_0000, 0x1000)?;
/// # Ok(())
/// # }
/// ```
///
/// ```compile_fail,E0451
/// use kernel_ext::ioport::Range;
///
/// let memory = Range { start: 0x8000_0000, size: 0x1000 };
/// ```
///
/// Of one that has `MIN` bytes at least, registers in these are found without looking at its size; where
/// the offset is a constant, without looking at all:
///
/// ```
/// use kernel_ext::io::Mapping;
///
/// fn switch_off(registers: &Mapping<0x4000>) {
///     registers.write(0x1fdc, 1);
/// }
/// ```
///
/// # Invariants
///
/// `base` is the start of an I/O mapping of `size` bytes, which are `MIN` at least.
pub struct Mapping<const MIN: usize = 0> {
    base: NonNull<u8>,
    size: usize,
    /// Given up after the mapping is gone: fields are dropped after `drop()`.
    claim: Option<Claim>,
}

// SAFETY: The mapping is the same on all CPUs, and any thread may remove it.
unsafe impl<const MIN: usize> Send for Mapping<MIN> {}
// SAFETY: Through a shared reference, registers are accessed by one load or store each, which the
// device, not memory, takes from several CPUs.
unsafe impl<const MIN: usize> Sync for Mapping<MIN> {}

impl<const MIN: usize> Mapping<MIN> {
    /// Maps the first `size` bytes of `range`. May sleep.
    ///
    /// Fails with `EINVAL` if it has not so many, if these are fewer than `MIN`, if they are beyond the
    /// physical addresses that there can be, or memory that the kernel uses, and with `EIO` if it cannot be
    /// mapped.
    pub fn new(range: &Range, size: usize) -> Result<Self> {
        let start = range.start();

        if size as u64 > range.size() || size < MIN {
            return Err(EINVAL);
        }
        let last = (size as u64)
            .checked_sub(1)
            .and_then(|rest| start.checked_add(rest))
            .ok_or(EINVAL)?;

        // CAST: Small constants.
        // SAFETY: Looks any range up.
        let memory = unsafe {
            bindings::region_intersects(
                start,
                size,
                bindings::IORESOURCE_SYSTEM_RAM as usize,
                bindings::IORES_DESC_NONE as usize,
            )
        };

        // A node of firmware may be anybody's, also that of the memory that the kernel uses.
        if last >> PHYSICAL_BITS != 0 || memory != bindings::REGION_DISJOINT as c_int {
            return Err(EINVAL);
        }
        // SAFETY: Firmware says that it is a device's.
        let base = unsafe { bindings::ioremap(start, size) };

        // INVARIANT: Just mapped, and not fewer than `MIN`, as checked above.
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
    #[inline(always)]
    pub fn read(&self, offset: usize) -> u32 {
        self.at(offset).map_or(0, |register| register.read())
    }

    /// Writes the 32-bit register at `offset` (`writel()`); nothing happens outside the mapping.
    #[inline(always)]
    pub fn write(&self, offset: usize, value: u32) {
        if let Ok(register) = self.at(offset) {
            register.write(value);
        }
    }

    /// The 32-bit register at `offset`, which must be aligned and inside the mapping, for more than
    /// one access.
    #[inline(always)]
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
    #[inline(always)]
    pub unsafe fn register(&self, offset: usize) -> Result<Register> {
        let end = offset.checked_add(4).ok_or(EINVAL)?;

        if offset % 4 != 0 || (end > MIN && end > self.size) {
            return Err(EINVAL);
        }
        // SAFETY: Inside the mapping, as just checked: it has `MIN` bytes by the type invariant.
        let ptr = unsafe { self.base.add(offset) };

        // INVARIANT: Aligned, mapped, and the caller keeps the mapping.
        Ok(Register(ptr))
    }
}

impl<const MIN: usize> Drop for Mapping<MIN> {
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
/// # Examples
///
/// A register that is accessed where the mapping is not at hand, of a mapping that lives for ever:
///
/// ```
/// use kernel::prelude::*;
/// use kernel_ext::io::{Mapping, Register};
///
/// struct Doorbell(Register);
///
/// impl Doorbell {
///     fn new(page: &'static Mapping) -> Result<Self> {
///         // SAFETY: The mapping is never dropped.
///         Ok(Self(unsafe { page.register(0) }?))
///     }
///
///     fn ring(&self, id: u32) {
///         self.0.write(id);
///     }
/// }
/// ```
///
/// Safe code cannot promise that the mapping is still there:
///
/// ```compile_fail,E0133
/// # use kernel::prelude::*;
/// # use kernel_ext::io::{Mapping, Register};
/// fn register(page: &Mapping) -> Result<Register> {
///     page.register(0)
/// }
/// ```
///
/// # Invariants
///
/// The address is a mapped, naturally aligned one for as long as the value is used.
#[derive(Clone, Copy)]
pub struct Register(NonNull<u8>);

// SAFETY: The mapping that the address is in is the same on all CPUs.
unsafe impl Send for Register {}
// SAFETY: The register is accessed by one load or store each time, which the device, not memory,
// takes from several CPUs; the address does not change.
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
///
/// # Examples
///
/// ```
/// use kernel::prelude::*;
/// use kernel_ext::io::Mapping;
///
/// const CLAIMI: usize = 0x1c;
///
/// /// Claims until nothing is left.
/// fn drain(idc: &Mapping) -> Result<u32> {
///     let claimi = idc.at(CLAIMI)?;
///     let mut claimed = 0;
///
///     while claimi.read() != 0 {
///         claimed += 1;
///     }
///     Ok(claimed)
/// }
/// ```
///
/// It keeps the mapping borrowed:
///
/// ```compile_fail,E0505
/// # use kernel::prelude::*;
/// # use kernel_ext::io::Mapping;
/// fn late(idc: Mapping) -> Result<u32> {
///     let claimi = idc.at(0x1c)?;
///
///     drop(idc);
///     Ok(claimi.read())
/// }
/// ```
#[derive(Clone, Copy)]
pub struct BorrowedRegister<'a> {
    register: Register,
    _mapping: PhantomData<&'a Mapping>,
}

impl BorrowedRegister<'_> {
    /// See [`Register::write`].
    #[inline(always)]
    pub fn write(self, value: u32) {
        self.register.write(value);
    }

    /// See [`Register::read`].
    #[inline(always)]
    pub fn read(self) -> u32 {
        self.register.read()
    }
}

/// The physical address of a page of registers that a guest may have.
///
/// # Examples
///
/// ```
/// use kernel_ext::{io::DevicePage, ioport::Range};
///
/// /// The page of guest interrupt file `number` in the range of an IMSIC.
/// ///
/// /// # Safety
/// ///
/// /// The range must have this file.
/// unsafe fn guest_page(range: &Range, number: u64) -> DevicePage {
///     // SAFETY: An interrupt file is a device, and stores to it do not reach memory.
///     unsafe { DevicePage::new(range.start() + (number << 12)) }
/// }
/// ```
///
/// A guest gets the page as it is, so safe code must not be able to name one of the host's memory:
///
/// ```compile_fail,E0133
/// use kernel_ext::io::DevicePage;
///
/// let page = DevicePage::new(0x8000_0000);
/// ```
///
/// ```compile_fail,E0423
/// use kernel_ext::io::DevicePage;
///
/// let page = DevicePage(0x8000_0000);
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct DevicePage(u64);

impl DevicePage {
    /// The page at physical address `address`.
    ///
    /// # Safety
    ///
    /// The page must be a device's, for ever, and whatever is stored there by whoever must not
    /// touch memory.
    pub unsafe fn new(address: u64) -> Self {
        Self(address)
    }

    /// Its physical address.
    #[inline(always)]
    pub fn address(self) -> u64 {
        self.0
    }
}
