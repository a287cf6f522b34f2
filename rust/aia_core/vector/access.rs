// SPDX-License-Identifier: GPL-2.0

//! What a hart does to its own interrupt file.

use super::{
    slot::Sender,
    tick::Tick,
    VectorId, //
};
use crate::{
    eix::EixWord,
    ids::Eiid,
    word::Word, //
};

/// What asking senders for extempore MSIs has shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fence {
    /// No MSI of any sender is on its way.
    Proven,
    /// Nothing was asked, or somebody could not be.
    NotAsked,
    /// Somebody was asked, and the marker did not arrive: it still may.
    Lost,
}

/// What only the file's own hart can do.
///
/// An implementation stands for the executing hart with its interrupts disabled: nothing else
/// accesses the same registers meanwhile.
pub trait HartAccess {
    /// Sets the enable bit of `eiid`.
    fn enable(&self, eiid: Eiid);

    /// Clears the enable bit of `eiid`.
    fn disable(&self, eiid: Eiid);

    /// Clears the pending bit of `eiid` and returns whether it was set.
    fn take_pending(&self, eiid: Eiid) -> bool;

    /// Sends an MSI to `to`. Returns without waiting for its arrival.
    fn send(&self, to: VectorId);

    /// Returns whether `eiid` is pending.
    fn is_pending(&self, eiid: Eiid) -> bool;

    /// Clears the pending bits `mask` of `word`.
    fn clear_pending(&self, word: EixWord, mask: u64);

    /// Makes `eiid` of this hart pending by an MSI.
    fn send_here(&self, eiid: Eiid);

    /// Orders everything that the hart did before, with memory, devices and its own file, before
    /// everything that it does later.
    fn barrier(&self);

    /// Passes the time between two looks at a pending bit.
    fn pause(&self);

    /// Lets all senders of the [`Sender::Fenced`] kind send `marker` to this hart, and waits for it:
    /// see [`proof::ask_all`](super::proof::ask_all).
    fn fence(&self, marker: Eiid) -> Fence;

    /// A marker has not arrived. From now on nothing is proven to this hart, moved vectors wait for
    /// the time to pass.
    fn marker_lost(&self);

    /// Nothing arrives any more at `eiid`, which forwarded what `sender` sent: for who looks at the
    /// machine.
    fn moved(&self, _eiid: Eiid, _sender: Sender) {}

    /// What the clock says.
    fn now(&self) -> Tick;

    /// How many identities of all harts hold what is for an owner that is [`Slot::Away`](super::slot::Slot::Away); at least.
    fn away(&self) -> &Word;
}
