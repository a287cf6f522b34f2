// SPDX-License-Identifier: GPL-2.0

//! What an interrupt's data hold for the chip: its vectors.

use core::num::NonZeroU64;

use aia_core::vector::{
    slot::Owner,
    Vectors, //
};
use kernel::prelude::*;
use kernel_ext::irq::{
    data::Packed,
    IrqData, //
};

/// The vectors as one word.
pub(crate) fn pack(vectors: Vectors) -> Result<Packed> {
    Ok(Packed(NonZeroU64::new(vectors.to_bits()).ok_or(EINVAL)?))
}

/// The vectors that a word stands for.
#[inline(always)]
pub(crate) fn unpack(data: Packed) -> Option<Vectors> {
    Vectors::from_bits(data.0.get())
}

/// The vectors of an interrupt.
#[inline(always)]
pub(crate) fn vectors(data: &IrqData<Packed>) -> Option<Vectors> {
    unpack(data.chip_data())
}

/// The owner that an interrupt is for the vectors: its descriptor.
pub(crate) fn owner(data: &IrqData<Packed>) -> Option<Owner> {
    Owner::new(data.descriptor().addr() as u64)
}
