// SPDX-License-Identifier: GPL-2.0

//! The state of a virtual machine's interrupt controllers for user space: it is saved here, and
//! restored elsewhere, with interrupts in flight.
//!
//! The format is that of [`aia_core::guest::state`]. `Documentation/kvm-extensions.rst` tells user
//! space what it has to do besides.

use aia_core::{
    guest::state::{
        Error as FormatError,
        Header,
        Layout,
        Snapshot,
        SnapshotMut, //
    },
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
    Vm,
    VmLocked, //
};

use crate::{
    device,
    ffi,
    imsic,
    vm::VmAia, //
};

fn error(error: FormatError) -> Error {
    Error::from_errno(error.errno())
}

/// What a snapshot of this virtual machine consists of, which does not change any more. Fails with
/// `ENODEV` before the interrupt controllers are initialised.
fn layout<'a>(vm: &VmLocked<'a>) -> Result<(Layout, &'a VmAia)> {
    let aia = ffi::aia(vm.vm()).ok_or(ENODEV)?;
    let config = device::config(vm)?;
    let vcpus = vm
        .vcpus()
        .filter(|vcpu| imsic::of(vcpu).is_some())
        .count()
        .try_into()?;
    let layout = Layout::new(config.nr_ids(), config.nr_sources(), vcpus).ok_or(EINVAL)?;

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
    let (layout, aia) = layout(&vm.lock())?;

    if usize::try_from(header.size)? < layout.size() {
        attr.write_bytes(&layout.header().encode())?;
        return Err(E2BIG);
    }
    let mut bytes = buffer(&layout)?;

    {
        let vm = vm.lock();

        save(&mut vm.try_lock_vcpus()?, aia, layout, &mut bytes)?;
    }
    attr.write_bytes(&bytes)
}

/// Fills `bytes`. The APLIC comes first: what it has sent is then in the files.
fn save(vcpus: &mut VcpusLocked<'_>, aia: &VmAia, layout: Layout, bytes: &mut [u8]) -> Result {
    let mut snapshot = SnapshotMut::new(layout, bytes).ok_or(EINVAL)?;

    if let Some(aplic) = &aia.aplic {
        snapshot
            .set_domain(&aplic.domain.save_domain())
            .ok_or(EINVAL)?;
        for word in layout.words() {
            aplic
                .domain
                .save_word(word)
                .and_then(|saved| snapshot.set_word(word, &saved))
                .ok_or(EINVAL)?;
        }
    }

    let mut image = Image::default();
    let mut position = 0;

    for id in 0..VcpusLocked::MAX_IDS {
        let Some(vcpu) = vcpus.by_id(id) else {
            continue;
        };

        if let Some(imsic) = imsic::of(vcpu.vcpu()) {
            imsic.save(&vcpu, &mut image)?;
            snapshot
                .set_vcpu(position, VcpuId::new(id), &image)
                .ok_or(EINVAL)?;
            position += 1;
        }
    }
    Ok(())
}

/// Restores a snapshot from user memory.
///
/// Fails with `EINVAL` if it is none of such a virtual machine, and with `EBUSY` if a vCPU runs;
/// then nothing has changed.
pub(crate) fn set(vm: &Vm, attr: &Attr) -> Result {
    let mut header = [0; Header::SIZE];

    attr.read_bytes(&mut header)?;
    let header = Header::decode(&header);
    let (layout, aia) = layout(&vm.lock())?;

    // Before as much memory is read. It may be another one by then, hence all is checked once more.
    if header != layout.header() {
        return Err(EINVAL);
    }
    let mut bytes = buffer(&layout)?;

    attr.read_bytes(&mut bytes)?;
    let snapshot = Snapshot::open(layout, &bytes).map_err(error)?;
    let vm = vm.lock();
    let mut vcpus = vm.try_lock_vcpus()?;

    restore(&mut vcpus, aia, &layout, &snapshot)
}

fn restore(
    vcpus: &mut VcpusLocked<'_>,
    aia: &VmAia,
    layout: &Layout,
    snapshot: &Snapshot<'_>,
) -> Result {
    // Each once, since they ascend and are as many.
    for position in 0..layout.nr_vcpus() {
        let id = snapshot.vcpu_id(position).ok_or(EINVAL)?;
        let vcpu = vcpus.by_id(id.get()).ok_or(EINVAL)?;

        imsic::of(vcpu.vcpu()).ok_or(EINVAL)?;
    }

    // Nothing fails from here on.
    let mut image = Image::default();

    for position in 0..layout.nr_vcpus() {
        let id = snapshot.vcpu(position, &mut image).ok_or(EINVAL)?;

        if let Some(vcpu) = vcpus.by_id(id.get()) {
            if let Some(imsic) = imsic::of(vcpu.vcpu()) {
                imsic.restore(&vcpu, &image);
            }
        }
    }
    if let (Some(aplic), Some(domain)) = (&aia.aplic, snapshot.domain()) {
        for word in layout.words() {
            if let Some(saved) = snapshot.word(word) {
                aplic.domain.restore_word(word, &saved);
            }
        }
        aplic.domain.restore_domain(&domain);
    }
    Ok(())
}
