// SPDX-License-Identifier: GPL-2.0

//! Which vCPU a hart index of the guest means, without a search through all of them.

use core::ops::Deref;

use crate::{
    ids::VcpuIndex,
    word::Word, //
};

/// A place in a [`HartTable`], for one vCPU: its index plus one, with the hart index above it, so that
/// whoever looks it up sees both or neither; 0 if it is free.
#[derive(Default)]
pub struct HartTableEntry(Word);

/// What a used [`HartTableEntry`] holds.
#[derive(Clone, Copy, Eq, PartialEq)]
struct Occupant {
    hart_index: u32,
    vcpu: VcpuIndex,
}

impl Occupant {
    const HART_INDEX_SHIFT: u32 = 32;

    #[inline]
    fn pack(self) -> u64 {
        (u64::from(self.hart_index) << Self::HART_INDEX_SHIFT) | (u64::from(self.vcpu.get()) + 1)
    }

    #[inline]
    fn unpack(word: u64) -> Option<Self> {
        if word == 0 {
            return None;
        }
        Some(Self {
            // CAST: The upper half.
            hart_index: (word >> Self::HART_INDEX_SHIFT) as u32,
            // CAST: The lower half.
            vcpu: VcpuIndex::new((word as u32).wrapping_sub(1))?,
        })
    }
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

/// There is no room for another vCPU.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Full;

/// A hash table from hart indexes, of any 32-bit number, to vCPUs. It is read in any context, also
/// while one is added; none is taken out.
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
/// let storage: Vec<_> = (0..slots_for(1).unwrap()).map(|_| HartTableEntry::default()).collect();
/// let table = HartTable::new(storage).unwrap();
/// table.insert(0x8000, vcpu).unwrap();
/// assert_eq!(table.get(0x8000), Some(vcpu));
/// assert_eq!(table.get(0), None);
/// ```
pub struct HartTable<S> {
    entries: S,
    /// The width of an index of `entries`.
    bits: u32,
}

impl<S: Deref<Target = [HartTableEntry]>> HartTable<S> {
    /// Makes a table in `storage`, all of whose entries are free.
    ///
    /// Returns [`None`] if their number is not a power of two.
    pub fn new(storage: S) -> Option<Self> {
        if !storage.len().is_power_of_two() {
            return None;
        }
        // INVARIANT: Just checked, and no entry is used.
        Some(Self {
            bits: storage.len().trailing_zeros(),
            entries: storage,
        })
    }

    /// Adds a vCPU; of those with the same hart index, the one that was there first is found.
    ///
    /// Fails if half of the entries are used. One at a time may add; whoever finds the vCPU sees what
    /// was written before.
    pub fn insert(&self, hart_index: u32, vcpu: VcpuIndex) -> Result<(), Full> {
        self.write(hart_index, vcpu, false)
    }

    /// As [`Self::insert`], but of those with the same hart index, this one is found from now on.
    pub fn insert_over(&self, hart_index: u32, vcpu: VcpuIndex) -> Result<(), Full> {
        self.write(hart_index, vcpu, true)
    }

    fn write(&self, hart_index: u32, vcpu: VcpuIndex, over: bool) -> Result<(), Full> {
        let (entry, found) = self.find(hart_index).ok_or(Full)?;
        let used = |entry: &&HartTableEntry| Occupant::unpack(entry.0.load()).is_some();

        if found.is_some() && !over {
            return Ok(());
        }
        if found.is_none() && self.entries.iter().filter(used).count() >= self.entries.len() / 2 {
            return Err(Full);
        }
        // INVARIANT: The entry was used for this hart index, or the first free one for it.
        entry.0.store_release(Occupant { hart_index, vcpu }.pack());
        Ok(())
    }

    /// Returns the vCPU with this hart index; [`None`] if there is none. What is found at an address that
    /// is made from it is as whoever added it had left it.
    #[inline]
    pub fn get(&self, hart_index: u32) -> Option<VcpuIndex> {
        self.find(hart_index)?.1
    }

    /// Returns the entry of `hart_index` and its vCPU, or else the free one where it belongs; [`None`] if
    /// it has none and all are used.
    #[inline]
    fn find(&self, hart_index: u32) -> Option<(&HartTableEntry, Option<VcpuIndex>)> {
        let mask = self.entries.len().checked_sub(1)?;
        let start = hash(hart_index, self.bits);

        for probe in 0..self.entries.len() {
            // The mask also keeps what a guest chose from being an index in speculation.
            let entry = self.entries.get(start.wrapping_add(probe) & mask)?;

            match Occupant::unpack(entry.0.load_dependent()) {
                None => return Some((entry, None)),
                Some(occupant) if occupant.hart_index == hart_index => {
                    return Some((entry, Some(occupant.vcpu)));
                }
                Some(_) => (),
            }
        }
        None
    }
}

/// Returns `bits` bits of a hash of `hart_index`.
///
/// Multiplies by 2^64 divided by the golden ratio and takes the highest bits, which spreads what
/// hart indexes are: runs of numbers, and groups of such runs at multiples of a power of two.
#[inline]
fn hash(hart_index: u32, bits: u32) -> usize {
    let product = u64::from(hart_index).wrapping_mul(0x9e37_79b9_7f4a_7c15);

    // CAST: There are that many entries; of one, any number is as good.
    product.wrapping_shr(u64::BITS.wrapping_sub(bits)) as usize
}

#[cfg_attr(CONFIG_KUNIT, kernel::macros::kunit_tests(aia_core_guest_hart_table))]
#[cfg_attr(not(CONFIG_KUNIT), cfg(all(test, not(loom))))]
mod tests {
    use super::*;

    fn vcpu(n: u32) -> VcpuIndex {
        VcpuIndex::new(n).unwrap_or(VcpuIndex::MAX)
    }

    fn storage<const N: usize>() -> [HartTableEntry; N] {
        [const { HartTableEntry(Word::new(0)) }; N]
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
        let three = storage::<3>();
        assert!(HartTable::new(&three[..]).is_none());
        assert!(HartTable::new(&three[..0]).is_none());
    }

    /// Half of it has to be free. What is refused changes nothing.
    #[test]
    fn full() -> Result<(), Full> {
        let two = storage::<2>();
        let table = HartTable::new(&two[..]).ok_or(Full)?;
        table.insert(1, vcpu(0))?;
        assert_eq!(table.insert(2, vcpu(1)), Err(Full));
        assert_eq!(table.insert_over(2, vcpu(1)), Err(Full));
        assert_eq!(table.get(2), None);
        assert_eq!(table.get(1), Some(vcpu(0)));
        // These take no room.
        table.insert(1, vcpu(1))?;
        table.insert_over(1, vcpu(2))?;
        assert_eq!(table.get(1), Some(vcpu(2)));

        let one = storage::<1>();
        let table = HartTable::new(&one[..]).ok_or(Full)?;
        assert_eq!(table.insert(1, vcpu(0)), Err(Full));
        Ok(())
    }

    #[test]
    fn nobody() {
        let one = storage::<1>();
        let table = HartTable::new(&one[..]);
        for hart_index in [0, 1, u32::MAX] {
            assert!(table
                .as_ref()
                .is_some_and(|table| table.get(hart_index).is_none()));
        }
    }

    #[test]
    fn extremes() -> Result<(), Full> {
        let four = storage::<4>();
        let table = HartTable::new(&four[..]).ok_or(Full)?;
        table.insert(0, vcpu(0))?;
        table.insert(u32::MAX, VcpuIndex::MAX)?;
        assert_eq!(table.get(0), Some(vcpu(0)));
        assert_eq!(table.get(u32::MAX), Some(VcpuIndex::MAX));
        Ok(())
    }

    #[test]
    fn everybody_is_found() -> Result<(), Full> {
        let storage = storage::<64>();
        let table = HartTable::new(&storage[..]).ok_or(Full)?;

        // 8 groups of 4 harts, at a multiple of a large power of two. Each is found as soon as it is
        // there.
        let hart_index = |n: u32| ((n / 4) << 15) | (n % 4);
        for added in 0..32 {
            table.insert(hart_index(added), vcpu(added))?;
            for n in 0..32 {
                let found = (n <= added).then(|| vcpu(n));
                assert_eq!(table.get(hart_index(n)), found);
            }
        }
        for other in [4, 5, 100, 0x7fff, 0x8004, 0x4_0000, u32::MAX] {
            assert_eq!(table.get(other), None);
        }
        Ok(())
    }

    /// Numbers that all belong into the last place of a table, so that most wrap around.
    #[test]
    fn collisions() -> Result<(), Full> {
        let storage = storage::<8>();
        let table = HartTable::new(&storage[..]).ok_or(Full)?;
        let same = || (0..).filter(|&hart_index| hash(hart_index, 3) == 7);
        for (hart_index, n) in same().zip(0..4) {
            table.insert(hart_index, vcpu(n))?;
        }
        for (hart_index, n) in same().zip(0..4) {
            assert_eq!(table.get(hart_index), Some(vcpu(n)));
        }
        assert_eq!(same().nth(4).and_then(|n| table.get(n)), None);
        Ok(())
    }

    /// As a search through all vCPUs would, find the first one; or the one that goes before it.
    #[test]
    fn the_first_of_the_same_index() -> Result<(), Full> {
        let storage = storage::<4>();
        let table = HartTable::new(&storage[..]).ok_or(Full)?;
        // Only two are different: that is room enough.
        for (hart_index, n) in [(7, 5), (9, 4), (7, 3), (9, 2), (7, 1)] {
            table.insert(hart_index, vcpu(n))?;
        }
        assert_eq!(table.get(7), Some(vcpu(5)));
        assert_eq!(table.get(9), Some(vcpu(4)));
        assert_eq!(table.get(8), None);
        table.insert_over(9, vcpu(6))?;
        assert_eq!(table.get(9), Some(vcpu(6)));
        assert_eq!(table.get(7), Some(vcpu(5)));
        Ok(())
    }
}
