// SPDX-License-Identifier: GPL-2.0

//! A virtual machine's part: which vCPU an MSI is for, and the APLIC.

#![expect(
    unsafe_code,
    reason = "vCPUs and their interrupt files by their addresses"
)]

use core::ptr;

use aia_core::{
    addr::{
        Guest,
        PhysAddr, //
    },
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
use kernel::{
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed,
            Release, //
        },
        Arc, //
    }, //
};
use kvm_ext::{
    io_bus::IoDevice,
    Vcpu,
    VmLocked, //
};

use super::{
    aplic::VmAplic,
    imsic::VcpuImsic,
    translations::VmTranslations, //
};

/// A vCPU and its interrupt file, for who delivers MSIs; null pointers for a vCPU that has none.
struct Member {
    vcpu: Atomic<*mut Vcpu>,
    imsic: Atomic<*mut VcpuImsic>,
}

impl Member {
    const NONE: Self = Self {
        vcpu: Atomic::new(ptr::null_mut()),
        imsic: Atomic::new(ptr::null_mut()),
    };

    /// The vCPU and its interrupt file.
    #[inline(always)]
    fn get(&self) -> Option<(&Vcpu, &VcpuImsic)> {
        let (vcpu, imsic) = (self.vcpu.load(Relaxed), self.imsic.load(Relaxed));

        // SAFETY: Null, or set by `VmAia::add` to a vCPU and its file, which are destroyed together
        // with the virtual machine, when nobody is left who delivers MSIs. Who finds the pointers sees
        // what was written to them before.
        unsafe { Some((vcpu.as_ref()?, imsic.as_ref()?)) }
    }
}

/// The initialised interrupt controllers of a virtual machine.
pub(crate) struct VmAia {
    pub(crate) map: GuestMap,
    /// How many identities each interrupt file has.
    pub(crate) nr_ids: NrIds,
    /// Who is found by a hart index. Of vCPUs that differ in the guest index only, an MSI's address
    /// finds the one of zero.
    harts: HartTable<KVec<HartTableEntry>>,
    /// By the index of the vCPU.
    members: KVec<Member>,
    pub(crate) aplic: Option<VmAplic>,
    pub(crate) translations: Arc<VmTranslations>,
    /// The pages of the interrupt files that were there at first.
    pages: KVec<IoDevice>,
}

impl VmAia {
    /// Makes it for vCPUs whose index is below `room`, none of which has an interrupt file yet, that are
    /// at addresses that fit `map`. May sleep.
    pub(crate) fn new(
        room: usize,
        map: GuestMap,
        nr_ids: NrIds,
        aplic: Option<VmAplic>,
        translations: Arc<VmTranslations>,
        pages: KVec<IoDevice>,
    ) -> Result<Self> {
        let slots = hart_table::slots_for(room).ok_or(ENOMEM)?;
        let mut storage = KVec::with_capacity(slots, GFP_KERNEL_ACCOUNT)?;
        let mut members = KVec::with_capacity(room, GFP_KERNEL_ACCOUNT)?;

        for _ in 0..slots {
            storage.push(HartTableEntry::default(), GFP_KERNEL_ACCOUNT)?;
        }
        for _ in 0..room {
            members.push(Member::NONE, GFP_KERNEL_ACCOUNT)?;
        }
        Ok(Self {
            harts: HartTable::new(storage).ok_or(EINVAL)?,
            map,
            nr_ids,
            members,
            aplic,
            translations,
            pages,
        })
    }

    /// Whether this page is in one of the stretches for the interrupt files that were there at first.
    pub(crate) fn is_in_stretch(&self, page: PhysAddr<Guest>) -> bool {
        self.pages.iter().any(|stretch| stretch.covers(page.get()))
    }

    /// Whether a vCPU with this index can be [added](Self::add).
    pub(crate) fn has_room(&self, vcpu: &Vcpu) -> bool {
        // CAST: Not narrower.
        (vcpu.index() as usize) < self.members.len()
    }

    /// Lets MSIs find a vCPU, for which [there is room](Self::has_room) and which has none yet, and the
    /// interrupt file that it has or is about to have.
    ///
    /// # Safety
    ///
    /// The caller must hold the lock of the virtual machine, or be alone in knowing `self`; `imsic` must
    /// live until `vcpu` goes away.
    pub(crate) unsafe fn add(&self, vcpu: &Vcpu, imsic: &VcpuImsic) {
        let Some(index) = VcpuIndex::new(vcpu.index()) else {
            return;
        };
        let Some(member) = self.members.get(index.index()) else {
            return;
        };
        let address = imsic.address();
        let hart_index = self.map.hart_index(address);

        // Dependent loads are ordered.
        member.vcpu.store(ptr::from_ref(vcpu).cast_mut(), Release);
        member.imsic.store(ptr::from_ref(imsic).cast_mut(), Release);
        // There is room for as many as there are members.
        let _ = if self.map.decode(address).guest == 0 {
            self.harts.insert_over(hart_index, index)
        } else {
            self.harts.insert(hart_index, index)
        };
    }

    /// How many vCPUs have an interrupt file.
    pub(crate) fn nr_files(&self) -> usize {
        self.members.iter().filter_map(Member::get).count()
    }

    /// All vCPUs that have an interrupt file, and their files.
    pub(crate) fn files<'a>(
        &'a self,
        _vm: &'a VmLocked<'_>,
    ) -> impl Iterator<Item = (&'a Vcpu, &'a VcpuImsic)> {
        self.members.iter().filter_map(Member::get)
    }

    /// The vCPU with this hart index, and its interrupt file.
    #[inline]
    pub(crate) fn member(&self, hart_index: u32) -> Option<(&Vcpu, &VcpuImsic)> {
        let index = self.harts.get(hart_index)?;

        self.members.get(index.index())?.get()
    }

    /// The vCPU to whom an MSI goes that is sent to this page, and its interrupt file.
    #[inline]
    pub(crate) fn member_at(&self, page: PhysAddr<Guest>) -> Option<(&Vcpu, &VcpuImsic)> {
        self.member(self.map.hart_index(page))
            .filter(|(_, imsic)| imsic.address() == page)
    }

    /// Whether this page is that of an interrupt file, be it one that no MSI finds.
    pub(crate) fn has_file_at(&self, page: PhysAddr<Guest>) -> bool {
        self.member_at(page).is_some()
            || self
                .members
                .iter()
                .filter_map(Member::get)
                .any(|(_, imsic)| imsic.address() == page)
    }
}
