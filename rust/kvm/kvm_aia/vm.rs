// SPDX-License-Identifier: GPL-2.0

//! A virtual machine's part: which vCPU an MSI is for, and the APLIC.

use aia_core::{
    addr::{
        Guest,
        PhysAddr, //
    },
    guest::{
        address_map::GuestMap,
        hart_table::{
            self,
            Entry,
            HartTable, //
        },
    },
    ids::VcpuIndex, //
};
use kernel::prelude::*;
use kvm_ext::{
    Vcpu,
    Vm, //
};

use crate::{
    aplic::{
        ToVcpus,
        VmAplic, //
    },
    ffi::{
        self,
        Member, //
    },
    imsic::VcpuImsic, //
};

/// The initialised interrupt controllers of a virtual machine.
pub(crate) struct VmAia {
    map: GuestMap,
    harts: HartTable<KVec<Entry>>,
    /// By the index of the vCPU.
    members: KVec<Member>,
    pub(crate) aplic: Option<VmAplic>,
}

impl VmAia {
    /// Makes it of all vCPUs by their indexes, with the interrupt files that they will have, at
    /// addresses that fit `map`. May sleep.
    pub(crate) fn new(
        files: &[(&Vcpu, Pin<KBox<VcpuImsic>>)],
        map: GuestMap,
        aplic: Option<VmAplic>,
    ) -> Result<Self> {
        let count = files.len();
        let slots = hart_table::slots_for(count).ok_or(ENOMEM)?;
        let mut storage = KVec::with_capacity(slots, GFP_KERNEL_ACCOUNT)?;
        let mut members = KVec::with_capacity(count, GFP_KERNEL_ACCOUNT)?;

        storage.resize(slots, Entry::default(), GFP_KERNEL_ACCOUNT)?;
        for file in files {
            members.push(Member::new(file).ok_or(EINVAL)?, GFP_KERNEL_ACCOUNT)?;
        }

        // Of those that differ in the guest index only, an MSI's address finds the one of zero.
        let harts = |canonical| {
            (0..)
                .map_while(VcpuIndex::new)
                .zip(members.iter())
                .filter_map(move |(index, member)| {
                    let address = member.get().1.address();

                    ((map.decode(address).guest == 0) == canonical)
                        .then(|| (map.hart_index(address), index))
                })
        };

        Ok(Self {
            harts: HartTable::build(storage, Iterator::chain(harts(true), harts(false)))
                .ok_or(EINVAL)?,
            map,
            members,
            aplic,
        })
    }

    /// The vCPU with this hart index, and its interrupt file.
    #[inline]
    fn member(&self, hart_index: u32) -> Option<(&Vcpu, &VcpuImsic)> {
        let index = self.harts.get(hart_index)?;

        Some(self.members.get(index.index())?.get())
    }

    /// Delivers an MSI to a hart by its index. Nobody gets it if there is no such hart.
    #[inline]
    pub(crate) fn inject(&self, hart_index: u32, guest: u32, offset: u32, data: u32) -> Result {
        match self.member(hart_index) {
            Some((vcpu, imsic)) => imsic.inject(vcpu, guest, offset, data),
            None => Ok(()),
        }
    }
}

/// Delivers an MSI of `data` to guest-physical address `addr`. Any context.
///
/// Fails with `EBUSY` if the interrupt controllers are not initialised; nobody gets it if neither an
/// interrupt file nor a port of the APLIC is there.
pub(crate) fn inject_msi(vm: &Vm, addr: u64, data: u32) -> Result {
    let aia = ffi::aia(vm).ok_or(EBUSY)?;
    let addr = PhysAddr::<Guest>::new(addr);
    let target = aia.map.decode(addr);

    match aia.member(aia.map.hart_index(addr)) {
        Some((vcpu, imsic)) if imsic.address() == target.page => {
            imsic.inject(vcpu, target.guest, target.offset, data)
        }
        _ => {
            if let Some(aplic) = &aia.aplic {
                aplic.receive(addr, data, &ToVcpus(aia));
            }
            Ok(())
        }
    }
}

/// Changes the wire of source `number` of the APLIC. Any context.
///
/// Fails with `EBUSY` if the interrupt controllers are not initialised, and with `ENODEV` if there
/// is no such source.
pub(crate) fn inject_irq(vm: &Vm, number: u32, level: bool) -> Result {
    let aia = ffi::aia(vm).ok_or(EBUSY)?;
    let aplic = aia.aplic.as_ref().ok_or(ENODEV)?;
    let source = aplic.domain.nr_sources().check(number).ok_or(ENODEV)?;

    aplic.domain.set_input(source, level, &ToVcpus(aia));
    Ok(())
}
