// SPDX-License-Identifier: GPL-2.0

//! The guest external interrupt lines of one hart, and whose they are (AIA 6.1).

use crate::{
    bits::{
        low_mask,
        lowest, //
    },
    guest::victim::{
        is_over,
        tenure_end,
        Demand,
        NoVictim,
        Standing, //
    },
    ids::Hgei, //
};

/// The guest external interrupt lines of one hart, each free or with an owner.
///
/// A line comes with the guest interrupt file of the same number. The caller serialises all
/// methods by a lock.
///
/// A file is *settled* if nothing of a former owner is in it, and no MSI can arrive there any more that
/// was meant for one ([`super::file`] says how that is known). Nobody knows of a file that had no owner
/// yet, or whose hart was without power.
///
/// # Invariants
///
/// Bit `n` of `used` is set exactly if `owners[n]` is [`Some`]; bit 0 is clear.
///
/// # Examples
///
/// ```
/// use aia_core::guest::hgei::Lines;
///
/// let mut lines = Lines::new();
/// lines.set_count(1);
/// let line = lines.alloc('a', 0).unwrap();
/// assert_eq!(lines.alloc('b', 5), None);
/// assert_eq!(lines.free(line, true), Some('a'));
/// assert_eq!(lines.alloc('b', 10), Some(line));
/// ```
pub struct Lines<T: Copy> {
    existing: u64,
    used: u64,
    settled: u64,
    owners: [Option<T>; 64],
    /// Since when, in nanoseconds.
    since: [u64; 64],
}

impl<T: Copy> Lines<T> {
    /// Makes a hart that has no lines.
    pub const fn new() -> Self {
        Self {
            existing: 0,
            used: 0,
            settled: 0,
            owners: [None; 64],
            since: [0; 64],
        }
    }

    /// Makes lines 1 to `count` the ones that exist; more than 63 are as good as 63.
    ///
    /// Owners survive, also those of lines that no longer exist: they keep what they have until
    /// they give it back. So this may be called each time the CPU comes online. No free file is settled
    /// then ([`Self::unsettle`]).
    pub fn set_count(&mut self, count: u32) {
        let count = count.min(Hgei::MAX.get());

        self.unsettle();

        // Bit 0 is no line.
        self.existing = low_mask(count + 1) & !1;
    }

    /// Returns how many lines exist, 0 to 63.
    #[inline]
    pub const fn count(&self) -> u32 {
        self.existing.count_ones()
    }

    /// Returns whether a line is free.
    #[inline]
    pub const fn has_free(&self) -> bool {
        self.existing & !self.used != 0
    }

    /// Gives the lowest free line to `owner`, at the time `now`; [`None`] if none is free.
    pub fn alloc(&mut self, owner: T, now: u64) -> Option<Hgei> {
        let line = lowest(self.existing & !self.used).and_then(Hgei::new)?;

        *self.owners.get_mut(line.index())? = Some(owner);
        *self.since.get_mut(line.index())? = now;
        self.used |= line.bit();
        Some(line)
    }

    /// Gives `line`, which has an owner, to `owner` instead, at the time `now`. Nothing changes if it
    /// was free.
    pub fn pass_on(&mut self, line: Hgei, owner: T, now: u64) {
        if self.used & line.bit() == 0 {
            return;
        }
        if let (Some(its), Some(since)) = (
            self.owners.get_mut(line.index()),
            self.since.get_mut(line.index()),
        ) {
            *its = Some(owner);
            *since = now;
        }
    }

    /// Calls `take` with lines whose owners may lose them at the time `now`, in the order of what
    /// `standing` says of the owners, until it gives something. See [`victim`](super::victim).
    pub fn find_victim<R>(
        &self,
        demand: Demand,
        now: u64,
        standing: impl Fn(T) -> Standing,
        mut take: impl FnMut(Hgei, T) -> Option<R>,
    ) -> Result<R, NoVictim> {
        let mut left = self.existing & self.used;

        if self.existing == 0 {
            return Err(NoVictim::NoLine);
        }
        if self.has_free() {
            return Err(NoVictim::Busy);
        }
        if demand == Demand::May {
            let early = |line: Hgei| {
                let since = self.since.get(line.index()).copied().unwrap_or(now);

                (!is_over(since, now)).then(|| tenure_end(since))
            };
            let mut until = u64::MAX;

            for (line, _) in self.owners(left) {
                if let Some(end) = early(line) {
                    until = until.min(end);
                    left &= !line.bit();
                }
            }
            if left == 0 {
                return Err(NoVictim::Early { until });
            }
        }
        while let Some((line, owner)) = self
            .owners(left)
            .min_by_key(|&(line, owner)| (standing(owner), line))
        {
            if let Some(taken) = take(line, owner) {
                return Ok(taken);
            }
            left &= !line.bit();
        }
        Err(NoVictim::Busy)
    }

    /// Takes `line` from its owner, who says whether the file is settled, and returns who that was;
    /// [`None`], and nothing changes, if it was free.
    pub fn free(&mut self, line: Hgei, settled: bool) -> Option<T> {
        let owner = self.owners.get_mut(line.index())?.take()?;

        self.used &= !line.bit();
        self.settled = self.settled & !line.bit() | if settled { line.bit() } else { 0 };
        Some(owner)
    }

    /// The hart may have lost what is in its files: of those that are free, none is settled any more.
    pub fn unsettle(&mut self) {
        self.settled = 0;
    }

    /// Returns whether the file of `line` was settled when it was last given back.
    #[inline]
    pub const fn is_settled(&self, line: Hgei) -> bool {
        self.settled & line.bit() != 0
    }

    /// Returns who owns `line`; [`None`] if it is free.
    #[inline]
    pub fn owner(&self, line: Hgei) -> Option<T> {
        self.owners.get(line.index()).copied().flatten()
    }

    /// Iterates over the lines of `mask`, which is like the CSR `hgeip`, that have an owner, in
    /// ascending order.
    pub fn owners(&self, mask: u64) -> impl Iterator<Item = (Hgei, T)> + '_ {
        let mut left = mask & self.used;

        core::iter::from_fn(move || {
            let line = lowest(left).and_then(Hgei::new)?;

            left &= !line.bit();
            Some((line, self.owner(line)?))
        })
    }
}

impl<T: Copy> Default for Lines<T> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg_attr(CONFIG_KUNIT, kernel::macros::kunit_tests(aia_core_guest_hgei))]
#[cfg_attr(not(CONFIG_KUNIT), cfg(test))]
mod tests {
    use super::*;

    /// The bits of the lines that have an owner.
    fn used(lines: &Lines<u8>) -> u64 {
        lines.owners(!0).map(|(line, _)| line.bit()).sum()
    }

    /// Takes all lines that are free, for owner `who`.
    fn fill(lines: &mut Lines<u8>, who: u8) -> u64 {
        let mut taken = 0;
        while let Some(line) = lines.alloc(who, 0) {
            assert_eq!(taken & line.bit(), 0);
            taken |= line.bit();
        }
        taken
    }

    #[test]
    fn no_lines_at_first() {
        let mut lines = Lines::new();
        assert_eq!(lines.count(), 0);
        assert_eq!(lines.alloc(1_u8, 0), None);
        assert_eq!(used(&lines), 0);
        lines.set_count(0);
        assert_eq!(lines.alloc(1, 0), None);
    }

    #[test]
    fn as_many_lines_as_said() {
        for (count, mask) in [
            (1, 0b10),
            (7, 0xfe),
            (62, !0 >> 1 & !1),
            (63, !1),
            (64, !1),
            (u32::MAX, !1),
        ] {
            let mut lines = Lines::new();
            lines.set_count(count);
            assert_eq!(lines.count(), count.min(63));
            assert_eq!(fill(&mut lines, 1), mask);
            assert_eq!(used(&lines), mask);
        }
    }

    #[test]
    fn the_lowest_free_line_comes_first() {
        let mut lines = Lines::new();
        lines.set_count(3);
        assert_eq!(lines.alloc(1_u8, 0), Hgei::new(1));
        assert_eq!(lines.alloc(2, 0), Hgei::new(2));
        assert_eq!(lines.free(Hgei::MIN, true), Some(1));
        assert_eq!(lines.alloc(3, 0), Hgei::new(1));
        assert_eq!(lines.alloc(4, 0), Hgei::new(3));
        assert_eq!(lines.alloc(5, 0), None);
    }

    /// Giving back what one does not have takes nothing from anybody.
    #[test]
    fn a_line_is_freed_once() {
        let mut lines = Lines::new();
        lines.set_count(2);
        let line = lines.alloc(1_u8, 0).unwrap_or(Hgei::MAX);
        assert_eq!(lines.free(Hgei::MAX, true), None);
        assert_eq!(lines.free(line, true), Some(1));
        assert_eq!(lines.free(line, true), None);
        assert_eq!(lines.owner(line), None);
        assert_eq!(used(&lines), 0);
        assert_eq!(fill(&mut lines, 2), 0b110);
    }

    #[test]
    fn a_file_is_settled_if_its_last_owner_says_so() {
        let mut lines = Lines::new();
        lines.set_count(2);
        assert_eq!(fill(&mut lines, 1_u8), 0b110);
        // Of a file that had no owner yet nobody knows.
        assert!(!lines.is_settled(Hgei::MIN));

        for settled in [true, false, true] {
            assert_eq!(lines.free(Hgei::MIN, settled), Some(1));
            assert_eq!(lines.is_settled(Hgei::MIN), settled);
            // Who has nothing to give back says nothing.
            assert_eq!(lines.free(Hgei::MIN, !settled), None);
            assert_eq!(lines.is_settled(Hgei::MIN), settled);
            assert_eq!(lines.alloc(1, 0), Some(Hgei::MIN));
            assert_eq!(lines.is_settled(Hgei::MIN), settled);
        }
        assert!(!lines.is_settled(Hgei::MAX));

        // Its hart loses what is in it.
        for lose in [Lines::unsettle, |lines: &mut Lines<u8>| lines.set_count(2)] {
            lines.free(Hgei::MIN, true);
            lose(&mut lines);
            assert_eq!(lines.alloc(1, 0), Some(Hgei::MIN));
            assert!(!lines.is_settled(Hgei::MIN));
        }
        // Who has it meanwhile knows what is in it.
        lines.unsettle();
        lines.free(Hgei::MIN, true);
        assert!(lines.is_settled(Hgei::MIN));
    }

    // Fix 2026-04 of kvm-requirements.rst: a CPU that comes back must not hand out what is in use.
    #[test]
    fn owners_survive_a_new_count() {
        let mut lines = Lines::new();
        lines.set_count(2);
        assert_eq!(fill(&mut lines, 1_u8), 0b110);
        lines.set_count(2);
        assert_eq!(lines.alloc(2, 0), None);
        lines.set_count(3);
        assert_eq!(lines.alloc(2, 0), Hgei::new(3));

        lines.set_count(1);
        assert_eq!(lines.count(), 1);
        assert_eq!(lines.owner(Hgei::MIN), Some(1));
        assert_eq!(used(&lines), 0b1110);
        // What no longer exists can be given back, and is gone then.
        for n in 1..=3 {
            assert!(Hgei::new(n)
                .and_then(|line| lines.free(line, true))
                .is_some());
        }
        assert_eq!(fill(&mut lines, 3), 0b10);
    }

    #[test]
    fn owners_of_a_mask() {
        let mut lines = Lines::new();
        lines.set_count(63);
        for who in 1..=63_u8 {
            assert_eq!(lines.alloc(who, 0), Hgei::new(who.into()));
        }
        let _ = lines.free(Hgei::MAX, true);

        let sum = |mask| {
            lines
                .owners(mask)
                .map(|(line, who)| {
                    assert_eq!(line.get(), u32::from(who));
                    u32::from(who)
                })
                .sum::<u32>()
        };
        assert_eq!(sum(0), 0);
        assert_eq!(sum(1), 0);
        assert_eq!(sum(1 << 63), 0);
        assert_eq!(sum(1 << 62 | 1 << 5 | 1 << 1), 68);
        assert_eq!(sum(!0), (1..=62).sum());
        assert!(lines.owners(!0).is_sorted_by_key(|(line, _)| line));
    }

    #[test]
    fn an_owner_that_is_followed_by_another_has_nothing() {
        let mut lines = Lines::new();
        lines.set_count(2);
        assert_eq!(lines.alloc('a', 1), Some(Hgei::MIN));
        lines.pass_on(Hgei::MIN, 'b', 2);
        assert_eq!(lines.owner(Hgei::MIN), Some('b'));
        assert_eq!(lines.free(Hgei::MIN, true), Some('b'));
        // What nobody has is not passed on.
        lines.pass_on(Hgei::MIN, 'c', 3);
        assert_eq!(lines.owner(Hgei::MIN), None);
        assert!(lines.has_free());
    }

    /// Lines 1 to 4, of owners 1 to 4, which have had them since 10, 20, 30 and 40 µs.
    fn full() -> Lines<u8> {
        let mut lines = Lines::new();
        lines.set_count(4);
        for who in 1..=4 {
            assert!(lines.alloc(who, u64::from(who) * 10_000).is_some());
        }
        lines
    }

    /// Who is asked, in that order, if nobody gives anything.
    fn asked(lines: &Lines<u8>, demand: Demand, now: u64, of: [Standing; 4]) -> [u8; 4] {
        let mut order = [0; 4];
        let mut count = 0;
        let found = lines.find_victim(
            demand,
            now,
            |who| of[usize::from(who) - 1],
            |line, who| {
                assert_eq!(line.get(), u32::from(who));
                order[count] = who;
                count += 1;
                None::<()>
            },
        );

        assert!(found.is_err());
        order
    }

    #[test]
    fn the_one_who_needs_it_least_is_the_victim() {
        use crate::guest::victim::Activity::{
            Blocked,
            Elsewhere,
            Ready, //
        };
        let of = |activity, ran| Standing { activity, ran };

        // Blocked ones before those that could run, of each the one that has not run for longest.
        assert_eq!(
            asked(
                &full(),
                Demand::Must,
                0,
                [
                    of(Ready, 1),
                    of(Blocked, 9),
                    of(Blocked, 8),
                    of(Elsewhere, 10)
                ]
            ),
            [4, 3, 2, 1]
        );
        assert_eq!(
            asked(
                &full(),
                Demand::Must,
                0,
                [of(Ready, 3), of(Ready, 3), of(Ready, 1), of(Ready, 2)]
            ),
            [3, 4, 1, 2]
        );
    }

    #[test]
    fn the_first_who_gives_it_up_is_the_victim() {
        let lines = full();
        let standing = |who: u8| Standing {
            activity: crate::guest::victim::Activity::Ready,
            ran: who.into(),
        };

        assert_eq!(
            lines.find_victim(Demand::Must, 0, standing, |_, who| (who == 3)
                .then_some(who)),
            Ok(3)
        );
        assert_eq!(
            lines.find_victim(Demand::Must, 0, standing, |_, _| None::<u8>),
            Err(NoVictim::Busy)
        );
    }

    #[test]
    fn who_may_do_without_waits_for_the_end_of_the_tenure() {
        const TENURE: u64 = crate::guest::victim::TENURE_NS;
        let lines = full();
        let of = [Standing {
            activity: crate::guest::victim::Activity::Blocked,
            ran: 0,
        }; 4];

        assert_eq!(
            lines.find_victim(Demand::May, 50_000, |_| of[0], |_, who| Some(who)),
            Err(NoVictim::Early {
                until: 10_000 + TENURE
            })
        );
        assert_eq!(
            asked(&lines, Demand::May, 20_000 + TENURE, of),
            [1, 2, 0, 0]
        );
        assert_eq!(asked(&lines, Demand::Must, 0, of), [1, 2, 3, 4]);
    }

    #[test]
    fn nobody_is_a_victim_where_there_is_no_need() {
        let standing = |_| Standing {
            activity: crate::guest::victim::Activity::Blocked,
            ran: 0,
        };
        let mut lines = full();
        let steal =
            |lines: &Lines<u8>| lines.find_victim(Demand::Must, 0, standing, |_, who| Some(who));

        assert_eq!(steal(&lines), Ok(1));
        // One has become free.
        assert_eq!(lines.free(Hgei::MAX, true), None);
        assert_eq!(Hgei::new(2).and_then(|two| lines.free(two, true)), Some(2));
        assert_eq!(steal(&lines), Err(NoVictim::Busy));
        // There are no lines any more, but owners.
        lines.set_count(0);
        assert_eq!(steal(&lines), Err(NoVictim::NoLine));
    }
}
