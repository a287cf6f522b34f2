// SPDX-License-Identifier: GPL-2.0

//! Interrupt entry: what becomes of the interrupts that are pending in a hart's file.
//!
//! Unless a change was deferred: no lock, no loop over identities, and nothing that another CPU
//! could hold up; one claim per interrupt and one that finds nothing, one look at the summary of
//! deferred changes, one slot per interrupt.

use super::{
    access::HartAccess,
    file::forward::Arrival,
    operations::{
        self,
        Machine, //
    },
    slot::{
        Slot,
        SlotOwner, //
    },
    POKE, //
};
use crate::ids::Eiid;

/// A hart that has taken its external interrupt.
pub trait Entry {
    /// The hart, and what it can reach.
    type Machine: Machine;

    /// The hart, and what it can reach.
    fn machine(&self) -> &Self::Machine;

    /// Claims the top interrupt: the one that is returned is pending no more.
    fn claim(&self) -> Option<Eiid>;

    /// Handles the IPIs that are pending, if they arrive as pokes.
    fn ipis(&self);

    /// Runs the handlers of `owner`.
    fn deliver(&self, owner: SlotOwner);

    /// Counts an MSI for nobody; returns whether there are too many.
    fn stray(&self, eiid: Eiid) -> bool;

    /// `eiid` has been switched off, since too many MSIs for nobody came there.
    fn switched_off(&self, eiid: Eiid);
}

/// Handles all interrupts that are pending.
#[inline(always)]
pub fn handle<E: Entry>(entry: &E) {
    let machine = entry.machine();

    // Before anything is claimed: what another CPU has masked or moved shall not be delivered.
    if machine.here().needs_sync() {
        operations::sync(machine);
    }

    while let Some(eiid) = entry.claim() {
        if eiid == POKE {
            poke(entry);
            continue;
        }
        match machine.here().slot_dependent(eiid) {
            Slot::Assigned(owner) => entry.deliver(owner),
            _ => elsewhere(entry, eiid),
        }
    }
}

/// Another CPU wants attention: an IPI, a change, or both.
#[inline]
fn poke<E: Entry>(entry: &E) {
    // The change was recorded before the poke was sent, but maybe after the look at entry. The claim
    // is input from a device (RISC-V, Zicsr): what orders memory only does not order it.
    entry.machine().barrier();
    if entry.machine().here().needs_sync() {
        operations::sync(entry.machine());
    }
    entry.ipis();
}

/// An interrupt that has moved away, or is for nobody.
#[cold]
fn elsewhere<E: Entry>(entry: &E, eiid: Eiid) {
    let machine = entry.machine();
    let file = machine.here();

    match file.forward(machine, eiid) {
        // Assigned between the two looks.
        Arrival::For(owner) => entry.deliver(owner),
        Arrival::Stray if entry.stray(eiid) && file.pool().claim(eiid) => {
            // Something is broken and must not keep the hart busy.
            file.switch_off(machine, eiid);
            machine.placement().take(machine.cpu(), 1);
            entry.switched_off(eiid);
        }
        Arrival::Forwarded | Arrival::Dropped | Arrival::Stray => {}
    }
}
