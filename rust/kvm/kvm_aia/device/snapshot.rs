// SPDX-License-Identifier: GPL-2.0

//! The state of a virtual machine's interrupt controllers, of all at once or one by one, for user space:
//! it is saved here, and restored elsewhere, with interrupts in flight.
//!
//! The format is that of [`aia_core::guest::state`]. `Documentation/kvm-extensions.rst` tells user
//! space what it has to do besides.

use aia_core::{
    guest::{
        attribute::Part,
        state::{
            machine::{
                self,
                Machine,
                SaveError, //
            },
            Header,
            Layout,
            Snapshot, //
            SnapshotError,
        }, //
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
    Vcpu,
    VcpuLocked,
    VcpusLocked,
    Vm, //
};

use crate::{
    published,
    state::{
        aplic::{
            LockedWords,
            VmAplic, //
        },
        imsic::VcpuImsic,
        vm::VmAia, //
    }, //
};

fn error(error: SnapshotError) -> Error {
    Error::from_errno(error.errno())
}

/// The vCPU with this ID, which has an interrupt file. Fails with `ENODEV` if there is none.
fn with_file(vm: &Vm, id: VcpuId) -> Result<&Vcpu> {
    vm.vcpu_by_id(id.get())
        .filter(|vcpu| published::imsic(vcpu).is_some())
        .ok_or(ENODEV)
}

/// What the state of `part` consists of, and whose. It does not change any more, but that vCPUs may be
/// added to a machine.
///
/// Fails with `ENODEV` before the interrupt controllers are initialised, and if there is no such part.
fn layout(vm: &Vm, part: Part) -> Result<(Layout, &VmAia)> {
    let aia = published::aia(vm).ok_or(ENODEV)?;
    let nr_sources = aia.aplic.as_ref().map(|aplic| aplic.domain.nr_sources());
    let (nr_sources, nr_vcpus) = match part {
        Part::Machine => (nr_sources, aia.nr_files()),
        Part::Aplic => (Some(nr_sources.ok_or(ENODEV)?), 0),
        Part::Imsic(id) => with_file(vm, id).map(|_| (None, 1))?,
    };

    Ok((
        Layout::new(aia.nr_ids, nr_sources, nr_vcpus.try_into()?).ok_or(EINVAL)?,
        aia,
    ))
}

/// Whether there is such a part, before the interrupt controllers are initialised as far as one can tell.
pub(super) fn has(vm: &Vm, part: Part) -> Result {
    match part {
        Part::Imsic(_) => layout(vm, part).map(drop),
        Part::Machine | Part::Aplic => Ok(()),
    }
}

/// Memory for a state.
fn buffer(layout: &Layout) -> Result<KVVec<u8>> {
    Ok(KVVec::from_elem(0, layout.size(), GFP_KERNEL_ACCOUNT)?)
}

/// Writes a state to user memory.
///
/// Fails with `E2BIG`, with only the header written, if there is not enough of it, and with `EBUSY`
/// if a vCPU runs, unless it is a state without vCPUs. That of a single vCPU waits for it instead.
pub(super) fn get(vm: &Vm, attr: &Attr, part: Part) -> Result {
    let mut header = [0; Header::SIZE];

    attr.read_bytes(&mut header)?;
    let header = Header::decode(&header);

    if !header.only_asks() {
        header.check_request().map_err(error)?;
    }
    let (layout, _) = layout(vm, part)?;

    if header.only_asks() {
        return attr.write_bytes(&layout.header().encode());
    }
    if usize::try_from(header.size)? < layout.size() {
        attr.write_bytes(&layout.header().encode())?;
        return Err(E2BIG);
    }
    let mut bytes = buffer(&layout)?;

    stopped(vm, part, layout, |controllers| {
        machine::save(controllers, layout, &mut bytes).map_err(|error| match error {
            SaveError::Layout => EINVAL,
            SaveError::File(error) => error,
        })
    })?;
    attr.write_bytes(&bytes)
}

/// Calls `f` with what `part` is of, which consists of what `expected` says, while none of its vCPUs runs.
///
/// Fails with `EBUSY` if a vCPU of a machine runs, or has been added to it.
fn stopped<R>(
    vm: &Vm,
    part: Part,
    expected: Layout,
    f: impl FnOnce(&mut Controllers<'_, '_>) -> Result<R>,
) -> Result<R> {
    let call = |aia: &VmAia, files: Files<'_, '_>| {
        let has_aplic = expected.words().next().is_some();
        let aplic = aia.aplic.as_ref().filter(|_| has_aplic);

        f(&mut Controllers { files, aplic })
    };

    match part {
        Part::Machine => {
            let vm = vm.lock();
            let vcpus = vm.try_lock_vcpus()?;
            let (layout, aia) = layout(&vm, part)?;

            if layout != expected {
                return Err(EBUSY);
            }
            call(aia, Files::All(&vcpus))
        }
        Part::Aplic => {
            // Against others who restore it.
            let vm = vm.lock();

            call(layout(&vm, part)?.1, Files::None)
        }
        Part::Imsic(id) => {
            let vcpu = with_file(vm, id)?.lock_killable()?;

            call(layout(vm, part)?.1, Files::One(&vcpu))
        }
    }
}

/// Interrupt files of vCPUs that do not run.
enum Files<'a, 'b> {
    All(&'a VcpusLocked<'b>),
    One(&'a VcpuLocked<'b>),
    None,
}

impl Files<'_, '_> {
    /// Calls `f` with the vCPU of this ID and its interrupt file, if it is one of these.
    fn with<R>(
        &mut self,
        id: VcpuId,
        f: impl FnOnce(&VcpuLocked<'_>, &VcpuImsic) -> R,
    ) -> Option<R> {
        let locked;
        let vcpu = match self {
            Self::All(vcpus) => {
                locked = vcpus.by_id(id.get())?;
                &locked
            }
            Self::One(vcpu) if vcpu.id() == id.get() => *vcpu,
            Self::One(_) | Self::None => return None,
        };

        Some(f(vcpu, published::imsic(vcpu.vcpu())?))
    }
}

/// The interrupt controllers that a state is of, with none of its vCPUs running.
struct Controllers<'a, 'b> {
    files: Files<'a, 'b>,
    aplic: Option<&'a VmAplic>,
}

impl Machine for Controllers<'_, '_> {
    type Words = LockedWords;
    type Error = Error;

    fn aplic(&self) -> Option<&Aplic<LockedWords>> {
        self.aplic.map(|aplic| &aplic.domain)
    }

    fn vcpu_from(&mut self, from: u32) -> Option<VcpuId> {
        (from..VcpusLocked::MAX_IDS)
            .map(VcpuId::new)
            .find(|&id| self.files.with(id, |_, _| ()).is_some())
    }

    fn save(&mut self, vcpu: VcpuId, image: &mut Image) -> Result {
        self.files
            .with(vcpu, |vcpu, imsic| imsic.save(vcpu, image))
            .ok_or(EINVAL)?
    }

    fn restore(&mut self, vcpu: VcpuId, image: &Image) {
        self.files
            .with(vcpu, |vcpu, imsic| imsic.restore(vcpu, image));
    }
}

/// Restores a state from user memory.
///
/// Fails with `EINVAL` if it is none of such a part of such a virtual machine, and with `EBUSY` if a vCPU
/// runs, as [`get`]; then nothing has changed.
pub(super) fn set(vm: &Vm, attr: &Attr, part: Part) -> Result {
    let mut header = [0; Header::SIZE];

    attr.read_bytes(&mut header)?;
    let header = Header::decode(&header);
    let (layout, _) = layout(vm, part)?;

    // Before as much memory is read. It may be another one by then, hence all is checked once more.
    if header != layout.header() {
        return Err(EINVAL);
    }
    let mut bytes = buffer(&layout)?;

    attr.read_bytes(&mut bytes)?;
    let snapshot = Snapshot::open(layout, &bytes).map_err(error)?;

    stopped(vm, part, layout, |controllers| {
        machine::restore(controllers, layout, &snapshot).map_err(|machine::OtherVcpus| EINVAL)
    })
}
