// SPDX-License-Identifier: GPL-2.0

//! What the device tree says of the IMSIC, checked against the binding.
//!
//! `Documentation/devicetree/bindings/interrupt-controller/riscv,imsics.yaml`

use aia_core::{
    addr::{
        Host,
        PhysAddr, //
    },
    error::Fault,
    geometry::{
        self,
        Geometry,
        GeometryParams, //
    },
    ids::NrIds,
    regions::{
        FileMap,
        FilePlace,
        Region, //
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

/// The most hart index bits of any IMSIC, by the binding.
const MAX_HART_INDEX_BITS: u32 = 15;

/// A hart that the kernel runs, and where its interrupt files are.
pub(crate) struct HartFiles {
    pub(crate) cpu: CpuId,
    pub(crate) place: FilePlace<Host>,
}

/// The checked description of an IMSIC.
pub(crate) struct ImsicConfig {
    pub(crate) geometry: Geometry<Host>,
    pub(crate) nr_ids: NrIds,
    pub(crate) nr_guest_ids: NrIds,
    pub(crate) ranges: KVec<Range>,
    pub(crate) harts: KVec<HartFiles>,
}

/// Reads a property of one cell, and refuses other shapes.
fn optional(node: &FwNode, name: &'static CStr) -> Result<Option<u32>> {
    fwnode::read_u32(node, name).map_err(|_| {
        refuse!(
            node,
            name.to_str().unwrap_or_default(),
            "not one 32-bit cell"
        )
    })
}

/// Reads a number of identities.
fn identities(node: &FwNode, name: &'static CStr) -> Result<Option<NrIds>> {
    let Some(value) = optional(node, name)? else {
        return Ok(None);
    };

    NrIds::new(value).map(Some).ok_or_else(|| {
        refuse!(
            node,
            name.to_str().unwrap_or_default(),
            "{} is not a multiple of 64 minus one from 63 to 2047",
            value
        )
    })
}

impl ImsicConfig {
    /// Reads and checks `node`.
    ///
    /// Every refusal is printed, with the node and the property.
    pub(crate) fn of_node(node: &FwNode) -> Result<Self> {
        let hartids = of::irq::parent_harts(node)
            .map_err(|error| refuse!(node, "interrupts-extended", "{}", error))?;
        let (ranges, regions) = Self::regions(node)?;
        let geometry = Self::geometry(node, &hartids, &regions)?;

        let nr_ids = identities(node, c"riscv,num-ids")?
            .ok_or_else(|| refuse!(node, "riscv,num-ids", "missing"))?;
        let nr_guest_ids = identities(node, c"riscv,num-guest-ids")?.unwrap_or(nr_ids);

        let harts = Self::harts(node, &geometry, &regions, &hartids)?;

        Ok(Self {
            geometry,
            nr_ids,
            nr_guest_ids,
            ranges,
            harts,
        })
    }

    fn regions(node: &FwNode) -> Result<(KVec<Range>, KVec<Region<Host>>)> {
        let ranges = of::address::ranges(node)
            .map_err(|(index, _)| refuse!(node, "reg", "region {} is malformed", index))?;
        let mut regions = KVec::with_capacity(ranges.len(), GFP_KERNEL)?;

        for range in ranges.iter() {
            regions.push(
                Region::new(PhysAddr::new(range.start()), range.size()),
                GFP_KERNEL,
            )?;
        }

        if regions.is_empty() {
            return Err(refuse!(node, "reg", "no memory region"));
        }
        Ok((ranges, regions))
    }

    fn geometry(
        node: &FwNode,
        hartids: &[usize],
        regions: &[Region<Host>],
    ) -> Result<Geometry<Host>> {
        let harts = u32::try_from(hartids.len())?;
        let params = GeometryParams {
            guest_index_bits: optional(node, c"riscv,guest-index-bits")?.unwrap_or(0),
            hart_index_bits: match optional(node, c"riscv,hart-index-bits")? {
                Some(bits) => bits,
                None => geometry::default_hart_index_bits(harts),
            },
            group_index_bits: optional(node, c"riscv,group-index-bits")?.unwrap_or(0),
            group_index_shift: optional(node, c"riscv,group-index-shift")?
                .unwrap_or(geometry::DEFAULT_GROUP_INDEX_SHIFT),
            file: regions.first().ok_or(EINVAL)?.start,
        };

        Geometry::new(params).map_err(|error| {
            let fault = Fault::from(error);

            refuse!(node, fault.property, "{}", fault.message)
        })
    }

    fn harts(
        node: &FwNode,
        geometry: &Geometry<Host>,
        regions: &[Region<Host>],
        hartids: &[usize],
    ) -> Result<KVec<HartFiles>> {
        let map = FileMap::new(geometry, regions).map_err(|error| {
            let index = error.index().unwrap_or(0);
            let fault = Fault::from(error);

            refuse!(node, fault.property, "region {}: {}", index, fault.message)
        })?;
        // Room to spare does no harm, as only what harts use is mapped; this is no such thing.
        let most = geometry.hart_stride() << MAX_HART_INDEX_BITS;
        if let Some(index) = regions.iter().position(|region| region.size > most) {
            return Err(refuse!(
                node,
                "reg",
                "region {}: more than any number of harts takes",
                index
            ));
        }

        let mut harts = KVec::with_capacity(hartids.len(), GFP_KERNEL)?;
        let mut places = map.places();
        let mut unused = 0;

        for (index, &hartid) in hartids.iter().enumerate() {
            let place = places.next().ok_or_else(|| {
                refuse!(node, "reg", "no page for hart {}, number {}", hartid, index)
            })?;

            if place.location.is_none() {
                return Err(refuse!(
                    node,
                    "riscv,hart-index-bits",
                    "too few for hart {}, number {}",
                    hartid,
                    index
                ));
            }

            // Harts that firmware has disabled, or beyond the kernel's limit, are none of ours.
            match riscv::cpu_of_hart(hartid) {
                Some(cpu) => harts.push(HartFiles { cpu, place }, GFP_KERNEL)?,
                None => unused += 1,
            }
        }

        if unused > 0 {
            pr_info!(
                "{}: the kernel does not run {} of {} harts\n",
                node.display_name(),
                unused,
                hartids.len()
            );
        }
        if harts.is_empty() {
            pr_err!(
                "{}: interrupts-extended: no hart that the kernel runs\n",
                node.display_name()
            );
            return Err(ENODEV);
        }
        Ok(harts)
    }
}
