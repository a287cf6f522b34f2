// SPDX-License-Identifier: GPL-2.0

//! Interrupts that a device raises by one message, of which it changes the lowest bits.
//!
//! C header: [`include/linux/msi.h`](srctree/include/linux/msi.h), `struct msi_desc`

use kernel::{
    bindings,
    cpu::CpuId, //
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
///         group.write_message(&Message { address: page, data: 32 }, locked);
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
        // until it is freed, which takes the lock that is held.
        let (irq, count) = unsafe {
            let desc = (*(*data.as_raw()).common).msi_desc;

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
            // SAFETY: Interrupts are off, so that the descriptor, which is freed after a grace period of
            // RCU, and the data in it stay.
            first: unsafe { Outermost::from_raw(first) },
            irq,
            count,
        })
    }

    /// The device that sends the message.
    pub fn device(&self) -> &Outermost<'a> {
        &self.first
    }

    /// Gives `message`, that of the first interrupt, to the device.
    pub fn write_message(&self, message: &Message, locked: &Locked) {
        self.first.write_message(message, locked);
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
