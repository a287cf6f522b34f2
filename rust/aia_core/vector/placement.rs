// SPDX-License-Identifier: GPL-2.0

//! Which CPU a new vector goes to.
//!
//! The CPU with the most free identities, the lowest numbered one of several: the same choice as
//! the kernel's `irq_matrix`. There is one word per CPU that counts what is taken there, side by side,
//! so that a change is one step on one word, without a lock and with nothing to be kept up to date
//! besides. Who asks looks at each of them, which are some instructions per CPU.

use core::ops::Deref;

use crate::{
    ids::{
        Cpu,
        NrIds, //
    },
    word::Word, //
};

/// One identity that is taken, in the word of a CPU. The low half is the CPU's number, so that the least
/// word is that of the best CPU.
const ONE: u64 = 1 << 32;

/// Set in the word of a CPU that is offline.
const OFFLINE: u64 = 1 << 63;

/// How many identities of each of the CPUs from 0 on are taken.
///
/// Counted after an identity has been taken from the pool, and, by its own hart, after it has come back.
/// Between these two somebody else may have taken it again, so that a count may be too high for a
/// moment, never too low; whoever takes a vector verifies on that CPU's pool anyway.
pub struct Placement<S> {
    words: S,
    /// How many there are to be taken of each CPU.
    room: u32,
}

impl<S: Deref<Target = [Word]>> Placement<S> {
    /// Creates the placement of the CPUs that `words` has a zeroed word for, all of them offline.
    pub fn new(words: S, nr_ids: NrIds) -> Self {
        for (cpu, word) in (0..).zip(words.iter()) {
            word.set(OFFLINE | cpu);
        }
        Self {
            words,
            // The poke and the marker are nobody's.
            room: nr_ids.get() - 2,
        }
    }

    fn word(&self, cpu: Cpu) -> Option<&Word> {
        self.words.get(cpu.index())
    }

    /// `cpu` takes part.
    pub fn go_online(&self, cpu: Cpu) {
        if let Some(word) = self.word(cpu) {
            word.clear(OFFLINE);
        }
    }

    /// `cpu` has nothing to give from now on. What is taken there is still counted.
    pub fn go_offline(&self, cpu: Cpu) {
        if let Some(word) = self.word(cpu) {
            word.set(OFFLINE);
        }
    }

    /// Of `cpu`, `n` identities have been taken. Returns whether it has become [short](Self::is_short)
    /// by that.
    pub fn take(&self, cpu: Cpu, n: u32) -> bool {
        self.word(cpu).is_some_and(|word| {
            let before = taken(word.add(u64::from(n) * ONE));

            !self.leaves_few(before) && self.leaves_few(before + n)
        })
    }

    /// Of `cpu`, `n` identities have come back.
    pub fn give_back(&self, cpu: Cpu, n: u32) {
        if let Some(word) = self.word(cpu) {
            word.add((u64::from(n) * ONE).wrapping_neg());
        }
    }

    /// Whether few identities of `cpu` are left, so that those that only wait for their hart should
    /// come back soon.
    pub fn is_short(&self, cpu: Cpu) -> bool {
        self.word(cpu)
            .is_some_and(|word| self.leaves_few(taken(word.load())))
    }

    /// Whether less than a quarter is left when so many are taken.
    fn leaves_few(&self, taken: u32) -> bool {
        taken > self.room - self.room / 4
    }

    /// The best of all CPUs.
    pub fn best(&self) -> Option<Cpu> {
        self.least(self.words.iter())
    }

    /// The best of `cpus`.
    pub fn best_of(&self, cpus: impl Iterator<Item = Cpu>) -> Option<Cpu> {
        self.least(cpus.filter_map(|cpu| self.word(cpu)))
    }

    /// The CPU of the least of `words`, if it has something to give.
    fn least<'a>(&self, words: impl Iterator<Item = &'a Word>) -> Option<Cpu> {
        let least = words.map(Word::load).min()?;

        // CAST: The low half is the CPU.
        (least < u64::from(self.room) * ONE).then(|| Cpu::new(least as u32))
    }
}

/// How many identities are taken by a word, be the CPU online or not.
fn taken(word: u64) -> u32 {
    // CAST: Less than 31 bits are left.
    ((word & !OFFLINE) / ONE) as u32
}

#[cfg_attr(CONFIG_KUNIT, kernel::macros::kunit_tests(aia_core_vector_placement))]
#[cfg_attr(not(CONFIG_KUNIT), cfg(all(test, not(loom))))]
mod tests {
    use super::*;

    fn cpu(n: u32) -> Cpu {
        Cpu::new(n)
    }

    #[test]
    fn most_free_then_lowest_number() {
        let words = [const { Word::new(0) }; 5];
        let placement = Placement::new(&words[..], NrIds::MIN);

        assert_eq!(placement.best(), None);
        for n in 0..5 {
            placement.go_online(cpu(n));
            placement.take(cpu(n), 2);
        }
        assert_eq!(placement.best(), Some(cpu(0)));
        placement.take(cpu(0), 1);
        assert_eq!(placement.best(), Some(cpu(1)));
        placement.give_back(cpu(4), 1);
        assert_eq!(placement.best(), Some(cpu(4)));
        placement.take(cpu(4), 60);
        placement.go_offline(cpu(1));
        assert_eq!(placement.best(), Some(cpu(2)));
        assert_eq!(
            placement.best_of([0, 3, 4].map(cpu).into_iter()),
            Some(cpu(3))
        );
        assert_eq!(placement.best_of([1, 4, 99].map(cpu).into_iter()), None);
        placement.give_back(cpu(4), 1);
        assert_eq!(placement.best_of([1, 4].map(cpu).into_iter()), Some(cpu(4)));
        placement.take(cpu(0), 61 - 3);
        assert_eq!(placement.best_of([cpu(0)].into_iter()), None);
        for n in 0..5 {
            placement.go_offline(cpu(n));
        }
        assert_eq!(placement.best(), None);
    }

    /// What is taken of a CPU that is offline counts when it is back.
    #[test]
    fn offline_cpus_count() {
        let words = [const { Word::new(0) }; 2];
        let placement = Placement::new(&words[..], NrIds::MIN);

        placement.take(cpu(0), 2);
        placement.go_online(cpu(0));
        placement.go_online(cpu(1));
        placement.take(cpu(1), 1);
        assert_eq!(placement.best(), Some(cpu(1)));
        placement.go_offline(cpu(0));
        placement.go_offline(cpu(0));
        placement.give_back(cpu(0), 2);
        placement.go_online(cpu(0));
        placement.go_online(cpu(0));
        assert_eq!(placement.best(), Some(cpu(0)));
    }

    #[test]
    fn short_is_less_than_a_quarter() {
        for nr_ids in [NrIds::MIN, NrIds::MAX] {
            let words = [Word::new(0)];
            let placement = Placement::new(&words[..], nr_ids);
            let quarter = nr_ids.get() / 4;
            let all = nr_ids.get() - 2;

            // Online or not.
            assert!(!placement.take(cpu(0), all - quarter));
            assert!(!placement.is_short(cpu(0)));
            assert!(placement.take(cpu(0), 1));
            assert!(placement.is_short(cpu(0)));
            placement.go_online(cpu(0));
            assert!(placement.is_short(cpu(0)));
            assert!(!placement.take(cpu(0), 1));
            placement.give_back(cpu(0), 2);
            assert!(!placement.is_short(cpu(0)));
            placement.give_back(cpu(0), 1);
            assert!(placement.take(cpu(0), 16));
            assert!(!placement.take(cpu(9), 1) && !placement.is_short(cpu(9)));
        }
    }
}
