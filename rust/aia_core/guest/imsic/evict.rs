// SPDX-License-Identifier: GPL-2.0

//! A hart goes offline, and whoever has a guest file there loses it.

use crate::ids::{
    Cpu,
    Hgei, //
};

use super::{
    release::begin,
    vcpu::InterruptFile, //
};

/// The running hart, whose guest files are in use.
pub trait Hart {
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
pub fn evict(hart: &impl Hart, here: Cpu, line: Hgei) {
    if let Some(Ok(Some(releasing))) = hart.with_owner(line, |owner| begin(owner, Some(here))) {
        releasing.finish_here();
    }
}
