// SPDX-License-Identifier: GPL-2.0

//! An interrupt file in memory: the registers of a virtual hart's IMSIC while it has no guest
//! interrupt file.

mod image;

pub use self::image::Image;

use crate::{
    bits::lowest,
    eix::{
        mask,
        EixWord,
        EIDELIVERY_OFF,
        EIDELIVERY_ON,
        EITHRESHOLD_NONE, //
    },
    ids::{
        Eiid,
        NrIds, //
    },
    isel::IndirectRegister,
    nospec::IndexMask,
    word::Word, //
};

/// Implemented bits of `eidelivery`: only off and on, since no guest file supports 0x40000000
/// (AIA 3.8.1).
const EIDELIVERY_BITS: u64 = EIDELIVERY_ON;

/// Implemented bits of `eithreshold`: enough for the largest file (AIA 3.8.2).
const EITHRESHOLD_BITS: u64 = Eiid::MAX.get() as u64;

/// The pending and enable bits of 64 identities.
#[derive(Default)]
#[repr(C)]
struct Eix {
    eip: Word,
    eie: Word,
}

/// The state of one interrupt file, kept by software.
///
/// The first 512 bytes have the format of a memory-resident interrupt file (AIA 8.3.1), but only
/// software may write to them: an IOMMU would not maintain the summary.
///
/// # Concurrency
///
/// All functions can be called from everywhere at any time. Each access to a register is atomic, as
/// if it were a CSR instruction on a hardware file, so no pending bit gets lost or is claimed twice.
///
/// The signal to the hart ([`Self::is_asserted`]) is for the caller to keep: whoever called a
/// function that changes something must then evaluate and forward the signal, under a lock that
/// orders all evaluations. The last of them sees all changes. An earlier one may not: while pending
/// bits of a word are being cleared, its other bits can be invisible to others for a moment, even
/// if they have been set long ago.
///
/// # Invariants
///
/// - Only bits of identities up to `nr_ids` are ever set.
/// - Bit `w` of `summary` is set if pending word `w` is not zero, except during a call that changes
///   this word.
#[repr(C)]
pub struct SwFile {
    eix: [Eix; EixWord::COUNT],
    eithreshold: Word,
    eidelivery: Word,
    summary: Word,
    nr_ids: NrIds,
    /// Of the words that the file has.
    indexes: IndexMask,
}

// What IOMMUs and debuggers would expect of a memory-resident interrupt file.
#[cfg(not(loom))]
const _: () = assert!(core::mem::offset_of!(SwFile, eithreshold) == 512);

/// Replaces the bits of `mask` by those of `value`, atomically; returns the word as it was.
fn update(word: &Word, value: u64, mask: u64) -> u64 {
    let value = value & mask;

    if mask == 0 {
        // What was written before an interrupt was sent is visible to who sees it pending.
        word.load_acquire()
    } else if value == mask {
        word.set(mask)
    } else if value == 0 {
        word.clear(mask)
    } else {
        loop {
            let old = word.load();

            if word.replace(old, (old & !mask) | value) {
                return old;
            }
        }
    }
}

impl SwFile {
    /// Makes a file whose registers are all zero.
    pub fn new(nr_ids: NrIds) -> Self {
        Self {
            eix: core::array::from_fn(|_| Eix::default()),
            eithreshold: Word::new(EITHRESHOLD_NONE),
            eidelivery: Word::new(EIDELIVERY_OFF),
            summary: Word::new(0),
            nr_ids,
            indexes: IndexMask::for_at_least(nr_ids.words() as usize),
        }
    }

    /// Returns how many identities the file implements.
    #[inline]
    pub fn nr_ids(&self) -> NrIds {
        self.nr_ids
    }

    /// Returns the bits of a word, which may be the guest's or user space's choice; [`None`] if the
    /// file has no such identities.
    fn eix(&self, word: EixWord) -> Option<&Eix> {
        if word.get() >= self.nr_ids.words() {
            return None;
        }
        self.indexes.get(&self.eix, word.index())
    }

    /// Iterates over the words that the file has.
    fn words(&self) -> impl Iterator<Item = (EixWord, &Eix)> {
        EixWord::all(self.nr_ids).zip(&self.eix)
    }

    /// Makes pending bits of `word` known that have just been set.
    fn note_pending(&self, word: EixWord) {
        self.summary.set(1 << word.get());
    }

    /// Takes `word` out of the summary if it is empty.
    fn note_cleared(&self, word: EixWord, eix: &Eix) {
        self.summary.clear(1 << word.get());
        // Of a bit set in the meantime, either the summary is still to be set, or it was before and
        // has been cleared just now. Then the bit can be seen here: it comes before the summary that
        // was cleared.
        if eix.eip.load() != 0 {
            self.note_pending(word);
        }
    }

    /// Clears all pending bits of `word` and returns them.
    fn drain(&self, word: EixWord, eix: &Eix) -> u64 {
        if eix.eip.load() == 0 {
            return 0;
        }
        let bits = eix.eip.swap(0);
        self.note_cleared(word, eix);
        bits
    }

    /// Makes `eiid` pending, as an MSI does (AIA 3.5); returns whether it was not before. An identity
    /// that the file does not have is ignored.
    ///
    /// Once this has returned, [`Self::top`] takes the identity into account. If it was pending before,
    /// it does so at the latest when whoever has made it pending evaluates the signal: the caller need
    /// not.
    pub fn pend(&self, eiid: Eiid) -> bool {
        let word = EixWord::of(eiid);
        let Some(eix) = self.eix(word) else {
            return false;
        };

        if eix.eip.set(mask(eiid)) & mask(eiid) != 0 {
            return false;
        }
        self.note_pending(word);
        true
    }

    /// Returns the identity that a read of `*topei` reports: of those pending and enabled and, if
    /// the threshold is not 0, below it, the lowest (AIA 3.9).
    ///
    /// `eidelivery` does not matter.
    pub fn top(&self) -> Option<Eiid> {
        // What was done before the MSI is seen by who reads that it has come.
        self.first(Word::load_acquire).map(|(id, ..)| id)
    }

    /// Returns what [`Self::top`] does, and the word that has it. `load` reads the pending bits.
    #[inline(always)]
    fn first(&self, load: fn(&Word) -> u64) -> Option<(Eiid, EixWord, &Eix)> {
        let threshold = self.eithreshold.load();
        let mut summary = self.summary.load();

        while let Some(word) = lowest(summary).and_then(EixWord::new) {
            let eix = self.eix.get(word.index())?;

            if let Some(id) = word.first(load(&eix.eip) & eix.eie.load()) {
                let passes = threshold == EITHRESHOLD_NONE || u64::from(id.get()) < threshold;
                return passes.then_some((id, word, eix));
            }
            summary &= summary - 1;
        }
        None
    }

    /// Claims an identity, as a read and write of `*topei` by one instruction does: returns what
    /// [`Self::top`] would and makes it not pending (AIA 3.9).
    pub fn claim(&self) -> Option<Eiid> {
        loop {
            // Ordered by what clears the bit.
            let (id, word, eix) = self.first(Word::load)?;
            let old = eix.eip.clear(mask(id));

            // Else somebody else claimed it in between: there is a new top.
            if old & mask(id) != 0 {
                if old == mask(id) {
                    self.note_cleared(word, eix);
                }
                return Some(id);
            }
        }
    }

    /// Returns the signal to the hart: whether there is an interrupt to be delivered (AIA 3.10).
    ///
    /// The struct documentation says how to keep up with it.
    pub fn is_asserted(&self) -> bool {
        self.eidelivery.load() == EIDELIVERY_ON && self.first(Word::load).is_some()
    }

    /// Accesses `register` as one CSR instruction on `*ireg` does: replaces the bits of `mask` by
    /// those of `value` and returns the former value (AIA 3.7, 3.8).
    ///
    /// Only bits that the file implements change: `eidelivery` holds 0 or 1, `eithreshold` 11
    /// bits; words beyond its identities are read-only zero, as reserved registers are. Returns
    /// [`None`] if `register` belongs to no interrupt file.
    pub fn access(&self, register: IndirectRegister, value: u64, mask: u64) -> Option<u64> {
        let old = match register {
            IndirectRegister::Iprio { .. } => return None,
            IndirectRegister::Reserved => 0,
            IndirectRegister::Eidelivery => update(&self.eidelivery, value, mask & EIDELIVERY_BITS),
            IndirectRegister::Eithreshold => {
                update(&self.eithreshold, value, mask & EITHRESHOLD_BITS)
            }
            IndirectRegister::Eip(word) => self
                .eix(word)
                .map_or(0, |eix| self.access_eip(word, eix, value, mask)),
            IndirectRegister::Eie(word) => self
                .eix(word)
                .map_or(0, |eix| update(&eix.eie, value, mask & word.valid_bits())),
        };
        Some(old)
    }

    fn access_eip(&self, word: EixWord, eix: &Eix, value: u64, mask: u64) -> u64 {
        let mask = mask & word.valid_bits();
        let old = update(&eix.eip, value, mask);

        if value & mask != 0 {
            self.note_pending(word);
        } else if old & mask != 0 && old & !mask == 0 {
            self.note_cleared(word, eix);
        }
        old
    }

    /// Moves the state out into `image`, whose content is replaced; all registers become zero.
    ///
    /// What is made pending meanwhile is either in `image` or pending in the file. Delivery stops
    /// first (AIA 6.1.2).
    pub fn take(&self, image: &mut Image) {
        *image = Image::default();
        image.eidelivery = self.eidelivery.swap(EIDELIVERY_OFF);
        image.eithreshold = self.eithreshold.swap(EITHRESHOLD_NONE);
        for ((word, eix), (_, eip, eie)) in self.words().zip(image.words_mut(self.nr_ids)) {
            *eip = self.drain(word, eix);
            *eie = eix.eie.swap(0);
        }
    }

    /// Copies the registers to `image`, and leaves them.
    pub fn copy(&self, image: &mut Image) {
        *image = Image::default();
        image.eidelivery = self.eidelivery.load();
        image.eithreshold = self.eithreshold.load();
        for ((_, eix), (_, eip, eie)) in self.words().zip(image.words_mut(self.nr_ids)) {
            *eip = eix.eip.load_acquire();
            *eie = eix.eie.load();
        }
    }

    /// Returns whether any identity is pending, be it one that the file does not deliver. For who knows
    /// that none becomes pending meanwhile.
    #[inline]
    pub fn has_pending(&self) -> bool {
        self.words().any(|(_, eix)| eix.eip.load() != 0)
    }

    /// Moves only the pending bits out, adding them to those in `image`.
    pub fn take_pending(&self, image: &mut Image) {
        for ((word, eix), eip) in self.words().zip(&mut image.eip) {
            *eip |= self.drain(word, eix);
        }
    }

    /// Moves a state in: adds the pending bits of `image` to those of the file, and loads the other
    /// registers, `eidelivery` last (AIA 6.1.2).
    ///
    /// What the file does not implement is left out.
    pub fn merge(&self, image: &Image) {
        for ((word, eix), eip) in self.words().zip(&image.eip) {
            let bits = eip & word.valid_bits();

            if bits != 0 {
                eix.eip.set(bits);
                self.note_pending(word);
            }
        }
        for ((word, eix), eie) in self.words().zip(&image.eie) {
            eix.eie.store_release(eie & word.valid_bits());
        }
        self.eithreshold
            .store_release(image.eithreshold & EITHRESHOLD_BITS);
        self.eidelivery
            .store_release(image.eidelivery & EIDELIVERY_BITS);
    }

    /// Makes all registers zero, `eidelivery` first.
    pub fn reset(&self) {
        self.eidelivery.store_release(EIDELIVERY_OFF);
        self.eithreshold.store_release(EITHRESHOLD_NONE);
        for (word, eix) in self.words() {
            eix.eie.store_release(0);
            self.drain(word, eix);
        }
    }
}

#[cfg_attr(CONFIG_KUNIT, kernel::macros::kunit_tests(aia_core_swfile))]
#[cfg_attr(not(CONFIG_KUNIT), cfg(all(test, not(loom))))]
mod tests {
    use super::*;

    /// `eidelivery`: a PLIC or APLIC delivers interrupts in the file's place (AIA 3.8.1).
    const EIDELIVERY_PLIC: u64 = 0x4000_0000;

    /// `eithreshold`: all identities are masked (AIA 3.8.2).
    const EITHRESHOLD_ALL: u64 = 1;

    fn id(value: u32) -> Eiid {
        Eiid::new(value).unwrap()
    }

    fn file(nr_ids: u32) -> SwFile {
        SwFile::new(NrIds::new(nr_ids).unwrap())
    }

    fn eip(word: u32) -> IndirectRegister {
        IndirectRegister::Eip(EixWord::new(word).unwrap())
    }

    fn eie(word: u32) -> IndirectRegister {
        IndirectRegister::Eie(EixWord::new(word).unwrap())
    }

    fn read(file: &SwFile, register: IndirectRegister) -> u64 {
        file.access(register, 0, 0).unwrap()
    }

    /// As csrrw does.
    fn write(file: &SwFile, register: IndirectRegister, value: u64) -> u64 {
        file.access(register, value, !0).unwrap()
    }

    fn enable(file: &SwFile, value: u32) {
        let word = IndirectRegister::Eie(EixWord::of(id(value)));

        file.access(word, !0, mask(id(value))).unwrap();
    }

    // IM-10, IM-2
    #[test]
    fn only_identities_of_the_file_become_pending() {
        let file = file(127);

        assert_eq!(file.nr_ids().get(), 127);
        assert!(file.pend(id(1)));
        assert!(file.pend(id(127)));
        assert!(!file.pend(id(128)));
        assert!(!file.pend(Eiid::MAX));
        assert_eq!(read(&file, eip(0)), 2);
        assert_eq!(read(&file, eip(1)), 1 << 63);
        for word in 2..32 {
            assert_eq!(read(&file, eip(word)), 0);
        }
    }

    // IM-29, IM-6
    #[test]
    fn top_is_the_lowest_pending_and_enabled() {
        let file = file(2047);
        assert_eq!(file.top(), None);

        for value in [40, 700, 2047] {
            assert!(file.pend(id(value)));
        }
        // Pending, but not enabled.
        assert_eq!(file.top(), None);
        for value in [39, 700, 2047] {
            enable(&file, value);
        }
        assert_eq!(file.top(), Some(id(700)));
        enable(&file, 40);
        assert_eq!(file.top(), Some(id(40)));
        // Looking at it claims nothing.
        assert_eq!(file.top(), Some(id(40)));
    }

    /// The upper halves of words, which C up to Linux 7.2 lost.
    // IM-24
    #[test]
    fn identities_32_to_63_of_a_word() {
        let file = file(2047);

        for value in [32, 33, 62, 63, 64 + 32, 64 + 63, 2016, 2047] {
            let (bit, word) = (mask(id(value)), EixWord::of(id(value)).get());

            enable(&file, value);
            assert_eq!(read(&file, eie(word)), bit);
            assert!(file.pend(id(value)));
            assert_eq!(read(&file, eip(word)), bit);
            assert_eq!(file.claim(), Some(id(value)));
            assert_eq!(read(&file, eip(word)), 0);

            // The same through the registers.
            assert_eq!(write(&file, eip(word), bit), 0);
            assert_eq!(file.top(), Some(id(value)));
            assert_eq!(write(&file, eip(word), 0), bit);
            assert_eq!(write(&file, eie(word), 0), bit);
            assert_eq!(file.top(), None);
        }
    }

    // IM-28
    #[test]
    fn threshold_masks_itself_and_above() {
        for (nr_ids, value) in [
            (63, 1),
            (63, 10),
            (63, 63),
            (255, 64),
            (255, 255),
            (2047, 2047),
        ] {
            let file = file(nr_ids);

            enable(&file, value);
            for threshold in [0, 1, value - 1, value, value + 1, nr_ids, nr_ids + 1, 2047] {
                // The largest file has no threshold above its last identity.
                let held = u64::from(threshold) & 0x7ff;
                let passes = held == 0 || u64::from(value) < held;

                file.pend(id(value));
                write(&file, IndirectRegister::Eithreshold, threshold.into());
                assert_eq!(read(&file, IndirectRegister::Eithreshold), held);
                assert_eq!(file.top(), passes.then_some(id(value)));
                assert_eq!(file.claim(), passes.then_some(id(value)));
                // Masked is not cleared.
                let still = read(&file, eip(value / 64)) != 0;
                assert_eq!(still, !passes);
            }
        }
    }

    /// A threshold below an enabled identity hides it, not the ones before it.
    // IM-28
    #[test]
    fn threshold_between_two() {
        let file = file(255);

        for value in [70, 200] {
            file.pend(id(value));
            enable(&file, value);
        }
        write(&file, IndirectRegister::Eithreshold, 200);
        assert_eq!(file.claim(), Some(id(70)));
        assert_eq!(file.claim(), None);
        write(&file, IndirectRegister::Eithreshold, 201);
        assert_eq!(file.claim(), Some(id(200)));
    }

    // IM-31, IM-32
    #[test]
    fn a_claim_clears_what_it_returns() {
        let file = file(127);
        let all = [3, 5, 63, 64, 127];

        for value in all {
            file.pend(id(value));
            enable(&file, value);
        }
        file.pend(id(4));
        for (n, value) in all.into_iter().enumerate() {
            assert_eq!(file.claim(), Some(id(value)));
            // The disabled one stays, besides those that are still to come.
            let left = read(&file, eip(0)).count_ones() + read(&file, eip(1)).count_ones();
            assert_eq!(left as usize, all.len() - n);
        }
        assert_eq!(file.claim(), None);
        assert_eq!(read(&file, eip(0)), 1 << 4);
        // Enabled it still is.
        file.pend(id(5));
        assert_eq!(file.claim(), Some(id(5)));
    }

    // IM-33, IM-27, IM-30
    #[test]
    fn delivery_decides_the_signal_only() {
        let file = file(63);
        file.pend(id(9));
        enable(&file, 9);

        assert!(!file.is_asserted());
        assert_eq!(file.top(), Some(id(9)));
        write(&file, IndirectRegister::Eidelivery, EIDELIVERY_ON);
        assert!(file.is_asserted());
        assert_eq!(file.top(), Some(id(9)));
        write(&file, IndirectRegister::Eithreshold, EITHRESHOLD_ALL);
        assert!(!file.is_asserted());
        write(&file, IndirectRegister::Eithreshold, EITHRESHOLD_NONE);
        write(&file, IndirectRegister::Eidelivery, EIDELIVERY_OFF);
        assert!(!file.is_asserted());
        assert_eq!(file.claim(), Some(id(9)));

        // On, but nothing to deliver.
        write(&file, IndirectRegister::Eidelivery, EIDELIVERY_ON);
        assert!(!file.is_asserted());
    }

    // IM-25
    #[test]
    fn delivery_is_on_or_off() {
        let file = file(63);

        assert_eq!(
            write(&file, IndirectRegister::Eidelivery, EIDELIVERY_PLIC),
            0
        );
        assert_eq!(write(&file, IndirectRegister::Eidelivery, !0), 0);
        assert_eq!(read(&file, IndirectRegister::Eidelivery), 1);
        assert_eq!(
            write(&file, IndirectRegister::Eidelivery, EIDELIVERY_PLIC),
            1
        );
        assert_eq!(read(&file, IndirectRegister::Eidelivery), 0);
    }

    // IM-24
    #[test]
    fn unimplemented_bits_are_zero() {
        for nr_ids in [63_u32, 127, 1983, 2047] {
            let file = file(nr_ids);

            for word in 0..32 {
                let bits = match word {
                    0 => !1,
                    w if w <= nr_ids / 64 => !0,
                    _ => 0,
                };
                for register in [eip(word), eie(word)] {
                    assert_eq!(write(&file, register, !0), 0);
                    assert_eq!(read(&file, register), bits);
                    assert_eq!(file.access(register, !0, !0), Some(bits));
                    // Mixed values too.
                    write(&file, register, 0x5555_5555_5555_5555);
                    assert_eq!(read(&file, register), 0x5555_5555_5555_5555 & bits);
                }
            }
            assert_eq!(file.top(), Some(id(2)));
        }
    }

    // IM-20
    #[test]
    fn reserved_registers_are_zero() {
        let file = file(63);

        assert_eq!(write(&file, IndirectRegister::Reserved, !0), 0);
        assert_eq!(read(&file, IndirectRegister::Reserved), 0);
        assert_eq!(
            file.access(IndirectRegister::Iprio { first: 0 }, 0, 0),
            None
        );
        assert_eq!(
            file.access(IndirectRegister::Iprio { first: 8 }, !0, !0),
            None
        );
        for register in [
            IndirectRegister::Eidelivery,
            IndirectRegister::Eithreshold,
            eip(0),
            eie(0),
        ] {
            assert_eq!(read(&file, register), 0);
        }
    }

    /// csrrw, csrrs and csrrc, and a mask that is none of them.
    #[test]
    fn accesses_change_the_masked_bits() {
        let file = file(127);

        for register in [eip(1), eie(1)] {
            assert_eq!(file.access(register, 0xff0, !0), Some(0));
            assert_eq!(file.access(register, !0, 0x00f), Some(0xff0));
            assert_eq!(file.access(register, 0, 0xf00), Some(0xfff));
            assert_eq!(file.access(register, 0xa5a5, 0x0ff0), Some(0x0ff));
            assert_eq!(file.access(register, !0, 0), Some(0x5af));
            assert_eq!(read(&file, register), 0x5af);
        }
        let register = IndirectRegister::Eithreshold;
        assert_eq!(file.access(register, !0, !0), Some(0));
        assert_eq!(file.access(register, 0, 0x0f0), Some(0x7ff));
        assert_eq!(file.access(register, 0x050, 0x0f0), Some(0x70f));
        assert_eq!(read(&file, register), 0x75f);
    }

    /// All ways to set and clear a pending bit keep the summary right.
    #[test]
    fn the_summary_is_exact_at_rest() {
        let file = file(2047);
        let mut image = Image::default();

        enable(&file, 70);
        enable(&file, 71);

        file.pend(id(70));
        file.pend(id(71));
        assert_eq!(file.summary.load(), 0b10);
        assert_eq!(file.claim(), Some(id(70)));
        assert_eq!(file.summary.load(), 0b10);
        assert_eq!(file.claim(), Some(id(71)));
        assert_eq!(file.summary.load(), 0);

        file.access(eip(1), !0, 0x3);
        file.access(eip(0), 0x5, 0x7);
        assert_eq!(file.summary.load(), 0b11);
        file.access(eip(1), 0, 0x1);
        assert_eq!(file.summary.load(), 0b11);
        file.access(eip(1), 0x4, 0x6);
        assert_eq!(file.summary.load(), 0b11);
        file.access(eip(1), 0, 0x4);
        assert_eq!(file.summary.load(), 0b01);

        // Reads, enables, and bits that are none.
        file.access(eip(7), !0, 0);
        file.access(eie(7), !0, !0);
        file.access(eip(0), 0, !0);
        file.access(eip(0), 1, 1);
        assert_eq!(file.summary.load(), 0);

        file.pend(id(2047));
        file.take_pending(&mut image);
        assert_eq!(file.summary.load(), 0);
        file.merge(&image);
        assert_eq!(file.summary.load(), 1 << 31);
        file.take(&mut image);
        assert_eq!(file.summary.load(), 0);
        file.pend(id(63));
        file.pend(id(64));
        file.reset();
        assert_eq!(file.summary.load(), 0);
    }

    // VS-9
    #[test]
    fn a_state_moves_out_and_in() {
        let from = file(127);
        let to = file(127);
        let mut image = Image {
            eip: [!0; EixWord::COUNT],
            eie: [!0; EixWord::COUNT],
            ..Image::default()
        };

        for value in [7, 100] {
            from.pend(id(value));
            enable(&from, value);
        }
        write(&from, IndirectRegister::Eithreshold, 99);
        write(&from, IndirectRegister::Eidelivery, EIDELIVERY_ON);

        // Old content of the image does not matter.
        from.take(&mut image);
        assert_eq!(image.eip.iter().sum::<u64>(), 1 << 7 | 1 << 36);
        assert_eq!((image.eie[0], image.eie[1]), (1 << 7, 1 << 36));
        assert_eq!((image.eithreshold, image.eidelivery), (99, 1));
        for register in [
            IndirectRegister::Eidelivery,
            IndirectRegister::Eithreshold,
            eip(0),
            eip(1),
            eie(0),
            eie(1),
        ] {
            assert_eq!(read(&from, register), 0);
        }

        // What has arrived before stays, enable bits are replaced.
        to.pend(id(6));
        enable(&to, 6);
        to.merge(&image);
        assert_eq!(read(&to, eip(0)), 1 << 6 | 1 << 7);
        assert_eq!(read(&to, eip(1)), 1 << 36);
        assert_eq!(read(&to, eie(0)), 1 << 7);
        assert_eq!(read(&to, IndirectRegister::Eithreshold), 99);
        assert!(to.is_asserted());
        assert_eq!(to.claim(), Some(id(7)));
        assert_eq!(to.claim(), None);
        write(&to, IndirectRegister::Eithreshold, 0);
        assert_eq!(to.claim(), Some(id(100)));
    }

    #[test]
    fn stragglers_are_added_to_an_image() {
        let file = file(127);
        let mut image = Image::default();

        image.eip[1] = 1;
        file.pend(id(65));
        file.pend(id(2));
        enable(&file, 2);
        write(&file, IndirectRegister::Eidelivery, EIDELIVERY_ON);
        file.take_pending(&mut image);

        assert_eq!((image.eip[0], image.eip[1]), (4, 3));
        assert_eq!((image.eie[0], image.eidelivery), (0, 0));
        assert_eq!((read(&file, eip(0)), read(&file, eip(1))), (0, 0));
        assert_eq!(read(&file, eie(0)), 4);
        assert_eq!(read(&file, IndirectRegister::Eidelivery), 1);
    }

    /// An image of a larger file or with values that no file has.
    // IM-24, IM-25, IM-28
    #[test]
    fn merging_leaves_out_what_the_file_lacks() {
        let file = file(63);

        file.merge(&Image {
            eip: [!0; EixWord::COUNT],
            eie: [!0; EixWord::COUNT],
            eithreshold: !0,
            eidelivery: EIDELIVERY_PLIC,
        });
        assert_eq!(read(&file, eip(0)), !1);
        assert_eq!(read(&file, eie(0)), !1);
        assert_eq!(read(&file, eip(1)), 0);
        assert_eq!(read(&file, eie(1)), 0);
        assert_eq!(read(&file, IndirectRegister::Eithreshold), 0x7ff);
        assert_eq!(read(&file, IndirectRegister::Eidelivery), 0);
        assert_eq!(file.summary.load(), 1);
    }

    #[test]
    fn reset_clears_everything() {
        let file = file(127);

        for register in [
            IndirectRegister::Eidelivery,
            IndirectRegister::Eithreshold,
            eip(0),
            eip(1),
            eie(0),
            eie(1),
        ] {
            write(&file, register, !0);
        }
        assert!(file.is_asserted());
        file.reset();
        assert!(!file.is_asserted());
        assert_eq!(file.top(), None);
        for register in [
            IndirectRegister::Eidelivery,
            IndirectRegister::Eithreshold,
            eip(0),
            eip(1),
            eie(0),
            eie(1),
        ] {
            assert_eq!(read(&file, register), 0);
        }
    }
}
