// SPDX-License-Identifier: GPL-2.0

//! Extempore MSIs: those that software has an APLIC send by `genmsi` (AIA 4.5.15).
//!
//! One arrives after all MSIs that the APLIC has sent to the same hart before (AIA 4.9.3).

use super::{
    regs,
    target::genmsi_busy, //
};
use crate::{
    aplic::domain::DomainRegisters,
    word::Word, //
};

/// How often `genmsi` is read before the APLIC counts as stuck.
const PATIENCE: u32 = 1_000;

/// Whether an APLIC can send extempore MSIs, which are sent one at a time.
#[derive(Default)]
pub struct Extempore {
    /// Not zero while it has no power, and so sends nothing.
    off: Word,
}

impl Extempore {
    /// Sends the MSI that the value `genmsi` of the register stands for; returns whether it is on its way,
    /// however long that takes. Waits for the one before, for some microseconds.
    ///
    /// Who calls it excludes others, and [`Self::set_off`].
    pub fn send(&self, registers: &impl DomainRegisters, genmsi: u32) -> bool {
        // Without power there are no registers. Writes are ignored while it is busy (AIA 4.5.15).
        if self.is_off() || !is_idle(registers) {
            return false;
        }
        registers.write(regs::GENMSI, genmsi);
        true
    }

    /// Whether nothing is on its way, as there is no power.
    pub fn is_off(&self) -> bool {
        self.off.load() != 0
    }

    /// Power goes, or has come back.
    pub fn set_off(&self, off: bool) {
        self.off.store_release(off.into());
    }
}

/// Waits until an MSI can be sent.
fn is_idle(registers: &impl DomainRegisters) -> bool {
    (0..PATIENCE).any(|_| !genmsi_busy(registers.read(regs::GENMSI)))
}

#[cfg_attr(CONFIG_KUNIT, kernel::macros::kunit_tests(aia_core_aplic_extempore))]
#[cfg_attr(not(CONFIG_KUNIT), cfg(test))]
mod tests {
    use super::*;
    use core::cell::Cell;

    const BUSY: u32 = 1 << 12;

    /// An APLIC that is busy for so many reads after each MSI.
    #[derive(Default)]
    struct Registers {
        takes: u32,
        busy: Cell<u32>,
        reads: Cell<u32>,
        sent: Cell<u32>,
    }

    impl DomainRegisters for Registers {
        fn read(&self, offset: usize) -> u32 {
            assert_eq!(offset, regs::GENMSI);
            self.reads.set(self.reads.get() + 1);
            let left = self.busy.get();

            self.busy.set(left.saturating_sub(1));
            if left > 0 {
                BUSY
            } else {
                0
            }
        }

        fn write(&self, offset: usize, value: u32) {
            assert_eq!(offset, regs::GENMSI);
            // Ignored otherwise.
            assert_eq!(self.busy.get(), 0);
            self.busy.set(self.takes);
            self.sent.set(value);
        }
    }

    #[test]
    fn the_next_one_waits_until_the_last_one_has_left() {
        let aplic = Registers {
            takes: PATIENCE - 1,
            ..Registers::default()
        };
        let extempore = Extempore::default();

        for value in [5, 6] {
            assert!(extempore.send(&aplic, value));
            assert_eq!(aplic.sent.get(), value);
        }
        assert_eq!(aplic.reads.get(), 1 + PATIENCE);
    }

    #[test]
    fn one_that_does_not_leave_is_given_up() {
        let aplic = Registers {
            takes: 2 * PATIENCE,
            ..Registers::default()
        };
        let extempore = Extempore::default();

        assert!(extempore.send(&aplic, 5));
        assert!(!extempore.send(&aplic, 6));
        assert_eq!(aplic.sent.get(), 5);
        // Not for ever.
        assert!(!extempore.send(&aplic, 7));
        assert!(extempore.send(&aplic, 8));
    }

    #[test]
    fn without_power_there_are_no_registers() {
        let aplic = Registers::default();
        let extempore = Extempore::default();

        extempore.set_off(true);
        assert!(extempore.is_off());
        assert!(!extempore.send(&aplic, 5));
        assert_eq!(aplic.reads.get(), 0);
        extempore.set_off(false);
        assert!(extempore.send(&aplic, 5));
    }
}
