// SPDX-License-Identifier: GPL-2.0

//! The CSRs of a hart that are the same for all guests, on a hart where they hold anything.

#![cfg(not(loom))]

use aia_core::guest::hart::{
    self,
    Csrs,
    HVIEN_PMU_OVF,
    NO_INTERRUPT, //
};
use std::cell::Cell;

/// A hart.
struct Hart {
    /// Which guest external interrupts there are.
    lines: u64,
    /// Which bits of `hvien` there are.
    implemented: u64,
    has_pmu_ovf: bool,
    hgeie: Cell<u64>,
    hvictl: Cell<u64>,
    priorities: Cell<u64>,
    hvien: Cell<u64>,
    sgeie: Cell<bool>,
}

impl Hart {
    fn new(geilen: u32, has_pmu_ovf: bool, implemented: u64) -> Self {
        let hart = Self {
            lines: u64::MAX >> (63 - geilen) & !1,
            implemented,
            has_pmu_ovf,
            hgeie: Cell::new(0),
            hvictl: Cell::new(0),
            priorities: Cell::new(0),
            hvien: Cell::new(0),
            sgeie: Cell::new(false),
        };

        hart.lose(true);
        hart
    }

    /// The CSRs hold anything.
    fn lose(&self, bits: bool) {
        let value = if bits { !0 } else { 0 };

        self.hgeie.set(value & self.lines);
        self.hvictl.set(value);
        self.priorities.set(value);
        self.hvien.set(value & self.implemented);
        self.sgeie.set(bits);
    }
}

impl Csrs for &Hart {
    fn has_pmu_ovf(self) -> bool {
        self.has_pmu_ovf
    }

    fn enabled(self) -> u64 {
        self.hgeie.get()
    }

    fn enable(self, lines: u64) {
        self.hgeie.set((self.hgeie.get() | lines) & self.lines);
    }

    fn disable(self, lines: u64) -> u64 {
        self.hgeie.replace(self.hgeie.get() & !lines)
    }

    fn swap_enabled(self, lines: u64) -> u64 {
        self.hgeie.replace(lines & self.lines)
    }

    fn write_hvictl(self, value: u64) {
        self.hvictl.set(value);
    }

    fn clear_priorities(self) {
        self.priorities.set(0);
    }

    fn hvien(self) -> u64 {
        self.hvien.get()
    }

    fn change_hvien(self, mask: u64, set: bool) {
        assert!(self.has_pmu_ovf, "the bit is not KVM's");
        let hvien = self.hvien.get();
        let hvien = if set { hvien | mask } else { hvien & !mask };

        self.hvien.set(hvien & self.implemented);
    }

    fn take_guest_external(self, on: bool) {
        self.sgeie.set(on);
    }
}

#[test]
fn as_many_lines_as_there_are_lines_and_files() {
    for (geilen, files, lines) in [
        (0, 0, 0),
        (0, 7, 0),
        (2, 3, 2),
        (5, 7, 5),
        (7, 5, 5),
        (7, 0, 0),
        (63, 63, 63),
        (63, 2, 2),
    ] {
        let hart = Hart::new(geilen, true, !0);

        assert_eq!(hart::lines(&hart, files), lines, "{geilen}, {files}");
        assert_eq!(hart.hgeie.get(), 0);
    }
}

/// Whatever the CSRs held before.
#[test]
fn a_hart_that_runs_guests_injects_nothing_by_itself() {
    for bits in [false, true] {
        let hart = Hart::new(3, true, !0);

        hart.lose(bits);
        assert_eq!(hart::begin(&hart), 0);
        assert_eq!(hart.hvictl.get(), NO_INTERRUPT);
        assert_eq!(hart.priorities.get(), 0);
        assert!(hart.sgeie.get());
        assert_eq!(hart.hvien.get() & HVIEN_PMU_OVF, HVIEN_PMU_OVF);

        hart.hvictl.set(!0);
        hart::end(&hart);
        assert_eq!(hart.hvictl.get(), NO_INTERRUPT);
        assert!(!hart.sgeie.get());
        assert_eq!(hart.hvien.get() & HVIEN_PMU_OVF, 0);
    }
}

/// The bit is read-only zero, or means nothing that KVM knows.
#[test]
fn guests_have_the_overflow_interrupt_only_if_harts_do() {
    assert_eq!(
        hart::begin(&Hart::new(3, true, !HVIEN_PMU_OVF)),
        HVIEN_PMU_OVF
    );
    assert_eq!(
        hart::begin(&Hart::new(3, false, !HVIEN_PMU_OVF)),
        HVIEN_PMU_OVF
    );

    // What is not KVM's stays.
    let hart = Hart::new(3, true, !0);
    hart::begin(&hart);
    hart::end(&hart);
    assert_eq!(hart.hvien.get(), !HVIEN_PMU_OVF);
}

/// A state that sets or clears all CSRs.
#[test]
fn what_is_enabled_outlives_the_loss_of_the_csrs() {
    for bits in [false, true] {
        let hart = Hart::new(7, true, !0);

        hart::begin(&hart);
        (&hart).swap_enabled(1 << 1 | 1 << 6);
        hart.hvictl.set(!0);
        let saved = hart::suspend(&hart);
        assert_eq!(hart.hvictl.get(), NO_INTERRUPT);
        assert_eq!(hart.hvien.get() & HVIEN_PMU_OVF, 0);

        hart.lose(bits);
        assert_eq!(hart::resume(&hart, saved), 0);
        assert_eq!(hart.hgeie.get(), 1 << 1 | 1 << 6);
        assert_eq!(hart.hvictl.get(), NO_INTERRUPT);
        assert_eq!(hart.priorities.get(), 0);
        assert!(hart.sgeie.get());
        assert_eq!(hart.hvien.get() & HVIEN_PMU_OVF, HVIEN_PMU_OVF);
    }
}

/// QEMU's harts are nobody's; those that one can buy are not.
#[test]
fn qemu_is_told_by_having_no_vendor() {
    assert!(hart::may_be_qemu(0));
    assert!(!hart::may_be_qemu(0x489));
}
