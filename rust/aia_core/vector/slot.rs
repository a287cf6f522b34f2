// SPDX-License-Identifier: GPL-2.0

//! What an identity of an interrupt file means right now, in one word.

use super::VectorId;

/// The owner of an assigned identity: an opaque, non-zero, even number.
///
/// The drivers store the address of the interrupt's descriptor, so that interrupt entry finds it
/// with one load.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Owner(u64);

impl Owner {
    /// Wraps `bits`; [`None`] if they are zero or odd.
    #[inline]
    pub fn new(bits: u64) -> Option<Self> {
        (bits != 0 && bits & Slot::TAG == 0).then_some(Self(bits))
    }

    /// The number that was wrapped.
    #[inline]
    pub fn get(self) -> u64 {
        self.0
    }
}

/// What is known of MSIs that may still be on their way to a moved vector.
///
/// A forwarder may end only when none can be in flight. How that is known depends on what sends
/// them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum InFlight {
    /// The device has not been given the new message yet.
    Redirecting,
    /// The device's new message was read back, and its bus keeps MSIs before read completions:
    /// none is in flight (PCI).
    Ordered,
    /// The sender can prove it by an extempore MSI that arrives last (APLIC; AIA 4.9.3).
    Fenced,
    /// The new message was posted, nothing proves that it arrived: wait.
    Posted,
    /// As [`Self::Posted`]; waits for the end of a period that may have begun before.
    Waiting,
    /// As [`Self::Posted`]; waits for the end of a whole period.
    Waited,
}

/// The meaning of one identity.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Slot {
    /// Nobody's.
    Free,
    /// Delivers the interrupt of this owner.
    Assigned(Owner),
    /// Its interrupt moved away: what arrives is sent on to the new vector.
    Forward(VectorId, InFlight),
    /// Its interrupt was freed: what arrives is dropped until the own hart has looked.
    Drain,
    /// Nobody's, but something kept or may keep arriving: disabled until its hart is reset.
    Off,
}

impl Slot {
    /// Set in every state that is neither free nor assigned.
    const TAG: u64 = 1;
    const KIND_SHIFT: u32 = 1;
    const KIND_MASK: u64 = 7;
    const TARGET_SHIFT: u32 = 32;

    const DRAIN: u64 = 0;
    const REDIRECTING: u64 = 1;
    const ORDERED: u64 = 2;
    const FENCED: u64 = 3;
    const POSTED: u64 = 4;
    const WAITING: u64 = 5;
    const WAITED: u64 = 6;
    const OFF: u64 = 7;

    /// The word that stands for this state.
    #[inline]
    pub fn to_bits(self) -> u64 {
        let tagged = |kind: u64| Self::TAG | (kind << Self::KIND_SHIFT);

        match self {
            Slot::Free => 0,
            Slot::Assigned(owner) => owner.get(),
            Slot::Drain => tagged(Self::DRAIN),
            Slot::Off => tagged(Self::OFF),
            Slot::Forward(to, in_flight) => {
                let kind = match in_flight {
                    InFlight::Redirecting => Self::REDIRECTING,
                    InFlight::Ordered => Self::ORDERED,
                    InFlight::Fenced => Self::FENCED,
                    InFlight::Posted => Self::POSTED,
                    InFlight::Waiting => Self::WAITING,
                    InFlight::Waited => Self::WAITED,
                };

                tagged(kind) | (u64::from(to.to_bits()) << Self::TARGET_SHIFT)
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
        if let Some(owner) = Owner::new(bits) {
            return Slot::Assigned(owner);
        }

        let in_flight = match (bits >> Self::KIND_SHIFT) & Self::KIND_MASK {
            Self::REDIRECTING => InFlight::Redirecting,
            Self::ORDERED => InFlight::Ordered,
            Self::FENCED => InFlight::Fenced,
            Self::POSTED => InFlight::Posted,
            Self::WAITING => InFlight::Waiting,
            Self::WAITED => InFlight::Waited,
            Self::OFF => return Slot::Off,
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

        for slot in [
            Slot::Free,
            Slot::Assigned(Owner::new(0xffff_ffff_8000_0040).unwrap()),
            Slot::Forward(to, InFlight::Redirecting),
            Slot::Forward(to, InFlight::Ordered),
            Slot::Forward(to, InFlight::Fenced),
            Slot::Forward(to, InFlight::Posted),
            Slot::Forward(to, InFlight::Waiting),
            Slot::Forward(to, InFlight::Waited),
            Slot::Drain,
            Slot::Off,
        ] {
            assert_eq!(Slot::from_bits(slot.to_bits()), slot);
        }
    }

    #[test]
    fn owners_are_even_and_not_zero() {
        assert!(Owner::new(0).is_none());
        assert!(Owner::new(3).is_none());
        assert_eq!(Owner::new(8).map(Owner::get), Some(8));
    }

    #[test]
    fn impossible_words_drain() {
        assert_eq!(Slot::from_bits(1 | (2 << 1)), Slot::Drain);
    }
}
