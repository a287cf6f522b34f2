// SPDX-License-Identifier: GPL-2.0

//! MSIs of the host: devices that it emulates, the APLIC, stores of vCPUs that trap.

use crate::ids::Eiid;

use super::{
    access::signal,
    vcpu::{
        Event,
        GuestFile as _,
        InterruptFile, //
    },
};

/// Makes `eiid` pending. Any context; takes locks of the scheduler if the state is in memory.
#[inline]
pub fn inject(vcpu: impl InterruptFile, eiid: Eiid) {
    // Whether it was not pending in memory, if it went there.
    let newly = vcpu.with_binding(|binding| match binding.delivers_to() {
        // The store is ordered before the unlock, so that whoever takes the file away finds it there.
        Some(file) => {
            file.store(eiid);
            None
        }
        None => Some(vcpu.sw_file().pend(eiid)),
    });

    match newly {
        None => vcpu.count(Event::MsiToFile(eiid)),
        Some(newly) => {
            vcpu.count(Event::MsiToMemory(eiid));
            // Else whoever has made it pending has signalled that, or is about to.
            if newly {
                signal(vcpu);
            }
        }
    }
}
