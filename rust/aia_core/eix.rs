// SPDX-License-Identifier: GPL-2.0

//! Pending and enable bits of an interrupt file, as 64-bit words (AIA 3.8, 3.9).

use crate::{
    ids::{
        Eiid,
        NrIds, //
    },
    isel::Isel,
};

/// `eidelivery`: interrupts are not delivered (AIA 3.8.1).
pub const EIDELIVERY_OFF: u64 = 0;

/// `eidelivery`: the interrupt file delivers interrupts (AIA 3.8.1).
pub const EIDELIVERY_ON: u64 = 1;

/// `eidelivery`: a PLIC or APLIC delivers interrupts in the file's place (AIA 3.8.1).
pub const EIDELIVERY_PLIC: u64 = 0x4000_0000;

/// `eithreshold`: no identity is masked (AIA 3.8.2).
pub const EITHRESHOLD_NONE: u64 = 0;

/// `eithreshold`: all identities are masked (AIA 3.8.2).
pub const EITHRESHOLD_ALL: u64 = 1;

/// The number of a 64-bit word of pending or enable bits, 0 to 31.
///
/// Word `w` has the bits of identities `64 * w` to `64 * w + 63`.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[repr(transparent)]
pub struct EixWord(u8);

impl EixWord {
    /// How many words the largest interrupt file has.
    pub const COUNT: usize = 32;

    /// Makes a word number; [`None`] if `word` is above 31.
    #[inline]
    pub const fn new(word: u32) -> Option<Self> {
        if word < Self::COUNT as u32 {
            Some(Self(word as u8))
        } else {
            None
        }
    }

    /// Makes a word number from the lowest five bits of `word`.
    #[inline]
    pub(crate) const fn wrapping(word: u32) -> Self {
        Self((word % Self::COUNT as u32) as u8)
    }

    /// Returns the word with the bit of `id`.
    #[inline]
    pub const fn of(id: Eiid) -> Self {
        Self::wrapping(id.get() / u64::BITS)
    }

    /// Returns the number.
    #[inline]
    pub const fn get(self) -> u32 {
        self.0 as u32
    }

    /// Returns the number as an index into a slice.
    #[inline]
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// Iterates over the words of an interrupt file.
    #[inline]
    pub fn all(nr_ids: NrIds) -> impl DoubleEndedIterator<Item = Self> {
        (0..nr_ids.words()).filter_map(Self::new)
    }

    /// Returns the bits of this word that stand for an identity: all but bit 0 of word 0.
    #[inline]
    pub const fn valid_bits(self) -> u64 {
        if self.0 == 0 {
            !1
        } else {
            !0
        }
    }

    /// Returns the identity of the lowest set bit of `bits`, were they the contents of this word;
    /// [`None`] if no identity's bit is set.
    ///
    /// That is the one with the highest priority (AIA 3.3).
    #[inline]
    pub const fn first(self, bits: u64) -> Option<Eiid> {
        let bits = bits & self.valid_bits();
        if bits == 0 {
            return None;
        }
        Eiid::new(self.get() * u64::BITS + bits.trailing_zeros())
    }

    /// Iterates over the identities of the set bits of `bits`, were they the contents of this
    /// word, highest priority first.
    #[inline]
    pub fn ids(self, bits: u64) -> impl Iterator<Item = Eiid> {
        let mut rest = bits;
        core::iter::from_fn(move || {
            let id = self.first(rest)?;
            rest &= !mask(id);
            Some(id)
        })
    }
}

/// Returns the bit of `id` in its word, which is [`EixWord::of`] it.
#[inline]
pub const fn mask(id: Eiid) -> u64 {
    1 << (id.get() % u64::BITS)
}

/// Returns the identity that a value of a `*topei` CSR reports; [`None`] if it reports none
/// (AIA 3.9).
///
/// # Examples
///
/// ```
/// use aia_core::eix::topei_id;
///
/// assert_eq!(topei_id(0), None);
/// assert_eq!(topei_id(0x0021_0021).map(|id| id.get()), Some(0x21));
/// ```
#[inline]
pub const fn topei_id(topei: u64) -> Option<Eiid> {
    Eiid::new((topei >> 16) as u32 & Eiid::MAX.get())
}

/// Returns the value of a `*topei` CSR that reports `id` (AIA 3.9).
#[inline]
pub const fn topei_value(id: Option<Eiid>) -> u64 {
    match id {
        Some(id) => (id.get() as u64) << 16 | id.get() as u64,
        None => 0,
    }
}

/// Access to the registers of one interrupt file.
///
/// A driver implements it over `siselect` and `sireg` of the current hart, a test over an array.
/// Every function is one access to the register, as a CSR instruction makes it: MSIs that arrive in
/// the meantime are not lost.
pub trait FileWords {
    /// Reads a register.
    fn read(&self, isel: Isel) -> u64;

    /// Writes a register.
    fn write(&self, isel: Isel, value: u64);

    /// Sets the bits of `mask` in a register.
    fn set(&self, isel: Isel, mask: u64);

    /// Clears the bits of `mask` in a register.
    fn clear(&self, isel: Isel, mask: u64);

    /// Clears the bits of `mask` in a register and returns its former value.
    fn read_clear(&self, isel: Isel, mask: u64) -> u64;
}

/// Returns whether `id` is pending.
#[inline]
pub fn is_pending(file: &impl FileWords, id: Eiid) -> bool {
    file.read(Isel::eip(EixWord::of(id))) & mask(id) != 0
}

/// Makes `id` pending.
#[inline]
pub fn set_pending(file: &impl FileWords, id: Eiid) {
    file.set(Isel::eip(EixWord::of(id)), mask(id));
}

/// Makes `id` not pending and returns whether it was.
#[inline]
pub fn take_pending(file: &impl FileWords, id: Eiid) -> bool {
    file.read_clear(Isel::eip(EixWord::of(id)), mask(id)) & mask(id) != 0
}

/// Returns whether `id` is enabled.
#[inline]
pub fn is_enabled(file: &impl FileWords, id: Eiid) -> bool {
    file.read(Isel::eie(EixWord::of(id))) & mask(id) != 0
}

/// Enables `id`.
#[inline]
pub fn enable(file: &impl FileWords, id: Eiid) {
    file.set(Isel::eie(EixWord::of(id)), mask(id));
}

/// Disables `id`.
#[inline]
pub fn disable(file: &impl FileWords, id: Eiid) {
    file.clear(Isel::eie(EixWord::of(id)), mask(id));
}

/// Lets the interrupt file deliver interrupts of all priorities, or none.
///
/// Going on, the threshold is opened first; going off, delivery stops first. So nothing is
/// delivered under a half-made setting.
#[inline]
pub fn set_delivery(file: &impl FileWords, on: bool) {
    if on {
        file.write(Isel::EITHRESHOLD, EITHRESHOLD_NONE);
        file.write(Isel::EIDELIVERY, EIDELIVERY_ON);
    } else {
        file.write(Isel::EIDELIVERY, EIDELIVERY_OFF);
        file.write(Isel::EITHRESHOLD, EITHRESHOLD_ALL);
    }
}

/// Disables all identities and makes them not pending.
///
/// After reset the bits can have any value (AIA 3.4), and after a kexec they are left over from the
/// former kernel. Enable bits go first, so that nothing stale is delivered.
pub fn clear_all(file: &impl FileWords, nr_ids: NrIds) {
    for word in EixWord::all(nr_ids) {
        file.write(Isel::eie(word), 0);
    }
    for word in EixWord::all(nr_ids) {
        file.write(Isel::eip(word), 0);
    }
}

/// Gives all enable bits the values that `enabled` returns for each word.
pub fn restore_enabled(
    file: &impl FileWords,
    nr_ids: NrIds,
    mut enabled: impl FnMut(EixWord) -> u64,
) {
    for word in EixWord::all(nr_ids) {
        file.write(Isel::eie(word), enabled(word));
    }
}

/// Makes pending, in addition to what already is, the bits that `pending` returns for each word.
///
/// Bits are set rather than written, to keep MSIs that arrived in the meantime (AIA 6.1.2).
pub fn restore_pending(
    file: &impl FileWords,
    nr_ids: NrIds,
    mut pending: impl FnMut(EixWord) -> u64,
) {
    for word in EixWord::all(nr_ids) {
        let bits = pending(word);
        if bits != 0 {
            file.set(Isel::eip(word), bits);
        }
    }
}

/// Returns the identity that `*topei` of this interrupt file would report: of those pending and
/// enabled and, if the threshold is not 0, below it, the lowest (AIA 3.9).
///
/// `eidelivery` does not matter.
pub fn top(file: &impl FileWords, nr_ids: NrIds) -> Option<Eiid> {
    let threshold = file.read(Isel::EITHRESHOLD);

    let id = EixWord::all(nr_ids)
        .find_map(|word| word.first(file.read(Isel::eip(word)) & file.read(Isel::eie(word))))?;
    (threshold == EITHRESHOLD_NONE || u64::from(id.get()) < threshold).then_some(id)
}

#[cfg_attr(CONFIG_KUNIT, kernel::macros::kunit_tests(aia_core_eix))]
#[cfg_attr(not(CONFIG_KUNIT), cfg(test))]
mod tests {
    use super::*;
    use crate::{
        error::OutOfRange,
        isel::Register, //
    };
    use core::cell::Cell;

    /// An interrupt file in memory, which does not know how many identities it has.
    struct File {
        eip: [Cell<u64>; EixWord::COUNT],
        eie: [Cell<u64>; EixWord::COUNT],
        delivery: Cell<u64>,
        threshold: Cell<u64>,
        reserved: Cell<u64>,
    }

    impl File {
        fn filled(bits: u64) -> Self {
            Self {
                eip: core::array::from_fn(|_| Cell::new(bits)),
                eie: core::array::from_fn(|_| Cell::new(bits)),
                delivery: Cell::new(0),
                threshold: Cell::new(0),
                reserved: Cell::new(0),
            }
        }

        fn cell(&self, isel: Isel) -> &Cell<u64> {
            match isel.register() {
                Register::Eip(word) => self.eip.get(word.index()),
                Register::Eie(word) => self.eie.get(word.index()),
                Register::Eidelivery => Some(&self.delivery),
                Register::Eithreshold => Some(&self.threshold),
                Register::Reserved | Register::Iprio { .. } => None,
            }
            .unwrap_or(&self.reserved)
        }
    }

    impl FileWords for File {
        fn read(&self, isel: Isel) -> u64 {
            self.cell(isel).get()
        }

        fn write(&self, isel: Isel, value: u64) {
            self.cell(isel).set(value);
        }

        fn set(&self, isel: Isel, mask: u64) {
            self.write(isel, self.read(isel) | mask);
        }

        fn clear(&self, isel: Isel, mask: u64) {
            self.write(isel, self.read(isel) & !mask);
        }

        fn read_clear(&self, isel: Isel, mask: u64) -> u64 {
            self.cell(isel).replace(self.read(isel) & !mask)
        }
    }

    fn id(value: u32) -> Result<Eiid, OutOfRange> {
        Eiid::try_from(value)
    }

    #[test]
    fn words_and_bits() -> Result<(), OutOfRange> {
        for value in 1..=2047 {
            let id = id(value)?;
            let word = EixWord::of(id);
            assert_eq!(word.get(), value / 64);
            assert_eq!(mask(id), 1u64.rotate_left(value));
            assert_eq!(word.first(mask(id)), Some(id));
            assert_eq!(topei_id(topei_value(Some(id))), Some(id));
        }
        Ok(())
    }

    #[test]
    fn bit_zero_is_no_identity() -> Result<(), OutOfRange> {
        let word = EixWord::of(Eiid::MIN);
        assert_eq!(word.first(1), None);
        assert_eq!(word.first(3), Some(Eiid::MIN));
        assert_eq!(EixWord::of(id(64)?).first(1), Some(id(64)?));
        assert_eq!(word.ids(!0).count(), 63);
        assert_eq!(EixWord::of(Eiid::MAX).ids(!0).count(), 64);
        assert_eq!(EixWord::of(Eiid::MAX).ids(!0).last(), Some(Eiid::MAX));
        Ok(())
    }

    #[test]
    fn topei_format() -> Result<(), OutOfRange> {
        assert_eq!(topei_value(None), 0);
        assert_eq!(topei_value(Some(Eiid::MAX)), 0x07ff_07ff);
        assert_eq!(topei_id(0x07ff_0000), Some(Eiid::MAX));
        // Bits that are zero by the specification do not matter.
        assert_eq!(topei_id(0xffff_ffff_f801_ffff), Some(Eiid::MIN));
        assert_eq!(topei_id(0xffff_ffff_f800_ffff), None);
        Ok(())
    }

    #[test]
    fn single_bits() -> Result<(), OutOfRange> {
        let file = File::filled(0);
        let (a, b) = (id(70)?, id(71)?);

        set_pending(&file, a);
        assert!(is_pending(&file, a));
        assert!(!is_pending(&file, b));
        assert!(!take_pending(&file, b));
        assert!(take_pending(&file, a));
        assert!(!take_pending(&file, a));

        enable(&file, a);
        enable(&file, b);
        disable(&file, a);
        assert!(!is_enabled(&file, a));
        assert!(is_enabled(&file, b));
        assert_eq!(file.eie.iter().map(|w| w.get()).sum::<u64>(), mask(b));
        Ok(())
    }

    /// Taking one identity leaves its neighbours pending.
    #[test]
    fn take_takes_one() -> Result<(), OutOfRange> {
        let file = File::filled(!0);
        assert!(take_pending(&file, id(100)?));
        assert!(is_pending(&file, id(99)?));
        assert!(!is_pending(&file, id(100)?));
        assert!(is_pending(&file, id(101)?));
        Ok(())
    }

    #[test]
    fn clearing_stays_inside_the_file() -> Result<(), OutOfRange> {
        for nr in [63_u32, 127, 255, 2047] {
            let nr_ids = NrIds::try_from(nr)?;
            let file = File::filled(!0);
            clear_all(&file, nr_ids);
            for (n, (p, e)) in file.eip.iter().zip(&file.eie).enumerate() {
                let left = if n < nr_ids.words() as usize { 0 } else { !0 };
                assert_eq!((p.get(), e.get()), (left, left));
            }
        }
        Ok(())
    }

    #[test]
    fn restoring() -> Result<(), OutOfRange> {
        let nr_ids = NrIds::try_from(127_u32)?;
        let file = File::filled(0);
        enable(&file, id(5)?);
        set_pending(&file, id(6)?);

        restore_enabled(&file, nr_ids, |word| 0x100 << word.get());
        restore_pending(&file, nr_ids, |word| 0x100 << word.get());

        // Enable bits are replaced, pending bits added.
        assert!(!is_enabled(&file, id(5)?));
        assert!(is_enabled(&file, id(8)?));
        assert!(is_enabled(&file, id(64 + 9)?));
        assert!(is_pending(&file, id(6)?));
        assert!(is_pending(&file, id(8)?));
        assert!(is_pending(&file, id(64 + 9)?));
        assert!(!is_enabled(&file, id(128 + 10)?));
        assert!(!is_pending(&file, id(128 + 10)?));
        Ok(())
    }

    #[test]
    fn top_is_the_lowest_pending_and_enabled() -> Result<(), OutOfRange> {
        let nr_ids = NrIds::MAX;
        let file = File::filled(0);
        assert_eq!(top(&file, nr_ids), None);

        for value in [40, 700, 2047] {
            set_pending(&file, id(value)?);
        }
        assert_eq!(top(&file, nr_ids), None);
        for value in [39, 700, 2047] {
            enable(&file, id(value)?);
        }
        assert_eq!(top(&file, nr_ids), Some(id(700)?));
        assert!(take_pending(&file, id(700)?));
        assert_eq!(top(&file, nr_ids), Some(Eiid::MAX));
        // Beyond the file's identities.
        assert_eq!(top(&file, NrIds::MIN), None);
        Ok(())
    }

    #[test]
    fn threshold_masks_itself_and_above() -> Result<(), OutOfRange> {
        let file = File::filled(0);
        set_pending(&file, id(10)?);
        enable(&file, id(10)?);

        for (threshold, passes) in [(0, true), (1, false), (9, false), (10, false), (11, true)] {
            file.write(Isel::EITHRESHOLD, threshold);
            assert_eq!(top(&file, NrIds::MIN).is_some(), passes);
        }
        Ok(())
    }

    #[test]
    fn delivery() {
        let file = File::filled(0);
        set_delivery(&file, true);
        assert_eq!((file.delivery.get(), file.threshold.get()), (1, 0));
        set_delivery(&file, false);
        assert_eq!((file.delivery.get(), file.threshold.get()), (0, 1));
    }
}
