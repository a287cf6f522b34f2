// SPDX-License-Identifier: GPL-2.0

//! A PCI bus with one function, whose configuration space is memory (ECAM): a disk behind virtio's PCI
//! transport (Virtual I/O Device 1.2, 4.1).

use crate::{
    disk::{
        Disk,
        DiskState,
        QUEUE_SIZE,
        SECTORS, //
    },
    msix::{
        self,
        Msix,
        Table, //
    }, //
};
use serde::{
    Deserialize,
    Serialize, //
};
use std::sync::{
    atomic::AtomicU64,
    Arc, //
};
use virtio_bindings::{
    virtio_config::{
        VIRTIO_CONFIG_S_NEEDS_RESET,
        VIRTIO_F_VERSION_1, //
    },
    virtio_ids::VIRTIO_ID_BLOCK, //
};
use virtio_queue::QueueT;
use vmm::{
    Error,
    Guest,
    Ram,
    Result,
    Router, //
};

/// Guest-physical addresses of the bus' configuration space, and of what its functions have.
pub const CONFIG: u64 = 0x3000_0000;
pub const CONFIG_SIZE: u64 = 1 << 20;
pub const MEMORY: u64 = 0x4000_0000;
pub const MEMORY_SIZE: u64 = 1 << 20;

/// Where the function is in configuration space: device 1.
const FUNCTION: u64 = 1 << 15;
const FUNCTION_SIZE: usize = 256;

/// Registers of its configuration space.
const COMMAND: usize = 0x04;
const BAR0: usize = 0x10;
const CAP_MSIX: usize = 0x40;
const MSIX_CONTROL: usize = CAP_MSIX + 2;

/// Memory space is enabled.
const COMMAND_MEMORY: u8 = 2;

/// What lies in BAR 0, and how large it is.
const COMMON: u64 = 0x0000;
const ISR: u64 = 0x1000;
const DEVICE: u64 = 0x2000;
const NOTIFY: u64 = 0x3000;
const MSIX_TABLE: u64 = 0x4000;
const MSIX_PENDING: u64 = 0x5000;
const BAR_SIZE: u32 = 0x8000;

/// The register space of a capability of virtio, 4.1.4.
const COMMON_SIZE: u32 = 0x38;
const NO_VECTOR: u16 = 0xffff;

/// Interrupt status.
const ISR_QUEUE: u8 = 1;
const ISR_CONFIG: u8 = 2;

/// Configuration space as it is at first.
fn space() -> [u8; FUNCTION_SIZE] {
    let mut space = [0; FUNCTION_SIZE];
    let mut put = |offset: usize, bytes: &[u8]| {
        space[offset..offset + bytes.len()].copy_from_slice(bytes);
    };

    // Vendor, and device: those of virtio 1.
    put(0x00, &0x1af4_u16.to_le_bytes());
    put(0x02, &(0x1040 + VIRTIO_ID_BLOCK as u16).to_le_bytes());
    // There are capabilities.
    put(0x06, &[0x10]);
    // Revision, and class: mass storage.
    put(0x08, &[1, 0, 0, 1]);
    put(0x2c, &0x1af4_u16.to_le_bytes());
    put(0x2e, &0x1100_u16.to_le_bytes());
    put(0x34, &[CAP_MSIX as u8]);
    put(CAP_MSIX, &[0x11, 0x50, msix::VECTORS as u8 - 1, 0]);
    put(CAP_MSIX + 4, &(MSIX_TABLE as u32).to_le_bytes());
    put(CAP_MSIX + 8, &(MSIX_PENDING as u32).to_le_bytes());

    // Each kind of registers: its type, the BAR, offset and length there.
    let parts = [
        (1, 16, COMMON, COMMON_SIZE),
        (3, 16, ISR, 1),
        (4, 16, DEVICE, 8),
        (2, 20, NOTIFY, 4),
    ];

    for (n, (kind, len, offset, size)) in parts.into_iter().enumerate() {
        let at = 0x50 + 0x10 * n;
        let next = if n + 1 < parts.len() { at + 0x10 } else { 0 };

        put(at, &[0x09, next as u8, len, kind]);
        put(at + 8, &(offset as u32).to_le_bytes());
        put(at + 12, &size.to_le_bytes());
    }
    space
}

/// The bits of a word of configuration space that can be written.
fn writable(offset: usize) -> u32 {
    match offset & !3 {
        // Memory space, bus master, and interrupts by a wire, which it has not.
        COMMAND => 0x0406,
        BAR0 => !(BAR_SIZE - 1),
        // Cache line size, and whatever: it is only remembered.
        0x0c => 0xff,
        0x3c => 0xff,
        CAP_MSIX => u32::from(msix::WRITABLE) << 16,
        _ => 0,
    }
}

/// What the function is besides what it holds.
#[derive(Debug, Deserialize, Serialize)]
pub struct PciState {
    space: Vec<u8>,
    registers: Registers,
    table: Table,
    disk: DiskState,
}

/// Registers of the transport.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Registers {
    device_features_page: u32,
    driver_features_page: u32,
    status: u8,
    queue_selected: u16,
    isr: u8,
    config_vector: u16,
    queue_vector: u16,
}

impl Default for Registers {
    fn default() -> Self {
        Self {
            device_features_page: 0,
            driver_features_page: 0,
            status: 0,
            queue_selected: 0,
            isr: 0,
            config_vector: NO_VECTOR,
            queue_vector: NO_VECTOR,
        }
    }
}

/// The bus.
#[derive(Debug)]
pub struct Pci {
    space: [u8; FUNCTION_SIZE],
    registers: Registers,
    msix: Msix,
    disk: Disk,
}

fn little(data: &[u8]) -> u64 {
    data.iter()
        .rev()
        .fold(0, |value, byte| value << 8 | u64::from(*byte))
}

impl Pci {
    /// One of the machine with this memory and lines, as it was elsewhere, or new.
    pub fn new(
        ram: Arc<Ram>,
        router: Router,
        done: Arc<AtomicU64>,
        state: Option<&PciState>,
    ) -> Result<Self> {
        let disk = Disk::new(ram, done, state.map(|s| &s.disk))?;

        Ok(match state {
            Some(state) => Self {
                space: state
                    .space
                    .as_slice()
                    .try_into()
                    .map_err(|_| Error::new("configuration space of another size"))?,
                registers: state.registers.clone(),
                msix: Msix::new(router, state.table.clone())?,
                disk,
            },
            None => Self {
                space: space(),
                registers: Registers::default(),
                msix: Msix::new(router, Table::default())?,
                disk,
            },
        })
    }

    /// What it is now.
    pub fn state(&self) -> PciState {
        PciState {
            space: self.space.to_vec(),
            registers: self.registers.clone(),
            table: self.msix.table.clone(),
            disk: self.disk.state(),
        }
    }

    /// Gives its lines to the machine.
    pub fn plug(&self, guest: &Guest) -> Result<()> {
        self.msix.plug(guest)
    }

    /// Takes them away.
    pub fn unplug(&self, guest: &Guest) -> Result<()> {
        self.msix.unplug(guest)
    }

    /// Reads configuration space: ones where no function is.
    pub fn load_config(&self, offset: u64, data: &mut [u8]) {
        let begin = offset.wrapping_sub(FUNCTION) as usize;

        data.fill(match offset & !0xfff {
            // It has no extended space.
            FUNCTION => 0,
            _ => 0xff,
        });
        if let Some(from) = self.space.get(begin..).and_then(|s| s.get(..data.len())) {
            data.copy_from_slice(from);
        }
    }

    /// Writes to it.
    pub fn store_config(&mut self, offset: u64, data: &[u8]) {
        let begin = offset.wrapping_sub(FUNCTION) as usize;

        for (at, value) in (begin..).zip(data) {
            if let Some(byte) = self.space.get_mut(at) {
                let mask = (writable(at) >> (8 * (at & 3))) as u8;

                *byte = *byte & !mask | value & mask;
            }
        }
        self.msix
            .set_control(little(&self.space[MSIX_CONTROL..MSIX_CONTROL + 2]) as u16);
    }

    /// Where an address in the bus' memory lies in BAR 0, if it is there.
    fn in_bar(&self, offset: u64) -> Option<u64> {
        let base = little(&self.space[BAR0..BAR0 + 4]);
        let enabled = self.space[COMMAND] & COMMAND_MEMORY != 0;

        (MEMORY + offset)
            .checked_sub(base)
            .filter(|&at| enabled && at < BAR_SIZE.into())
    }

    /// Reads from the bus' memory: ones where nothing is.
    pub fn load(&mut self, offset: u64, data: &mut [u8]) {
        let value = match self.in_bar(offset) {
            Some(at) => self.register(at),
            None => u64::MAX,
        };

        data.copy_from_slice(&value.to_le_bytes()[..data.len()]);
    }

    fn register(&mut self, at: u64) -> u64 {
        const TABLE_END: u64 = MSIX_TABLE + msix::TABLE_SIZE;
        const PENDING_END: u64 = MSIX_PENDING + msix::PENDING_SIZE;

        match at {
            ISR => std::mem::take(&mut self.registers.isr).into(),
            DEVICE..=0x2007 => SECTORS >> (8 * (at - DEVICE)),
            MSIX_TABLE..TABLE_END => self.msix.entry(at - MSIX_TABLE).into(),
            MSIX_PENDING..PENDING_END => self.msix.pending(at - MSIX_PENDING).into(),
            _ => self.common(at).into(),
        }
    }

    /// The common configuration, 4.1.4.3.
    fn common(&self, at: u64) -> u32 {
        let registers = &self.registers;
        let queue = &self.disk.queue;
        let first = registers.queue_selected == 0;

        match at {
            0x00 => registers.device_features_page,
            0x04 if registers.device_features_page == 1 => 1 << (VIRTIO_F_VERSION_1 - 32),
            0x08 => registers.driver_features_page,
            0x10 => registers.config_vector.into(),
            // The number of queues.
            0x12 => 1,
            0x14 => registers.status.into(),
            0x16 => registers.queue_selected.into(),
            0x18 if first => queue.size().into(),
            0x1a if first => registers.queue_vector.into(),
            0x1c if first => queue.ready().into(),
            _ => 0,
        }
    }

    /// Writes to the bus' memory. Fails if KVM does not take a message.
    pub fn store(&mut self, offset: u64, data: &[u8]) -> Result<()> {
        const TABLE_END: u64 = MSIX_TABLE + msix::TABLE_SIZE;
        let value = little(data);

        match self.in_bar(offset) {
            Some(NOTIFY) => self.serve(),
            Some(at @ MSIX_TABLE..TABLE_END) => {
                for (n, word) in (0..).zip(data.chunks(4)) {
                    self.msix
                        .set_entry(at - MSIX_TABLE + 4 * n, little(word) as u32)?;
                }
            }
            Some(at) => self.set_common(at, value as u32),
            None => (),
        }
        Ok(())
    }

    fn set_common(&mut self, at: u64, value: u32) {
        let registers = &mut self.registers;
        let queue = &mut self.disk.queue;
        let half = value as u16;
        // A vector that there is not is none.
        let vector = match usize::from(half) < msix::VECTORS {
            true => half,
            false => NO_VECTOR,
        };

        match at {
            0x00 => registers.device_features_page = value,
            0x08 => registers.driver_features_page = value,
            0x10 => registers.config_vector = vector,
            0x14 if value == 0 => {
                *registers = Registers::default();
                queue.reset();
            }
            0x14 => registers.status = value as u8,
            0x16 => registers.queue_selected = half,
            _ if registers.queue_selected != 0 => (),
            0x18 => queue.set_size(half),
            0x1a => registers.queue_vector = vector,
            0x1c => queue.set_ready(half == 1),
            0x20 => queue.set_desc_table_address(Some(value), None),
            0x24 => queue.set_desc_table_address(None, Some(value)),
            0x28 => queue.set_avail_ring_address(Some(value), None),
            0x2c => queue.set_avail_ring_address(None, Some(value)),
            0x30 => queue.set_used_ring_address(Some(value), None),
            0x34 => queue.set_used_ring_address(None, Some(value)),
            _ => (),
        }
    }

    /// Does what the guest asks for.
    fn serve(&mut self) {
        match self.disk.serve() {
            Ok(false) => (),
            Ok(true) => {
                self.registers.isr |= ISR_QUEUE;
                self.msix.send(self.registers.queue_vector);
            }
            // The guest's rings are no rings.
            Err(_) => {
                self.registers.status |= VIRTIO_CONFIG_S_NEEDS_RESET as u8;
                self.registers.isr |= ISR_CONFIG;
                self.msix.send(self.registers.config_vector);
            }
        }
    }
}

const _: () = assert!(QUEUE_SIZE.is_power_of_two());
