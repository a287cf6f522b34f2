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
use crate::ids::Eiid;

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

/// As [`ask`], for each of `senders`, until one does not answer.
pub fn ask_all<S>(
    hart: &impl HartAccess,
    marker: Eiid,
    senders: impl Iterator<Item = S>,
    mut send: impl FnMut(S) -> bool,
) -> Fence {
    let mut outcome = Fence::NotAsked;

    for sender in senders {
        outcome = ask(hart, marker, || send(sender));
        if outcome != Fence::Proven {
            break;
        }
    }
    outcome
}
