// SPDX-License-Identifier: GPL-2.0

//! The registers of the APLIC.

use aia_core::{
    guest_aplic::regs::AplicRegister,
    ids::SourceId, //
};
use kernel::prelude::*;
use kvm_ext::{
    io_bus::Mmio,
    Vcpu,
    Vm, //
};

use crate::{
    ops::inject::ToVcpus,
    published,
    state::{
        aplic::VmAplic,
        vm::VmAia, //
    }, //
};

/// Asks who has raised the wires of `sources` whether they are still high: a guest is about to rely
/// on it. An irqfd with `KVM_IRQFD_FLAG_RESAMPLE` lowers its wire, and its device raises it again.
#[cold]
fn resample(vm: &Vm, sources: impl Iterator<Item = SourceId>) {
    for source in sources {
        vm.notify_acked(source.get());
    }
}

/// The registers of the APLIC.
pub(crate) struct AplicPage;

impl AplicPage {
    /// The APLIC, and the register at `addr`, which an access of `size` bytes wants; no register
    /// where all is reserved, and for other sizes than 4: read-only zero (AIA 4.5).
    fn find(
        vcpu: &Vcpu,
        addr: u64,
        size: usize,
    ) -> Result<(&VmAia, &VmAplic, Option<AplicRegister>)> {
        let aia = published::aia(vcpu.vm()).ok_or(ENODEV)?;
        let aplic = aia.aplic.as_ref().ok_or(ENODEV)?;
        let offset = addr.checked_sub(aplic.address.get()).ok_or(ENODEV)?;

        let register = match size {
            4 => AplicRegister::decode(offset, aplic.domain.nr_sources()),
            _ => None,
        };

        Ok((aia, aplic, register))
    }
}

impl Mmio for AplicPage {
    fn read(vcpu: &Vcpu, addr: u64, len: usize) -> Result<u32> {
        let (_, aplic, register) = Self::find(vcpu, addr, len)?;

        Ok(register.map_or(0, |register| {
            if vcpu.vm().has_ack_notifiers() {
                resample(vcpu.vm(), aplic.domain.sampled_by_read(register));
            }
            aplic.domain.read(register)
        }))
    }

    fn write(vcpu: &Vcpu, addr: u64, data: &[u8]) -> Result {
        let (aia, aplic, register) = Self::find(vcpu, addr, data.len())?;

        if let Some((register, data)) = register.zip(data.first_chunk()) {
            let value = u32::from_le_bytes(*data);

            if vcpu.vm().has_ack_notifiers() {
                resample(vcpu.vm(), aplic.domain.sampled_by_write(register, value));
            }
            aplic.domain.write(register, value, &ToVcpus(aia));
        }
        Ok(())
    }
}
