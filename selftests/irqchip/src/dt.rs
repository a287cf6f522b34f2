// SPDX-License-Identifier: GPL-2.0

//! The machine as its device tree describes it.

use crate::{
    cpu,
    interrupts, //
};
use std::{
    fs,
    path::{
        Path,
        PathBuf, //
    },
};

const ROOT: &str = "/proc/device-tree";

/// The supervisor external interrupt of a hart's local controller.
const IRQ_S_EXT: u32 = 9;

/// A node of the device tree.
#[derive(Clone, Debug)]
pub struct Node(PathBuf);

impl Node {
    fn bytes(&self, property: &str) -> Option<Vec<u8>> {
        fs::read(self.0.join(property)).ok()
    }

    /// A property as 32-bit cells.
    pub fn cells(&self, property: &str) -> Vec<u32> {
        self.bytes(property)
            .unwrap_or_default()
            .chunks_exact(4)
            .map(|c| u32::from_be_bytes([c[0], c[1], c[2], c[3]]))
            .collect()
    }

    /// The first cell of a property.
    pub fn cell(&self, property: &str) -> Option<u32> {
        self.cells(property).first().copied()
    }

    /// Whether the property is there.
    pub fn has(&self, property: &str) -> bool {
        self.0.join(property).exists()
    }

    fn strings(&self, property: &str) -> Vec<String> {
        self.bytes(property)
            .unwrap_or_default()
            .split(|b| *b == 0)
            .filter(|s| !s.is_empty())
            .map(|s| String::from_utf8_lossy(s).into())
            .collect()
    }

    /// Whether the node is one of these devices.
    pub fn is(&self, compatible: &str) -> bool {
        self.strings("compatible").iter().any(|c| c == compatible)
    }

    /// Whether the kernel may use it.
    pub fn enabled(&self) -> bool {
        self.strings("status")
            .first()
            .is_none_or(|s| s == "okay" || s == "ok")
    }

    /// The name with its unit address.
    pub fn name(&self) -> String {
        self.0
            .file_name()
            .map_or_else(String::new, |n| n.to_string_lossy().into())
    }

    /// Regions of `reg`, for parents with two cells for address and size each.
    pub fn regions(&self) -> Vec<(u64, u64)> {
        self.cells("reg")
            .chunks_exact(4)
            .map(|c| {
                (
                    u64::from(c[0]) << 32 | u64::from(c[1]),
                    u64::from(c[2]) << 32 | u64::from(c[3]),
                )
            })
            .collect()
    }
}

fn walk(dir: &Path, nodes: &mut Vec<Node>) {
    nodes.push(Node(dir.into()));
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|t| t.is_dir()) {
            walk(&entry.path(), nodes);
        }
    }
}

/// All nodes that are compatible, also disabled ones.
pub fn all(compatible: &str) -> Vec<Node> {
    let mut nodes = Vec::new();

    walk(Path::new(ROOT), &mut nodes);
    nodes.retain(|n| n.is(compatible));
    nodes
}

/// All nodes that are enabled and compatible.
pub fn find(compatible: &str) -> Vec<Node> {
    let mut nodes = all(compatible);

    nodes.retain(Node::enabled);
    nodes
}

/// How wired and message-signalled interrupts reach the harts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// IMSIC, and an APLIC that sends MSIs to it.
    Msi,
    /// An APLIC that is connected to the harts directly.
    Direct,
    /// No AIA device at all.
    None,
}

/// What the machine has. Without a device tree (ACPI), what the kernel shows decides.
pub fn mode() -> Mode {
    if !find("riscv,imsics").is_empty() {
        return Mode::Msi;
    }
    if !find("riscv,aplic").is_empty() {
        return Mode::Direct;
    }

    let shown = |chip: &str| interrupts::lines().iter().any(|l| l.text.contains(chip));

    if shown("APLIC-MSI") {
        Mode::Msi
    } else if shown("APLIC-DIRECT") {
        Mode::Direct
    } else {
        Mode::None
    }
}

/// The supervisor level's IMSIC as described by its node.
#[derive(Clone, Debug)]
pub struct Imsic {
    /// The node.
    pub node: Node,
    /// Identities of each interrupt file.
    pub ids: u64,
    /// Bits of the guest index.
    pub guest_bits: u32,
    /// Bits of the hart index.
    pub hart_bits: u32,
    /// Bits of the group index.
    pub group_bits: u32,
    /// Where in an address the group index is.
    pub group_shift: u32,
    /// Phandles of the harts' local controllers, in the order of the files.
    pub parents: Vec<u32>,
}

impl Imsic {
    /// The IMSIC of a machine that has one.
    pub fn find() -> Option<Self> {
        let node = find("riscv,imsics").into_iter().next()?;
        let parents: Vec<u32> = node
            .cells("interrupts-extended")
            .chunks_exact(2)
            .filter(|c| c[1] == IRQ_S_EXT)
            .map(|c| c[0])
            .collect();
        let harts = parents.len() as u32;

        Some(Self {
            ids: node.cell("riscv,num-ids")?.into(),
            guest_bits: node.cell("riscv,guest-index-bits").unwrap_or(0),
            hart_bits: node
                .cell("riscv,hart-index-bits")
                .unwrap_or(harts.max(1).next_power_of_two().ilog2()),
            group_bits: node.cell("riscv,group-index-bits").unwrap_or(0),
            group_shift: node.cell("riscv,group-index-shift").unwrap_or(24),
            parents,
            node,
        })
    }

    /// The page and the guest files behind it, of the nth hart that it serves.
    pub fn file(&self, index: usize) -> Option<(u64, u64)> {
        let stride = 4096u64 << self.guest_bits;
        let mut offset = index as u64 * stride;

        for (start, size) in self.node.regions() {
            if offset < size {
                let pages = (size - offset) / 4096 - 1;

                return Some((start + offset, pages.min((1 << self.guest_bits) - 1)));
            }
            // The next region begins with a hart of its own.
            offset -= size.next_multiple_of(stride);
        }
        None
    }

    /// The page of a CPU, by way of its hart.
    pub fn page(&self, cpu: usize) -> Option<u64> {
        let (_, hart) = cpu::hart_ids().into_iter().find(|(c, _)| *c == cpu)?;
        let phandle = hart_intc(hart)?;
        let index = self.parents.iter().position(|p| *p == phandle)?;

        Some(self.file(index)?.0)
    }

    /// The lowest address of the scheme.
    pub fn base(&self) -> Option<u64> {
        let (start, _) = *self.node.regions().first()?;
        let low = (1u64 << (12 + self.guest_bits + self.hart_bits)) - 1;
        let group = ((1u64 << self.group_bits) - 1) << self.group_shift;

        Some(start & !low & !group)
    }

    /// The least number of guest files that any hart has.
    pub fn guest_files(&self) -> u64 {
        (0..self.parents.len())
            .filter_map(|i| Some(self.file(i)?.1))
            .min()
            .unwrap_or(0)
    }
}

/// The phandle of a hart's local interrupt controller.
fn hart_intc(hart: u64) -> Option<u32> {
    let mut nodes = Vec::new();

    walk(&Path::new(ROOT).join("cpus"), &mut nodes);
    let cpu = nodes.into_iter().find(|n| {
        n.strings("device_type").iter().any(|t| t == "cpu")
            && n.cells("reg")
                .iter()
                .fold(0u64, |v, c| v << 32 | u64::from(*c))
                == hart
    })?;

    Node(cpu.0.join("interrupt-controller")).cell("phandle")
}

/// The harts that the kernel may use.
pub fn harts() -> usize {
    let mut nodes = Vec::new();

    walk(&Path::new(ROOT).join("cpus"), &mut nodes);
    nodes
        .iter()
        .filter(|n| n.strings("device_type").iter().any(|t| t == "cpu") && n.enabled())
        .count()
}
