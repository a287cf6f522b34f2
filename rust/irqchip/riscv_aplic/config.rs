// SPDX-License-Identifier: GPL-2.0

//! What firmware says of an APLIC, checked.

#[cfg(CONFIG_ACPI)]
pub(crate) mod acpi;
pub(crate) mod of;

use aia_core::{
    addr::PAGE_OFFSET_MASK,
    aplic::regs,
    ids::{
        HartIndex,
        IdcIndex,
        NrSources, //
    }, //
};
use kernel::{
    cpu::CpuId,
    device::property::FwNode,
    prelude::*, //
};
use kernel_ext::{
    arch::riscv,
    ioport::Range,
    refuse, //
};

/// How interrupts reach the harts.
pub(crate) enum Delivery {
    /// As MSIs, since the node has an `msi-parent`. The domain has numbers of its own for these
    /// harts; if there are none that the kernel runs, it has those of the machine level.
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

/// What firmware says of an APLIC.
pub(crate) struct Description {
    /// What firmware calls a property of the device tree's binding.
    pub(crate) name: fn(&'static str) -> &'static str,
    /// Where the registers are.
    pub(crate) registers: Range,
    pub(crate) nr_sources: u32,
    /// Firmware's number of source 0.
    pub(crate) first: u32,
    /// Whether firmware says that the APLIC sends MSIs.
    pub(crate) sends_msis: bool,
    /// The harts and the domain's numbers of them; if it sends MSIs, there need be none.
    pub(crate) harts: KVec<(usize, u32)>,
}

/// The checked description of an APLIC.
pub(crate) struct AplicConfig {
    /// What firmware calls a property of the device tree's binding.
    pub(crate) name: fn(&'static str) -> &'static str,
    /// Where the registers are, and how many bytes of it.
    pub(crate) registers: (Range, usize),
    pub(crate) nr_sources: NrSources,
    /// Firmware's number of source 0.
    pub(crate) first: u32,
    pub(crate) delivery: Delivery,
}

impl AplicConfig {
    /// Checks what firmware says of the APLIC of `node`.
    ///
    /// Every refusal is printed, with the node and the property.
    pub(crate) fn new(node: &FwNode, said: Description) -> Result<Self> {
        let nr_sources = NrSources::new(said.nr_sources).ok_or_else(|| {
            refuse!(
                node,
                (said.name)("riscv,num-sources"),
                "{} is not from 1 to 1023",
                said.nr_sources
            )
        })?;
        let wires = Self::wires(node, &said)?;
        let delivery = if said.sends_msis {
            // Those that the kernel does not run do not matter: it may be a crash kernel on another socket.
            Delivery::Msi(wires)
        } else if wires.is_empty() {
            pr_err!(
                "{}: {}: no hart that the kernel runs\n",
                node.display_name(),
                (said.name)("interrupts-extended")
            );
            return Err(ENODEV);
        } else {
            Delivery::Direct(wires)
        };

        Ok(Self {
            name: said.name,
            registers: Self::registers(node, &said, &delivery)?,
            nr_sources,
            first: said.first,
            delivery,
        })
    }

    fn registers(node: &FwNode, said: &Description, delivery: &Delivery) -> Result<(Range, usize)> {
        let last = match delivery {
            Delivery::Msi(_) => None,
            Delivery::Direct(wires) => wires.iter().map(|wire| IdcIndex::from(wire.hart)).max(),
        };
        let needed = regs::region_size(last);
        let range = said.registers;
        let (start, size) = (range.start(), usize::try_from(range.size())?);

        if start & PAGE_OFFSET_MASK != 0 {
            return Err(refuse!(
                node,
                (said.name)("reg"),
                "{:#x} is not aligned to 4 KiB",
                start
            ));
        }
        if size < needed {
            return Err(refuse!(
                node,
                (said.name)("reg"),
                "{:#x} bytes, but the registers take {:#x}",
                size,
                needed
            ));
        }
        // What is beyond the registers is of no use, and mapping it takes memory.
        Ok((range, needed))
    }

    /// The harts that the APLIC interrupts, and that the kernel runs, with their indexes in its domain.
    fn wires(node: &FwNode, said: &Description) -> Result<KVec<HartWire>> {
        let mut wires: KVec<HartWire> = KVec::with_capacity(said.harts.len(), GFP_KERNEL)?;

        for &(hartid, index) in said.harts.iter() {
            let name = (said.name)("riscv,hart-indexes");
            let hart = HartIndex::new(index)
                .ok_or_else(|| refuse!(node, name, "{} is above 16383", index))?;

            if wires.iter().any(|wire| wire.hart == hart) {
                return Err(refuse!(node, name, "{} comes twice", index));
            }
            // Harts that firmware has disabled, or beyond the kernel's limit, are none of ours.
            if let Some(cpu) = riscv::cpu_of_hart(hartid) {
                wires.push(HartWire { cpu, hart }, GFP_KERNEL)?;
            }
        }
        Ok(wires)
    }
}
