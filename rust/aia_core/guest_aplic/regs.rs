// SPDX-License-Identifier: GPL-2.0

//! Which register is where in the control region of a guest's domain (AIA 4.5).

use crate::{
    aplic::regs::{
        self,
        WordIndex, //
    },
    ids::{
        NrSources,
        SourceId, //
    },
};

const SOURCECFG: usize = regs::sourcecfg(SourceId::MIN);
const SOURCECFG_LAST: usize = regs::sourcecfg(SourceId::MAX);
const TARGET: usize = regs::target(SourceId::MIN);
const TARGET_LAST: usize = regs::target(SourceId::MAX);

const FIRST_WORD: WordIndex = WordIndex::of(SourceId::MIN);
const LAST_WORD: WordIndex = WordIndex::of(SourceId::MAX);
const SETIP: usize = regs::setip(FIRST_WORD);
const SETIP_LAST: usize = regs::setip(LAST_WORD);
const IN_CLRIP: usize = regs::in_clrip(FIRST_WORD);
const IN_CLRIP_LAST: usize = regs::in_clrip(LAST_WORD);
const SETIE: usize = regs::setie(FIRST_WORD);
const SETIE_LAST: usize = regs::setie(LAST_WORD);
const CLRIE: usize = regs::clrie(FIRST_WORD);
const CLRIE_LAST: usize = regs::clrie(LAST_WORD);

/// A register of a supervisor-level domain without children.
///
/// Those that have a source or a word have one that the domain they were decoded for implements.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum AplicRegister {
    /// `domaincfg`: domain configuration.
    DomainCfg,
    /// `sourcecfg`: source configuration.
    SourceCfg(SourceId),
    /// `setip`: pending bits; writing ones sets them, if possible.
    SetIp(WordIndex),
    /// `setipnum`: sets a pending bit by number, in the byte order of the domain.
    SetIpNum,
    /// `in_clrip`: rectified inputs; writing ones clears pending bits.
    InClrIp(WordIndex),
    /// `clripnum`: clears a pending bit by number.
    ClrIpNum,
    /// `setie`: enable bits; writing ones sets them.
    SetIe(WordIndex),
    /// `setienum`: sets an enable bit by number.
    SetIeNum,
    /// `clrie`: writing ones clears enable bits.
    ClrIe(WordIndex),
    /// `clrienum`: clears an enable bit by number.
    ClrIeNum,
    /// `setipnum_le`: sets a pending bit by number, little-endian.
    SetIpNumLe,
    /// `setipnum_be`: sets a pending bit by number, big-endian.
    SetIpNumBe,
    /// `genmsi`: sends an MSI.
    GenMsi,
    /// `target`: where a source's interrupts go.
    Target(SourceId),
}

impl AplicRegister {
    /// Returns the register at `offset`, in bytes from the start of the control region; [`None`] if
    /// a domain of `nr_sources` sources has none there, or `offset` is not a multiple of 4.
    ///
    /// # Examples
    ///
    /// ```
    /// use aia_core::{guest_aplic::regs::AplicRegister, ids::NrSources};
    ///
    /// let nr_sources = NrSources::new(96).unwrap();
    /// assert_eq!(AplicRegister::decode(0x3000, nr_sources), Some(AplicRegister::GenMsi));
    /// assert_eq!(AplicRegister::decode(0x1bc0, nr_sources), None);
    /// ```
    pub fn decode(offset: u64, nr_sources: NrSources) -> Option<Self> {
        let offset = usize::try_from(offset).ok()?;
        let element = |first: usize| u32::try_from((offset - first) / size_of::<u32>()).ok();
        let source = |first| nr_sources.check(element(first)? + SourceId::MIN.get());
        let word = |first| WordIndex::new(element(first)?).filter(|w| w.get() < nr_sources.words());

        if offset % size_of::<u32>() != 0 {
            return None;
        }
        Some(match offset {
            regs::DOMAINCFG => Self::DomainCfg,
            SOURCECFG..=SOURCECFG_LAST => Self::SourceCfg(source(SOURCECFG)?),
            SETIP..=SETIP_LAST => Self::SetIp(word(SETIP)?),
            regs::SETIPNUM => Self::SetIpNum,
            IN_CLRIP..=IN_CLRIP_LAST => Self::InClrIp(word(IN_CLRIP)?),
            regs::CLRIPNUM => Self::ClrIpNum,
            SETIE..=SETIE_LAST => Self::SetIe(word(SETIE)?),
            regs::SETIENUM => Self::SetIeNum,
            CLRIE..=CLRIE_LAST => Self::ClrIe(word(CLRIE)?),
            regs::CLRIENUM => Self::ClrIeNum,
            regs::SETIPNUM_LE => Self::SetIpNumLe,
            regs::SETIPNUM_BE => Self::SetIpNumBe,
            regs::GENMSI => Self::GenMsi,
            TARGET..=TARGET_LAST => Self::Target(source(TARGET)?),
            _ => return None,
        })
    }
}

#[cfg_attr(CONFIG_KUNIT, kernel::macros::kunit_tests(aia_core_guest_aplic_regs))]
#[cfg_attr(not(CONFIG_KUNIT), cfg(test))]
mod tests {
    use super::*;
    use crate::error::OutOfRange;

    /// AP-7: the specification's table, for the largest domain.
    #[test]
    fn table() -> Result<(), OutOfRange> {
        let at = |offset| AplicRegister::decode(offset, NrSources::MAX);
        let (first, last) = (SourceId::MIN, SourceId::MAX);

        assert_eq!(at(0x0000), Some(AplicRegister::DomainCfg));
        assert_eq!(at(0x0004), Some(AplicRegister::SourceCfg(first)));
        assert_eq!(at(0x0ffc), Some(AplicRegister::SourceCfg(last)));
        assert_eq!(at(0x1000), None);
        assert_eq!(at(0x1bfc), None);
        assert_eq!(at(0x1c00), Some(AplicRegister::SetIp(FIRST_WORD)));
        assert_eq!(at(0x1c7c), Some(AplicRegister::SetIp(LAST_WORD)));
        assert_eq!(at(0x1c80), None);
        assert_eq!(at(0x1cdc), Some(AplicRegister::SetIpNum));
        assert_eq!(at(0x1d00), Some(AplicRegister::InClrIp(FIRST_WORD)));
        assert_eq!(at(0x1d7c), Some(AplicRegister::InClrIp(LAST_WORD)));
        assert_eq!(at(0x1d80), None);
        assert_eq!(at(0x1ddc), Some(AplicRegister::ClrIpNum));
        assert_eq!(at(0x1e00), Some(AplicRegister::SetIe(FIRST_WORD)));
        assert_eq!(at(0x1e7c), Some(AplicRegister::SetIe(LAST_WORD)));
        assert_eq!(at(0x1e80), None);
        assert_eq!(at(0x1edc), Some(AplicRegister::SetIeNum));
        assert_eq!(at(0x1f00), Some(AplicRegister::ClrIe(FIRST_WORD)));
        assert_eq!(at(0x1f7c), Some(AplicRegister::ClrIe(LAST_WORD)));
        assert_eq!(at(0x1f80), None);
        assert_eq!(at(0x1fdc), Some(AplicRegister::ClrIeNum));
        assert_eq!(at(0x2000), Some(AplicRegister::SetIpNumLe));
        assert_eq!(at(0x2004), Some(AplicRegister::SetIpNumBe));
        assert_eq!(at(0x2008), None);
        assert_eq!(at(0x3000), Some(AplicRegister::GenMsi));
        assert_eq!(at(0x3004), Some(AplicRegister::Target(first)));
        assert_eq!(at(0x3ffc), Some(AplicRegister::Target(last)));
        assert_eq!(at(0x4000), None);
        // A number of 64 bits is not cut down.
        assert_eq!(at(0x1_0000_0000), None);
        assert_eq!(at(u64::MAX - 3), None);
        Ok(())
    }

    /// AP-13, AP-20: what belongs to sources that the domain does not have is no register.
    #[test]
    fn small_domains() -> Result<(), OutOfRange> {
        for (nr_sources, words) in [(1_u32, 1), (31, 1), (32, 2), (63, 2), (64, 3), (96, 4)] {
            let nr_sources = NrSources::try_from(nr_sources)?;
            let at = |offset: usize| AplicRegister::decode(offset as u64, nr_sources);
            let last = nr_sources.last();

            assert_eq!(
                at(regs::sourcecfg(last)),
                Some(AplicRegister::SourceCfg(last))
            );
            assert_eq!(at(regs::sourcecfg(last) + 4), None);
            assert_eq!(at(regs::target(last)), Some(AplicRegister::Target(last)));
            assert_eq!(at(regs::target(last) + 4), None);
            for bits in [SETIP, IN_CLRIP, SETIE, CLRIE] {
                assert!(at(bits + 4 * (words - 1)).is_some());
                assert_eq!(at(bits + 4 * words), None);
            }
        }
        Ok(())
    }

    /// AP-19: a supervisor-level domain does not configure MSI addresses.
    #[test]
    fn no_msi_addresses() {
        // Four registers, those of supervisor level included.
        for offset in regs::MMSIADDRCFG..regs::MMSIADDRCFG + 4 * 4 {
            assert_eq!(AplicRegister::decode(offset as u64, NrSources::MAX), None);
        }
    }

    /// AP-8: only aligned accesses.
    #[test]
    fn alignment() {
        for offset in 0..0x4000 {
            if offset % 4 != 0 {
                assert_eq!(AplicRegister::decode(offset, NrSources::MAX), None);
            }
        }
    }
}
