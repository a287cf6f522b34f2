// SPDX-License-Identifier: GPL-2.0

//! A virtual machine's part: which vCPU an MSI is for, and the APLIC.

#![expect(
    unsafe_code,
    reason = "vCPUs and their interrupt files by their addresses"
)]

use core::ptr::NonNull;

use aia_core::{
    guest::{
        address_map::GuestMap,
        hart_table::{
            self,
            HartTable,
            HartTableEntry, //
        }, //
    },
    ids::{
        NrIds,
        VcpuIndex, //
    }, //
};
use kernel::prelude::*;
use kvm_ext::Vcpu;

use super::{
    aplic::VmAplic,
    imsic::VcpuImsic, //
};

/// A vCPU and its interrupt file, for who delivers MSIs.
pub(crate) struct VcpuImsicPtr {
    vcpu: NonNull<Vcpu>,
    imsic: NonNull<VcpuImsic>,
}

// SAFETY: What can be done with a vCPU and its file can be done on any CPU.
unsafe impl Send for VcpuImsicPtr {}
// SAFETY: As above.
unsafe impl Sync for VcpuImsicPtr {}

impl VcpuImsicPtr {
    /// A vCPU and the interrupt file that it will have, as part of its virtual machine's [`VmAia`].
    pub(crate) fn new((vcpu, imsic): &(&Vcpu, Pin<KBox<VcpuImsic>>)) -> Option<Self> {
        Some(Self {
            vcpu: NonNull::from(*vcpu),
            imsic: NonNull::from(&**imsic),
        })
    }

    /// The vCPU and its interrupt file.
    #[inline(always)]
    pub(crate) fn get(&self) -> (&Vcpu, &VcpuImsic) {
        // SAFETY: The `VmAia` is published together with the files, which are destroyed with their
        // vCPUs, together with the virtual machine, when nobody is left who delivers MSIs.
        unsafe { (self.vcpu.as_ref(), self.imsic.as_ref()) }
    }
}

/// The initialised interrupt controllers of a virtual machine.
pub(crate) struct VmAia {
    pub(crate) map: GuestMap,
    /// How many identities each interrupt file has.
    pub(crate) nr_ids: NrIds,
    harts: HartTable<KVec<HartTableEntry>>,
    /// By the index of the vCPU.
    members: KVec<VcpuImsicPtr>,
    pub(crate) aplic: Option<VmAplic>,
}

impl VmAia {
    /// Makes it of all vCPUs by their indexes, with the interrupt files that they will have, at
    /// addresses that fit `map`. May sleep.
    pub(crate) fn new(
        files: &[(&Vcpu, Pin<KBox<VcpuImsic>>)],
        map: GuestMap,
        nr_ids: NrIds,
        aplic: Option<VmAplic>,
    ) -> Result<Self> {
        let count = files.len();
        let slots = hart_table::slots_for(count).ok_or(ENOMEM)?;
        let mut storage = KVec::with_capacity(slots, GFP_KERNEL_ACCOUNT)?;
        let mut members = KVec::with_capacity(count, GFP_KERNEL_ACCOUNT)?;

        storage.resize(slots, HartTableEntry::default(), GFP_KERNEL_ACCOUNT)?;
        for file in files {
            members.push(VcpuImsicPtr::new(file).ok_or(EINVAL)?, GFP_KERNEL_ACCOUNT)?;
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
            nr_ids,
            members,
            aplic,
        })
    }

    /// How many vCPUs have an interrupt file.
    pub(crate) fn nr_files(&self) -> usize {
        self.members.len()
    }

    /// The vCPU with this hart index, and its interrupt file.
    #[inline]
    pub(crate) fn member(&self, hart_index: u32) -> Option<(&Vcpu, &VcpuImsic)> {
        let index = self.harts.get(hart_index)?;

        Some(self.members.get(index.index())?.get())
    }
}
