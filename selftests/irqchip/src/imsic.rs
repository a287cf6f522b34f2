// SPDX-License-Identifier: GPL-2.0

//! The supervisor level's IMSIC as firmware describes it.

use crate::{
    cpu,
    dt,
    madt::Madt, //
};

const PAGE: u64 = 4096;

/// The interrupt files of a hart.
#[derive(Clone, Copy, Debug)]
pub struct Files {
    /// Its hart ID.
    pub hart: u64,
    /// The page of its supervisor file. Those of guest files follow.
    pub page: u64,
    /// How many guest files have a page.
    pub guests: u32,
}

/// The IMSIC.
#[derive(Clone, Debug)]
pub struct Imsic {
    /// What the kernel calls it.
    pub name: String,
    /// Identities of each supervisor file.
    pub ids: u64,
    /// Identities of each guest file.
    pub guest_ids: u64,
    /// Bits of the guest index.
    pub guest_bits: u32,
    /// Bits of the hart index.
    pub hart_bits: u32,
    /// Bits of the group index.
    pub group_bits: u32,
    /// Where in an address the group index is.
    pub group_shift: u32,
    /// Of each hart that it serves, in firmware's order.
    pub files: Vec<Files>,
}

/// How many guest files begin behind a page, of `size` bytes with it.
fn guests(size: u64, guest_bits: u32) -> u32 {
    let pages = (size / PAGE).saturating_sub(1);

    // CAST: Fewer than 64.
    pages.min((1 << guest_bits) - 1) as u32
}

impl Imsic {
    /// The IMSIC of a machine that has one.
    pub fn find() -> Option<Self> {
        Self::of_tree().or_else(Self::of_madt)
    }

    fn of_tree() -> Option<Self> {
        let node = dt::find("riscv,imsics").into_iter().next()?;
        let harts = dt::external_interrupts(&node);
        let count = harts.len().max(1).next_power_of_two().ilog2();
        let ids = node.cell("riscv,num-ids")?.into();
        let guest_bits = node.cell("riscv,guest-index-bits").unwrap_or(0);
        let stride = PAGE << guest_bits;
        let mut files = Vec::new();

        // Region by region: each begins with a hart of its own, and may end before the last guest
        // file of one.
        for (start, size) in node.regions() {
            for offset in (0..size).step_by(stride as usize) {
                let Some(hart) = harts.get(files.len()) else {
                    break;
                };

                files.push(Files {
                    hart: *hart,
                    page: start + offset,
                    guests: guests(size - offset, guest_bits),
                });
            }
        }
        Some(Self {
            name: node.name(),
            ids,
            guest_ids: node.cell("riscv,num-guest-ids").map_or(ids, u64::from),
            guest_bits,
            hart_bits: node.cell("riscv,hart-index-bits").unwrap_or(count),
            group_bits: node.cell("riscv,group-index-bits").unwrap_or(0),
            group_shift: node.cell("riscv,group-index-shift").unwrap_or(24),
            files,
        })
    }

    fn of_madt() -> Option<Self> {
        let madt = Madt::find()?;
        let imsic = madt.imsics.first()?;
        let guest_bits = imsic.guest_bits.into();

        Some(Self {
            name: "imsic".into(),
            ids: imsic.ids.into(),
            guest_ids: imsic.guest_ids.into(),
            guest_bits,
            hart_bits: imsic.hart_bits.into(),
            group_bits: imsic.group_bits.into(),
            group_shift: imsic.group_shift.into(),
            files: madt
                .rintcs
                .iter()
                .filter(|rintc| rintc.enabled)
                .map(|rintc| Files {
                    hart: rintc.hart,
                    page: rintc.imsic,
                    guests: guests(rintc.imsic_size.into(), guest_bits),
                })
                .collect(),
        })
    }

    /// The interrupt files of a CPU.
    pub fn files(&self, cpu: usize) -> Option<&Files> {
        let (_, hart) = cpu::hart_ids().into_iter().find(|(c, _)| *c == cpu)?;

        self.files.iter().find(|files| files.hart == hart)
    }

    /// The page of a CPU.
    pub fn page(&self, cpu: usize) -> Option<u64> {
        Some(self.files(cpu)?.page)
    }

    /// The lowest address of the scheme.
    pub fn base(&self) -> Option<u64> {
        let low = (1u64 << (12 + self.guest_bits + self.hart_bits)) - 1;
        let group = ((1u64 << self.group_bits) - 1) << self.group_shift;

        Some(self.files.first()?.page & !low & !group)
    }

    /// The least number of guest files that any hart has.
    pub fn guest_files(&self) -> u64 {
        self.files
            .iter()
            .map(|files| files.guests)
            .min()
            .unwrap_or(0)
            .into()
    }
}
