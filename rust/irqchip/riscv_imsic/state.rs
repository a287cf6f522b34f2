// SPDX-License-Identifier: GPL-2.0

//! Everything that the driver keeps: one [`Imsic`], with one [`LocalHart`] per CPU.

use aia_core::{
    addr::{
        Host,
        PhysAddr, //
    },
    geometry::Geometry,
    ids::{
        Cpu,
        Eiid,
        NrIds, //
    },
    vector::{
        file::File,
        operations::Counts,
        placement::Placement,
        pool,
        power::SavedPending,
        strays::{
            self,
            StrayCounter, //
        },
        VectorId,
        POKE, //
    },
    word::Word, //
};
use kernel::{
    cpu::{
        self,
        CpuId, //
    },
    interrupt::LocalInterruptDisabled,
    prelude::*, //
};
use kernel_ext::{
    alloc,
    arch::riscv::aia::Aia,
    cpumask,
    fwnode,
    io::Mapping,
    ipi_mux,
    irq::chained::ChainedIrq,
    irq_work::{
        IrqWork,
        Run, //
    },
    msi::{
        Bus,
        Message,
        Outermost, //
    },
    percpu::PerCpu,
    time::timer::{
        CpuTimer,
        Expired, //
    }, //
};

use crate::{
    block::IdleBlocks,
    config::ImsicConfig,
    doorbell::Doorbell,
    global_config::GlobalConfig, //
};

/// The CPU number as the pure logic knows it.
#[inline]
pub(crate) fn to_cpu(cpu: CpuId) -> Cpu {
    Cpu::new(cpu.as_u32())
}

/// The words under a file or a placement, each allocated separately: the slots of 2,047 identities
/// are exactly 16 KiB.
pub(crate) type OwnedWords = KVec<Word>;

/// Allocates zeroed words.
fn words(count: usize) -> Result<OwnedWords> {
    Ok(alloc::filled(count, GFP_KERNEL, || Word::new(0))?)
}

/// One CPU's part. Interrupt entry needs only the first field.
pub(crate) struct LocalHart {
    pub(crate) file: File<OwnedWords>,
    /// [`None`] for a CPU that the firmware gives no interrupt file; it is kept offline.
    pub(crate) doorbell: Option<Doorbell>,
    /// How other CPUs make the hart look where IPIs are not ours.
    pub(crate) changes: Pin<KBox<IrqWork>>,
    /// When the hart looks again at what waits for the time to pass.
    pub(crate) timer: Pin<KBox<CpuTimer>>,
    pub(crate) strays: StrayCounter<OwnedWords>,
    /// What is pending while the hart is in a state that may lose it.
    pub(crate) saved: SavedPending<OwnedWords>,
}

impl LocalHart {
    fn new<L: Expired + Run>(nr_ids: NrIds, doorbell: Option<Doorbell>) -> Result<Self> {
        let bitmap = || words(pool::words_for(nr_ids));
        let file = File::new(
            nr_ids,
            words(pool::words_for(nr_ids) * 64)?,
            bitmap()?,
            bitmap()?,
            bitmap()?,
            bitmap()?,
        )
        .ok_or(EINVAL)?;

        Ok(Self {
            file,
            doorbell,
            changes: KBox::pin_init(IrqWork::new::<L>(), GFP_KERNEL)?,
            timer: KBox::pin_init(CpuTimer::new::<L>(), GFP_KERNEL)?,
            strays: StrayCounter::new(words(strays::words_for(nr_ids))?),
            saved: SavedPending::new(bitmap()?),
        })
    }

    /// Makes the hart take a poke.
    #[inline(always)]
    pub(crate) fn poke(&self) {
        if let Some(doorbell) = &self.doorbell {
            doorbell.register.write(POKE.get());
        }
    }
}

/// The IMSIC of the system: the interrupt files of all harts.
pub(crate) struct Imsic {
    pub(crate) locals: PerCpu<LocalHart>,
    pub(crate) aia: Aia,
    pub(crate) node: fwnode::HeldNode,
    pub(crate) parent: ChainedIrq,
    pub(crate) placement: Placement<OwnedWords>,
    pub(crate) nr_ids: NrIds,
    pub(crate) geometry: Geometry<Host>,
    /// Whether addresses of files differ in the upper half.
    is_wide: bool,
    pub(crate) counts: Counts,
    pub(crate) global: GlobalConfig,
    /// Room for interrupts that share a message.
    pub(crate) idle_blocks: IdleBlocks,
    /// Last to be dropped, since the doorbells are inside.
    _mappings: KVec<Mapping>,
}

impl Imsic {
    /// Identities of each file that are never an interrupt's: the poke and the marker.
    pub(crate) fn is_reserved(&self, eiid: Eiid) -> bool {
        eiid == POKE || eiid == self.nr_ids.last()
    }

    /// Builds the state. `doorbells` lie in `mappings`; `L` is how a hart looks at what waits for it.
    /// Nothing is visible to others yet, and dropping it undoes everything.
    pub(crate) fn new<L: Expired + Run>(
        config: &ImsicConfig,
        aia: Aia,
        node: fwnode::HeldNode,
        parent: ChainedIrq,
        mappings: KVec<Mapping>,
        doorbells: &[(CpuId, Doorbell)],
    ) -> Result<Self> {
        let doorbell = |cpu| {
            doorbells
                .iter()
                .find(|(of, _)| *of == cpu)
                .map(|(_, doorbell)| *doorbell)
        };
        // CAST: A small number.
        let counts = words(cpu::nr_cpu_ids() as usize)?;

        Ok(Self {
            locals: PerCpu::new(|cpu| LocalHart::new::<L>(config.nr_ids, doorbell(cpu)))?,
            aia,
            node,
            parent,
            placement: Placement::new(counts, config.nr_ids),
            nr_ids: config.nr_ids,
            geometry: config.geometry,
            is_wide: doorbells
                .windows(2)
                .any(|pair| (pair[0].1.address ^ pair[1].1.address) >> u32::BITS != 0),
            counts: Counts::default(),
            global: GlobalConfig::new(config, doorbell)?,
            idle_blocks: IdleBlocks::new()?,
            _mappings: mappings,
        })
    }

    /// The part of `cpu`.
    #[inline]
    pub(crate) fn local(&self, cpu: Cpu) -> Option<&LocalHart> {
        self.locals.on(CpuId::from_u32(cpu.get())?)
    }

    /// How many vectors there are on all CPUs that have a file.
    pub(crate) fn available(&self) -> u32 {
        cpumask::possible()
            .filter_map(|cpu| self.locals.on(cpu))
            .filter(|local| local.doorbell.is_some())
            .map(|local| local.file.pool().free())
            .sum()
    }

    /// Sends an MSI to `to`.
    #[inline]
    pub(crate) fn send(&self, to: VectorId) {
        if let Some(doorbell) = self.local(to.cpu()).and_then(|local| local.doorbell) {
            doorbell.register.write(to.eiid().get());
        }
    }

    /// Raises `new` if `device`, which has got its message instead of that of `old`, may have sent one in
    /// between to an address that is neither's: there it is lost.
    ///
    /// Files of groups that are 4 GiB and more apart differ in both halves of their addresses, which
    /// most devices are given one by one. MSI-X is masked meanwhile.
    #[inline]
    pub(crate) fn raise_if_mixed(&self, device: &Outermost<'_>, old: VectorId, new: VectorId) {
        if self.is_wide {
            self.raise_if_mixed_wide(device, old, new);
        }
    }

    #[cold]
    fn raise_if_mixed_wide(&self, device: &Outermost<'_>, old: VectorId, new: VectorId) {
        let at = |vector| {
            self.message(vector)
                .map(|m| PhysAddr::<Host>::new(m.address))
        };
        let mixes = || {
            at(old)
                .zip(at(new))
                .is_some_and(|(old, new)| old.mixes_with(new))
        };
        let atomic = device.bus() == Bus::PciMsix
            || device.bus() == Bus::WiredToMsi && device.moves_at_once();

        if !atomic && mixes() {
            self.send(new);
            self.counts.duplicates.add(1);
        }
    }

    /// The message that raises `vector`; [`None`] if its CPU has no interrupt file.
    pub(crate) fn message(&self, vector: VectorId) -> Option<Message> {
        let doorbell = self.local(vector.cpu())?.doorbell?;

        Some(Message {
            address: doorbell.address,
            data: vector.eiid().get(),
        })
    }

    /// Makes `cpu` look at what waits for it, soon.
    ///
    /// If IPIs are ours, one hart's MSIs reach another one, or else there would be no other one. If
    /// they are not, that may be because they do not: the IMSIC may be trapped by a hypervisor.
    #[inline]
    pub(crate) fn poke(&self, cpu: Cpu, irqs_off: &LocalInterruptDisabled) {
        if ipi_mux::is_created() {
            if let Some(local) = self.local(cpu) {
                local.poke();
            }
        } else {
            self.ask(cpu, irqs_off);
        }
    }

    #[cold]
    fn ask(&self, cpu: Cpu, irqs_off: &LocalInterruptDisabled) {
        let cpu = CpuId::from_u32(cpu.get()).filter(|cpu| cpumask::is_online(*cpu));

        // One that comes up looks when it is there.
        if let Some((cpu, local)) = cpu.and_then(|cpu| Some((cpu, self.locals.on(cpu)?))) {
            local.changes.queue_on(cpu, irqs_off);
        }
    }
}
