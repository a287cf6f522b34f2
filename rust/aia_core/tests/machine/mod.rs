// SPDX-License-Identifier: GPL-2.0

//! A machine of harts with 63 identities each, on which the operations on vectors run one step
//! after the other, and devices that send MSIs to it.
//!
//! Stores to an interrupt file take effect in their order, at once or when [`Model::arrive`] says.

#![allow(dead_code, reason = "each test program uses a part of it")]

pub(crate) mod block;

use aia_core::{
    eix::EixWord,
    ids::{
        Cpu,
        Eiid,
        NrIds, //
    },
    vector::{
        access::{
            Fence,
            HartAccess, //
        },
        entry::{
            self,
            Entry, //
        },
        file::File,
        operations::{
            self,
            Choice,
            Counts,
            Machine,
            MoveError,
            MoveSource, //
        },
        placement::Placement,
        pool,
        power::{
            PendingAccess,
            SavedPending, //
        },
        proof,
        slot::{
            Sender, //
            SlotOwner,
        },
        tick::Tick,
        VectorId,
        Vectors,
        POKE, //
    },
    word::Word, //
};
use std::{
    cell::{
        Cell,
        RefCell, //
    },
    collections::VecDeque, //
};

pub(crate) type Words = Box<[Word]>;

pub(crate) fn words(count: usize) -> Words {
    (0..count).map(|_| Word::new(0)).collect()
}

pub(crate) fn file(nr_ids: NrIds) -> File<Words> {
    let bitmap = || words(pool::words_for(nr_ids));

    File::new(
        nr_ids,
        words(pool::words_for(nr_ids) * 64),
        bitmap(),
        bitmap(),
        bitmap(),
        bitmap(),
    )
    .unwrap()
}

pub(crate) fn id(n: u32) -> Eiid {
    Eiid::new(n).unwrap()
}

pub(crate) fn on(cpu: u32, eiid: Eiid) -> VectorId {
    VectorId::new(Cpu::new(cpu), eiid).unwrap()
}

fn bit(eiid: Eiid) -> u64 {
    1 << eiid.get()
}

/// A hart: its interrupt file, and what it has done.
pub(crate) struct TestHart {
    pub(crate) file: File<Words>,
    /// In the mask of CPUs that are online.
    pub(crate) online: Cell<bool>,
    pub(crate) enabled: Cell<u64>,
    pub(crate) pending: Cell<u64>,
    /// Stores that have no effect yet, in their order.
    on_the_way: RefCell<VecDeque<Eiid>>,
    pub(crate) pokes: Cell<u32>,
    /// When it looks again.
    pub(crate) timer: Cell<Option<Tick>>,
    /// Interrupts that were handled here.
    pub(crate) handled: RefCell<Vec<SlotOwner>>,
    saved: SavedPending<Words>,
}

impl TestHart {
    fn new() -> Self {
        Self {
            file: file(NrIds::MIN),
            online: Cell::new(false),
            enabled: Cell::new(0),
            pending: Cell::new(0),
            on_the_way: RefCell::default(),
            pokes: Cell::new(0),
            timer: Cell::new(None),
            handled: RefCell::default(),
            saved: SavedPending::new(words(pool::words_for(NrIds::MIN))),
        }
    }

    pub(crate) fn is_pending(&self, eiid: Eiid) -> bool {
        self.pending.get() & bit(eiid) != 0
    }
}

/// What looks at the machine in the middle of an operation.
type Watch = Box<dyn Fn(&Model)>;

/// The machine.
pub(crate) struct Model {
    pub(crate) harts: Vec<TestHart>,
    pub(crate) placement: Placement<Words>,
    pub(crate) counts: Counts,
    /// Stores take effect when they are told to.
    pub(crate) slow: Cell<bool>,
    /// Not even while somebody waits for it.
    pub(crate) stuck: Cell<bool>,
    /// The CPU that no message raises anything at.
    pub(crate) mute: Cell<Option<u32>>,
    /// Senders can prove that nothing of theirs is on its way.
    pub(crate) fences: Cell<bool>,
    /// How often they were asked to.
    pub(crate) asked: Cell<u32>,
    /// MSIs for nobody are too many.
    pub(crate) storm: Cell<bool>,
    now: Cell<u64>,
    watch: RefCell<Option<Watch>>,
}

impl Model {
    /// A machine of so many harts, all online.
    pub(crate) fn new(harts: u32) -> Self {
        let model = Self {
            harts: (0..harts).map(|_| TestHart::new()).collect(),
            placement: Placement::new(words(harts as usize), NrIds::MIN),
            counts: Counts::default(),
            slow: Cell::new(false),
            stuck: Cell::new(false),
            mute: Cell::new(None),
            fences: Cell::new(true),
            asked: Cell::new(0),
            storm: Cell::new(false),
            now: Cell::new(1000),
            watch: RefCell::new(None),
        };

        for cpu in 0..harts {
            model.online(cpu);
        }
        model
    }

    pub(crate) fn hart(&self, cpu: u32) -> &TestHart {
        &self.harts[cpu as usize]
    }

    /// How many moves there were.
    pub(crate) fn moves(&self) -> u64 {
        self.harts.iter().map(|hart| hart.file.moves()).sum()
    }

    /// The machine as the hart of `cpu` sees it.
    pub(crate) fn on(&self, cpu: u32) -> Here<'_> {
        Here {
            model: self,
            cpu: Cpu::new(cpu),
        }
    }

    /// Looks at the machine at each step of what follows.
    pub(crate) fn watch(&self, watch: impl Fn(&Model) + 'static) {
        *self.watch.borrow_mut() = Some(Box::new(watch));
    }

    fn step(&self) {
        let watch = self.watch.borrow_mut().take();

        if let Some(watch) = watch {
            watch(self);
            *self.watch.borrow_mut() = Some(watch);
        }
    }

    /// A store to the file of `to`.
    pub(crate) fn store(&self, to: VectorId) {
        let hart = self.hart(to.cpu().get());

        hart.on_the_way.borrow_mut().push_back(to.eiid());
        if !self.slow.get() {
            self.arrive(to.cpu().get());
        }
    }

    /// All stores to the file of `cpu` take effect.
    pub(crate) fn arrive(&self, cpu: u32) {
        let hart = self.hart(cpu);

        for eiid in hart.on_the_way.borrow_mut().drain(..) {
            hart.pending.set(hart.pending.get() | bit(eiid));
        }
    }

    /// `cpu` comes up.
    pub(crate) fn online(&self, cpu: u32) {
        let hart = self.hart(cpu);

        hart.enabled.set(u64::MAX);
        operations::go_online(&self.on(cpu));
        hart.online.set(true);
    }

    /// `cpu` goes; its interrupts have moved away as far as they can.
    pub(crate) fn offline(&self, cpu: u32) {
        let hart = self.hart(cpu);

        hart.online.set(false);
        hart.timer.set(None);
        operations::go_offline(&self.on(cpu));
    }

    /// `cpu` enters a state that may lose its registers.
    pub(crate) fn doze(&self, cpu: u32) {
        self.hart(cpu).saved.save(&self.on(cpu));
    }

    /// It is back, and has lost them if they are `lost`.
    pub(crate) fn wake(&self, cpu: u32, lost: Option<(u64, u64)>) {
        let hart = self.hart(cpu);

        if let Some((enabled, pending)) = lost {
            hart.enabled.set(enabled);
            hart.pending.set(pending);
        }
        hart.enabled.set(u64::MAX);
        hart.saved.restore(&self.on(cpu));
    }

    /// A tick: timers that are due expire.
    pub(crate) fn tick(&self) {
        self.now.set(self.now.get() + 1);
        for (cpu, hart) in (0..).zip(&self.harts) {
            if hart.timer.get() == Some(Tick::new(self.now.get())) {
                hart.timer.set(None);
                operations::sync(&self.on(cpu));
            }
        }
    }

    /// `cpu` goes, and `devices` leave it if they can.
    pub(crate) fn evacuate(&self, cpu: u32, devices: &[&Device<'_>]) {
        let hart = self.hart(cpu);

        hart.online.set(false);
        let rest = self.cpus();
        for device in devices.iter().filter(|d| d.current().cpu().get() == cpu) {
            // Those that cannot stay where they are.
            let _ = device.move_to(cpu, &rest);
        }
        self.offline(cpu);
    }

    /// The CPUs that are online.
    pub(crate) fn cpus(&self) -> Vec<u32> {
        (0..self.harts.len() as u32)
            .filter(|cpu| self.hart(*cpu).online.get())
            .collect()
    }

    /// `cpu` looks at what waits for it, for whatever reason.
    pub(crate) fn look(&self, cpu: u32) {
        operations::sync(&self.on(cpu));
    }

    /// `cpu` takes its interrupts.
    pub(crate) fn interrupt(&self, cpu: u32) {
        entry::handle(&self.on(cpu));
    }

    /// A vector for a device on one of `cpus`.
    pub(crate) fn device(&self, owner: u64, cpus: &[u32], kind: Kind) -> Option<Device<'_>> {
        let owner = SlotOwner::new(0x1000 * owner).unwrap();
        let current = operations::alloc(&self.on(0), &OneOf(self, cpus), owner)?;

        Some(Device {
            model: self,
            owner,
            kind,
            vectors: Cell::new(Vectors {
                current,
                previous: None,
            }),
            message: Cell::new(current),
        })
    }
}

/// Whatever a test has done, what is taken is counted, also on harts that are offline.
impl Drop for Model {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        for (cpu, hart) in (0..).map(Cpu::new).zip(&self.harts) {
            let best = || self.placement.best_of([cpu].into_iter());

            self.placement.go_online(cpu);
            for left in (1..=hart.file.pool().free()).rev() {
                assert_eq!(best(), Some(cpu), "{left} are left");
                self.placement.take(cpu, 1);
            }
            assert_eq!(best(), None);
        }
    }
}

/// The machine as one of its harts sees it.
pub(crate) struct Here<'a> {
    model: &'a Model,
    cpu: Cpu,
}

impl Here<'_> {
    fn hart(&self) -> &TestHart {
        self.model.hart(self.cpu.get())
    }
}

impl HartAccess for Here<'_> {
    fn enable(&self, eiid: Eiid) {
        self.hart()
            .enabled
            .set(self.hart().enabled.get() | bit(eiid));
    }

    fn disable(&self, eiid: Eiid) {
        self.hart()
            .enabled
            .set(self.hart().enabled.get() & !bit(eiid));
    }

    fn take_pending(&self, eiid: Eiid) -> bool {
        let was = self.hart().is_pending(eiid);

        self.hart()
            .pending
            .set(self.hart().pending.get() & !bit(eiid));
        was
    }

    fn is_pending(&self, eiid: Eiid) -> bool {
        self.hart().is_pending(eiid)
    }

    fn clear_pending(&self, _word: EixWord, mask: u64) {
        self.hart().pending.set(self.hart().pending.get() & !mask);
    }

    fn send(&self, to: VectorId) {
        self.model.store(to);
    }

    fn send_here(&self, eiid: Eiid) {
        self.model.store(on(self.cpu.get(), eiid));
    }

    fn barrier(&self) {}

    /// One more store takes effect.
    fn pause(&self) {
        if self.model.stuck.get() {
            return;
        }
        let next = self.hart().on_the_way.borrow_mut().pop_front();

        if let Some(eiid) = next {
            self.hart()
                .pending
                .set(self.hart().pending.get() | bit(eiid));
        }
    }

    fn fence(&self, marker: Eiid) -> Fence {
        self.model.asked.set(self.model.asked.get() + 1);
        proof::ask(self, marker, || {
            if self.model.fences.get() {
                self.send_here(marker);
            }
            self.model.fences.get()
        })
    }

    fn marker_lost(&self) {}

    fn now(&self) -> Tick {
        Tick::new(self.model.now.get())
    }

    fn away(&self) -> &Word {
        &self.model.counts.away
    }
}

impl PendingAccess for Here<'_> {
    fn pending(&self, word: EixWord) -> u64 {
        assert_eq!(Some(word), EixWord::new(0));
        self.hart().pending.get()
    }

    fn set_pending(&self, _word: EixWord, mask: u64) {
        self.hart().pending.set(self.hart().pending.get() | mask);
    }
}

impl Machine for Here<'_> {
    type Words = Words;
    type Message = VectorId;

    fn cpu(&self) -> Cpu {
        self.cpu
    }

    fn here(&self) -> &File<Words> {
        &self.hart().file
    }

    fn file(&self, cpu: Cpu) -> Option<&File<Words>> {
        self.model.step();
        self.model.harts.get(cpu.index()).map(|hart| &hart.file)
    }

    fn files(&self) -> impl Iterator<Item = &File<Words>> {
        self.model.harts.iter().map(|hart| &hart.file)
    }

    fn is_online(&self, cpu: Cpu) -> bool {
        self.model
            .harts
            .get(cpu.index())
            .is_some_and(|hart| hart.online.get())
    }

    fn placement(&self) -> &Placement<Words> {
        &self.model.placement
    }

    fn counts(&self) -> &Counts {
        &self.model.counts
    }

    fn message(&self, vector: VectorId) -> Option<VectorId> {
        (self.model.mute.get() != Some(vector.cpu().get())).then_some(vector)
    }

    fn poke(&self, cpu: Cpu) {
        let hart = self.model.hart(cpu.get());

        hart.pokes.set(hart.pokes.get() + 1);
        self.model.store(on(cpu.get(), POKE));
    }

    fn look_again(&self, due: Tick) {
        self.hart().timer.set(Some(due));
    }
}

impl Entry for Here<'_> {
    type Machine = Self;

    fn machine(&self) -> &Self {
        self
    }

    fn claim(&self) -> Option<Eiid> {
        let top = self.hart().pending.get() & self.hart().enabled.get();
        let eiid = Eiid::new(top.trailing_zeros()).filter(|_| top != 0)?;

        self.take_pending(eiid);
        Some(eiid)
    }

    fn ipis(&self) {}

    fn deliver(&self, owner: SlotOwner) {
        self.hart().handled.borrow_mut().push(owner);
    }

    fn stray(&self, _eiid: Eiid) -> bool {
        self.model.storm.get()
    }

    fn switched_off(&self, _eiid: Eiid) {}
}

/// Some CPUs.
pub(crate) struct OneOf<'a>(&'a Model, &'a [u32]);

impl Choice for OneOf<'_> {
    fn is_any(&self) -> bool {
        self.0.cpus().iter().all(|cpu| self.1.contains(cpu))
    }

    fn cpus(&self) -> impl Iterator<Item = Cpu> {
        self.1.iter().copied().map(Cpu::new)
    }
}

/// How a device is programmed, and what is known of its MSIs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// Changes over in several steps, and its MSIs come before what is read from it.
    Pci,
    /// Behind an APLIC.
    Wired,
    /// Changes over at once; nothing is known.
    Platform,
}

/// A device with one vector.
pub(crate) struct Device<'a> {
    model: &'a Model,
    pub(crate) owner: SlotOwner,
    kind: Kind,
    pub(crate) vectors: Cell<Vectors>,
    /// What it sends.
    pub(crate) message: Cell<VectorId>,
}

impl Device<'_> {
    pub(crate) fn current(&self) -> VectorId {
        self.vectors.get().current
    }

    /// Where it was before its last move.
    pub(crate) fn old(&self) -> VectorId {
        self.vectors.get().previous.unwrap()
    }

    pub(crate) fn fire(&self) {
        self.model.store(self.message.get());
    }

    pub(crate) fn unmask(&self, here: u32) {
        operations::unmask(&self.model.on(here), self.current());
    }

    pub(crate) fn mask(&self, here: u32) {
        operations::mask(&self.model.on(here), self.current());
    }

    /// Moves to one of `cpus`, by the hart of `here`. `each` sees the device at each of the
    /// messages that it holds on the way.
    pub(crate) fn move_by(
        &self,
        here: u32,
        cpus: &[u32],
        each: impl Fn(&Self),
    ) -> Result<(), MoveError> {
        let source = MoveSource {
            owner: self.owner,
            at_once: self.kind != Kind::Pci,
            sender: match self.kind {
                Kind::Pci => Sender::Ordered,
                Kind::Wired => Sender::Fenced,
                Kind::Platform => Sender::Posted,
            },
        };
        let moved = operations::move_to(
            &self.model.on(here),
            self.vectors.get(),
            source,
            &OneOf(self.model, cpus),
            |message: VectorId| self.tell(message, &each),
        )?;

        self.vectors.set(moved);
        Ok(())
    }

    /// It gets a new message. `each` sees it at each of those that it holds on the way.
    fn tell(&self, message: VectorId, each: impl Fn(&Self)) {
        if self.kind == Kind::Pci {
            // The address first, then the data.
            self.message
                .set(on(message.cpu().get(), self.message.get().eiid()));
            each(self);
        }
        self.message.set(message);
        each(self);
    }

    /// As [`Self::move_by`], with nobody looking.
    pub(crate) fn move_to(&self, here: u32, cpus: &[u32]) -> Result<(), MoveError> {
        self.move_by(here, cpus, |_| ())
    }

    /// Frees the vector, by the hart of `here`.
    pub(crate) fn free(self, here: u32) {
        operations::free(&self.model.on(here), self.vectors.get(), self.owner);
    }

    /// How often it was handled.
    pub(crate) fn total(&self) -> usize {
        (0..self.model.harts.len() as u32)
            .map(|cpu| self.handled(cpu))
            .sum()
    }

    /// How often it was handled by `cpu`.
    pub(crate) fn handled(&self, cpu: u32) -> usize {
        self.model
            .hart(cpu)
            .handled
            .borrow()
            .iter()
            .filter(|owner| **owner == self.owner)
            .count()
    }
}
