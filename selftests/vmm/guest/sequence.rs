// SPDX-License-Identifier: GPL-2.0

//! MSIs with sequence numbers, see `slot.rs`: the guest's part.

use crate::{
    abi::{
        Mailbox,
        MAILBOXES,
        MAX_VCPUS, //
    },
    slot::{
        Ids,
        Slot,
        SLOTS,
        SLOTS_BASE, //
    },
    time,
    wait, //
};
use core::{
    arch::asm,
    ptr::write_volatile, //
};

/// The slots of a vCPU.
fn slots(vcpu: usize) -> &'static [Slot; SLOTS] {
    // SAFETY: RAM holds the slots of MAX_VCPUS vCPUs there for ever, all of it atomics.
    unsafe { &*(SLOTS_BASE as *const [Slot; SLOTS]).add(vcpu & (MAX_VCPUS - 1)) }
}

/// Notes an interrupt of the vCPU with the mailbox `mb`, after its claim.
pub(crate) fn note(mb: &Mailbox, id: u64) {
    let vcpu = (core::ptr::from_ref(mb) as usize - MAILBOXES as usize) / size_of::<Mailbox>();

    // SAFETY: Orders accesses only: the claim is input, and what follows reads memory.
    unsafe { asm!("fence iorw, iorw", options(nostack)) };
    if let Some(slot) = slots(vcpu).get(id as usize) {
        slot.note();
    }
}

/// Sends a5 MSIs or more to the IMSIC page a0 of vCPU a1, of identities a2 onwards:
/// a3 that are sent in bursts, and a4 one at a time. The MSIs sent, 0 if it gave up,
/// and the time.
pub(crate) fn send(mb: &Mailbox, a: &[u64; 6]) -> (u64, u64) {
    let ids = Ids {
        first: a[2] as u32,
        bursts: a[3] as u32,
        singles: a[4] as u32,
    };
    let start = time();
    let wait = |_, slot: &Slot| {
        if wait(mb, || slot.settled()) {
            Ok(())
        } else {
            Err(())
        }
    };
    let post = |id| {
        // SAFETY: Orders accesses only: the number is there before the MSI.
        unsafe { asm!("fence w, o", options(nostack)) };
        // SAFETY: The IMSIC page of a vCPU; stores change its interrupt file only.
        unsafe { write_volatile(a[0] as *mut u32, id) };
        Ok(())
    };

    let sent = ids.send(slots(a[1] as usize), a[5], wait, post);

    (sent.unwrap_or(0), time() - start)
}
