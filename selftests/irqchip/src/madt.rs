// SPDX-License-Identifier: GPL-2.0

//! The machine as ACPI's table of interrupt controllers describes it (MADT; ACPI 6.6, 5.2.12).

use std::fs;

const TABLE: &str = "/sys/firmware/acpi/tables/APIC";

/// The table's header, the address of the local controller, and flags.
const FIRST: usize = 44;

/// A hart's controller (RINTC).
#[derive(Clone, Copy, Debug)]
pub struct Rintc {
    /// Whether the kernel may use the hart.
    pub enabled: bool,
    /// Its hart ID.
    pub hart: u64,
    /// Where its interrupt files are.
    pub imsic: u64,
    /// How many bytes of them there are.
    pub imsic_size: u32,
}

/// What all interrupt files have in common (IMSIC).
#[derive(Clone, Copy, Debug)]
pub struct Imsic {
    /// Identities of a supervisor file.
    pub ids: u16,
    /// Identities of a guest file.
    pub guest_ids: u16,
    /// Bits of the guest index.
    pub guest_bits: u8,
    /// Bits of the hart index.
    pub hart_bits: u8,
    /// Bits of the group index.
    pub group_bits: u8,
    /// Where in an address the group index is.
    pub group_shift: u8,
}

/// An APLIC.
#[derive(Clone, Copy, Debug)]
pub struct Aplic {
    /// Its number.
    pub id: u8,
    /// How many sources it has.
    pub sources: u16,
    /// Where its registers are.
    pub address: u64,
}

/// What the table has of each kind, in its order.
#[derive(Clone, Debug, Default)]
pub struct Madt {
    /// Harts, also those that are disabled.
    pub rintcs: Vec<Rintc>,
    /// At most one.
    pub imsics: Vec<Imsic>,
    /// All APLICs.
    pub aplics: Vec<Aplic>,
}

fn bytes<const N: usize>(entry: &[u8], at: usize) -> [u8; N] {
    entry
        .get(at..at + N)
        .and_then(|bytes| bytes.try_into().ok())
        .unwrap_or([0; N])
}

impl Madt {
    /// The table of a machine that has one.
    pub fn find() -> Option<Self> {
        let table = fs::read(TABLE).ok()?;
        let mut rest = table.get(FIRST..)?;
        let mut madt = Self::default();

        while let &[kind, length, ..] = rest {
            let length = usize::from(length).max(2).min(rest.len());
            let (e, others) = rest.split_at(length);
            let half = |at| u16::from_le_bytes(bytes(e, at));
            let word = |at| u32::from_le_bytes(bytes(e, at));
            let long = |at| u64::from_le_bytes(bytes(e, at));
            let [byte] = bytes(e, 3);

            match kind {
                0x18 => madt.rintcs.push(Rintc {
                    enabled: word(4) & 1 != 0,
                    hart: long(8),
                    imsic: long(24),
                    imsic_size: word(32),
                }),
                0x19 => {
                    let [guest_bits, hart_bits, group_bits, group_shift] = bytes(e, 12);

                    madt.imsics.push(Imsic {
                        ids: half(8),
                        guest_ids: half(10),
                        guest_bits,
                        hart_bits,
                        group_bits,
                        group_shift,
                    });
                }
                0x1a => madt.aplics.push(Aplic {
                    id: byte,
                    sources: half(18),
                    address: long(24),
                }),
                _ => (),
            }
            rest = others;
        }
        Some(madt)
    }
}
