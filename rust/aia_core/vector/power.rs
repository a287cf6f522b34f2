// SPDX-License-Identifier: GPL-2.0

//! A hart enters a state that may lose the registers of its interrupt file, and comes back.
//!
//! What other harts change meanwhile waits in the [`File`](super::file::File), as for a hart that is
//! busy. What arrives, the hardware keeps, or it does not lose its state.

use core::ops::Deref;

use super::{
    operations::{
        self,
        Machine, //
    },
    POKE, //
};
use crate::{
    eix::{
        self,
        EixWord, //
    },
    word::Word, //
};

/// The pending bits of a hart's file, for that hart with its interrupts off.
pub trait PendingAccess {
    /// The pending bits of `word`.
    fn pending(&self, word: EixWord) -> u64;

    /// Sets the pending bits `mask` of `word`.
    fn set_pending(&self, word: EixWord, mask: u64);
}

/// The pending bits of a hart that may have lost them: one word for each of its registers.
pub struct SavedPending<S>(S);

impl<S: Deref<Target = [Word]>> SavedPending<S> {
    /// Nothing was saved.
    pub const fn new(words: S) -> Self {
        Self(words)
    }

    fn words(&self) -> impl Iterator<Item = (EixWord, &Word)> {
        (0..).map_while(EixWord::new).zip(self.0.iter())
    }

    /// The running hart may lose its registers from now on.
    pub fn save(&self, hart: &impl PendingAccess) {
        for (word, saved) in self.words() {
            saved.store_release(hart.pending(word));
        }
    }

    /// The running hart is back: all its enable bits are set, its pending bits are what is left of them,
    /// and nothing is delivered before this returns.
    ///
    /// What was pending is pending again, to be found by all that looks at what may have moved away
    /// meanwhile. An IPI may be lost, and is taken in any case.
    pub fn restore<M: Machine + PendingAccess>(&self, machine: &M) {
        for (word, saved) in self.words() {
            let poke = match EixWord::of(POKE) == word {
                true => eix::mask(POKE),
                false => 0,
            };

            machine.set_pending(word, saved.load() | poke);
        }
        operations::refresh(machine);
    }
}
