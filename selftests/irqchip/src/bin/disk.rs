// SPDX-License-Identifier: GPL-2.0

//! A disk that is written and read by a thread of each CPU: each block holds what was written to it last,
//! and each request ends by an interrupt.
//!
//! Arguments: `rounds`, requests of each thread (default 100), besides those by which it writes its blocks at
//! first and reads them at the end; `blocks`, how many it has (default 64). What is on the disk is lost.

use irqtest::{
    args::Args,
    cpu,
    ensure,
    interrupts,
    sys,
    Result, //
};
use ktap::Tap;
use std::{
    fs::{
        self,
        File,
        OpenOptions, //
    },
    os::unix::fs::{
        FileExt,
        OpenOptionsExt, //
    },
    process::ExitCode,
    thread::scope, //
};

const DISK: &str = "/dev/vda";
const NAME: &str = "vda";
const BLOCK: usize = 4096;

/// A block where the disk can get and put it by DMA.
#[repr(align(4096))]
struct Block([u8; BLOCK]);

/// Numbers that look like chance, the same for the same seed (splitmix64).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;

        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }
}

impl Block {
    /// What a block holds when it was written for the `version`th time; before the first, zeroes.
    fn of(block: u64, version: u32) -> Box<Self> {
        let mut numbers = Numbers(block << 32 | u64::from(version));
        let mut new = Box::new(Self([0; BLOCK]));

        if version != 0 {
            for word in new.0.chunks_exact_mut(8) {
                word.copy_from_slice(&numbers.next().to_le_bytes());
            }
        }
        new
    }
}

fn open() -> Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_DIRECT)
        .open(DISK)
        .map_err(|e| format!("{DISK}: {e}"))
}

/// The blocks of a thread, and how often each was written.
struct Blocks<'a> {
    disk: &'a File,
    first: u64,
    versions: Vec<u32>,
}

impl Blocks<'_> {
    fn offset(&self, n: usize) -> u64 {
        (self.first + n as u64) * BLOCK as u64
    }

    fn write(&mut self, n: usize) -> Result {
        self.versions[n] += 1;
        let block = Block::of(self.first + n as u64, self.versions[n]);

        self.disk
            .write_all_at(&block.0, self.offset(n))
            .map_err(|e| format!("block {n} of {}, written: {e}", self.first))
    }

    fn check(&self, n: usize) -> Result {
        let mut block = Box::new(Block([0xff; BLOCK]));

        self.disk
            .read_exact_at(&mut block.0, self.offset(n))
            .map_err(|e| format!("block {n} of {}, read: {e}", self.first))?;
        let version = self.versions[n];

        ensure(
            block.0 == Block::of(self.first + n as u64, version).0,
            || format!("block {n} of {} is not that of write {version}", self.first),
        )
    }

    /// Writes and reads, `rounds` requests in all.
    fn work(&mut self, rounds: u64) -> Result {
        let mut numbers = Numbers(self.first);

        for _ in 0..rounds {
            let number = numbers.next();
            let n = (number >> 1) as usize % self.versions.len();

            match number & 1 {
                0 => self.write(n)?,
                _ => self.check(n)?,
            }
        }
        Ok(())
    }
}

/// What it had before is gone.
fn clear(disk: &File, blocks: u64) -> Result {
    let zeroes = Box::new(Block([0; BLOCK]));

    (0..blocks).try_for_each(|n| {
        disk.write_all_at(&zeroes.0, n * BLOCK as u64)
            .map_err(|e| format!("block {n}: {e}"))
    })
}

/// Interrupts of all disks so far.
fn interrupts() -> u64 {
    interrupts::lines()
        .iter()
        .filter(|line| line.text.contains("virtio"))
        .map(|line| line.total())
        .sum()
}

fn work(disk: &File, cpus: &[usize], blocks: u64, rounds: u64) -> Result {
    let before = interrupts();

    scope(|s| {
        let threads: Vec<_> = cpus
            .iter()
            .zip(0_u64..)
            .map(|(&cpu, n)| {
                s.spawn(move || {
                    let mut blocks = Blocks {
                        disk,
                        first: n * blocks,
                        versions: vec![0; blocks as usize],
                    };

                    sys::pin(&[cpu])?;
                    blocks.work(rounds)?;
                    (0..blocks.versions.len()).try_for_each(|n| blocks.check(n))
                })
            })
            .collect();

        threads
            .into_iter()
            .try_for_each(|thread| thread.join().map_err(|_| String::from("a panic"))?)
    })?;
    let came = interrupts() - before;

    // One for each request, or for several that were done at once, by different threads.
    ensure(came >= rounds && came != 0, || {
        format!(
            "{came} interrupts for {rounds} requests by each of {} threads",
            cpus.len()
        )
    })
}

fn main() -> ExitCode {
    let args = Args::of("disk", &["rounds", "blocks"]);
    let rounds = args.number("rounds", 100);
    let blocks = args.number("blocks", 64);
    let cpus = cpu::online();
    let mut tap = Tap::new(1);
    let sectors = fs::read_to_string(format!("/sys/block/{NAME}/size"))
        .ok()
        .and_then(|size| size.trim().parse::<u64>().ok())
        .unwrap_or(0);
    let all = cpus.len() as u64 * blocks;

    if blocks == 0 || sectors * 512 < all * BLOCK as u64 {
        tap.bail_out(format!("{DISK} has {sectors} sectors"));
    }
    tap.check(
        open().and_then(|disk| {
            clear(&disk, all)?;
            work(&disk, &cpus, blocks, rounds)
        }),
        "each block holds what was written to it last",
    );
    tap.finish()
}
