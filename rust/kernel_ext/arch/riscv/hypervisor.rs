// SPDX-License-Identifier: GPL-2.0

//! The CSRs of the hypervisor extension that deal with guests' external interrupts.
//!
//! C header: `arch/riscv/include/asm/csr.h`; AIA 6.1, 6.3. Only for harts with the H extension and
//! Ssaia, which is what a [`Hypervisor`] stands for.

use core::{
    arch::asm,
    marker::PhantomData, //
};

use kernel::{
    bindings,
    interrupt::LocalInterruptDisabled, //
};

use super::aia::FileRegister;

mod number {
    pub(super) const HSTATUS: u32 = 0x600;
    pub(super) const HIE: u32 = 0x604;
    pub(super) const HGEIE: u32 = 0x607;
    pub(super) const HVIEN: u32 = 0x608;
    pub(super) const HVICTL: u32 = 0x609;
    pub(super) const HVIPRIO1: u32 = 0x646;
    pub(super) const HVIPRIO2: u32 = 0x647;
    pub(super) const HGEIP: u32 = 0xe12;
    pub(super) const VSISELECT: u32 = 0x250;
    pub(super) const VSIREG: u32 = 0x251;
}

/// The interrupt that says that a guest external interrupt is pending, in `hie` and at the INTC.
pub const IRQ_S_GEXT: u32 = bindings::IRQ_S_GEXT;

/// The interrupts that any guest has, as in its `sie`: software, timer and external interrupts.
pub const GUEST_INTERRUPTS: u64 =
    1 << bindings::IRQ_S_SOFT | 1 << bindings::IRQ_S_TIMER | 1 << bindings::IRQ_S_EXT;

/// Lets no guest's external interrupt interrupt this hart, if it has the H extension: before there is a KVM
/// that could handle it.
///
/// # Examples
///
/// ```
/// use kernel::interrupt::local_interrupt_disable;
/// use kernel_ext::arch::riscv::hypervisor;
///
/// hypervisor::silence(&local_interrupt_disable());
/// ```
pub fn silence(_irqs_off: &LocalInterruptDisabled) {
    // SAFETY: Only reads the bitmap of extensions.
    if unsafe { bindings::riscv_has_h() } {
        // SAFETY: The CSRs exist with the extension. Who wants such interrupts enables them later.
        unsafe {
            asm!(
                "csrw {hgeie}, zero",
                "csrc {hie}, {bit}",
                hgeie = const number::HGEIE,
                hie = const number::HIE,
                bit = in(reg) 1_usize << IRQ_S_GEXT,
                options(nostack),
            )
        };
    }
}

/// `hstatus.VGEIN`: the guest external interrupt whose file VS-mode uses.
pub const HSTATUS_VGEIN: usize = 0x3f << HSTATUS_VGEIN_SHIFT;
const HSTATUS_VGEIN_SHIFT: u32 = 12;

/// Returns `hstatus` with VGEIN changed; 0 for no guest file.
///
/// # Examples
///
/// ```
/// use kernel_ext::arch::riscv::hypervisor::{with_vgein, HSTATUS_VGEIN};
///
/// let hstatus = with_vgein(1 << 7, 3);
///
/// assert_eq!(hstatus, 1 << 7 | 3 << 12);
/// assert_eq!(with_vgein(hstatus, 0) & HSTATUS_VGEIN, 0);
/// ```
#[inline]
pub fn with_vgein(hstatus: usize, hgei: u32) -> usize {
    // CAST: As wide as the hart.
    (hstatus & !HSTATUS_VGEIN) | ((hgei as usize) << HSTATUS_VGEIN_SHIFT & HSTATUS_VGEIN)
}

/// Accesses CSR `$csr` by instruction `$insn` with operand `$value`; evaluates to its old value.
macro_rules! access {
    ($insn:literal, $csr:expr, $value:expr) => {{
        let old: usize;

        // SAFETY: The CSR exists as there is a `Hypervisor`; none of those here changes what the
        // kernel itself runs on.
        unsafe {
            asm!(
                concat!($insn, " {old}, {csr}, {value}"),
                csr = const $csr,
                value = in(reg) $value,
                old = lateout(reg) old,
                options(nostack),
            )
        };
        old
    }};
}

/// Reads CSR `$csr`, which may be one that cannot be written.
macro_rules! read {
    ($csr:expr) => {{
        let value: usize;

        // SAFETY: As for `access`.
        unsafe {
            asm!(
                "csrr {value}, {csr}",
                csr = const $csr,
                value = lateout(reg) value,
                options(nostack),
            )
        };
        value
    }};
}

/// The guest external interrupts that are pending (`hgeip`) on the hart that runs this now: it may
/// be another one afterwards, if the caller does not forbid that.
///
/// # Safety
///
/// All harts must have the H extension and Ssaia.
#[inline(always)]
pub unsafe fn pending() -> u64 {
    // CAST: As wide as the hart.
    read!(number::HGEIP) as u64
}

/// The running hart's CSRs, for as long as its interrupts are off.
///
/// Made only by who knows that all harts have the H extension and the AIA.
///
/// # Examples
///
/// ```
/// use kernel::interrupt::LocalInterruptDisabled;
/// use kernel_ext::arch::riscv::hypervisor::Hypervisor;
///
/// /// Stands for the H extension and Ssaia on all harts.
/// struct Extensions(());
///
/// impl Extensions {
///     /// The guest external interrupts that interrupt this hart now; they do so no more.
///     fn take(&self, irqs_off: &LocalInterruptDisabled) -> u64 {
///         // SAFETY: All harts have the extensions, as there is `self`.
///         let hart = unsafe { Hypervisor::new(irqs_off) };
///         let taken = hart.pending() & hart.enabled();
///
///         hart.disable(taken);
///         taken
///     }
/// }
/// ```
///
/// On a hart without the extensions all accesses trap, and safe code cannot know whether it has
/// them:
///
/// ```compile_fail,E0133
/// use kernel::interrupt::local_interrupt_disable;
/// use kernel_ext::arch::riscv::hypervisor::Hypervisor;
///
/// let irqs_off = local_interrupt_disable();
/// let hart = Hypervisor::new(&irqs_off);
/// ```
#[derive(Clone, Copy)]
pub struct Hypervisor<'a>(PhantomData<&'a LocalInterruptDisabled>);

impl<'a> Hypervisor<'a> {
    /// The CSRs of this hart.
    ///
    /// # Safety
    ///
    /// All harts must have the H extension and Ssaia.
    #[inline(always)]
    pub unsafe fn new(_irqs_off: &'a LocalInterruptDisabled) -> Self {
        Self(PhantomData)
    }

    /// The guest external interrupts that are pending (`hgeip`).
    #[inline]
    pub fn pending(self) -> u64 {
        // SAFETY: The hart has the CSR as there is a `Hypervisor`.
        unsafe { pending() }
    }

    /// The guest external interrupts that interrupt this hart when pending (`hgeie`).
    #[inline]
    pub fn enabled(self) -> u64 {
        // CAST: As wide as the hart.
        read!(number::HGEIE) as u64
    }

    /// Lets the guest external interrupts `lines` interrupt this hart; returns which of all were
    /// enabled.
    #[inline]
    pub fn enable(self, lines: u64) -> u64 {
        // CAST: As wide as the hart.
        access!("csrrs", number::HGEIE, lines as usize) as u64
    }

    /// Keeps the guest external interrupts `lines` from interrupting this hart; returns which of
    /// all were enabled.
    #[inline]
    pub fn disable(self, lines: u64) -> u64 {
        // CAST: As wide as the hart.
        access!("csrrc", number::HGEIE, lines as usize) as u64
    }

    /// Lets exactly those of the guest external interrupts `lines` interrupt this hart that it has;
    /// returns which did.
    pub fn swap_enabled(self, lines: u64) -> u64 {
        // CAST: As wide as the hart.
        access!("csrrw", number::HGEIE, lines as usize) as u64
    }

    /// Writes `hvictl`.
    #[inline]
    pub fn write_hvictl(self, value: usize) {
        access!("csrrw", number::HVICTL, value);
    }

    /// Makes all priorities of a guest's interrupts the default (`hviprio1`, `hviprio2`).
    pub fn clear_priorities(self) {
        access!("csrrw", number::HVIPRIO1, 0usize);
        access!("csrrw", number::HVIPRIO2, 0usize);
    }

    /// Which bits of `hvien` are set.
    pub fn hvien(self) -> usize {
        read!(number::HVIEN)
    }

    /// Sets or clears bits of `hvien`.
    pub fn change_hvien(self, mask: usize, set: bool) {
        if set {
            access!("csrrs", number::HVIEN, mask);
        } else {
            access!("csrrc", number::HVIEN, mask);
        }
    }

    /// Lets guest external interrupts interrupt this hart at all, or not (`hie.SGEIE`).
    pub fn take_guest_external(self, on: bool) {
        if on {
            access!("csrrs", number::HIE, 1usize << IRQ_S_GEXT);
        } else {
            access!("csrrc", number::HIE, 1usize << IRQ_S_GEXT);
        }
    }

    /// Calls `f` with the registers of the guest interrupt file behind `hgei`, which must be one of this
    /// hart's. Those of another one cannot be used meanwhile: `f` must not call this.
    ///
    /// `vsiselect` and `hstatus.VGEIN`, which a vCPU may be using, are as before afterwards.
    #[inline]
    pub fn with_guest_file<R>(self, hgei: u32, f: impl FnOnce(&GuestFileRegisters<'a>) -> R) -> R {
        let vsiselect = read!(number::VSISELECT);
        let hstatus = read!(number::HSTATUS);

        access!("csrrw", number::HSTATUS, with_vgein(hstatus, hgei));
        let result = f(&GuestFileRegisters(PhantomData));

        access!("csrrw", number::HSTATUS, hstatus);
        access!("csrrw", number::VSISELECT, vsiselect);
        result
    }
}

/// The indirectly accessed registers of one of this hart's guest interrupt files, see
/// [`Hypervisor::with_guest_file`].
///
/// # Examples
///
/// ```
/// use kernel_ext::arch::riscv::{aia::FileRegister, hypervisor::Hypervisor};
///
/// /// Takes the first 64 pending bits out of the file behind `hgei`.
/// fn take(hart: Hypervisor<'_>, hgei: u32) -> u64 {
///     hart.with_guest_file(hgei, |file| file.swap(FileRegister::eip(0), 0))
/// }
/// ```
///
/// The file has to be selected, so that only that function makes one:
///
/// ```compile_fail,E0423
/// use core::marker::PhantomData;
/// use kernel_ext::arch::riscv::hypervisor::{GuestFileRegisters, Hypervisor};
///
/// fn file(hart: Hypervisor<'_>) -> GuestFileRegisters<'_> {
///     GuestFileRegisters(PhantomData)
/// }
/// ```
///
/// It cannot be kept until another one is selected:
///
/// ```compile_fail,E0521
/// # use kernel_ext::arch::riscv::{aia::FileRegister, hypervisor::Hypervisor};
/// fn late(hart: Hypervisor<'_>) -> Option<u64> {
///     let mut kept = None;
///
///     hart.with_guest_file(1, |file| kept = Some(file));
///     Some(kept?.read(FileRegister::eip(0)))
/// }
/// ```
pub struct GuestFileRegisters<'a>(PhantomData<Hypervisor<'a>>);

impl GuestFileRegisters<'_> {
    #[inline]
    fn select(&self, register: FileRegister) {
        access!("csrrw", number::VSISELECT, register.get());
    }

    /// Reads a register.
    #[inline]
    pub fn read(&self, register: FileRegister) -> u64 {
        self.select(register);
        // CAST: As wide as the hart.
        read!(number::VSIREG) as u64
    }

    /// Writes a register and returns what it held.
    #[inline]
    pub fn swap(&self, register: FileRegister, value: u64) -> u64 {
        self.select(register);
        // CAST: As wide as the hart.
        access!("csrrw", number::VSIREG, value as usize) as u64
    }

    /// Sets the bits `mask` of a register.
    #[inline]
    pub fn set(&self, register: FileRegister, mask: u64) {
        self.select(register);
        // CAST: As wide as the hart.
        access!("csrrs", number::VSIREG, mask as usize);
    }

    /// Clears the bits `mask` of a register and returns what it held.
    #[inline]
    pub fn clear(&self, register: FileRegister, mask: u64) -> u64 {
        self.select(register);
        // CAST: As wide as the hart.
        access!("csrrc", number::VSIREG, mask as usize) as u64
    }
}
