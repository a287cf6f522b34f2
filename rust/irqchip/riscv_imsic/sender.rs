// SPDX-License-Identifier: GPL-2.0

//! Senders of MSIs that can prove that nothing of theirs is in flight: APLICs in MSI mode.
//!
//! When a vector moves away from a hart, an MSI to it may still be on its way. An APLIC can send an
//! extempore MSI that arrives after all its earlier ones to the same hart (AIA 4.9.3), so the hart
//! that loses the vector asks each APLIC for one and waits for it to become pending. All this
//! happens on that hart, with interrupts off, and takes as long as an MSI travels.

use aia_core::{
    ids::Eiid,
    vector::proof::{
        self,
        Fence, //
    },
    word::Word, //
};
use kernel::{
    prelude::*,
    sync::SetOnce, //
};

use crate::hart::ThisHart;

/// A sender of extempore MSIs. Senders live for ever.
pub trait Extempore: Sync {
    /// Sends an MSI with identity `eiid` to physical address `address` after all MSIs that the
    /// sender has sent there.
    ///
    /// Returns whether it was sent. Called with interrupts off and raw locks held: may take a raw
    /// lock of its own, and wait for the hardware, for some microseconds.
    fn send(&self, address: u64, eiid: Eiid) -> bool;
}

/// The senders of the system, filled from the start.
static SENDERS: [SetOnce<&'static dyn Extempore>; 16] = [const { SetOnce::new() }; 16];

/// How many senders there may be that a fence cannot ask: announced ones, those that found no room
/// in [`SENDERS`], and those that failed.
static UNASKED: Word = Word::new(0);

/// A sender that may soon send MSIs: until it is registered no fence proves anything.
#[must_use]
pub struct Announced(());

/// Announces a sender, before its first interrupt can be set up.
pub fn announce() -> Announced {
    UNASKED.add(1);
    Announced(())
}

impl Announced {
    /// Makes the sender known.
    ///
    /// Fails with `ENOSPC` if there are too many. No fence proves anything then, and moved
    /// vectors wait for some time instead.
    pub fn register(self, sender: &'static dyn Extempore) -> Result {
        if SENDERS.iter().any(|slot| slot.populate(sender)) {
            Ok(())
        } else {
            core::mem::forget(self);
            Err(ENOSPC)
        }
    }
}

impl Drop for Announced {
    fn drop(&mut self) {
        UNASKED.add(u64::MAX);
    }
}

/// Lets all senders send `marker`, which nobody else uses, to `hart`, whose file is at `address`, and
/// waits for each.
pub(crate) fn fence(hart: &ThisHart<'_>, address: u64, marker: Eiid) -> Fence {
    if UNASKED.load_acquire() != 0 {
        return Fence::NotAsked;
    }

    let mut asked = false;
    let outcome = proof::ask_all(
        hart,
        marker,
        SENDERS.iter().map_while(SetOnce::as_ref),
        |sender| {
            asked = true;
            sender.send(address, marker)
        },
    );

    if asked && outcome != Fence::Proven {
        pr_warn!("an APLIC does not send extempore MSIs, moved vectors wait instead\n");
        UNASKED.add(1);
    }
    outcome
}
