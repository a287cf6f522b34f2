// SPDX-License-Identifier: GPL-2.0

//! A vCPU that is about to run on a hart whose guest files are all in use takes one of a vCPU that does
//! not run.

use crate::{
    guest::{
        binding::GuestFileLocation as _,
        victim::{
            Demand,
            NoVictim, //
        },
    },
    ids::{
        Cpu,
        Hgei, //
    },
};

use super::{
    release::begin,
    vcpu::{
        Event,
        InterruptFile, //
    },
};

/// The running hart, on behalf of the vCPU that needs one of its guest files.
pub trait FullHart {
    /// An owner of a guest file. It is valid while [`Self::find_victim`] lasts; and while a release of its
    /// file lasts that has begun then, for which who frees the owner waits.
    type Owner: InterruptFile;

    /// Calls `f` with the owners whose files may be taken, the best first, until it gives something
    /// ([`Lines::find_victim`](crate::guest::hgei::Lines::find_victim)), with the lines locked.
    fn find_victim<R>(
        &self,
        demand: Demand,
        f: impl FnMut(Self::Owner) -> Option<R>,
    ) -> Result<R, NoVictim>;

    /// The vCPU that needs one owns `line` from now on.
    fn pass_on(&self, line: Hgei);
}

/// Takes a guest file of the running hart, which is `here`, from a vCPU whose state then is in memory.
/// The file is settled, and empty.
///
/// By the thread of `thief` on its way into the guest, which does not leave the hart meanwhile, and
/// without whom nobody enters a guest there: so no owner runs, or is about to by what it found before.
/// It may still be that somebody moves an owner's state or resets it, who comes to an end; nothing here
/// waits for that. A hart that goes offline does not run it.
pub fn steal<H: FullHart>(
    hart: &H,
    thief: impl InterruptFile,
    here: Cpu,
    demand: Demand,
) -> Result<<H::Owner as InterruptFile>::File, NoVictim> {
    let releasing = hart.find_victim(demand, |owner| begin(owner, Some(here)).ok().flatten())?;

    releasing.count(Event::Robbed(releasing.line()));
    thief.count(Event::Stole(releasing.line()));
    Ok(releasing.pass_on(|file| hart.pass_on(file.hgei())))
}
