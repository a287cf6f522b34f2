// SPDX-License-Identifier: GPL-2.0

//! How the state of all interrupt controllers of a virtual machine is saved and restored: in which
//! order, and what is checked before anything changes.

use super::{
    Layout,
    Snapshot,
    SnapshotMut, //
};
use crate::{
    guest_aplic::{
        Aplic,
        SourceWords, //
    },
    ids::VcpuId,
    swfile::Image, //
};

/// A virtual machine, none of whose vCPUs runs.
pub trait Machine {
    /// The storage of the APLIC's words.
    type Words: SourceWords;
    /// Why an interrupt file cannot be read.
    type Error;

    /// The APLIC, if there is one.
    fn aplic(&self) -> Option<&Aplic<Self::Words>>;

    /// The first vCPU that has an interrupt file, of those whose ID is not below `from`.
    fn vcpu_from(&mut self, from: u32) -> Option<VcpuId>;

    /// Copies the interrupt file of `vcpu`, which has one, and leaves it as it is.
    fn save(&mut self, vcpu: VcpuId, image: &mut Image) -> Result<(), Self::Error>;

    /// Replaces the interrupt file of `vcpu`, which has one.
    fn restore(&mut self, vcpu: VcpuId, image: &Image);
}

/// Why nothing is saved.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SaveError<E> {
    /// The machine is not of that layout.
    Layout,
    /// An interrupt file cannot be read.
    File(E),
}

/// The snapshot is of other vCPUs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct OtherVcpus;

/// Fills `bytes`. The APLIC comes first: what it has sent is then in the files.
pub fn save<M: Machine>(
    machine: &mut M,
    layout: Layout,
    bytes: &mut [u8],
) -> Result<(), SaveError<M::Error>> {
    let mut snapshot = SnapshotMut::new(layout, bytes).ok_or(SaveError::Layout)?;

    if let Some(aplic) = machine.aplic() {
        snapshot
            .set_domain(&aplic.save_domain())
            .ok_or(SaveError::Layout)?;
        for word in layout.words() {
            aplic
                .save_word(word)
                .and_then(|saved| snapshot.set_word(word, &saved))
                .ok_or(SaveError::Layout)?;
        }
    }

    let mut image = Image::default();
    let mut next = Some(0);
    let mut position = 0;

    // None is looked for after the last one, of as many IDs as there may be.
    while position < layout.nr_vcpus() {
        let Some(vcpu) = next.and_then(|from| machine.vcpu_from(from)) else {
            break;
        };

        machine.save(vcpu, &mut image).map_err(SaveError::File)?;
        snapshot
            .set_vcpu(position, vcpu, &image)
            .ok_or(SaveError::Layout)?;
        position += 1;
        next = vcpu.get().checked_add(1);
    }
    Ok(())
}

/// Puts `snapshot`, which is of `layout`, into the machine, which is of it, too. If that fails, nothing
/// has changed.
///
/// The APLIC comes last, and its IE at the very end: what it sends finds the files there.
pub fn restore<M: Machine>(
    machine: &mut M,
    layout: Layout,
    snapshot: &Snapshot<'_>,
) -> Result<(), OtherVcpus> {
    let vcpus = 0..layout.nr_vcpus();

    // Each once, since they ascend and are as many.
    for position in vcpus.clone() {
        let vcpu = snapshot.vcpu_id(position).ok_or(OtherVcpus)?;

        if machine.vcpu_from(vcpu.get()) != Some(vcpu) {
            return Err(OtherVcpus);
        }
    }

    // Nothing fails from here on.
    let mut image = Image::default();

    for position in vcpus {
        if let Some(vcpu) = snapshot.vcpu(position, &mut image) {
            machine.restore(vcpu, &image);
        }
    }
    if let (Some(aplic), Some(domain)) = (machine.aplic(), snapshot.domain()) {
        for word in layout.words() {
            if let Some(saved) = snapshot.word(word) {
                aplic.restore_word(word, &saved);
            }
        }
        aplic.restore_domain(&domain);
    }
    Ok(())
}
