// SPDX-License-Identifier: GPL-2.0

//! The state of a virtual machine's interrupt controllers as user space keeps it: one block of
//! bytes, which holds all that is needed to go on elsewhere with interrupts in flight.
//!
//! ```text
//! header            u32 version, size, nr_ids, nr_sources, nr_vcpus, reserved
//! if nr_sources > 0:
//!   domain          u32 domaincfg, genmsi
//!   per 32 sources  u32 pending, enabled, wires, resampled, sourcecfg[32], target[32]
//! per vCPU          u32 id, reserved
//!                   u64 eidelivery, eithreshold
//!   per 64 IDs      u64 eip, eie
//! ```
//!
//! All numbers are little-endian and at multiples of their size. Words of sources come in ascending
//! order, the first one with the source 0 that does not exist; vCPUs in ascending order of their
//! IDs. Reserved fields are 0.
//!
//! [`Snapshot`] reads such a block, and has checked all of it; [`SnapshotMut`] writes one. What is
//! saved and restored in which order is in [`machine`].

mod error;
mod fields;
mod layout;
pub mod machine;

pub use self::{
    error::SnapshotError,
    layout::{
        Header,
        Layout, //
    }, //
};

use core::ops::Range;

use self::fields::{
    Reader,
    Writer, //
};
use crate::{
    aplic::{
        domaincfg::DomainCfg,
        regs::WordIndex,
        target::genmsi, //
    },
    guest_aplic::{
        saved::{
            SavedDomain,
            SavedWord, //
        },
        word::SourceWord, //
    },
    ids::{
        Eiid,
        HartIndex,
        VcpuId, //
    },
    swfile::Image,
};

/// What `domaincfg` of a guest's domain reads as without IE (AIA 4.5.1).
const DOMAINCFG: u32 = 0x8000_0000 | DomainCfg::DM;

/// The bits that `genmsi` keeps (AIA 4.5.15).
const GENMSI_BITS: u32 = genmsi(HartIndex::MAX, Eiid::MAX);

/// The bits that `eidelivery` and `eithreshold` of a guest's interrupt file can have (AIA 3.8).
const EIDELIVERY_BITS: u64 = 1;
const EITHRESHOLD_BITS: u64 = Eiid::MAX.get() as u64;

/// A snapshot to restore.
///
/// # Invariants
///
/// The bytes are as long as the layout says, and every part of them is a state that the controllers
/// of such a virtual machine can be in.
#[derive(Clone, Copy, Debug)]
pub struct Snapshot<'a> {
    layout: Layout,
    bytes: &'a [u8],
}

impl<'a> Snapshot<'a> {
    /// Checks `bytes`, which may be anything.
    ///
    /// What is left to the caller is whether there are vCPUs with these IDs. Since the IDs ascend,
    /// each is there once if each exists and there are as many as the virtual machine has.
    pub fn open(layout: Layout, bytes: &'a [u8]) -> Result<Self, SnapshotError> {
        let header = Header::decode(bytes.first_chunk().ok_or(SnapshotError::Size)?);
        let wanted = layout.header();

        header.check_request()?;
        if (header.nr_ids, header.nr_sources, header.nr_vcpus)
            != (wanted.nr_ids, wanted.nr_sources, wanted.nr_vcpus)
        {
            return Err(SnapshotError::Counts);
        }
        if header.size != wanted.size || bytes.len() != layout.size() {
            return Err(SnapshotError::Size);
        }

        // INVARIANT: The length is right; the rest follows, before anybody has it.
        let snapshot = Self { layout, bytes };
        snapshot.check_aplic()?;
        snapshot.check_vcpus()?;
        Ok(snapshot)
    }

    fn check_aplic(&self) -> Result<(), SnapshotError> {
        let Some(domain) = self.domain() else {
            return Ok(());
        };

        if domain.domaincfg & !DomainCfg::IE != DOMAINCFG || domain.genmsi & !GENMSI_BITS != 0 {
            return Err(SnapshotError::Domain);
        }
        for word in self.layout.words() {
            let saved = self.word(word).ok_or(SnapshotError::Size)?;
            let mut restored = SourceWord::new();

            restored.restore(&saved, self.layout.implemented(word));
            // What a source cannot have was dropped.
            if restored.save() != saved {
                return Err(SnapshotError::Source);
            }
            if restored.is_due() && domain.domaincfg & DomainCfg::IE != 0 {
                return Err(SnapshotError::Due);
            }
        }
        Ok(())
    }

    fn check_vcpus(&self) -> Result<(), SnapshotError> {
        let mut last = None;
        let mut image = Image::default();

        for position in 0..self.layout.nr_vcpus() {
            let (id, reserved) = self
                .read_vcpu(position, &mut image)
                .ok_or(SnapshotError::Size)?;

            if reserved != 0 {
                return Err(SnapshotError::Reserved);
            }
            if last.is_some_and(|last| id <= last) {
                return Err(SnapshotError::VcpuOrder);
            }
            last = Some(id);

            let unknown = |word: u64, bits: u64| word & !bits != 0;
            if unknown(image.eidelivery, EIDELIVERY_BITS)
                || unknown(image.eithreshold, EITHRESHOLD_BITS)
                || image
                    .words(self.layout.nr_ids())
                    .any(|(word, eip, eie)| unknown(eip | eie, word.valid_bits()))
            {
                return Err(SnapshotError::File);
            }
        }
        Ok(())
    }

    /// Returns the fields at `range`.
    fn part(&self, range: Range<usize>) -> Option<Reader<'a>> {
        self.bytes.get(range).map(Reader)
    }

    /// Returns the APLIC's state that is not in a word; [`None`] if there is no APLIC.
    pub fn domain(&self) -> Option<SavedDomain> {
        let mut fields = self.part(self.layout.domain()?)?;

        Some(SavedDomain {
            domaincfg: fields.u32()?,
            genmsi: fields.u32()?,
        })
    }

    /// Returns a word of the APLIC; [`None`] if it has no such word.
    pub fn word(&self, word: WordIndex) -> Option<SavedWord> {
        let mut fields = self.part(self.layout.word(word)?)?;
        let mut saved = SavedWord {
            pending: fields.u32()?,
            enabled: fields.u32()?,
            wires: fields.u32()?,
            resampled: fields.u32()?,
            ..Default::default()
        };

        for field in saved.sourcecfg.iter_mut().chain(&mut saved.target) {
            *field = fields.u32()?;
        }
        Some(saved)
    }

    /// Returns the ID of a vCPU by its position, from 0; [`None`] if there are not as many.
    pub fn vcpu_id(&self, position: u32) -> Option<VcpuId> {
        self.part(self.layout.vcpu(position)?)?
            .u32()
            .map(VcpuId::new)
    }

    /// Reads the interrupt file of a vCPU by its position, from 0, and returns the vCPU's ID;
    /// [`None`] if there are not as many.
    pub fn vcpu(&self, position: u32, image: &mut Image) -> Option<VcpuId> {
        self.read_vcpu(position, image).map(|(id, _)| id)
    }

    fn read_vcpu(&self, position: u32, image: &mut Image) -> Option<(VcpuId, u32)> {
        let mut fields = self.part(self.layout.vcpu(position)?)?;
        let (id, reserved) = (fields.u32()?, fields.u32()?);

        *image = Image {
            eidelivery: fields.u64()?,
            eithreshold: fields.u64()?,
            ..Default::default()
        };
        for (_, eip, eie) in image.words_mut(self.layout.nr_ids()) {
            *eip = fields.u64()?;
            *eie = fields.u64()?;
        }
        Some((VcpuId::new(id), reserved))
    }
}

/// A snapshot that is being made.
#[derive(Debug)]
pub struct SnapshotMut<'a> {
    layout: Layout,
    bytes: &'a mut [u8],
}

impl<'a> SnapshotMut<'a> {
    /// Begins one; [`None`] if `bytes` is not as long as the layout says.
    ///
    /// Each part of the layout is then to be written once.
    pub fn new(layout: Layout, bytes: &'a mut [u8]) -> Option<Self> {
        if bytes.len() != layout.size() {
            return None;
        }
        *bytes.first_chunk_mut()? = layout.header().encode();
        Some(Self { layout, bytes })
    }

    /// Returns the fields at `range`.
    fn part(&mut self, range: Range<usize>) -> Option<Writer<'_>> {
        self.bytes.get_mut(range).map(Writer)
    }

    /// Writes the APLIC's state that is not in a word; [`None`] if there is no APLIC.
    pub fn set_domain(&mut self, saved: &SavedDomain) -> Option<()> {
        let mut fields = self.part(self.layout.domain()?)?;

        fields.u32(saved.domaincfg);
        fields.u32(saved.genmsi);
        Some(())
    }

    /// Writes a word of the APLIC; [`None`] if it has no such word.
    pub fn set_word(&mut self, word: WordIndex, saved: &SavedWord) -> Option<()> {
        let mut fields = self.part(self.layout.word(word)?)?;

        for value in [saved.pending, saved.enabled, saved.wires, saved.resampled] {
            fields.u32(value);
        }
        for &value in saved.sourcecfg.iter().chain(&saved.target) {
            fields.u32(value);
        }
        Some(())
    }

    /// Writes the interrupt file of a vCPU at its position, from 0; [`None`] if there are not as
    /// many.
    ///
    /// Of what a guest interrupt file holds, that which no file in memory can have is left out.
    pub fn set_vcpu(&mut self, position: u32, id: VcpuId, image: &Image) -> Option<()> {
        let nr_ids = self.layout.nr_ids();
        let mut fields = self.part(self.layout.vcpu(position)?)?;

        fields.u32(id.get());
        fields.u32(0);
        fields.u64(image.eidelivery & EIDELIVERY_BITS);
        fields.u64(image.eithreshold & EITHRESHOLD_BITS);
        for (word, eip, eie) in image.words(nr_ids) {
            fields.u64(eip & word.valid_bits());
            fields.u64(eie & word.valid_bits());
        }
        Some(())
    }
}

#[cfg_attr(CONFIG_KUNIT, kernel::macros::kunit_tests(aia_core_guest_state))]
#[cfg_attr(not(CONFIG_KUNIT), cfg(test))]
mod tests {
    use super::*;
    use crate::ids::{
        NrIds,
        NrSources, //
    };

    /// 33 sources are two words, 63 identities one.
    const SIZE: usize = 24 + 8 + 2 * 272 + 2 * (24 + 16);
    const DOMAIN: usize = 24;
    const WORD: usize = 32;
    const VCPU: usize = WORD + 2 * 272;

    type Result = core::result::Result<(), SnapshotError>;

    fn layout() -> Option<Layout> {
        Layout::new(NrIds::MIN, NrSources::new(33), 2)
    }

    fn word(n: u32) -> WordIndex {
        WordIndex::new(n).unwrap_or(WordIndex::of(crate::ids::SourceId::MIN))
    }

    /// A level-sensitive source 4 with a high wire, pending, and an edge-sensitive one 5.
    fn saved_word() -> SavedWord {
        let mut saved = SavedWord {
            pending: 1 << 4,
            enabled: 1 << 5,
            wires: 1 << 4 | 1 << 9,
            resampled: 1 << 9 | 1 << 10,
            ..Default::default()
        };
        for (source, sourcecfg) in [(4, 6), (5, 4)] {
            saved.sourcecfg[source] = sourcecfg;
            saved.target[source] = 0x0004_0010 + source as u32;
        }
        saved
    }

    /// A snapshot of two vCPUs, 3 and 7.
    fn make(bytes: &mut [u8; SIZE]) -> Option<Layout> {
        let layout = layout()?;
        let mut snapshot = SnapshotMut::new(layout, bytes)?;
        let mut image = Image {
            // With bits that no file in memory has.
            eidelivery: 1 << 30 | 1,
            eithreshold: 1 << 11 | 2047,
            ..Default::default()
        };

        snapshot.set_domain(&SavedDomain {
            domaincfg: 0x8000_0104,
            genmsi: 0x0004_0007,
        })?;
        snapshot.set_word(word(0), &saved_word())?;
        snapshot.set_word(word(1), &SavedWord::default())?;
        image.eip[0] = !0;
        image.eie[0] = 6;
        // Nor has this one these identities.
        image.eip[1] = !0;
        snapshot.set_vcpu(0, VcpuId::new(3), &image)?;
        snapshot.set_vcpu(1, VcpuId::new(7), &Image::default())?;
        Some(layout)
    }

    /// What is said to a good snapshot with `value` at `offset`.
    fn with(offset: usize, value: &[u8]) -> Result {
        let mut bytes = [0; SIZE];
        let layout = make(&mut bytes).ok_or(SnapshotError::Size)?;

        if let Some(at) = bytes.get_mut(offset..offset + value.len()) {
            at.copy_from_slice(value);
        }
        Snapshot::open(layout, &bytes).map(drop)
    }

    /// Asserts that `error` is said to every one of `values` at `offset`.
    fn refused(offset: usize, values: &[u32], error: SnapshotError) {
        for value in values {
            assert_eq!(with(offset, &value.to_le_bytes()), Err(error));
        }
    }

    fn accepted(offset: usize, values: &[u32]) {
        for value in values {
            assert_eq!(with(offset, &value.to_le_bytes()), Ok(()));
        }
    }

    #[test]
    fn numbers_are_little_endian() -> Result {
        let mut bytes = [0; SIZE];
        make(&mut bytes).ok_or(SnapshotError::Size)?;

        let header = [1, SIZE as u32, 63, 33, 2, 0];
        for (field, value) in bytes.chunks(4).zip(header) {
            assert_eq!(field, value.to_le_bytes());
        }
        assert_eq!(bytes[DOMAIN..][..8], [4, 1, 0, 0x80, 7, 0, 4, 0]);
        // Pending, enabled, wires, resampled; sourcecfg of 4 and 5, and target of 5.
        assert_eq!(bytes[WORD..][..9], [0x10, 0, 0, 0, 0x20, 0, 0, 0, 0x10]);
        assert_eq!(bytes[WORD + 16 + 16], 6);
        assert_eq!(bytes[WORD + 16 + 20], 4);
        assert_eq!(bytes[WORD + 144 + 20..][..4], [0x15, 0, 4, 0]);
        assert_eq!(bytes[VCPU..][..9], [3, 0, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!(bytes[VCPU + 16..][..4], [0xff, 7, 0, 0]);
        // Identity 0 does not exist.
        assert_eq!(bytes[VCPU + 24..][..2], [0xfe, 0xff]);
        assert_eq!(bytes[VCPU + 32..][..2], [6, 0]);
        assert_eq!(bytes[VCPU + 40], 7);
        Ok(())
    }

    #[test]
    fn what_was_written_is_read() -> Result {
        let mut bytes = [0xff; SIZE];
        let layout = make(&mut bytes).ok_or(SnapshotError::Size)?;
        let snapshot = Snapshot::open(layout, &bytes)?;
        let mut image = Image::default();

        assert_eq!(
            snapshot.domain().map(|d| (d.domaincfg, d.genmsi)),
            Some((0x8000_0104, 0x0004_0007))
        );
        assert!(snapshot.word(word(0)) == Some(saved_word()));
        assert!(snapshot.word(word(1)) == Some(SavedWord::default()));
        assert!(snapshot.word(word(2)).is_none());
        assert_eq!(snapshot.vcpu_id(0), Some(VcpuId::new(3)));
        assert_eq!(snapshot.vcpu_id(1), Some(VcpuId::new(7)));
        assert_eq!(snapshot.vcpu_id(2), None);
        assert_eq!(snapshot.vcpu(0, &mut image), Some(VcpuId::new(3)));
        assert_eq!((image.eidelivery, image.eithreshold), (1, 2047));
        assert_eq!((image.eip[0], image.eie[0], image.eip[1]), (!1, 6, 0));
        assert_eq!(snapshot.vcpu(1, &mut image), Some(VcpuId::new(7)));
        assert!(image == Image::default());
        assert_eq!(snapshot.vcpu(2, &mut image), None);
        Ok(())
    }

    #[test]
    fn without_an_aplic() -> Result {
        let layout = Layout::new(NrIds::MIN, None, 0).ok_or(SnapshotError::Size)?;
        let mut bytes = [0; 24];
        let mut snapshot = SnapshotMut::new(layout, &mut bytes).ok_or(SnapshotError::Size)?;

        assert!(snapshot.set_domain(&SavedDomain::default()).is_none());
        assert!(snapshot.set_word(word(0), &SavedWord::default()).is_none());
        assert!(snapshot
            .set_vcpu(0, VcpuId::new(0), &Image::default())
            .is_none());
        let snapshot = Snapshot::open(layout, &bytes)?;
        assert!(snapshot.domain().is_none());
        assert!(snapshot.word(word(0)).is_none());
        assert_eq!(layout.words().count(), 0);
        Ok(())
    }

    #[test]
    fn the_length_is_that_of_the_layout() -> Result {
        let mut bytes = [0; SIZE];
        let layout = make(&mut bytes).ok_or(SnapshotError::Size)?;

        for len in [0, 23, 24, SIZE - 1] {
            let less = bytes.get(..len).unwrap_or_default();
            assert_eq!(
                Snapshot::open(layout, less).err(),
                Some(SnapshotError::Size)
            );
            let less = bytes.get_mut(..len).unwrap_or_default();
            assert!(SnapshotMut::new(layout, less).is_none());
        }
        refused(
            4,
            &[0, SIZE as u32 - 1, SIZE as u32 + 1],
            SnapshotError::Size,
        );
        Ok(())
    }

    #[test]
    fn the_header_is_that_of_the_virtual_machine() {
        refused(0, &[0, 2, 1 << 31], SnapshotError::Version);
        refused(8, &[0, 62, 127], SnapshotError::Counts);
        refused(12, &[0, 32, 34, 1024], SnapshotError::Counts);
        refused(16, &[0, 1, 3, u32::MAX], SnapshotError::Counts);
        refused(20, &[1, 1 << 31], SnapshotError::Reserved);

        let mut request = Header {
            version: 1,
            ..Default::default()
        };
        assert_eq!(request.check_request(), Ok(()));
        request.nr_ids = 5;
        request.size = u32::MAX;
        assert_eq!(request.check_request(), Ok(()));
        request.reserved = 1;
        assert_eq!(request.check_request(), Err(SnapshotError::Reserved));
        request.version = 2;
        assert_eq!(request.check_request(), Err(SnapshotError::Version));
        assert!(!request.only_asks());
        request.version = 0;
        assert!(!request.only_asks());
        request.reserved = 0;
        assert!(request.only_asks());
        request.version = 1;
        assert!(!request.only_asks());
    }

    // AP-9, AP-10.
    #[test]
    fn domain_registers() {
        accepted(DOMAIN, &[0x8000_0004, 0x8000_0104]);
        refused(
            DOMAIN,
            &[0, 0x104, 0x8000_0100, 0x8000_0105, 0x8000_0304, !0],
            SnapshotError::Domain,
        );
        accepted(DOMAIN + 4, &[0, 0xfffc_07ff]);
        refused(
            DOMAIN + 4,
            &[1 << 11, 1 << 12, 1 << 17],
            SnapshotError::Domain,
        );
    }

    // AP-13 to AP-15, AP-33.
    #[test]
    fn sources() {
        let sourcecfg = |n: usize| WORD + 16 + 4 * n;
        let target = |n: usize| WORD + 144 + 4 * n;

        // Pending bits: 4 has a high input, 5 may always be pending, but not while it is due.
        accepted(WORD, &[0, 1 << 4]);
        refused(WORD, &[1, 1 << 9, 1 << 31], SnapshotError::Source);
        refused(WORD, &[1 << 5], SnapshotError::Due);
        // Enable bits, likewise.
        accepted(WORD + 4, &[0, 1 << 5]);
        refused(WORD + 4, &[1, 1 << 9], SnapshotError::Source);
        refused(WORD + 4, &[1 << 4], SnapshotError::Due);
        // Wires are there whether or not their sources are active, unless they do not exist.
        accepted(WORD + 8, &[1 << 4, 1 << 4 | !0 << 10]);
        refused(WORD + 8, &[0, 1 << 4 | 1], SnapshotError::Source);
        // As are those of resamplers.
        accepted(WORD + 12, &[0, 1 << 4, 1 << 4 | !0 << 10]);
        refused(WORD + 12, &[1, 1 << 5 | 1], SnapshotError::Source);

        accepted(sourcecfg(6), &[0, 1, 4, 5, 6, 7]);
        refused(sourcecfg(6), &[2, 3, 8, 1 << 10], SnapshotError::Source);
        refused(sourcecfg(0), &[1, 4], SnapshotError::Source);
        refused(sourcecfg(4), &[0, 7], SnapshotError::Source);
        accepted(target(5), &[0, 0xfffc_07ff]);
        refused(
            target(5),
            &[1 << 11, 1 << 12, 1 << 17],
            SnapshotError::Source,
        );
        refused(target(6), &[1], SnapshotError::Source);

        // The second word has sources 32 and 33.
        let second = 272;
        accepted(second + sourcecfg(0), &[4]);
        accepted(second + sourcecfg(1), &[4]);
        refused(second + sourcecfg(2), &[4], SnapshotError::Source);
        accepted(second + WORD + 8, &[1, 2]);
        refused(second + WORD + 8, &[4], SnapshotError::Source);
    }

    /// A source that is pending and enabled waits for IE, and only for that (AP-39).
    #[test]
    fn due_sources() -> Result {
        let mut bytes = [0; SIZE];
        let layout = make(&mut bytes).ok_or(SnapshotError::Size)?;
        let mut open = |pending, ie| {
            bytes[WORD] = pending;
            bytes[DOMAIN + 1] = ie;
            Snapshot::open(layout, &bytes).map(drop)
        };

        assert_eq!(open(0x30, 1), Err(SnapshotError::Due));
        assert_eq!(open(0x30, 0), Ok(()));
        assert_eq!(open(0x10, 1), Ok(()));
        Ok(())
    }

    #[test]
    fn vcpus_ascend() {
        let second = VCPU + 40;

        accepted(VCPU, &[0, 6]);
        refused(VCPU, &[7, 8, u32::MAX], SnapshotError::VcpuOrder);
        accepted(second, &[4, u32::MAX]);
        refused(second, &[0, 2, 3], SnapshotError::VcpuOrder);
        refused(VCPU + 4, &[1], SnapshotError::Reserved);
        refused(second + 4, &[1 << 31], SnapshotError::Reserved);
    }

    // IM-24, IM-25.
    #[test]
    fn files() {
        let second = VCPU + 40;

        accepted(second + 8, &[0, 1]);
        refused(second + 8, &[2, 0x4000_0000], SnapshotError::File);
        refused(second + 12, &[1], SnapshotError::File);
        accepted(second + 16, &[0, 1, 2047]);
        refused(second + 16, &[2048], SnapshotError::File);
        refused(second + 20, &[1], SnapshotError::File);
        for eix in [second + 24, second + 32] {
            accepted(eix, &[0, 2, !1]);
            refused(eix, &[1], SnapshotError::File);
            accepted(eix + 4, &[!0]);
        }
    }
}
