// SPDX-License-Identifier: GPL-2.0

//! Interrupts that a device raises by one message: together they have a block of vectors.

use aia_core::vector::{
    block::BlockOwners,
    VectorId,
    Vectors, //
};
use kernel::{
    prelude::*,
    static_lock_class,
    sync::lock::Guard, //
};
use kernel_ext::{
    irq::desc::Locked,
    sync::{
        raw_spinlock::RawSpinLockBackend,
        RawSpinLock, //
    }, //
};

/// The interrupts that share a block.
pub(crate) struct Members {
    /// The Linux number of the first one; the others follow.
    pub(crate) first_irq: u32,
    /// How many there are.
    pub(crate) count: u32,
    /// How many of them have been freed.
    pub(crate) freed: u32,
    /// Those that are active, a bit for each.
    pub(crate) active: u32,
    /// The first vectors, now and before the last move.
    pub(crate) vectors: Vectors,
    /// The descriptors of the interrupts.
    pub(crate) owners: BlockOwners,
}

impl Members {
    /// The number of an interrupt within the block.
    pub(crate) fn number(&self, irq: u32) -> Option<u32> {
        irq.checked_sub(self.first_irq).filter(|n| *n < self.count)
    }

    /// The vector of an interrupt.
    pub(crate) fn vector(&self, irq: u32) -> Option<VectorId> {
        self.vectors.current.further(self.number(irq)?)
    }

    /// The vectors of an interrupt, now and before the last move.
    pub(crate) fn vectors(&self, irq: u32) -> Option<Vectors> {
        let number = self.number(irq)?;

        Some(Vectors {
            current: self.vectors.current.further(number)?,
            previous: self
                .vectors
                .previous
                .and_then(|first| first.further(number)),
        })
    }

    /// All interrupts.
    pub(crate) fn irqs(&self) -> impl Iterator<Item = u32> {
        self.first_irq..self.first_irq.saturating_add(self.count)
    }
}

/// A block, or room for one. It stays for ever, as debugfs may still look at one whose interrupts are
/// gone; so it is used again.
pub(crate) struct Block(Pin<KBox<RawSpinLock<Contents>>>);

/// What is in a block.
#[derive(Default)]
pub(crate) struct Contents {
    /// Its interrupts; [`None`] if it is idle.
    pub(crate) members: Option<Members>,
    /// The next idle one.
    next: Option<&'static Block>,
}

impl Block {
    fn new() -> Result<&'static Self> {
        let lock = RawSpinLock::new(
            Contents::default(),
            c"riscv_imsic_block",
            static_lock_class!(),
        );

        Ok(KBox::leak(KBox::new(
            Self(KBox::pin_init(lock, GFP_KERNEL)?),
            GFP_KERNEL,
        )?))
    }

    /// Nobody else sees or changes the block meanwhile. Interrupts are off.
    pub(crate) fn lock(&self) -> Guard<'_, Contents, RawSpinLockBackend> {
        self.0.lock()
    }

    /// As [`Self::lock`], for the callback of a chip. If the kernel has panicked, whoever has the lock
    /// may keep it.
    pub(crate) fn lock_for(
        &self,
        locked: &Locked,
    ) -> Option<Guard<'_, Contents, RawSpinLockBackend>> {
        if locked.in_panic() {
            self.0.try_lock()
        } else {
            Some(self.0.lock())
        }
    }
}

/// The blocks that are idle.
pub(crate) struct IdleBlocks(Pin<KBox<RawSpinLock<Option<&'static Block>>>>);

impl IdleBlocks {
    pub(crate) fn new() -> Result<Self> {
        let lock = RawSpinLock::new(None, c"riscv_imsic_idle_blocks", static_lock_class!());

        Ok(Self(KBox::pin_init(lock, GFP_KERNEL)?))
    }

    /// Takes one, or makes one. May sleep.
    pub(crate) fn take(&self) -> Result<&'static Block> {
        let mut first = self.0.lock();

        if let Some(block) = *first {
            *first = block.lock().next.take();
            return Ok(block);
        }
        drop(first);
        Block::new()
    }

    /// Takes `block` back, which is idle.
    pub(crate) fn put(&self, block: &'static Block) {
        let mut first = self.0.lock();

        block.lock().next = first.replace(block);
    }
}
