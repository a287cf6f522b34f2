// SPDX-License-Identifier: GPL-2.0

//! Interrupt chips, built at compile time.
//!
//! C header: [`include/linux/irq.h`](srctree/include/linux/irq.h), `struct irq_chip`

use core::marker::PhantomData;

use kernel::{
    bindings,
    cpumask::Cpumask,
    error::{
        from_result,
        VTABLE_DEFAULT_ERROR, //
    },
    prelude::*, //
};

use super::{
    data::{
        ChipData,
        IrqData, //
    },
    desc::Locked,
    flow::FlowHandler,
    trigger::Trigger, //
};
use crate::msi::message::Message;

/// A chip: the callbacks of one controller. An interrupt needs those that its flow calls, `mask` and
/// `unmask`, and is not set up without them.
///
/// Unless another context is named, callbacks run under the descriptor's raw lock with interrupts
/// off.
///
/// # Examples
///
/// A chip whose interrupts can be masked, with the masks in a number that they share:
///
/// ```
/// use kernel::{prelude::*, sync::atomic::{Atomic, Relaxed}};
/// use kernel_ext::irq::{chip, desc::Locked, Chip, IrqData};
///
/// struct Bank(Atomic<u32>);
///
/// #[vtable]
/// impl chip::Operations for Bank {
///     type Data = &'static Bank;
///
///     fn mask(data: &IrqData<&'static Bank>, _locked: &Locked) {
///         data.chip_data().0.store(0, Relaxed);
///     }
///
///     fn unmask(data: &IrqData<&'static Bank>, _locked: &Locked) {
///         data.chip_data().0.store(1, Relaxed);
///     }
/// }
///
/// static CHIP: Chip<&'static Bank> = Chip::new::<Bank>(c"bank", chip::flags::SKIP_SET_WAKE);
/// ```
#[vtable]
pub trait Operations {
    /// What the domain stores for the chip.
    type Data: ChipData;

    /// Keeps the interrupt from being delivered (`irq_mask`).
    fn mask(_data: &IrqData<Self::Data>, _locked: &Locked) {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Lets the interrupt be delivered (`irq_unmask`).
    fn unmask(_data: &IrqData<Self::Data>, _locked: &Locked) {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Starts the handling of an edge interrupt (`irq_ack`).
    fn ack(_data: &IrqData<Self::Data>, _locked: &Locked) {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Tells the controller that the interrupt was handled (`irq_eoi`).
    fn eoi(_data: &IrqData<Self::Data>, _locked: &Locked) {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Delivers the interrupt to one of `cpus` from now on (`irq_set_affinity`); with `force`, even
    /// to one that is not online yet. What is its effective affinity then has been said. `EBUSY`
    /// makes the core try again when the interrupt next arrives.
    fn set_affinity(
        _data: &IrqData<Self::Data>,
        _cpus: &Cpumask,
        _force: bool,
        _locked: &Locked,
    ) -> Result {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Raises the interrupt (`irq_retrigger`); returns whether the hardware does it.
    fn retrigger(_data: &IrqData<Self::Data>, _locked: &Locked) -> bool {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Configures the trigger (`irq_set_type`); [`None`] makes the source inactive.
    fn set_type(
        _data: &IrqData<Self::Data>,
        _trigger: Option<Trigger>,
        _locked: &Locked,
    ) -> Result {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// The message that raises the interrupt (`irq_compose_msi_msg`). Any context.
    fn compose_msi(_data: &IrqData<Self::Data>) -> Result<Message> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Stores the message that the device has to send (`irq_write_msi_msg`). Any context.
    fn write_msi(_data: &IrqData<Self::Data>, _message: &Message) {
        build_error!(VTABLE_DEFAULT_ERROR)
    }
}

/// How the interrupt core has to treat a chip (`IRQCHIP_*`); combined by `|`.
pub mod flags {
    use kernel::bindings;

    /// The interrupt is masked while its trigger changes.
    pub const SET_TYPE_MASKED: u32 = bindings::IRQCHIP_SET_TYPE_MASKED;

    /// Interrupts may wake the system up without a callback that arranges that.
    pub const SKIP_SET_WAKE: u32 = bindings::IRQCHIP_SKIP_SET_WAKE;

    /// Interrupts that do not wake the system up are masked in the hardware during suspend.
    pub const MASK_ON_SUSPEND: u32 = bindings::IRQCHIP_MASK_ON_SUSPEND;

    /// An interrupt that is started is moved to where it belongs before it is unmasked, not after it.
    pub const AFFINITY_PRE_STARTUP: u32 = bindings::IRQCHIP_AFFINITY_PRE_STARTUP;
}

/// A chip whose interrupts carry a `D`.
pub struct Chip<D> {
    pub(crate) raw: bindings::irq_chip,
    asks_parent: bool,
    _data: PhantomData<D>,
}

// SAFETY: There is no `D` in it, and nobody changes the `irq_chip`: it is private to this crate,
// which only reads it, and the core writes to copies of templates only.
unsafe impl<D> Sync for Chip<D> {}

/// Fills the callbacks of the chip `$raw` that `$T` has.
macro_rules! callbacks {
    ($raw:ident, $T:ident: $($has:ident $field:ident $trampoline:ident;)*) => {$(
        $raw.$field = if $T::$has {
            Some($trampoline::<$T>)
        } else {
            None
        };
    )*};
}

impl<D: ChipData> Chip<D> {
    /// A chip with the callbacks that `T` has, and the [`flags`] `flags`.
    pub const fn new<T: Operations<Data = D>>(name: &'static CStr, flags: u32) -> Self {
        // SAFETY: All fields may be zero: absent callbacks, no name, no flags.
        let mut raw: bindings::irq_chip = unsafe { core::mem::zeroed() };

        raw.name = name.to_bytes_with_nul().as_ptr().cast();
        raw.flags = flags as usize;
        callbacks! { raw, T:
            HAS_MASK irq_mask mask;
            HAS_UNMASK irq_unmask unmask;
            HAS_ACK irq_ack ack;
            HAS_EOI irq_eoi eoi;
            HAS_SET_AFFINITY irq_set_affinity set_affinity;
            HAS_RETRIGGER irq_retrigger retrigger;
            HAS_SET_TYPE irq_set_type set_type;
            HAS_COMPOSE_MSI irq_compose_msi_msg compose_msi;
            HAS_WRITE_MSI irq_write_msi_msg write_msi;
        }
        Self {
            raw,
            asks_parent: false,
            _data: PhantomData,
        }
    }

    /// Whether there is all that the core calls unasked for an interrupt that flows like that.
    pub(crate) fn has_callbacks_for(&self, flow: FlowHandler, has_parent: bool) -> bool {
        let ends = match flow {
            FlowHandler::Edge => self.raw.irq_ack.is_some(),
            FlowHandler::FastEoi => self.raw.irq_eoi.is_some(),
        };

        // Masked when it moves ([`IrqData::move_pending`]).
        ends && self.raw.irq_mask.is_some()
            && self.raw.irq_unmask.is_some()
            && (has_parent || !self.asks_parent)
    }

    /// Leaves the choice of the CPU to the parent in the hierarchy.
    #[must_use]
    pub const fn with_parent_affinity(mut self) -> Self {
        self.raw.irq_set_affinity = Some(bindings::irq_chip_set_affinity_parent);
        self.asks_parent = true;
        self
    }
}

/// Calls `callback` of the parent in the hierarchy, if there is one that has it.
#[inline(always)]
fn call_parent<D: ChipData>(
    data: &IrqData<D>,
    callback: impl FnOnce(&bindings::irq_chip) -> Option<unsafe extern "C" fn(*mut bindings::irq_data)>,
) {
    // SAFETY: The data is valid. The hierarchy does not change while the interrupt is in use.
    let parent = unsafe { (*data.as_raw()).parent_data };

    if parent.is_null() {
        return;
    }
    // SAFETY: The data of a parent is valid, and has a chip.
    if let Some(callback) = callback(unsafe { &*(*parent).chip }) {
        // SAFETY: The chip's own data, in a context in which it may be called.
        unsafe { callback(parent) };
    }
}

/// Masks the interrupt at the parent in the hierarchy, if there is one, too.
#[inline(always)]
pub fn mask_parent<D: ChipData>(data: &IrqData<D>, _locked: &Locked) {
    call_parent(data, |chip| chip.irq_mask);
}

/// Unmasks the interrupt at the parent in the hierarchy, if there is one, too.
#[inline(always)]
pub fn unmask_parent<D: ChipData>(data: &IrqData<D>, _locked: &Locked) {
    call_parent(data, |chip| chip.irq_unmask);
}

/// The token of a callback.
///
/// # Safety
///
/// As of [`Locked::assume`], which is so for `'a` while the interrupt core is in a callback of a chip: by
/// the descriptor's lock, but after a panic and in a chained flow.
#[inline(always)]
unsafe fn locked<'a>() -> &'a Locked {
    // SAFETY: By the requirements of this function.
    unsafe { Locked::assume() }
}

/// Defines the C side of callbacks that take nothing but the interrupt.
macro_rules! trampolines {
    ($($name:ident)*) => {$(
        /// # Safety
        ///
        /// Only for the interrupt core, which passes valid arguments of an interrupt with this
        /// chip.
        unsafe extern "C" fn $name<T: Operations>(data: *mut bindings::irq_data) {
            // SAFETY: The core passes valid data of an interrupt with this chip, in a callback.
            let (data, locked) = unsafe { (IrqData::from_raw(data), locked()) };

            T::$name(data, locked);
        }
    )*};
}

trampolines! { mask unmask ack eoi }

/// # Safety
///
/// Only for the interrupt core, which passes valid arguments of an interrupt with this chip.
unsafe extern "C" fn set_affinity<T: Operations>(
    data: *mut bindings::irq_data,
    cpus: *const bindings::cpumask,
    force: bool,
) -> c_int {
    // SAFETY: The core passes valid data of an interrupt with this chip and a valid mask, under the
    // descriptor's lock.
    let (data, cpus, locked) =
        unsafe { (IrqData::from_raw(data), Cpumask::from_raw(cpus), locked()) };

    from_result(|| {
        T::set_affinity(data, cpus, force, locked)?;
        // The core updates the mask; parents in a hierarchy need not be asked.
        // CAST: A small constant.
        Ok(bindings::IRQ_SET_MASK_OK_DONE as c_int)
    })
}

/// # Safety
///
/// Only for the interrupt core, which passes valid arguments of an interrupt with this chip.
unsafe extern "C" fn retrigger<T: Operations>(data: *mut bindings::irq_data) -> c_int {
    // SAFETY: The core passes valid data of an interrupt with this chip, in a callback.
    let (data, locked) = unsafe { (IrqData::from_raw(data), locked()) };

    T::retrigger(data, locked).into()
}

/// # Safety
///
/// Only for the interrupt core, which passes valid arguments of an interrupt with this chip.
unsafe extern "C" fn set_type<T: Operations>(data: *mut bindings::irq_data, kind: u32) -> c_int {
    // SAFETY: The core passes valid data of an interrupt with this chip, in a callback.
    let (data, locked) = unsafe { (IrqData::from_raw(data), locked()) };

    from_result(|| {
        let trigger = match kind & bindings::IRQ_TYPE_SENSE_MASK {
            bindings::IRQ_TYPE_NONE => None,
            kind => Some(Trigger::from_raw(kind).ok_or(EINVAL)?),
        };

        T::set_type(data, trigger, locked)?;
        Ok(0)
    })
}

/// # Safety
///
/// Only for the interrupt core, which passes valid arguments of an interrupt with this chip.
unsafe extern "C" fn compose_msi<T: Operations>(
    data: *mut bindings::irq_data,
    msg: *mut bindings::msi_msg,
) {
    // SAFETY: The core passes valid data of an interrupt with this chip.
    let data = unsafe { IrqData::from_raw(data) };

    match T::compose_msi(data) {
        // SAFETY: The message is valid for writes.
        Ok(message) => unsafe { msg.write(message.to_raw()) },
        Err(error) => pr_err!("irq {}: no MSI message: {:?}\n", data.irq(), error),
    }
}

/// # Safety
///
/// Only for the interrupt core, which passes valid arguments of an interrupt with this chip.
unsafe extern "C" fn write_msi<T: Operations>(
    data: *mut bindings::irq_data,
    msg: *mut bindings::msi_msg,
) {
    // SAFETY: The core passes valid data of an interrupt with this chip.
    let data = unsafe { IrqData::from_raw(data) };
    // SAFETY: The message is valid for reads.
    let message = unsafe { Message::from_raw(&*msg) };

    T::write_msi(data, &message);
}
