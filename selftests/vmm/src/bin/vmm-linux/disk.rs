// SPDX-License-Identifier: GPL-2.0

//! A disk: what virtio-blk is behind its transport (Virtual I/O Device 1.2, 5.2), with one queue. What it
//! holds is in a file.
//!
//! A request is done when [`Disk::serve`] has ended: who has stopped the vCPUs has stopped the disk, and
//! its state is that of its queue.

use serde::{
    Deserialize,
    Serialize, //
};
use std::{
    env,
    fs::{
        self,
        File,
        OpenOptions, //
    },
    io::{
        self,
        Read,
        Write, //
    },
    os::unix::fs::FileExt,
    path::PathBuf,
    sync::{
        atomic::{
            AtomicU64,
            Ordering, //
        },
        Arc, //
    }, //
};
use virtio_bindings::virtio_blk::{
    VIRTIO_BLK_S_IOERR,
    VIRTIO_BLK_S_OK,
    VIRTIO_BLK_S_UNSUPP,
    VIRTIO_BLK_T_IN,
    VIRTIO_BLK_T_OUT, //
};
use virtio_queue::{
    DescriptorChain,
    Queue,
    QueueState,
    QueueT, //
};
use vmm::{
    Context,
    Ram,
    Result, //
};

const SECTOR: u64 = 512;
/// Its capacity, in sectors.
pub const SECTORS: u64 = 8192;
/// The most descriptors that its queue may have.
pub const QUEUE_SIZE: u16 = 64;

/// Most bytes of a request, more than any driver asks for.
const MOST: usize = 1 << 20;

/// A queue, to be sent to another process.
#[derive(Deserialize, Serialize)]
#[serde(remote = "QueueState")]
struct QueueFields {
    max_size: u16,
    next_avail: u16,
    next_used: u16,
    event_idx_enabled: bool,
    size: u16,
    ready: bool,
    desc_table: u64,
    avail_ring: u64,
    used_ring: u64,
}

/// What a disk is besides what it holds.
#[derive(Debug, Deserialize, Serialize)]
pub struct DiskState(#[serde(with = "QueueFields")] QueueState);

/// A disk of the machine with some memory.
#[derive(Debug)]
pub struct Disk {
    sectors: File,
    ram: Arc<Ram>,
    pub queue: Queue,
    /// Requests that were done, of which others look at the number.
    done: Arc<AtomicU64>,
}

fn path() -> PathBuf {
    env::temp_dir().join("vmm-linux-disk")
}

/// Makes the file of zeroes that disks are.
pub fn blank() -> Result<()> {
    let path = path();

    fs::create_dir_all(env::temp_dir())
        .and_then(|()| File::create(&path))
        .and_then(|file| file.set_len(SECTOR * SECTORS))
        .context(path.display())
}

impl Disk {
    /// One with the [file](blank) that is there, as it was elsewhere, or new.
    pub fn new(ram: Arc<Ram>, done: Arc<AtomicU64>, state: Option<&DiskState>) -> Result<Self> {
        let path = path();

        Ok(Self {
            sectors: OpenOptions::new()
                .read(true)
                .write(true)
                .open(&path)
                .context(path.display())?,
            ram,
            queue: match state {
                Some(state) => Queue::try_from(state.0),
                None => Queue::new(QUEUE_SIZE),
            }
            .context("virtqueue")?,
            done,
        })
    }

    /// What it is now.
    pub fn state(&self) -> DiskState {
        DiskState(self.queue.state())
    }

    /// Does what the guest asks for; whether it is to be told.
    pub fn serve(&mut self) -> Result<bool> {
        let mut tell = false;

        while let Some(chain) = self.queue.pop_descriptor_chain(Arc::clone(&self.ram)) {
            let head = chain.head_index();
            let written = self.request(chain).context("request")?;

            self.queue
                .add_used(&*self.ram, head, written)
                .context("used ring")?;
            self.done.fetch_add(1, Ordering::Relaxed);
            tell |= self
                .queue
                .needs_notification(&*self.ram)
                .context("available ring")?;
        }
        Ok(tell)
    }

    /// Does one request; how many bytes of memory it has written.
    fn request(&self, chain: DescriptorChain<Arc<Ram>>) -> io::Result<u32> {
        let mut from = chain.clone().reader(&*self.ram).map_err(io::Error::other)?;
        let mut to = chain.writer(&*self.ram).map_err(io::Error::other)?;
        let room = to
            .available_bytes()
            .checked_sub(1)
            .ok_or_else(|| io::Error::other("no room for the status"))?;
        let mut last = to.split_at(room).map_err(io::Error::other)?;
        let kind: u32 = from.read_obj()?;
        let _priority: u32 = from.read_obj()?;
        let sector: u64 = from.read_obj()?;

        let status = match kind {
            VIRTIO_BLK_T_IN => match place(sector, room) {
                Some((offset, mut part)) => {
                    self.sectors.read_exact_at(&mut part, offset)?;
                    to.write_all(&part).map(|()| VIRTIO_BLK_S_OK)?
                }
                None => VIRTIO_BLK_S_IOERR,
            },
            VIRTIO_BLK_T_OUT => match place(sector, from.available_bytes()) {
                Some((offset, mut part)) => {
                    from.read_exact(&mut part)?;
                    self.sectors.write_all_at(&part, offset)?;
                    VIRTIO_BLK_S_OK
                }
                None => VIRTIO_BLK_S_IOERR,
            },
            _ => VIRTIO_BLK_S_UNSUPP,
        };

        last.write_obj(status as u8)?;
        Ok(to.bytes_written() as u32 + 1)
    }
}

/// Where so many bytes from `sector` on lie in the file, and room for them.
fn place(sector: u64, len: usize) -> Option<(u64, Vec<u8>)> {
    let offset = sector.checked_mul(SECTOR)?;
    let end = offset.checked_add(len as u64)?;

    (len <= MOST && end <= SECTOR * SECTORS).then(|| (offset, vec![0; len]))
}
