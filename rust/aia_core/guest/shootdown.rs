// SPDX-License-Identifier: GPL-2.0

//! Harts forget how a guest's page was translated, once it is translated otherwise.
//!
//! A hart on which a vCPU runs, or has run, may hold translations of the guest's pages, and use them
//! until a fence makes it forget them (`HFENCE.GVMA`, privileged architecture 15.3.2), though the page
//! tables have changed. A hart that has a vCPU *loaded* is made to forget at once. The others need not
//! be: one that will run a vCPU of the machine finds out what has changed since, and forgets that first.
//!
//! ```text
//!   who changes a page                     who loads a vCPU on a hart
//!
//!   page table                             the vCPU is loaded on the hart
//!   StalePages::add                        full barrier
//!   full barrier                           StalePages::is_behind
//!   which harts have a vCPU loaded?        if so, StalePages::catch_up
//!   on each of these: catch_up             the guest
//! ```
//!
//! One of the two sees the other: the hart is asked to catch up, or it sees the page. Nothing is written
//! for a vCPU that does not run, and nothing is looked at when the guest is entered again.

use core::{
    array,
    ops::Deref, //
};

use crate::{
    addr::{
        Guest,
        PhysAddr, //
    },
    ids::Cpu,
    word::Word, //
};

/// A hart's translations of guest-physical addresses, and its stores by them.
pub trait HartTranslations {
    /// Lets what the hart has stored to device memory come, in the global memory order, before what it
    /// stores to memory from now on (`fence o, w`).
    fn order_stores(&self);

    /// Forgets those of the page at `page`.
    fn forget(&self, page: PhysAddr<Guest>);

    /// Forgets all of the virtual machine.
    fn forget_all(&self);
}

/// How many pages are told apart; whoever is further behind forgets everything.
const NR_PAGES: usize = 8;

/// A page, and the lower bits of how many were changed before.
///
/// ```text
/// 63                  17   16         0
/// | number of the page |  | changed before |
/// ```
///
/// Who takes it for another change with the same bits has been interrupted for 131,072 changes, with
/// interrupts off.
enum Change {}

impl Change {
    const NUMBER_BITS: u32 = 17;
    const NUMBER_MASK: u64 = (1 << Self::NUMBER_BITS) - 1;

    /// None: its number is that of a change that comes long after those of the first round.
    const NONE: u64 = Self::NUMBER_MASK;

    /// [`None`] if the page is where no guest has any.
    fn pack(page: PhysAddr<Guest>, number: u64) -> Option<u64> {
        let ppn = page.ppn();

        (ppn >> (u64::BITS - Self::NUMBER_BITS) == 0)
            .then_some(ppn << Self::NUMBER_BITS | number & Self::NUMBER_MASK)
    }

    /// [`None`] if `word` is another change than that with this number.
    fn unpack(word: u64, number: u64) -> Option<PhysAddr<Guest>> {
        if (word ^ number) & Self::NUMBER_MASK != 0 {
            return None;
        }
        PhysAddr::from_ppn(word >> Self::NUMBER_BITS)
    }
}

/// Which pages of a virtual machine are translated otherwise, and which harts know.
///
/// # Examples
///
/// ```
/// use core::cell::RefCell;
///
/// use aia_core::{
///     addr::{Guest, PhysAddr},
///     guest::shootdown::{HartTranslations, StalePages},
///     ids::Cpu,
///     word::Word,
/// };
///
/// #[derive(Default)]
/// struct Hart(RefCell<Vec<PhysAddr<Guest>>>);
///
/// impl HartTranslations for Hart {
///     fn forget(&self, page: PhysAddr<Guest>) {
///         self.0.borrow_mut().push(page);
///     }
///
///     fn forget_all(&self) {
///         unreachable!()
///     }
///
///     fn order_stores(&self) {}
/// }
///
/// let (cpu, page, hart) = (Cpu::new(1), PhysAddr::new(0x2800_1000), Hart::default());
/// let stale = StalePages::new(vec![Word::new(0), Word::new(0)]);
///
/// stale.add(page);
/// assert!(stale.is_behind(cpu));
/// stale.catch_up(cpu, &hart);
/// assert_eq!(*hart.0.borrow(), [page]);
/// assert!(!stale.is_behind(cpu));
/// ```
pub struct StalePages<S> {
    /// How many changes there were.
    added: Word,
    /// The last of them.
    pages: [Word; NR_PAGES],
    /// How many each hart has caught up with, by CPU. Only the hart itself writes it.
    seen: S,
}

impl<S: Deref<Target = [Word]>> StalePages<S> {
    /// Makes it for as many CPUs as `seen` has words, all of which are 0. No hart has any translation.
    pub fn new(seen: S) -> Self {
        Self {
            added: Word::new(0),
            pages: array::from_fn(|_| Word::new(Change::NONE)),
            seen,
        }
    }

    /// Says that the page at `page` is translated otherwise by now: who finds out sees the page table.
    /// Any context, any hart, several at a time.
    ///
    /// It does not order what comes after it.
    pub fn add(&self, page: PhysAddr<Guest>) {
        let number = self.added.add(1);

        // Who sees the number before this forgets everything, as it does if it is no page of a guest.
        if let Some(change) = Change::pack(page, number) {
            self.slot(number).store(change);
        }
    }

    // CAST: In range after the remainder.
    fn slot(&self, number: u64) -> &Word {
        &self.pages[number as usize % NR_PAGES]
    }

    /// Whether the hart of `cpu` has not caught up with all changes. Any context; who asks for a hart
    /// other than the running one may get an answer of former times.
    #[inline(always)]
    pub fn is_behind(&self, cpu: Cpu) -> bool {
        self.seen
            .get(cpu.index())
            .is_none_or(|seen| seen.load() != self.added.load())
    }

    /// Makes `hart`, the running one, which is that of `cpu`, forget what has changed since it was last
    /// told. With interrupts off.
    pub fn catch_up(&self, cpu: Cpu, hart: &impl HartTranslations) {
        // What is translated after this uses page tables that are as new as what it has seen.
        let added = self.added.load_acquire();
        let Some(seen) = self.seen.get(cpu.index()) else {
            return hart.forget_all();
        };

        if !self.forget_each(seen.load(), added, hart) {
            hart.forget_all();
        }
        seen.store(added);
    }

    /// Forgets the pages from number `first` to before `end`; returns whether they could be told.
    fn forget_each(&self, first: u64, end: u64, hart: &impl HartTranslations) -> bool {
        end - first <= NR_PAGES as u64
            && (first..end).all(|number| {
                Change::unpack(self.slot(number).load(), number)
                    .map(|page| hart.forget(page))
                    .is_some()
            })
    }
}

/// A virtual machine, whose vCPUs are on harts.
pub trait LoadedHarts: Copy + Sync {
    /// How the harts' storage is kept.
    type Storage: Deref<Target = [Word]>;
    /// A hart, on which this is executed.
    type Hart<'a>: HartTranslations;

    /// What harts have to forget.
    fn stale_pages(&self) -> &StalePages<Self::Storage>;

    /// Calls `f` on each hart that has a vCPU loaded, with interrupts off, and waits; on the running one,
    /// too, if it has one loaded.
    ///
    /// A full barrier first: a vCPU that it does not find loaded, and that is loaded after all, is loaded
    /// by who sees what was written before. Who is not loaded any more has executed `fence o, w`.
    fn call_on_loaded(self, f: impl Fn(Cpu, &Self::Hart<'_>) + Sync);
}

/// The page at `page` is translated otherwise by now: no hart uses the former translation once this has
/// returned, and what was stored by it comes, in the global memory order, before something that the
/// calling hart has read.
pub fn shoot_down(harts: impl LoadedHarts, page: PhysAddr<Guest>) {
    harts.stale_pages().add(page);
    harts.call_on_loaded(|cpu, hart| {
        hart.order_stores();
        harts.stale_pages().catch_up(cpu, hart);
    });
}

#[cfg_attr(CONFIG_KUNIT, kernel::macros::kunit_tests(aia_core_guest_shootdown))]
#[cfg_attr(not(CONFIG_KUNIT), cfg(all(test, not(loom))))]
mod tests {
    use core::cell::Cell;

    use super::*;

    /// What a hart was told to forget: pages as bits of their number, and everything.
    #[derive(Default)]
    struct Hart {
        pages: Cell<u64>,
        all: Cell<u32>,
    }

    impl HartTranslations for Hart {
        fn forget(&self, page: PhysAddr<Guest>) {
            let bit = 1 << page.ppn();

            assert_eq!(self.pages.get() & bit, 0, "{page:?} twice");
            self.pages.set(self.pages.get() | bit);
        }

        fn forget_all(&self) {
            self.all.set(self.all.get() + 1);
        }

        fn order_stores(&self) {
            panic!("nobody asked for it");
        }
    }

    impl Hart {
        fn told(&self) -> (u64, u32) {
            (self.pages.take(), self.all.take())
        }
    }

    fn page(ppn: u64) -> PhysAddr<Guest> {
        PhysAddr::from_ppn(ppn).unwrap()
    }

    #[test]
    fn a_hart_forgets_what_it_has_not_forgotten() {
        let seen = [Word::new(0), Word::new(0)];
        let (stale, hart) = (StalePages::new(&seen[..]), Hart::default());
        let [first, second] = [0, 1].map(Cpu::new);

        assert!(!stale.is_behind(first) && !stale.is_behind(second));
        stale.catch_up(first, &hart);
        assert_eq!(hart.told(), (0, 0));

        stale.add(page(3));
        stale.add(page(5));
        assert!(stale.is_behind(first) && stale.is_behind(second));
        stale.catch_up(first, &hart);
        assert_eq!(hart.told(), (1 << 3 | 1 << 5, 0));
        assert!(!stale.is_behind(first) && stale.is_behind(second));

        stale.add(page(9));
        stale.catch_up(second, &hart);
        assert_eq!(hart.told(), (1 << 3 | 1 << 5 | 1 << 9, 0));
        stale.catch_up(first, &hart);
        assert_eq!(hart.told(), (1 << 9, 0));
        stale.catch_up(first, &hart);
        assert_eq!(hart.told(), (0, 0));

        // As many as are told apart, and one more.
        for ppn in 0..NR_PAGES as u64 {
            stale.add(page(ppn));
        }
        stale.catch_up(first, &hart);
        assert_eq!(hart.told(), ((1 << NR_PAGES) - 1, 0));
        stale.add(page(1));
        stale.catch_up(second, &hart);
        assert_eq!(hart.told(), (0, 1));
        assert!(!stale.is_behind(second));

        // A CPU that nobody knows always forgets everything.
        let unknown = Cpu::new(2);

        assert!(stale.is_behind(unknown));
        stale.catch_up(unknown, &hart);
        assert_eq!(hart.told(), (0, 1));

        // An address that no guest has does not hide.
        stale.catch_up(first, &hart);
        assert_eq!(hart.told(), (1 << 1, 0));
        stale.add(PhysAddr::new(u64::MAX));
        stale.catch_up(first, &hart);
        assert_eq!(hart.told(), (0, 1));
    }

    #[test]
    fn changes_as_words() {
        let last = page((1 << 47) - 1);

        for page in [page(0), page(1), last] {
            for number in [0, 1, Change::NUMBER_MASK, Change::NUMBER_MASK + 1, u64::MAX] {
                let word = Change::pack(page, number).unwrap();

                assert_eq!(Change::unpack(word, number), Some(page));
                assert_eq!(Change::unpack(word, number.wrapping_add(1)), None);
                assert_eq!(
                    Change::unpack(word, number.wrapping_sub(NR_PAGES as u64)),
                    None
                );
            }
        }
        assert_eq!(Change::pack(page(1 << 47), 0), None);
        for number in 0..NR_PAGES as u64 {
            assert_eq!(Change::unpack(Change::NONE, number), None);
        }
    }
}
