// SPDX-License-Identifier: GPL-2.0

//! Interrupt entry: the chained handler of the hart's external interrupt.
//!
//! No lock, no loop over identities, and nothing that another CPU could hold up: one `csrrw` per
//! interrupt and one that reads zero, one look at the summary of deferred changes, one slot per
//! interrupt.

use aia_core::{
    ids::Eiid,
    vector::{
        file::Arrival,
        slot::{
            Owner,
            Slot, //
        }, //
    },
};
use kernel::{
    cpu::CpuId,
    prelude::*,
    sync::barrier::{
        smp_mb,
        Full, //
    }, //
};
use kernel_ext::{
    ipi_mux,
    irq::chained::{
        Flow,
        Handler, //
    },
};

use crate::{
    ffi,
    hart::ThisHart,
    state::Imsic, //
};

/// The handler.
pub(crate) struct Entry;

impl Handler for Entry {
    fn handle(flow: &Flow<'_>) {
        let Some(imsic) = ffi::imsic() else {
            return;
        };
        let hart = ThisHart::new(imsic, flow.irqs_off());
        let file = &hart.local().file;

        // Before anything is claimed: what another CPU has masked or moved shall not be delivered.
        if file.needs_sync() {
            imsic.sync(&hart, flow.irqs_off());
        }

        loop {
            let top = imsic.aia.claim_topei(flow.irqs_off());

            if top == 0 {
                break;
            }
            // CAST: The identity has 11 bits.
            let Some(eiid) = Eiid::new((top >> 16) as u32) else {
                continue;
            };

            if eiid == Imsic::POKE {
                poke(imsic, &hart, flow);
                continue;
            }
            match file.slot(eiid) {
                Slot::Assigned(owner) => deliver(owner, flow),
                _ => elsewhere(&hart, flow, eiid),
            }
        }
    }
}

/// Runs the flow handler of `owner`.
#[inline(always)]
fn deliver(owner: Owner, flow: &Flow<'_>) {
    if let Some(descriptor) = ffi::descriptor(owner) {
        descriptor.handle(flow);
    }
}

/// Another CPU wants attention: an IPI, a change, or both.
#[inline]
fn poke(imsic: &Imsic, hart: &ThisHart<'_>, flow: &Flow<'_>) {
    // The change was recorded before the poke was sent, but maybe after the look at entry.
    smp_mb(Full);
    if hart.local().file.needs_sync() {
        imsic.sync(hart, flow.irqs_off());
    }
    if imsic.ipis.load() != 0 {
        ipi_mux::process(flow);
    }
}

/// An interrupt that has moved away, or is for nobody.
#[cold]
fn elsewhere(hart: &ThisHart<'_>, flow: &Flow<'_>, eiid: Eiid) {
    let file = &hart.local().file;

    match file.forward(hart, eiid) {
        // Assigned between the two looks.
        Arrival::For(owner) => deliver(owner, flow),
        Arrival::Stray if hart.local().strays.count(second()) && file.pool().claim(eiid) => {
            // Something is broken and must not keep the hart busy.
            file.switch_off(hart, eiid);
            pr_warn!(
                "CPU {}: too many stray MSIs, ID {} is off\n",
                CpuId::current().as_u32(),
                eiid.get()
            );
        }
        Arrival::Forwarded | Arrival::Dropped | Arrival::Stray => {}
    }
}

/// The current second, of any clock.
fn second() -> u32 {
    let jiffies = kernel_ext::time::jiffies();

    // CAST: May wrap.
    (jiffies / kernel_ext::time::HZ) as u32
}
