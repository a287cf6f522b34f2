// SPDX-License-Identifier: GPL-2.0

//! The host's APLIC: its driver takes a domain over, sets sources up, masks, moves and handles their
//! interrupts, and outlives times without power.
//!
//! The driver has the registers of [`device`], which are what the specification lets them be. What has
//! to come of it is in [`model`], which knows no registers.
//!
//! Harts take turns. Wherever one accesses a register or looks at what is recorded, wires may move and
//! others do something with other sources. The rest of the driver is as in `irqchip/riscv_aplic`: each
//! source has one caller at a time, none is masked or handled from `save` to `restore`, and power goes
//! when nobody is in the middle of anything.

mod device;
mod model;

use crate::{
    input::Input,
    trace, //
};
use aia_core::{
    aplic::{
        domain::{
            saved_words,
            Domain,
            DomainRegisters,
            WrongMode, //
        },
        domaincfg::DeliveryMode,
        hart_numbers::HartNumbers,
        idc::{
            self,
            TopInterrupt, //
        },
        regs,
        source::SourceMode,
        target::{
            self,
            DirectTarget,
            Iprio,
            MsiTarget, //
        }, //
    },
    ids::{
        Eiid,
        GuestIndex,
        HartIndex,
        NrSources,
        SourceId, //
    },
    word::Word, //
};
use device::{
    is_level,
    Device,
    Features,
    ADDRESS, //
};
use model::Model;
use std::{
    cell::{
        Cell,
        OnceCell,
        RefCell, //
    },
    ops::Deref,
    rc::{
        Rc,
        Weak, //
    },
};

/// How many sources domains have here: mostly few, as a step costs more in a large one.
const SIZES: [u32; 12] = [1, 2, 3, 1, 2, 3, 31, 32, 40, 63, 96, 1023];

/// The harts of domains, by their index numbers there. The n-th has the number n at machine level.
const HARTS: [&[u32]; 6] = [&[0], &[0, 1], &[1, 0], &[0, 1, 2, 3], &[3, 2, 5], &[7, 1]];

/// As a caller writes it: modes of devices' wires, and none.
const MODES: [u32; 5] = [4, 5, 6, 7, 0];

/// The registers, as the driver has them.
struct Registers<'a>(Weak<World<'a>>);

/// What the driver remembers.
struct Words<'a>(Weak<World<'a>>, Box<[Word]>);

impl Deref for Words<'_> {
    type Target = [Word];

    fn deref(&self) -> &[Word] {
        self.0.upgrade().unwrap().look();
        &self.1
    }
}

impl DomainRegisters for Registers<'_> {
    fn read(&self, offset: usize) -> u32 {
        let world = self.0.upgrade().unwrap();

        world.look();
        let value = world.device.borrow_mut().read(offset);
        trace!("    {offset:#06x} is {value:#x}");
        if offset >= 0x4000 && offset % 32 == 0x1c {
            let hart = (offset as u32 - 0x4000) / 32;

            world.model.borrow_mut().claimed(hart, value);
        }
        world.drain();
        value
    }

    fn write(&self, offset: usize, value: u32) {
        let world = self.0.upgrade().unwrap();

        world.look();
        trace!("    {offset:#06x} = {value:#x}");
        world.device.borrow_mut().write(offset, value);
        // Before its first access it cannot keep anything from being sent.
        if !world.taken.replace(true) {
            world.device.borrow_mut().take_sent();
        }
        world.drain();
    }
}

type Driver<'a> = Domain<Registers<'a>, Words<'a>>;

/// What is known of the power of the domain.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Power {
    On,
    /// It is about to go.
    Going,
    Gone,
}

struct World<'a> {
    input: RefCell<Input<'a>>,
    device: RefCell<Device>,
    model: RefCell<Model>,
    domain: OnceCell<Driver<'a>>,
    mode: DeliveryMode,
    features: Features,
    nr_sources: NrSources,
    /// Sources that something is done with.
    used: Vec<u32>,
    harts: &'static [u32],
    numbers: HartNumbers<Vec<(HartIndex, HartIndex)>>,
    /// The driver has the registers.
    taken: Cell<bool>,
    power: Cell<Power>,
    /// How often it was said to go.
    off: Cell<u32>,
    /// It goes or comes back just now.
    switching: Cell<bool>,
    /// How often it did.
    epoch: Cell<u32>,
    /// How many harts are in the middle of something that power waits for.
    running: Cell<u32>,
    /// How many have begun with power, for which it waits before it goes.
    early: Cell<u32>,
    genmsi_locked: Cell<bool>,
    /// After how many looks others do something.
    armed: Cell<Option<u32>>,
    depth: Cell<u32>,
}

fn index(number: u32) -> HartIndex {
    HartIndex::new(number).unwrap()
}

fn id(number: u32) -> SourceId {
    SourceId::new(number).unwrap()
}

fn mode_of(number: u32) -> SourceMode {
    SourceMode::try_from(number).unwrap()
}

/// The features of a device, among them that it is too narrow for some harts, priorities or identities.
fn features(input: &mut Input<'_>) -> Features {
    let kind = input.u8();
    let bits = input.u8();
    let order = input.u8();

    Features {
        direct: kind % 8 != 0,
        msi: kind % 8 == 0 || kind / 8 % 8 != 0,
        little: order % 16 != 1,
        big: order & 3 == 1,
        hart_bits: [14, 3, 2, 1][usize::from(bits & 3)],
        iprio_bits: [8, 1, 3, 2][usize::from(bits >> 2 & 3)],
        eiid_bits: [11, 6, 8, 7][usize::from(bits >> 4 & 3)],
        eager: [0, 4, 2, 1][usize::from(bits >> 6)],
        lazy: order & 64 != 0,
        machine_level: order & 128 != 0,
    }
}

impl<'a> World<'a> {
    fn new(mut input: Input<'a>) -> Rc<Self> {
        let features = features(&mut input);
        let setup = input.u8();
        let mode = match setup & 1 {
            0 => DeliveryMode::Msi,
            _ => DeliveryMode::Direct,
        };
        let harts = input.one_of(&HARTS);
        let nr = input.one_of(&SIZES);
        let mut device = Device::new(features.clone(), nr, harts, 1);
        let mut used = vec![nr];

        for _ in 0..setup >> 1 & 7 {
            let number = 1 + match nr {
                1023 => input.u16() as u32 % nr,
                _ => input.below(nr),
            };

            if !used.contains(&number) {
                used.push(number);
            }
        }
        for number in &used {
            let source = &mut device.sources[*number as usize];
            // Mostly all but Detached, which has no use here but as a fallback.
            let lacks = match input.u8() {
                0..=99 => 0,
                bits => u32::from(bits) & 0xf2,
            };

            source.modes &= !lacks;
            source.fallback = match input.u8() % 8 {
                7 => None,
                mode if source.has(mode.into()) => Some(mode.into()),
                _ => Some(0),
            };
        }
        device.scramble(input.u8().into(), setup & 16 != 0);

        let pairs = (0..).map(index).zip(harts.iter().copied().map(index));
        Rc::new(Self {
            input: RefCell::new(input),
            device: RefCell::new(device),
            model: RefCell::new(Model::new(mode == DeliveryMode::Msi, nr)),
            domain: OnceCell::new(),
            mode,
            features,
            nr_sources: NrSources::new(nr).unwrap(),
            used,
            harts,
            numbers: HartNumbers::new(pairs.collect()),
            taken: Cell::new(false),
            power: Cell::new(Power::On),
            off: Cell::new(0),
            switching: Cell::new(false),
            epoch: Cell::new(0),
            running: Cell::new(0),
            early: Cell::new(0),
            genmsi_locked: Cell::new(false),
            armed: Cell::new(None),
            depth: Cell::new(0),
        })
    }

    fn domain(&self) -> &Driver<'a> {
        self.domain.get().unwrap()
    }

    fn is_msi(&self) -> bool {
        self.mode == DeliveryMode::Msi
    }

    fn below(&self, n: u32) -> u32 {
        self.input.borrow_mut().below(n)
    }

    fn one_of<T: Copy>(&self, all: &[T]) -> T {
        self.input.borrow_mut().one_of(all)
    }

    fn flag(&self) -> bool {
        self.input.borrow_mut().flag()
    }

    /// Power is there, and stays.
    fn is_stable(&self) -> bool {
        self.power.get() == Power::On && !self.switching.get()
    }

    /// The driver looks at something: others may have done something before.
    fn look(&self) {
        match self.armed.get() {
            Some(0) => {
                self.armed.set(None);
                if self.depth.get() < 3 {
                    self.depth.set(self.depth.get() + 1);
                    self.step();
                    self.depth.set(self.depth.get() - 1);
                }
            }
            Some(count) => self.armed.set(Some(count - 1)),
            None => {}
        }
    }

    /// Something is to come in the middle of what follows.
    fn arm(&self) {
        let looks = match self.input.borrow_mut().u8() {
            n @ 0..=199 => n.into(),
            n => 200 + (u32::from(n) - 200) * 64,
        };

        self.armed.set(Some(looks));
    }

    /// MSIs reach the harts.
    fn drain(&self) {
        if !self.taken.get() {
            return;
        }
        let device = &mut *self.device.borrow_mut();

        for (number, target) in device.take_sent() {
            trace!("    MSI of {number} to {target:#x}");
            if self.features.machine_level {
                assert_eq!(device.address, ADDRESS, "an MSI goes anywhere");
            }
            self.model.borrow_mut().sent(number, target);
        }
    }

    fn set_wire(&self, number: u32, high: bool) {
        trace!("  wire {number} {high}");
        let actual = self.device.borrow().sources[number as usize].mode;

        self.model.borrow_mut().set_wire(number, high, actual);
        self.device.borrow_mut().set_wire(number, high);
        self.drain();
    }

    /// A source that nobody is busy with.
    fn free(&self) -> Option<u32> {
        let number = self.one_of(&self.used);

        (!self.model.borrow().sources[number as usize].busy).then_some(number)
    }

    /// `f` runs with a source, while power waits for it.
    fn run<R>(&self, number: u32, f: impl FnOnce(&Driver<'a>) -> R) -> R {
        self.running.set(self.running.get() + 1);
        self.model.borrow_mut().source(number).busy = true;
        let result = f(self.domain());
        self.model.borrow_mut().source(number).busy = false;
        self.running.set(self.running.get() - 1);
        result
    }

    /// `f` runs, and power, if it is there, waits for it before it is gone.
    fn in_time<R>(&self, f: impl FnOnce(&Driver<'a>) -> R) -> R {
        let early = self.early.get();

        self.early.set(early + u32::from(self.is_stable()));
        let result = f(self.domain());
        self.early.set(early);
        result
    }

    fn mask(&self, number: u32) {
        trace!("  mask {number}");
        self.run(number, |domain| domain.mask(id(number)));
        self.model.borrow_mut().source(number).enabled = false;
    }

    fn unmask(&self, number: u32) {
        let mut model = self.model.borrow_mut();
        let msi = model.msi;
        let source = model.source(number);

        // A source that goes nowhere has nobody who would unmask it.
        if source.broken || msi && source.target & 0x7ff == 0 {
            return;
        }
        trace!("  unmask {number}");
        source.enabled = source.mode != 0;
        drop(model);
        self.run(number, |domain| domain.unmask(id(number)));
    }

    fn configure(&self, number: u32, mode: u32) {
        let stable = self.is_stable();

        if self.model.borrow().sources[number as usize].enabled {
            if !stable {
                return;
            }
            // With the source in the hands of its caller.
            self.mask(number);
            if !self.is_stable() {
                return;
            }
        }
        trace!("  configure {number} {mode}");
        let has = self.device.borrow().sources[number as usize].has(mode);
        let epoch = self.epoch.get();

        self.model
            .borrow_mut()
            .begin_change(number, mode, has, stable, self.switching.get());
        let result = self.in_time(|domain| domain.configure(id(number), mode_of(mode)));
        let same = self.epoch.get() == epoch;

        trace!("  configured {number} {result:?}");
        match result {
            // Nobody can know without power.
            Ok(()) => assert!(has || self.off.get() > 0, "{number} does not have {mode}"),
            Err(_) => assert!(!has, "{number} has {mode}"),
        }
        let model = &mut *self.model.borrow_mut();

        model.end_change(number, has, result.is_ok(), same);
        model.touched |= !stable || !same;
    }

    /// A target, as asked for and by its value.
    fn any_target(&self) -> (u32, u32) {
        let machine = self.below(self.harts.len() as u32);
        let own = self.harts[machine as usize] << 18;
        let hart = self.numbers.of(index(machine));
        let low = self.input.borrow_mut().word();

        match self.mode {
            DeliveryMode::Msi if low % 0x800 == 0 => (MsiTarget::NONE, 0),
            DeliveryMode::Msi => {
                let target = MsiTarget {
                    hart,
                    guest: GuestIndex::SUPERVISOR,
                    eiid: Eiid::new(low % 0x800).unwrap(),
                };

                (target.encode(), own | low % 0x800)
            }
            DeliveryMode::Direct => {
                let low = 1 + low % 0xff;
                let target = DirectTarget {
                    hart,
                    iprio: Iprio::new(low).unwrap(),
                };

                (target.encode(), own | low)
            }
        }
    }

    fn aim(&self, number: u32) {
        let (target, value) = self.any_target();

        assert_eq!(target, value);
        if self.features.target(self.is_msi(), value) != value {
            self.aim_too_far(number, value);
            return;
        }
        let mut model = self.model.borrow_mut();
        let nowhere = model.msi && value & 0x7ff == 0;
        let source = model.source(number);

        if nowhere && source.enabled {
            return;
        }
        trace!("  target {number} {value:#x}");
        let (stable, epoch) = (self.is_stable(), self.epoch.get());

        source.busy = true;
        source.stale.push(source.target);
        source.target = value;
        drop(model);

        self.in_time(|domain| {
            domain.set_target(id(number), target);
            assert!(domain.has_taken(id(number), target));
        });
        let same = self.epoch.get() == epoch;
        let model = &mut *self.model.borrow_mut();

        model.touched |= !stable || !same;
        model.source(number).busy = false;
        if self.is_stable() {
            model.source(number).stale.clear();
        }
    }

    /// The register is too narrow, which the driver is told, unless it cannot be seen.
    fn aim_too_far(&self, number: u32, target: u32) {
        let model = self.model.borrow();
        let source = &model.sources[number as usize];
        let (former, active) = (source.target, source.mode != 0);

        if !self.is_stable() || source.enabled || source.broken {
            return;
        }
        trace!("  target {number} {target:#x}, which is too much");
        drop(model);
        let armed = self.armed.take();
        let domain = self.domain();

        domain.set_target(id(number), target);
        assert_eq!(domain.has_taken(id(number), target), !active);
        domain.set_target(id(number), former);
        self.armed.set(armed);
    }

    /// A hart takes the MSI of a source, or ends what it has begun.
    fn handle_msi(&self, number: u32) {
        let mut model = self.model.borrow_mut();
        let source = model.source(number);

        if !source.handling {
            trace!("  handle {number}: {}", source.arrived);
            source.handling = std::mem::take(&mut source.arrived);
            return;
        }
        trace!("  end {number}");
        let mode = mode_of(source.mode);

        drop(model);
        self.run(number, |domain| domain.retrigger(id(number), mode));
        self.model.borrow_mut().source(number).handling = false;
    }

    /// A hart is interrupted, or believes so.
    fn handle_direct(&self) {
        let hart = self.one_of(self.harts);

        trace!("  hart {hart} claims");
        self.running.set(self.running.get() + 1);
        loop {
            let claim = self.domain().read(idc::claimi(index(hart)));
            let Some(top) = TopInterrupt::from_register(claim) else {
                break;
            };
            let number = top.source.get();
            let (mode, wire, busy) = {
                let source = &self.model.borrow().sources[number as usize];

                (source.mode, source.wire, source.busy)
            };

            trace!("  hart {hart} handles {number}");
            if !is_level(mode) {
                continue;
            }
            if self.flag() || busy {
                self.set_wire(number, !wire);
            } else {
                self.mask(number);
            }
        }
        self.running.set(self.running.get() - 1);
    }

    /// An extempore MSI, with the lock that others wait for.
    fn send_extempore(&self) {
        let (target, value) = self.any_target();

        if value & 0x7ff == 0
            || self.features.target(true, value) != value
            || self.genmsi_locked.replace(true)
        {
            return;
        }
        trace!("  genmsi {value:#x}");
        let msi = MsiTarget::decode(target).unwrap();
        let domain = self.domain();
        let wait = || (0..8).any(|_| !target::genmsi_busy(domain.read(regs::GENMSI)));

        self.running.set(self.running.get() + 1);
        assert!(wait());
        self.model.borrow_mut().genmsi = Some(value);
        domain.write(regs::GENMSI, msi.genmsi().unwrap());
        assert!(wait());
        assert_eq!(self.model.borrow().genmsi, None, "it has not left");
        self.running.set(self.running.get() - 1);
        self.genmsi_locked.set(false);
    }

    /// Power is about to go, maybe for one reason more.
    fn save(&self) {
        let handling = |world: &Self| {
            let model = world.model.borrow();

            world
                .used
                .iter()
                .any(|number| model.sources[*number as usize].handling)
        };

        if self.off.get() == 0 {
            if !self.model.borrow().on || self.running.get() > 0 || handling(self) {
                return;
            }
            trace!("  save");
            self.off.set(1);
            self.power.set(Power::Going);
            self.switching.set(true);
            self.epoch.set(self.epoch.get() + 1);
            self.model.borrow_mut().leave();
            self.domain().save();
            self.model.borrow_mut().left();
            self.epoch.set(self.epoch.get() + 1);
            self.switching.set(false);
        } else {
            trace!("  save again");
            let accesses = self.device.borrow().accesses;

            self.off.set(self.off.get() + 1);
            self.domain().save();
            assert_eq!(self.device.borrow().accesses, accesses);
        }
    }

    /// Power goes, with what the registers hold or not.
    fn lose(&self) {
        let seed = self.below(8);
        let device = &mut *self.device.borrow_mut();

        trace!("  lose {seed}");
        self.model.borrow_mut().retained = seed == 0;
        if seed == 1 {
            device.lose_pending();
        } else if seed > 1 {
            self.model.borrow_mut().alive = false;
            device.scramble(u64::from(seed) << 8 | 0x55, false);
        }
        device.powered = false;
        self.power.set(Power::Gone);
    }

    fn restore(&self) {
        let domain = self.domain();

        if self.off.get() > 1 {
            trace!("  restore, too early");
            let accesses = self.device.borrow().accesses;

            domain.restore(|_| unreachable!(), |_| unreachable!());
            self.off.set(self.off.get() - 1);
            assert_eq!(self.device.borrow().accesses, accesses);
            return;
        }
        trace!("  restore");
        self.switching.set(true);
        self.epoch.set(self.epoch.get() + 1);
        self.device.borrow_mut().powered = true;
        self.model.borrow_mut().wake();
        domain.restore(
            |domain| self.is_prepared(domain),
            |domain| {
                let device = self.device.borrow();
                let idle = device.sources.iter().all(|source| source.mode == 0);

                assert!(idle && !device.ie && device.dm == self.is_msi());
                drop(device);
                self.prepare(domain);
            },
        );
        self.model.borrow_mut().is_back();
        self.epoch.set(self.epoch.get() + 1);
        self.off.set(0);
        self.power.set(Power::On);
        self.switching.set(false);
    }

    /// What the domain does not know of.
    fn prepare(&self, domain: &Driver<'a>) {
        if self.features.machine_level {
            domain.write(regs::MMSIADDRCFG, ADDRESS);
        }
        if !self.is_msi() {
            for hart in self.harts {
                domain.open_idc(index(*hart));
            }
        }
    }

    fn is_prepared(&self, domain: &Driver<'a>) -> bool {
        (!self.features.machine_level || domain.read(regs::MMSIADDRCFG) == ADDRESS)
            && (self.is_msi() || self.harts.iter().all(|hart| domain.is_open(index(*hart))))
    }

    /// Somebody does something.
    fn step(&self) {
        let what = self.input.borrow_mut().u8();

        if what & 0x80 != 0 {
            self.arm();
        }
        if self.domain.get().is_none() || what % 16 < 4 {
            let number = self.one_of(&self.used);
            let high = self.model.borrow().sources[number as usize].wire;

            self.set_wire(number, !high);
            return;
        }
        let alone = self.depth.get() == 0;

        match what % 16 {
            4 | 5 => {
                let Some(number) = self.free() else { return };

                self.configure(number, self.one_of(&MODES));
            }
            6 => {
                let Some(number) = self.free() else { return };

                self.aim(number);
            }
            7 | 8 if self.is_stable() => {
                let Some(number) = self.free() else { return };

                self.unmask(number);
            }
            9 if self.is_stable() => {
                let Some(number) = self.free() else { return };

                self.mask(number);
            }
            10 | 11 if self.is_stable() && self.is_msi() => {
                let Some(number) = self.free() else { return };

                self.handle_msi(number);
            }
            10 | 11 if self.is_stable() => self.handle_direct(),
            12 if self.is_stable() && self.is_msi() => self.send_extempore(),
            13 if self.device.borrow().powered => {
                self.device.borrow_mut().forward();
                self.drain();
            }
            14 if self.is_stable() && alone && !self.model.borrow().on => {
                trace!("  start");
                self.model.borrow_mut().on = true;
                self.running.set(self.running.get() + 1);
                self.domain().start().unwrap();
                self.running.set(self.running.get() - 1);
            }
            14 if !self.switching.get() && self.off.get() < 3 => self.save(),
            15 if self.power.get() == Power::Going && !self.switching.get() && alone => {
                match self.flag() {
                    true => self.lose(),
                    false => self.restore(),
                }
            }
            15 if self.power.get() != Power::On
                && !self.switching.get()
                && self.early.get() == 0 =>
            {
                self.restore();
            }
            _ => {}
        }
    }

    /// Nothing runs: all is as the model says.
    fn check(&self) {
        let device = self.device.borrow();
        let model = &mut *self.model.borrow_mut();
        let (first, all) = (1, self.nr_sources.get());

        assert_eq!((device.ie, device.dm), (model.on, model.msi));
        for number in first..=all {
            let (is, wanted) = (
                &device.sources[number as usize],
                &model.sources[number as usize],
            );

            if !wanted.broken {
                let target = if wanted.mode != 0 { wanted.target } else { 0 };

                assert_eq!(
                    (is.mode, is.enabled, is.target),
                    (wanted.mode, wanted.enabled, target),
                    "source {number}"
                );
            }
            model.settle(number, is.pending);
        }
        if self.features.machine_level {
            assert_eq!(device.address, ADDRESS);
        }
        for hart in self.harts.iter().filter(|_| !model.msi) {
            let idc = device.idcs[*hart as usize].unwrap();

            assert_eq!((idc.idelivery, idc.ithreshold), (1, 0), "hart {hart}");
            assert_eq!(
                device.signals(*hart),
                model.on && model.first(*hart).is_some(),
                "hart {hart}"
            );
        }
    }

    /// Takes the registers over; fails if they are of no domain that the driver could use.
    fn take(self: &Rc<Self>) -> Result<(), WrongMode> {
        let words = |count| {
            let words = (0..count).map(|_| Word::new(0)).collect();

            Words(Rc::downgrade(self), words)
        };
        let domain = Domain::new(
            Registers(Rc::downgrade(self)),
            self.nr_sources,
            self.mode,
            words(self.nr_sources.get() as usize + 1),
            words(saved_words(self.nr_sources)),
        );
        let domain = domain.unwrap();

        domain.choose_mode()?;
        self.prepare(&domain);
        assert!(self.domain.set(domain).is_ok());
        Ok(())
    }

    /// Nothing comes any more when the driver has let go.
    fn end(&self) {
        self.armed.set(None);
        while self.power.get() != Power::On {
            self.restore();
        }
        self.check();
        if !self.is_msi() {
            for hart in self.harts {
                self.domain().close_idc(index(*hart));
            }
        }
        self.domain().stop();
        self.model.borrow_mut().on = false;
        for number in &self.used {
            for high in [false, true] {
                self.set_wire(*number, high);
            }
        }
        let device = self.device.borrow();

        assert!(!self.harts.iter().any(|hart| device.signals(*hart)));
    }
}

/// Runs the program in `data`.
pub fn run(data: &[u8]) {
    let world = World::new(Input::new(data));
    let features = &world.features;
    let usable = features.little
        && match world.mode {
            DeliveryMode::Msi => features.msi,
            DeliveryMode::Direct => features.direct,
        };

    trace!("{:?} {features:?}", world.mode);
    if world.flag() {
        world.arm();
    }
    let taken = world.take();

    world.armed.set(None);
    assert_eq!(taken.is_ok(), usable, "{taken:?}");
    if taken.is_err() {
        assert!(!world.device.borrow().ie);
        return;
    }
    if !world.is_msi() {
        // A source has a target before anything else.
        for number in &world.used {
            while world.model.borrow().sources[*number as usize].target == 0 {
                world.aim(*number);
                if world.input.borrow().is_empty() {
                    break;
                }
            }
        }
    }
    while !world.input.borrow().is_empty() {
        world.step();
        world.armed.set(None);
        if world.is_stable() {
            world.check();
        }
    }
    world.end();
}
