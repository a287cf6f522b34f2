// SPDX-License-Identifier: GPL-2.0

//! Allocation, masking and moves of vectors, as operations on the whole IMSIC.
//!
//! All functions return without waiting for another CPU.

use aia_core::{
    ids::{
        Cpu,
        Eiid, //
    },
    vector::{
        file::Hart,
        slot::{
            InFlight,
            Owner, //
        },
        VectorId,
        Vectors, //
    },
};
use kernel::{
    cpu::CpuId,
    cpumask::Cpumask,
    interrupt::{
        local_interrupt_disable,
        LocalInterruptDisabled, //
    },
    prelude::*, //
};
use kernel_ext::{
    cpumask,
    msi,
    time::timer::Expired, //
};

use crate::{
    ffi,
    hart::ThisHart,
    state::{
        Imsic,
        LocalHart, //
    }, //
};

/// The CPU number as the pure logic knows it.
#[inline]
pub(crate) fn to_cpu(cpu: CpuId) -> Cpu {
    Cpu::new(cpu.as_u32())
}

/// The running CPU, which stays so while interrupts are off.
#[inline]
fn this_cpu(_irqs_off: &LocalInterruptDisabled) -> Cpu {
    to_cpu(CpuId::current())
}

/// Whether `cpu` may get interrupts. The file of a CPU that goes offline is online a little longer,
/// while its interrupts leave.
fn is_online(cpu: Cpu) -> bool {
    CpuId::from_u32(cpu.get()).is_some_and(cpumask::is_online)
}

/// How long a posted write to a device may take at most, in jiffies.
const POSTED_JIFFIES: usize = 1;

/// The timer that ends the wait of forwarders for posted messages.
pub(crate) struct Aging;

impl Expired for Aging {
    fn expired(irqs_off: &LocalInterruptDisabled) {
        if let Some(imsic) = ffi::imsic() {
            let hart = ThisHart::new(imsic, irqs_off);

            hart.local().file.age();
            imsic.sync(&hart, irqs_off);
        }
    }
}

/// Whose interrupt moves.
#[derive(Clone, Copy)]
pub(crate) struct Source {
    pub(crate) owner: Owner,
    /// The device never sends anything but the old or the new message; others may mix the two.
    pub(crate) at_once: bool,
    /// What is known of messages that it has sent before.
    pub(crate) in_flight: InFlight,
}

impl Imsic {
    /// Sends an MSI to `to`.
    #[inline]
    pub(crate) fn send(&self, to: VectorId) {
        if let Some(doorbell) = self.local(to.cpu()).and_then(|local| local.doorbell) {
            doorbell.register.write(to.eiid().get());
        }
    }

    /// The message that raises `vector`.
    pub(crate) fn message(&self, vector: VectorId) -> Result<msi::Message> {
        let doorbell = self
            .local(vector.cpu())
            .and_then(|local| local.doorbell)
            .ok_or(ENODEV)?;

        Ok(msi::Message {
            address: doorbell.address,
            data: vector.eiid().get(),
        })
    }

    /// Applies everything that waits for the running hart.
    #[cold]
    pub(crate) fn sync(&self, hart: &ThisHart<'_>, irqs_off: &LocalInterruptDisabled) {
        let local = hart.local();

        if local.file.sync(hart).aging {
            local.aging.start(POSTED_JIFFIES, irqs_off);
        }
        self.account(this_cpu(irqs_off), local);
    }

    /// Tells the placement how many identities `local`, the part of `cpu`, has left.
    fn account(&self, cpu: Cpu, local: &LocalHart) {
        if local.file.is_online() {
            self.placement.update(cpu, local.file.pool().free());
        }
    }

    /// Lets the hart of `vector` look at it, soon, without waiting for it.
    fn reach(&self, vector: VectorId, irqs_off: &LocalInterruptDisabled) {
        let Some(local) = self.local(vector.cpu()) else {
            return;
        };

        if !local.file.mark(vector.eiid()) {
            local.file.retire_away(vector.eiid());
        } else if vector.cpu() == this_cpu(irqs_off) {
            self.sync(&ThisHart::new(self, irqs_off), irqs_off);
        } else {
            self.poke(vector.cpu());
        }
    }

    /// Makes `cpu` look at what waits for it.
    pub(crate) fn poke(&self, cpu: Cpu) {
        if let Some(vector) = VectorId::new(cpu, Self::POKE) {
            self.send(vector);
        }
    }

    /// Lets `vector` be delivered. On its own CPU two CSR accesses, else at once by a poke.
    #[inline]
    pub(crate) fn unmask(&self, vector: VectorId, irqs_off: &LocalInterruptDisabled) {
        let hart = ThisHart::new(self, irqs_off);

        if vector.cpu() == this_cpu(irqs_off) {
            hart.local().file.enable_here(&hart, vector.eiid());
        } else if let Some(local) = self.local(vector.cpu()) {
            local.file.want(vector.eiid(), true);
            if local.file.mark(vector.eiid()) {
                self.poke(vector.cpu());
            }
        }
    }

    /// Keeps `vector` from being delivered. On another CPU this takes effect before the next
    /// interrupt there is claimed.
    #[inline]
    pub(crate) fn mask(&self, vector: VectorId, irqs_off: &LocalInterruptDisabled) {
        let hart = ThisHart::new(self, irqs_off);

        if vector.cpu() == this_cpu(irqs_off) {
            hart.local().file.disable_here(&hart, vector.eiid());
        } else if let Some(local) = self.local(vector.cpu()) {
            local.file.want(vector.eiid(), false);
            local.file.mark(vector.eiid());
        }
    }

    /// The best CPU of `cpus`, or of all online CPUs.
    fn best(&self, cpus: &Cpumask) -> Option<Cpu> {
        if cpumask::subset(cpumask::online_mask(), cpus) {
            let best = self.placement.best()?;

            if is_online(best) {
                return Some(best);
            }
        }
        self.placement.best_of(
            cpumask::iter(cpus)
                .map(to_cpu)
                .filter(|cpu| is_online(*cpu)),
        )
    }

    /// Gives `owner` a vector on one of `cpus` that is online, disabled. `assign` takes an identity
    /// on the CPU that is asked.
    fn place(
        &self,
        cpus: &Cpumask,
        assign: impl Fn(&LocalHart) -> Option<Eiid>,
    ) -> Result<VectorId> {
        let take = |cpu: Cpu| {
            let local = self
                .local(cpu)
                .filter(|local| is_online(cpu) && local.file.is_online())?;
            let vector = VectorId::new(cpu, assign(local)?)?;

            self.account(cpu, local);
            Some(vector)
        };

        // Others may have taken the last identities of the best CPU meanwhile.
        self.best(cpus)
            .and_then(take)
            .or_else(|| cpumask::iter(cpus).map(to_cpu).find_map(take))
            .ok_or(ENOSPC)
    }

    /// Gives `owner` a vector on one of `cpus`, disabled.
    pub(crate) fn alloc(&self, cpus: &Cpumask, owner: Owner) -> Result<VectorId> {
        let vector = self.place(cpus, |local| local.file.assign(owner))?;

        // It was enabled as a free one, and is disabled when its hart next looks.
        if let Some(local) = self.local(vector.cpu()) {
            local.file.mark(vector.eiid());
        }
        Ok(vector)
    }

    /// Takes `vector` away from its owner.
    fn give_back(&self, vector: VectorId, owner: Owner, irqs_off: &LocalInterruptDisabled) {
        if let Some(local) = self.local(vector.cpu()) {
            local.file.free(vector.eiid(), owner);
            self.reach(vector, irqs_off);
        }
    }

    /// Takes the vectors away from their owner, whose device no longer sends.
    pub(crate) fn free(&self, vectors: Vectors, owner: Owner) {
        let irqs_off = local_interrupt_disable();
        let current = vectors.current;

        self.give_back(current, owner, &irqs_off);

        // A move may still be in flight: nothing may be forwarded to the next owner.
        if let Some(previous) = vectors.previous {
            self.abandon(previous, current, &irqs_off);
            if let Some(temporary) = VectorId::new(previous.cpu(), current.eiid()) {
                self.abandon(temporary, current, &irqs_off);
            }
        }
    }

    fn abandon(&self, vector: VectorId, to: VectorId, irqs_off: &LocalInterruptDisabled) {
        if let Some(local) = self.local(vector.cpu()) {
            if local.file.abandon(vector.eiid(), to) {
                self.reach(vector, irqs_off);
            }
        }
    }

    /// Whether the last move of `vectors` still is in flight. Ends it if that is possible here.
    fn is_moving(&self, vectors: Vectors, irqs_off: &LocalInterruptDisabled) -> bool {
        let Some(previous) = vectors.previous else {
            return false;
        };
        let Some(local) = self.local(previous.cpu()) else {
            return false;
        };

        if !local.file.forwards_to(previous.eiid(), vectors.current) {
            return false;
        }
        self.reach(previous, irqs_off);
        local.file.forwards_to(previous.eiid(), vectors.current)
    }

    /// Moves the interrupt of `source` to one of `cpus`, and hands the new message to `write`.
    ///
    /// Fails with `EBUSY` if an earlier move is in flight, and with `ENOSPC` if there is no vector.
    /// Under the descriptor's lock.
    pub(crate) fn move_to(
        &self,
        vectors: Vectors,
        source: Source,
        cpus: &Cpumask,
        irqs_off: &LocalInterruptDisabled,
        write: impl Fn(msi::Message),
    ) -> Result<Vectors> {
        let Source {
            owner,
            at_once,
            in_flight,
        } = source;
        let from = vectors.current;
        let old = self.local(from.cpu()).ok_or(EINVAL)?;
        let moving = self.is_moving(vectors, irqs_off);

        // An interrupt that leaves a CPU which goes away cannot wait for its last move: the first
        // vector then forwards past the second one, which ends when the CPU does.
        if moving && is_online(from.cpu()) {
            return Err(EBUSY);
        }

        let to = if at_once {
            self.place(cpus, |local| local.file.assign(owner))?
        } else {
            self.place(cpus, |local| self.assign_like(local, from, old, owner))?
        };
        let temporary =
            VectorId::new(from.cpu(), to.eiid()).filter(|temporary| !at_once && *temporary != from);
        let Some((message, passing)) = self.messages(to, temporary) else {
            self.give_back(to, owner, irqs_off);
            return Err(ENODEV);
        };

        // Only now, when nothing can fail any more.
        if let Some(new) = self.local(to.cpu()) {
            new.file.want(to.eiid(), old.file.is_enabled(from.eiid()));
        }
        self.reach(to, irqs_off);

        // From here on the old vector forwards; only then may the device hear of the new one.
        if !old.file.begin_move(from.eiid(), owner, to) {
            self.give_back(to, owner, irqs_off);
            return Err(EINVAL);
        }
        let forwarder = temporary.filter(|t| old.file.assign_forwarder(t.eiid(), to));

        if let Some(passing) = passing {
            write(passing);
        }
        write(message);
        self.moves.add(1);

        let previous = match vectors.previous {
            Some(first) if moving && self.retarget(first, from, to) => first,
            _ => from,
        };

        self.settle(from, to, in_flight, irqs_off);
        match (temporary, forwarder) {
            (Some(temporary), Some(_)) => self.settle(temporary, to, in_flight, irqs_off),
            (Some(temporary), None) => self.split(temporary, to, irqs_off),
            _ => {}
        }

        Ok(Vectors {
            current: to,
            previous: Some(previous),
        })
    }

    /// Takes an identity on `local` for a device that may mix the messages of `from` and of the new
    /// vector: the same identity, so that only the address changes, or else one that is free on the
    /// old CPU too, so that it can forward.
    fn assign_like(
        &self,
        local: &LocalHart,
        from: VectorId,
        old: &LocalHart,
        owner: Owner,
    ) -> Option<Eiid> {
        if local.file.assign_at(from.eiid(), owner) {
            return Some(from.eiid());
        }
        if let Some(eiid) = local.file.pool().common_free(old.file.pool()) {
            if local.file.assign_at(eiid, owner) {
                return Some(eiid);
            }
        }
        local.file.assign(owner)
    }

    /// The messages for the new vector and for the one that a device may raise on the way to it.
    fn messages(
        &self,
        to: VectorId,
        temporary: Option<VectorId>,
    ) -> Option<(msi::Message, Option<msi::Message>)> {
        let passing = temporary.map(|vector| self.message(vector)).transpose();

        Some((self.message(to).ok()?, passing.ok()?))
    }

    fn retarget(&self, vector: VectorId, from: VectorId, to: VectorId) -> bool {
        self.local(vector.cpu())
            .is_some_and(|local| local.file.retarget(vector.eiid(), from, to))
    }

    /// The device has got its new message: lets the forwarder `from` end.
    fn settle(
        &self,
        from: VectorId,
        to: VectorId,
        in_flight: InFlight,
        irqs_off: &LocalInterruptDisabled,
    ) {
        if let Some(local) = self.local(from.cpu()) {
            local.file.settle(from.eiid(), to, in_flight);
            self.reach(from, irqs_off);
        }
    }

    /// The device may have raised `temporary`, which is in use by another interrupt: if it is
    /// pending, both may have been meant, so both are raised.
    fn split(&self, temporary: VectorId, to: VectorId, irqs_off: &LocalInterruptDisabled) {
        // Devices that mix messages are moved on the CPU that the interrupt arrives at.
        if temporary.cpu() != this_cpu(irqs_off) {
            return;
        }
        if ThisHart::new(self, irqs_off).take_pending(temporary.eiid()) {
            self.send(temporary);
            self.send(to);
            self.duplicates.add(1);
        }
    }
}
