// SPDX-License-Identifier: GPL-2.0

//! What an identity of an interrupt file means right now, in one word.

use super::{
    tick::Tick,
    VectorId, //
};

/// The owner of an assigned identity: an opaque number that is not zero, a multiple of 16.
///
/// The drivers store the address of the interrupt's descriptor, so that interrupt entry finds it
/// with one load.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SlotOwner(u64);

impl SlotOwner {
    /// Wraps `bits`; [`None`] if they are zero or no multiple of 16.
    #[inline]
    pub fn new(bits: u64) -> Option<Self> {
        (bits != 0 && bits & Slot::LOW_MASK == 0).then_some(Self(bits))
    }

    /// The number that was wrapped.
    #[inline]
    pub fn get(self) -> u64 {
        self.0
    }
}

/// What is known of the MSIs of a sender that has got a new message: how it can be told that none
/// with an older one is on its way any more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sender {
    /// The new message was read back, and the sender's bus keeps MSIs before read completions: they
    /// arrive before what is stored to the interrupt file afterwards (PCI).
    Ordered,
    /// The sender can send an extempore MSI that arrives last (APLIC; AIA 4.9.3).
    Fenced,
    /// The new message was posted, nothing proves that it arrived: wait.
    Posted,
}

/// What is known of MSIs that may still be on their way to a moved vector.
///
/// A forwarder may end only when none can be in flight.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum InFlight {
    /// The device has not been given the new message yet.
    Redirecting,
    /// See [`Sender::Ordered`].
    Ordered,
    /// See [`Sender::Fenced`].
    Fenced,
    /// See [`Sender::Posted`]; since this tick.
    Posted(Tick),
}

impl InFlight {
    /// What is in flight when `sender` has got its new message, at `now`, which takes long to find out.
    #[inline]
    pub fn of(sender: Sender, now: impl FnOnce() -> Tick) -> Self {
        match sender {
            Sender::Ordered => InFlight::Ordered,
            Sender::Fenced => InFlight::Fenced,
            Sender::Posted => InFlight::Posted(now()),
        }
    }

    /// Of what kind the sender is, as far as it is known.
    #[inline]
    pub fn sender(self) -> Sender {
        match self {
            InFlight::Ordered => Sender::Ordered,
            InFlight::Fenced => Sender::Fenced,
            InFlight::Redirecting | InFlight::Posted(_) => Sender::Posted,
        }
    }
}

/// The meaning of one identity.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Slot {
    /// Nobody's.
    Free,
    /// Delivers the interrupt of this owner.
    Assigned(SlotOwner),
    /// Its interrupt moved away: what arrives is sent on to the new vector.
    Forward(VectorId, InFlight),
    /// The interrupt of this owner left while the hart could not be asked: what arrived, or still
    /// arrives, is delivered here when the hart is back.
    Away(SlotOwner, Sender),
    /// Its interrupt was freed: what arrives is dropped until the own hart has looked.
    Drain,
    /// Nobody's, but something kept or may keep arriving: disabled until its hart is reset.
    Off,
    /// Never an interrupt's: by it the hart tells what has arrived in its file. Disabled.
    Marker,
}

/// The layout of the word, from bit 0:
///
/// - a free identity is zero, an assigned one the owner, whose lower four bits are zero;
/// - bit 0 set: bits 3:1 are the kind, 31:4 the tick, 63:32 the target of a forwarder;
/// - else bits 3:1 are the kind of sender, the others the owner that is away.
impl Slot {
    const LOW_MASK: u64 = 0xf;
    const TAG: u64 = 1;
    const KIND_SHIFT: u32 = 1;
    const KIND_MASK: u64 = 7;
    const TICK_SHIFT: u32 = 4;
    const TARGET_SHIFT: u32 = 32;

    const DRAIN: u64 = 0;
    const REDIRECTING: u64 = 1;
    const ORDERED: u64 = 2;
    const FENCED: u64 = 3;
    const POSTED: u64 = 4;
    const OFF: u64 = 5;
    const MARKER: u64 = 6;

    /// The word that stands for this state.
    #[inline]
    pub fn to_bits(self) -> u64 {
        let tagged = |kind: u64| Self::TAG | (kind << Self::KIND_SHIFT);

        match self {
            Slot::Free => 0,
            Slot::Assigned(owner) => owner.get(),
            Slot::Drain => tagged(Self::DRAIN),
            Slot::Off => tagged(Self::OFF),
            Slot::Marker => tagged(Self::MARKER),
            Slot::Forward(to, in_flight) => {
                let (kind, tick) = match in_flight {
                    InFlight::Redirecting => (Self::REDIRECTING, 0),
                    InFlight::Ordered => (Self::ORDERED, 0),
                    InFlight::Fenced => (Self::FENCED, 0),
                    InFlight::Posted(since) => (Self::POSTED, since.get()),
                };

                tagged(kind)
                    | (u64::from(tick) << Self::TICK_SHIFT)
                    | (u64::from(to.to_bits()) << Self::TARGET_SHIFT)
            }
            Slot::Away(owner, sender) => {
                let kind = match sender {
                    Sender::Ordered => Self::ORDERED,
                    Sender::Fenced => Self::FENCED,
                    Sender::Posted => Self::POSTED,
                };

                owner.get() | (kind << Self::KIND_SHIFT)
            }
        }
    }

    /// The state that `bits` stand for.
    ///
    /// Words that [`Self::to_bits`] cannot produce read as [`Slot::Drain`], the state in which an
    /// arriving interrupt is counted and dropped.
    #[inline]
    pub fn from_bits(bits: u64) -> Self {
        if bits == 0 {
            return Slot::Free;
        }
        if let Some(owner) = SlotOwner::new(bits) {
            return Slot::Assigned(owner);
        }

        let kind = (bits >> Self::KIND_SHIFT) & Self::KIND_MASK;

        if bits & Self::TAG == 0 {
            Self::away(bits, kind)
        } else {
            Self::tagged(bits, kind)
        }
    }

    fn away(bits: u64, kind: u64) -> Self {
        let sender = match kind {
            Self::ORDERED => Sender::Ordered,
            Self::FENCED => Sender::Fenced,
            Self::POSTED => Sender::Posted,
            _ => return Slot::Drain,
        };

        SlotOwner::new(bits & !Self::LOW_MASK)
            .map_or(Slot::Drain, |owner| Slot::Away(owner, sender))
    }

    fn tagged(bits: u64, kind: u64) -> Self {
        let in_flight = match kind {
            Self::REDIRECTING => InFlight::Redirecting,
            Self::ORDERED => InFlight::Ordered,
            Self::FENCED => InFlight::Fenced,
            Self::POSTED => InFlight::Posted(Tick::new(bits >> Self::TICK_SHIFT)),
            Self::OFF => return Slot::Off,
            Self::MARKER => return Slot::Marker,
            _ => return Slot::Drain,
        };

        // CAST: The target is exactly the high half.
        match VectorId::from_bits((bits >> Self::TARGET_SHIFT) as u32) {
            Some(to) => Slot::Forward(to, in_flight),
            None => Slot::Drain,
        }
    }
}

#[cfg_attr(CONFIG_KUNIT, kernel::macros::kunit_tests(aia_core_vector_slot))]
#[cfg_attr(not(CONFIG_KUNIT), cfg(test))]
mod tests {
    use super::*;
    use crate::ids::{
        Cpu,
        Eiid, //
    };

    #[test]
    fn every_state_round_trips() {
        let to = VectorId::new(Cpu::new(511), Eiid::new(2047).unwrap()).unwrap();
        let owner = SlotOwner::new(0xffff_ffff_8000_0040).unwrap();

        for slot in [
            Slot::Free,
            Slot::Assigned(owner),
            Slot::Forward(to, InFlight::Redirecting),
            Slot::Forward(to, InFlight::Ordered),
            Slot::Forward(to, InFlight::Fenced),
            Slot::Forward(to, InFlight::Posted(Tick::new(0))),
            Slot::Forward(to, InFlight::Posted(Tick::new(u64::MAX))),
            Slot::Away(owner, Sender::Ordered),
            Slot::Away(owner, Sender::Fenced),
            Slot::Away(owner, Sender::Posted),
            Slot::Drain,
            Slot::Off,
            Slot::Marker,
        ] {
            assert_eq!(Slot::from_bits(slot.to_bits()), slot);
        }
    }

    #[test]
    fn owners_leave_room_for_what_is_known_of_them() {
        assert!(SlotOwner::new(0).is_none());
        for bits in 1..16 {
            assert!(SlotOwner::new(0x1000 | bits).is_none());
        }
        assert_eq!(SlotOwner::new(16).map(SlotOwner::get), Some(16));
    }

    #[test]
    fn impossible_words_drain() {
        // A forwarder to nowhere, kinds that do not exist, nobody who is away.
        for bits in [1 | (2 << 1), 1 | (7 << 1), 0x1000 | (1 << 1), 2 << 1] {
            assert_eq!(Slot::from_bits(bits), Slot::Drain);
        }
    }
}
