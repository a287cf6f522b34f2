// SPDX-License-Identifier: GPL-2.0

//! Which vCPU a hart index of the guest means, without a search through all of them.

use core::ops::{
    Deref,
    DerefMut, //
};

use crate::{
    bits::shr,
    ids::VcpuIndex, //
};

/// A place in a [`HartTable`], for one vCPU.
#[derive(Clone, Copy, Debug, Default)]
pub struct HartTableEntry {
    hart_index: u32,
    vcpu: Option<VcpuIndex>,
}

/// Returns how many entries a table for `vcpus` vCPUs takes; [`None`] if that is more than memory.
///
/// At most half of them are used then, and a look-up seldom takes more than two probes.
pub const fn slots_for(vcpus: usize) -> Option<usize> {
    match vcpus.checked_mul(2) {
        Some(slots) => slots.checked_next_power_of_two(),
        None => None,
    }
}

/// A hash table from hart indexes, of any 32-bit number, to vCPUs, made once.
///
/// Collisions are resolved by linear probing.
///
/// # Invariants
///
/// - The number of entries is a power of two.
/// - No used entry comes after a free one in the order in which its hart index is looked up.
///
/// # Examples
///
/// ```
/// use aia_core::{
///     guest::hart_table::{slots_for, HartTableEntry, HartTable},
///     ids::VcpuIndex,
/// };
///
/// let vcpu = VcpuIndex::new(1).unwrap();
/// let storage = vec![HartTableEntry::default(); slots_for(1).unwrap()];
/// let table = HartTable::build(storage, [(0x8000, vcpu)]).unwrap();
/// assert_eq!(table.get(0x8000), Some(vcpu));
/// assert_eq!(table.get(0), None);
/// ```
pub struct HartTable<S> {
    entries: S,
    /// The width of an index of `entries`.
    bits: u32,
}

impl<S: DerefMut<Target = [HartTableEntry]>> HartTable<S> {
    /// Makes a table of `vcpus` in `storage`, whatever was in there before; of vCPUs with the same
    /// hart index, the first one is found.
    ///
    /// Returns [`None`] if the size of `storage` is not a power of two, or not enough to leave half
    /// of it free.
    pub fn build(storage: S, vcpus: impl IntoIterator<Item = (u32, VcpuIndex)>) -> Option<Self> {
        let mut entries = storage;
        let mut room = entries.len() / 2;
        let bits = entries.len().trailing_zeros();

        if !entries.len().is_power_of_two() {
            return None;
        }
        entries.fill(HartTableEntry::default());
        for (hart_index, vcpu) in vcpus {
            let index = find(&entries, bits, hart_index)?;
            let entry = entries.get_mut(index)?;

            if entry.vcpu.is_none() {
                room = room.checked_sub(1)?;
                *entry = HartTableEntry {
                    hart_index,
                    vcpu: Some(vcpu),
                };
            }
        }
        Some(Self { entries, bits })
    }
}

impl<S: Deref<Target = [HartTableEntry]>> HartTable<S> {
    /// Returns the vCPU with this hart index; [`None`] if there is none.
    #[inline]
    pub fn get(&self, hart_index: u32) -> Option<VcpuIndex> {
        self.entries
            .get(find(&self.entries, self.bits, hart_index)?)?
            .vcpu
    }
}

/// Returns the position of the entry of `hart_index`, or else of the free one where it belongs;
/// [`None`] if it has none and all are used. There are 2 to the power of `bits` entries.
#[inline]
fn find(entries: &[HartTableEntry], bits: u32, hart_index: u32) -> Option<usize> {
    let mask = entries.len().checked_sub(1)?;
    let start = hash(hart_index, bits);

    for probe in 0..entries.len() {
        // The mask also keeps what a guest chose from being an index in speculation.
        let index = start.wrapping_add(probe) & mask;
        let entry = entries.get(index)?;

        if entry.vcpu.is_none() || entry.hart_index == hart_index {
            return Some(index);
        }
    }
    None
}

/// Returns `bits` bits of a hash of `hart_index`.
///
/// Multiplies by 2^64 divided by the golden ratio and takes the highest bits, which spreads what
/// hart indexes are: runs of numbers, and groups of such runs at multiples of a power of two.
#[inline]
fn hash(hart_index: u32, bits: u32) -> usize {
    let product = u64::from(hart_index).wrapping_mul(0x9e37_79b9_7f4a_7c15);

    // CAST: There are that many entries.
    shr(product, u64::BITS.saturating_sub(bits)) as usize
}

#[cfg_attr(CONFIG_KUNIT, kernel::macros::kunit_tests(aia_core_guest_hart_table))]
#[cfg_attr(not(CONFIG_KUNIT), cfg(test))]
mod tests {
    use super::*;

    fn vcpu(n: u32) -> VcpuIndex {
        VcpuIndex::new(n).unwrap_or(VcpuIndex::MAX)
    }

    #[test]
    fn size() {
        assert_eq!(slots_for(0), Some(1));
        assert_eq!(slots_for(1), Some(2));
        assert_eq!(slots_for(2), Some(4));
        assert_eq!(slots_for(3), Some(8));
        assert_eq!(slots_for(1024), Some(2048));
        assert_eq!(slots_for(usize::MAX / 2), None);
        assert_eq!(slots_for(usize::MAX), None);
        assert_eq!(size_of::<HartTableEntry>(), 8);
    }

    #[test]
    fn refused_storage() {
        let mut three = [HartTableEntry::default(); 3];
        assert!(HartTable::build(&mut three[..], []).is_none());
        assert!(HartTable::build(&mut three[..0], []).is_none());

        // Half of it has to be free.
        let mut two = [HartTableEntry::default(); 2];
        assert!(HartTable::build(&mut two[..], [(1, vcpu(0))]).is_some());
        assert!(HartTable::build(&mut two[..], [(1, vcpu(0)), (2, vcpu(1))]).is_none());
        assert!(HartTable::build(&mut two[..1], [(1, vcpu(0))]).is_none());
    }

    #[test]
    fn nobody() {
        let mut one = [HartTableEntry::default(); 1];
        let table = HartTable::build(&mut one[..], []);
        for hart_index in [0, 1, u32::MAX] {
            assert!(table
                .as_ref()
                .is_some_and(|table| table.get(hart_index).is_none()));
        }
    }

    #[test]
    fn everybody_is_found() {
        let mut storage = [HartTableEntry::default(); 64];
        // What was in the storage does not matter.
        assert!(HartTable::build(&mut storage[..], (0..32).map(|n| (n + 100, vcpu(n)))).is_some());

        // 8 groups of 4 harts, at a multiple of a large power of two.
        let hart_index = |n: u32| n / 4 << 15 | n % 4;
        let table = HartTable::build(&mut storage[..], (0..32).map(|n| (hart_index(n), vcpu(n))));
        let get = |hart_index| table.as_ref().and_then(|table| table.get(hart_index));
        for n in 0..32 {
            assert_eq!(get(hart_index(n)), Some(vcpu(n)));
        }
        for other in [4, 5, 100, 0x7fff, 0x8004, 0x4_0000, u32::MAX] {
            assert_eq!(get(other), None);
        }
    }

    /// Numbers that all belong into the last place of a table, so that most wrap around.
    #[test]
    fn collisions() {
        let mut storage = [HartTableEntry::default(); 8];
        let same = || (0..).filter(|&hart_index| hash(hart_index, 3) == 7);
        let table = HartTable::build(&mut storage[..], same().zip((0..4).map(vcpu)));
        let get = |hart_index| table.as_ref().and_then(|table| table.get(hart_index));
        for (hart_index, n) in same().zip(0..4) {
            assert_eq!(get(hart_index), Some(vcpu(n)));
        }
        assert_eq!(same().nth(4).and_then(get), None);
    }

    /// As a search through all vCPUs would, find the first one.
    #[test]
    fn the_first_of_the_same_index() {
        let mut storage = [HartTableEntry::default(); 4];
        // Only two are different: that is room enough.
        let vcpus = [(7, 5), (9, 4), (7, 3), (9, 2), (7, 1)];
        let table = HartTable::build(
            &mut storage[..],
            vcpus.map(|(hart_index, n)| (hart_index, vcpu(n))),
        );
        let get = |hart_index| table.as_ref().and_then(|table| table.get(hart_index));
        assert_eq!(get(7), Some(vcpu(5)));
        assert_eq!(get(9), Some(vcpu(4)));
        assert_eq!(get(8), None);
    }
}
