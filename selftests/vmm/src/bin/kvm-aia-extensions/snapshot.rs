// SPDX-License-Identifier: GPL-2.0

//! A snapshot as user space sees it: bytes at offsets.

use crate::sys::Device;
use vmm::{
    same,
    Context,
    Result, //
};

/// Fields of the header, numbers of 32 bits.
pub(crate) const HEADER: usize = 24;
pub(crate) const VERSION: usize = 0;
pub(crate) const SIZE: usize = 4;
pub(crate) const NR_IDS: usize = 8;
pub(crate) const NR_SOURCES: usize = 12;
pub(crate) const NR_VCPUS: usize = 16;
pub(crate) const RESERVED: usize = 20;

/// Fields of the APLIC.
pub(crate) const DOMAINCFG: usize = HEADER;
pub(crate) const GENMSI: usize = HEADER + 4;
/// The first word of sources.
pub(crate) const WORD: usize = HEADER + 8;
pub(crate) const WORD_SIZE: usize = 272;

/// Fields of a word.
pub(crate) const PENDING: usize = 0;
pub(crate) const ENABLED: usize = 4;
pub(crate) const WIRES: usize = 8;
pub(crate) const RESAMPLED: usize = 12;
pub(crate) const SOURCECFG: usize = 16;
pub(crate) const TARGET: usize = 144;

/// Fields of a vCPU.
pub(crate) const ID: usize = 0;
pub(crate) const VCPU_RESERVED: usize = 4;
pub(crate) const EIDELIVERY: usize = 8;
pub(crate) const EITHRESHOLD: usize = 16;
pub(crate) const EIP: usize = 24;
pub(crate) const EIE: usize = 32;

/// The header of a request.
pub(crate) fn request(version: u32, size: u32, reserved: u32) -> Vec<u8> {
    [version, size, 0, 0, 0, reserved]
        .iter()
        .flat_map(|field| field.to_le_bytes())
        .collect()
}

/// A whole snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Snapshot(pub(crate) Vec<u8>);

impl Snapshot {
    /// That of a machine, in memory of exactly its size.
    pub(crate) fn take(device: &Device) -> Result<Self> {
        let (_, header) = device.get(&request(1, HEADER as u32, 0))?;
        let size = Self(header).u32(SIZE);
        let mut bytes = request(1, size, 0);

        // No field is left as it was.
        bytes.resize((size as usize).max(HEADER), 0xa5);
        let (result, bytes) = device.get(&bytes)?;

        result.context("GET of the state")?;
        Ok(Self(bytes))
    }

    /// The state of a part, by the number of its attribute.
    pub(crate) fn take_part(device: &Device, attr: u64) -> Result<Self> {
        let (asked, header) = device.get_part(attr, &request(0, 0, 0))?;

        asked.context("GET of the header")?;
        let header = Self(header);
        let mut bytes = header.with(NR_IDS, 0xa5a5_a5a5).0;

        bytes.resize(header.u32(SIZE) as usize, 0xa5);
        let (result, bytes) = device.get_part(attr, &bytes)?;

        result.context("GET of a part")?;
        Ok(Self(bytes))
    }

    /// Asserts that the machine has just this state.
    pub(crate) fn check(&self, device: &Device, when: &str) -> Result<()> {
        let now = Self::take(device)?;
        let differs = (0..self.0.len().max(now.0.len())).find(|&n| self.0.get(n) != now.0.get(n));

        same(differs, None, || format!("first byte that differs {when}"))
    }

    pub(crate) fn u32(&self, at: usize) -> u32 {
        let mut field = [0; 4];

        field.copy_from_slice(&self.0[at..at + 4]);
        u32::from_le_bytes(field)
    }

    pub(crate) fn u64(&self, at: usize) -> u64 {
        u64::from(self.u32(at + 4)) << 32 | u64::from(self.u32(at))
    }

    /// The same with another number.
    pub(crate) fn with(&self, at: usize, value: u32) -> Self {
        let mut new = self.clone();

        new.0[at..at + 4].copy_from_slice(&value.to_le_bytes());
        new
    }

    /// The offset of word `n` of the sources.
    pub(crate) fn word(n: usize) -> usize {
        WORD + n * WORD_SIZE
    }

    /// The size of a vCPU.
    pub(crate) fn vcpu_size(&self) -> usize {
        24 + 16 * self.u32(NR_IDS).div_ceil(64) as usize
    }

    /// The offset of the vCPU at a position.
    pub(crate) fn vcpu(&self, position: usize) -> usize {
        let start = match self.u32(NR_SOURCES) {
            0 => HEADER,
            sources => Self::word(1 + sources as usize / 32),
        };

        start + position * self.vcpu_size()
    }
}
