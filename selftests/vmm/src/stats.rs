// SPDX-License-Identifier: GPL-2.0

//! KVM's own binary statistics (KVM_GET_STATS_FD).

use crate::{
    Context,
    Error,
    Result, //
};
use std::{
    collections::BTreeMap,
    fs::File,
    os::unix::fs::FileExt, //
};

/// `struct kvm_stats_header`.
const HEADER: usize = 24;
/// `struct kvm_stats_desc` without the name that follows it.
const DESC: usize = 16;

/// The file with a vCPU's statistics, with its description read once.
#[derive(Debug)]
pub(crate) struct StatsFile {
    file: File,
    /// Names and offsets from the start of the file; histograms are left out.
    fields: Vec<(String, u64)>,
}

fn word(bytes: &[u8], at: usize) -> Result<u32> {
    bytes
        .get(at..at + 4)
        .map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]))
        .ok_or_else(|| Error::new("KVM statistics end early"))
}

/// The fields of one value each, from header and descriptors.
fn parse(head: &[u8], descs: &[u8]) -> Result<Vec<(String, u64)>> {
    let name_size = word(head, 4)? as usize;
    let num = word(head, 8)? as usize;
    let data = u64::from(word(head, 20)?);
    let mut fields = Vec::new();

    for desc in descs.chunks_exact(DESC + name_size).take(num) {
        // flags: u32, exponent: s16, size: u16, offset: u32, bucket_size: u32, name
        let size = word(desc, 4)? >> 16;
        let offset = u64::from(word(desc, 8)?);
        let name = desc[DESC..].split(|&b| b == 0).next().unwrap_or_default();

        if size == 1 {
            fields.push((String::from_utf8_lossy(name).into_owned(), data + offset));
        }
    }
    Ok(fields)
}

impl StatsFile {
    pub(crate) fn new(file: File) -> Result<Self> {
        let mut head = [0; HEADER];

        file.read_exact_at(&mut head, 0).context("KVM statistics")?;
        let len = word(&head, 8)? as usize * (DESC + word(&head, 4)? as usize);
        let mut descs = vec![0; len];
        file.read_exact_at(&mut descs, word(&head, 16)?.into())
            .context("KVM statistics descriptors")?;
        let fields = parse(&head, &descs)?;
        Ok(Self { file, fields })
    }

    pub(crate) fn read(&self) -> Result<Stats> {
        let mut values = BTreeMap::new();

        for (name, at) in &self.fields {
            let mut value = [0; 8];

            self.file
                .read_exact_at(&mut value, *at)
                .context(format!("KVM statistic {name}"))?;
            values.insert(name.clone(), u64::from_le_bytes(value));
        }
        Ok(Stats(values))
    }
}

/// Statistics of a vCPU, or the difference between two readings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats(BTreeMap<String, u64>);

/// What KVM counts of traps of the guest itself; host interrupts are not among them.
const TRAPS: [&str; 12] = [
    "csr_exit_kernel",
    "csr_exit_user",
    "ecall_exit_stat",
    "instr_illegal_exits",
    "load_access_exits",
    "load_misaligned_exits",
    "mmio_exit_kernel",
    "mmio_exit_user",
    "store_access_exits",
    "store_misaligned_exits",
    "wfi_exit_stat",
    "wrs_exit_stat",
];

impl Stats {
    /// The value called `name`; a kernel without it cannot be tested.
    ///
    /// # Panics
    ///
    /// Panics if KVM has no such statistic.
    pub fn get(&self, name: &str) -> u64 {
        *self
            .0
            .get(name)
            .unwrap_or_else(|| panic!("KVM has no statistic called {name}"))
    }

    /// All exits from guest mode, those for host interrupts included.
    pub fn exits(&self) -> u64 {
        self.get("exits")
    }

    /// Exits that something the guest did caused.
    pub fn traps(&self) -> u64 {
        TRAPS.iter().map(|n| self.get(n)).sum()
    }

    /// What was added since `earlier`.
    pub fn since(&self, earlier: &Self) -> Self {
        Self(
            self.0
                .iter()
                .map(|(n, v)| {
                    let old = earlier.0.get(n).copied().unwrap_or_default();
                    (n.clone(), v.wrapping_sub(old))
                })
                .collect(),
        )
    }
}

impl std::fmt::Display for Stats {
    /// The values that are not zero.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut sep = "";

        for (n, v) in self.0.iter().filter(|(_, v)| **v != 0) {
            write!(f, "{sep}{n} {v}")?;
            sep = ", ";
        }
        Ok(())
    }
}
