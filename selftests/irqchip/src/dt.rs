// SPDX-License-Identifier: GPL-2.0

//! The machine as its device tree describes it.

use crate::{
    interrupts,
    madt::Madt, //
};
use std::{
    collections::BTreeMap,
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

/// The harts whose supervisor external interrupt a node has as a parent, in its order.
pub fn external_interrupts(node: &Node) -> Vec<u64> {
    let intcs = intcs();

    node.cells("interrupts-extended")
        .chunks_exact(2)
        .filter(|c| c[1] == IRQ_S_EXT)
        // Others are not the kernel's.
        .map(|c| intcs.get(&c[0]).copied().unwrap_or(u64::MAX))
        .collect()
}

/// The harts, by the phandles of their local interrupt controllers.
fn intcs() -> BTreeMap<u32, u64> {
    let mut nodes = Vec::new();

    walk(&Path::new(ROOT).join("cpus"), &mut nodes);
    nodes
        .into_iter()
        .filter(|n| n.strings("device_type").iter().any(|t| t == "cpu"))
        .filter_map(|n| {
            let hart = n
                .cells("reg")
                .iter()
                .fold(0u64, |v, c| v << 32 | u64::from(*c));

            Some((
                Node(n.0.join("interrupt-controller")).cell("phandle")?,
                hart,
            ))
        })
        .collect()
}

/// The harts that the kernel may use, also of a machine with ACPI.
pub fn harts() -> usize {
    let mut nodes = Vec::new();

    if let Some(madt) = Madt::find() {
        return madt.rintcs.iter().filter(|rintc| rintc.enabled).count();
    }
    walk(&Path::new(ROOT).join("cpus"), &mut nodes);
    nodes
        .iter()
        .filter(|n| n.strings("device_type").iter().any(|t| t == "cpu") && n.enabled())
        .count()
}
