// SPDX-License-Identifier: GPL-2.0

//! What an interrupt's data hold for the chip: its vectors, or the block that it shares with others.

use aia_core::vector::{
    slot::SlotOwner,
    Vectors, //
};
use kernel::prelude::*;
use kernel_ext::irq::{
    data::{
        LowWord,
        WordOrRef, //
    },
    IrqData, //
};

use crate::block::Block;

/// The vectors as one word, or a block.
pub(crate) type ImsicData = WordOrRef<Block>;

/// The vectors as one word.
pub(crate) fn pack(vectors: Vectors) -> Result<ImsicData> {
    Ok(ImsicData::Word(
        LowWord::new(vectors.to_bits()).ok_or(EINVAL)?,
    ))
}

/// The vectors that a word stands for.
#[inline(always)]
pub(crate) fn unpack(word: LowWord) -> Option<Vectors> {
    Vectors::from_bits(word.get())
}

/// By what the slots of interrupt files know the owner of an identity: the interrupt's descriptor.
#[inline]
pub(crate) fn owner(data: &IrqData<ImsicData>) -> Option<SlotOwner> {
    SlotOwner::new(data.descriptor().addr() as u64)
}
