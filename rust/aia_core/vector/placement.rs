// SPDX-License-Identifier: GPL-2.0

//! Which CPU a new vector goes to.
//!
//! The CPU with the most free identities, the lowest numbered one of several: the same choice as
//! the kernel's `irq_matrix`. It is kept at the root of a tournament tree, so that asking costs one
//! load and a change costs one step per level that it changes, without a lock and without a walk over all
//! CPUs.

use core::ops::Deref;

use crate::{
    ids::Cpu,
    word::Word, //
};

/// A player of the tournament: free identities in the high half, the CPU's complement in the low
/// half, so that the greatest number is the best CPU. Zero is nobody.
#[inline]
fn entry(cpu: Cpu, free: u32) -> u64 {
    if free == 0 {
        0
    } else {
        (u64::from(free) << 32) | u64::from(!cpu.get())
    }
}

/// A tournament tree over the CPUs 0..`leaves`.
///
/// Concurrent changes may leave a stale winner for a moment, never for good; whoever takes a vector
/// verifies on that CPU's pool anyway.
pub struct Placement<S> {
    /// A heap: node `i` has the children `2 * i` and `2 * i + 1`, the root is node 1, and the
    /// second half are the leaves.
    nodes: S,
}

/// Words that a tree over `nr_cpus` CPUs takes; [`None`] if there are too many.
pub fn words_for(nr_cpus: u32) -> Option<usize> {
    usize::try_from(nr_cpus.max(1).checked_next_power_of_two()?)
        .ok()?
        .checked_mul(2)
}

impl<S: Deref<Target = [Word]>> Placement<S> {
    /// Creates a tree without players on `nodes`, [`words_for`] zeroed words.
    ///
    /// Returns [`None`] if their number is not a power of two above one.
    pub fn new(nodes: S) -> Option<Self> {
        (nodes.len() >= 2 && nodes.len().is_power_of_two()).then_some(Self { nodes })
    }

    /// Says that `cpu` now has `free` identities left; zero also stands for an offline CPU.
    pub fn update(&self, cpu: Cpu, free: u32) {
        let leaves = self.nodes.len() / 2;
        let mut index = match usize::try_from(cpu.get()) {
            Ok(n) if n < leaves => leaves + n,
            _ => return,
        };

        if let Some(leaf) = self.nodes.get(index) {
            leaf.swap(entry(cpu, free));
        }
        while index > 1 {
            index /= 2;
            if !self.replay(index) {
                // Who has made the winner what it is tells it to the nodes above, or has done so.
                return;
            }
        }
    }

    /// Makes node `index` the better of its children; returns whether nobody else has done so.
    fn replay(&self, index: usize) -> bool {
        let (Some(node), Some(left), Some(right)) = (
            self.nodes.get(index),
            self.nodes.get(2 * index),
            self.nodes.get(2 * index + 1),
        ) else {
            return false;
        };

        loop {
            let best = left.load().max(right.load());

            if node.swap(best) == best {
                return false;
            }
            // Whoever writes last has looked at the children after everyone else's write: all writes
            // to the node are of one order, in which each sees what came before.
            if left.load().max(right.load()) == best {
                return true;
            }
        }
    }

    /// The best of all CPUs.
    #[inline]
    pub fn best(&self) -> Option<Cpu> {
        let root = self.nodes.get(1)?.load();

        // CAST: The low half is the CPU's complement.
        (root != 0).then(|| Cpu::new(!(root as u32)))
    }

    /// The best of `cpus`.
    pub fn best_of(&self, cpus: impl Iterator<Item = Cpu>) -> Option<Cpu> {
        let leaves = self.nodes.len() / 2;
        let best = cpus
            .filter_map(|cpu| {
                self.nodes
                    .get(leaves..)?
                    .get(usize::try_from(cpu.get()).ok()?)
            })
            .map(Word::load)
            .max()?;

        // CAST: As above.
        (best != 0).then(|| Cpu::new(!(best as u32)))
    }
}

#[cfg_attr(CONFIG_KUNIT, kernel::macros::kunit_tests(aia_core_vector_placement))]
#[cfg_attr(not(CONFIG_KUNIT), cfg(all(test, not(loom))))]
mod tests {
    use super::*;

    #[test]
    fn most_free_then_lowest_number() {
        let words = [const { Word::new(0) }; 16];
        let tree = Placement::new(&words[..]).unwrap();

        assert_eq!(tree.best(), None);
        for cpu in 0..5 {
            tree.update(Cpu::new(cpu), 10);
        }
        assert_eq!(tree.best(), Some(Cpu::new(0)));
        tree.update(Cpu::new(0), 9);
        assert_eq!(tree.best(), Some(Cpu::new(1)));
        tree.update(Cpu::new(4), 11);
        assert_eq!(tree.best(), Some(Cpu::new(4)));
        tree.update(Cpu::new(4), 0);
        tree.update(Cpu::new(1), 0);
        assert_eq!(tree.best(), Some(Cpu::new(2)));
        assert_eq!(
            tree.best_of([0, 3, 4].into_iter().map(Cpu::new)),
            Some(Cpu::new(3))
        );
        assert_eq!(tree.best_of([1, 4, 99].into_iter().map(Cpu::new)), None);
        for cpu in 0..8 {
            tree.update(Cpu::new(cpu), 0);
        }
        assert_eq!(tree.best(), None);
    }

    #[test]
    fn sizes() {
        assert_eq!(words_for(0), Some(2));
        assert_eq!(words_for(1), Some(2));
        assert_eq!(words_for(3), Some(8));
        assert_eq!(words_for(64), Some(128));
        assert_eq!(words_for(u32::MAX), None);

        let one = [Word::new(0), Word::new(0)];
        let tree = Placement::new(&one[..]).unwrap();

        tree.update(Cpu::new(0), 3);
        tree.update(Cpu::new(1), 9);
        assert_eq!(tree.best(), Some(Cpu::new(0)));
    }
}
