// SPDX-License-Identifier: GPL-2.0

//! Per-interrupt data of one controller in the hierarchy.
//!
//! C header: [`include/linux/irq.h`](srctree/include/linux/irq.h), `struct irq_data`

use core::{
    marker::PhantomData,
    num::NonZeroU64,
    ptr::{
        self,
        NonNull, //
    },
};

use kernel::{
    bindings,
    cpu::CpuId,
    prelude::*,
    types::Opaque, //
};

use super::{
    desc::{
        Descriptor,
        Locked, //
    },
    trigger::Trigger, //
};

/// A value that fits in the `chip_data` pointer of an interrupt. A null pointer is none: that of an
/// interrupt that is not set up yet, or not any more.
///
/// # Examples
///
/// References that live for ever, and [`ChipWord`], are such values. What is dropped while the
/// interrupt is still there is none:
///
/// ```compile_fail,E0277
/// use kernel::{prelude::*, sync::Arc};
/// use kernel_ext::irq::{chip, Chip};
///
/// struct Bank;
///
/// #[vtable]
/// impl chip::Operations for Bank {
///     type Data = Arc<Bank>;
/// }
/// ```
///
/// # Safety
///
/// [`Self::from_raw`] must be sound for every pointer that [`Self::into_raw`] returns, for ever.
pub unsafe trait ChipData: Copy {
    /// The pointer that stands for the value.
    fn into_raw(self) -> NonNull<c_void>;

    /// The value that `raw` stands for.
    ///
    /// # Safety
    ///
    /// `raw` must come from [`Self::into_raw`].
    unsafe fn from_raw(raw: NonNull<c_void>) -> Self;
}

// SAFETY: The reference is valid for ever.
unsafe impl<T: Sync> ChipData for &'static T {
    #[inline]
    fn into_raw(self) -> NonNull<c_void> {
        NonNull::from(self).cast()
    }

    #[inline]
    unsafe fn from_raw(raw: NonNull<c_void>) -> Self {
        // SAFETY: By the requirements of this function.
        unsafe { raw.cast::<T>().as_ref() }
    }
}

/// A number in place of a pointer.
///
/// # Examples
///
/// ```
/// use core::num::NonZeroU64;
/// use kernel::cpu::CpuId;
/// use kernel_ext::irq::data::ChipWord;
///
/// /// The CPU and the identity of an interrupt, which is not zero.
/// fn pack(cpu: CpuId, id: u32) -> Option<ChipWord> {
///     NonZeroU64::new(u64::from(cpu.as_u32()) << 32 | u64::from(id)).map(ChipWord)
/// }
///
/// fn identity(data: ChipWord) -> u32 {
///     data.0.get() as u32
/// }
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ChipWord(pub NonZeroU64);

// SAFETY: Nothing is dereferenced, and the number is not zero.
unsafe impl ChipData for ChipWord {
    #[inline]
    fn into_raw(self) -> NonNull<c_void> {
        // SAFETY: The number is not zero.
        unsafe { NonNull::new_unchecked(self.0.get() as *mut c_void) }
    }

    #[inline]
    unsafe fn from_raw(raw: NonNull<c_void>) -> Self {
        // SAFETY: The pointer is not null.
        Self(unsafe { NonZeroU64::new_unchecked(raw.as_ptr() as u64) })
    }
}

/// A number below 2^63, or a reference, in place of a pointer.
///
/// # Examples
///
/// Most interrupts need no more than a number, the others something bigger:
///
/// ```
/// use kernel::{prelude::*, sync::atomic::{Atomic, Relaxed}};
/// use kernel_ext::{irq::{chip, data::WordOrRef, desc::Locked, IrqData}};
///
/// /// A line that several devices share.
/// struct Shared {
///     masked: Atomic<u32>,
/// }
///
/// struct Lines;
///
/// #[vtable]
/// impl chip::Operations for Lines {
///     type Data = WordOrRef<Shared>;
///
///     fn mask(data: &IrqData<WordOrRef<Shared>>, _locked: &Locked) {
///         match data.chip_data() {
///             WordOrRef::Word(line) => pr_debug!("line {} is masked\n", line.get()),
///             WordOrRef::Ref(shared) => shared.masked.store(1, Relaxed),
///         }
///     }
/// }
/// ```
///
/// A chip may look at it at any time, so that what is dropped before is refused:
///
/// ```compile_fail,E0597
/// use kernel_ext::irq::data::WordOrRef;
///
/// fn data() -> WordOrRef<u32> {
///     let number = 5;
///
///     WordOrRef::Ref(&number)
/// }
/// ```
pub enum WordOrRef<T: 'static> {
    /// A number.
    Word(LowWord),
    /// A reference.
    Ref(&'static T),
}

impl<T> Clone for WordOrRef<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for WordOrRef<T> {}

/// A number that is neither zero nor the address of anything in the kernel, which is in the upper half.
///
/// # Invariants
///
/// Bit 63 is clear.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct LowWord(NonZeroU64);

impl LowWord {
    /// Makes one of `value`, if it is neither zero nor too large.
    #[inline]
    pub fn new(value: u64) -> Option<Self> {
        // INVARIANT: Just checked.
        NonZeroU64::new(value)
            .filter(|word| word.get() >> 63 == 0)
            .map(Self)
    }

    /// The number.
    #[inline(always)]
    pub fn get(self) -> u64 {
        self.0.get()
    }
}

// Without an MMU, addresses of the kernel are no different from numbers. The only interrupts with
// references are those of PCI, which needs one.
const _: () = assert!(cfg!(CONFIG_MMU) || !cfg!(CONFIG_PCI));

// SAFETY: Pointers with bit 63 clear are numbers, of which nothing is dereferenced: by the invariant
// of `LowWord`, numbers have it clear, and all addresses of the kernel have it set with an MMU. References
// are valid for ever.
unsafe impl<T: Sync> ChipData for WordOrRef<T> {
    #[inline]
    fn into_raw(self) -> NonNull<c_void> {
        match self {
            // SAFETY: The number is not zero.
            Self::Word(word) => unsafe { NonNull::new_unchecked(word.get() as *mut c_void) },
            Self::Ref(value) => NonNull::from(value).cast(),
        }
    }

    #[inline(always)]
    unsafe fn from_raw(raw: NonNull<c_void>) -> Self {
        match LowWord::new(raw.as_ptr() as u64) {
            Some(word) => Self::Word(word),
            // SAFETY: By the requirements of this function, and as it is no number, it is a reference.
            None => Self::Ref(unsafe { raw.cast::<T>().as_ref() }),
        }
    }
}

/// The `chip_data` of an interrupt, maybe null.
///
/// # Safety
///
/// `data` must be valid.
#[inline(always)]
pub(super) unsafe fn chip_data(data: *mut bindings::irq_data) -> *mut c_void {
    // SAFETY: By the requirements of this function. Aligned pointers are read and written at once.
    unsafe { ptr::addr_of!((*data).chip_data).read_volatile() }
}

/// Tells the core to which CPU an interrupt is delivered now.
///
/// # Safety
///
/// `data` must be valid, and its descriptor locked, or not in use yet.
#[inline(always)]
pub(crate) unsafe fn set_effective_affinity(data: *mut bindings::irq_data, cpu: CpuId) {
    // SAFETY: By the requirements of this function. There is a mask for each number of a CPU.
    unsafe {
        bindings::irq_data_update_effective_affinity(data, bindings::cpumask_of(cpu.as_u32()))
    };
}

/// The data of one interrupt in a domain whose chips carry `D`.
///
/// It is one that is set up: chips have no others. See [`Shown`](super::domain_ops::Shown) for
/// debugfs, which does.
///
/// # Examples
///
/// A callback that moves an interrupt to the first CPU of those that are allowed:
///
/// ```
/// use core::num::NonZeroU64;
/// use kernel::{cpumask::Cpumask, prelude::*};
/// use kernel_ext::{cpumask, irq::{chip, data::ChipWord, desc::Locked, IrqData}};
///
/// struct Files;
///
/// #[vtable]
/// impl chip::Operations for Files {
///     type Data = ChipWord;
///
///     fn ack(data: &IrqData<ChipWord>, locked: &Locked) {
///         data.move_pending(locked);
///     }
///
///     fn set_affinity(
///         data: &IrqData<ChipWord>,
///         cpus: &Cpumask,
///         _force: bool,
///         locked: &Locked,
///     ) -> Result {
///         let cpu = cpumask::iter(cpus).next().ok_or(EINVAL)?;
///         let word = NonZeroU64::new(u64::from(cpu.as_u32()) + 1).ok_or(EINVAL)?;
///
///         data.set_chip_data(ChipWord(word), locked);
///         data.set_effective_affinity(cpu, locked);
///         Ok(())
///     }
/// }
/// ```
///
/// What else reads and writes the data holds the descriptor's lock, so that it cannot be written
/// without. Callbacks that may run in any context have no [`Locked`]:
///
/// ```compile_fail,E0061
/// # use core::num::NonZeroU64;
/// # use kernel::prelude::*;
/// # use kernel_ext::{irq::{chip, data::ChipWord, IrqData}, msi::Message};
/// struct Files;
///
/// #[vtable]
/// impl chip::Operations for Files {
///     type Data = ChipWord;
///
///     fn write_msi(data: &IrqData<ChipWord>, _message: &Message) {
///         data.set_chip_data(ChipWord(NonZeroU64::MIN));
///     }
/// }
/// ```
///
/// A pending move changes the descriptor; that interrupts are off is not enough for it:
///
/// ```compile_fail,E0308
/// # use kernel_ext::irq::{data::ChipWord, IrqData};
/// use kernel::interrupt::LocalInterruptDisabled;
///
/// fn move_now(data: &IrqData<ChipWord>, irqs_off: &LocalInterruptDisabled) {
///     data.move_pending(irqs_off);
/// }
/// ```
///
/// All that chips store in a domain is of one type:
///
/// ```compile_fail,E0308
/// # use kernel_ext::irq::{data::ChipWord, desc::Locked, IrqData};
/// fn store(data: &IrqData<ChipWord>, locked: &Locked) {
///     data.set_chip_data(&0u32, locked);
/// }
/// ```
///
/// # Invariants
///
/// The `chip_data` was stored as a `D`, and is not null.
#[repr(transparent)]
pub struct IrqData<D>(Opaque<bindings::irq_data>, PhantomData<D>);

impl<D: ChipData> IrqData<D> {
    /// Wraps what the interrupt core passes to a callback.
    ///
    /// # Safety
    ///
    /// `data` must be valid for `'a`, with a `chip_data` that was stored as a `D`, and is not null.
    #[inline(always)]
    pub unsafe fn from_raw<'a>(data: *mut bindings::irq_data) -> &'a Self {
        // SAFETY: A transparent wrapper, and by the requirements of this function.
        unsafe { &*data.cast() }
    }

    /// The C structure.
    #[inline(always)]
    pub fn as_raw(&self) -> *mut bindings::irq_data {
        self.0.get()
    }

    /// The Linux interrupt number.
    #[inline]
    pub fn irq(&self) -> u32 {
        // SAFETY: The structure is valid; the field does not change.
        unsafe { (*self.as_raw()).irq }
    }

    /// Whether a CPU handles it now. For a callback of the end of interrupt: whether that is another one.
    #[inline]
    pub fn is_in_progress(&self) -> bool {
        // SAFETY: The structure is valid.
        unsafe { bindings::irqd_irq_inprogress(self.as_raw()) }
    }

    /// Whether the core chooses the CPUs by itself: then it does not ask for others if there is no room
    /// on these.
    pub fn is_managed(&self) -> bool {
        // SAFETY: The structure is valid.
        unsafe { bindings::irqd_affinity_is_managed(self.as_raw()) }
    }

    /// The interrupt's number in its domain.
    #[inline]
    pub fn hwirq(&self) -> usize {
        // SAFETY: The structure is valid; the field does not change.
        unsafe { (*self.as_raw()).hwirq }
    }

    /// What the domain stored for the chip.
    #[inline(always)]
    pub fn chip_data(&self) -> D {
        // SAFETY: The structure is valid.
        let raw = unsafe { chip_data(self.as_raw()) };

        // SAFETY: By the type invariant.
        unsafe { D::from_raw(NonNull::new_unchecked(raw)) }
    }

    /// Stores other data for the chip.
    #[inline]
    pub fn set_chip_data(&self, data: D, _locked: &Locked) {
        // SAFETY: As in `chip_data`.
        unsafe {
            ptr::addr_of_mut!((*self.as_raw()).chip_data).write_volatile(data.into_raw().as_ptr())
        };
    }

    /// The configured trigger of the interrupt; [`None`] if it is of no known kind.
    #[inline]
    pub fn trigger(&self) -> Option<Trigger> {
        // SAFETY: The structure is valid.
        Trigger::from_raw(unsafe { bindings::irqd_get_trigger_type(self.as_raw()) })
    }

    /// Tells the core to which CPU the interrupt is delivered now.
    #[inline(always)]
    pub fn set_effective_affinity(&self, cpu: CpuId, _locked: &Locked) {
        // SAFETY: The structure is valid, and its descriptor locked.
        unsafe { set_effective_affinity(self.as_raw(), cpu) };
    }

    /// Carries out a move that waits for the interrupt to arrive (`irq_move_irq()`).
    #[inline(always)]
    pub fn move_pending(&self, _locked: &Locked) {
        if self.awaits_move() {
            self.move_now();
        }
    }

    /// As [`Self::move_pending`], when the interrupt has been handled.
    ///
    /// A kernel that has panicked ends what was being handled, too, and without the descriptor's lock
    /// (`machine_kexec_mask_interrupts()`): nothing moves then.
    #[inline(always)]
    pub fn move_pending_at_end(&self, _locked: &Locked) {
        // SAFETY: Any context.
        if self.awaits_move() && !unsafe { bindings::panic_in_progress() } {
            self.move_now();
        }
    }

    #[inline(always)]
    fn awaits_move(&self) -> bool {
        // SAFETY: The structures are valid, and the flag changes under the descriptor's lock only.
        let flags = unsafe { (*(*self.as_raw()).common).state_use_accessors };

        flags & bindings::IRQD_SETAFFINITY_PENDING != 0
    }

    /// The core has locked the descriptor, but for an interrupt with a chained handler: that acknowledges
    /// and ends it by itself (`chained_irq_enter()`, `chained_irq_exit()`).
    #[cold]
    fn move_now(&self) {
        let desc = self.descriptor();

        if !desc.is_chained() {
            // SAFETY: The structure is valid, and its descriptor locked.
            unsafe { bindings::irq_move_irq(self.as_raw()) };
            return;
        }
        // SAFETY: The structure is valid, and its descriptor is locked meanwhile, which nobody is that
        // waits for this interrupt.
        unsafe {
            let lock = &raw mut (*desc.as_raw()).lock;
            let flags = bindings::raw_spin_lock_irqsave(lock);

            bindings::irq_move_irq(self.as_raw());
            bindings::raw_spin_unlock_irqrestore(lock, flags);
        }
    }

    /// The interrupt's descriptor.
    #[inline]
    pub fn descriptor(&self) -> Descriptor<'_> {
        // SAFETY: The structure is part of a valid descriptor's hierarchy.
        unsafe { Descriptor::from_data(self.as_raw()) }
    }
}
