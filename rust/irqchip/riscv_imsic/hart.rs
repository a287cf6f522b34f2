// SPDX-License-Identifier: GPL-2.0

//! The registers of the running hart's supervisor interrupt file.

use aia_core::{
    eix::{
        self,
        EixWord, //
    },
    ids::Eiid,
    isel::Isel,
    vector::{
        file::Hart,
        VectorId, //
    },
};
use kernel::interrupt::LocalInterruptDisabled;
use kernel_ext::arch::riscv::aia::Indirect;

use crate::{
    sender::{
        self,
        Fence, //
    },
    state::{
        Imsic,
        LocalHart, //
    }, //
};

/// The running hart, for as long as its interrupts are off.
pub(crate) struct ThisHart<'a> {
    imsic: &'a Imsic,
    local: &'a LocalHart,
    registers: Indirect<'a>,
}

impl<'a> ThisHart<'a> {
    #[inline(always)]
    pub(crate) fn new(imsic: &'a Imsic, irqs_off: &'a LocalInterruptDisabled) -> Self {
        Self {
            imsic,
            local: imsic.locals.here(irqs_off),
            registers: Indirect::new(imsic.aia, irqs_off),
        }
    }

    /// This hart's part of the state.
    #[inline(always)]
    pub(crate) fn local(&self) -> &'a LocalHart {
        self.local
    }

    /// Clears all pending bits: the file holds anything after reset or a kexec, and an offline
    /// hart's may have filled up (AIA 3.4). Sets all enable bits: so are those of free identities.
    /// The file delivers nothing meanwhile.
    pub(crate) fn reset(&self) {
        self.write(Isel::EIDELIVERY, eix::EIDELIVERY_OFF);
        for word in EixWord::all(self.imsic.nr_ids) {
            self.write(Isel::eip(word), 0);
            self.write(Isel::eie(word), u64::MAX);
        }
    }

    /// Lets the file deliver all enabled identities.
    pub(crate) fn deliver(&self) {
        self.write(Isel::EITHRESHOLD, eix::EITHRESHOLD_NONE);
        self.write(Isel::EIDELIVERY, eix::EIDELIVERY_ON);
    }

    fn write(&self, isel: Isel, value: u64) {
        // CAST: Register numbers and values are as wide as the hart.
        self.registers.write(isel.get() as usize, value as usize);
    }
}

/// The number and bit of the enable register of `eiid`.
#[inline(always)]
fn eie(eiid: Eiid) -> (usize, usize) {
    // CAST: As wide as the hart.
    (
        Isel::eie(EixWord::of(eiid)).get() as usize,
        eix::mask(eiid) as usize,
    )
}

/// The number and bit of the pending register of `eiid`.
#[inline(always)]
fn eip(eiid: Eiid) -> (usize, usize) {
    // CAST: As wide as the hart.
    (
        Isel::eip(EixWord::of(eiid)).get() as usize,
        eix::mask(eiid) as usize,
    )
}

impl Hart for ThisHart<'_> {
    #[inline(always)]
    fn enable(&self, eiid: Eiid) {
        let (isel, mask) = eie(eiid);

        self.registers.set(isel, mask);
    }

    #[inline(always)]
    fn disable(&self, eiid: Eiid) {
        let (isel, mask) = eie(eiid);

        self.registers.clear(isel, mask);
    }

    #[inline]
    fn take_pending(&self, eiid: Eiid) -> bool {
        let (isel, mask) = eip(eiid);

        self.registers.clear(isel, mask) & mask != 0
    }

    fn send(&self, to: VectorId) {
        self.imsic.send(to);
    }

    fn fence(&self) -> bool {
        let pool = self.local.file.pool();
        let (Some(doorbell), Some(eiid)) = (self.local.doorbell, pool.alloc()) else {
            return false;
        };

        self.disable(eiid);
        let outcome = sender::fence_all(self, doorbell.address, eiid);

        if outcome == Fence::Lost {
            self.local.file.switch_off(self, eiid);
        } else {
            self.enable(eiid);
            pool.release(eiid);
        }
        outcome == Fence::Proven
    }
}
