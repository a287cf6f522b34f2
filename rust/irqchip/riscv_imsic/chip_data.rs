// SPDX-License-Identifier: GPL-2.0

//! What an interrupt's data hold for the chip: its vectors.

use core::num::NonZeroU64;

use aia_core::vector::{
    slot::SlotOwner,
    Vectors, //
};
use kernel::prelude::*;
use kernel_ext::irq::{
    data::ChipWord,
    IrqData, //
};

/// The vectors as one word.
pub(crate) fn pack(vectors: Vectors) -> Result<ChipWord> {
    Ok(ChipWord(NonZeroU64::new(vectors.to_bits()).ok_or(EINVAL)?))
}

/// The vectors that a word stands for.
#[inline(always)]
pub(crate) fn unpack(data: ChipWord) -> Option<Vectors> {
    Vectors::from_bits(data.0.get())
}

/// The vectors of an interrupt.
#[inline(always)]
pub(crate) fn vectors(data: &IrqData<ChipWord>) -> Option<Vectors> {
    unpack(data.chip_data())
}

/// The owner that an interrupt is for the vectors: its descriptor.
pub(crate) fn owner(data: &IrqData<ChipWord>) -> Option<SlotOwner> {
    SlotOwner::new(data.descriptor().addr() as u64)
}
