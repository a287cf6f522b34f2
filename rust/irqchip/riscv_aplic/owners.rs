// SPDX-License-Identifier: GPL-2.0

//! Which interrupts sources belong to, by the addresses of their descriptors.

#![expect(unsafe_code, reason = "descriptors that C frees")]

use aia_core::{
    ids::{
        NrSources,
        SourceId, //
    },
    word::Word, //
};
use kernel::{
    interrupt::LocalInterruptDisabled,
    prelude::*, //
};
use kernel_ext::{
    alloc,
    irq::{
        data::ChipData,
        new::NewIrqs,
        Descriptor, //
    }, //
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

        // INVARIANT: All words are zero.
        Ok(Self(alloc::filled(count, GFP_KERNEL, || Word::new(0))?))
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
