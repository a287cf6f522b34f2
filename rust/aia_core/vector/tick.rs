// SPDX-License-Identifier: GPL-2.0

//! A coarse clock.

/// A moment of a clock that all CPUs have in common: in the kernel, the monotonic clock in units of
/// [`Tick::NS`].
///
/// Not jiffies: those stand still while timer interrupts are late, and then jump. What seemed to be a
/// whole tick may have been no time at all.
///
/// It wraps: moments can be compared that are less than 2^27 ticks apart, that is, six days.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tick(u32);

impl Tick {
    const BITS: u32 = 28;
    const NS_BITS: u32 = 22;

    /// Nanoseconds of a tick: 4.2 ms.
    pub const NS: u64 = 1 << Self::NS_BITS;

    /// The moment `ns` nanoseconds after any other one.
    #[inline]
    pub fn at_ns(ns: u64) -> Self {
        Self::new(ns >> Self::NS_BITS)
    }

    /// The moment at which `count` ticks have passed since any other one.
    #[inline]
    pub fn new(count: u64) -> Self {
        // CAST: The lower bits are meant.
        Self(count as u32 & ((1 << Self::BITS) - 1))
    }

    /// The lower 28 bits of the count.
    #[inline]
    pub fn get(self) -> u32 {
        self.0
    }

    /// The moment so many ticks later.
    #[inline]
    pub fn after(self, ticks: u32) -> Self {
        Self::new(u64::from(self.0) + u64::from(ticks))
    }

    /// How many ticks there were since `earlier`; none if that is not earlier: what another CPU has
    /// read may be newer than what this one has.
    #[inline]
    pub fn since(self, earlier: Self) -> u32 {
        let ticks = Self::new(u64::from(self.0.wrapping_sub(earlier.0))).0;

        if ticks >> (Self::BITS - 1) == 0 {
            ticks
        } else {
            0
        }
    }
}

#[cfg_attr(CONFIG_KUNIT, kernel::macros::kunit_tests(aia_core_vector_tick))]
#[cfg_attr(not(CONFIG_KUNIT), cfg(test))]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_of_nanoseconds() {
        assert_eq!(Tick::at_ns(Tick::NS - 1), Tick::new(0));
        assert_eq!(Tick::at_ns(Tick::NS), Tick::new(1));
        assert_eq!(Tick::at_ns(u64::MAX).after(1), Tick::new(0));
    }

    #[test]
    fn distances_survive_the_end_of_the_count() {
        for start in [0, 1, 0x7ff_fffe, 0xfff_fffe, u64::MAX - 1] {
            let tick = Tick::new(start);

            for ticks in [0, 1, 2, 1000, (1 << 27) - 1] {
                assert_eq!(tick.after(ticks).since(tick), ticks);
            }
            assert_eq!(tick.since(tick.after(1)), 0);
            assert_eq!(tick.since(tick.after(1000)), 0);
        }
    }
}
