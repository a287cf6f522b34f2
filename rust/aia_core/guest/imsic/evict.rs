// SPDX-License-Identifier: GPL-2.0

//! A hart goes offline, and whoever has a guest file there loses it; or it goes to sleep, and its guest
//! files lose what they hold.

use crate::{
    guest::{
        binding::GuestFileLocation as _,
        file, //
    },
    ids::{
        Cpu,
        Hgei, //
    },
    swfile::Image, //
};

use super::{
    release::begin,
    vcpu::{
        Event,
        GuestFile as _,
        InterruptFile, //
    },
};

/// The running hart, whose guest files are in use.
pub trait HgeiOwners {
    /// An owner of a guest file. It is valid while [`Self::with_owner`] lasts; and while a release of
    /// its file that was begun is not finished, for which [`super::release::destroy`] waits.
    type Owner: InterruptFile;

    /// Calls `f` with who owns `line`, with the lines locked; [`None`] if nobody does.
    fn with_owner<R>(&self, line: Hgei, f: impl FnOnce(Self::Owner) -> R) -> Option<R>;
}

/// Takes the guest file behind `line` of the running hart, which is `here`, from its owner. No vCPU's
/// thread runs here any more, so that nobody takes it again.
///
/// It may be in the hands of the owner's thread, which moves the state away from there just now, and
/// cannot fail. The hart does not go before that is done, so that there is nothing to wait for. Or
/// nobody needs what is in it ([`super::release::discard`]), and it is given back whenever.
pub fn evict(hart: &impl HgeiOwners, here: Cpu, line: Hgei) {
    if let Some(Ok(Some(releasing))) = hart.with_owner(line, |owner| begin(owner, Some(here))) {
        releasing.count(Event::Evicted(line));
        releasing.finish_here();
    }
}

/// Saves what the guest file behind `line` of the running hart, which is `here`, holds. Nobody sends
/// MSIs or runs before [`unpark`]; the state is still that of the file.
pub fn park(hart: &impl HgeiOwners, here: Cpu, line: Hgei) {
    hart.with_owner(line, |owner| {
        owner.with_binding(|binding| {
            let Some(bound) = binding.file().filter(|file| file.cpu() == here) else {
                return;
            };
            let (hart_ids, guest_ids) = (owner.hart_ids(), owner.sw_file().nr_ids());
            let mut image = Image::default();

            // What does not arrive by now is lost with the file.
            let _ = bound.here(|registers| file::take(registers, hart_ids, guest_ids, &mut image));
            owner.sw_file().merge(&image);
        });
    });
}

/// Undoes [`park`]. The guest file holds anything.
pub fn unpark(hart: &impl HgeiOwners, here: Cpu, line: Hgei) {
    hart.with_owner(line, |owner| {
        owner.with_binding(|binding| {
            let Some(bound) = binding.file().filter(|file| file.cpu() == here) else {
                return;
            };
            let hart_ids = owner.hart_ids();
            let mut image = Image::default();

            owner.sw_file().take(&mut image);
            bound.here(|registers| {
                let _ = file::clear(registers, hart_ids, true);
                file::load(registers, hart_ids, &image);
            });
        });
    });
}
