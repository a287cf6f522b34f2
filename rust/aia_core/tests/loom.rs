// SPDX-License-Identifier: GPL-2.0

//! Concurrency of vectors, model-checked: the interleavings and reorderings that C11 allows, of the
//! code that the kernel runs.
//!
//! `RUSTFLAGS="--cfg loom" cargo test --release --test loom`
//!
//! Where all interleavings would take too long, [`bounded`] limits preemptions: switches of the running
//! thread at a point where it could go on. What takes more of them in one run is left out; all those
//! where a thread waits, or ends, are explored in any case.

#![cfg(loom)]

mod interleavings;

use std::{
    collections::VecDeque,
    ops::Deref,
    sync::{
        atomic::Ordering::{
            Acquire,
            Relaxed,
            Release,
            SeqCst, //
        },
        Mutex, //
    }, //
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
        block::{
            self,
            BlockOwners, //
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
            MoveSource, //
        },
        placement::Placement,
        pool::Pool,
        proof,
        slot::{
            InFlight,
            Sender,
            Slot, //
            SlotOwner,
        },
        tick::Tick,
        VectorId,
        Vectors,
        POKE, //
    },
    word::Word, //
};
use loom::{
    sync::{
        atomic::{
            fence,
            AtomicU64, //
        },
        Arc, //
    },
    thread, //
};

use interleavings::bounded;

/// Words on the heap.
struct Words(Vec<Word>);

impl Words {
    fn new(count: usize) -> Self {
        Self((0..count).map(|_| Word::new(0)).collect())
    }
}

impl Deref for Words {
    type Target = [Word];

    fn deref(&self) -> &[Word] {
        &self.0
    }
}

fn id(n: u32) -> Eiid {
    Eiid::new(n).unwrap()
}

fn owner(n: u64) -> SlotOwner {
    SlotOwner::new(0x1000 * n).unwrap()
}

fn on(cpu: u32, eiid: Eiid) -> VectorId {
    VectorId::new(Cpu::new(cpu), eiid).unwrap()
}

fn bit(eiid: Eiid) -> u64 {
    1 << eiid.get()
}

/// What the architecture promises of an interrupt file: stores take effect at some time, in their
/// order (AIA 3.5). To see an effect orders nothing but what depends on the identity that was claimed;
/// who needs more has a fence.
#[derive(Default)]
struct Registers {
    on_the_way: VecDeque<Eiid>,
    pending: u64,
    enabled: u64,
}

/// A hart: its file, and its registers.
struct ModelHart {
    file: File<Words>,
    /// Each access to the registers is one step of the model, and orders nothing.
    step: AtomicU64,
    registers: Mutex<Registers>,
    /// In the mask of CPUs that are online.
    online: AtomicU64,
    handled: Mutex<Vec<SlotOwner>>,
    /// How many pokes were taken.
    poked: Mutex<u32>,
    /// Stores take effect at once.
    fast: bool,
}

impl ModelHart {
    fn new(fast: bool) -> Self {
        let bitmap = || Words::new(1);

        Self {
            file: File::new(
                NrIds::MIN,
                Words::new(64),
                bitmap(),
                bitmap(),
                bitmap(),
                bitmap(),
            )
            .unwrap(),
            step: AtomicU64::new(0),
            registers: Mutex::default(),
            online: AtomicU64::new(0),
            handled: Mutex::default(),
            poked: Mutex::new(0),
            fast,
        }
    }

    fn access<R>(&self, f: impl FnOnce(&mut Registers) -> R) -> R {
        self.step.fetch_add(1, Relaxed);
        f(&mut self.registers.lock().unwrap())
    }

    /// A store by anybody, after all that was done before (`writel()`).
    fn store(&self, eiid: Eiid) {
        fence(Release);
        self.access(|registers| {
            if self.fast {
                registers.pending |= bit(eiid);
            } else {
                registers.on_the_way.push_back(eiid);
            }
        });
    }

    /// A store by a device, in the same step as what the device did before.
    fn store_by_device(&self, eiid: Eiid) {
        let mut registers = self.registers.lock().unwrap();

        if self.fast {
            registers.pending |= bit(eiid);
        } else {
            registers.on_the_way.push_back(eiid);
        }
    }

    /// One store takes effect.
    fn arrive(&self) {
        self.access(|registers| {
            if let Some(eiid) = registers.on_the_way.pop_front() {
                registers.pending |= bit(eiid);
            }
        });
    }

    /// All stores take effect.
    fn arrive_all(&self) {
        self.access(|registers| {
            while let Some(eiid) = registers.on_the_way.pop_front() {
                registers.pending |= bit(eiid);
            }
        });
    }

    fn is_enabled(&self, eiid: Eiid) -> bool {
        self.registers.lock().unwrap().enabled & bit(eiid) != 0
    }

    fn handled(&self) -> usize {
        self.handled.lock().unwrap().len()
    }
}

/// A machine.
struct Model {
    harts: Vec<ModelHart>,
    placement: Placement<Words>,
    counts: Counts,
    now: AtomicU64,
    /// Senders of extempore MSIs send them.
    fences: bool,
    /// What the address of an owner leads to, and what those have found who followed it.
    descriptor: AtomicU64,
    found: Mutex<Vec<u64>>,
}

impl Model {
    /// A machine of two harts, both online.
    fn new(fast: bool) -> Arc<Self> {
        Self::with(fast, true)
    }

    /// The same, with senders that can prove that nothing is on its way, or not.
    fn with(fast: bool, fences: bool) -> Arc<Self> {
        let model = Arc::new(Self {
            harts: (0..2).map(|_| ModelHart::new(fast)).collect(),
            placement: Placement::new(Words::new(2), NrIds::MIN),
            counts: Counts::default(),
            now: AtomicU64::new(0),
            fences,
            descriptor: AtomicU64::new(0),
            found: Mutex::default(),
        });

        for cpu in 0..2 {
            model.online(cpu);
        }
        model
    }

    fn online(&self, cpu: u32) {
        let hart = self.hart(cpu);

        hart.registers.lock().unwrap().enabled = u64::MAX;
        operations::go_online(&self.on(cpu));
        hart.online.store(1, Release);
    }

    fn offline(&self, cpu: u32) {
        self.hart(cpu).online.store(0, Release);
        operations::go_offline(&self.on(cpu));
    }

    fn hart(&self, cpu: u32) -> &ModelHart {
        &self.harts[cpu as usize]
    }

    fn file(&self, cpu: u32) -> &File<Words> {
        &self.hart(cpu).file
    }

    fn on(&self, cpu: u32) -> Here<'_> {
        Here {
            model: self,
            cpu: Cpu::new(cpu),
        }
    }

    /// All that is on its way arrives, and is taken.
    fn settle(&self) {
        for _ in 0..3 {
            for cpu in 0..2 {
                for _ in 0..4 {
                    self.hart(cpu).arrive();
                }
                if self.hart(cpu).online.load(Acquire) != 0 {
                    entry::handle(&self.on(cpu));
                }
            }
        }
    }

    /// What the placement has of `cpu`, which is online, is what its pool has.
    fn assert_counted(&self, cpu: u32) {
        let free = self.file(cpu).pool().free();
        let cpu = Cpu::new(cpu);
        let best = || self.placement.best_of([cpu].into_iter());

        self.placement.take(cpu, free - 1);
        assert_eq!(best(), Some(cpu));
        self.placement.take(cpu, 1);
        assert_eq!(best(), None);
        self.placement.give_back(cpu, free);
    }

    fn handled(&self) -> usize {
        self.harts.iter().map(ModelHart::handled).sum()
    }

    /// Whose interrupts were handled.
    fn owners(&self) -> Vec<SlotOwner> {
        self.harts
            .iter()
            .flat_map(|hart| hart.handled.lock().unwrap().clone())
            .collect()
    }

    /// An identity of `cpu` that is given to owner `n`, and counted.
    fn assign(&self, cpu: u32, n: u64) -> Eiid {
        let eiid = self.file(cpu).assign(owner(n), false).unwrap();

        self.placement.take(Cpu::new(cpu), 1);
        eiid
    }

    /// An interrupt that is enabled on `cpu`.
    fn interrupt(&self, cpu: u32, n: u64) -> Eiid {
        let eiid = self.assign(cpu, n);

        operations::unmask(&self.on(cpu), on(cpu, eiid));
        eiid
    }
}

/// A device with one message, as it has it now. Each access to it is one step of the model, and orders
/// nothing.
struct Device {
    step: AtomicU64,
    message: Mutex<VectorId>,
}

impl Device {
    fn of(message: VectorId) -> Arc<Self> {
        Arc::new(Self {
            step: AtomicU64::new(0),
            message: Mutex::new(message),
        })
    }

    fn access<R>(&self, f: impl FnOnce(&mut VectorId) -> R) -> R {
        self.step.fetch_add(1, Relaxed);
        f(&mut self.message.lock().unwrap())
    }

    fn message(&self) -> VectorId {
        self.access(|message| *message)
    }

    /// Gives it another message, after all that was done before (`writel()`): so are the MSIs that it
    /// sends because of it.
    fn tell(&self, model: &Model, new: VectorId) {
        fence(Release);
        for hart in &model.harts {
            hart.step.fetch_add(1, Relaxed);
        }
        self.access(|message| *message = new);
    }

    /// Sends its MSI, which comes before the end of a read of its registers.
    fn send(&self, model: &Model) {
        self.send_number(model, 0);
    }

    /// As [`Self::send`], with `n` in the lowest bits.
    fn send_number(&self, model: &Model, n: u32) {
        self.access(|message| {
            model
                .hart(message.cpu().get())
                .store_by_device(message.further(n).unwrap().eiid());
        });
    }

    /// Sends its MSI, which comes whenever: it may have another message by then.
    fn send_late(&self, model: &Model) {
        let to = self.message();

        model.hart(to.cpu().get()).store(to.eiid());
    }

    /// Moves its interrupt, that of the first owner, to hart 1.
    fn move_to(&self, model: &Model, here: u32, at_once: bool, sender: Sender) {
        let source = MoveSource {
            owner: owner(1),
            at_once,
            sender,
        };
        let vectors = Vectors {
            current: self.message(),
            previous: None,
        };

        operations::move_to(&model.on(here), vectors, source, &Only(1), |new| {
            if !at_once {
                self.tell(model, on(new.cpu().get(), self.message().eiid()));
            }
            self.tell(model, new);
        })
        .unwrap();
    }
}

/// The machine as one of its harts sees it.
struct Here<'a> {
    model: &'a Model,
    cpu: Cpu,
}

impl Here<'_> {
    fn hart(&self) -> &ModelHart {
        self.model.hart(self.cpu.get())
    }
}

impl HartAccess for Here<'_> {
    fn enable(&self, eiid: Eiid) {
        self.hart().registers.lock().unwrap().enabled |= bit(eiid);
    }

    fn disable(&self, eiid: Eiid) {
        self.hart().registers.lock().unwrap().enabled &= !bit(eiid);
    }

    fn is_pending(&self, eiid: Eiid) -> bool {
        self.hart()
            .access(|registers| registers.pending & bit(eiid) != 0)
    }

    fn take_pending(&self, eiid: Eiid) -> bool {
        self.hart().access(|registers| {
            let was = registers.pending & bit(eiid) != 0;

            registers.pending &= !bit(eiid);
            was
        })
    }

    fn clear_pending(&self, _word: EixWord, mask: u64) {
        self.hart().access(|registers| registers.pending &= !mask);
    }

    fn send(&self, to: VectorId) {
        self.model.hart(to.cpu().get()).store(to.eiid());
    }

    fn send_here(&self, eiid: Eiid) {
        self.hart().store(eiid);
    }

    fn barrier(&self) {
        fence(SeqCst);
    }

    fn pause(&self) {
        self.hart().arrive();
    }

    fn fence(&self, marker: Eiid) -> Fence {
        proof::ask(self, marker, || {
            if self.model.fences {
                self.send_here(marker);
            }
            self.model.fences
        })
    }

    fn marker_lost(&self) {
        unreachable!();
    }

    fn now(&self) -> Tick {
        Tick::new(self.model.now.load(Relaxed))
    }

    fn away(&self) -> &Word {
        &self.model.counts.away
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
        Some(self.model.file(cpu.get()))
    }

    fn files(&self) -> impl Iterator<Item = &File<Words>> {
        self.model.harts.iter().map(|hart| &hart.file)
    }

    fn is_online(&self, cpu: Cpu) -> bool {
        self.model.hart(cpu.get()).online.load(Acquire) != 0
    }

    fn placement(&self) -> &Placement<Words> {
        &self.model.placement
    }

    fn counts(&self) -> &Counts {
        &self.model.counts
    }

    fn message(&self, vector: VectorId) -> Option<VectorId> {
        Some(vector)
    }

    fn poke(&self, cpu: Cpu) {
        self.send(on(cpu.get(), POKE));
    }

    fn look_again(&self, _due: Tick) {}
}

impl Entry for Here<'_> {
    type Machine = Self;

    fn machine(&self) -> &Self {
        self
    }

    fn claim(&self) -> Option<Eiid> {
        let claimed = self.hart().access(|registers| {
            let top = registers.pending & registers.enabled;
            let eiid = Eiid::new(top.trailing_zeros()).filter(|_| top != 0)?;

            registers.pending &= !bit(eiid);
            Some(eiid)
        });

        // The address of the slot is made from it.
        if claimed.is_some_and(|eiid| eiid != POKE) {
            fence(Acquire);
        }
        claimed
    }

    fn ipis(&self) {
        *self.hart().poked.lock().unwrap() += 1;
    }

    fn deliver(&self, owner: SlotOwner) {
        let found = self.model.descriptor.load(Relaxed);

        self.model.found.lock().unwrap().push(found);
        self.hart().handled.lock().unwrap().push(owner);
    }

    fn stray(&self, _eiid: Eiid) -> bool {
        false
    }

    fn switched_off(&self, _eiid: Eiid) {}
}

/// One CPU.
struct Only(u32);

impl Choice for Only {
    fn is_any(&self) -> bool {
        false
    }

    fn cpus(&self) -> impl Iterator<Item = Cpu> {
        [Cpu::new(self.0)].into_iter()
    }
}

/// Both.
struct Any;

impl Choice for Any {
    fn is_any(&self) -> bool {
        true
    }

    fn cpus(&self) -> impl Iterator<Item = Cpu> {
        (0..2).map(Cpu::new)
    }
}

/// A change that finds another one waiting is not left behind when the hart has just looked at that.
#[test]
fn a_change_is_not_left_behind_by_another_one() {
    loom::model(|| {
        let model = Model::new(true);
        let [first, second] = [1, 2].map(|n| on(1, model.interrupt(1, n)));

        operations::mask(&model.on(0), first);
        let remote = {
            let model = model.clone();
            thread::spawn(move || operations::mask(&model.on(0), second))
        };
        operations::sync(&model.on(1));
        remote.join().unwrap();
        if model.file(1).needs_sync() {
            operations::sync(&model.on(1));
        }
        for vector in [first, second] {
            assert!(!model.hart(1).is_enabled(vector.eiid()));
        }
    });
}

/// An interrupt that takes the poke takes the change with it, also if another one was waiting before.
#[test]
fn a_change_is_seen_by_the_sync_after_the_poke() {
    for waiting in [false, true] {
        loom::model(move || {
            let model = Model::new(true);
            let eiid = model.assign(0, 1);
            model.on(0).disable(eiid);
            if waiting {
                operations::mask(&model.on(1), on(0, model.assign(0, 2)));
            }

            let remote = {
                let model = model.clone();
                thread::spawn(move || operations::unmask(&model.on(1), on(0, eiid)))
            };
            entry::handle(&model.on(0));
            if *model.hart(0).poked.lock().unwrap() > 0 {
                assert!(model.hart(0).is_enabled(eiid));
            }
            remote.join().unwrap();
            entry::handle(&model.on(0));
            assert!(model.hart(0).is_enabled(eiid));
        });
    }
}

/// A freed identity returns to the pool exactly once, also if its CPU goes offline meanwhile: then
/// when it is back.
#[test]
fn a_freed_identity_comes_back_once() {
    bounded(3, || {
        let model = Model::new(true);
        let before = model.file(0).pool().free();
        let eiid = model.assign(0, 1);

        let remote = {
            let model = model.clone();
            thread::spawn(move || {
                let vectors = Vectors {
                    current: on(0, eiid),
                    previous: None,
                };

                operations::free(&model.on(1), vectors, owner(1));
            })
        };
        model.offline(0);
        model.online(0);
        remote.join().unwrap();
        operations::sync(&model.on(0));

        assert_eq!(model.file(0).slot(eiid), Slot::Free);
        assert_eq!(model.file(0).pool().free(), before);
    });
}

/// While one hart takes an identity and another one gives one back, or goes offline, the placement
/// ends up with what there is.
#[test]
fn the_placement_knows_what_is_free() {
    for offline in [false, true] {
        bounded(3, move || {
            let model = Model::new(true);
            let eiid = model.interrupt(1, 1);
            let vectors = Vectors {
                current: on(1, eiid),
                previous: None,
            };

            operations::free(&model.on(0), vectors, owner(1));
            let remote = {
                let model = model.clone();
                thread::spawn(move || {
                    operations::alloc(&model.on(0), &Only(1), owner(2));
                })
            };
            if offline {
                model.offline(1);
            } else {
                operations::sync(&model.on(1));
            }
            remote.join().unwrap();

            if offline {
                assert_eq!(model.placement.best_of([Cpu::new(1)].into_iter()), None);
                model.online(1);
            }
            model.assert_counted(1);
        });
    }
}

/// Two harts take identities, where most are free, maybe of the same CPU: each is counted there.
#[test]
fn all_that_is_taken_is_counted() {
    loom::model(|| {
        let model = Model::new(true);
        let remote = {
            let model = model.clone();
            thread::spawn(move || operations::alloc(&model.on(1), &Any, owner(1)).unwrap())
        };
        let here = operations::alloc(&model.on(0), &Any, owner(2)).unwrap();
        let there = remote.join().unwrap();

        assert_ne!(here, there);
        for cpu in 0..2 {
            model.assert_counted(cpu);
        }
    });
}

/// An MSI that arrived at a forwarder reaches the vector that the interrupt ends up at, also if the
/// first target is left while the MSI is sent on: it is there when whoever leaves it looks, or it is
/// sent to the second one. (Maybe both.)
#[test]
fn a_retarget_loses_nothing() {
    loom::model(|| {
        let model = Model::new(true);
        let (first, second) = (on(1, id(5)), on(1, id(6)));
        let eiid = model.interrupt(0, 1);
        assert!(model.file(0).begin_move(eiid, owner(1), first));
        assert!(model.file(0).settle(eiid, first, InFlight::Ordered));
        model.hart(0).store(eiid);
        model.file(0).mark(eiid);

        let remote = {
            let model = model.clone();
            thread::spawn(move || {
                let retargeted = model.file(0).retarget(eiid, first, second);
                let here = model.on(1);

                here.barrier();
                (retargeted, here.take_pending(id(5)))
            })
        };
        operations::sync(&model.on(0));
        let (retargeted, seen) = remote.join().unwrap();

        assert_eq!(model.file(0).slot(eiid), Slot::Free);
        if retargeted {
            assert!(seen || model.on(1).take_pending(id(6)));
        } else {
            // The forwarder had ended, and whoever wanted to retarget it knows that.
            assert!(seen || model.on(1).take_pending(id(5)));
        }
    });
}

/// As long as a vector is an interrupt's, so is what forwards to it. When that is freed, another
/// interrupt may get both identities, and make the same move: its forwarder stays.
#[test]
fn a_freed_interrupt_takes_nobodys_forwarder() {
    bounded(3, || {
        let model = Model::new(true);
        let (p, n) = (model.interrupt(0, 1), model.interrupt(1, 1));
        let (vp, vn) = (on(0, p), on(1, n));
        assert!(model.file(0).begin_move(p, owner(1), vn));
        assert!(model.file(0).settle(p, vn, InFlight::Ordered));
        model.file(0).mark(p);

        let remote = {
            let model = model.clone();
            thread::spawn(move || {
                let vectors = Vectors {
                    current: vn,
                    previous: Some(vp),
                };

                operations::free(&model.on(1), vectors, owner(1));
            })
        };
        operations::sync(&model.on(1));
        operations::sync(&model.on(0));
        if model.file(0).assign_at(p, owner(2), true) {
            if model.file(1).assign_at(n, owner(2), true) {
                assert!(model.file(0).begin_move(p, owner(2), vn));
                assert!(model.file(0).settle(p, vn, InFlight::Ordered));
                model.hart(0).store(p);
                remote.join().unwrap();
                assert!(model.file(0).forwards_to(p, vn));
                model.file(0).mark(p);
                operations::sync(&model.on(0));
                assert!(model.on(1).take_pending(n));
                return;
            }
        }
        remote.join().unwrap();
    });
}

/// Freed in mid-move: nothing is sent on to the vector once it has been given back.
#[test]
fn an_abandoned_forwarder_ends_once() {
    loom::model(|| {
        let model = Model::new(true);
        let before = model.file(0).pool().free();
        let to = on(1, id(5));
        let eiid = model.interrupt(0, 1);
        assert!(model.file(0).begin_move(eiid, owner(1), to));
        assert!(model.file(0).settle(eiid, to, InFlight::Ordered));
        model.file(0).mark(eiid);

        let remote = {
            let model = model.clone();
            thread::spawn(move || {
                if model.file(0).abandon(eiid, to) {
                    model.file(0).mark(eiid);
                }
            })
        };
        operations::sync(&model.on(0));
        remote.join().unwrap();
        operations::sync(&model.on(0));

        assert_eq!(model.file(0).slot(eiid), Slot::Free);
        assert_eq!(model.file(0).pool().free(), before);
    });
}

/// Who counts the identities while a hart takes those back that were freed sees none that is nobody's.
#[test]
fn what_is_freed_is_not_counted() {
    bounded(3, || {
        let model = Model::new(true);
        let before = model.file(0).in_use();
        let eiid = model.interrupt(0, 1);

        assert_eq!(model.file(0).in_use(), before + 1);
        model.file(0).free(eiid, owner(1));
        model.file(0).mark(eiid);

        let counts = {
            let model = model.clone();
            thread::spawn(move || assert_eq!(model.file(0).in_use(), before))
        };
        operations::sync(&model.on(0));
        counts.join().unwrap();
        assert_eq!(model.file(0).in_use(), before);
    });
}

/// A device that sends one MSI, at any time while another CPU moves its interrupt. The MSI may arrive
/// much later, but if nothing proves that it has arrived, within a tick.
///
/// The identity that is left may be a stranger's as soon as it is free. Nothing is lost, nothing comes
/// twice, and the stranger gets nothing.
fn moved_while_it_sends(sender: Sender, fences: bool) {
    bounded(3, move || {
        let model = Model::with(false, fences);
        let eiid = model.interrupt(0, 1);
        let device = Device::of(on(0, eiid));

        let sends = {
            let (model, device) = (model.clone(), device.clone());
            thread::spawn(move || {
                if sender == Sender::Posted {
                    device.send_late(&model);
                } else {
                    device.send(&model);
                }
                model.hart(0).arrive_all();
                model.now.fetch_add(2, Relaxed);
            })
        };
        let mover = {
            let (model, device) = (model.clone(), device.clone());
            thread::spawn(move || device.move_to(&model, 1, true, sender))
        };
        // An interrupt for another reason, at any time.
        entry::handle(&model.on(0));
        model.file(0).assign_at(eiid, owner(2), true);
        mover.join().unwrap();
        entry::handle(&model.on(0));
        model.file(0).assign_at(eiid, owner(2), true);
        sends.join().unwrap();
        model.now.fetch_add(2, Relaxed);
        operations::sync(&model.on(0));
        model.settle();

        assert_eq!(model.owners(), [owner(1)]);
        // None is neither somebody's nor free.
        assert_eq!(model.file(0).in_use() + model.file(0).pool().free(), 63);
        assert!(!model.file(0).forwards_to(eiid, device.message()));
    });
}

#[test]
fn a_move_loses_nothing() {
    moved_while_it_sends(Sender::Ordered, true);
}

#[test]
fn a_move_of_a_wire_loses_nothing() {
    moved_while_it_sends(Sender::Fenced, true);
}

/// The wire's APLIC does not send the marker: then the time has to pass.
#[test]
fn a_move_of_a_wire_without_fences_loses_nothing() {
    moved_while_it_sends(Sender::Fenced, false);
}

#[test]
fn a_posted_move_loses_nothing() {
    moved_while_it_sends(Sender::Posted, true);
}

/// A device that is told address and data one after the other, and sends one MSI at any time. The
/// identities of the two vectors differ, and those that they would be mixed up with are strangers'.
fn moved_by_address_and_data(here: u32) {
    bounded(3, move || {
        let model = Model::new(true);
        model.interrupt(1, 2);
        let eiid = model.interrupt(0, 1);
        let device = Device::of(on(0, eiid));

        let sends = {
            let (model, device) = (model.clone(), device.clone());
            thread::spawn(move || device.send(&model))
        };
        let other = {
            let model = model.clone();
            thread::spawn(move || entry::handle(&model.on(1 - here)))
        };
        device.move_to(&model, here, false, Sender::Ordered);
        assert_ne!(device.message().eiid(), eiid);
        other.join().unwrap();
        sends.join().unwrap();
        model.settle();

        assert_eq!(model.owners(), [owner(1)]);
        assert_eq!(model.counts.duplicates.load(), 0);
        assert_eq!(model.file(0).pool().free(), 61);
    });
}

#[test]
fn a_move_by_the_old_hart_passes_no_stranger() {
    moved_by_address_and_data(0);
}

#[test]
fn a_move_by_the_new_hart_passes_no_stranger() {
    moved_by_address_and_data(1);
}

/// A device that raises one of two interrupts by its message, while another hart moves both. It is told
/// address and data one after the other, and the identities change.
fn a_block_moved_by(here: u32) {
    bounded(3, move || {
        let model = Model::new(true);
        let owners = BlockOwners::new([owner(1), owner(2)].into_iter()).unwrap();
        // Where the block would go without a change.
        assert!(model.file(1).pool().claim_block(id(60), 2));
        let first = block::alloc(&model.on(0), &Only(0), &owners).unwrap();

        assert_eq!(first, on(0, id(60)));
        for n in 0..2 {
            operations::unmask(&model.on(0), first.further(n).unwrap());
        }
        let device = Device::of(first);

        let sends = {
            let (model, device) = (model.clone(), device.clone());
            thread::spawn(move || device.send_number(&model, 1))
        };
        let other = {
            let model = model.clone();
            thread::spawn(move || entry::handle(&model.on(1 - here)))
        };
        let vectors = Vectors {
            current: first,
            previous: None,
        };
        let moved = block::move_to(
            &model.on(here),
            vectors,
            &owners,
            Sender::Ordered,
            &Only(1),
            |new| {
                device.tell(&model, on(new.cpu().get(), device.message().eiid()));
                device.tell(&model, new);
            },
        )
        .unwrap();
        assert_ne!(moved.current.eiid(), first.eiid());
        other.join().unwrap();
        sends.join().unwrap();
        model.settle();

        assert_eq!(model.owners(), [owner(2)]);
        assert_eq!(model.file(0).pool().free(), 61);
    });
}

#[test]
fn a_block_moved_by_the_old_hart_loses_nothing() {
    a_block_moved_by(0);
}

#[test]
fn a_block_moved_by_the_new_hart_loses_nothing() {
    a_block_moved_by(1);
}

/// Of two that want the last block, and one that wants an identity, nobody gets what is another one's.
#[test]
fn a_block_has_one_owner() {
    loom::model(|| {
        let pool = Arc::new(Pool::new(Words::new(1)).unwrap());

        for n in 1..60 {
            assert!(pool.claim(id(n)));
        }
        let takers: Vec<_> = (0..2)
            .map(|_| {
                let pool = pool.clone();
                thread::spawn(move || pool.alloc_block(2))
            })
            .collect();
        let one = pool.alloc();
        let blocks: Vec<_> = takers
            .into_iter()
            .filter_map(|taker| taker.join().unwrap())
            .collect();

        for (n, first) in blocks.iter().enumerate() {
            assert!(!blocks[..n].contains(first));
            assert!(one.is_none_or(|one| one.get() & !1 != first.get()));
        }
        assert_eq!(
            pool.free() as usize + 2 * blocks.len() + one.iter().len(),
            4
        );
    });
}

/// An interrupt that is delivered finds what its owner was before it got the identity, also if the MSI
/// was there before.
#[test]
fn an_interrupt_finds_its_owner() {
    loom::model(|| {
        let model = Model::new(true);
        let eiid = id(2);
        model.hart(0).store(eiid);

        let remote = {
            let model = model.clone();
            thread::spawn(move || {
                model.descriptor.store(1, Relaxed);
                assert!(model.file(0).assign_at(eiid, owner(1), true));
            })
        };
        entry::handle(&model.on(0));
        remote.join().unwrap();

        assert!(model.found.lock().unwrap().iter().all(|found| *found == 1));
    });
}

/// A hart that looks at everything while an identity gets an owner does what the owner wants.
#[test]
fn a_new_owner_gets_what_it_wants() {
    loom::model(|| {
        let model = Model::new(true);
        let eiid = id(2);

        let remote = {
            let model = model.clone();
            thread::spawn(move || assert!(model.file(0).assign_at(eiid, owner(1), true)))
        };
        let _ = model.file(0).refresh(&model.on(0));
        remote.join().unwrap();

        assert!(model.hart(0).is_enabled(eiid));
    });
}

/// A device that posts its messages may send with the old one for a whole tick.
#[test]
fn a_posted_move_waits_for_a_whole_tick() {
    bounded(3, || {
        let model = Model::new(true);
        let eiid = model.interrupt(0, 1);
        let to = on(1, id(7));
        assert!(model.file(1).assign_at(to.eiid(), owner(1), true));
        assert!(model.file(0).begin_move(eiid, owner(1), to));

        let mover = {
            let model = model.clone();
            thread::spawn(move || {
                let now = model.on(1).now();

                model.file(0).settle(eiid, to, InFlight::Posted(now));
                model.file(0).mark(eiid);
                now
            })
        };
        let clock = {
            let model = model.clone();
            thread::spawn(move || {
                for _ in 0..2 {
                    model.now.fetch_add(1, Relaxed);
                }
            })
        };
        let here = model.on(0);
        let _ = here.here().sync(&here);
        // Not later than that.
        let seen = Tick::new(model.now.load(Acquire));
        let over = here.here().slot(eiid) == Slot::Free;
        let since = mover.join().unwrap();
        clock.join().unwrap();
        if over {
            assert!(seen.since(since) >= 2);
        }
        let _ = here.here().sync(&here);
        model.now.fetch_add(2, Relaxed);
        let _ = here.here().sync(&here);
        assert_eq!(here.here().slot(eiid), Slot::Free);
    });
}

/// An interrupt that is stuck on a hart that comes back leaves it, or is freed, at that very moment:
/// what was pending is delivered once, or not at all.
fn back_again(freed: bool) {
    bounded(3, move || {
        let model = Model::new(true);
        let eiid = model.interrupt(0, 1);
        model.offline(0);
        model.hart(0).store(eiid);

        let remote = {
            let model = model.clone();
            thread::spawn(move || {
                let source = MoveSource {
                    owner: owner(1),
                    at_once: true,
                    sender: Sender::Ordered,
                };
                let vectors = Vectors {
                    current: on(0, eiid),
                    previous: None,
                };
                let vectors =
                    operations::move_to(&model.on(1), vectors, source, &Only(1), |_| ()).unwrap();

                operations::unmask(&model.on(1), vectors.current);
                if freed {
                    operations::free(&model.on(1), vectors, owner(1));
                }
            })
        };
        model.online(0);
        remote.join().unwrap();
        model.settle();

        if freed {
            assert!(model.handled() <= 1);
        } else {
            assert_eq!(model.handled(), 1);
        }
        assert_eq!(model.file(0).slot(eiid), Slot::Free);
        assert_eq!(model.counts.away.load(), 0);
        assert_eq!(model.file(0).pool().free(), 61);
    });
}

#[test]
fn what_is_pending_is_delivered_when_the_hart_is_back() {
    back_again(false);
}

#[test]
fn what_is_freed_ends_when_the_hart_is_back() {
    back_again(true);
}

/// A CPU goes while an interrupt that has left it is freed: nothing is kept for it.
#[test]
fn what_is_freed_is_not_kept_by_a_hart_that_goes() {
    bounded(3, || {
        let model = Model::new(true);
        let (p, n) = (model.interrupt(0, 1), model.interrupt(1, 1));
        assert!(model.file(0).begin_move(p, owner(1), on(1, n)));
        assert!(model
            .file(0)
            .settle(p, on(1, n), InFlight::Posted(Tick::new(0))));

        let remote = {
            let model = model.clone();
            thread::spawn(move || {
                let vectors = Vectors {
                    current: on(1, n),
                    previous: Some(on(0, p)),
                };

                operations::free(&model.on(1), vectors, owner(1));
            })
        };
        model.offline(0);
        remote.join().unwrap();

        assert!(!matches!(model.file(0).slot(p), Slot::Away(..)));
        assert_eq!(model.counts.away.load(), 0);
    });
}

/// A CPU goes while an interrupt leaves it: something may still arrive, and is kept for it.
#[test]
fn what_has_left_a_hart_that_goes_is_kept() {
    bounded(3, || {
        let model = Model::new(true);
        let eiid = model.interrupt(0, 1);

        let remote = {
            let model = model.clone();
            thread::spawn(move || {
                let source = MoveSource {
                    owner: owner(1),
                    at_once: true,
                    sender: Sender::Posted,
                };
                let vectors = Vectors {
                    current: on(0, eiid),
                    previous: None,
                };
                operations::move_to(&model.on(1), vectors, source, &Only(1), |_| ()).unwrap()
            })
        };
        model.offline(0);
        let vectors = remote.join().unwrap();

        // The move is not in flight any more, and the straggler is for the owner.
        assert!(!model.file(0).forwards_to(eiid, vectors.current));
        assert_eq!(
            model.file(0).slot(eiid),
            Slot::Away(owner(1), Sender::Posted)
        );
        assert_eq!(model.counts.away.load(), 1);
    });
}

/// Nobody gets an identity that somebody else has, and none gets lost.
#[test]
fn identities_have_one_owner() {
    loom::model(|| {
        let pool = Arc::new(Pool::new(Words::new(1)).unwrap());

        // All but two are taken.
        for n in 1..=61 {
            assert!(pool.claim(id(n)));
        }
        let other = {
            let pool = pool.clone();
            thread::spawn(move || {
                let eiid = pool.alloc().unwrap();

                pool.release(eiid);
                pool.alloc().unwrap()
            })
        };
        let mine = pool.alloc().unwrap();
        let theirs = other.join().unwrap();

        assert_ne!(mine, theirs);
        assert_eq!(pool.alloc(), None);
        pool.release(mine);
        assert_eq!(pool.alloc(), Some(mine));
    });
}

/// An identity that comes back while somebody finds none can be had by whoever comes next.
#[test]
fn what_comes_back_to_a_full_pool_can_be_had() {
    loom::model(|| {
        let pool = Arc::new(Pool::new(Words::new(1)).unwrap());

        for n in 1..64 {
            assert!(pool.claim(id(n)));
        }
        let other = {
            let pool = pool.clone();
            thread::spawn(move || pool.release(id(5)))
        };
        let early = pool.alloc();

        other.join().unwrap();
        assert_eq!(early.or_else(|| pool.alloc()), Some(id(5)));
    });
}
