// SPDX-License-Identifier: GPL-2.0

//! Interrupt chips: one trait per callback, and a chip that is built of them at compile time.
//!
//! C header: [`include/linux/irq.h`](srctree/include/linux/irq.h), `struct irq_chip`

use core::marker::PhantomData;

use kernel::{
    bindings,
    cpumask::Cpumask,
    error::from_result,
    prelude::*, //
};

use super::{
    data::{
        ChipData,
        IrqData, //
    },
    desc::Locked,
    trigger::Trigger, //
};
use crate::msi::message::Message;

/// What all callbacks of a chip share.
///
/// Unless another context is named, callbacks run under the descriptor's raw lock with interrupts
/// off.
pub trait Ops {
    /// What the domain stores for the chip.
    type Data: ChipData;
}

/// Keeps an interrupt from being delivered (`irq_mask`).
pub trait Mask: Ops {
    /// Masks the interrupt.
    fn mask(data: &IrqData<Self::Data>, locked: &Locked);
}

/// Lets an interrupt be delivered (`irq_unmask`).
pub trait Unmask: Ops {
    /// Unmasks the interrupt.
    fn unmask(data: &IrqData<Self::Data>, locked: &Locked);
}

/// Starts the handling of an edge interrupt (`irq_ack`).
pub trait Ack: Ops {
    /// Acknowledges the interrupt.
    fn ack(data: &IrqData<Self::Data>, locked: &Locked);
}

/// Ends the handling of an interrupt (`irq_eoi`).
pub trait Eoi: Ops {
    /// Tells the controller that the interrupt was handled.
    fn eoi(data: &IrqData<Self::Data>, locked: &Locked);
}

/// Chooses the CPU (`irq_set_affinity`).
pub trait SetAffinity: Ops {
    /// Delivers the interrupt to one of `cpus` from now on; with `force`, even to one that is not
    /// online yet. What is its effective affinity then has been said. `EBUSY` makes the core try again when the interrupt next arrives.
    fn set_affinity(
        data: &IrqData<Self::Data>,
        cpus: &Cpumask,
        force: bool,
        locked: &Locked,
    ) -> Result;
}

/// Raises an interrupt by hardware (`irq_retrigger`).
pub trait Retrigger: Ops {
    /// Raises the interrupt; returns whether the hardware does it.
    fn retrigger(data: &IrqData<Self::Data>, locked: &Locked) -> bool;
}

/// Chooses the trigger (`irq_set_type`).
pub trait SetType: Ops {
    /// Configures the trigger; [`None`] makes the source inactive.
    fn set_type(data: &IrqData<Self::Data>, trigger: Option<Trigger>, locked: &Locked) -> Result;
}

/// Knows which message raises the interrupt (`irq_compose_msi_msg`).
pub trait ComposeMsi: Ops {
    /// The message. Any context.
    fn compose(data: &IrqData<Self::Data>) -> Result<Message>;
}

/// Takes the message that it has to send (`irq_write_msi_msg`).
pub trait WriteMsi: Ops {
    /// Stores the message in the device. Any context.
    fn write(data: &IrqData<Self::Data>, message: &Message);
}

/// A chip whose interrupts carry a `D`.
#[repr(transparent)]
pub struct Chip<D> {
    pub(crate) raw: bindings::irq_chip,
    _data: PhantomData<D>,
}

// SAFETY: The drivers only read it, and the core never writes to chips that are not templates.
unsafe impl<D> Sync for Chip<D> {}

/// Adds a callback of trait `$trait` to the chip under construction.
macro_rules! callback {
    ($(#[$doc:meta])* $with:ident, $trait:ident, $field:ident, $trampoline:ident) => {
        $(#[$doc])*
        #[must_use]
        pub const fn $with<T: $trait<Data = D>>(mut self) -> Self {
            self.raw.$field = Some($trampoline::<T>);
            self
        }
    };
}

impl<D: ChipData> Chip<D> {
    /// A chip without callbacks, with the `IRQCHIP_*` flags `flags`.
    pub const fn new(name: &'static CStr, flags: u32) -> Self {
        // SAFETY: All fields may be zero: absent callbacks, no name, no flags.
        let mut raw: bindings::irq_chip = unsafe { core::mem::zeroed() };

        raw.name = name.to_bytes_with_nul().as_ptr().cast();
        raw.flags = flags as usize;
        Self {
            raw,
            _data: PhantomData,
        }
    }

    callback!(
        /// Adds [`Mask`].
        with_mask, Mask, irq_mask, mask
    );
    callback!(
        /// Adds [`Unmask`].
        with_unmask, Unmask, irq_unmask, unmask
    );
    callback!(
        /// Adds [`Ack`].
        with_ack, Ack, irq_ack, ack
    );
    callback!(
        /// Adds [`Eoi`].
        with_eoi, Eoi, irq_eoi, eoi
    );
    callback!(
        /// Adds [`SetAffinity`].
        with_set_affinity, SetAffinity, irq_set_affinity, set_affinity
    );
    callback!(
        /// Adds [`Retrigger`].
        with_retrigger, Retrigger, irq_retrigger, retrigger
    );
    callback!(
        /// Adds [`SetType`].
        with_set_type, SetType, irq_set_type, set_type
    );
    callback!(
        /// Adds [`ComposeMsi`].
        with_compose_msi, ComposeMsi, irq_compose_msi_msg, compose_msi
    );
    callback!(
        /// Adds [`WriteMsi`].
        with_write_msi, WriteMsi, irq_write_msi_msg, write_msi
    );

    /// Leaves the choice of the CPU to the parent in the hierarchy.
    #[must_use]
    pub const fn with_parent_affinity(mut self) -> Self {
        self.raw.irq_set_affinity = Some(bindings::irq_chip_set_affinity_parent);
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

/// The token of a callback under the descriptor's lock.
///
/// # Safety
///
/// The lock of the interrupt's descriptor must be held for `'a`.
#[inline(always)]
unsafe fn locked<'a>() -> &'a Locked {
    // SAFETY: By the requirements of this function.
    unsafe { Locked::assume() }
}

/// Defines the C side of callbacks that take nothing but the interrupt.
macro_rules! trampolines {
    ($($name:ident: $trait:ident;)*) => {$(
        /// # Safety
        ///
        /// Only for the interrupt core, which passes valid arguments of an interrupt with this chip.
        unsafe extern "C" fn $name<T: $trait>(data: *mut bindings::irq_data) {
            // SAFETY: The core passes valid data of an interrupt with this chip, under the
            // descriptor's lock.
            let (data, locked) = unsafe { (IrqData::from_raw(data), locked()) };

            T::$name(data, locked);
        }
    )*};
}

trampolines! {
    mask: Mask;
    unmask: Unmask;
    ack: Ack;
    eoi: Eoi;
}

/// # Safety
///
/// Only for the interrupt core, which passes valid arguments of an interrupt with this chip.
unsafe extern "C" fn set_affinity<T: SetAffinity>(
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
unsafe extern "C" fn retrigger<T: Retrigger>(data: *mut bindings::irq_data) -> c_int {
    // SAFETY: The core passes valid data of an interrupt with this chip, under the descriptor's
    // lock.
    let (data, locked) = unsafe { (IrqData::from_raw(data), locked()) };

    T::retrigger(data, locked).into()
}

/// # Safety
///
/// Only for the interrupt core, which passes valid arguments of an interrupt with this chip.
unsafe extern "C" fn set_type<T: SetType>(data: *mut bindings::irq_data, kind: u32) -> c_int {
    // SAFETY: The core passes valid data of an interrupt with this chip, under the descriptor's
    // lock.
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
unsafe extern "C" fn compose_msi<T: ComposeMsi>(
    data: *mut bindings::irq_data,
    msg: *mut bindings::msi_msg,
) {
    // SAFETY: The core passes valid data of an interrupt with this chip.
    let data = unsafe { IrqData::from_raw(data) };

    match T::compose(data) {
        // SAFETY: The message is valid for writes.
        Ok(message) => unsafe { msg.write(message.to_raw()) },
        Err(error) => pr_err!("irq {}: no MSI message: {:?}\n", data.irq(), error),
    }
}

/// # Safety
///
/// Only for the interrupt core, which passes valid arguments of an interrupt with this chip.
unsafe extern "C" fn write_msi<T: WriteMsi>(
    data: *mut bindings::irq_data,
    msg: *mut bindings::msi_msg,
) {
    // SAFETY: The core passes valid data of an interrupt with this chip.
    let data = unsafe { IrqData::from_raw(data) };
    // SAFETY: The message is valid for reads.
    let message = unsafe { Message::from_raw(&*msg) };

    T::write(data, &message);
}
