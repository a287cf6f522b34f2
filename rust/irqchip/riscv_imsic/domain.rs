// SPDX-License-Identifier: GPL-2.0

//! What the interrupt core and the devices' MSI domains see of the IMSIC.

use core::num::NonZeroU64;

use aia_core::vector::{
    operations::{
        self,
        MoveError,
        Source, //
    },
    slot::{
        Owner,
        Sender, //
    },
    VectorId,
    Vectors, //
};
use kernel::{
    bindings,
    cpu::CpuId,
    cpumask::Cpumask,
    interrupt::{
        local_interrupt_disable,
        LocalInterruptDisabled, //
    },
    prelude::*,
    seq_file::SeqFile, //
};
use kernel_ext::{
    cpumask,
    irq::{
        chip::{
            self,
            Moved, //
        },
        data::Packed,
        domain_ops::{
            Ops,
            Shown, //
        },
        flow::FlowHandler,
        new::New,
        Chip,
        IrqData, //
    },
    msi,
    smp, //
};

use crate::{
    ffi,
    hart::ThisHart,
    sender,
    state::Imsic,
    vectors::OneOf, //
};

/// The chip of the IMSIC's own domain. Its data are the [`Vectors`] of the interrupt.
struct ImsicChip;

static CHIP: Chip<Packed> = Chip::new(
    c"IMSIC",
    bindings::IRQCHIP_SKIP_SET_WAKE | bindings::IRQCHIP_MASK_ON_SUSPEND,
)
.with_mask::<ImsicChip>()
.with_unmask::<ImsicChip>()
.with_ack::<ImsicChip>()
.with_set_affinity::<ImsicChip>()
.with_retrigger::<ImsicChip>()
.with_compose_msi::<ImsicChip>();

fn pack(vectors: Vectors) -> Result<Packed> {
    Ok(Packed(NonZeroU64::new(vectors.to_bits()).ok_or(EINVAL)?))
}

#[inline(always)]
fn unpack(data: Packed) -> Option<Vectors> {
    Vectors::from_bits(data.0.get())
}

/// The vectors of an interrupt.
#[inline(always)]
fn vectors(data: &IrqData<Packed>) -> Option<Vectors> {
    unpack(data.chip_data())
}

/// The IMSIC and the vectors of an interrupt.
#[inline(always)]
fn context(data: &IrqData<Packed>) -> Option<(&'static Imsic, Vectors)> {
    Some((ffi::imsic()?, vectors(data)?))
}

/// The owner that an interrupt is for the vectors: its descriptor.
fn owner(data: &IrqData<Packed>) -> Option<Owner> {
    Owner::new(data.descriptor().addr() as u64)
}

/// Gives `owner` a vector on one of `cpus` that is online. May sleep.
fn alloc(imsic: &Imsic, cpus: &Cpumask, owner: Owner) -> Option<VectorId> {
    let alloc = || {
        let irqs_off = local_interrupt_disable();

        operations::alloc(&ThisHart::new(imsic, &irqs_off), &OneOf(cpus), owner)
    };

    alloc().or_else(|| {
        // Identities that were freed may only wait for their CPUs.
        for cpu in cpumask::iter(cpus).filter(|cpu| cpumask::is_online(*cpu)) {
            let local = imsic.locals.on(cpu)?;

            if local.file.needs_sync() {
                // One that has gone meanwhile has none to give.
                let _ = smp::call_on(cpu, |irqs_off| {
                    operations::sync(&ThisHart::new(imsic, irqs_off));
                });
            }
        }
        alloc()
    })
}

/// Takes the vectors of an interrupt that has been shut down.
fn free(imsic: &Imsic, vectors: Vectors, owner: Owner) {
    let irqs_off = local_interrupt_disable();

    operations::free(&ThisHart::new(imsic, &irqs_off), vectors, owner);
}

impl chip::Ops for ImsicChip {
    type Data = Packed;
}

impl chip::Mask for ImsicChip {
    fn mask(data: &IrqData<Packed>, irqs_off: &LocalInterruptDisabled) {
        if let Some((imsic, vectors)) = context(data) {
            operations::mask(&ThisHart::new(imsic, irqs_off), vectors.current);
        }
    }
}

impl chip::Unmask for ImsicChip {
    fn unmask(data: &IrqData<Packed>, irqs_off: &LocalInterruptDisabled) {
        if let Some((imsic, vectors)) = context(data) {
            operations::unmask(&ThisHart::new(imsic, irqs_off), vectors.current);
        }
    }
}

impl chip::Ack for ImsicChip {
    /// The claim has acknowledged the interrupt; only a move that waited for it is left.
    #[inline]
    fn ack(data: &IrqData<Packed>, irqs_off: &LocalInterruptDisabled) {
        data.move_pending(irqs_off);
    }
}

impl chip::Retrigger for ImsicChip {
    fn retrigger(data: &IrqData<Packed>, _irqs_off: &LocalInterruptDisabled) -> bool {
        let Some((imsic, vectors)) = context(data) else {
            return false;
        };

        imsic.send(vectors.current);
        true
    }
}

impl chip::ComposeMsi for ImsicChip {
    fn compose(data: &IrqData<Packed>) -> Result<msi::Message> {
        let (imsic, vectors) = context(data).ok_or(ENODEV)?;

        imsic.message(vectors.current).ok_or(ENODEV)
    }
}

impl chip::SetAffinity for ImsicChip {
    fn set_affinity(
        data: &IrqData<Packed>,
        cpus: &Cpumask,
        _force: bool,
        irqs_off: &LocalInterruptDisabled,
    ) -> Result<Moved> {
        let (imsic, vectors) = context(data).ok_or(ENODEV)?;
        let owner = owner(data).ok_or(EINVAL)?;
        let cpu = CpuId::from_u32(vectors.current.cpu().get()).ok_or(EINVAL)?;

        if cpus.test(cpu) && cpumask::is_online(cpu) {
            return Ok(Moved::AndDone);
        }

        let device = msi::Outermost::of(data);
        let sender = match device.bus() {
            msi::Bus::PciMsi | msi::Bus::PciMsix => Sender::Ordered,
            msi::Bus::WiredToMsi if sender::is_known(device.controller()) => Sender::Fenced,
            // Of these, nothing tells when all that they sent has arrived.
            msi::Bus::WiredToMsi | msi::Bus::Device | msi::Bus::Other => Sender::Posted,
        };
        let source = Source {
            owner,
            at_once: device.moves_at_once(),
            sender,
        };
        let hart = ThisHart::new(imsic, irqs_off);
        let moved = operations::move_to(&hart, vectors, source, &OneOf(cpus), |message| {
            device.write_message(&message, irqs_off)
        })
        .map_err(|error| match error {
            MoveError::Busy => EBUSY,
            MoveError::Full => ENOSPC,
            MoveError::NotOwned => EINVAL,
            MoveError::NoMessage => ENODEV,
        })?;

        data.set_chip_data(pack(moved)?, irqs_off);
        if let Some(cpu) = CpuId::from_u32(moved.current.cpu().get()) {
            data.set_effective_affinity(cpu);
        }
        Ok(Moved::AndDone)
    }
}

/// The parent domain of all MSI domains.
pub(crate) struct ImsicDomain;

impl Ops for ImsicDomain {
    type Host = Imsic;
    type Data = Packed;

    fn alloc(imsic: &'static Imsic, new: &New<'_, Packed>) -> Result {
        // Devices with several MSIs of one message are refused by the supported flags already.
        if new.count() != 1 {
            return Err(EOPNOTSUPP);
        }

        let owner = new
            .descriptor(0)
            .and_then(|desc| Owner::new(desc.addr() as u64))
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
            (Some(data), Some(cpu)) => {
                data.set_single_target();
                data.set_effective_affinity(cpu);
                Ok(())
            }
            _ => {
                free(imsic, vectors, owner);
                Err(EINVAL)
            }
        }
    }

    fn free(imsic: &'static Imsic, data: &IrqData<Packed>) {
        if let (Some(vectors), Some(owner)) = (vectors(data), owner(data)) {
            free(imsic, vectors, owner);
        }
    }

    #[cfg(CONFIG_GENERIC_IRQ_DEBUGFS)]
    fn debug_show(imsic: &'static Imsic, to: &SeqFile, what: Shown<Packed>, indent: usize) {
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

impl msi::Parent for ImsicDomain {
    const SUPPORTED: u32 = bindings::MSI_GENERIC_FLAGS_MASK | bindings::MSI_FLAG_PCI_MSIX;
    const REQUIRED: u32 = bindings::MSI_FLAG_USE_DEF_DOM_OPS
        | bindings::MSI_FLAG_USE_DEF_CHIP_OPS
        | bindings::MSI_FLAG_PCI_MSI_MASK_PARENT;
    const CHIP_FLAGS: u32 = bindings::MSI_CHIP_FLAG_SET_ACK;

    fn defer_moves(bus: msi::Bus) -> bool {
        matches!(bus, msi::Bus::PciMsi | msi::Bus::PciMsix)
    }
}
