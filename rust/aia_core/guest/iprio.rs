// SPDX-License-Identifier: GPL-2.0

//! The priorities of a guest's major interrupts, which VS-mode reaches through `sireg` and which
//! the hypervisor keeps in `hviprio1` and `hviprio2` (AIA 6.3.1), and in `hvictl` (AIA 6.3.2).

use crate::{
    bits::shr,
    ids::Eiid, //
};

/// Interrupts of a register of the array `iprio` on a hart with XLEN = 64.
const PER_REGISTER: u32 = 8;

/// The bits of one priority.
const BITS: u32 = 8;
const MASK: u64 = 0xff;

/// Returns where the priority of interrupt `major` is: the register, 0 or 1, and the lowest bit;
/// [`None`] if it has none, so that it reads as zero.
const fn place(major: u32) -> Option<(usize, u32)> {
    Some(match major {
        0 => (0, 0),
        1 => (0, 8),
        4 => (0, 16),
        5 => (0, 24),
        8 => (0, 32),
        13..=15 => (0, 40 + (major - 13) * BITS),
        16..=23 => (1, (major - 16) * BITS),
        _ => return None,
    })
}

/// Returns the priorities of the register `iprio` with interrupts `first` to `first + 7`: for each
/// one, its lowest bit there, and where it is in `hviprio`.
///
/// An interrupt whose bit is not in `interrupts` has none: where `sie` is read-only zero, so is
/// `iprio` (AIA 5.4.1).
fn places(first: u32, interrupts: u64) -> impl Iterator<Item = (u32, usize, u32)> {
    (0..PER_REGISTER).filter_map(move |n| {
        let major = first.saturating_add(n);

        if shr(interrupts, major) & 1 == 0 {
            return None;
        }
        place(major).map(|(index, shift)| (n * BITS, index, shift))
    })
}

/// Returns what the register `iprio` with interrupts `first` to `first + 7` reads as, in a guest
/// whose `sie` has the bits `interrupts`.
pub fn read(first: u32, interrupts: u64, hviprio: [u64; 2]) -> u64 {
    places(first, interrupts).fold(0, |value, (bit, index, shift)| {
        let from = hviprio.get(index).copied().unwrap_or(0);

        value | (from >> shift & MASK) << bit
    })
}

/// Returns `hviprio1` and `hviprio2` after a write of `value` to the register `iprio` with
/// interrupts `first` to `first + 7`, in a guest whose `sie` has the bits `interrupts`.
pub fn write(first: u32, interrupts: u64, value: u64, mut hviprio: [u64; 2]) -> [u64; 2] {
    for (bit, index, shift) in places(first, interrupts) {
        if let Some(to) = hviprio.get_mut(index) {
            *to = *to & !(MASK << shift) | (value >> bit & MASK) << shift;
        }
    }
    hviprio
}

/// Returns the priority number of a supervisor external interrupt whose interrupt file has `top`
/// first, as `hvictl.IPRIO` takes it, 1 to 255.
///
/// It is the identity. Those above 255 are the least urgent that the field can say: 0, which stands
/// for 256 there (AIA 6.3.3), is no candidate at all for some harts.
pub fn external(top: Eiid) -> u8 {
    u8::try_from(top.get()).unwrap_or(u8::MAX)
}

#[cfg_attr(CONFIG_KUNIT, kernel::macros::kunit_tests(aia_core_guest_iprio))]
#[cfg_attr(not(CONFIG_KUNIT), cfg(test))]
mod tests {
    use super::*;

    const ONE: [u64; 2] = [0x1f1e_1d18_1514_1110, 0x2726_2524_2322_2120];

    /// All interrupts.
    const ALL: u64 = u64::MAX;

    /// `sie` of a guest of KVM: SSI, STI, SEI, and the overflow of a counter.
    const SIE: u64 = 1 << 1 | 1 << 5 | 1 << 9 | 1 << 13;

    #[test]
    fn layout() {
        // VS-12: priorities of 1, 5, 13 to 23; those of 9 to 12 read as zero.
        assert_eq!(read(0, ALL, ONE), 0x0000_1514_0000_1110);
        assert_eq!(read(8, ALL, ONE), 0x1f1e_1d00_0000_0018);
        assert_eq!(read(16, ALL, ONE), ONE[1]);
        assert_eq!(read(24, ALL, ONE), 0);
        assert_eq!(read(u32::MAX, ALL, ONE), 0);
    }

    #[test]
    fn writes_read_back() {
        let mut hviprio = [0; 2];

        for first in (0..64).step_by(8) {
            hviprio = write(first, ALL, read(first, ALL, ONE), hviprio);
        }
        assert_eq!(hviprio, ONE);
        // Nothing else changes.
        assert_eq!(write(24, ALL, u64::MAX, ONE), ONE);
        assert_eq!(write(16, ALL, 0, ONE), [ONE[0], 0]);
        assert_eq!(write(8, ALL, u64::MAX, [0; 2]), [0xffff_ffff_0000_0000, 0]);
    }

    /// S-3: no priority where `sie` has no bit.
    #[test]
    fn interrupts_that_are_not_there() {
        assert_eq!(read(0, SIE, ONE), 0x0000_1500_0000_1100);
        assert_eq!(read(8, SIE, ONE), 0x0000_1d00_0000_0000);
        assert_eq!(read(8, SIE & !(1 << 13), ONE), 0);
        assert_eq!(read(16, SIE, ONE), 0);

        let mut hviprio = [0; 2];

        for first in (0..64).step_by(8) {
            hviprio = write(first, SIE, u64::MAX, hviprio);
        }
        assert_eq!(hviprio, [0x0000_ff00_ff00_ff00, 0]);
        // What user space has put there stays.
        assert_eq!(write(16, SIE, 0, ONE), ONE);
        assert_eq!(write(8, 0, 0, ONE), ONE);
    }

    /// VS-15: identities are priority numbers.
    #[test]
    fn identities() -> Result<(), crate::error::OutOfRange> {
        for (eiid, priority) in [(1_u32, 1), (9, 9), (255, 255), (256, 255), (2047, 255)] {
            assert_eq!(external(Eiid::try_from(eiid)?), priority);
        }
        Ok(())
    }
}
