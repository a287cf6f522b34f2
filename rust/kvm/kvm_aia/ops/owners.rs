// SPDX-License-Identifier: GPL-2.0

//! Who owns the guest files of the running hart.

#![expect(
    unsafe_code,
    reason = "a vCPU that is used for longer than its line's lock is held"
)]

use aia_core::{
    guest::{
        hgei::Lines,
        imsic::{
            evict::HgeiOwners,
            steal::FullHart, //
        },
        victim::{
            Activity,
            Demand,
            NoVictim,
            Standing, //
        },
    },
    ids::Hgei, //
};
use kernel_ext::time::monotonic_ns;
use kvm_ext::Vcpu;

use crate::{
    published::imsic,
    state::{
        handle::VcpuImsicRef,
        host::{
            HgeiControl,
            HgeiOwner, //
        },
    }, //
};

/// The owners of the guest files of the running hart, by the lock of its lines.
pub(crate) struct Owners<'a>(pub(crate) &'a HgeiControl);

/// An owner and its interrupt file.
///
/// # Safety
///
/// As for [`HgeiOwner::vcpu`].
unsafe fn file_of(owner: HgeiOwner) -> Option<VcpuImsicRef<'static>> {
    // SAFETY: By the requirements of this function.
    let vcpu = unsafe { owner.vcpu() };

    Some(VcpuImsicRef::new(vcpu, imsic(vcpu)?))
}

impl HgeiOwners for Owners<'_> {
    /// Not for longer than the trait says.
    type Owner = VcpuImsicRef<'static>;

    fn with_owner<R>(&self, line: Hgei, f: impl FnOnce(VcpuImsicRef<'static>) -> R) -> Option<R> {
        let lines = self.0.lines.lock();
        // SAFETY: A vCPU frees its line, under this lock, before it is freed. If a release begins, it is
        // alive until that ends, since `release::destroy` waits for it.
        let owner = unsafe { file_of(lines.owner(line)?) }?;

        Some(f(owner))
    }
}

/// The same on behalf of a vCPU that found no file free.
pub(crate) struct OwnersAndThief<'a> {
    pub(crate) owners: Owners<'a>,
    pub(crate) thief: &'a Vcpu,
}

/// What `vcpu`, which does not run on this CPU, does. It may do something else by now.
fn standing(vcpu: &Vcpu) -> Standing {
    let activity = if vcpu.cpu().is_some() {
        Activity::Elsewhere
    } else if vcpu.is_blocking() {
        Activity::Blocked
    } else {
        Activity::Ready
    };

    Standing {
        activity,
        ran: imsic(vcpu).map_or(0, |imsic| imsic.ran()),
    }
}

impl FullHart for OwnersAndThief<'_> {
    /// Not for longer than the trait says.
    type Owner = VcpuImsicRef<'static>;

    fn find_victim<R>(
        &self,
        demand: Demand,
        mut f: impl FnMut(VcpuImsicRef<'static>) -> Option<R>,
    ) -> Result<R, NoVictim> {
        let hart = self.owners.0;
        let now = monotonic_ns();

        if demand == Demand::May {
            let until = hart.next_steal.load();

            // Owners that come make it later only.
            if now < until {
                return Err(NoVictim::Early { until });
            }
        }
        let lines = hart.lines.lock();
        let found = lines.find_victim(
            demand,
            now,
            // SAFETY: The lock of the lines is held.
            |owner| standing(unsafe { owner.vcpu() }),
            // SAFETY: As for `with_owner`.
            |_, owner| f(unsafe { file_of(owner) }?),
        );

        if let Err(NoVictim::Early { until }) = found {
            hart.next_steal.store_release(until);
        }
        found
    }

    fn pass_on(&self, line: Hgei) {
        self.owners.0.change(|lines: &mut Lines<HgeiOwner>| {
            lines.pass_on(line, HgeiOwner::new(self.thief), monotonic_ns());
        });
    }
}
