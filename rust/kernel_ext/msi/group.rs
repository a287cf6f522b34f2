// SPDX-License-Identifier: GPL-2.0

//! Interrupts that a device raises by one message, of which it changes the lowest bits.
//!
//! C header: [`include/linux/msi.h`](srctree/include/linux/msi.h), `struct msi_desc`

use kernel::{
    bindings,
    cpu::CpuId,
    prelude::*, //
};

use super::{
    message::Message,
    outermost::Outermost, //
};
use crate::irq::{
    data::{
        self,
        ChipData,
        IrqData, //
    },
    desc::Locked, //
};

/// All interrupts that are raised by the same message as one of them.
///
/// # Examples
///
/// A callback of an MSI controller that moves all of them:
///
/// ```
/// use kernel::{cpumask::Cpumask, prelude::*};
/// use kernel_ext::{
///     cpumask,
///     irq::{chip, data::ChipWord, desc::Locked, IrqData},
///     msi::{Group, Message},
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
///         let group = Group::of(data, locked).ok_or(ENODEV)?;
///
///         group.write_message(&Message { address: page, data: 32 });
///         group.set_effective_affinity(cpu, locked);
///         Ok(())
///     }
/// }
/// ```
///
/// # Invariants
///
/// `first` is the data at the outermost controller of interrupt `irq`, the first of `count`.
pub struct Group<'a> {
    first: Outermost<'a>,
    irq: u32,
    count: u32,
}

impl<'a> Group<'a> {
    /// The group of an interrupt; [`None`] if no message raises it.
    pub fn of<D: ChipData>(data: &'a IrqData<D>, _locked: &'a Locked) -> Option<Self> {
        // SAFETY: The data is valid. Its interrupt is in use, and so has a descriptor of the MSI core
        // until it is freed, which takes the lock that is held. Interrupts are off, so that the
        // descriptors of interrupts, which are freed after a grace period of RCU, stay.
        unsafe { Self::from_raw(data.as_raw()) }
    }

    /// The group of an interrupt.
    ///
    /// # Safety
    ///
    /// `data` must be that of an interrupt which is not freed during `'a`, nor are those of its group.
    pub(super) unsafe fn from_raw(data: *mut bindings::irq_data) -> Option<Self> {
        // SAFETY: By the requirements of this function.
        let (irq, count) = unsafe {
            let desc = (*(*data).common).msi_desc;

            if desc.is_null() {
                return None;
            }
            ((*desc).irq, (*desc).nvec_used)
        };

        // SAFETY: Looking up any interrupt is fine.
        let first = unsafe { bindings::irq_get_irq_data(irq) };

        if first.is_null() {
            return None;
        }
        // INVARIANT: Just looked up.
        Some(Self {
            // SAFETY: By the requirements of this function.
            first: unsafe { Outermost::from_raw(first) },
            irq,
            count,
        })
    }

    /// How many interrupts there are.
    pub(super) fn count(&self) -> u32 {
        self.count
    }

    /// The device that sends the message.
    pub fn device(&self) -> &Outermost<'a> {
        &self.first
    }

    /// Gives `message`, that of the first interrupt, to the device; the one that is all zeroes is none.
    /// One at a time.
    pub fn write_message(&self, message: &Message) {
        let mut raw = message.to_raw();

        // SAFETY: The first interrupt's own data, and a valid message.
        unsafe { write_as_before(self.first.as_raw(), &mut raw) };
    }

    /// Tells the core to which CPU all of them are delivered now.
    ///
    /// Of the others, the descriptors' locks are not held; who calls it sees to it that one does at a
    /// time.
    pub fn set_effective_affinity(&self, cpu: CpuId, _locked: &Locked) {
        for irq in self.irq..self.irq.saturating_add(self.count) {
            // SAFETY: Looking up any interrupt is fine.
            let raw = unsafe { bindings::irq_get_irq_data(irq) };

            if !raw.is_null() {
                // SAFETY: As in `of`, the data stays. Words of the mask are written one by one, and
                // who reads it meanwhile finds one or the other CPU, or both.
                unsafe { data::set_effective_affinity(raw, cpu) };
            }
        }
    }
}

/// `irq_write_msi_msg` of a chip.
type Write = unsafe extern "C" fn(*mut bindings::irq_data, *mut bindings::msi_msg);

/// Keeps what gives messages to the devices of a new domain, and puts `write` in its place.
pub(super) fn take_over(info: &mut bindings::msi_domain_info, write: Write) {
    // SAFETY: Such a structure has a chip, which is the new domain's own.
    let chip = unsafe { &mut *info.chip };

    if let Some(before) = chip.irq_write_msi_msg {
        // The core passes it on to the interrupts, and does nothing else with it.
        info.chip_data = before as *mut c_void;
        chip.irq_write_msi_msg = Some(write);
    }
}

/// Gives a message to a device as it was before [`take_over`].
///
/// # Safety
///
/// `data` must be that of an interrupt at its outermost controller, in a domain for which [`take_over`]
/// was called.
pub(super) unsafe fn write_as_before(data: *mut bindings::irq_data, raw: &mut bindings::msi_msg) {
    // SAFETY: By the requirements of this function, it was put there by `take_over`, for this data.
    unsafe { core::mem::transmute::<*mut c_void, Write>((*data).chip_data)(data, raw) };
}
