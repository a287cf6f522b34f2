// SPDX-License-Identifier: GPL-2.0

//! Vectors: which interrupt owns which identity of which hart's interrupt file.
//!
//! A *vector* is an external interrupt identity in the supervisor interrupt file of one CPU. This
//! module holds the whole life of a vector as lock-free state on borrowed words, without any
//! access to hardware of its own:
//!
//! - [`access`]: what a hart does to its own file;
//! - [`pool`]: which identities of one CPU are in use;
//! - [`placement`]: which CPU a new vector should go to;
//! - [`slot`]: what an identity means right now;
//! - [`mod@file`]: one CPU's interrupt file: enables, deferred changes, moves;
//! - [`proof`]: how a hart can tell that nothing is on its way to its file;
//! - [`operations`]: what can be done with vectors, across all files; [`block`]: with those of a device
//!   that raises several interrupts by one message;
//! - [`entry`]: interrupt entry;
//! - [`power`]: a hart loses its registers for a while;
//! - [`tick`]: the clock of what has to wait;
//! - [`strays`]: when MSIs for nobody are too many.
//!
//! # Rules
//!
//! - The registers of an interrupt file can only be accessed by its own hart. What another CPU
//!   wants changed is recorded as *desired state* plus a dirty bit, and the owner applies it when
//!   it next *synchronises*: on interrupt entry, or at once if it is poked by an MSI.
//! - Interrupt entry takes no lock: it reads one summary word and, for each claimed identity, one
//!   slot.
//! - A moved vector stays behind as a *forwarder* until no MSI for it can be in flight. Whatever
//!   still arrives there is sent on to the new vector, so a move loses nothing.

pub mod access;
pub mod block;
pub mod entry;
pub mod file;
pub mod operations;
pub mod placement;
pub mod pool;
pub mod power;
pub mod proof;
pub mod slot;
pub mod strays;
pub mod tick;

use crate::ids::{
    Cpu,
    Eiid, //
};

/// The identity by which one CPU makes another one look: IPIs, and changes that shall not wait.
pub const POKE: Eiid = Eiid::MIN;

/// A vector: one interrupt identity of one CPU's supervisor interrupt file.
///
/// Packs into 32 bits: the identity in bits 10:0 (never zero), the CPU in bits 30:11.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct VectorId {
    cpu: Cpu,
    eiid: Eiid,
}

impl VectorId {
    const EIID_BITS: u32 = 11;
    const MAX_CPU: u32 = (u32::MAX >> 1) >> Self::EIID_BITS;

    /// Creates the vector of identity `eiid` on `cpu`.
    ///
    /// Returns [`None`] if the CPU number does not fit in 20 bits.
    #[inline]
    pub fn new(cpu: Cpu, eiid: Eiid) -> Option<Self> {
        (cpu.get() <= Self::MAX_CPU).then_some(Self { cpu, eiid })
    }

    /// The CPU that owns the interrupt file.
    #[inline]
    pub fn cpu(self) -> Cpu {
        self.cpu
    }

    /// The identity in that file.
    #[inline]
    pub fn eiid(self) -> Eiid {
        self.eiid
    }

    /// The vector of the identity `n` further on; [`None`] if there is no such identity.
    #[inline]
    pub fn further(self, n: u32) -> Option<Self> {
        Some(Self {
            cpu: self.cpu,
            eiid: Eiid::new(self.eiid.get().checked_add(n)?)?,
        })
    }

    /// The packed form; never zero, bit 31 clear.
    #[inline]
    pub fn to_bits(self) -> u32 {
        (self.cpu.get() << Self::EIID_BITS) | self.eiid.get()
    }

    /// The inverse of [`Self::to_bits`]; [`None`] if `bits` names no identity.
    #[inline]
    pub fn from_bits(bits: u32) -> Option<Self> {
        let eiid = Eiid::new(bits & ((1 << Self::EIID_BITS) - 1))?;

        Some(Self {
            cpu: Cpu::new(bits >> Self::EIID_BITS),
            eiid,
        })
    }
}

/// The vectors of one interrupt: where it is delivered, and where it was before its last move.
///
/// Both fit in 64 bits, so that they can live in the `chip_data` pointer of an `irq_data`. Nothing
/// has to be cleared when a move ends: it is in flight exactly as long as a slot of the CPU of
/// `previous` forwards to `current` (see [`file::File::forwarders_to`]).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Vectors {
    /// Where the interrupt is delivered now.
    pub current: VectorId,
    /// Where it was delivered before it was last moved.
    pub previous: Option<VectorId>,
}

impl Vectors {
    /// The packed form; never zero, bit 63 clear.
    #[inline]
    pub fn to_bits(self) -> u64 {
        let previous = self.previous.map_or(0, VectorId::to_bits);

        (u64::from(previous) << 32) | u64::from(self.current.to_bits())
    }

    /// The inverse of [`Self::to_bits`].
    #[inline]
    pub fn from_bits(bits: u64) -> Option<Self> {
        Some(Self {
            // CAST: Truncation to the low half is intended.
            current: VectorId::from_bits(bits as u32)?,
            previous: VectorId::from_bits((bits >> 32) as u32),
        })
    }
}

#[cfg_attr(CONFIG_KUNIT, kernel::macros::kunit_tests(aia_core_vector))]
#[cfg_attr(not(CONFIG_KUNIT), cfg(test))]
mod tests {
    use super::*;

    #[test]
    fn vector_id_round_trip() {
        for cpu in [0, 1, 63, 511, VectorId::MAX_CPU] {
            for eiid in [1, 2, 63, 64, 2047] {
                let id = VectorId::new(Cpu::new(cpu), Eiid::new(eiid).unwrap()).unwrap();

                assert_eq!(VectorId::from_bits(id.to_bits()), Some(id));
            }
        }
        assert!(
            VectorId::new(Cpu::new(VectorId::MAX_CPU), Eiid::MAX)
                .unwrap()
                .to_bits()
                < 1 << 31
        );
        assert_eq!(VectorId::from_bits(0), None);
        assert_eq!(VectorId::from_bits(1 << 11), None);
        assert!(VectorId::new(Cpu::new(VectorId::MAX_CPU + 1), Eiid::new(1).unwrap()).is_none());
    }

    #[test]
    fn vectors_round_trip() {
        let a = VectorId::new(Cpu::new(3), Eiid::new(7).unwrap()).unwrap();
        let b = VectorId::new(Cpu::new(0), Eiid::new(2047).unwrap()).unwrap();

        for previous in [None, Some(b)] {
            let v = Vectors {
                current: a,
                previous,
            };

            assert_eq!(Vectors::from_bits(v.to_bits()), Some(v));
        }
        assert_eq!(Vectors::from_bits(0), None);
    }
}
