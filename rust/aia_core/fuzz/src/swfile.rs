// SPDX-License-Identifier: GPL-2.0

//! Interrupt files: the one in memory, and guest files of harts, between which the state of a vCPU
//! moves while MSIs are on their way (AIA 3, 6.1.2).
//!
//! The model is one file with a flag for each identity, wherever the state is.

use crate::input::Input;
use aia_core::{
    eix::{
        topei_id,
        topei_value, //
    },
    guest::{
        file::{
            self,
            FileRegisters,
            Settled, //
        },
        iprio, //
    },
    ids::{
        Eiid,
        NrIds, //
    },
    isel::{
        IndirectRegister,
        Isel, //
    },
    swfile::{
        Image,
        SwFile, //
    },
};
use std::{
    cell::RefCell,
    collections::VecDeque, //
};

/// How many identities files have here.
const SIZES: [u32; 4] = [63, 127, 192 + 63, 2047];

/// An interrupt file, identity by identity.
pub(crate) struct Model {
    /// Identity 0 is there, and never used.
    pub(crate) pending: Vec<bool>,
    pub(crate) enabled: Vec<bool>,
    pub(crate) threshold: u64,
    pub(crate) delivery: u64,
}

impl Model {
    pub(crate) fn new(nr_ids: u32) -> Self {
        Self {
            pending: vec![false; nr_ids as usize + 1],
            enabled: vec![false; nr_ids as usize + 1],
            threshold: 0,
            delivery: 0,
        }
    }

    /// AIA 3.5: what is written to `seteipnum_le`; whether the identity was not pending.
    pub(crate) fn msi(&mut self, number: u32) -> bool {
        number != 0
            && self
                .pending
                .get_mut(number as usize)
                .is_some_and(|pending| !std::mem::replace(pending, true))
    }

    pub(crate) fn is_pending(&self, number: u32) -> bool {
        self.pending.get(number as usize).copied().unwrap_or(false)
    }

    /// AIA 3.9.
    pub(crate) fn topei(&self) -> u64 {
        for id in 1..self.pending.len() as u64 {
            if self.threshold != 0 && id >= self.threshold {
                break;
            }
            if self.pending[id as usize] && self.enabled[id as usize] {
                return id * 0x1_0001;
            }
        }
        0
    }

    pub(crate) fn claim(&mut self) -> u64 {
        let top = self.topei();

        if top != 0 {
            self.pending[(top & 0x7ff) as usize] = false;
        }
        top
    }

    /// AIA 3.7, 3.8, XLEN = 64: reads a register and writes those of its bits that `mask` has.
    pub(crate) fn access(&mut self, select: u64, value: u64, mask: u64) -> Option<u64> {
        let put = |bits: &mut u64, n: u32| {
            *bits = *bits & !(mask & 1 << n) | value & mask & 1 << n;
        };

        match select {
            0x70 => {
                let old = self.delivery;

                put(&mut self.delivery, 0);
                Some(old)
            }
            0x72 => {
                let old = self.threshold;

                (0..11).for_each(|n| put(&mut self.threshold, n));
                Some(old)
            }
            0x71 | 0x73..=0x7f => Some(0),
            0x80..=0xff if select % 2 == 0 => {
                let (flags, k) = match select {
                    ..=0xbf => (&mut self.pending, select - 0x80),
                    _ => (&mut self.enabled, select - 0xc0),
                };
                let mut old = 0;

                for n in 0..64 {
                    let id = (k * 32 + n) as usize;

                    if id == 0 || id >= flags.len() {
                        continue;
                    }
                    old |= u64::from(flags[id]) << n;
                    if mask >> n & 1 != 0 {
                        flags[id] = value >> n & 1 != 0;
                    }
                }
                Some(old)
            }
            _ => None,
        }
    }

    /// The registers.
    pub(crate) fn image(&self) -> Image {
        let mut image = Image {
            eithreshold: self.threshold,
            eidelivery: self.delivery,
            ..Default::default()
        };

        for id in 1..self.pending.len() {
            image.eip[id / 64] |= u64::from(self.pending[id]) << (id % 64);
            image.eie[id / 64] |= u64::from(self.enabled[id]) << (id % 64);
        }
        image
    }

    /// A state comes in (AIA 6.1.2): pending bits are added, the rest is replaced.
    pub(crate) fn load(&mut self, image: &Image) {
        for word in 0..32 {
            let eip = image.eip[word as usize];

            self.access(0x80 + 2 * word, eip, eip);
            self.access(0xc0 + 2 * word, image.eie[word as usize], !0);
        }
        self.access(0x72, image.eithreshold, !0);
        self.access(0x70, image.eidelivery, !0);
    }

    pub(crate) fn is_asserted(&self) -> bool {
        self.delivery == 1 && self.topei() != 0
    }
}

/// A guest interrupt file of a hart, at which stores take effect later, in their order.
pub(crate) struct HartFile {
    pub(crate) registers: RefCell<Model>,
    pub(crate) on_the_way: RefCell<VecDeque<u32>>,
}

impl HartFile {
    /// The next store takes effect.
    pub(crate) fn arrive(&self) {
        if let Some(number) = self.on_the_way.borrow_mut().pop_front() {
            self.registers.borrow_mut().msi(number);
        }
    }

    pub(crate) fn arrive_all(&self) {
        while !self.on_the_way.borrow().is_empty() {
            self.arrive();
        }
    }

    /// What a guest has in it is `model`'s.
    pub(crate) fn check(&self, model: &Model) {
        let registers = self.registers.borrow();

        for id in 1..model.pending.len() {
            assert_eq!(registers.pending[id], model.pending[id], "{id}");
            assert_eq!(registers.enabled[id], model.enabled[id], "{id}");
        }
        assert_eq!(registers.threshold, model.threshold);
        assert_eq!(registers.delivery, model.delivery);
    }

    fn access(&self, isel: Isel, value: u64, mask: u64) -> u64 {
        self.registers
            .borrow_mut()
            .access(isel.get(), value, mask)
            .expect("no register of an interrupt file")
    }
}

impl FileRegisters for HartFile {
    fn read(&self, isel: Isel) -> u64 {
        self.access(isel, 0, 0)
    }

    fn swap(&self, isel: Isel, value: u64) -> u64 {
        self.access(isel, value, !0)
    }

    fn set(&self, isel: Isel, bits: u64) {
        self.access(isel, !0, bits);
    }

    fn clear(&self, isel: Isel, bits: u64) -> u64 {
        self.access(isel, 0, bits)
    }

    fn store(&self, eiid: Eiid) {
        self.on_the_way.borrow_mut().push_back(eiid.get());
    }

    fn pause(&self) {
        self.arrive();
    }
}

/// A vCPU, and the harts that it moves between.
struct Machine {
    guest_ids: NrIds,
    hart_ids: NrIds,
    memory: SwFile,
    harts: [HartFile; 2],
    /// The hart that has the state.
    bound: Option<usize>,
    model: Model,
}

/// Any registers, not only those that a file can have.
pub(crate) fn image(input: &mut Input<'_>) -> Image {
    let mut image = Image {
        eidelivery: input.mask(),
        eithreshold: input.mask(),
        ..Default::default()
    };

    for _ in 0..input.below(6) {
        let word = input.below(32) as usize;

        image.eip[word] = input.mask();
        image.eie[word] = input.mask();
    }
    image
}

impl Machine {
    fn new(input: &mut Input<'_>) -> Self {
        let guest = input.below(4) as usize;
        let hart = (guest + input.below(4) as usize).min(3);
        let size = |n: usize| NrIds::new(SIZES[n]).unwrap();
        let hart_file = || HartFile {
            registers: RefCell::new(Model::new(SIZES[hart])),
            on_the_way: RefCell::default(),
        };

        Self {
            guest_ids: size(guest),
            hart_ids: size(hart),
            memory: SwFile::new(size(guest)),
            harts: [hart_file(), hart_file()],
            bound: None,
            model: Model::new(SIZES[guest]),
        }
    }

    /// The file in memory is the model's, of which it has the state.
    fn check_memory(&self) {
        let mut image = Image::default();

        self.memory.copy(&mut image);
        assert_eq!(image, self.model.image());
        assert_eq!(self.memory.is_asserted(), self.model.is_asserted());
        assert_eq!(topei_value(self.memory.top()), self.model.topei());
    }

    /// What the guest has in the guest file is the model's.
    fn check_hart(&self, hart: usize) {
        self.harts[hart].check(&self.model);
    }

    /// The identity that stands for "all has arrived" may not be on its way if the guest knows it: the
    /// documentation says that it is lost then.
    fn spare_marker(&self, hart: usize) {
        if self.guest_ids == self.hart_ids {
            self.settle(hart);
        }
    }

    /// All that is on its way is there.
    fn settle(&self, hart: usize) {
        self.harts[hart].arrive_all();
    }

    /// What was on its way has to be in the state from here on.
    fn all_counts(&mut self, hart: usize) {
        for number in self.harts[hart].on_the_way.borrow().iter() {
            self.model.msi(*number);
        }
    }

    /// Takes the state from where it is; that is left empty.
    fn take(&mut self) -> Image {
        let mut image = Image::default();

        match self.bound.take() {
            None => self.memory.take(&mut image),
            Some(hart) => {
                self.all_counts(hart);
                self.spare_marker(hart);
                let settled =
                    file::take(&self.harts[hart], self.hart_ids, self.guest_ids, &mut image);

                assert_eq!(settled, Settled::Yes);
                let left = Model::new(self.hart_ids.get()).image();
                assert_eq!(self.harts[hart].registers.borrow().image(), left);
                assert!(self.harts[hart].on_the_way.borrow().is_empty());
            }
        }
        image
    }

    /// The state goes to memory.
    fn release(&mut self) {
        if self.bound.is_some() {
            let image = self.take();

            self.memory.merge(&image);
        }
    }

    /// The state follows the vCPU to a file which may hold what a former owner left there, and get what
    /// was sent to that one.
    fn follow(&mut self, input: &mut Input<'_>) {
        let to = input.below(2) as usize;

        if self.bound == Some(to) {
            return;
        }
        let settled = input.flag();
        let new = &self.harts[to];
        for _ in 0..input.below(4) {
            // Not the last one: the documentation says that it is mistaken for the marker.
            let number = input.below(self.hart_ids.get() - 1) + 1;

            new.on_the_way.borrow_mut().push_back(number);
        }
        new.registers.borrow_mut().load(&image(input));
        if settled {
            self.settle(to);
        }
        assert_eq!(
            file::clear(&self.harts[to], self.hart_ids, settled),
            Settled::Yes
        );
        let empty = Model::new(self.hart_ids.get()).image();
        assert_eq!(self.harts[to].registers.borrow().image(), empty);
        assert!(self.harts[to].on_the_way.borrow().is_empty());

        let image = self.take();

        // MSIs of the host go to memory meanwhile, those of the guest to the new file.
        for _ in 0..input.below(3) {
            self.memory_msi(input.below(2050));
        }
        for _ in 0..input.below(3) {
            self.store(to, input.below(self.guest_ids.get()) + 1);
        }
        file::load(&self.harts[to], self.hart_ids, &image);
        let mut late = Image::default();
        self.memory.take_pending(&mut late);
        if late.has_pending() {
            file::pend(&self.harts[to], self.hart_ids, &late);
        }
        self.bound = Some(to);
        self.settle_in_use(to);
        self.check_hart(to);
    }

    /// Waits for what is on its way, as nobody else can see.
    fn settle_in_use(&mut self, hart: usize) {
        self.all_counts(hart);
        self.spare_marker(hart);
        assert_eq!(
            file::settle_in_use(&self.harts[hart], self.hart_ids, self.guest_ids),
            Settled::Yes
        );
        assert!(self.harts[hart].on_the_way.borrow().is_empty());
    }

    /// An MSI of the host, with any number.
    fn memory_msi(&mut self, number: u32) {
        let newly = self.model.msi(number);
        let pended = Eiid::new(number).is_some_and(|eiid| self.memory.pend(eiid));

        // What is pending may be so in a guest file.
        assert!(pended || !newly);
        assert!(!pended || self.model.is_pending(number));
    }

    /// An MSI to a guest file, which arrives some time.
    fn store(&self, hart: usize, number: u32) {
        self.harts[hart].on_the_way.borrow_mut().push_back(number);
    }

    /// An access to any register by any number.
    fn access(&mut self, input: &mut Input<'_>) {
        let select = match input.u8() {
            n @ 0x70.. => n.into(),
            n @ 0x30..=0x3f => n.into(),
            _ => input.u64(),
        };
        let (value, mask) = (input.mask(), input.mask());
        let is_iprio = matches!(select, 0x30..=0x3f) && select % 2 == 0;
        let expected = self.model.access(select, value, mask);

        match Isel::new(select) {
            None => assert!(expected.is_none() && !is_iprio, "{select:#x}"),
            Some(isel) => {
                assert_eq!(isel.get(), select);
                match isel.register() {
                    IndirectRegister::Iprio { first } => {
                        assert!(is_iprio);
                        assert_eq!(u64::from(first), (select - 0x30) * 4);
                        assert_eq!(self.memory.access(isel.register(), value, mask), None);
                    }
                    register => match self.bound {
                        None => {
                            let old = self.memory.access(register, value, mask);

                            assert_eq!(old, expected, "{select:#x}");
                        }
                        // By the guest, which may know more identities than it was told of.
                        Some(hart) => {
                            let guests = match register {
                                IndirectRegister::Eip(word) | IndirectRegister::Eie(word) => {
                                    word.get() < self.guest_ids.words()
                                }
                                _ => true,
                            };
                            let old = self.harts[hart].access(isel, value, mask);

                            if guests {
                                assert_eq!(Some(old), expected);
                            }
                        }
                    },
                }
            }
        }
    }

    fn claim(&mut self) {
        let expected = match self.bound {
            None => topei_value(self.memory.claim()),
            Some(hart) => {
                let top = self.harts[hart].registers.borrow().topei();

                // Of those that the guest was not told of, the hart's file may have some.
                if top & 0x7ff > self.guest_ids.get().into() {
                    return;
                }
                self.harts[hart].registers.borrow_mut().claim()
            }
        };

        assert_eq!(self.model.claim(), expected);
        assert_eq!(topei_value(topei_id(expected)), expected);
    }

    fn step(&mut self, input: &mut Input<'_>) {
        match input.u8() % 16 {
            0..=2 => match self.bound {
                None => {
                    let number = input.below(2050);

                    self.memory_msi(number);
                }
                Some(hart) => {
                    let number = input.below(self.guest_ids.get()) + 1;

                    self.store(hart, number);
                }
            },
            3..=6 => self.access(input),
            7 | 8 => self.claim(),
            9 => {
                if let Some(hart) = self.bound {
                    if let Some(number) = self.harts[hart].on_the_way.borrow().front() {
                        self.model.msi(*number);
                    }
                    self.harts[hart].arrive();
                    self.check_hart(hart);
                }
            }
            10 => self.follow(input),
            11 => self.release(),
            12 => {
                if let Some(hart) = self.bound {
                    self.settle_in_use(hart);
                }
            }
            13 => self.copy(),
            14 => {
                // User space replaces the state, or resets it.
                self.release();
                match input.below(4) {
                    0 => {
                        self.memory.reset();
                        self.model = Model::new(self.guest_ids.get());
                    }
                    1 => {
                        let image = image(input);

                        self.memory.merge(&image);
                        self.model.load(&image);
                    }
                    2 => {
                        // It moves out, and in again: what arrives meanwhile is added.
                        let mut out = image(input);

                        self.memory.take(&mut out);
                        assert_eq!(out, self.model.image());
                        self.check_empty();
                        self.memory_msi(input.below(2050));
                        self.memory.merge(&out);
                    }
                    _ => {
                        let mut out = image(input);
                        let mut expected = out.clone();
                        let pending = self.model.image().eip;

                        for (to, from) in expected.eip.iter_mut().zip(pending) {
                            *to |= from;
                        }
                        self.memory.take_pending(&mut out);
                        assert_eq!(out, expected);
                        self.model.pending.fill(false);
                    }
                }
            }
            _ => {
                let interrupts = input.mask();

                iprios(input, interrupts);
            }
        }
        if self.bound.is_none() {
            self.check_memory();
        }
    }

    fn check_empty(&self) {
        let mut image = Image::default();

        self.memory.copy(&mut image);
        assert_eq!(image, Image::default());
        assert!(!self.memory.is_asserted());
    }

    /// The state is read, and stays where it is.
    fn copy(&mut self) {
        let mut image = Image::default();

        match self.bound {
            None => self.memory.copy(&mut image),
            Some(hart) => {
                self.all_counts(hart);
                self.spare_marker(hart);
                let settled =
                    file::copy(&self.harts[hart], self.hart_ids, self.guest_ids, &mut image);

                assert_eq!(settled, Settled::Yes);
                self.check_hart(hart);
            }
        }
        assert_eq!(image, self.model.image());
    }
}

/// Which byte of `hviprio1`, followed by `hviprio2`, has the priority of which interrupt (AIA 6.3.1).
const HVIPRIO: [u32; 16] = [0, 1, 4, 5, 8, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23];

/// The priorities of major interrupts, one byte after the other.
fn iprios(input: &mut Input<'_>, interrupts: u64) {
    let bytes: [u8; 16] = input.bytes();
    let register = input.below(8);
    let value = input.u64();
    let hviprio = |bytes: [u8; 16]| {
        let all = u128::from_le_bytes(bytes);

        [all as u64, (all >> 64) as u64]
    };
    let mut read = [0; 8];
    let mut written = bytes;

    for n in 0..8 {
        let major = register * 8 + n;

        if let Some(place) = HVIPRIO.iter().position(|of| *of == major) {
            if interrupts >> major & 1 != 0 {
                read[n as usize] = bytes[place];
                written[place] = value.to_le_bytes()[n as usize];
            }
        }
    }
    let first = register * 8;
    assert_eq!(
        iprio::read(first, interrupts, hviprio(bytes)),
        u64::from_le_bytes(read)
    );
    assert_eq!(
        iprio::write(first, interrupts, value, hviprio(bytes)),
        hviprio(written)
    );
}

/// Runs the program in `data`.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let mut machine = Machine::new(&mut input);

    while !input.is_empty() {
        machine.step(&mut input);
    }
    machine.copy();
    machine.release();
    machine.check_memory();
}
