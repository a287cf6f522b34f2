// SPDX-License-Identifier: GPL-2.0

//! A guest's APLIC against a model that has a few flags for each source and follows the
//! specification sentence by sentence.

use aia_core::{
    aplic::{
        regs::WordIndex,
        target::MsiTarget, //
    },
    guest_aplic::{
        regs::AplicRegister,
        word::SourceWord,
        Aplic,
        MsiSink,
        SourceWords, //
    },
    ids::{
        NrSources,
        SourceId, //
    },
};
use proptest::prelude::*;
use std::{
    cell::RefCell,
    sync::Mutex, //
};

struct Storage(Vec<RefCell<SourceWord>>);

impl Storage {
    fn new(nr_sources: NrSources) -> Self {
        Self(
            (0..nr_sources.words())
                .map(|_| Default::default())
                .collect(),
        )
    }
}

impl SourceWords for Storage {
    fn count(&self) -> usize {
        self.0.len()
    }

    fn with<R: Send>(&self, word: usize, f: impl FnOnce(&mut SourceWord) -> R + Send) -> Option<R> {
        // Panics if calls nest.
        Some(f(&mut self.0.get(word)?.borrow_mut()))
    }
}

/// What was sent, as values of `target`.
#[derive(Default)]
struct Sent(Mutex<Vec<u32>>);

impl Sent {
    /// Returns what was sent since the last call.
    fn take(&self) -> Vec<u32> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl MsiSink for Sent {
    fn send(&self, target: MsiTarget) {
        self.0.lock().unwrap().push(target.encode());
    }
}

/// A source of the model.
#[derive(Clone, Default)]
struct Source {
    mode: u32,
    wire: bool,
    /// Of whom: of a resampler, or of others.
    drivers: [bool; 2],
    pending: bool,
    enabled: bool,
    target: u32,
}

impl Source {
    fn is_active(&self) -> bool {
        self.mode != 0
    }

    fn is_level(&self) -> bool {
        matches!(self.mode, 6 | 7)
    }

    /// AP-17.
    fn rectified_input(&self) -> bool {
        match self.mode {
            4 | 6 => self.wire,
            5 | 7 => !self.wire,
            _ => false,
        }
    }

    /// AP-13 to AP-16, AP-18.
    fn set_sourcecfg(&mut self, value: u32) {
        let sm = value & 7;
        self.mode = if value & 0x400 != 0 || sm == 2 || sm == 3 {
            0
        } else {
            sm
        };
        if !self.is_active() {
            self.pending = false;
            self.enabled = false;
            self.target = 0;
        } else if self.is_level() && self.rectified_input() {
            self.pending = true;
        }
    }

    /// AP-30, AP-31, AP-33.
    fn set_pending(&mut self) {
        if self.is_active() && (!self.is_level() || self.rectified_input()) {
            self.pending = true;
        }
    }

    /// AP-31, AP-33.
    fn set_wire(&mut self, resampler: bool, high: bool) {
        let before = self.rectified_input();
        self.drivers[usize::from(resampler)] = high;
        self.wire = self.drivers.contains(&true);
        if !before && self.rectified_input() {
            self.pending = true;
        }
    }
}

/// The model: source 0 is there but never used.
struct Model {
    sources: Vec<Source>,
    ie: bool,
    genmsi: u32,
    sent: Vec<u32>,
}

impl Model {
    fn new(nr_sources: NrSources) -> Self {
        Self {
            sources: vec![Source::default(); nr_sources.index() + 1],
            ie: false,
            genmsi: 0,
            sent: Vec::new(),
        }
    }

    /// Returns source `i`, if there is one.
    fn source(&mut self, i: u32) -> Option<&mut Source> {
        if i == 0 {
            return None;
        }
        self.sources.get_mut(i as usize)
    }

    /// Returns which source a register of an array at `base` belongs to, given the first.
    fn element(&self, offset: u64, base: u64) -> Option<u32> {
        let i = (offset - base) / 4;
        (1..self.sources.len() as u64)
            .contains(&i)
            .then_some(i as u32)
    }

    /// Returns the sources of the word at `offset`, if there are any.
    fn word(&self, offset: u64, base: u64) -> Option<Vec<u32>> {
        let first = (offset - base) * 8;
        (first < self.sources.len() as u64).then(|| (first as u32..first as u32 + 32).collect())
    }

    /// Reads a word of bits.
    fn bits(&mut self, offset: u64, base: u64, flag: fn(&Source) -> bool) -> Option<u32> {
        let word = self.word(offset, base)?;
        let mut value = 0;
        for i in word {
            if self.source(i).is_some_and(|source| flag(source)) {
                value |= 1 << (i % 32);
            }
        }
        Some(value)
    }

    fn read(&mut self, offset: u64) -> Option<u32> {
        if offset % 4 != 0 {
            return None;
        }
        match offset {
            0 => Some(0x8000_0004 | u32::from(self.ie) << 8),
            0x0004..=0x0fff => Some(self.sources[self.element(offset, 0)? as usize].mode),
            0x1c00..=0x1c7f => self.bits(offset, 0x1c00, |source| source.pending),
            0x1d00..=0x1d7f => self.bits(offset, 0x1d00, Source::rectified_input),
            0x1e00..=0x1e7f => self.bits(offset, 0x1e00, |source| source.enabled),
            0x1f00..=0x1f7f => self.word(offset, 0x1f00).map(|_| 0),
            0x1cdc | 0x1ddc | 0x1edc | 0x1fdc | 0x2000 | 0x2004 => Some(0),
            0x3000 => Some(self.genmsi),
            0x3004..=0x3fff => Some(self.sources[self.element(offset, 0x3000)? as usize].target),
            _ => None,
        }
    }

    /// Does `f` with the sources whose bit is set in a value written to a word.
    fn for_bits(&mut self, offset: u64, base: u64, value: u32, f: fn(&mut Source)) {
        for i in self.word(offset, base).unwrap_or_default() {
            if value & 1 << (i % 32) != 0 {
                self.for_number(i, f);
            }
        }
    }

    /// Does `f` with a source, if it is active.
    fn for_number(&mut self, i: u32, f: fn(&mut Source)) {
        if let Some(source) = self.source(i) {
            if source.is_active() {
                f(source);
            }
        }
    }

    fn write(&mut self, offset: u64, value: u32) {
        match offset {
            0 => self.ie = value & 0x100 != 0,
            0x0004..=0x0fff => {
                let i = self.element(offset, 0).unwrap();
                self.sources[i as usize].set_sourcecfg(value);
            }
            0x1c00..=0x1c7f => self.for_bits(offset, 0x1c00, value, Source::set_pending),
            0x1cdc | 0x2000 => self.for_number(value, Source::set_pending),
            0x2004 => self.for_number(value.swap_bytes(), Source::set_pending),
            0x1d00..=0x1d7f => self.for_bits(offset, 0x1d00, value, |s| s.pending = false),
            0x1ddc => self.for_number(value, |s| s.pending = false),
            0x1e00..=0x1e7f => self.for_bits(offset, 0x1e00, value, |s| s.enabled = true),
            0x1edc => self.for_number(value, |s| s.enabled = true),
            0x1f00..=0x1f7f => self.for_bits(offset, 0x1f00, value, |s| s.enabled = false),
            0x1fdc => self.for_number(value, |s| s.enabled = false),
            0x3000 => {
                self.genmsi = value & 0xfffc_07ff;
                self.sent.push(self.genmsi);
            }
            0x3004..=0x3fff => {
                let i = self.element(offset, 0x3000).unwrap();
                let source = &mut self.sources[i as usize];
                if source.is_active() {
                    source.target = value & 0xfffc_07ff;
                }
            }
            _ => unreachable!(),
        }
        self.settle();
    }

    fn set_wire(&mut self, i: u32, resampler: bool, high: bool) {
        if let Some(source) = self.source(i) {
            source.set_wire(resampler, high);
        }
        self.settle();
    }

    /// What holds at all times, whatever changed: AP-33 and AP-39.
    fn settle(&mut self) {
        for source in &mut self.sources {
            if source.is_level() && !source.rectified_input() {
                source.pending = false;
            }
            if self.ie && source.pending && source.enabled {
                source.pending = false;
                self.sent.push(source.target);
            }
        }
        // The file of an identity 0 does not exist.
        self.sent.retain(|target| target & 0x7ff != 0);
    }
}

#[derive(Clone, Debug)]
enum Op {
    Write(u64, u32),
    Wire(u32, bool, bool),
    /// Everything moves into a new APLIC.
    Migrate,
}

/// A value with few, many or all bits.
fn bits() -> impl Strategy<Value = u32> {
    prop_oneof![
        any::<u32>(),
        Just(u32::MAX),
        (0..32).prop_map(|bit| 1_u32 << bit),
    ]
}

/// A source number, of a source of the domain or not.
fn number(nr_sources: u32) -> impl Strategy<Value = u32> {
    prop_oneof![
        8 => 1..=nr_sources,
        1 => 0..=nr_sources + 40,
        1 => any::<u32>(),
    ]
}

/// An element of an array of registers, at times one too far.
fn element(base: u64, count: u32) -> impl Strategy<Value = u64> {
    (0..=count).prop_map(move |i| base + 4 * u64::from(i))
}

fn op(nr_sources: u32) -> impl Strategy<Value = Op> {
    let words = nr_sources / 32 + 1;
    let word = |base| (element(base, words), bits());
    let numbers = prop_oneof![
        Just(0x1cdc),
        Just(0x1ddc),
        Just(0x1edc),
        Just(0x1fdc),
        Just(0x2000)
    ];
    let sm = prop_oneof![8 => 0..8_u32, 1 => any::<u32>()];
    let write = prop_oneof![
        2 => prop_oneof![Just(0x100), Just(0), any::<u32>()].prop_map(|value| (0, value)),
        6 => (element(4, nr_sources), sm),
        3 => word(0x1c00),
        2 => word(0x1d00),
        4 => word(0x1e00),
        1 => word(0x1f00),
        5 => (numbers, number(nr_sources)),
        1 => number(nr_sources).prop_map(|value| (0x2004, value.swap_bytes())),
        1 => any::<u32>().prop_map(|value| (0x3000, value)),
        3 => (element(0x3004, nr_sources), any::<u32>()),
        1 => (0..0x4100_u64, any::<u32>()),
    ];

    prop_oneof![
        20 => write.prop_map(|(offset, value)| Op::Write(offset, value)),
        8 => (1..=nr_sources + 2, any::<bool>(), any::<bool>()).prop_map(|(i, by, high)| Op::Wire(i, by, high)),
        1 => Just(Op::Migrate),
    ]
}

fn migrate(from: &Aplic<Storage>) -> Aplic<Storage> {
    let nr_sources = from.nr_sources();
    let to = Aplic::new(nr_sources, Storage::new(nr_sources)).unwrap();

    to.restore_domain(&from.save_domain());
    for word in WordIndex::all(nr_sources) {
        let saved = from.save_word(word).unwrap();
        to.restore_word(word, &saved).unwrap();
    }
    to
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn same_as_the_model(
        (nr_sources, ops) in prop_oneof![1..8_u32, 30..35_u32, 1..100_u32]
            .prop_flat_map(|nr| (Just(nr), prop::collection::vec(op(nr), 1..80)))
    ) {
        let nr_sources = NrSources::new(nr_sources).unwrap();
        let mut aplic = Aplic::new(nr_sources, Storage::new(nr_sources)).unwrap();
        let mut model = Model::new(nr_sources);
        let sent = Sent::default();

        for op in ops {
            match op {
                Op::Write(offset, value) => {
                    let register = AplicRegister::decode(offset, nr_sources);
                    prop_assert_eq!(register.is_some(), model.read(offset).is_some());
                    if let Some(register) = register {
                        aplic.write(register, value, &sent);
                        model.write(offset, value);
                    }
                }
                Op::Wire(i, resampler, high) => {
                    let source = SourceId::new(i).unwrap();

                    match resampler {
                        true => aplic.set_resampled(source, high, &sent),
                        false => aplic.set_input(source, high, &sent),
                    }
                    model.set_wire(i, resampler, high);
                }
                Op::Migrate => aplic = migrate(&aplic),
            }

            // The order of what one write sends is the APLIC's choice.
            let mut got = sent.take();
            let mut wanted = std::mem::take(&mut model.sent);
            got.sort_unstable();
            wanted.sort_unstable();
            prop_assert_eq!(got, wanted);
            for offset in (0..0x4000).step_by(4) {
                if let Some(register) = AplicRegister::decode(offset, nr_sources) {
                    let got = aplic.read(register);
                    prop_assert_eq!(Some(got), model.read(offset), "{:#x}", offset);
                }
            }
        }
    }
}

/// Every offset is a register of the model or of none.
#[test]
fn same_registers_as_the_model() {
    for nr_sources in [1, 2, 30, 31, 32, 33, 63, 64, 96, 1022, 1023] {
        let nr_sources = NrSources::new(nr_sources).unwrap();
        let mut model = Model::new(nr_sources);
        for offset in 0..0x5000 {
            let register = AplicRegister::decode(offset, nr_sources);
            assert_eq!(register.is_some(), model.read(offset).is_some());
        }
    }
}

/// The largest domain: each source sends its own MSI.
#[test]
fn all_sources() {
    let nr_sources = NrSources::MAX;
    let aplic = Aplic::new(nr_sources, Storage::new(nr_sources)).unwrap();
    let sent = Sent::default();
    let target = |source: SourceId| source.get() << 18 | source.get();

    for source in nr_sources.iter() {
        aplic.write(AplicRegister::SourceCfg(source), 6, &sent);
        aplic.write(AplicRegister::Target(source), target(source), &sent);
        aplic.write(AplicRegister::SetIeNum, source.get(), &sent);
        aplic.set_input(source, true, &sent);
    }
    assert_eq!(sent.take(), []);
    aplic.write(AplicRegister::DomainCfg, 0x100, &sent);
    assert_eq!(
        sent.take(),
        nr_sources.iter().map(target).collect::<Vec<_>>()
    );
    for word in WordIndex::all(nr_sources) {
        aplic.write(AplicRegister::SetIp(word), !0, &sent);
    }
    assert_eq!(sent.take().len(), 1023);
}
