// SPDX-License-Identifier: GPL-2.0

//! The controller of an interrupt that gives the device its message.
//!
//! C header: [`include/linux/irq.h`](srctree/include/linux/irq.h), `irq_write_msi_msg`

use core::marker::PhantomData;

use kernel::{
    bindings,
    prelude::*, //
};

use super::{
    bus::Bus,
    message::Message, //
};
use crate::irq::{
    data::{
        ChipData,
        IrqData, //
    },
    desc::Locked, //
};

/// The data of an interrupt at its outermost controller.
///
/// # Examples
///
/// A callback of an MSI controller that gives an interrupt another message:
///
/// ```
/// use kernel::{cpumask::Cpumask, prelude::*};
/// use kernel_ext::{
///     cpumask,
///     irq::{chip, data::ChipWord, desc::Locked, IrqData},
///     msi::{Message, Outermost},
/// };
///
/// struct Files;
///
/// #[vtable]
/// impl chip::Operations for Files {
///     type Data = ChipWord;
///
///     fn set_affinity(
///         data: &IrqData<ChipWord>,
///         cpus: &Cpumask,
///         _force: bool,
///         locked: &Locked,
///     ) -> Result {
///         let cpu = cpumask::iter(cpus).next().ok_or(EINVAL)?;
///         let page = 0x2800_0000 + (u64::from(cpu.as_u32()) << 12);
///         let device = Outermost::of(data);
///
///         if !device.moves_at_once() {
///             return Err(EBUSY);
///         }
///         device.write_message(&Message { address: page, data: 1 }, locked);
///         data.set_effective_affinity(cpu, locked);
///         Ok(())
///     }
/// }
/// ```
///
/// A device is given one message at a time, under the descriptor's lock; that interrupts are off is
/// not enough:
///
/// ```compile_fail,E0308
/// use kernel::interrupt::local_interrupt_disable;
/// # use kernel_ext::{irq::{data::ChipWord, IrqData}, msi::{Message, Outermost}};
///
/// fn redirect(data: &IrqData<ChipWord>, message: &Message) {
///     Outermost::of(data).write_message(message, &local_interrupt_disable());
/// }
/// ```
pub struct Outermost<'a> {
    data: *mut bindings::irq_data,
    _life: PhantomData<&'a ()>,
}

impl<'a> Outermost<'a> {
    /// The outermost controller of an interrupt: the one that talks to the device.
    pub fn of<D: ChipData>(data: &'a IrqData<D>) -> Self {
        // SAFETY: The structure is valid, so its descriptor is, and so is the data in that.
        let data =
            unsafe { bindings::irq_desc_get_irq_data(bindings::irq_data_to_desc(data.as_raw())) };

        Self {
            data,
            _life: PhantomData,
        }
    }

    /// Wraps the data of an interrupt at its outermost controller.
    ///
    /// # Safety
    ///
    /// `data` must be that, and valid for `'a`.
    pub(super) unsafe fn from_raw(data: *mut bindings::irq_data) -> Self {
        Self {
            data,
            _life: PhantomData,
        }
    }

    /// The C structure.
    pub(super) fn as_raw(&self) -> *mut bindings::irq_data {
        self.data
    }

    /// Whether the interrupt can be moved at any time, since the device changes over from one
    /// message to the other at once.
    pub fn moves_at_once(&self) -> bool {
        // SAFETY: The data is valid.
        unsafe { bindings::irq_can_move_in_process_context(self.data) }
    }

    /// What kind of domain it is.
    pub fn bus(&self) -> Bus {
        // SAFETY: The data is valid, and it has a domain when it is in use.
        let domain = unsafe { (*self.data).domain };

        if domain.is_null() {
            return Bus::Other;
        }
        // SAFETY: Just checked.
        Bus::from_raw(unsafe { (*domain).bus_token })
    }

    /// Whether somebody has asked to be told of the device's messages (`write_msi_msg` of `struct msi_desc`).
    pub fn tells_of_messages(&self) -> bool {
        // SAFETY: The data is valid, and the descriptor stays as long as the interrupt.
        let desc = unsafe { (*(*self.data).common).msi_desc };

        // SAFETY: Null, or valid. The function is set before the interrupt is requested.
        unsafe { desc.as_ref() }.is_some_and(|desc| desc.write_msi_msg.is_some())
    }

    /// What the domain stored for the chip, to recognise the controller by: the address of a
    /// controller of ours, or anything.
    pub fn controller(&self) -> *const c_void {
        // SAFETY: The data is valid.
        unsafe { (*self.data).chip_data }
    }

    /// Gives `message` to the device.
    pub fn write_message(&self, message: &Message, _locked: &Locked) {
        // SAFETY: The data is valid and has a chip.
        let write = unsafe { (*(*self.data).chip).irq_write_msi_msg };
        let mut raw = message.to_raw();

        if let Some(write) = write {
            // SAFETY: The chip's own data and a valid message.
            unsafe { write(self.data, &mut raw) };
        }
    }
}
