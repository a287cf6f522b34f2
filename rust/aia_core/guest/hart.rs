// SPDX-License-Identifier: GPL-2.0

//! The CSRs of a hart that are the same for all guests: what they hold while it runs guests, and how
//! they outlive a state that loses them.

/// The bit of `hvien` for overflow interrupts of performance counters (AIA 6.3.2).
pub const HVIEN_PMU_OVF: u64 = 1 << 13;

/// `hvictl` that injects nothing: IID 9 with IPRIO 0 (AIA 6.3.3).
pub const NO_INTERRUPT: u64 = 9 << 16;

/// Whether a hart with this `mvendorid` may be QEMU's own: it is nobody's.
pub fn may_be_qemu(vendor: u64) -> bool {
    vendor == 0
}

/// The CSRs of the running hart, whose interrupts are off.
pub trait Csrs: Copy {
    /// Whether guests could have overflow interrupts of performance counters: all harts have Sscofpmf.
    fn has_pmu_ovf(self) -> bool;

    /// The guest external interrupts that interrupt the hart when pending (`hgeie`).
    fn enabled(self) -> u64;

    /// Sets bits of `hgeie`.
    fn enable(self, lines: u64);

    /// Clears bits of `hgeie`; returns what it held.
    fn disable(self, lines: u64) -> u64;

    /// Writes `hgeie`; returns what it held.
    fn swap_enabled(self, lines: u64) -> u64;

    /// Writes `hvictl`.
    fn write_hvictl(self, value: u64);

    /// Makes all priorities of a guest's interrupts the default (`hviprio1`, `hviprio2`).
    fn clear_priorities(self);

    /// Reads `hvien`.
    fn hvien(self) -> u64;

    /// Sets or clears bits of `hvien`.
    fn change_hvien(self, mask: u64, set: bool);

    /// Lets guest external interrupts interrupt the hart at all, or not (`hie.SGEIE`).
    fn take_guest_external(self, on: bool);
}

/// Returns how many guest external interrupts can be used, of a hart with `files` guest interrupt
/// files; all are disabled afterwards.
///
/// There may be fewer than files (GEILEN), and fewer files than pages for them.
pub fn lines(csrs: impl Csrs, files: u32) -> u32 {
    csrs.swap_enabled(!0);
    let geilen = u64::BITS
        .saturating_sub(csrs.swap_enabled(0).leading_zeros())
        // Bit 0 is none.
        .saturating_sub(1);

    geilen.min(files)
}

/// The hart runs guests from now on. Returns which of [`HVIEN_PMU_OVF`] they do not get.
pub fn begin(csrs: impl Csrs) -> u64 {
    csrs.write_hvictl(NO_INTERRUPT);
    csrs.clear_priorities();
    csrs.take_guest_external(true);
    // Only if it is there: the bit is read-only zero otherwise.
    if csrs.has_pmu_ovf() {
        csrs.change_hvien(HVIEN_PMU_OVF, true);
    }
    !csrs.hvien() & HVIEN_PMU_OVF
}

/// Nothing of a guest happens on the hart from now on.
fn quiet(csrs: impl Csrs) {
    if csrs.has_pmu_ovf() {
        csrs.change_hvien(HVIEN_PMU_OVF, false);
    }
    csrs.write_hvictl(NO_INTERRUPT);
}

/// The hart runs no guests any more.
pub fn end(csrs: impl Csrs) {
    quiet(csrs);
    csrs.take_guest_external(false);
}

/// The hart enters a state that may lose its CSRs. Returns what [`resume`] needs.
pub fn suspend(csrs: impl Csrs) -> u64 {
    quiet(csrs);
    csrs.enabled()
}

/// The hart has left that state. As [`begin`].
pub fn resume(csrs: impl Csrs, saved: u64) -> u64 {
    csrs.disable(!saved);
    csrs.enable(saved);
    begin(csrs)
}
