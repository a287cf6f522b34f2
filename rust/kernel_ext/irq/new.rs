// SPDX-License-Identifier: GPL-2.0

//! Interrupts that a domain sets up.
//!
//! C header: [`include/linux/irqdomain.h`](srctree/include/linux/irqdomain.h)

use core::{
    marker::PhantomData,
    ptr::{
        self,
        NonNull, //
    }, //
};

use kernel::{
    bindings,
    cpu::CpuId,
    cpumask::Cpumask, //
};

use super::{
    chip::Chip,
    data::{
        self,
        chip_data,
        ChipData,
        IrqData, //
    },
    desc::Descriptor,
    flow::FlowHandler, //
};

/// The interrupts that [`DomainOps::alloc`](super::domain_ops::DomainOps::alloc) sets up.
///
/// # Examples
///
/// ```
/// use kernel::prelude::*;
/// use kernel_ext::irq::{data::ChipWord, flow::FlowHandler, new::NewIrqs, Chip};
///
/// fn set_up(new: &NewIrqs<'_, ChipWord>, chip: &'static Chip<ChipWord>, d: ChipWord) -> Result {
///     for index in 0..new.count() {
///         let hwirq = (new.irq() + index) as usize;
///         new.set_info(index, hwirq, chip, d, FlowHandler::Edge).ok_or(EINVAL)?;
///         new.set_single_target(index);
///     }
///     Ok(())
/// }
/// ```
///
/// A chip whose callbacks would take what is stored for something else is refused:
///
/// ```compile_fail,E0308
/// # use kernel_ext::irq::{data::ChipWord, flow::FlowHandler, new::NewIrqs, Chip};
/// fn set_up(new: &NewIrqs<'_, ChipWord>, chip: &'static Chip<&'static u32>, word: ChipWord) {
///     new.set_info(0, 0, chip, word, FlowHandler::Edge);
/// }
/// ```
///
/// So is one that does not live as long as the interrupts do:
///
/// ```compile_fail,E0597
/// # use kernel::prelude::*;
/// # use kernel_ext::irq::{chip, data::ChipWord, flow::FlowHandler, new::NewIrqs, Chip};
/// # struct Files;
/// # #[vtable]
/// # impl chip::Operations for Files {
/// #     type Data = ChipWord;
/// # }
/// fn set_up(new: &NewIrqs<'_, ChipWord>, word: ChipWord) {
///     let chip = Chip::new::<Files>(c"files", 0);
///
///     new.set_info(0, 0, &chip, word, FlowHandler::Edge);
/// }
/// ```
pub struct NewIrqs<'a, D> {
    domain: *mut bindings::irq_domain,
    virq: u32,
    count: u32,
    /// The data of the first one, which mostly is the only one, or null: a lookup takes as long as all
    /// that is done with it.
    first: *mut bindings::irq_data,
    _life: PhantomData<(&'a (), D)>,
}

impl<D: ChipData> NewIrqs<'_, D> {
    /// Wraps the arguments of the core's callback.
    ///
    /// # Safety
    ///
    /// They must be those of a domain whose interrupts carry a `D`, and valid as long as the value
    /// is used.
    pub(super) unsafe fn from_raw(
        domain: *mut bindings::irq_domain,
        virq: u32,
        count: u32,
    ) -> Self {
        Self {
            domain,
            virq,
            count,
            // SAFETY: Looking up any interrupt is fine.
            first: unsafe { bindings::irq_domain_get_irq_data(domain, virq) },
            _life: PhantomData,
        }
    }

    /// The data of number `index` for the chip, of which there may be none yet.
    fn raw(&self, index: u32) -> Option<NonNull<bindings::irq_data>> {
        if index >= self.count {
            return None;
        }
        if index == 0 {
            return NonNull::new(self.first);
        }
        // SAFETY: Looking up any interrupt is fine.
        NonNull::new(unsafe { bindings::irq_domain_get_irq_data(self.domain, self.virq + index) })
    }

    /// Whether all have data for their chip.
    pub(super) fn are_set_up(&self) -> bool {
        (0..self.count).all(|index| {
            self.raw(index).is_some_and(|raw| {
                // SAFETY: The data is valid.
                !unsafe { chip_data(raw.as_ptr()) }.is_null()
            })
        })
    }

    /// How many.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// The Linux interrupt number of the first one; the others follow.
    pub fn irq(&self) -> u32 {
        self.virq
    }

    /// The descriptor of number `index`.
    pub fn descriptor(&self, index: u32) -> Option<Descriptor<'_>> {
        let raw = self.raw(index)?;

        // SAFETY: The core has allocated the descriptor, and is setting it up.
        Some(unsafe { Descriptor::from_data(raw.as_ptr()) })
    }

    /// The CPUs that number `index` may go to: the default ones, or those that its device has asked
    /// for. User space may change them at any time.
    pub fn affinity(&self, index: u32) -> Option<&Cpumask> {
        let raw = self.raw(index)?;
        // SAFETY: The data is valid.
        let mask = unsafe { bindings::irq_data_get_affinity_mask(raw.as_ptr()) };

        // SAFETY: The mask is part of the descriptor, which the core has allocated. C code reads it
        // while it changes, too.
        Some(unsafe { Cpumask::from_raw(mask) })
    }

    /// Tells the core that each interrupt of number `index` arrives at one CPU, and moves at once.
    ///
    /// It can then arrive at the new CPU while the old one still handles the one before: an edge
    /// flow waits for that, others hand it in again afterwards.
    pub fn set_single_target(&self, index: u32) {
        if let Some(raw) = self.raw(index) {
            // SAFETY: The data is valid, and the interrupt not in use yet.
            unsafe {
                bindings::irqd_set_single_target(raw.as_ptr());
                bindings::irqd_set_resend_when_in_progress(raw.as_ptr());
            }
        }
    }

    /// Tells the core to which CPU number `index` is delivered now.
    pub fn set_effective_affinity(&self, index: u32, cpu: CpuId) {
        if let Some(raw) = self.raw(index) {
            // SAFETY: The data is valid, and the interrupt not in use yet.
            unsafe { data::set_effective_affinity(raw.as_ptr(), cpu) };
        }
    }

    /// Sets number `index` up: its number in the domain, its chip, and how it flows.
    ///
    /// [`None`] if there is no such number, or if the chip lacks what the flow calls.
    pub fn set_info(
        &self,
        index: u32,
        hwirq: usize,
        chip: &'static Chip<D>,
        data: D,
        flow: FlowHandler,
    ) -> Option<&IrqData<D>> {
        let data_of_core = self.raw(index)?;
        let virq = self.virq + index;

        // SAFETY: The data is valid.
        let has_parent = !unsafe { data_of_core.as_ref() }.parent_data.is_null();
        if !chip.has_callbacks_for(flow, has_parent) {
            return None;
        }

        // SAFETY: The core has allocated the interrupt for this domain; the chip lives for ever.
        unsafe {
            bindings::irq_domain_set_info(
                self.domain,
                virq,
                hwirq,
                &chip.raw,
                data.into_raw().as_ptr(),
                flow.as_raw(),
                ptr::null_mut(),
                ptr::null(),
            );
            bindings::irq_set_noprobe(virq);
        }
        // SAFETY: The data is valid, and a `D` was just stored.
        Some(unsafe { IrqData::from_raw(data_of_core.as_ptr()) })
    }
}
