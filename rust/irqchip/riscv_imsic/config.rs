// SPDX-License-Identifier: GPL-2.0

//! What firmware says of the IMSIC, checked.

#[cfg(CONFIG_ACPI)]
pub(crate) mod acpi;
pub(crate) mod of;

use aia_core::{
    addr::{
        Host,
        PhysAddr, //
    },
    error::Fault,
    geometry::{
        Geometry,
        GeometryParams, //
    },
    ids::NrIds,
    regions::{
        FileMap,
        FilePlace,
        Region, //
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

/// What firmware says of an IMSIC, each number as it is there.
pub(crate) struct Description {
    /// What firmware calls a property of the device tree's binding.
    pub(crate) name: fn(&'static str) -> &'static str,
    /// The harts, each once.
    pub(crate) hartids: KVec<usize>,
    pub(crate) ranges: KVec<Range>,
    /// Each range is that of one hart. Otherwise the ranges are used up by the harts, in order.
    pub(crate) range_per_hart: bool,
    pub(crate) nr_ids: u32,
    pub(crate) nr_guest_ids: u32,
    pub(crate) guest_index_bits: u32,
    pub(crate) hart_index_bits: u32,
    pub(crate) group_index_bits: u32,
    pub(crate) group_index_shift: u32,
}

impl ImsicConfig {
    /// Checks what firmware says of the IMSIC of `node`.
    ///
    /// Every refusal is printed, with the node and the property.
    pub(crate) fn new(node: &FwNode, said: Description) -> Result<Self> {
        let regions = Self::regions(node, &said)?;
        let geometry = Self::geometry(node, &said, &regions)?;
        let nr_ids = Self::identities(node, (said.name)("riscv,num-ids"), said.nr_ids)?;
        let nr_guest_ids =
            Self::identities(node, (said.name)("riscv,num-guest-ids"), said.nr_guest_ids)?;
        let harts = Self::harts(node, &said, &geometry, &regions)?;

        Ok(Self {
            geometry,
            nr_ids,
            nr_guest_ids,
            ranges: said.ranges,
            harts,
        })
    }

    fn identities(node: &FwNode, name: &str, value: u32) -> Result<NrIds> {
        NrIds::new(value).ok_or_else(|| {
            refuse!(
                node,
                name,
                "{} is not a multiple of 64 minus one from 63 to 2047",
                value
            )
        })
    }

    fn regions(node: &FwNode, said: &Description) -> Result<KVec<Region<Host>>> {
        let mut regions = KVec::with_capacity(said.ranges.len(), GFP_KERNEL)?;

        for range in said.ranges.iter() {
            regions.push(
                Region::new(PhysAddr::new(range.start()), range.size()),
                GFP_KERNEL,
            )?;
        }

        if regions.is_empty() {
            return Err(refuse!(node, (said.name)("reg"), "no memory region"));
        }
        Ok(regions)
    }

    fn geometry(
        node: &FwNode,
        said: &Description,
        regions: &[Region<Host>],
    ) -> Result<Geometry<Host>> {
        let params = GeometryParams {
            guest_index_bits: said.guest_index_bits,
            hart_index_bits: said.hart_index_bits,
            group_index_bits: said.group_index_bits,
            group_index_shift: said.group_index_shift,
            file: regions.first().ok_or(EINVAL)?.start,
        };

        Geometry::new(params).map_err(|error| {
            let fault = Fault::from(error);

            refuse!(node, (said.name)(fault.property), "{}", fault.message)
        })
    }

    fn harts(
        node: &FwNode,
        said: &Description,
        geometry: &Geometry<Host>,
        regions: &[Region<Host>],
    ) -> Result<KVec<HartFiles>> {
        let map = FileMap::new(geometry, regions).map_err(|error| {
            let index = error.index().unwrap_or(0);
            let fault = Fault::from(error);

            refuse!(
                node,
                (said.name)(fault.property),
                "region {}: {}",
                index,
                fault.message
            )
        })?;
        // Room to spare does no harm, as only what harts use is mapped; this is no such thing.
        let most = geometry.hart_stride() << MAX_HART_INDEX_BITS;
        if let Some(index) = regions.iter().position(|region| region.size > most) {
            return Err(refuse!(
                node,
                (said.name)("reg"),
                "region {}: more than any number of harts takes",
                index
            ));
        }

        let mut harts = KVec::with_capacity(said.hartids.len(), GFP_KERNEL)?;
        let mut places = map.places();
        let mut unused = 0;

        for (index, &hartid) in said.hartids.iter().enumerate() {
            let place = if said.range_per_hart {
                map.first_place(index)
            } else {
                places.next()
            };
            let place = place.ok_or_else(|| {
                refuse!(
                    node,
                    (said.name)("reg"),
                    "no page for hart {}, number {}",
                    hartid,
                    index
                )
            })?;

            if place.location.is_none() {
                return Err(refuse!(
                    node,
                    (said.name)("riscv,hart-index-bits"),
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
                said.hartids.len()
            );
        }
        if harts.is_empty() {
            pr_err!(
                "{}: {}: no hart that the kernel runs\n",
                node.display_name(),
                (said.name)("interrupts-extended")
            );
            return Err(ENODEV);
        }
        Ok(harts)
    }
}
