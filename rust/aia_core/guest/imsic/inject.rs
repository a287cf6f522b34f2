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

/// Where an MSI went.
enum Delivered {
    ToFile,
    /// And whether its identity was not pending there.
    ToMemory {
        newly: bool,
    },
}

/// Makes `eiid` pending. Any context; takes locks of the scheduler if the state is in memory.
#[inline]
pub fn inject(vcpu: impl InterruptFile, eiid: Eiid) {
    let delivered = vcpu.with_binding(|binding| match binding.delivers_to() {
        // The store is ordered before the unlock, so that whoever takes the file away finds it there.
        Some(file) => {
            file.store(eiid);
            Delivered::ToFile
        }
        None => Delivered::ToMemory {
            newly: vcpu.sw_file().pend(eiid),
        },
    });

    match delivered {
        Delivered::ToFile => vcpu.count(Event::MsiToFile(eiid)),
        Delivered::ToMemory { newly } => {
            vcpu.count(Event::MsiToMemory(eiid));
            // Else whoever has made it pending has signalled that, or is about to.
            if newly {
                signal(vcpu);
            }
        }
    }
}
