// SPDX-License-Identifier: GPL-2.0

//! The state of 32 interrupt sources, and what changes it (AIA 4.5, 4.7).

use crate::{
    aplic::{
        regs::mask,
        source::SourceMode,
        target::genmsi, //
    },
    bits::Ones,
    ids::{
        Eiid,
        HartIndex,
        SourceId, //
    },
};

/// The bits of `target` that exist, which are those of `genmsi` (AIA 4.5.15, 4.5.16).
///
/// A guest's harts have no H extension, so Guest Index is read-only zero.
pub(super) const TARGET_BITS: u32 = genmsi(HartIndex::MAX, Eiid::MAX);

/// The field SM of `sourcecfg` (AIA 4.5.2).
const SM_BITS: u32 = 0x7;

/// Returns the mode that a write to `sourcecfg` chooses (AIA 4.5.2).
///
/// The domain has no children: an attempt to delegate makes the source inactive. So does a reserved
/// source mode.
pub(super) fn mode_written(sourcecfg: u32) -> SourceMode {
    if sourcecfg & SourceMode::DELEGATED != 0 {
        return SourceMode::Inactive;
    }
    SourceMode::try_from(sourcecfg & SM_BITS).unwrap_or(SourceMode::Inactive)
}

/// The sources of one word of a domain in MSI delivery mode.
///
/// Bit `i % 32` of each word is that of source `i`; of a [`SourceId`] only this bit counts, so the
/// caller chooses the word. A source that the domain does not have is one that stays inactive.
///
/// # Invariants
///
/// - `edge` and `level` have no bit in common, and none that is not in `active`; `inverted` has
///   none that is in neither of them. An active source in neither of them is Detached.
/// - An inactive source has no bit in `pending` and `enabled`, and its target is 0.
/// - A level-sensitive source has its bit in `pending` only while its rectified input is high.
///
/// # Examples
///
/// ```
/// use aia_core::{guest_aplic::word::SourceWord, ids::SourceId};
///
/// let source = SourceId::new(5).unwrap();
/// let mut word = SourceWord::new();
/// word.set_sourcecfg(source, 4);
/// word.set_target(source, 0x0004_0011);
/// word.enable(1 << 5);
/// word.set_wire(source, true);
/// assert!(word.is_due());
///
/// let mut sent = Vec::new();
/// word.forward(|target| sent.push(target));
/// assert_eq!(sent, [0x0004_0011]);
/// assert_eq!(word.pending(), 0);
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct SourceWord {
    pub(super) active: u32,
    edge: u32,
    pub(super) level: u32,
    inverted: u32,
    /// Of whom a wire is high: it is if it is anybody's.
    pub(super) by_devices: u32,
    pub(super) by_resampler: u32,
    pub(super) pending: u32,
    pub(super) enabled: u32,
    pub(super) targets: [u32; Self::SOURCES],
}

impl SourceWord {
    /// How many sources a word has.
    pub const SOURCES: usize = u32::BITS as usize;

    /// Makes a word with all sources inactive and all wires low.
    pub const fn new() -> Self {
        Self {
            active: 0,
            edge: 0,
            level: 0,
            inverted: 0,
            by_devices: 0,
            by_resampler: 0,
            pending: 0,
            enabled: 0,
            targets: [0; Self::SOURCES],
        }
    }

    /// Returns the mode of the source whose bit is `bit`.
    pub(super) const fn mode(&self, bit: u32) -> SourceMode {
        let inverted = self.inverted & bit != 0;

        if self.active & bit == 0 {
            SourceMode::Inactive
        } else if self.edge & bit != 0 {
            if inverted {
                SourceMode::Edge0
            } else {
                SourceMode::Edge1
            }
        } else if self.level & bit != 0 {
            if inverted {
                SourceMode::Level0
            } else {
                SourceMode::Level1
            }
        } else {
            SourceMode::Detached
        }
    }

    /// Changes the mode of the source whose bit is `bit`, and nothing else: the caller restores the
    /// other invariants.
    pub(super) fn put_mode(&mut self, bit: u32, mode: SourceMode) {
        let put = |word: &mut u32, set: bool| {
            *word = if set { *word | bit } else { *word & !bit };
        };

        put(&mut self.active, mode.is_active());
        put(&mut self.edge, mode.is_edge());
        put(&mut self.level, mode.is_level());
        // With the wire low, only an inverted source has a high input.
        put(&mut self.inverted, mode.rectified_input(false));
    }

    /// Returns `sourcecfg` of `source`.
    #[inline]
    pub const fn sourcecfg(&self, source: SourceId) -> u32 {
        self.mode(mask(source)).sourcecfg()
    }

    /// Writes `sourcecfg` of `source` (AIA 4.5.2).
    pub fn set_sourcecfg(&mut self, source: SourceId, value: u32) {
        let bit = mask(source);
        let mode = mode_written(value);

        self.put_mode(bit, mode);
        if !mode.is_active() {
            self.pending &= !bit;
            self.enabled &= !bit;
            self.put_target(source, 0);
        } else if mode.is_level() {
            // The write may set the pending bit if the input is high. A guest that does not write
            // `setipnum` afterwards depends on it: the transition may be long past. A high input
            // of an edge-sensitive source is no reason for an interrupt.
            self.pending = (self.pending & !bit) | (self.inputs() & bit);
        }
    }

    /// Returns `target` of `source`.
    #[inline]
    pub fn target(&self, source: SourceId) -> u32 {
        self.targets
            .get(source.index() % Self::SOURCES)
            .copied()
            .unwrap_or(0)
    }

    /// Changes the target of `source`, be it active or not.
    fn put_target(&mut self, source: SourceId, value: u32) {
        if let Some(target) = self.targets.get_mut(source.index() % Self::SOURCES) {
            *target = value;
        }
    }

    /// Writes `target` of `source`; ignored if the source is inactive (AIA 4.5.16).
    ///
    /// Hart index and identity read back as written, whether or not they exist.
    pub fn set_target(&mut self, source: SourceId, value: u32) {
        if self.active & mask(source) != 0 {
            self.put_target(source, value & TARGET_BITS);
        }
    }

    /// Returns the rectified inputs, which `in_clrip` reads (AIA 4.5.2, 4.5.7).
    #[inline]
    pub const fn inputs(&self) -> u32 {
        (self.wires() ^ self.inverted) & (self.edge | self.level)
    }

    /// Returns the wires, not rectified.
    #[inline]
    const fn wires(&self) -> u32 {
        self.by_devices | self.by_resampler
    }

    /// Returns the level-sensitive sources whose rectified input is high.
    #[inline]
    pub const fn high_levels(&self) -> u32 {
        self.level & self.inputs()
    }

    /// Returns the level-sensitive sources that are pending with a high input and wait for being
    /// enabled.
    #[inline]
    pub const fn held_levels(&self) -> u32 {
        self.high_levels() & self.pending & !self.enabled
    }

    /// Returns the level-sensitive sources that are pending with a high input, and enabled.
    #[inline]
    pub const fn due_levels(&self) -> u32 {
        self.high_levels() & self.pending & self.enabled
    }

    /// Changes the wire of `source` as devices have it (AIA 4.7).
    ///
    /// A level-sensitive source becomes pending by the transition, not by its level, so telling
    /// again that the wire is high does nothing. Nothing is lost by that: at the end of its handler
    /// Linux writes `setipnum`, which makes the source pending if its input is still high.
    #[inline]
    pub fn set_wire(&mut self, source: SourceId, high: bool) {
        let bit = mask(source);
        let before = self.wires() & bit;

        self.by_devices = (self.by_devices & !bit) | if high { bit } else { 0 };
        self.follow(bit, before);
    }

    /// Changes the wire of `source` as devices have it that tell only that it is high, and learn when
    /// it has been handled. It falls then as far as they are concerned; it stays high if it is that of
    /// [another device](Self::set_wire), too.
    #[inline]
    pub fn set_resampled(&mut self, source: SourceId, high: bool) {
        let bit = mask(source);
        let before = self.wires() & bit;

        self.by_resampler = (self.by_resampler & !bit) | if high { bit } else { 0 };
        self.follow(bit, before);
    }

    /// Lets the pending bit `bit` follow its wire, which was `before`.
    #[inline]
    fn follow(&mut self, bit: u32, before: u32) {
        let now = self.wires() & bit;

        if now == before || (self.edge | self.level) & bit == 0 {
            return;
        }
        if (now ^ self.inverted) & bit != 0 {
            self.pending |= bit;
        } else {
            self.pending &= !(self.level & bit);
        }
    }

    /// Returns the pending bits.
    #[inline]
    pub const fn pending(&self) -> u32 {
        self.pending
    }

    /// Makes the sources of `bits` pending, if possible (AIA 4.5.5, 4.7).
    #[inline]
    pub fn set_pending(&mut self, bits: u32) {
        self.pending |= bits & self.active & !(self.level & !self.inputs());
    }

    /// Makes the sources of `bits` not pending (AIA 4.5.7, 4.7).
    #[inline]
    pub fn clear_pending(&mut self, bits: u32) {
        self.pending &= !bits;
    }

    /// Returns the enable bits.
    #[inline]
    pub const fn enabled(&self) -> u32 {
        self.enabled
    }

    /// Enables the sources of `bits` that are active (AIA 4.5.9).
    #[inline]
    pub fn enable(&mut self, bits: u32) {
        self.enabled |= bits & self.active;
    }

    /// Disables the sources of `bits` (AIA 4.5.11).
    #[inline]
    pub fn disable(&mut self, bits: u32) {
        self.enabled &= !bits;
    }

    /// Returns whether a source is pending and enabled.
    #[inline]
    pub const fn is_due(&self) -> bool {
        self.pending & self.enabled != 0
    }

    /// Makes the sources that are pending and enabled not pending and hands their targets to
    /// `send`, lowest source first (AIA 4.9).
    #[inline]
    pub fn forward(&mut self, mut send: impl FnMut(u32)) {
        let due = self.pending & self.enabled;

        self.pending &= !due;
        for bit in Ones(due.into()) {
            // CAST: A bit number below 64.
            if let Some(&target) = self.targets.get(bit as usize) {
                send(target);
            }
        }
    }
}

#[cfg_attr(CONFIG_KUNIT, kernel::macros::kunit_tests(aia_core_guest_aplic_word))]
#[cfg_attr(not(CONFIG_KUNIT), cfg(test))]
mod tests {
    use super::*;
    use SourceMode::{
        Detached,
        Edge0,
        Edge1,
        Inactive,
        Level0,
        Level1, //
    };

    const ALL: [SourceMode; 6] = [Inactive, Detached, Edge1, Edge0, Level1, Level0];

    /// The source under test and its bit.
    const SOURCE: SourceId = SourceId::MIN;
    const BIT: u32 = 1 << 1;

    /// Makes a word in which only `SOURCE` is active, with its wire `high`, not pending.
    fn word(mode: SourceMode, high: bool) -> SourceWord {
        let mut word = SourceWord::new();

        word.set_sourcecfg(SOURCE, mode.sourcecfg());
        word.set_wire(SOURCE, high);
        word.clear_pending(!0);
        word
    }

    /// Makes a word as `word()` does, with the source pending, if that is possible.
    fn pending(mode: SourceMode, high: bool) -> SourceWord {
        let mut word = word(mode, high);

        word.set_pending(BIT);
        word
    }

    /// AP-13, AP-15: the modes that exist read back.
    #[test]
    fn modes() {
        for mode in ALL {
            let mut word = word(mode, false);

            assert_eq!(word.sourcecfg(SOURCE), mode.sourcecfg());
            // AP-13: the other bits are 0.
            word.set_sourcecfg(SOURCE, 0xffff_fbf8 | mode.sourcecfg());
            assert_eq!(word.sourcecfg(SOURCE), mode.sourcecfg());
            // No source of the word but this one changes.
            assert_eq!(word.active & !BIT, 0);
        }
    }

    /// AP-14: there is nobody to delegate to; AP-15: modes 2 and 3 do not exist.
    #[test]
    fn modes_that_do_not_exist() {
        for value in [0x400, 0x406, 0x7ff, !0, 2, 3, 0xa, 0x802] {
            let mut word = pending(Edge1, false);

            word.enable(BIT);
            word.set_sourcecfg(SOURCE, value);
            assert_eq!(word, SourceWord::new());
        }
    }

    /// AP-16: pending, enable and target of an inactive source are read-only 0.
    #[test]
    fn inactive() {
        let mut word = SourceWord::new();
        word.set_pending(!0);
        word.enable(!0);
        word.set_target(SOURCE, !0);
        assert_eq!(word, SourceWord::new());
        word.set_wire(SOURCE, true);
        assert_eq!(word.pending(), 0);

        for mode in ALL {
            for high in [false, true] {
                let mut word = pending(mode, high);
                word.enable(BIT);
                word.set_target(SOURCE, 0x0004_0001);
                word.set_sourcecfg(SOURCE, 0);
                assert_eq!((word.pending(), word.enabled()), (0, 0));
                assert_eq!(word.target(SOURCE), 0);

                // Nothing of it comes back.
                word.set_sourcecfg(SOURCE, Edge1.sourcecfg());
                assert_eq!((word.pending(), word.enabled()), (0, 0));
                assert_eq!(word.target(SOURCE), 0);
            }
        }
    }

    /// AP-16 is about inactive sources only: a change between active modes keeps the state.
    #[test]
    fn other_active_mode() {
        for from in [Detached, Edge1, Edge0] {
            for to in [Detached, Edge1, Edge0] {
                let mut word = pending(from, false);
                word.enable(BIT);
                word.set_target(SOURCE, 0x0004_0001);
                word.set_sourcecfg(SOURCE, to.sourcecfg());
                assert_eq!((word.pending(), word.enabled()), (BIT, BIT));
                assert_eq!(word.target(SOURCE), 0x0004_0001);
            }
        }
    }

    /// AP-17: rectified inputs.
    #[test]
    fn inputs() {
        for mode in ALL {
            for high in [false, true] {
                let input = match mode {
                    Inactive | Detached => false,
                    Edge1 | Level1 => high,
                    Edge0 | Level0 => !high,
                };
                assert_eq!(word(mode, high).inputs(), if input { BIT } else { 0 });
            }
        }
    }

    /// AP-17: the wire is remembered while nobody looks at it.
    #[test]
    fn wire_of_an_inactive_source() {
        let mut word = word(Inactive, true);
        word.set_sourcecfg(SOURCE, Edge1.sourcecfg());
        assert_eq!(word.inputs(), BIT);
        // No transition.
        word.set_wire(SOURCE, true);
        assert_eq!(word.pending(), 0);
    }

    /// AP-18: a level-sensitive source whose input is high becomes pending.
    #[test]
    fn configured_while_asserted() {
        for (mode, asserted) in [(Level1, true), (Level0, false)] {
            for from in [Inactive, Detached, Edge1, mode] {
                let mut word = word(from, asserted);
                word.set_sourcecfg(SOURCE, mode.sourcecfg());
                assert_eq!(word.pending(), BIT);
            }
        }
        // No interrupt for an edge that nobody saw.
        for (mode, high) in [(Edge1, true), (Edge0, false), (Detached, true)] {
            let mut word = word(Inactive, high);
            word.set_sourcecfg(SOURCE, mode.sourcecfg());
            assert_eq!(word.pending(), 0);
        }
    }

    /// AP-33 over AP-18: a source that becomes level-sensitive is not pending with its input low.
    #[test]
    fn configured_while_not_asserted() {
        for (mode, high) in [(Level1, false), (Level0, true)] {
            for from in [Detached, Edge1, Edge0] {
                let mut word = pending(from, high);
                assert_eq!(word.pending(), BIT);
                word.set_sourcecfg(SOURCE, mode.sourcecfg());
                assert_eq!(word.pending(), 0);
            }
        }
    }

    /// AP-30: only writes change the pending bit of a detached source.
    #[test]
    fn detached() {
        let mut word = word(Detached, false);
        word.set_wire(SOURCE, true);
        word.set_wire(SOURCE, false);
        assert_eq!(word.pending(), 0);

        word.set_pending(BIT);
        assert_eq!(word.pending(), BIT);
        word.set_wire(SOURCE, true);
        word.set_wire(SOURCE, false);
        assert_eq!(word.pending(), BIT);
        word.clear_pending(BIT);
        assert_eq!(word.pending(), 0);
    }

    /// AP-31: transitions of edge-sensitive sources.
    #[test]
    fn edges() {
        for (mode, active) in [(Edge1, true), (Edge0, false)] {
            let mut word = word(mode, !active);
            word.set_wire(SOURCE, !active);
            assert_eq!(word.pending(), 0);
            word.set_wire(SOURCE, active);
            assert_eq!(word.pending(), BIT);
            // The end of the pulse does not clear it.
            word.set_wire(SOURCE, !active);
            assert_eq!(word.pending(), BIT);
            word.clear_pending(BIT);

            word.set_wire(SOURCE, active);
            word.clear_pending(BIT);
            assert_eq!(word.pending(), 0);
            // No transition.
            word.set_wire(SOURCE, active);
            assert_eq!(word.pending(), 0);
        }
    }

    /// AP-31: writes to the pending bits of edge-sensitive sources, whatever the input.
    #[test]
    fn edges_by_register() {
        for mode in [Edge1, Edge0] {
            for high in [false, true] {
                let mut word = word(mode, high);
                word.set_pending(BIT);
                assert_eq!(word.pending(), BIT);
                word.clear_pending(BIT);
                assert_eq!(word.pending(), 0);
            }
        }
    }

    /// AP-33: transitions of level-sensitive sources.
    #[test]
    fn levels() {
        for (mode, active) in [(Level1, true), (Level0, false)] {
            let mut word = word(mode, !active);
            word.set_wire(SOURCE, active);
            assert_eq!(word.pending(), BIT);
            word.set_wire(SOURCE, !active);
            assert_eq!(word.pending(), 0);

            word.set_wire(SOURCE, active);
            word.clear_pending(BIT);
            assert_eq!(word.pending(), 0);
            // No transition.
            word.set_wire(SOURCE, active);
            assert_eq!(word.pending(), 0);
        }
    }

    /// A wire that two share is high until both have lowered it.
    #[test]
    fn shared_wire() {
        for mode in [Level1, Level0, Edge1, Edge0] {
            let mut word = word(mode, false);
            let low = word.inputs();
            word.set_resampled(SOURCE, true);
            let high = word.inputs();
            assert_eq!(high, low ^ BIT);
            word.set_wire(SOURCE, true);
            assert_eq!(word.inputs(), high);
            word.set_wire(SOURCE, false);
            assert_eq!(word.inputs(), high);
            word.set_wire(SOURCE, true);
            word.set_resampled(SOURCE, false);
            assert_eq!(word.inputs(), high);
            word.set_wire(SOURCE, false);
            assert_eq!(word.inputs(), low);
        }
    }

    /// A wire that was restored is whose it was.
    #[test]
    fn restored_wire() {
        let mut word = pending(Level1, true);

        word.set_resampled(SOURCE, true);
        for (devices, resampler) in [(true, true), (true, false), (false, true)] {
            word.set_wire(SOURCE, devices);
            word.set_resampled(SOURCE, resampler);
            let mut copy = SourceWord::new();

            copy.restore(&word.save(), !0);
            assert_eq!(copy, word);
            copy.set_resampled(SOURCE, false);
            assert_eq!(copy.inputs(), if devices { BIT } else { 0 });
            copy.set_wire(SOURCE, false);
            assert_eq!((copy.inputs(), copy.pending()), (0, 0));
        }
    }

    /// AP-33: a write makes a level-sensitive source pending only while its input is high.
    #[test]
    fn levels_by_register() {
        for (mode, active) in [(Level1, true), (Level0, false)] {
            assert_eq!(pending(mode, active).pending(), BIT);
            assert_eq!(pending(mode, !active).pending(), 0);

            let mut word = pending(mode, active);
            word.clear_pending(BIT);
            assert_eq!(word.pending(), 0);
        }
    }

    /// AP-20, AP-22, AP-24: ones in a word written change what is active and nothing else.
    #[test]
    fn words() {
        let mut word = SourceWord::new();
        for (value, mode) in (1..).zip(ALL) {
            if let Some(source) = SourceId::new(value) {
                word.set_sourcecfg(source, mode.sourcecfg());
            }
        }
        // 1 inactive, 2 detached, 3 and 4 edges, 5 a low level, 6 an asserted level.
        word.clear_pending(!0);
        word.set_pending(!0);
        word.enable(!0);
        assert_eq!(word.pending(), 0b101_1100);
        assert_eq!(word.enabled(), 0b111_1100);
        word.clear_pending(0b000_1001);
        word.disable(0b100_0001);
        assert_eq!(word.pending(), 0b101_0100);
        assert_eq!(word.enabled(), 0b011_1100);
        word.set_pending(0);
        word.enable(0);
        word.clear_pending(0);
        word.disable(0);
        assert_eq!(word.pending(), 0b101_0100);
        assert_eq!(word.enabled(), 0b011_1100);
    }

    /// AP-28: hart index and identity read back, all other bits are 0.
    #[test]
    fn targets() {
        let mut word = word(Detached, false);
        word.set_target(SOURCE, !0);
        assert_eq!(word.target(SOURCE), 0xfffc_07ff);
        word.set_target(SOURCE, 0x0004_3011);
        assert_eq!(word.target(SOURCE), 0x0004_0011);
        assert_eq!(word.targets.iter().filter(|&&t| t != 0).count(), 1);
    }

    /// AP-39: what is pending and enabled is sent once and is not pending any more.
    #[test]
    fn forwarding() {
        let mut word = SourceWord::new();
        for source in (1..=31).filter_map(SourceId::new) {
            word.set_sourcecfg(source, Detached.sourcecfg());
            word.set_target(source, source.get());
        }
        word.set_pending(1 << 31 | 0b1100);
        word.enable(1 << 31 | 0b1010);
        assert!(word.is_due());

        let mut sent = [0; 3];
        let mut count = 0;
        word.forward(|target| {
            if let Some(to) = sent.get_mut(count) {
                *to = target;
            }
            count += 1;
        });
        assert_eq!((count, sent), (2, [3, 31, 0]));
        assert!(!word.is_due());
        assert_eq!(word.pending(), 0b0100);
        assert_eq!(word.enabled(), 1 << 31 | 0b1010);
        word.forward(|_| count += 1);
        assert_eq!(count, 2);
    }

    /// AP-33, AP-42: a forwarded level is sent again if `setipnum` is written, as long as it lasts.
    #[test]
    fn retrigger() {
        let mut word = pending(Level1, true);
        word.enable(BIT);
        word.forward(|_| ());
        assert!(!word.is_due());
        word.set_pending(BIT);
        assert!(word.is_due());
        word.forward(|_| ());

        word.set_wire(SOURCE, false);
        word.set_pending(BIT);
        assert!(!word.is_due());
    }
}
