// SPDX-License-Identifier: GPL-2.0

//! What needs unsafe code.

#![expect(unsafe_code, reason = "descriptors that C frees, and a lock of C")]

use core::ptr;

use aia_core::{
    ids::{
        NrSources,
        SourceId, //
    },
    word::Word, //
};
use kernel::{
    bindings,
    interrupt::LocalInterruptDisabled,
    prelude::*,
    sync::Mutex, //
};
use kernel_ext::irq::{
    data::ChipData,
    new::NewIrqs,
    Descriptor, //
};

/// Which interrupt each source of a domain belongs to.
///
/// # Invariants
///
/// A word is zero, or the address of a descriptor whose interrupt has not been freed yet.
pub(crate) struct Owners(KVec<Word>);

impl Owners {
    /// Makes the owners of `nr_sources` sources: nobody.
    pub(crate) fn new(nr_sources: NrSources) -> Result<Self> {
        let count = nr_sources.last().index() + 1;
        let mut words = KVec::with_capacity(count, GFP_KERNEL)?;

        for _ in 0..count {
            words.push(Word::new(0), GFP_KERNEL)?;
        }
        // INVARIANT: All words are zero.
        Ok(Self(words))
    }

    /// The descriptor of the interrupt that `source` belongs to.
    #[inline(always)]
    pub(crate) fn of<'a>(
        &self,
        source: SourceId,
        _irqs_off: &'a LocalInterruptDisabled,
    ) -> Option<Descriptor<'a>> {
        let word = self.0.get(source.index())?;

        // CAST: An address, or zero.
        // SAFETY: By the type invariant. With interrupts off, a descriptor that is freed now stays
        // for as long.
        unsafe { Descriptor::from_addr(word.load_dependent() as usize) }
    }

    /// Gives interrupt `hwirq` to number `index` of the interrupts that are set up. It has to be
    /// taken back by [`Self::take`].
    pub(crate) fn give<D: ChipData>(&self, hwirq: usize, new: &NewIrqs<'_, D>, index: u32) {
        if let (Some(word), Some(owner)) = (self.0.get(hwirq), new.descriptor(index)) {
            // INVARIANT: `take` is called before the interrupt is freed.
            word.store_release(owner.addr() as u64);
        }
    }

    /// Takes interrupt `hwirq` back, before it is freed.
    pub(crate) fn take(&self, hwirq: usize) {
        if let Some(word) = self.0.get(hwirq) {
            word.swap(0);
        }
    }
}

/// One APLIC at a time is set up to deliver directly, as they share the harts' external interrupt.
pub(crate) fn setup_lock() -> &'static Mutex<()> {
    // SAFETY: The mutex is initialised where it is defined, in riscv_aplic_decl.c.
    unsafe { Mutex::from_raw(ptr::addr_of_mut!(bindings::riscv_aplic_setup_lock)) }
}
