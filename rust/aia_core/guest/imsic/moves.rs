// SPDX-License-Identifier: GPL-2.0

//! The state follows the vCPU to another hart's guest file (AIA 6.1.2).

use crate::{
    guest::{
        binding::GuestFileLocation as _,
        file, //
    },
    swfile::Image, //
};

use super::{
    access::signal,
    vcpu::{
        change,
        Event,
        GuestFile as _,
        InterruptFile, //
    },
};

/// Moves the state to `new`, a guest file of the running hart, which holds anything unless it is settled.
///
/// By the vCPU's thread on its way into the guest, which does not leave the hart meanwhile. A hart
/// that goes offline is not gone before this has returned. Fails, and the state is where it was, if
/// the guest's page cannot be mapped.
pub fn follow<V: InterruptFile>(vcpu: V, mut new: V::File) -> Result<(), V::Error> {
    let (hart_ids, guest_ids) = (vcpu.hart_ids(), vcpu.sw_file().nr_ids());
    let line = new.hgei();

    if !new.take_settled() {
        // If former MSIs cannot be waited for, they may come later, and be spurious.
        let _ = new.here(|registers| file::clear(registers, hart_ids, false));
    }

    // From here on MSIs of the guest go to the new file, which does not deliver them yet; those of the
    // host still go to where the state is. This is all that can fail.
    vcpu.map(&new)?;

    // From here on MSIs of the host go to memory.
    let (begun, old) = loop {
        match change(vcpu, |binding| binding.begin_move()) {
            Ok(begun) => break begun,
            // The old hart goes offline, or somebody there takes the file. They do not wait for us.
            Err(_) => vcpu.wait(),
        }
    };
    let mut image = Image::default();

    match old {
        None => vcpu.sw_file().take(&mut image),
        Some(mut old) => {
            let saved = vcpu.call_on(old.cpu(), || {
                old.here(|registers| file::take(registers, hart_ids, guest_ids, &mut image))
            });

            match saved {
                Ok(settled) => old.set_settled(settled),
                Err(_) => vcpu.report_lost(&old),
            }
        }
    }

    new.here(|registers| file::load(registers, hart_ids, &image));
    change(vcpu, |binding| {
        if vcpu.sw_file().has_pending() {
            let mut late = Image::default();

            vcpu.sw_file().take_pending(&mut late);
            new.here(|registers| file::pend(registers, hart_ids, &late));
        }
        binding.finish_move(begun, new);
    });
    signal(vcpu);
    vcpu.count(Event::Moved(line));
    Ok(())
}
