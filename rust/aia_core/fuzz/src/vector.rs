// SPDX-License-Identifier: GPL-2.0

//! The life of vectors: devices send MSIs while their interrupts are allocated, masked, moved and freed
//! by several harts, which go offline, come back, and sleep.
//!
//! The model knows nothing of vectors, but counts: what a device has sent is handled, once, by somebody,
//! when nothing runs any more; an identity has one owner, and those of freed interrupts come back.
//!
//! Harts take turns. In the middle of an operation of one, wherever it looks at another file or at its
//! own registers, others may do something. Stores to an interrupt file take effect later: those of harts
//! and of PCI devices in one order, those of an APLIC in another one, those of other devices within a
//! tick.

use crate::{
    input::Input,
    trace, //
};
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
            Slot,
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
    collections::VecDeque,
    rc::Rc, //
};

type Words = Box<[Word]>;

fn words(count: usize) -> Words {
    (0..count).map(|_| Word::new(0)).collect()
}

fn bit(eiid: Eiid) -> u64 {
    1 << eiid.get()
}

/// How many ticks it takes until nothing is under way any more, and some.
const ROUNDS: u32 = 6;

/// A store to an interrupt file that has no effect yet.
struct Store {
    eiid: Eiid,
    /// The device that sent it.
    device: Option<Rc<Device>>,
    /// When.
    since: u64,
    /// It comes after what harts have stored to the same file before, each with a barrier after it.
    is_fence: bool,
}

/// What carries stores, each in its own order.
#[derive(Clone, Copy)]
enum Way {
    /// Harts and PCI devices.
    Memory,
    /// The APLIC.
    Aplic,
    /// Other devices.
    Posted,
}

const WAYS: [Way; 3] = [Way::Memory, Way::Aplic, Way::Posted];

struct Hart {
    file: File<Words>,
    online: Cell<bool>,
    /// It executes something.
    busy: Cell<bool>,
    asleep: Cell<bool>,
    enabled: Cell<u64>,
    pending: Cell<u64>,
    ways: [RefCell<VecDeque<Store>>; 3],
    timer: Cell<Option<Tick>>,
    /// When it last claimed an interrupt, and by what identity.
    claimed: Cell<u64>,
    identity: Cell<Option<Eiid>>,
    strays: Cell<u32>,
    saved: SavedPending<Words>,
    /// What was pending when it fell asleep.
    was_pending: Cell<u64>,
    /// How many identities are free when nobody has one.
    room: u32,
}

/// How a device is programmed, and what is known of its MSIs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    /// In several steps, of which it may send any mixture; MSIs come before what is read from it.
    Pci,
    /// Behind an APLIC.
    Wired,
    /// At once, when the new message has arrived, which takes up to a tick.
    Platform,
}

struct Device {
    owner: SlotOwner,
    kind: Kind,
    vectors: Cell<Vectors>,
    message: Cell<VectorId>,
    /// Messages that it may still have, with the tick at which a new one was posted.
    former: RefCell<VecDeque<(VectorId, u64)>>,
    masked: Cell<bool>,
    /// Somebody has its lock.
    locked: Cell<bool>,
    /// It does not send any more.
    silent: Cell<bool>,
    fired: Cell<u64>,
    handled: Cell<u64>,
    /// When the last MSI that it sent took effect.
    arrived: Cell<u64>,
    /// When what was handled last had been claimed.
    claimed: Cell<u64>,
}

struct World<'a> {
    input: RefCell<Input<'a>>,
    harts: Vec<Hart>,
    devices: RefCell<Vec<Rc<Device>>>,
    placement: Placement<Words>,
    counts: Counts,
    now: Cell<u64>,
    /// Orders what happens.
    clock: Cell<u64>,
    next_owner: Cell<u64>,
    /// Stores take effect later.
    slow: bool,
    /// The APLIC can be asked.
    fences: bool,
    /// Not even while somebody waits for it.
    stuck: Cell<bool>,
    /// Nothing can be raised there.
    mute: Cell<Option<u32>>,
    /// After how many looks another hart does something.
    armed: Cell<Option<u32>>,
    depth: Cell<u32>,
    /// How often another hart did something in between.
    nested: Cell<u64>,
}

/// The world as one of the harts sees it.
struct Here<'w, 'a> {
    world: &'w World<'a>,
    cpu: u32,
    /// How often others had done something when it began.
    since: u64,
}

impl<'a> World<'a> {
    fn new(mut input: Input<'a>) -> Self {
        let harts = 2 + input.below(3);
        let setup = input.u8();
        let room = |input: &mut Input<'_>| match input.u8() {
            n @ 0..=200 => 1 + u32::from(n) % 6,
            _ => 61,
        };
        let rooms: Vec<_> = (0..harts).map(|_| room(&mut input)).collect();
        let world = Self {
            input: RefCell::new(input),
            harts: rooms.into_iter().map(Hart::new).collect(),
            devices: RefCell::default(),
            placement: Placement::new(words(harts as usize), NrIds::MIN),
            counts: Counts::default(),
            // The clock may wrap around.
            now: Cell::new(if setup & 1 == 0 { 1000 } else { (1 << 28) - 2 }),
            clock: Cell::new(1),
            next_owner: Cell::new(1),
            slow: setup & 2 == 0,
            fences: setup & 4 == 0,
            stuck: Cell::new(false),
            mute: Cell::new(None),
            armed: Cell::new(None),
            depth: Cell::new(0),
            nested: Cell::new(0),
        };

        for (cpu, hart) in (0..).zip(&world.harts) {
            world.placement.take(Cpu::new(cpu), 61 - hart.room);
            world.online(cpu);
        }
        world
    }

    fn hart(&self, cpu: u32) -> &Hart {
        &self.harts[cpu as usize]
    }

    fn later(&self) -> u64 {
        self.clock.set(self.clock.get() + 1);
        self.clock.get()
    }

    fn store(&self, to: VectorId, way: Way, device: Option<Rc<Device>>) {
        let hart = self.hart(to.cpu().get());

        trace!("    store {to:?}, way {}", way as usize);
        hart.ways[way as usize].borrow_mut().push_back(Store {
            eiid: to.eiid(),
            device,
            since: self.later(),
            is_fence: matches!(way, Way::Aplic) && to.eiid() == hart.file.marker(),
        });
        if !self.slow && !self.stuck.get() {
            self.arrive(to.cpu().get(), way);
        }
    }

    /// The next store on a way takes effect; returns whether there was one.
    fn arrive(&self, cpu: u32, way: Way) -> bool {
        let hart = self.hart(cpu);
        let next = hart.ways[way as usize].borrow_mut().pop_front();
        let Some(store) = next else {
            return false;
        };

        if store.is_fence {
            while hart.ways[Way::Memory as usize]
                .borrow()
                .front()
                .is_some_and(|first| first.since < store.since)
            {
                self.arrive(cpu, Way::Memory);
            }
        }
        trace!("    {} of {cpu} is pending", store.eiid);
        hart.pending.set(hart.pending.get() | bit(store.eiid));
        if let Some(device) = store.device {
            device.arrived.set(self.later());
        }
        true
    }

    fn arrive_all(&self) {
        for cpu in 0..self.harts.len() as u32 {
            for way in WAYS {
                while self.arrive(cpu, way) {}
            }
        }
    }

    /// `cpu` executes `f`.
    fn by<R>(&self, cpu: u32, f: impl FnOnce(&Here<'_, 'a>) -> R) -> R {
        let hart = self.hart(cpu);

        assert!(!hart.busy.replace(true));
        trace!("  by {cpu}");
        let result = f(&Here {
            world: self,
            cpu,
            since: self.nested.get(),
        });
        hart.busy.set(false);
        result
    }

    /// Somebody looks at something: others may have done something before.
    fn look(&self) {
        match self.armed.get() {
            Some(0) => {
                self.armed.set(None);
                if self.depth.get() < 3 {
                    self.depth.set(self.depth.get() + 1);
                    self.nested.set(self.nested.get() + 1);
                    self.step();
                    self.depth.set(self.depth.get() - 1);
                }
            }
            Some(count) => self.armed.set(Some(count - 1)),
            None => {}
        }
    }

    fn below(&self, n: u32) -> u32 {
        self.input.borrow_mut().below(n)
    }

    fn flag(&self) -> bool {
        self.input.borrow_mut().flag()
    }

    /// A hart that can execute something.
    fn any_hart(&self) -> Option<u32> {
        let idle: Vec<_> = (0..self.harts.len() as u32)
            .filter(|cpu| {
                let hart = self.hart(*cpu);

                hart.online.get() && !hart.busy.get() && !hart.asleep.get()
            })
            .collect();

        (!idle.is_empty()).then(|| idle[self.below(idle.len() as u32) as usize])
    }

    /// A device, with its lock if it is to be changed.
    fn any_device(&self, change: bool) -> Option<Rc<Device>> {
        let devices: Vec<_> = self
            .devices
            .borrow()
            .iter()
            .filter(|device| !change || !device.locked.get())
            .cloned()
            .collect();

        (!devices.is_empty())
            .then(|| Rc::clone(&devices[self.below(devices.len() as u32) as usize]))
    }

    /// The CPUs that are online, or some of them.
    fn choice(&self) -> Vec<u32> {
        let mask = match self.below(4) {
            0 => 1 << self.below(self.harts.len() as u32),
            1 => self.below(256),
            _ => !0,
        };

        (0..self.harts.len() as u32)
            .filter(|cpu| mask >> cpu & 1 != 0)
            .collect()
    }

    /// Which CPU the next vector comes from, as documentation has it: most free identities, then the
    /// lowest number.
    fn best(&self, choice: &[u32]) -> Option<u32> {
        let free = |cpu: &u32| self.hart(*cpu).file.pool().free();

        choice
            .iter()
            .copied()
            .filter(|cpu| self.hart(*cpu).online.get() && free(cpu) > 0)
            .max_by_key(|cpu| (free(cpu), std::cmp::Reverse(*cpu)))
    }

    /// Whether an operation is not in the middle of another one, and nothing was in the middle of it
    /// since `nested` of those were.
    fn is_alone(&self, nested: u64) -> bool {
        self.depth.get() == 0 && self.nested.get() == nested
    }

    fn alloc(&self) {
        let Some(here) = self.any_hart() else {
            return;
        };
        if self.devices.borrow().len() > 12 {
            return;
        }
        let kind = self
            .input
            .borrow_mut()
            .one_of(&[Kind::Pci, Kind::Wired, Kind::Platform]);
        let choice = self.choice();
        let number = self.next_owner.replace(self.next_owner.get() + 1);
        let owner = SlotOwner::new(16 * number).unwrap();
        let (nested, best) = (self.nested.get(), self.best(&choice));
        let given = self.by(here, |hart| {
            operations::alloc(hart, &OneOf(self, &choice), owner)
        });

        trace!("  alloc {owner:?} by {here} on {choice:?}: {given:?}");
        if self.is_alone(nested) {
            match (given, best) {
                (Some(vector), Some(best)) => assert_eq!(vector.cpu().get(), best),
                // This hart had some that were only to be looked at.
                (Some(vector), None) => assert_eq!(vector.cpu().get(), here),
                (None, _) => assert_eq!(self.best(&choice), None),
            }
        }
        let Some(current) = given else {
            return;
        };
        assert!(choice.contains(&current.cpu().get()));
        self.devices.borrow_mut().push(Rc::new(Device {
            owner,
            kind,
            vectors: Cell::new(Vectors {
                current,
                previous: None,
            }),
            message: Cell::new(current),
            former: RefCell::default(),
            masked: Cell::new(true),
            locked: Cell::new(false),
            silent: Cell::new(false),
            fired: Cell::new(0),
            handled: Cell::new(0),
            arrived: Cell::new(0),
            claimed: Cell::new(0),
        }));
    }

    /// A device sends an MSI.
    fn fire(&self) {
        if let Some(device) = self.any_device(false).filter(|device| !device.silent.get()) {
            self.fire_one(&device);
        }
    }

    fn fire_one(&self, device: &Rc<Device>) {
        // Those for which a new one must have arrived by now.
        let mut former = device.former.borrow_mut();
        while former
            .front()
            .is_some_and(|(_, since)| self.now.get() > since + 1)
        {
            former.pop_front();
        }
        let skip = match former.len() {
            0 => 0,
            n => self.below(n as u32 + 1),
        };
        former.drain(..skip as usize);
        let message = former
            .front()
            .map_or(device.message.get(), |(message, _)| *message);
        let way = match device.kind {
            Kind::Pci => Way::Memory,
            Kind::Wired => Way::Aplic,
            Kind::Platform => Way::Posted,
        };

        drop(former);
        trace!("  fire {:?} {message:?}", device.owner);
        device.fired.set(device.fired.get() + 1);
        self.store(message, way, Some(Rc::clone(device)));
    }

    /// A device gets a new message.
    fn tell(&self, device: &Rc<Device>, message: VectorId) {
        let old = device.message.get();

        match device.kind {
            Kind::Pci => {
                // The address, then the data.
                device
                    .message
                    .set(VectorId::new(message.cpu(), old.eiid()).unwrap());
                self.look();
                device.message.set(message);
            }
            Kind::Wired => device.message.set(message),
            Kind::Platform => {
                device.former.borrow_mut().push_back((old, self.now.get()));
                device.message.set(message);
            }
        }
        self.look();
    }

    fn move_to(&self, device: &Rc<Device>, here: &Here<'_, 'a>, choice: &[u32]) {
        let source = MoveSource {
            owner: device.owner,
            at_once: device.kind != Kind::Pci,
            sender: match device.kind {
                Kind::Pci => Sender::Ordered,
                Kind::Wired => Sender::Fenced,
                Kind::Platform => Sender::Posted,
            },
        };
        let before = device.vectors.get();
        let nested = self.nested.get();
        let moved = operations::move_to(
            here,
            before,
            source,
            &OneOf(self, choice),
            |message: VectorId| self.tell(device, message),
        );

        trace!(
            "  move {:?} {before:?} by {} to {choice:?}: {moved:?}",
            device.owner,
            here.cpu
        );
        match moved {
            Ok(vectors) => {
                assert!(choice.contains(&vectors.current.cpu().get()));
                device.vectors.set(vectors);
            }
            Err(MoveError::NotOwned) => panic!("its own vector is not its own"),
            Err(MoveError::Busy) => {
                let previous = before.previous.unwrap();
                let file = &self.hart(previous.cpu().get()).file;

                assert!(
                    !self.is_alone(nested)
                        || file.forwards_to(previous.eiid(), before.current)
                        || file.forwards_to(before.current.eiid(), before.current)
                );
            }
            Err(MoveError::Full) => {
                assert!(!self.is_alone(nested) || self.best(choice).is_none());
            }
            Err(MoveError::NoMessage) => {
                assert!(!self.is_alone(nested) || self.mute.get().is_some());
            }
        }
    }

    /// Frees a device that does not send any more: what it has sent has arrived.
    fn free(&self, device: &Rc<Device>, here: u32) {
        self.arrive_all();
        device.locked.set(true);
        device.silent.set(true);
        self.by(here, |hart| {
            operations::free(hart, device.vectors.get(), device.owner)
        });
        self.devices
            .borrow_mut()
            .retain(|other| !Rc::ptr_eq(other, device));
    }

    fn set_masked(&self, device: &Rc<Device>, here: u32, masked: bool) {
        self.by(here, |hart| {
            let current = device.vectors.get().current;

            match masked {
                true => operations::mask(hart, current),
                false => operations::unmask(hart, current),
            }
        });
        trace!("  masked {masked} {:?} by {here}", device.owner);
        device.masked.set(masked);
    }

    fn online(&self, cpu: u32) {
        let hart = self.hart(cpu);

        hart.enabled.set(u64::MAX);
        self.by(cpu, |here| operations::go_online(here));
        hart.online.set(true);
    }

    /// `cpu` goes, and what is there goes elsewhere if it can. Nobody else runs.
    fn offline(&self, cpu: u32) {
        let hart = self.hart(cpu);
        let armed = self.armed.take();

        trace!("  offline {cpu}");
        hart.online.set(false);
        hart.timer.set(None);
        let rest: Vec<_> = (0..self.harts.len() as u32)
            .filter(|cpu| self.hart(*cpu).online.get())
            .collect();
        let leaving: Vec<_> = self
            .devices
            .borrow()
            .iter()
            .filter(|device| device.vectors.get().current.cpu().get() == cpu)
            .cloned()
            .collect();
        self.by(cpu, |here| {
            for device in &leaving {
                self.move_to(device, here, &rest);
            }
            operations::go_offline(here);
        });
        self.armed.set(armed);
    }

    /// `cpu` sleeps until something wakes it up.
    fn sleep(&self, cpu: u32) {
        let hart = self.hart(cpu);

        self.by(cpu, |here| hart.saved.save(here));
        hart.was_pending.set(hart.pending.get());
        hart.asleep.set(true);
    }

    /// It is back, and may have lost its registers, but not what has arrived meanwhile.
    fn wake(&self, cpu: u32, lost: u64) {
        let hart = self.hart(cpu);

        hart.asleep.set(false);
        hart.pending
            .set(hart.pending.get() & !(hart.was_pending.get() & lost));
        hart.enabled.set(u64::MAX);
        self.by(cpu, |here| hart.saved.restore(here));
    }

    fn interrupt(&self, cpu: u32) {
        self.by(cpu, |here| entry::handle(here));
    }
}

impl Hart {
    fn new(room: u32) -> Self {
        let nr_ids = NrIds::MIN;
        let bitmap = || words(pool::words_for(nr_ids));
        let file = File::new(
            nr_ids,
            words(pool::words_for(nr_ids) * 64),
            bitmap(),
            bitmap(),
            bitmap(),
            bitmap(),
        )
        .unwrap();
        let mut taken = (2..63).rev().map(|n| Eiid::new(n).unwrap());

        while file.pool().free() > room {
            assert!(file.pool().claim(taken.next().unwrap()));
        }
        Self {
            file,
            online: Cell::new(false),
            busy: Cell::new(false),
            asleep: Cell::new(false),
            enabled: Cell::new(0),
            pending: Cell::new(0),
            ways: Default::default(),
            timer: Cell::new(None),
            claimed: Cell::new(0),
            identity: Cell::new(None),
            strays: Cell::new(0),
            saved: SavedPending::new(words(pool::words_for(nr_ids))),
            was_pending: Cell::new(0),
            room,
        }
    }
}

impl Here<'_, '_> {
    fn hart(&self) -> &Hart {
        self.world.hart(self.cpu)
    }
}

impl HartAccess for Here<'_, '_> {
    fn enable(&self, eiid: Eiid) {
        self.world.look();
        self.hart()
            .enabled
            .set(self.hart().enabled.get() | bit(eiid));
    }

    fn disable(&self, eiid: Eiid) {
        self.world.look();
        self.hart()
            .enabled
            .set(self.hart().enabled.get() & !bit(eiid));
    }

    fn take_pending(&self, eiid: Eiid) -> bool {
        self.world.look();
        let was = self.hart().pending.get();

        if was & bit(eiid) != 0 {
            trace!("    take {eiid} of {}", self.cpu);
        }
        self.hart().pending.set(was & !bit(eiid));
        was & bit(eiid) != 0
    }

    fn is_pending(&self, eiid: Eiid) -> bool {
        self.world.look();
        self.hart().pending.get() & bit(eiid) != 0
    }

    fn clear_pending(&self, word: EixWord, mask: u64) {
        assert_eq!(word.get(), 0);
        self.hart().pending.set(self.hart().pending.get() & !mask);
    }

    fn send(&self, to: VectorId) {
        self.world.look();
        self.world.store(to, Way::Memory, None);
        self.world.look();
    }

    fn send_here(&self, eiid: Eiid) {
        let here = VectorId::new(Cpu::new(self.cpu), eiid).unwrap();

        self.world.store(here, Way::Memory, None);
    }

    fn barrier(&self) {
        self.world.look();
    }

    /// One more store takes effect, but none that takes up to a tick.
    fn pause(&self) {
        if !self.world.stuck.get() {
            self.world.arrive(self.cpu, Way::Memory);
            self.world.arrive(self.cpu, Way::Aplic);
        }
    }

    fn fence(&self, marker: Eiid) -> Fence {
        self.world.look();
        proof::ask(self, marker, || {
            if self.world.fences {
                let here = VectorId::new(Cpu::new(self.cpu), marker).unwrap();

                self.world.store(here, Way::Aplic, None);
            }
            self.world.fences
        })
    }

    fn marker_lost(&self) {}

    fn now(&self) -> Tick {
        Tick::new(self.world.now.get())
    }

    fn away(&self) -> &Word {
        self.world.look();
        &self.world.counts.away
    }
}

impl PendingAccess for Here<'_, '_> {
    fn pending(&self, word: EixWord) -> u64 {
        assert_eq!(word.get(), 0);
        self.hart().pending.get()
    }

    fn set_pending(&self, _word: EixWord, mask: u64) {
        self.hart().pending.set(self.hart().pending.get() | mask);
    }
}

impl Machine for Here<'_, '_> {
    type Words = Words;
    type Message = VectorId;

    fn cpu(&self) -> Cpu {
        Cpu::new(self.cpu)
    }

    fn here(&self) -> &File<Words> {
        self.world.look();
        &self.hart().file
    }

    fn file(&self, cpu: Cpu) -> Option<&File<Words>> {
        self.world.look();
        self.world.harts.get(cpu.index()).map(|hart| &hart.file)
    }

    fn files(&self) -> impl Iterator<Item = &File<Words>> {
        self.world.harts.iter().map(|hart| {
            self.world.look();
            &hart.file
        })
    }

    fn is_online(&self, cpu: Cpu) -> bool {
        self.world
            .harts
            .get(cpu.index())
            .is_some_and(|hart| hart.online.get())
    }

    fn placement(&self) -> &Placement<Words> {
        self.world.look();
        &self.world.placement
    }

    fn counts(&self) -> &Counts {
        &self.world.counts
    }

    fn message(&self, vector: VectorId) -> Option<VectorId> {
        (self.world.mute.get() != Some(vector.cpu().get())).then_some(vector)
    }

    fn poke(&self, cpu: Cpu) {
        let poke = VectorId::new(cpu, POKE).unwrap();

        self.world.look();
        self.world.store(poke, Way::Memory, None);
    }

    fn look_again(&self, due: Tick) {
        self.hart().timer.set(Some(due));
    }
}

impl Entry for Here<'_, '_> {
    type Machine = Self;

    fn machine(&self) -> &Self {
        self
    }

    fn claim(&self) -> Option<Eiid> {
        self.world.look();
        let top = self.hart().pending.get() & self.hart().enabled.get();
        let eiid = Eiid::new(top.trailing_zeros()).filter(|_| top != 0)?;

        self.hart()
            .pending
            .set(self.hart().pending.get() & !bit(eiid));
        trace!("    claim {eiid} of {}", self.cpu);
        self.hart().claimed.set(self.world.later());
        self.hart().identity.set(Some(eiid));
        Some(eiid)
    }

    fn ipis(&self) {}

    fn deliver(&self, owner: SlotOwner) {
        let devices = self.world.devices.borrow();
        let device = devices
            .iter()
            .find(|device| device.owner == owner)
            .expect("an interrupt that was freed is handled");

        // Who masked it while this hart was at it comes too late. What is for an owner that is away is
        // given to the kernel in any case, which keeps it.
        let slot = self.hart().file.slot(self.hart().identity.get().unwrap());
        assert!(
            !device.masked.get()
                || self.since != self.world.nested.get()
                || matches!(slot, Slot::Away(..)),
            "a masked interrupt is handled"
        );
        trace!("  handle {owner:?} by {}", self.cpu);
        device.handled.set(device.handled.get() + 1);
        device.claimed.set(self.hart().claimed.get());
    }

    fn stray(&self, _eiid: Eiid) -> bool {
        self.hart().strays.set(self.hart().strays.get() + 1);
        self.hart().strays.get() % 4 == 0
    }

    fn switched_off(&self, eiid: Eiid) {
        assert_eq!(self.hart().enabled.get() & bit(eiid), 0);
    }
}

/// Some CPUs.
struct OneOf<'w, 'a>(&'w World<'a>, &'w [u32]);

impl Choice for OneOf<'_, '_> {
    fn is_any(&self) -> bool {
        (0..self.0.harts.len() as u32)
            .filter(|cpu| self.0.hart(*cpu).online.get())
            .all(|cpu| self.1.contains(&cpu))
    }

    fn cpus(&self) -> impl Iterator<Item = Cpu> {
        self.1.iter().copied().map(Cpu::new)
    }
}

impl World<'_> {
    /// Somebody does something.
    fn step(&self) {
        let what = self.input.borrow_mut().u8();
        let top = self.depth.get() == 0;

        // Something comes in between, maybe.
        if what & 0x80 != 0 {
            self.armed.set(Some(self.below(24)));
        }
        trace!(
            "{}step {}",
            "  ".repeat(self.depth.get() as usize),
            what % 24
        );
        match what % 24 {
            0..=3 => self.fire(),
            4..=6 => {
                if let Some(here) = self.any_hart() {
                    self.interrupt(here);
                }
            }
            7 => {
                if let Some(here) = self.any_hart() {
                    self.by(here, |hart| operations::sync(hart));
                }
            }
            8 | 9 => {
                let cpu = self.below(self.harts.len() as u32);
                let way = self.input.borrow_mut().one_of(&WAYS);

                self.arrive(cpu, way);
            }
            10 => self.tick(),
            11 | 12 => self.alloc(),
            13 if top => {
                if let (Some(here), Some(device)) = (self.any_hart(), self.any_device(true)) {
                    self.free(&device, here);
                }
            }
            14 | 15 => {
                if let (Some(here), Some(device)) = (self.any_hart(), self.any_device(true)) {
                    device.locked.set(true);
                    self.set_masked(&device, here, what & 0x40 != 0);
                    device.locked.set(false);
                }
            }
            16..=19 => {
                if let (Some(here), Some(device)) = (self.any_hart(), self.any_device(true)) {
                    let choice = self.choice();

                    device.locked.set(true);
                    self.by(here, |hart| self.move_to(&device, hart, &choice));
                    device.locked.set(false);
                }
            }
            20 => {
                let cpu = self.below(self.harts.len() as u32);
                let hart = self.hart(cpu);
                let others = self.harts.iter().filter(|hart| hart.online.get()).count();

                if !hart.online.get() && !hart.busy.get() {
                    self.online(cpu);
                } else if top && !hart.asleep.get() && others > 1 {
                    self.offline(cpu);
                }
            }
            21 => {
                let cpu = self.below(self.harts.len() as u32);
                let hart = self.hart(cpu);

                if hart.asleep.get() {
                    let lost = self.input.borrow_mut().mask();

                    self.wake(cpu, lost);
                } else if hart.online.get() && !hart.busy.get() {
                    self.sleep(cpu);
                }
            }
            22 => self.stray(),
            _ => match self.below(4) {
                0 => {
                    let cpu = self.below(self.harts.len() as u32);

                    self.mute.set(self.flag().then_some(cpu));
                }
                1 => self.stuck.set(self.flag()),
                _ if top => self.settle(),
                _ => {}
            },
        }
        if top {
            self.armed.set(None);
            self.check();
        }
    }

    /// A tick passes, within which what is on its way arrives; timers that are due expire.
    fn tick(&self) {
        self.arrive_all();
        self.now.set(self.now.get() + 1);
        for (cpu, hart) in (0..).zip(&self.harts) {
            let due = hart
                .timer
                .get()
                .is_some_and(|due| due == Tick::new(self.now.get()));
            let late = hart
                .timer
                .get()
                .is_some_and(|due| Tick::new(self.now.get()).since(due) > 0);

            if (due || late) && hart.online.get() && !hart.busy.get() && !hart.asleep.get() {
                hart.timer.set(None);
                self.by(cpu, |here| operations::sync(here));
            }
        }
    }

    /// An MSI for nobody, which is taken before anybody gets the identity.
    fn stray(&self) {
        let Some(cpu) = self.any_hart() else {
            return;
        };
        let hart = self.hart(cpu);
        let eiid = Eiid::new(2 + self.below(61)).unwrap();

        if matches!(hart.file.slot(eiid), Slot::Free) {
            self.armed.set(None);
            hart.pending.set(hart.pending.get() | bit(eiid));
            self.interrupt(cpu);
        }
    }

    /// Everything that is under way comes to an end.
    fn settle(&self) {
        let (armed, stuck) = (self.armed.take(), self.stuck.replace(false));

        trace!("  settle");
        for _ in 0..ROUNDS {
            self.tick();
            for (cpu, hart) in (0..).zip(&self.harts) {
                if hart.online.get() && !hart.asleep.get() {
                    self.interrupt(cpu);
                }
            }
        }
        self.check_settled();
        self.armed.set(armed);
        self.stuck.set(stuck);
    }

    /// What holds whenever no hart executes anything.
    fn check(&self) {
        let devices = self.devices.borrow();
        let mut assigned = 0;

        for device in devices.iter() {
            let current = device.vectors.get().current;

            assert_eq!(
                self.hart(current.cpu().get()).file.slot(current.eiid()),
                Slot::Assigned(device.owner),
                "the vector of an interrupt is not its own"
            );
        }
        for hart in &self.harts {
            for n in 1..64 {
                let slot = hart.file.slot(Eiid::new(n).unwrap());

                match slot {
                    Slot::Assigned(_) => assigned += 1,
                    Slot::Away(owner, _) => {
                        assert!(devices.iter().any(|device| device.owner == owner));
                    }
                    Slot::Forward(to, _) => {
                        let target = self.hart(to.cpu().get()).file.slot(to.eiid());

                        assert!(
                            matches!(
                                target,
                                Slot::Assigned(_) | Slot::Forward(..) | Slot::Away(..)
                            ),
                            "{n} forwards to what is nobody's: {target:?}"
                        );
                    }
                    _ => {}
                }
            }
        }
        assert_eq!(assigned, devices.len(), "an identity has an unknown owner");
        if self.counts.duplicates.load() == 0 {
            for device in devices.iter() {
                assert!(
                    device.handled.get() <= device.fired.get(),
                    "an interrupt is handled more often than it was raised"
                );
            }
        }
    }

    /// What holds when nothing is under way.
    fn check_settled(&self) {
        for device in self.devices.borrow().iter() {
            let hart = self.hart(device.vectors.get().current.cpu().get());

            if !device.masked.get() && hart.online.get() && !hart.asleep.get() && self.all_awake() {
                assert!(
                    device.arrived.get() <= device.claimed.get(),
                    "an interrupt is lost"
                );
            }
        }
        let away: u64 = self
            .harts
            .iter()
            .flat_map(|hart| (1..64).map(|n| hart.file.slot(Eiid::new(n).unwrap())))
            .filter(|slot| matches!(slot, Slot::Away(..)))
            .count() as u64;
        assert_eq!(self.counts.away.load(), away);
        for (cpu, hart) in (0..).zip(&self.harts) {
            if !hart.online.get() || !self.all_awake() {
                continue;
            }
            let used = self
                .devices
                .borrow()
                .iter()
                .filter(|device| device.vectors.get().current.cpu().get() == cpu)
                .count();
            let off = (1..64)
                .filter(|n| hart.file.slot(Eiid::new(*n).unwrap()) == Slot::Off)
                .count();

            assert_eq!(
                hart.file.pool().free() as usize + used + off,
                hart.room as usize,
                "identities of {cpu} do not come back"
            );
        }
        if self.all_awake() {
            let all: Vec<_> = (0..self.harts.len() as u32).collect();

            assert_eq!(
                self.placement.best().map(Cpu::get),
                self.best(&all),
                "placement"
            );
        }
    }

    fn all_awake(&self) -> bool {
        self.harts
            .iter()
            .all(|hart| hart.online.get() && !hart.asleep.get())
    }
}

/// Runs the program in `data`.
pub fn run(data: &[u8]) {
    let world = World::new(Input::new(data));

    while !world.input.borrow().is_empty() {
        world.step();
    }

    // Everybody is back, and nothing is masked.
    for (cpu, hart) in (0..).zip(&world.harts) {
        if hart.asleep.get() {
            world.wake(cpu, 0);
        }
        if !hart.online.get() {
            world.online(cpu);
        }
    }
    let devices = world.devices.borrow().clone();
    for device in &devices {
        world.set_masked(device, 0, false);
    }
    world.settle();
    world.check();
    for device in &devices {
        world.free(device, 0);
    }
    world.settle();
    assert_eq!(world.counts.away.load(), 0);
}
