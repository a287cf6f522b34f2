// SPDX-License-Identifier: GPL-2.0

//! The registers of the running hart's supervisor interrupt file.

use aia_core::{
    eix::{
        self,
        EixWord, //
    },
    ids::{
        Cpu,
        Eiid, //
    },
    vector::{
        access::{
            Fence,
            HartAccess, //
        },
        file::File,
        operations::{
            Counts,
            Machine, //
        },
        placement::Placement,
        power::PendingAccess,
        slot::Sender,
        tick::Tick,
        VectorId, //
    },
    word::Word, //
};
use kernel::{
    cpu::CpuId,
    interrupt::LocalInterruptDisabled,
    prelude::*,
    sync::barrier::{
        mb,
        Full, //
    }, //
};
use kernel_ext::{
    arch::riscv::aia::{
        FileRegister,
        Indirect, //
    },
    cpumask,
    msi,
    time, //
};

use crate::{
    sender,
    state::{
        to_cpu,
        Imsic,
        LocalHart,
        OwnedWords, //
    },
    trace, //
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

    /// The IMSIC that the hart belongs to.
    #[inline(always)]
    pub(crate) fn imsic(&self) -> &'a Imsic {
        self.imsic
    }

    /// This hart's part of the state.
    #[inline(always)]
    pub(crate) fn local(&self) -> &'a LocalHart {
        self.local
    }

    /// Sets all enable bits: so are those of free identities. The file delivers nothing meanwhile.
    ///
    /// Pending bits stay: [`File::go_online`] knows which of them are for somebody. The others may be
    /// anything after reset or a kexec, or what came while the hart was offline (AIA 3.4).
    pub(crate) fn reset(&self) {
        self.write(FileRegister::EIDELIVERY, eix::EIDELIVERY_OFF);
        for word in EixWord::all(self.imsic.nr_ids) {
            self.write(FileRegister::eie(word.get()), u64::MAX);
        }
    }

    /// Lets the file deliver all enabled identities.
    pub(crate) fn deliver(&self) {
        self.write(FileRegister::EITHRESHOLD, eix::EITHRESHOLD_NONE);
        self.write(FileRegister::EIDELIVERY, eix::EIDELIVERY_ON);
    }

    fn write(&self, register: FileRegister, value: u64) {
        // CAST: As wide as the hart.
        self.registers.write(register, value as usize);
    }
}

/// The register and bit that enable `eiid`.
#[inline(always)]
fn eie(eiid: Eiid) -> (FileRegister, usize) {
    // CAST: As wide as the hart.
    (
        FileRegister::eie(EixWord::of(eiid).get()),
        eix::mask(eiid) as usize,
    )
}

/// The register and bit of `eiid` pending.
#[inline(always)]
fn eip(eiid: Eiid) -> (FileRegister, usize) {
    // CAST: As wide as the hart.
    (
        FileRegister::eip(EixWord::of(eiid).get()),
        eix::mask(eiid) as usize,
    )
}

impl HartAccess for ThisHart<'_> {
    #[inline(always)]
    fn enable(&self, eiid: Eiid) {
        let (register, mask) = eie(eiid);

        self.registers.set(register, mask);
    }

    #[inline(always)]
    fn disable(&self, eiid: Eiid) {
        let (register, mask) = eie(eiid);

        self.registers.clear(register, mask);
    }

    #[inline]
    fn take_pending(&self, eiid: Eiid) -> bool {
        let (register, mask) = eip(eiid);

        self.registers.clear(register, mask) & mask != 0
    }

    fn is_pending(&self, eiid: Eiid) -> bool {
        let (register, mask) = eip(eiid);

        self.registers.read(register) & mask != 0
    }

    fn clear_pending(&self, word: EixWord, mask: u64) {
        // CAST: As wide as the hart.
        self.registers
            .clear(FileRegister::eip(word.get()), mask as usize);
    }

    fn send(&self, to: VectorId) {
        self.imsic.send(to);
    }

    fn send_here(&self, eiid: Eiid) {
        if let Some(doorbell) = self.local.doorbell {
            doorbell.register.write(eiid.get());
        }
    }

    #[inline]
    fn barrier(&self) {
        mb(Full);
    }

    #[inline]
    fn pause(&self) {
        core::hint::spin_loop();
    }

    fn fence(&self, marker: Eiid) -> Fence {
        match self.local.doorbell {
            Some(doorbell) => sender::fence(self, doorbell.address, marker),
            None => Fence::NotAsked,
        }
    }

    fn marker_lost(&self) {
        pr_warn!(
            "CPU {}: an MSI to itself does not arrive, moved vectors wait instead\n",
            CpuId::current().as_u32()
        );
    }

    fn moved(&self, eiid: Eiid, sender: Sender) {
        trace::moved(eiid, sender);
    }

    fn now(&self) -> Tick {
        Tick::at_ns(time::monotonic_ns())
    }

    fn away(&self) -> &Word {
        &self.imsic.counts.away
    }
}

impl PendingAccess for ThisHart<'_> {
    fn pending(&self, word: EixWord) -> u64 {
        // CAST: As wide as the hart.
        self.registers.read(FileRegister::eip(word.get())) as u64
    }

    fn set_pending(&self, word: EixWord, mask: u64) {
        // CAST: As wide as the hart.
        self.registers
            .set(FileRegister::eip(word.get()), mask as usize);
    }
}

/// Nanoseconds of a jiffy.
const JIFFY_NS: u64 = 1_000_000_000 / time::HZ as u64;

impl Machine for ThisHart<'_> {
    type Words = OwnedWords;
    type Message = msi::Message;

    #[inline(always)]
    fn cpu(&self) -> Cpu {
        // It stays the running one while interrupts are off.
        to_cpu(CpuId::current())
    }

    #[inline(always)]
    fn here(&self) -> &File<OwnedWords> {
        &self.local.file
    }

    #[inline(always)]
    fn file(&self, cpu: Cpu) -> Option<&File<OwnedWords>> {
        self.imsic.local(cpu).map(|local| &local.file)
    }

    fn files(&self) -> impl Iterator<Item = &File<OwnedWords>> {
        cpumask::possible()
            .filter_map(|cpu| self.imsic.locals.on(cpu))
            .map(|local| &local.file)
    }

    fn is_online(&self, cpu: Cpu) -> bool {
        CpuId::from_u32(cpu.get()).is_some_and(cpumask::is_online)
    }

    fn placement(&self) -> &Placement<OwnedWords> {
        &self.imsic.placement
    }

    fn counts(&self) -> &Counts {
        &self.imsic.counts
    }

    fn message(&self, vector: VectorId) -> Option<msi::Message> {
        self.imsic.message(vector)
    }

    #[inline]
    fn poke(&self, cpu: Cpu) {
        self.imsic.poke(cpu, self.registers.irqs_off());
    }

    fn look_again(&self, due: Tick) {
        let wait = u64::from(due.since(self.now())) * Tick::NS;
        // CAST: Of a few ticks. Should it be too early after all, this hart looks once more.
        let wait = wait.div_ceil(JIFFY_NS) as usize;

        self.local.timer.start(
            time::jiffies().wrapping_add(wait),
            self.registers.irqs_off(),
        );
    }
}
