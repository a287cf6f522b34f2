// SPDX-License-Identifier: GPL-2.0

//! The parent of all MSI domains.

use aia_core::vector::{
    slot::SlotOwner,
    Vectors, //
};
use kernel::{
    cpu::CpuId,
    prelude::*,
    seq_file::SeqFile, //
};
use kernel_ext::{
    cpumask,
    irq::{
        data::ChipWord,
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
        vectors, //
    },
    state::Imsic,
    trace, //
};

/// The parent domain of all MSI domains.
pub(crate) struct ImsicDomain;

impl DomainOps for ImsicDomain {
    type Host = Imsic;
    type Data = ChipWord;

    fn alloc(imsic: &'static Imsic, new: &NewIrqs<'_, ChipWord>, _spec: Option<&Fwspec>) -> Result {
        // Devices with several MSIs of one message are refused by the supported flags already.
        if new.count() != 1 {
            return Err(EOPNOTSUPP);
        }

        let owner = new
            .descriptor(0)
            .and_then(|desc| SlotOwner::new(desc.addr() as u64))
            .ok_or(EINVAL)?;
        // Where it shall be in the end, so that no other CPU has to do with it; or else anywhere.
        let current = new
            .affinity(0)
            .and_then(|cpus| alloc(imsic, cpus, owner))
            .or_else(|| alloc(imsic, cpumask::online_mask(), owner))
            .ok_or(ENOSPC)?;
        let vectors = Vectors {
            current,
            previous: None,
        };
        let data = pack(vectors).ok().and_then(|packed| {
            new.set_info(0, new.irq() as usize, &CHIP, packed, FlowHandler::Edge)
        });

        match (data, CpuId::from_u32(vectors.current.cpu().get())) {
            (Some(_), Some(cpu)) => {
                new.set_single_target(0);
                new.set_effective_affinity(0, cpu);
                trace::alloc(new.irq(), vectors.current);
                Ok(())
            }
            _ => {
                free(imsic, vectors, owner);
                Err(EINVAL)
            }
        }
    }

    fn free(imsic: &'static Imsic, data: &IrqData<ChipWord>) {
        if let (Some(vectors), Some(owner)) = (vectors(data), owner(data)) {
            trace::free(data.irq(), vectors.current);
            free(imsic, vectors, owner);
        }
    }

    #[cfg(CONFIG_GENERIC_IRQ_DEBUGFS)]
    fn debug_show(imsic: &'static Imsic, to: &SeqFile, what: Shown<ChipWord>, indent: usize) {
        match what {
            Shown::Domain => imsic.show(to, indent),
            Shown::Interrupt(data) => {
                if let Some(vectors) = data.and_then(unpack) {
                    imsic.show_vectors(vectors, to, indent);
                }
            }
        }
    }
}

impl msi::ParentOps for ImsicDomain {
    const SUPPORTED: u32 = msi::flags::GENERIC | msi::flags::PCI_MSIX;
    const REQUIRED: u32 = msi::flags::PCI_MASKS_PARENT;
    const ACKNOWLEDGED: bool = true;

    fn defer_moves(bus: msi::Bus) -> bool {
        matches!(bus, msi::Bus::PciMsi | msi::Bus::PciMsix)
    }
}
