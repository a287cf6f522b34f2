// SPDX-License-Identifier: GPL-2.0

//! The state moves from a guest file to memory, or is not needed any more.

use crate::{
    guest::{
        binding::{
            BegunRelease,
            Binding,
            BoundTo,
            Busy,
            GuestFileLocation as _, //
        },
        file, //
    },
    ids::{
        Cpu,
        Hgei,
        NrIds, //
    },
    swfile::Image, //
};

use super::{
    access::signal,
    vcpu::{
        change,
        Event,
        GuestFile as _,
        InterruptFile,
        Offline, //
    },
};

/// A vCPU whose guest file is being taken away: nobody frees it before this is finished.
#[must_use = "the vCPU waits for the end"]
pub struct Releasing<V: InterruptFile> {
    vcpu: V,
    file: V::File,
    begun: BegunRelease,
}

/// Takes the guest file away from the vCPU if it is one of CPU `on`, or any; [`None`] if it has no such
/// file.
pub(super) fn begin<V: InterruptFile>(
    vcpu: V,
    on: Option<Cpu>,
) -> Result<Option<Releasing<V>>, Busy> {
    let begun = change(vcpu, |binding| binding.begin_release(on))?;

    Ok(begun.map(|(begun, file)| Releasing { vcpu, file, begun }))
}

/// Moves the state to memory. By the vCPU's thread on its way into the guest: a hart that goes offline
/// is not gone before this has returned.
#[inline]
pub fn release(vcpu: impl InterruptFile) {
    // Nobody else moves it to a guest file. Who has moved it to memory was done before.
    if !BoundTo::is_software(vcpu.bound().load_acquire()) {
        when_free(vcpu, Releasing::finish);
    }
}

/// Gives the guest file back without what is in it: nobody needs the state any more. With the vCPU's
/// mutex held; the hart may go meanwhile.
pub fn discard(vcpu: impl InterruptFile) {
    when_free(vcpu, Releasing::discard);
}

/// Resets the interrupt file (AIA 3.4). With the vCPU's mutex held.
pub fn reset(vcpu: impl InterruptFile) {
    discard(vcpu);
    vcpu.sw_file().reset();
    signal(vcpu);
}

/// Resets the interrupt file if its state is in memory, and returns whether it is. In any context; the
/// vCPU does not execute, so that the state stays there.
pub fn reset_in_memory(vcpu: impl InterruptFile) -> bool {
    let in_memory = vcpu.with_binding(|binding| {
        let in_memory = matches!(binding, Binding::Software);

        if in_memory {
            vcpu.sw_file().reset();
        }
        in_memory
    });

    if in_memory {
        signal(vcpu);
    }
    in_memory
}

/// The vCPU goes away: gives its guest file back, and waits for whoever still uses the vCPU.
pub fn destroy(vcpu: impl InterruptFile) {
    // Only a hart that goes offline or a thief can be at it, which come to an end.
    while change(vcpu, |binding| binding.destroy()).is_err() {
        vcpu.wait();
    }
}

/// Begins to take the guest file away, if there is one, and calls `end`.
///
/// The vCPU's thread does not move it meanwhile: only a hart that goes offline or a thief can be at it,
/// which come to an end.
fn when_free<V: InterruptFile>(vcpu: V, end: impl FnOnce(Releasing<V>)) {
    loop {
        match begin(vcpu, None) {
            Ok(Some(releasing)) => return end(releasing),
            Ok(None) => return,
            Err(Busy) => vcpu.wait(),
        }
    }
}

impl<V: InterruptFile> Releasing<V> {
    /// Ends it on the hart that has the file, which the task does not leave.
    pub(super) fn finish_here(self) {
        self.finish_with(Self::take_here, drop);
    }

    /// Ends it on the hart that has the file, which the task does not leave, and returns the file.
    /// `pass` makes somebody else its owner.
    pub(super) fn pass_on(self, pass: impl FnOnce(&V::File)) -> V::File {
        self.finish_with(Self::take_here, |file| {
            pass(&file);
            file
        })
    }

    /// Takes the state out of the file, here.
    fn take_here(vcpu: V, file: &V::File, image: &mut Image) -> Result<file::Settled, Offline> {
        let (hart_ids, guest_ids) = ids(vcpu);

        Ok(file.here(|registers| file::take(registers, hart_ids, guest_ids, image)))
    }

    /// Ends it on any hart.
    fn finish(self) {
        self.finish_with(
            |vcpu, file, image| {
                let (hart_ids, guest_ids) = ids(vcpu);

                vcpu.call_on(file.cpu(), || {
                    file.here(|registers| file::take(registers, hart_ids, guest_ids, image))
                })
            },
            drop,
        );
    }

    /// Ends it on any hart. The state is lost.
    fn discard(self) {
        let Self { vcpu, file, begun } = self;

        // From here on MSIs of the guest trap. Those that are on their way are for the file's next owner
        // to wait for.
        vcpu.unmap(&file);
        drop(file);
        // The vCPU may be gone afterwards.
        change(vcpu, |binding| binding.finish_release(begun));
    }

    /// Moves the state by `save`. After `end` the vCPU does not own the line any more.
    fn finish_with<R>(
        self,
        save: impl FnOnce(V, &V::File, &mut Image) -> Result<file::Settled, Offline>,
        end: impl FnOnce(V::File) -> R,
    ) -> R {
        let Self {
            vcpu,
            mut file,
            begun,
        } = self;
        let mut image = Image::default();

        // From here on MSIs of the guest trap.
        vcpu.unmap(&file);
        match save(vcpu, &file, &mut image) {
            Ok(settled) => file.set_settled(settled),
            Err(Offline) => vcpu.report_lost(&file),
        }
        let ended = end(file);

        vcpu.sw_file().merge(&image);
        signal(vcpu);
        // The vCPU may be gone afterwards.
        change(vcpu, |binding| binding.finish_release(begun));
        ended
    }

    /// The line of the file.
    pub(super) fn line(&self) -> Hgei {
        self.file.hgei()
    }

    /// See [`InterruptFile::count`].
    pub(super) fn count(&self, event: Event) {
        self.vcpu.count(event);
    }
}

/// How many identities a guest file has, and how many of these the guest knows.
fn ids(vcpu: impl InterruptFile) -> (NrIds, NrIds) {
    (vcpu.hart_ids(), vcpu.sw_file().nr_ids())
}
