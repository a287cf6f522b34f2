// SPDX-License-Identifier: GPL-2.0

//! What the device tree says of an APLIC, checked against the binding.
//!
//! `Documentation/devicetree/bindings/interrupt-controller/riscv,aplic.yaml`

use aia_core::{
    addr::{
        PAGE_OFFSET_MASK,
        PAGE_SIZE, //
    },
    aplic::regs,
    ids::{
        HartIndex,
        IdcIndex,
        NrSources, //
    },
};
use kernel::{
    cpu::CpuId,
    device::property::FwNode,
    prelude::*, //
};
use kernel_ext::{
    arch::riscv,
    fwnode,
    of::{
        self,
        address::Range, //
    },
    refuse, //
};

const HART_INDEXES: &CStr = c"riscv,hart-indexes";

/// How interrupts reach the harts.
pub(crate) enum Delivery {
    /// As MSIs, since the node has an `msi-parent`. The domain has numbers of its own for these
    /// harts; if there are none, it has those of the machine level.
    Msi(KVec<HartWire>),
    /// By wires to these harts.
    Direct(KVec<HartWire>),
}

/// A hart that an APLIC interrupts, or could interrupt, by a wire.
#[derive(Clone, Copy)]
pub(crate) struct HartWire {
    pub(crate) cpu: CpuId,
    /// The domain's number of the hart.
    pub(crate) hart: HartIndex,
}

/// The checked description of an APLIC.
pub(crate) struct AplicConfig {
    /// Where the registers are, and how many bytes of it.
    pub(crate) registers: (Range, usize),
    pub(crate) nr_sources: NrSources,
    pub(crate) delivery: Delivery,
}

/// The registers of all APLICs that firmware describes as interrupting harts of the
/// kernel by wires.
pub(crate) fn direct_registers() -> impl Iterator<Item = Range> {
    of::compatible(c"riscv,aplic").filter_map(|node| {
        if !fwnode::is_available(&node) || node.property_present(c"msi-parent") {
            return None;
        }
        // Others belong to another privilege level, or to somebody else's harts.
        of::irq::parent_harts(&node)
            .ok()?
            .iter()
            .find_map(|hartid| riscv::cpu_of_hart(*hartid))?;

        let ranges = of::address::ranges(&node).ok()?;
        let range = *ranges.first()?;

        (range.start() & PAGE_OFFSET_MASK == 0 && range.size() >= PAGE_SIZE).then_some(range)
    })
}

impl AplicConfig {
    /// Reads and checks `node`.
    ///
    /// Every refusal is printed, with the node and the property.
    pub(crate) fn of_node(node: &FwNode) -> Result<Self> {
        const SOURCES: &CStr = c"riscv,num-sources";
        const SOURCES_NAME: &str = "riscv,num-sources";

        let count = fwnode::read_u32(node, SOURCES)
            .map_err(|_| refuse!(node, SOURCES_NAME, "not one 32-bit cell"))?
            .ok_or_else(|| refuse!(node, SOURCES_NAME, "missing"))?;
        let nr_sources = NrSources::new(count)
            .ok_or_else(|| refuse!(node, SOURCES_NAME, "{} is not from 1 to 1023", count))?;

        let delivery = if !node.property_present(c"msi-parent") {
            Delivery::Direct(Self::wires(node)?)
        } else if node.property_present(HART_INDEXES) {
            Delivery::Msi(Self::wires(node)?)
        } else {
            Delivery::Msi(KVec::new())
        };

        Ok(Self {
            registers: Self::registers(node, &delivery)?,
            nr_sources,
            delivery,
        })
    }

    fn registers(node: &FwNode, delivery: &Delivery) -> Result<(Range, usize)> {
        let ranges = of::address::ranges(node)
            .map_err(|(index, _)| refuse!(node, "reg", "region {} is malformed", index))?;
        let &range = ranges
            .first()
            .ok_or_else(|| refuse!(node, "reg", "no memory region"))?;
        let last = match delivery {
            Delivery::Msi(_) => None,
            Delivery::Direct(wires) => wires.iter().map(|wire| IdcIndex::from(wire.hart)).max(),
        };
        let needed = regs::region_size(last);
        let (start, size) = (range.start(), usize::try_from(range.size())?);

        if start & PAGE_OFFSET_MASK != 0 {
            return Err(refuse!(node, "reg", "{:#x} is not aligned to 4 KiB", start));
        }
        if size < needed {
            return Err(refuse!(
                node,
                "reg",
                "{:#x} bytes, but the registers take {:#x}",
                size,
                needed
            ));
        }
        // What is beyond the registers is of no use, and mapping it takes memory.
        Ok((range, needed))
    }

    /// The harts that the APLIC interrupts, with their indexes in its domain.
    fn wires(node: &FwNode) -> Result<KVec<HartWire>> {
        let hartids = of::irq::parent_harts(node)
            .map_err(|error| refuse!(node, "interrupts-extended", "{}", error))?;
        let indexes = Self::hart_indexes(node, hartids.len())?;
        let mut wires: KVec<HartWire> = KVec::with_capacity(hartids.len(), GFP_KERNEL)?;

        for (number, &hartid) in hartids.iter().enumerate() {
            let index = match &indexes {
                Some(indexes) => indexes.get(number).copied().ok_or(EINVAL)?,
                None => u32::try_from(number)?,
            };
            let hart = HartIndex::new(index)
                .ok_or_else(|| refuse!(node, "riscv,hart-indexes", "{} is above 16383", index))?;

            if wires.iter().any(|wire| wire.hart == hart) {
                return Err(refuse!(node, "riscv,hart-indexes", "{} comes twice", index));
            }
            // Harts that firmware has disabled, or beyond the kernel's limit, are none of ours.
            if let Some(cpu) = riscv::cpu_of_hart(hartid) {
                wires.push(HartWire { cpu, hart }, GFP_KERNEL)?;
            }
        }

        if wires.is_empty() {
            pr_err!(
                "{}: interrupts-extended: no hart that the kernel runs\n",
                node.display_name()
            );
            return Err(ENODEV);
        }
        Ok(wires)
    }

    fn hart_indexes(node: &FwNode, harts: usize) -> Result<Option<KVec<u32>>> {
        const NAME: &str = "riscv,hart-indexes";

        if !node.property_present(HART_INDEXES) {
            return Ok(None);
        }

        let count = node
            .property_count_elem::<u32>(HART_INDEXES)
            .map_err(|_| refuse!(node, NAME, "not 32-bit cells"))?;
        if count != harts {
            return Err(refuse!(node, NAME, "{} indexes for {} harts", count, harts));
        }
        node.property_read_array_vec::<u32>(HART_INDEXES, count)?
            .optional()
            .map(Some)
            .ok_or(EINVAL)
    }
}
