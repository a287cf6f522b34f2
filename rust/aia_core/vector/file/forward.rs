// SPDX-License-Identifier: GPL-2.0

//! An identity forwards what arrives there to the vector that its interrupt has moved to, until nothing
//! can arrive there any more.

use core::ops::Deref;

use super::File;
use crate::{
    ids::Eiid,
    vector::{
        access::HartAccess,
        slot::{
            InFlight,
            Sender,
            Slot,
            SlotOwner, //
        },
        tick::Tick,
        VectorId, //
    },
    word::Word, //
};

/// What has become of an MSI that arrived at an identity without owner.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Arrival {
    /// The identity has an owner after all.
    For(SlotOwner),
    /// It was sent on to where its interrupt has moved.
    Forwarded,
    /// It was for an interrupt that is no more.
    Dropped,
    /// It was for nobody.
    Stray,
}

impl<S: Deref<Target = [Word]>> File<S> {
    /// Takes the free identity `eiid` only to forward what arrives there to `to`, for a device that
    /// may combine the address of this file with the data of another one while it is redirected.
    pub fn assign_forwarder(&self, eiid: Eiid, to: VectorId) -> bool {
        if !self.pool.claim(eiid) {
            return false;
        }

        self.publish(eiid, Slot::Forward(to, InFlight::Redirecting));
        true
    }

    /// Takes `eiid` away from `owner` and lets it forward to `to`. The device is still to be told.
    pub fn begin_move(&self, eiid: Eiid, owner: SlotOwner, to: VectorId) -> bool {
        self.replace(
            eiid,
            Slot::Assigned(owner),
            Slot::Forward(to, InFlight::Redirecting),
        )
    }

    /// The device has been told: from now on only MSIs of the kind `in_flight` can arrive at `eiid`.
    /// For who has made it a forwarder.
    ///
    /// The forwarder ends when its own hart has synchronised: [`Self::mark`] it, and if the hart is
    /// offline, [`Self::depart`].
    pub fn settle(&self, eiid: Eiid, to: VectorId, in_flight: InFlight) -> bool {
        // Nobody else changes a forwarder whose device has not been told.
        let is_ours = self.slot(eiid) == Slot::Forward(to, InFlight::Redirecting);

        if is_ours {
            self.publish(eiid, Slot::Forward(to, in_flight));
        }
        is_ours
    }

    /// The hart of the settled forwarder `eiid` is offline: keeps what arrives for `owner`, whose
    /// interrupt can then move on without leaving a chain of forwarders behind.
    pub fn depart(&self, hart: &impl HartAccess, eiid: Eiid, owner: SlotOwner, to: VectorId) {
        // Else the hart was not quite gone, or is back already.
        self.keep(hart, eiid, owner, to);
    }

    /// Lets the forwarder `eiid` to `to` keep what arrives for `owner` instead of sending it on. Returns
    /// whether there was one whose device has been told.
    pub fn keep(&self, hart: &impl HartAccess, eiid: Eiid, owner: SlotOwner, to: VectorId) -> bool {
        loop {
            let slot = self.slot(eiid);

            match slot {
                Slot::Forward(_, InFlight::Redirecting) => return false,
                Slot::Forward(target, _) if target == to => {
                    // Before the slot: who sees that waits from now on.
                    self.wait_from(|| hart.now());
                    if self.go_away(hart, eiid, slot, owner) {
                        return true;
                    }
                }
                _ => return false,
            }
        }
    }

    /// Changes `eiid` from the forwarder `slot` to [`Slot::Away`]; returns whether it was that.
    pub(super) fn go_away(
        &self,
        hart: &impl HartAccess,
        eiid: Eiid,
        slot: Slot,
        owner: SlotOwner,
    ) -> bool {
        let sender = match slot {
            Slot::Forward(_, in_flight) => in_flight.sender(),
            _ => Sender::Posted,
        };

        // Counted first: whoever sees the slot has to see that there is one.
        hart.away().add(1);
        let gone = self.replace(eiid, slot, Slot::Away(owner, sender));

        if !gone {
            hart.away().add(u64::MAX);
        }
        gone
    }

    /// Lets all that holds something for `owner`, who is [`Slot::Away`], drop it, since the interrupt
    /// is no more.
    pub fn abandon_away(&self, hart: &impl HartAccess, owner: SlotOwner) {
        for eiid in self.pool.iter() {
            loop {
                let slot = self.slot(eiid);

                match slot {
                    Slot::Away(of, _) if of == owner => {
                        if self.replace(eiid, slot, Slot::Drain) {
                            hart.away().add(u64::MAX);
                            self.mark(eiid);
                            break;
                        }
                    }
                    _ => break,
                }
            }
        }
    }

    /// Whether `eiid` still forwards to `to`: the move between them is in flight.
    #[inline]
    pub fn forwards_to(&self, eiid: Eiid, to: VectorId) -> bool {
        matches!(self.slot(eiid), Slot::Forward(target, _) if target == to)
    }

    /// Lets a forwarder to `from` forward to `to` instead. Returns whether there was one.
    pub fn retarget(&self, eiid: Eiid, from: VectorId, to: VectorId) -> bool {
        self.change_forward(eiid, from, |in_flight| Slot::Forward(to, in_flight))
    }

    /// Lets a forwarder to `to` drop what arrives, since the interrupt is no more. Returns whether
    /// there was one.
    pub fn abandon(&self, eiid: Eiid, to: VectorId) -> bool {
        self.change_forward(eiid, to, |_| Slot::Drain)
    }

    fn change_forward(&self, eiid: Eiid, target: VectorId, new: impl Fn(InFlight) -> Slot) -> bool {
        loop {
            // If it is away already, that is counted.
            let old = self.slot_acquire(eiid);

            match old {
                Slot::Forward(to, in_flight) if to == target => {
                    if self.replace(eiid, old, new(in_flight)) {
                        return true;
                    }
                }
                _ => return false,
            }
        }
    }

    /// What becomes of an MSI that arrived at `eiid`, which is not assigned: it is sent on, or
    /// dropped, or for somebody who is away.
    pub fn forward(&self, hart: &impl HartAccess, eiid: Eiid) -> Arrival {
        let mut sent = None;

        loop {
            match self.slot_dependent(eiid) {
                Slot::Forward(to, _) => {
                    // A retarget between the look and the send: the first target's CPU may be gone.
                    if sent == Some(to) {
                        self.forwarded.add(1);
                        return Arrival::Forwarded;
                    }
                    hart.send(to);
                    sent = Some(to);
                    // Whoever retargets it, and then takes what has arrived at the first target, has
                    // that MSI, or else it is sent once more.
                    hart.barrier();
                }
                Slot::Assigned(owner) => return Arrival::For(owner),
                Slot::Away(..) if sent.is_some() => {
                    self.forwarded.add(1);
                    return Arrival::Forwarded;
                }
                Slot::Away(owner, _) => {
                    // Maybe this was all.
                    self.mark(eiid);
                    return Arrival::For(owner);
                }
                Slot::Drain => {
                    self.dropped.add(1);
                    return Arrival::Dropped;
                }
                Slot::Free | Slot::Off | Slot::Marker => {
                    self.dropped.add(1);
                    return Arrival::Stray;
                }
            }
        }
    }

    /// Sends on what is pending at the forwarder `eiid`, or is `owed` already.
    pub(super) fn send_on(&self, hart: &impl HartAccess, eiid: Eiid, owed: &mut bool) {
        *owed |= hart.take_pending(eiid);
        if *owed {
            *owed = matches!(self.forward(hart, eiid), Arrival::For(_));
        }
    }

    /// Nothing is proven of the forwarder `slot` to `to`: lets it wait from `now` on.
    pub(super) fn wait(&self, eiid: Eiid, slot: Slot, to: VectorId, now: Tick) {
        self.replace(eiid, slot, Slot::Forward(to, InFlight::Posted(now)));
    }

    /// MSIs sent on from forwarders since boot.
    pub fn forwarded(&self) -> u64 {
        self.forwarded.load()
    }
}
