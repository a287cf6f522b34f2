// SPDX-License-Identifier: GPL-2.0

//! The numbers that a domain has for its harts (AIA 4.3).
//!
//! Each domain numbers its harts itself, and where a source's interrupts go is said in these
//! numbers. The addresses of MSIs are made of the numbers that machine-level domains have for the
//! same harts, into which the APLIC translates (AIA 4.9.1). In most machines they are the same.

use core::ops::{
    Deref,
    DerefMut, //
};

use crate::ids::HartIndex;

/// A hart as the machine-level domains number it, and as this domain does.
pub type Pair = (HartIndex, HartIndex);

/// A domain's numbers of harts, by those of machine-level domains.
///
/// # Invariants
///
/// The pairs are sorted, and `same` says whether both numbers of each are the same.
///
/// # Examples
///
/// ```
/// use aia_core::{aplic::hart_numbers::HartNumbers, ids::HartIndex};
///
/// let index = |n| HartIndex::new(n).unwrap();
/// let numbers = HartNumbers::new(vec![(index(7), index(0)), (index(4), index(1))]);
///
/// assert_eq!(numbers.of(index(4)), index(1));
/// ```
pub struct HartNumbers<S> {
    pairs: S,
    same: bool,
}

impl<S: Deref<Target = [Pair]>> HartNumbers<S> {
    /// Takes what is known of a domain; nothing if it has the numbers of the machine level.
    pub fn new(mut pairs: S) -> Self
    where
        S: DerefMut,
    {
        pairs.sort_unstable();
        // INVARIANT: Just sorted, and compared.
        Self {
            same: pairs.iter().all(|(machine, own)| machine == own),
            pairs,
        }
    }

    /// Returns this domain's number of the hart that is `machine` in machine-level domains, which is
    /// the same if nothing else is known.
    #[inline]
    pub fn of(&self, machine: HartIndex) -> HartIndex {
        if self.same {
            return machine;
        }
        self.look_up(machine)
    }

    fn look_up(&self, machine: HartIndex) -> HartIndex {
        self.pairs
            .binary_search_by_key(&machine, |(machine, _)| *machine)
            .ok()
            .and_then(|index| self.pairs.get(index))
            .map_or(machine, |(_, own)| *own)
    }
}

#[cfg_attr(CONFIG_KUNIT, kernel::macros::kunit_tests(aia_core_aplic_hart_numbers))]
#[cfg_attr(not(CONFIG_KUNIT), cfg(test))]
mod tests {
    use super::*;
    use crate::error::OutOfRange;

    #[test]
    fn each_hart_has_its_own_number() -> Result<(), OutOfRange> {
        let mut pairs = [(HartIndex::ZERO, HartIndex::ZERO); 9];

        // Every other number of the machine level, in no order.
        for (index, pair) in pairs.iter_mut().enumerate() {
            let own = (index * 4) % 9;

            *pair = (HartIndex::try_from(2 * index)?, HartIndex::try_from(own)?);
        }
        pairs.rotate_left(4);
        let mut sorted = pairs;
        let numbers = HartNumbers::new(&mut sorted[..]);

        for (machine, own) in pairs {
            assert_eq!(numbers.of(machine), own);
        }
        for stranger in [1, 15, 17, 18, 16383_u32] {
            let stranger = HartIndex::try_from(stranger)?;

            assert_eq!(numbers.of(stranger), stranger);
        }
        Ok(())
    }

    #[test]
    fn the_same_if_nothing_is_known() -> Result<(), OutOfRange> {
        let mut none: [Pair; 0] = [];
        let numbers = HartNumbers::new(&mut none[..]);

        for machine in [0, 1, 16383_u32] {
            let machine = HartIndex::try_from(machine)?;

            assert_eq!(numbers.of(machine), machine);
        }
        Ok(())
    }
}
