// SPDX-License-Identifier: GPL-2.0

//! What came of all MSIs, judged when all is quiet.

use crate::{
    plan::Path,
    senders::{
        settle,
        State, //
    },
};
use std::{
    fmt,
    sync::atomic::Ordering,
    thread::sleep,
    time::Duration, //
};
use vmm::{
    ensure,
    slot::Slot,
    Guest,
    Result, //
};

/// Sums over slots.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    /// MSIs of identities that are sent one at a time.
    singles: u64,
    /// MSIs of those that are sent in bursts.
    bursts: u64,
    /// The interrupts of these.
    burst_interrupts: u64,
    /// Interrupts among them that found nothing new.
    again: u64,
}

impl Tally {
    fn add(&mut self, slot: &Slot, single: bool) {
        let sent = slot.sent.load(Ordering::Relaxed);

        if single {
            self.singles += sent;
        } else {
            self.bursts += sent;
            self.burst_interrupts += slot.came.load(Ordering::Relaxed);
            self.again += u64::from(slot.again.load(Ordering::Relaxed));
        }
    }

    /// All MSIs.
    pub(crate) fn sent(&self) -> u64 {
        self.singles + self.bursts
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} MSIs one at a time, as many interrupts; \
             {} in bursts, {} interrupts, {} of them with nothing new",
            self.singles, self.bursts, self.burst_interrupts, self.again
        )
    }
}

/// A slot is as it must be when nothing is on its way, see the rules of
/// [`vmm::slot`].
fn judge(slot: &Slot, single: bool) -> bool {
    let sent = slot.sent.load(Ordering::Relaxed);
    let came = slot.came.load(Ordering::Relaxed);
    let again = slot.again.load(Ordering::Relaxed);
    let merged = if single {
        came == sent && again == 0
    } else {
        // Any number of a burst may have merged.
        came <= sent && (came > 0) == (sent > 0)
    };

    slot.settled() && slot.extra.load(Ordering::Relaxed) == 0 && merged
}

/// Nothing was lost, nothing came twice, nothing went astray. The vCPUs take no
/// more MSIs, and those that sleep have been woken by [`Guest::WAKE`] alone.
pub(crate) fn tally(guest: &Guest, paths: &[Path]) -> Result<Tally> {
    let mut tally = Tally::default();
    let mut used = vec![vec![None; vmm::slot::SLOTS]; guest.config().vcpus];

    for path in paths {
        for (id, single) in path.ids.iter() {
            settle(guest, path.to, id, &guest.slots(path.to)[id as usize])?;
            used[path.to][id as usize] = Some(single);
        }
    }
    // One too many may still be on its way.
    sleep(Duration::from_millis(100));
    for (vcpu, used) in used.iter().enumerate() {
        let mut came = u64::from(guest.count(vcpu, Guest::WAKE));

        for (id, (slot, used)) in guest.slots(vcpu).iter().zip(used).enumerate() {
            let good = match *used {
                Some(single) => judge(slot, single),
                None if id == Guest::WAKE as usize => continue,
                None => slot.came.load(Ordering::Relaxed) == 0,
            };

            ensure(good, || {
                format!("MSI {id} of vCPU {vcpu} ({used:?}): {}", State(slot))
            })?;
            came += slot.came.load(Ordering::Relaxed);
            tally.add(slot, *used == Some(true));
        }
        let total = guest.total(vcpu);

        ensure(total == came, || {
            format!("vCPU {vcpu} took {total} interrupts, of which {came} have an identity")
        })?;
    }
    Ok(tally)
}
