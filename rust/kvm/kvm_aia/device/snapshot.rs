// SPDX-License-Identifier: GPL-2.0

//! The state of a virtual machine's interrupt controllers for user space: it is saved here, and
//! restored elsewhere, with interrupts in flight.
//!
//! The format is that of [`aia_core::guest::state`]. `Documentation/kvm-extensions.rst` tells user
//! space what it has to do besides.

use aia_core::{
    guest::state::{
        machine::{
            self,
            Machine,
            SaveError, //
        },
        Header,
        Layout,
        Snapshot, //
        SnapshotError,
    },
    guest_aplic::Aplic,
    ids::VcpuId,
    swfile::Image, //
};
use kernel::{
    error::Error,
    prelude::*, //
};
use kvm_ext::{
    device::Attr,
    VcpusLocked,
    Vm, //
};

use crate::{
    published,
    state::{
        aplic::LockedWords,
        vm::VmAia, //
    }, //
};

fn error(error: SnapshotError) -> Error {
    Error::from_errno(error.errno())
}

/// What a snapshot of this virtual machine consists of, which does not change any more. Fails with
/// `ENODEV` before the interrupt controllers are initialised.
fn layout(vm: &Vm) -> Result<(Layout, &VmAia)> {
    let aia = published::aia(vm).ok_or(ENODEV)?;
    let nr_sources = aia.aplic.as_ref().map(|aplic| aplic.domain.nr_sources());
    let layout = Layout::new(aia.nr_ids, nr_sources, aia.nr_files().try_into()?).ok_or(EINVAL)?;

    Ok((layout, aia))
}

/// Memory for a snapshot.
fn buffer(layout: &Layout) -> Result<KVVec<u8>> {
    Ok(KVVec::from_elem(0, layout.size(), GFP_KERNEL_ACCOUNT)?)
}

/// Writes a snapshot to user memory.
///
/// Fails with `E2BIG`, with only the header written, if there is not enough of it, and with `EBUSY`
/// if a vCPU runs.
pub(crate) fn get(vm: &Vm, attr: &Attr) -> Result {
    let mut header = [0; Header::SIZE];

    attr.read_bytes(&mut header)?;
    let header = Header::decode(&header);

    header.check_request().map_err(error)?;
    let (layout, aia) = layout(vm)?;

    if usize::try_from(header.size)? < layout.size() {
        attr.write_bytes(&layout.header().encode())?;
        return Err(E2BIG);
    }
    let mut bytes = buffer(&layout)?;

    {
        let vm = vm.lock();
        let vcpus = &mut vm.try_lock_vcpus()?;

        machine::save(&mut Controllers { vcpus, aia }, layout, &mut bytes).map_err(|error| {
            match error {
                SaveError::Layout => EINVAL,
                SaveError::File(error) => error,
            }
        })?;
    }
    attr.write_bytes(&bytes)
}

/// All interrupt controllers, with no vCPU running.
struct Controllers<'a, 'b> {
    vcpus: &'a mut VcpusLocked<'b>,
    aia: &'a VmAia,
}

impl Machine for Controllers<'_, '_> {
    type Words = LockedWords;
    type Error = Error;

    fn aplic(&self) -> Option<&Aplic<LockedWords>> {
        self.aia.aplic.as_ref().map(|aplic| &aplic.domain)
    }

    fn vcpu_from(&mut self, from: u32) -> Option<VcpuId> {
        (from..VcpusLocked::MAX_IDS)
            .find(|id| {
                self.vcpus
                    .by_id(*id)
                    .is_some_and(|vcpu| published::imsic(vcpu.vcpu()).is_some())
            })
            .map(VcpuId::new)
    }

    fn save(&mut self, vcpu: VcpuId, image: &mut Image) -> Result {
        let vcpu = self.vcpus.by_id(vcpu.get()).ok_or(EINVAL)?;

        published::imsic(vcpu.vcpu())
            .ok_or(EINVAL)?
            .save(&vcpu, image)
    }

    fn restore(&mut self, vcpu: VcpuId, image: &Image) {
        if let Some(vcpu) = self.vcpus.by_id(vcpu.get()) {
            if let Some(imsic) = published::imsic(vcpu.vcpu()) {
                imsic.restore(&vcpu, image);
            }
        }
    }
}

/// Restores a snapshot from user memory.
///
/// Fails with `EINVAL` if it is none of such a virtual machine, and with `EBUSY` if a vCPU runs;
/// then nothing has changed.
pub(crate) fn set(vm: &Vm, attr: &Attr) -> Result {
    let mut header = [0; Header::SIZE];

    attr.read_bytes(&mut header)?;
    let header = Header::decode(&header);
    let (layout, aia) = layout(vm)?;

    // Before as much memory is read. It may be another one by then, hence all is checked once more.
    if header != layout.header() {
        return Err(EINVAL);
    }
    let mut bytes = buffer(&layout)?;

    attr.read_bytes(&mut bytes)?;
    let snapshot = Snapshot::open(layout, &bytes).map_err(error)?;
    let vm = vm.lock();
    let vcpus = &mut vm.try_lock_vcpus()?;

    machine::restore(&mut Controllers { vcpus, aia }, layout, &snapshot)
        .map_err(|machine::OtherVcpus| EINVAL)
}
