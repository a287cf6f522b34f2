// SPDX-License-Identifier: GPL-2.0

//! The CSRs of the Advanced Interrupt Architecture: the hart's own interrupt file.
//!
//! C header: `arch/riscv/include/asm/csr.h`; AIA 2.1, 3.7 to 3.9.

use core::arch::asm;

use kernel::{
    bindings,
    interrupt::LocalInterruptDisabled, //
};

// A kernel runs in supervisor mode, or, without an MMU, in machine mode.
#[cfg(not(CONFIG_RISCV_M_MODE))]
mod number {
    pub(super) const ISELECT: u32 = 0x150;
    pub(super) const IREG: u32 = 0x151;
    pub(super) const TOPEI: u32 = 0x15c;
}
#[cfg(CONFIG_RISCV_M_MODE)]
mod number {
    pub(super) const ISELECT: u32 = 0x350;
    pub(super) const IREG: u32 = 0x351;
    pub(super) const TOPEI: u32 = 0x35c;
}

/// Evidence that all harts have the AIA's CSRs of the kernel's privilege level.
///
/// # Examples
///
/// ```
/// use kernel::interrupt::LocalInterruptDisabled;
/// use kernel_ext::arch::riscv::aia::Aia;
///
/// /// Claims until nothing is left.
/// fn drain(aia: Aia, irqs_off: &LocalInterruptDisabled, mut handle: impl FnMut(usize)) {
///     loop {
///         let top = aia.claim_topei(irqs_off);
///
///         if top == 0 {
///             break;
///         }
///         handle(top >> 16);
///     }
/// }
/// ```
///
/// A hart without the CSRs would trap, so that somebody has to have looked:
///
/// ```compile_fail,E0423
/// use kernel_ext::arch::riscv::aia::Aia;
///
/// let aia = Aia(());
/// ```
#[derive(Clone, Copy)]
pub struct Aia(());

impl Aia {
    /// Looks for the Ssaia extension (Smaia in M-mode kernels) on all harts.
    pub fn detect() -> Option<Self> {
        // SAFETY: Only reads the bitmap of extensions, which is complete before interrupt
        // controllers are probed.
        unsafe { bindings::riscv_has_ssaia() }.then_some(Self(()))
    }

    /// Claims the top external interrupt of this hart: reads and writes `*topei` in one
    /// instruction, so that exactly the identity that is returned loses its pending bit.
    ///
    /// Returns the raw value: the identity in bits 26:16 and 10:0, or zero (AIA 3.9).
    #[inline(always)]
    pub fn claim_topei(self, _irqs_off: &LocalInterruptDisabled) -> usize {
        let top: usize;

        // SAFETY: The CSR exists by the type invariant. The access changes only the interrupt
        // file's pending bits.
        unsafe {
            asm!(
                "csrrw {top}, {csr}, zero",
                top = out(reg) top,
                csr = const number::TOPEI,
                options(nostack),
            )
        };
        top
    }
}

/// The number of a register of an interrupt file that a hart with XLEN = 64 has, as in `siselect`
/// and `vsiselect` (AIA 3.7): of the arrays, the even ones.
///
/// # Examples
///
/// ```
/// use kernel_ext::arch::riscv::aia::FileRegister;
///
/// /// The register with the pending bit of an identity, and the bit in that.
/// fn pending(id: u32) -> (FileRegister, usize) {
///     (FileRegister::eip(id / 64), 1 << (id % 64))
/// }
/// ```
///
/// `siselect` also selects registers that are no interrupt file's, among them those of other
/// extensions, so the number of one cannot be passed:
///
/// ```compile_fail,E0423
/// use kernel_ext::arch::riscv::aia::FileRegister;
///
/// let iprio0 = FileRegister(0x30);
/// ```
///
/// # Invariants
///
/// It is that of `eidelivery`, `eithreshold`, or an even one in an array.
#[derive(Clone, Copy)]
pub struct FileRegister(usize);

impl FileRegister {
    /// Whether the interrupt file delivers interrupts (AIA 3.8.1).
    pub const EIDELIVERY: Self = Self(0x70);

    /// The priority threshold (AIA 3.8.2).
    pub const EITHRESHOLD: Self = Self(0x72);

    const EIP: usize = 0x80;
    const EIE: usize = 0xc0;

    /// The pending bits of identities `64 * word` to `64 * word + 63` (AIA 3.8.3); only the lowest
    /// five bits of `word` count.
    #[inline(always)]
    pub const fn eip(word: u32) -> Self {
        // INVARIANT: At most 0xbe. CAST: Five bits.
        Self(Self::EIP + 2 * (word % 32) as usize)
    }

    /// The enable bits of identities `64 * word` to `64 * word + 63` (AIA 3.8.4); only the lowest
    /// five bits of `word` count.
    #[inline(always)]
    pub const fn eie(word: u32) -> Self {
        // INVARIANT: At most 0xfe. CAST: Five bits.
        Self(Self::EIE + 2 * (word % 32) as usize)
    }

    /// The number.
    #[inline(always)]
    pub(super) const fn get(self) -> usize {
        self.0
    }
}

/// The indirectly accessed registers of this hart's interrupt file.
///
/// Select and access are two instructions, hence nothing else may come in between: the value can
/// only be had where local interrupts are off, and lives no longer than that.
///
/// # Examples
///
/// ```
/// use kernel::{interrupt::local_interrupt_disable, prelude::*};
/// use kernel_ext::arch::riscv::aia::{Aia, FileRegister, Indirect};
///
/// # fn example() -> Result {
/// let aia = Aia::detect().ok_or(ENODEV)?;
/// let irqs_off = local_interrupt_disable();
/// let file = Indirect::new(aia, &irqs_off);
///
/// file.write(FileRegister::EITHRESHOLD, 0);
/// file.set(FileRegister::eie(0), 1 << 1);
/// file.write(FileRegister::EIDELIVERY, 1);
/// # Ok(())
/// # }
/// ```
///
/// An interrupt handler would select another register in between, so that there has to be a token
/// that lives for as long as the value:
///
/// ```compile_fail,E0597
/// # use kernel::interrupt::local_interrupt_disable;
/// # use kernel_ext::arch::riscv::aia::{Aia, FileRegister, Indirect};
/// fn enable(aia: Aia) {
///     let file;
///
///     {
///         let irqs_off = local_interrupt_disable();
///
///         file = Indirect::new(aia, &irqs_off);
///     }
///     file.write(FileRegister::EIDELIVERY, 1);
/// }
/// ```
///
/// It is the file of the hart that it was made on, and no other one's:
///
/// ```compile_fail,E0277
/// # use kernel::{cpu::CpuId, prelude::*};
/// # use kernel_ext::arch::riscv::aia::{FileRegister, Indirect};
/// use kernel_ext::smp;
///
/// fn enable_on(cpu: CpuId, file: Indirect<'_>) -> Result {
///     smp::call_on(cpu, move |_| file.write(FileRegister::EIDELIVERY, 1))
/// }
/// ```
#[derive(Clone, Copy)]
pub struct Indirect<'a> {
    _aia: Aia,
    irqs_off: &'a LocalInterruptDisabled,
}

/// Selects `$register` and accesses it by instruction `$insn` with operand `$value`.
macro_rules! access {
    ($insn:literal, $register:expr, $value:expr) => {{
        let old: usize;

        // SAFETY: The CSRs exist as there is an `Aia`, and `Indirect` keeps interrupts off from
        // select to access. The accesses change only the interrupt file.
        unsafe {
            asm!(
                "csrw {iselect}, {isel}",
                concat!($insn, " {old}, {ireg}, {value}"),
                iselect = const number::ISELECT,
                ireg = const number::IREG,
                isel = in(reg) $register.get(),
                value = in(reg) $value,
                old = lateout(reg) old,
                options(nostack),
            )
        };
        old
    }};
}

impl<'a> Indirect<'a> {
    /// The registers of this hart for as long as its interrupts are off.
    #[inline(always)]
    pub fn new(aia: Aia, irqs_off: &'a LocalInterruptDisabled) -> Self {
        Self {
            _aia: aia,
            irqs_off,
        }
    }

    /// Local interrupts are off.
    #[inline(always)]
    pub fn irqs_off(&self) -> &'a LocalInterruptDisabled {
        self.irqs_off
    }

    /// Reads a register.
    #[inline(always)]
    pub fn read(self, register: FileRegister) -> usize {
        access!("csrrs", register, 0usize)
    }

    /// Writes a register.
    #[inline(always)]
    pub fn write(self, register: FileRegister, value: usize) {
        access!("csrrw", register, value);
    }

    /// Sets the bits `mask` of a register.
    #[inline(always)]
    pub fn set(self, register: FileRegister, mask: usize) {
        access!("csrrs", register, mask);
    }

    /// Clears the bits `mask` of a register and returns it as it was.
    #[inline(always)]
    pub fn clear(self, register: FileRegister, mask: usize) -> usize {
        access!("csrrc", register, mask)
    }
}
