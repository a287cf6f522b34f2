// SPDX-License-Identifier: GPL-2.0

//! A virtual machine's part: which vCPU an MSI is for, and the APLIC.

use aia_core::{
    addr::{
        Guest,
        PhysAddr, //
    },
    guest::{
        config::GuestMap,
        hart_table::{
            self,
            Entry,
            HartTable, //
        },
    },
    ids::VcpuIndex, //
};
use kernel::prelude::*;
use kernel_ext::kvm::{
    Vcpu,
    Vm, //
};

use crate::{
    aplic::{
        ToVcpus,
        VmAplic, //
    },
    ffi,
    imsic, //
};

/// The initialised interrupt controllers of a virtual machine.
pub(crate) struct VmAia {
    map: GuestMap,
    harts: HartTable<KVec<Entry>>,
    pub(crate) aplic: Option<VmAplic>,
}

impl VmAia {
    /// Makes it of the vCPUs that there are, whose addresses are set and fit `map`. May sleep.
    pub(crate) fn new(vm: &Vm, map: GuestMap, aplic: Option<VmAplic>) -> Result<Self> {
        let count = usize::try_from(vm.online_vcpus())?;
        let slots = hart_table::slots_for(count).ok_or(ENOMEM)?;
        let mut storage = KVec::with_capacity(slots, GFP_KERNEL_ACCOUNT)?;

        storage.resize(slots, Entry::default(), GFP_KERNEL_ACCOUNT)?;
        let harts = vm.vcpus().filter_map(|vcpu| {
            let address = imsic::of(vcpu)?.address();

            Some((map.hart_index(address), VcpuIndex::new(vcpu.index())?))
        });

        Ok(Self {
            harts: HartTable::build(storage, harts).ok_or(EINVAL)?,
            map,
            aplic,
        })
    }

    /// The vCPU with this hart index.
    #[inline]
    fn vcpu<'a>(&self, vm: &'a Vm, hart_index: u32) -> Option<&'a Vcpu> {
        vm.vcpu(self.harts.get(hart_index)?.get())
    }

    /// Delivers an MSI to a hart by its index. Nobody gets it if there is no such hart.
    #[inline]
    pub(crate) fn inject(
        &self,
        vm: &Vm,
        hart_index: u32,
        guest: u32,
        offset: u32,
        data: u32,
    ) -> Result {
        let Some(vcpu) = self.vcpu(vm, hart_index) else {
            return Ok(());
        };

        imsic::of(vcpu)
            .ok_or(ENODEV)?
            .inject(vcpu, guest, offset, data)
    }
}

/// Delivers an MSI of `data` to guest-physical address `addr`. Any context.
///
/// Fails with `EBUSY` if the interrupt controllers are not initialised; nobody gets it if no
/// interrupt file is there.
pub(crate) fn inject_msi(vm: &Vm, addr: u64, data: u32) -> Result {
    let aia = ffi::aia(vm).ok_or(EBUSY)?;
    let addr = PhysAddr::<Guest>::new(addr);
    let target = aia.map.decode(addr);
    let Some(vcpu) = aia.vcpu(vm, aia.map.hart_index(addr)) else {
        return Ok(());
    };
    let Some(imsic) = imsic::of(vcpu).filter(|imsic| imsic.address() == target.page) else {
        return Ok(());
    };

    imsic.inject(vcpu, target.guest, target.offset, data)
}

/// Changes the wire of source `number` of the APLIC. Any context.
///
/// Fails with `EBUSY` if the interrupt controllers are not initialised, and with `ENODEV` if there
/// is no such source.
pub(crate) fn inject_irq(vm: &Vm, number: u32, level: bool) -> Result {
    let aia = ffi::aia(vm).ok_or(EBUSY)?;
    let aplic = aia.aplic.as_ref().ok_or(ENODEV)?;
    let source = aplic.domain.nr_sources().check(number).ok_or(ENODEV)?;

    aplic.domain.set_input(source, level, &ToVcpus { vm, aia });
    Ok(())
}
