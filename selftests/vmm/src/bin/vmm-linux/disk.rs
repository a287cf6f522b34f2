// SPDX-License-Identifier: GPL-2.0

//! A disk: virtio-blk behind virtio-mmio (Virtual I/O Device 1.2, 4.2 and 5.2), with one queue, and what
//! it holds in the VMM's memory.
//!
//! A request is done when the guest's store to `QueueNotify` has ended: who has stopped the vCPUs has
//! stopped the disk, and its state is what the registers say.

use std::{
    io::{
        self,
        Read,
        Write, //
    },
    sync::{
        atomic::{
            AtomicU64,
            Ordering, //
        },
        Arc, //
    }, //
};
use virtio_bindings::{
    virtio_blk::{
        VIRTIO_BLK_S_IOERR,
        VIRTIO_BLK_S_OK,
        VIRTIO_BLK_S_UNSUPP,
        VIRTIO_BLK_T_IN,
        VIRTIO_BLK_T_OUT, //
    },
    virtio_config::{
        VIRTIO_CONFIG_S_NEEDS_RESET,
        VIRTIO_F_VERSION_1, //
    },
    virtio_ids::VIRTIO_ID_BLOCK,
    virtio_mmio::*, //
};
use virtio_queue::{
    DescriptorChain,
    Queue,
    QueueT, //
};
use vmm::{
    Context,
    Error,
    Ram,
    Result, //
};
use vmm_sys_util::eventfd::EventFd;

/// "virt", little-endian.
const MAGIC: u32 = 0x7472_6976;
const VERSION: u32 = 2;
/// Whoever made it.
const VENDOR: u32 = 0;

const SECTOR: usize = 512;
const SECTORS: usize = 8192;
const QUEUE_SIZE: u16 = 64;

/// A disk with its registers.
#[derive(Debug)]
pub struct Disk {
    sectors: Vec<u8>,
    /// Of the machine that has it.
    ram: Option<Arc<Ram>>,
    queue: Queue,
    /// Raises its wire: an edge.
    raise: EventFd,
    /// Requests that were done, of which others look at the number.
    done: Arc<AtomicU64>,
    status: u32,
    interrupt: u32,
    device_features_page: u32,
    driver_features_page: u32,
    queue_selected: u32,
}

impl Disk {
    /// One of zeroes.
    pub fn new(raise: EventFd, done: Arc<AtomicU64>) -> Result<Self> {
        Ok(Self {
            sectors: vec![0; SECTOR * SECTORS],
            ram: None,
            queue: Queue::new(QUEUE_SIZE).context("virtqueue")?,
            raise,
            done,
            status: 0,
            interrupt: 0,
            device_features_page: 0,
            driver_features_page: 0,
            queue_selected: 0,
        })
    }

    /// Gives it to the machine with this memory.
    pub fn attach(&mut self, ram: Arc<Ram>) {
        self.ram = Some(ram);
        // Its wire may have been low for some time.
        if self.interrupt != 0 {
            self.raise_wire();
        }
    }

    fn raise_wire(&self) {
        // It does not get that full.
        let _ = self.raise.write(1);
    }

    /// Reads from a register; false if there is none of that size.
    pub fn load(&self, register: u64, data: &mut [u8]) -> bool {
        if let Some(offset) = register.checked_sub(VIRTIO_MMIO_CONFIG.into()) {
            let capacity = (SECTORS as u64).to_le_bytes();

            for (byte, from) in data.iter_mut().zip(capacity.iter().skip(offset as usize)) {
                *byte = *from;
            }
            return true;
        }
        let Ok(word) = <&mut [u8; 4]>::try_from(data) else {
            return false;
        };
        let first = self.queue_selected == 0;

        *word = match register as u32 {
            VIRTIO_MMIO_MAGIC_VALUE => MAGIC,
            VIRTIO_MMIO_VERSION => VERSION,
            VIRTIO_MMIO_DEVICE_ID => VIRTIO_ID_BLOCK,
            VIRTIO_MMIO_VENDOR_ID => VENDOR,
            VIRTIO_MMIO_DEVICE_FEATURES => match self.device_features_page {
                1 => 1 << (VIRTIO_F_VERSION_1 - 32),
                _ => 0,
            },
            VIRTIO_MMIO_QUEUE_NUM_MAX if first => QUEUE_SIZE.into(),
            VIRTIO_MMIO_QUEUE_READY if first => self.queue.ready().into(),
            VIRTIO_MMIO_INTERRUPT_STATUS => self.interrupt,
            VIRTIO_MMIO_STATUS => self.status,
            _ => 0,
        }
        .to_le_bytes();
        true
    }

    /// Writes to a register; false if there is none of that size.
    pub fn store(&mut self, register: u64, data: &[u8]) -> bool {
        let (Ok(register), Ok(word)) = (u32::try_from(register), <[u8; 4]>::try_from(data)) else {
            return false;
        };
        let value = u32::from_le_bytes(word);

        match register {
            VIRTIO_MMIO_DEVICE_FEATURES_SEL => self.device_features_page = value,
            VIRTIO_MMIO_DRIVER_FEATURES_SEL => self.driver_features_page = value,
            VIRTIO_MMIO_QUEUE_SEL => self.queue_selected = value,
            VIRTIO_MMIO_INTERRUPT_ACK => self.interrupt &= !value,
            VIRTIO_MMIO_STATUS if value == 0 => self.reset(),
            VIRTIO_MMIO_STATUS => self.status = value,
            VIRTIO_MMIO_QUEUE_NOTIFY if value == 0 => self.serve(),
            _ if self.queue_selected == 0 => self.configure(register, value),
            _ => (),
        }
        true
    }

    fn configure(&mut self, register: u32, value: u32) {
        let queue = &mut self.queue;
        let value_16 = value as u16;

        match register {
            VIRTIO_MMIO_QUEUE_NUM => queue.set_size(value_16),
            VIRTIO_MMIO_QUEUE_READY => queue.set_ready(value == 1),
            VIRTIO_MMIO_QUEUE_DESC_LOW => queue.set_desc_table_address(Some(value), None),
            VIRTIO_MMIO_QUEUE_DESC_HIGH => queue.set_desc_table_address(None, Some(value)),
            VIRTIO_MMIO_QUEUE_AVAIL_LOW => queue.set_avail_ring_address(Some(value), None),
            VIRTIO_MMIO_QUEUE_AVAIL_HIGH => queue.set_avail_ring_address(None, Some(value)),
            VIRTIO_MMIO_QUEUE_USED_LOW => queue.set_used_ring_address(Some(value), None),
            VIRTIO_MMIO_QUEUE_USED_HIGH => queue.set_used_ring_address(None, Some(value)),
            _ => (),
        }
    }

    fn reset(&mut self) {
        self.queue.reset();
        self.status = 0;
        self.interrupt = 0;
    }

    /// Does what the guest asks for.
    fn serve(&mut self) {
        if self.try_serve().is_err() {
            // The guest's rings are no rings.
            self.status |= VIRTIO_CONFIG_S_NEEDS_RESET;
            self.interrupt |= VIRTIO_MMIO_INT_CONFIG;
            self.raise_wire();
        }
    }

    fn try_serve(&mut self) -> Result<()> {
        let ram = self
            .ram
            .clone()
            .ok_or_else(|| Error::new("a disk of no machine"))?;

        while let Some(chain) = self.queue.pop_descriptor_chain(Arc::clone(&ram)) {
            let head = chain.head_index();
            let written = self.request(&ram, chain).context("request")?;

            self.queue
                .add_used(&*ram, head, written)
                .context("used ring")?;
            self.done.fetch_add(1, Ordering::Relaxed);
            if self
                .queue
                .needs_notification(&*ram)
                .context("available ring")?
            {
                self.interrupt |= VIRTIO_MMIO_INT_VRING;
                self.raise_wire();
            }
        }
        Ok(())
    }

    /// Does one request; how many bytes of memory it has written.
    fn request(&mut self, ram: &Ram, chain: DescriptorChain<Arc<Ram>>) -> io::Result<u32> {
        let mut from = chain.clone().reader(ram).map_err(io::Error::other)?;
        let mut to = chain.writer(ram).map_err(io::Error::other)?;
        let room = to
            .available_bytes()
            .checked_sub(1)
            .ok_or_else(|| io::Error::other("no room for the status"))?;
        let mut last = to.split_at(room).map_err(io::Error::other)?;
        let kind: u32 = from.read_obj()?;
        let _priority: u32 = from.read_obj()?;
        let sector: u64 = from.read_obj()?;

        let status = match kind {
            VIRTIO_BLK_T_IN => match self.part(sector, room) {
                Some(part) => to.write_all(part).map(|()| VIRTIO_BLK_S_OK)?,
                None => VIRTIO_BLK_S_IOERR,
            },
            VIRTIO_BLK_T_OUT => match self.part(sector, from.available_bytes()) {
                Some(part) => from.read_exact(part).map(|()| VIRTIO_BLK_S_OK)?,
                None => VIRTIO_BLK_S_IOERR,
            },
            _ => VIRTIO_BLK_S_UNSUPP,
        };

        last.write_obj(status as u8)?;
        Ok(to.bytes_written() as u32 + 1)
    }

    /// So many bytes from `sector` on.
    fn part(&mut self, sector: u64, len: usize) -> Option<&mut [u8]> {
        let begin = usize::try_from(sector).ok()?.checked_mul(SECTOR)?;

        self.sectors.get_mut(begin..begin.checked_add(len)?)
    }
}
