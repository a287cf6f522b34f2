// SPDX-License-Identifier: GPL-2.0

//! The parent of all MSI domains.

use aia_core::vector::{
    slot::SlotOwner,
    VectorId,
    Vectors, //
};
use kernel::{
    cpu::CpuId,
    cpumask::Cpumask,
    prelude::*,
    seq_file::SeqFile, //
};
use kernel_ext::{
    cpumask,
    irq::{
        chip,
        domain_ops::{
            DomainOps,
            Shown, //
        },
        flow::FlowHandler,
        fwspec::Fwspec,
        new::NewIrqs,
        IrqData, //
    },
    msi, //
};

use crate::{
    alloc::{
        alloc,
        free, //
    },
    chip::CHIP,
    chip_data::{
        owner,
        pack,
        unpack,
        ImsicData, //
    },
    group,
    published,
    state::Imsic,
    trace, //
};

/// The parent domain of all MSI domains.
pub(crate) struct ImsicDomain;

impl DomainOps for ImsicDomain {
    type Host = Imsic;
    type Data = ImsicData;

    fn alloc(
        imsic: &'static Imsic,
        new: &NewIrqs<'_, ImsicData>,
        _spec: Option<&Fwspec>,
    ) -> Result {
        // Where it shall be in the end, so that no other CPU has to do with it; or else anywhere.
        let cpus = new.affinity(0).unwrap_or(cpumask::online_mask());

        if new.count() == 1 {
            alloc_one(imsic, new, cpus)
        } else {
            alloc_block(imsic, new, cpus)
        }
    }

    #[inline]
    fn free(imsic: &'static Imsic, data: &IrqData<ImsicData>) {
        match data.chip_data() {
            ImsicData::Word(word) => {
                if let (Some(vectors), Some(owner)) = (unpack(word), owner(data)) {
                    trace::free(data.irq(), vectors.current);
                    free(imsic, vectors, owner);
                }
            }
            ImsicData::Ref(block) => group::free(imsic, block, data.irq()),
        }
    }

    fn debug_show(imsic: &'static Imsic, to: &SeqFile, what: Shown<ImsicData>, indent: usize) {
        match what {
            Shown::Domain => imsic.show(to, indent),
            Shown::Interrupt(irq, data) => {
                let vectors = match data {
                    Some(ImsicData::Word(word)) => unpack(word),
                    Some(ImsicData::Ref(block)) => group::vectors(block, irq),
                    None => None,
                };

                if let Some(vectors) = vectors {
                    imsic.show_vectors(vectors, to, indent);
                }
            }
        }
    }
}

/// Sets up interrupt `index` of `new`, which is delivered by `vector`.
fn set_up(new: &NewIrqs<'_, ImsicData>, index: u32, data: ImsicData, vector: VectorId) -> Result {
    let cpu = CpuId::from_u32(vector.cpu().get()).ok_or(EINVAL)?;
    let irq = new.irq() + index;

    new.set_info(index, irq as usize, &CHIP, data, FlowHandler::Edge)
        .ok_or(EINVAL)?;
    new.set_single_target(index);
    new.set_effective_affinity(index, cpu);
    trace::alloc(irq, vector);
    Ok(())
}

fn alloc_one(imsic: &'static Imsic, new: &NewIrqs<'_, ImsicData>, cpus: &Cpumask) -> Result {
    let owner = new
        .descriptor(0)
        .and_then(|desc| SlotOwner::new(desc.addr() as u64))
        .ok_or(EINVAL)?;
    let current = alloc(imsic, cpus, owner)
        .or_else(|| alloc(imsic, cpumask::online_mask(), owner))
        .ok_or(ENOSPC)?;
    let vectors = Vectors {
        current,
        previous: None,
    };

    pack(vectors)
        .and_then(|data| set_up(new, 0, data, current))
        .inspect_err(|_| free(imsic, vectors, owner))
}

fn alloc_block(imsic: &'static Imsic, new: &NewIrqs<'_, ImsicData>, cpus: &Cpumask) -> Result {
    let block = group::alloc(imsic, new, cpus)?;

    (0..new.count())
        .try_for_each(|index| {
            let vectors = group::vectors(block, new.irq() + index).ok_or(EINVAL)?;

            set_up(new, index, ImsicData::Ref(block), vectors.current)
        })
        .inspect_err(|_| group::abort(imsic, block))
}

impl msi::ParentOps for ImsicDomain {
    const SUPPORTED: u32 = msi::flags::GENERIC
        | msi::flags::PCI_MSIX
        | msi::flags::PCI_MSIX_ALLOC_DYN
        | msi::flags::MULTI_PCI_MSI;
    const REQUIRED: u32 = msi::flags::PCI_MASKS_PARENT;
    const ACKNOWLEDGED: bool = true;
    // An interrupt may have been placed on a CPU that has gone since, where its first message would wait.
    // Any may wake the system up.
    const CHIP_FLAGS: u32 = chip::flags::AFFINITY_PRE_STARTUP | chip::flags::SKIP_SET_WAKE;

    type Data = ImsicData;

    fn defer_moves(bus: msi::Bus) -> bool {
        matches!(bus, msi::Bus::PciMsi | msi::Bus::PciMsix)
    }

    fn activate_shared(data: &IrqData<ImsicData>, active: bool, of: &msi::Group<'_>) {
        if let (Some(imsic), ImsicData::Ref(block)) = (published::imsic(), data.chip_data()) {
            group::activate(imsic, block, data.irq(), active, of);
        }
    }
}
