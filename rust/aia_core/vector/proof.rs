// SPDX-License-Identifier: GPL-2.0

//! How a hart can tell that no MSI to its interrupt file is on its way any more.
//!
//! A write to the file takes effect at some time after it was made; but the writes to one file take
//! effect in the order in which they were made (AIA 3.5). So a hart that sees a later one sees all
//! that came before: it stores a *marker* to its own file, an identity that serves no other purpose.
//! MSIs of an APLIC may be made later than the hart's own store. There, the APLIC has to send the
//! marker (AIA 4.9.3).

use super::access::{
    Fence,
    HartAccess, //
};
use crate::{
    ids::Eiid,
    word::Word, //
};

/// How often the pending bit is looked at before the marker counts as lost: the hart has interrupts
/// off, and should wait for some microseconds only.
const PATIENCE: u32 = 1_000;

/// Lets `send` send `marker` to the file of `hart`, and waits for it.
pub fn ask(hart: &impl HartAccess, marker: Eiid, send: impl FnOnce() -> bool) -> Fence {
    // Nobody else sends it, but anything could.
    hart.take_pending(marker);
    if !send() {
        return Fence::NotAsked;
    }

    for _ in 0..PATIENCE {
        if hart.take_pending(marker) {
            return Fence::Proven;
        }
        hart.pause();
    }
    Fence::Lost
}

/// Who can send the marker after all MSIs that he has sent before.
pub trait Sender {
    /// Sends the marker; returns whether it is on its way.
    fn send(&self) -> bool;

    /// Whether nothing of his is on its way, as he has no power.
    fn is_off(&self) -> bool;
}

/// What became of [`ask_all`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Asked {
    /// As [`ask`] says of the last one who was asked.
    All(Fence),
    /// One has failed, of whom nothing can be told any more.
    Failed(Fence),
}

/// As [`ask`], for each of `senders` who has power, until one does not answer.
///
/// Nobody is asked any more once one has failed, which `failed` remembers, not zero then. Who loses
/// his power as he is asked has not.
pub fn ask_all<S: Sender>(
    hart: &impl HartAccess,
    marker: Eiid,
    senders: impl Iterator<Item = S>,
    failed: &Word,
) -> Asked {
    // Who does not see it yet finds out for himself.
    if failed.load() != 0 {
        return Asked::All(Fence::NotAsked);
    }

    let mut outcome = Fence::NotAsked;

    for sender in senders.filter(|sender| !sender.is_off()) {
        let mut asked = false;

        outcome = ask(hart, marker, || {
            let sent = sender.send();

            asked = sent || !sender.is_off();
            sent
        });
        if outcome != Fence::Proven {
            if asked {
                failed.add(1);
                return Asked::Failed(outcome);
            }
            break;
        }
    }
    Asked::All(outcome)
}
