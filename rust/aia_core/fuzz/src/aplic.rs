// SPDX-License-Identifier: GPL-2.0

//! The APLIC of a guest: register programs of several harts, with wires that change, and user space
//! that saves and replaces the state.
//!
//! The model is a list of sources, each with what AIA 4.5 and 4.7 say of one: a supervisor-level
//! domain without children whose DM is read-only 1 and BE read-only 0.
//!
//! Harts do not run at the same time, but an access by another hart may come wherever the first one
//! takes a lock. An MSI may be sent as soon as a source is pending, enabled, and IE is set; when nothing
//! runs any more, it has to have been.

use crate::{
    input::Input,
    trace, //
};
use aia_core::{
    aplic::{
        regs::WordIndex,
        target::MsiTarget, //
    },
    guest_aplic::{
        regs::AplicRegister,
        saved::{
            SavedDomain,
            SavedWord, //
        },
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
use std::{
    cell::{
        Cell,
        RefCell, //
    },
    rc::Rc, //
};

/// How many sources domains have here.
const SIZES: [u32; 7] = [1, 31, 32, 40, 63, 96, 1023];

/// A source.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Source {
    pub(crate) mode: u32,
    pub(crate) wire: bool,
    /// Of whom: of a resampler, or of others.
    pub(crate) drivers: [bool; 2],
    pub(crate) pending: bool,
    pub(crate) enabled: bool,
    pub(crate) target: u32,
}

impl Source {
    pub(crate) fn is_level(&self) -> bool {
        self.mode == 6 || self.mode == 7
    }

    /// AIA 4.5.2.
    pub(crate) fn input(&self) -> bool {
        match self.mode {
            4 | 6 => self.wire,
            5 | 7 => !self.wire,
            _ => false,
        }
    }

    /// Whether a register can make it pending (AIA 4.7).
    pub(crate) fn settable(&self) -> bool {
        self.mode != 0 && (!self.is_level() || self.input())
    }

    /// AIA 4.5.2. The domain has no children. That a high input of a level-sensitive source makes it
    /// pending, and that of an edge-sensitive one does not, is the implementation's choice.
    fn write_sourcecfg(&mut self, value: u32) {
        let delegate = value >> 10 & 1 != 0;
        let reserved = matches!(value & 7, 2 | 3);

        self.mode = if delegate || reserved { 0 } else { value & 7 };
        if self.mode == 0 {
            self.pending = false;
            self.enabled = false;
            self.target = 0;
        } else if self.is_level() {
            self.pending = self.input();
        }
    }

    /// AIA 4.7.
    fn set_wire(&mut self, resampler: bool, high: bool) {
        let before = self.input();

        self.drivers[usize::from(resampler)] = high;
        self.wire = self.drivers.contains(&true);
        if self.input() && !before {
            self.pending = true;
        }
        if self.is_level() && !self.input() {
            self.pending = false;
        }
    }
}

/// What a register means, by its offset.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Register {
    DomainCfg,
    SourceCfg(u32),
    Target(u32),
    GenMsi,
    /// A bit for each of 32 sources: what it reads as, and what a write does.
    Bits(u32, Reads, Writes),
    /// A number in little-endian or big-endian order.
    Number(Writes, bool),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Reads {
    Pending,
    Inputs,
    Enabled,
    Zero,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Writes {
    Set,
    Clear,
    Enable,
    Disable,
}

/// The table of AIA 4.5, but for what only machine-level domains have.
fn register(offset: u64) -> Option<Register> {
    if offset % 4 != 0 {
        return None;
    }
    let n = |first: u64| ((offset - first) / 4) as u32;

    Some(match offset {
        0 => Register::DomainCfg,
        0x0004..=0x0fff => Register::SourceCfg(n(0)),
        0x1c00..=0x1c7f => Register::Bits(n(0x1c00), Reads::Pending, Writes::Set),
        0x1cdc => Register::Number(Writes::Set, false),
        0x1d00..=0x1d7f => Register::Bits(n(0x1d00), Reads::Inputs, Writes::Clear),
        0x1ddc => Register::Number(Writes::Clear, false),
        0x1e00..=0x1e7f => Register::Bits(n(0x1e00), Reads::Enabled, Writes::Enable),
        0x1edc => Register::Number(Writes::Enable, false),
        0x1f00..=0x1f7f => Register::Bits(n(0x1f00), Reads::Zero, Writes::Disable),
        0x1fdc => Register::Number(Writes::Disable, false),
        0x2000 => Register::Number(Writes::Set, false),
        0x2004 => Register::Number(Writes::Set, true),
        0x3000 => Register::GenMsi,
        0x3004..=0x3fff => Register::Target(n(0x3000)),
        _ => return None,
    })
}

/// The bits of `target` and `genmsi` that exist; the guest's harts have no H extension (AIA 4.5.16).
fn target_bits(value: u32) -> u32 {
    (value >> 18) << 18 | value & 0x7ff
}

/// The domain.
pub(crate) struct Model {
    /// Source 0 is there, and never used.
    pub(crate) sources: Vec<Source>,
    pub(crate) ie: bool,
    pub(crate) genmsi: u32,
}

impl Model {
    pub(crate) fn new(nr_sources: u32) -> Self {
        Self {
            sources: vec![Source::default(); nr_sources as usize + 1],
            ie: false,
            genmsi: 0,
        }
    }

    fn source(&mut self, number: u32) -> Option<&mut Source> {
        self.sources
            .get_mut(number as usize)
            .filter(|_| number != 0)
    }

    fn word(&self, word: u32, flag: impl Fn(&Source) -> bool) -> u32 {
        (0..32)
            .filter(|n| {
                let number = word * 32 + n;

                number != 0 && self.sources.get(number as usize).is_some_and(&flag)
            })
            .fold(0, |bits, n| bits | 1 << n)
    }

    /// Reads any offset; what is no register reads as zero.
    fn read(&self, offset: u64) -> u32 {
        let source = |number: u32| self.sources.get(number as usize);

        match register(offset) {
            None => 0,
            Some(Register::DomainCfg) => 0x8000_0004 | u32::from(self.ie) << 8,
            Some(Register::SourceCfg(n)) => source(n).map_or(0, |source| source.mode),
            Some(Register::Target(n)) => source(n).map_or(0, |source| source.target),
            Some(Register::GenMsi) => self.genmsi,
            Some(Register::Number(..)) => 0,
            Some(Register::Bits(word, reads, _)) => match reads {
                Reads::Pending => self.word(word, |source| source.pending),
                Reads::Inputs => self.word(word, Source::input),
                Reads::Enabled => self.word(word, |source| source.enabled),
                Reads::Zero => 0,
            },
        }
    }

    /// The sources that a write of `value` to `register` is about.
    fn named(&self, register: Register, value: u32) -> Vec<u32> {
        let all = match register {
            Register::Bits(word, ..) => (0..32)
                .filter(|n| value >> n & 1 != 0)
                .map(|n| word * 32 + n)
                .collect(),
            Register::Number(_, false) => vec![value],
            Register::Number(_, true) => vec![u32::from_be_bytes(value.to_le_bytes())],
            _ => Vec::new(),
        };

        all.into_iter()
            .filter(|n| *n != 0 && (*n as usize) < self.sources.len())
            .collect()
    }

    /// What a write does, but for what it sends.
    fn write(&mut self, offset: u64, value: u32) {
        let Some(register) = register(offset) else {
            return;
        };

        match register {
            Register::DomainCfg => self.ie = value >> 8 & 1 != 0,
            Register::SourceCfg(n) => {
                if let Some(source) = self.source(n) {
                    source.write_sourcecfg(value);
                }
            }
            Register::Target(n) => {
                if let Some(source) = self.source(n).filter(|source| source.mode != 0) {
                    source.target = target_bits(value);
                }
            }
            // That is up to when it is sent.
            Register::GenMsi => {}
            Register::Bits(_, _, writes) | Register::Number(writes, _) => {
                for n in self.named(register, value) {
                    let source = &mut self.sources[n as usize];

                    match writes {
                        Writes::Set => source.pending |= source.settable(),
                        Writes::Clear => source.pending = false,
                        Writes::Enable => source.enabled = source.mode != 0,
                        Writes::Disable => source.enabled = false,
                    }
                }
            }
        }
    }

    /// The sources whose high level an access tells of (AIA 4.9.2), or lets go.
    fn sampled(&self, offset: u64, write: Option<u32>) -> Vec<u32> {
        let high = |source: &Source| source.is_level() && source.input();
        let all = || (1..self.sources.len() as u32).collect::<Vec<_>>();
        type Filter = Box<dyn Fn(&Source) -> bool>;
        let (among, which): (Vec<u32>, Filter) = match (register(offset), write) {
            (Some(register @ Register::Bits(_, Reads::Inputs, _)), None) => {
                (self.named(register, !0), Box::new(|_| true))
            }
            (
                Some(
                    register @ (Register::Bits(_, _, Writes::Set)
                    | Register::Number(Writes::Set, _)),
                ),
                Some(value),
            ) => (self.named(register, value), Box::new(|_| true)),
            (
                Some(
                    register @ (Register::Bits(_, _, Writes::Enable)
                    | Register::Number(Writes::Enable, _)),
                ),
                Some(value),
            ) => (
                self.named(register, value),
                Box::new(|source| source.pending && !source.enabled),
            ),
            (Some(Register::DomainCfg), Some(value)) if value >> 8 & 1 != 0 && !self.ie => {
                (all(), Box::new(|source| source.pending && source.enabled))
            }
            _ => return Vec::new(),
        };

        among
            .into_iter()
            .filter(|n| {
                let source = &self.sources[*n as usize];

                high(source) && which(source)
            })
            .collect()
    }

    /// Whether a source waits for nothing any more.
    pub(crate) fn is_due(&self) -> bool {
        self.ie
            && self
                .sources
                .iter()
                .any(|source| source.pending && source.enabled)
    }

    /// The state of 32 sources.
    pub(crate) fn saved(&self, word: u32) -> SavedWord {
        let of = |n: usize| self.sources.get(word as usize * 32 + n);

        SavedWord {
            pending: self.word(word, |source| source.pending),
            enabled: self.word(word, |source| source.enabled),
            wires: self.word(word, |source| source.drivers[0]),
            resampled: self.word(word, |source| source.drivers[1]),
            sourcecfg: std::array::from_fn(|n| of(n).map_or(0, |source| source.mode)),
            target: std::array::from_fn(|n| of(n).map_or(0, |source| source.target)),
        }
    }

    /// Takes a state of 32 sources over, of which anything may be wrong.
    fn restore(&mut self, word: u32, saved: &SavedWord) {
        for n in 0..32 {
            let Some(source) = self.source(word * 32 + n) else {
                continue;
            };
            let bit = |bits: u32| bits >> n & 1 != 0;

            *source = Source {
                wire: bit(saved.wires | saved.resampled),
                drivers: [bit(saved.wires), bit(saved.resampled)],
                ..Default::default()
            };
            source.write_sourcecfg(saved.sourcecfg[n as usize]);
            source.pending = bit(saved.pending) && source.settable();
            if source.mode != 0 {
                source.enabled = bit(saved.enabled);
                source.target = target_bits(saved.target[n as usize]);
            }
        }
    }
}

/// A deed of another hart, or of the model.
type Deed = Box<dyn FnOnce()>;

/// The words, with what is to happen where one is locked.
pub(crate) struct Storage {
    words: Vec<RefCell<SourceWord>>,
    /// What comes in between: after how many locks, and what.
    between: RefCell<Option<(u32, Deed)>>,
    /// What the access does once it has the lock.
    effect: RefCell<Option<Deed>>,
}

impl Storage {
    pub(crate) fn new(nr_sources: u32) -> Self {
        Self {
            words: (0..nr_sources / 32 + 1)
                .map(|_| RefCell::default())
                .collect(),
            between: RefCell::default(),
            effect: RefCell::default(),
        }
    }
}

/// The storage, as the domain and its user share it.
#[derive(Clone)]
pub(crate) struct Shared(pub(crate) Rc<Storage>);

impl SourceWords for Shared {
    fn count(&self) -> usize {
        self.0.words.len()
    }

    fn with<R>(&self, word: usize, f: impl FnOnce(&mut SourceWord) -> R) -> Option<R> {
        let mut between = self.0.between.borrow_mut();

        if let Some((0, _)) = *between {
            let (_, deed) = between.take().unwrap();

            // The other hart has no hands in this one's access.
            drop(between);
            let effect = self.0.effect.take();
            deed();
            self.0.effect.replace(effect);
        } else if let Some((count, _)) = &mut *between {
            *count -= 1;
            drop(between);
        } else {
            drop(between);
        }
        if let Some(effect) = self.0.effect.take() {
            effect();
        }
        // Panics if calls nest.
        Some(f(&mut self.0.words.get(word)?.borrow_mut()))
    }
}

/// The guest's machine: what is sent is compared at once.
struct Guest {
    model: RefCell<Model>,
    aplic: Aplic<Shared>,
    storage: Shared,
    nr_sources: NrSources,
    /// The value of `genmsi` that is being written.
    genmsi: Cell<Option<u32>>,
}

// SAFETY: A target has one thread.
#[expect(unsafe_code, reason = "a domain sends from any hart")]
unsafe impl Sync for Guest {}

impl MsiSink for Guest {
    fn send(&self, target: MsiTarget) {
        let value = target.encode();

        trace!("    MSI {value:#x}");
        let model = &mut *self.model.borrow_mut();

        if self.genmsi.get().map(target_bits) == Some(value) {
            self.genmsi.set(None);
            return;
        }
        assert!(model.ie, "{value:#x} is sent without IE");
        // Of two with the same target any can be meant; they are told apart when nothing runs.
        let source = model
            .sources
            .iter_mut()
            .find(|source| source.pending && source.enabled && source.target == value);
        source
            .unwrap_or_else(|| panic!("{value:#x} is sent, and nobody's"))
            .pending = false;
    }
}

impl Guest {
    /// The active sources with identity 0: what they send arrives nowhere, and is not seen.
    fn nowhere(&self) -> Vec<u32> {
        let model = self.model.borrow();

        (1..=self.nr_sources.get())
            .filter(|n| {
                let source = &model.sources[*n as usize];

                source.mode != 0 && source.target & 0x7ff == 0
            })
            .collect()
    }

    /// Any of `sources` may have sent, at a time that is not seen when there are two harts.
    fn accept(&self, sources: impl Iterator<Item = u32>) {
        for n in sources {
            if !self.model.borrow().sources[n as usize].pending {
                continue;
            }
            let word = WordIndex::of(SourceId::new(n).unwrap());
            let pending = self.aplic.save_word(word).unwrap().pending >> (n % 32) & 1 != 0;

            self.model.borrow_mut().sources[n as usize].pending &= pending;
        }
    }

    /// The same, when nothing else runs.
    fn drop_unseen(&self) {
        let model = &mut *self.model.borrow_mut();

        if model.ie {
            for source in &mut model.sources {
                if source.pending && source.enabled && source.target & 0x7ff == 0 {
                    source.pending = false;
                }
            }
        }
    }

    fn read(&self, offset: u64) {
        let decoded = AplicRegister::decode(offset, self.nr_sources);
        let value = decoded.map_or(0, |register| self.aplic.read(register));

        assert_eq!(value, self.model.borrow().read(offset), "{offset:#x}");
        if let Some(register) = decoded {
            let sampled: Vec<_> = self
                .aplic
                .sampled_by_read(register)
                .map(SourceId::get)
                .collect();

            assert_eq!(sampled, self.model.borrow().sampled(offset, None));
        }
    }

    /// Writes; `between` comes where so many locks were taken.
    fn write(self: &Rc<Self>, offset: u64, value: u32, between: Option<(u32, Deed)>) {
        trace!(
            "write {offset:#x} {value:#x}, between: {}",
            between.is_some()
        );
        let Some(decoded) = AplicRegister::decode(offset, self.nr_sources) else {
            let before = self.model.borrow().sources.clone();

            self.model.borrow_mut().write(offset, value);
            assert_eq!(before, self.model.borrow().sources, "{offset:#x}");
            return;
        };
        let mut sampled: Vec<_> = self
            .aplic
            .sampled_by_write(decoded, value)
            .map(SourceId::get)
            .collect();
        sampled.sort_unstable();
        assert_eq!(sampled, self.model.borrow().sampled(offset, Some(value)));

        if between.is_some() {
            *self.storage.0.between.borrow_mut() = between;
        }
        match register(offset) {
            Some(Register::DomainCfg) => self.model.borrow_mut().write(offset, value),
            Some(Register::GenMsi) => {
                self.genmsi.set(Some(value));
                self.aplic.write(decoded, value, &**self);
                let sent = self.genmsi.take().is_none();

                assert_eq!(sent, value & 0x7ff != 0, "genmsi {value:#x}");
                self.model.borrow_mut().genmsi = target_bits(value);
            }
            _ => {
                let guest = Rc::clone(self);
                let effect = move || guest.model.borrow_mut().write(offset, value);

                self.storage.0.effect.replace(Some(Box::new(effect)));
            }
        }
        if !matches!(register(offset), Some(Register::GenMsi)) {
            self.aplic.write(decoded, value, &**self);
        }
        if let Some(effect) = self.storage.0.effect.take() {
            // A number that is no source's takes no lock.
            assert!(matches!(register(offset), Some(Register::Number(..))));
            effect();
        }
        if let Some((_, deed)) = self.storage.0.between.take() {
            deed();
        }
    }

    fn set_wire(&self, number: u32, resampler: bool, high: bool, guest: &Rc<Self>) {
        trace!("  wire {number} {resampler} {high}");
        let Some(source) = SourceId::new(number) else {
            return;
        };
        let guest = Rc::clone(guest);
        let effect = move || {
            if let Some(source) = guest.model.borrow_mut().source(number) {
                source.set_wire(resampler, high);
            }
        };

        self.storage.0.effect.replace(Some(Box::new(effect)));
        match resampler {
            true => self.aplic.set_resampled(source, high, self),
            false => self.aplic.set_input(source, high, self),
        }
        if self.storage.0.effect.take().is_some() {
            assert!(number > self.nr_sources.get());
        }
    }

    /// Nothing runs: everything is what the model says, and nothing waits.
    fn check(&self) {
        self.drop_unseen();
        let model = self.model.borrow();

        assert!(!model.is_due(), "an MSI was not sent");
        for word in WordIndex::all(self.nr_sources) {
            assert_eq!(
                self.aplic.save_word(word).unwrap(),
                model.saved(word.get()),
                "{word:?}"
            );
        }
        assert_eq!(
            self.aplic.save_domain(),
            SavedDomain {
                domaincfg: model.read(0),
                genmsi: model.genmsi,
            }
        );
    }
}

/// An offset: mostly a register, of a source that there is.
fn offset(input: &mut Input<'_>, nr_sources: u32) -> u64 {
    let source = |input: &mut Input<'_>| u64::from(1 + input.below(nr_sources));
    let word = |input: &mut Input<'_>| u64::from(4 * input.below(nr_sources / 32 + 1));

    match input.below(20) {
        0 => 0,
        1..=3 => 4 * source(input),
        4 => 0x1c00 + word(input),
        5 => 0x1d00 + word(input),
        6 => 0x1e00 + word(input),
        7 => 0x1f00 + word(input),
        8 => 0x1cdc,
        9 => 0x1ddc,
        10 => 0x1edc,
        11 => 0x1fdc,
        12 => 0x2000,
        13 => 0x2004,
        14 => 0x3000,
        15..=17 => 0x3000 + 4 * source(input),
        18 => u64::from(input.u16()) & 0x7fff,
        _ => input.u64() >> (input.u8() % 64),
    }
}

/// A value that makes sense for the register, or any.
fn value(input: &mut Input<'_>, offset: u64, nr_sources: u32) -> u32 {
    match register(offset) {
        _ if input.below(8) == 0 => input.u32(),
        Some(Register::DomainCfg) => u32::from(input.flag()) << 8,
        Some(Register::SourceCfg(_)) => input.below(8),
        Some(Register::Number(_, big)) => {
            let number = input.below(nr_sources + 2);

            match big {
                true => number.swap_bytes(),
                false => number,
            }
        }
        _ => input.word(),
    }
}

/// A saved word, of which anything may be wrong.
fn saved(input: &mut Input<'_>) -> SavedWord {
    let mut saved = SavedWord {
        pending: input.word(),
        enabled: input.word(),
        wires: input.word(),
        resampled: input.word(),
        ..Default::default()
    };

    for _ in 0..input.below(5) {
        let n = input.below(32) as usize;

        saved.sourcecfg[n] = match input.flag() {
            true => input.below(8),
            false => input.word(),
        };
        saved.target[n] = input.word();
    }
    saved
}

/// Runs the program in `data`.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let nr = input.one_of(&SIZES);
    let nr_sources = NrSources::new(nr).unwrap();
    let storage = Shared(Rc::new(Storage::new(nr)));
    let guest = Rc::new(Guest {
        model: RefCell::new(Model::new(nr)),
        aplic: Aplic::new(nr_sources, storage.clone()).unwrap(),
        storage,
        nr_sources,
        genmsi: Cell::new(None),
    });

    while !input.is_empty() {
        match input.u8() % 16 {
            0..=8 => {
                let at = offset(&mut input, nr);
                let what = value(&mut input, at, nr);

                guest.write(at, what, None);
            }
            // Two harts.
            9 | 10 => {
                let at = offset(&mut input, nr);
                let what = value(&mut input, at, nr);
                let other = Rc::clone(&guest);
                let after = input.below(4);
                let deed: Deed = match input.flag() {
                    true => {
                        let number = 1 + input.below(nr);
                        let (resampler, high) = (input.flag(), input.flag());

                        Box::new(move || other.set_wire(number, resampler, high, &other))
                    }
                    false => {
                        let at = offset(&mut input, nr);
                        let what = value(&mut input, at, nr);

                        Box::new(move || other.nested_write(at, what))
                    }
                };

                let unseen = guest.nowhere();
                guest.write(at, what, Some((after, deed)));
                guest.accept(unseen.into_iter().chain(guest.nowhere()));
            }
            11..=13 => {
                let number = input.below(nr + 2);
                let (resampler, high) = (input.flag(), input.flag());

                guest.set_wire(number, resampler, high, &guest);
            }
            14 => {
                let at = offset(&mut input, nr);

                guest.read(at);
            }
            _ => {
                // A saved domain has nothing that is due: with IE, restored after the words.
                let domain = SavedDomain {
                    domaincfg: u32::from(input.flag()) << 8,
                    genmsi: input.word(),
                };
                let word = input.below(33);
                let saved = saved(&mut input);

                guest.restore(&domain, word, &saved);
            }
        }
        guest.check();
    }
}

impl Guest {
    /// A write of another hart while one is under way.
    fn nested_write(self: &Rc<Self>, offset: u64, value: u32) {
        trace!("  another hart: write {offset:#x} {value:#x}");
        let Some(decoded) = AplicRegister::decode(offset, self.nr_sources) else {
            return;
        };

        match register(offset) {
            // One at a time has the value that is awaited.
            Some(Register::GenMsi) => {}
            Some(Register::DomainCfg) => {
                self.model.borrow_mut().write(offset, value);
                self.aplic.write(decoded, value, &**self);
            }
            _ => {
                let guest = Rc::clone(self);
                let effect = move || guest.model.borrow_mut().write(offset, value);

                self.storage.0.effect.replace(Some(Box::new(effect)));
                self.aplic.write(decoded, value, &**self);
                self.storage.0.effect.take();
            }
        }
    }

    /// User space replaces the state; no hart runs.
    fn restore(&self, domain: &SavedDomain, word: u32, saved: &SavedWord) {
        trace!("restore {domain:?} {word} {saved:?}");
        let exists = word <= self.nr_sources.get() / 32;

        if let Some(index) = WordIndex::new(word) {
            let done = self.aplic.restore_word(index, saved);

            assert_eq!(done.is_some(), exists);
        }
        self.aplic.restore_domain(domain);
        let mut model = self.model.borrow_mut();

        if exists {
            model.restore(word, saved);
        }
        model.ie = domain.domaincfg >> 8 & 1 != 0;
        model.genmsi = target_bits(domain.genmsi);
        if model.is_due() {
            // Such a state is in no snapshot. What is due is sent when IE is written the next time.
            drop(model);
            if let Some(domaincfg) = AplicRegister::decode(0, self.nr_sources) {
                self.aplic.write(domaincfg, 0x100, self);
            }
        }
    }
}
