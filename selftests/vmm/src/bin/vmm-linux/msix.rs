// SPDX-License-Identifier: GPL-2.0

//! MSI-X of a PCI function (PCI Express Base Specification, 6.1.4): its table, and what reaches KVM of it.

use serde::{
    Deserialize,
    Serialize, //
};
use vmm::{
    Context,
    Guest,
    Result,
    Router, //
};
use vmm_sys_util::eventfd::EventFd;

/// Vectors that a function has.
pub const VECTORS: usize = 2;
/// Bytes of an entry of the table.
const ENTRY: u64 = 16;
/// Bytes of the table, and of the bits of what is pending.
pub const TABLE_SIZE: u64 = ENTRY * VECTORS as u64;
pub const PENDING_SIZE: u64 = 8;

/// In the message control register.
pub const ENABLE: u16 = 1 << 15;
const MASK_ALL: u16 = 1 << 14;
/// What the guest can write of it.
pub const WRITABLE: u16 = ENABLE | MASK_ALL;

/// The mask of a vector, in its fourth word.
const MASKED: u32 = 1;

/// The state of all vectors.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Table {
    /// Address, low and high, data, and vector control.
    entries: [[u32; 4]; VECTORS],
    /// A bit for each vector.
    pending: u64,
    control: u16,
}

impl Default for Table {
    fn default() -> Self {
        Self {
            entries: [[0, 0, 0, MASKED]; VECTORS],
            pending: 0,
            control: 0,
        }
    }
}

/// The vectors of a function, each of which is a line of the virtual machine.
#[derive(Debug)]
pub struct Msix {
    pub table: Table,
    router: Router,
    events: [EventFd; VECTORS],
}

impl Msix {
    /// Those of a function of the machine of `router`.
    pub fn new(router: Router, table: Table) -> Result<Self> {
        let event = || EventFd::new(libc::EFD_NONBLOCK).context("eventfd");

        Ok(Self {
            table,
            router,
            events: [event()?, event()?],
        })
    }

    /// Gives the lines to the machine.
    pub fn plug(&self, guest: &Guest) -> Result<()> {
        self.route()?;
        (0..)
            .zip(&self.events)
            .try_for_each(|(n, event)| guest.attach_irqfd(event, guest.msi_line(n)))
    }

    /// Takes them away. Its vCPUs do not run.
    pub fn unplug(&self, guest: &Guest) -> Result<()> {
        (0..)
            .zip(&self.events)
            .try_for_each(|(n, event)| guest.remove_irqfd(event, guest.msi_line(n)))
    }

    /// Tells KVM all messages.
    fn route(&self) -> Result<()> {
        let messages = self
            .table
            .entries
            .map(|[low, high, data, _]| (u64::from(high) << 32 | u64::from(low), data));

        self.router.route_msis(&messages).map(drop)
    }

    fn is_masked(&self, vector: usize) -> bool {
        self.table.control & MASK_ALL != 0 || self.table.entries[vector][3] & MASKED != 0
    }

    /// Sends the message of a vector, or as soon as it is not masked. Does nothing for one that there is not.
    pub fn send(&mut self, vector: u16) {
        let vector = usize::from(vector);

        if vector < VECTORS && self.table.control & ENABLE != 0 {
            self.table.pending |= 1 << vector;
            self.send_pending();
        }
    }

    fn send_pending(&mut self) {
        for (vector, event) in self.events.iter().enumerate() {
            let bit = 1 << vector;

            if self.table.pending & bit != 0 && !self.is_masked(vector) {
                // It does not get that full.
                let _ = event.write(1);
                self.table.pending &= !bit;
            }
        }
    }

    /// What the message control register is now.
    pub fn set_control(&mut self, control: u16) {
        self.table.control = control;
        if control & ENABLE != 0 {
            self.send_pending();
        }
    }

    /// A word of the table.
    pub fn entry(&self, offset: u64) -> u32 {
        self.table.entries[(offset / ENTRY) as usize][(offset % ENTRY / 4) as usize]
    }

    /// Sets one. Fails if KVM does not take the message.
    pub fn set_entry(&mut self, offset: u64, value: u32) -> Result<()> {
        let vector = (offset / ENTRY) as usize;

        self.table.entries[vector][(offset % ENTRY / 4) as usize] = value;
        // What is masked is told when it is not any more.
        if self.table.entries[vector][3] & MASKED == 0 {
            self.route()?;
            if self.table.control & ENABLE != 0 {
                self.send_pending();
            }
        }
        Ok(())
    }

    /// A word of the bits of what is pending.
    pub fn pending(&self, offset: u64) -> u32 {
        (self.table.pending >> (8 * offset)) as u32
    }
}
