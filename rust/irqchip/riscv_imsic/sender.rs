// SPDX-License-Identifier: GPL-2.0

//! Senders of MSIs that can prove that nothing of theirs is in flight: APLICs in MSI mode.
//!
//! When a vector moves away from a hart, an MSI to it may still be on its way. An APLIC can send an
//! extempore MSI that arrives after all its earlier ones to the same hart (AIA 4.9.3), so the hart
//! that loses the vector asks each APLIC for one and waits for it to become pending. All this
//! happens on that hart, with interrupts off, and takes as long as an MSI travels.

use core::ptr;

use aia_core::{
    ids::Eiid,
    vector::{
        access::{
            Fence,
            HartAccess, //
        },
        proof::{
            self,
            Asked, //
        },
        slot::Sender, //
    },
    word::Word, //
};
use kernel::{
    prelude::*,
    sync::SetOnce, //
};
use kernel_ext::msi;

/// A sender of extempore MSIs. Senders live for ever.
pub trait ExtemporeSender: Sync {
    /// Sends an MSI with identity `eiid` to physical address `address` after all MSIs that the
    /// sender has sent there.
    ///
    /// Returns whether it was sent. Called with interrupts off and raw locks held: may take a raw
    /// lock of its own, and wait for the hardware, for some microseconds.
    fn send(&self, address: u64, eiid: Eiid) -> bool;

    /// Whether the sender has no power, and so nothing on its way.
    fn is_off(&self) -> bool;
}

/// The senders of the system.
static SENDERS: [SetOnce<&'static dyn ExtemporeSender>; 16] = [const { SetOnce::new() }; 16];

/// Not zero once a sender has failed: no fence proves anything any more.
static FAILED: Word = Word::new(0);

/// Makes a sender known, before it sends its first MSI. It is the controller of the wired-to-MSI
/// domain whose interrupts it sends.
///
/// Fails with `ENOSPC` if there are too many. Whose sender is not known, of them moved vectors wait
/// for some time instead of asking.
pub fn register(sender: &'static dyn ExtemporeSender) -> Result {
    if SENDERS.iter().any(|slot| slot.populate(sender)) {
        Ok(())
    } else {
        Err(ENOSPC)
    }
}

/// What is known of the MSIs of `device`.
pub(crate) fn kind(device: &msi::Outermost<'_>) -> Sender {
    match device.bus() {
        // The messages are told to who stores them, or has another machine store them.
        msi::Bus::PciMsi | msi::Bus::PciMsix if device.tells_of_messages() => Sender::Posted,
        msi::Bus::PciMsi | msi::Bus::PciMsix => Sender::Ordered,
        msi::Bus::WiredToMsi if is_known(device.controller()) => Sender::Fenced,
        // Of these, nothing tells when all that they sent has arrived.
        msi::Bus::WiredToMsi | msi::Bus::Device | msi::Bus::Other => Sender::Posted,
    }
}

/// Whether `controller` is a sender that fences ask.
fn is_known(controller: *const c_void) -> bool {
    SENDERS
        .iter()
        .filter_map(SetOnce::as_ref)
        .any(|sender| ptr::addr_eq(ptr::from_ref(*sender), controller))
}

/// A sender that is asked for the marker.
struct Asking {
    sender: &'static dyn ExtemporeSender,
    address: u64,
    marker: Eiid,
}

impl proof::Sender for Asking {
    fn send(&self) -> bool {
        self.sender.send(self.address, self.marker)
    }

    fn is_off(&self) -> bool {
        self.sender.is_off()
    }
}

/// Lets all senders send `marker`, which nobody else uses, to `hart`, whose file is at `address`, and
/// waits for each.
pub(crate) fn fence(hart: &impl HartAccess, address: u64, marker: Eiid) -> Fence {
    let senders = SENDERS
        .iter()
        // Another one may be on its way to a slot before.
        .filter_map(SetOnce::as_ref)
        .map(|sender| Asking {
            sender: *sender,
            address,
            marker,
        });

    match proof::ask_all(hart, marker, senders, &FAILED) {
        Asked::All(outcome) => outcome,
        Asked::Failed(outcome) => {
            pr_warn!("an APLIC does not send extempore MSIs, moved vectors wait instead\n");
            outcome
        }
    }
}
