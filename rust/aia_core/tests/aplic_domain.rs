// SPDX-License-Identifier: GPL-2.0

//! A driver's use of an APLIC, on a model of one that does all that the specification allows: its
//! registers hold anything at first, sources do not have all modes, fields do not take all values.

#![cfg(not(loom))]

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

use aia_core::{
    aplic::{
        domain::{
            saved_words,
            Domain,
            DomainRegisters,
            Unsupported,
            WrongMode, //
        },
        domaincfg::{
            DeliveryMode,
            DomainCfg, //
        },
        idc::{
            self,
            TopInterrupt, //
        },
        regs,
        source::SourceMode,
        target::{
            DirectTarget,
            Iprio, //
        }, //
    },
    ids::{
        HartIndex,
        NrSources,
        SourceId, //
    },
    word::Word, //
};
use proptest::prelude::*;

const SOURCES: usize = 40;
const HARTS: usize = 3;
/// What target registers hold when a source becomes active.
const GARBAGE: u32 = 0x0008_00a5;

const MODES: [SourceMode; 4] = [
    SourceMode::Edge1,
    SourceMode::Edge0,
    SourceMode::Level1,
    SourceMode::Level0,
];

/// What a source makes of a mode that it does not have.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fallback {
    Keep,
    Inactive,
    Detached,
    Level1,
}

#[derive(Clone, Debug)]
struct Source {
    mode: SourceMode,
    lacks: Option<SourceMode>,
    fallback: Fallback,
    pending: bool,
    enabled: bool,
    target: u32,
    wire: bool,
    /// Any write of its mode makes it pending if its input is high (AIA 4.5.2).
    eager: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Idc {
    idelivery: u32,
    iforce: u32,
    ithreshold: u32,
}

#[derive(Clone, Debug)]
struct State {
    domaincfg: u32,
    /// Fixed in hardware.
    mode: DeliveryMode,
    sources: Vec<Source>,
    idcs: [Idc; HARTS],
    /// What harts indexes the target registers can hold.
    hart_mask: u32,
    /// Target registers must not be read.
    no_targets: bool,
    /// Sources and targets of the MSIs.
    sent: Vec<(usize, u32)>,
    /// MSIs leave later.
    lazy: bool,
    /// After how many accesses which wire changes.
    moves: Option<(u32, SourceId)>,
    started: bool,
}

/// The model.
#[derive(Debug)]
struct Model(RefCell<State>);

impl Source {
    fn input(&self) -> bool {
        self.mode.rectified_input(self.wire)
    }

    fn configure(&mut self, value: u32, mode: DeliveryMode) {
        let wanted = SourceMode::try_from(value & 7).unwrap_or(SourceMode::Inactive);
        let former = self.mode;

        self.mode = match self.fallback {
            _ if self.lacks != Some(wanted) => wanted,
            Fallback::Keep => former,
            Fallback::Inactive => SourceMode::Inactive,
            Fallback::Detached => SourceMode::Detached,
            Fallback::Level1 => SourceMode::Level1,
        };
        if !self.mode.is_active() {
            (self.pending, self.enabled, self.target) = (false, false, 0);
        } else if !former.is_active() {
            self.target = GARBAGE;
        }
        self.pending |= self.eager && self.input();
        self.settle(mode);
    }

    /// A level is never pending without its input, and in direct mode always with it (AIA 4.7).
    fn settle(&mut self, mode: DeliveryMode) {
        if self.mode.is_level() {
            match mode {
                DeliveryMode::Direct => self.pending = self.input(),
                DeliveryMode::Msi => self.pending &= self.input(),
            }
        }
    }

    /// A write to a pending bit (AIA 4.7).
    fn set_pending(&mut self, mode: DeliveryMode) {
        self.pending |= match mode {
            _ if self.mode.is_level() => self.input() && mode == DeliveryMode::Msi,
            _ => self.mode.is_active(),
        };
    }
}

impl State {
    fn top(&self, hart: usize) -> u32 {
        let threshold = self.idcs[hart].ithreshold;

        self.sources
            .iter()
            .enumerate()
            .filter(|(_, s)| s.pending && s.enabled && (s.target >> 18) as usize == hart)
            .map(|(n, s)| (s.target & 0xff, n))
            .filter(|(priority, _)| threshold == 0 || *priority < threshold)
            .min()
            .map_or(0, |(priority, n)| (n as u32) << 16 | priority)
    }

    fn is_on(&self) -> bool {
        self.domaincfg & DomainCfg::IE != 0
    }

    /// Whether the external interrupt of a hart is asserted.
    fn asserted(&self, hart: usize) -> bool {
        let idc = self.idcs[hart];

        self.mode == DeliveryMode::Direct
            && self.is_on()
            && idc.idelivery == 1
            && (idc.iforce == 1 || self.top(hart) != 0)
    }

    fn forward(&mut self) {
        if self.mode != DeliveryMode::Msi || !self.is_on() || self.lazy {
            return;
        }
        for (number, source) in self.sources.iter_mut().enumerate() {
            if source.pending && source.enabled {
                source.pending = false;
                self.sent.push((number, source.target));
            }
        }
    }

    fn bits(&self, word: usize, of: impl Fn(&Source) -> bool) -> u32 {
        (0..32)
            .filter(|bit| self.sources.get(32 * word + bit).is_some_and(&of))
            .fold(0, |bits, bit| bits | 1 << bit)
    }

    fn read(&mut self, offset: usize) -> u32 {
        match offset {
            0 => 0x8000_0000 | self.domaincfg,
            0x4..0x1000 => self
                .sources
                .get(offset / 4)
                .map_or(0, |s| s.mode.sourcecfg()),
            0x1c00..0x1c80 => self.bits((offset - 0x1c00) / 4, |s| s.pending),
            0x1d00..0x1d80 => self.bits((offset - 0x1d00) / 4, Source::input),
            0x1e00..0x1e80 => self.bits((offset - 0x1e00) / 4, |s| s.enabled),
            0x3004..0x4000 if self.no_targets => panic!("{offset:#x} is read"),
            0x3004..0x4000 => self
                .sources
                .get((offset - 0x3000) / 4)
                .map_or(0, |s| s.target),
            0x4000.. => {
                let hart = (offset - 0x4000) / 32;

                match offset % 32 {
                    0 => self.idcs[hart].idelivery,
                    8 => self.idcs[hart].ithreshold,
                    0x18 => self.top(hart),
                    0x1c => {
                        let top = self.top(hart);
                        let source = &mut self.sources[(top >> 16) as usize];

                        if top == 0 {
                            self.idcs[hart].iforce = 0;
                        } else if !source.mode.is_level() {
                            source.pending = false;
                        }
                        top
                    }
                    other => panic!("register {other:#x} of an IDC is read"),
                }
            }
            _ => panic!("{offset:#x} is read"),
        }
    }

    fn write(&mut self, offset: usize, value: u32) {
        let mode = self.mode;

        if !self.started {
            // Before this the byte order is not known, and interrupts may come.
            assert_eq!((offset, value), (regs::DOMAINCFG, 0));
            self.started = true;
        }
        match offset {
            0 => {
                let dm = if mode == DeliveryMode::Msi {
                    DomainCfg::DM
                } else {
                    0
                };
                self.domaincfg = value & DomainCfg::IE | dm;
            }
            0x4..0x1000 => {
                if let Some(source) = self.sources.get_mut(offset / 4) {
                    source.configure(value, mode);
                }
            }
            0x1e00..0x1e80 => {
                let sources = self.sources.iter_mut().skip((offset - 0x1e00) * 8);

                for (bit, source) in sources.take(32).enumerate() {
                    source.enabled |= value & 1 << bit != 0 && source.mode.is_active();
                }
            }
            regs::CLRIENUM | regs::SETIENUM | regs::SETIPNUM_LE | regs::CLRIPNUM => {
                let source = self.sources.get_mut(value as usize);

                match source.filter(|s| s.mode.is_active()) {
                    Some(s) if offset == regs::CLRIENUM => s.enabled = false,
                    Some(s) if offset == regs::SETIENUM => s.enabled = true,
                    Some(s) if offset == regs::CLRIPNUM => {
                        s.pending = false;
                        s.settle(mode);
                    }
                    Some(s) => s.set_pending(mode),
                    None => {}
                }
            }
            0x3004..0x4000 => {
                let source = self.sources.get_mut((offset - 0x3000) / 4);

                if let Some(source) = source.filter(|s| s.mode.is_active()) {
                    source.target = value & (self.hart_mask << 18 | 0x3ffff);
                }
            }
            0x4000.. => {
                let idc = &mut self.idcs[(offset - 0x4000) / 32];

                match offset % 32 {
                    0 => idc.idelivery = value & 1,
                    4 => idc.iforce = value & 1,
                    8 => idc.ithreshold = value & 0xff,
                    other => panic!("register {other:#x} of an IDC is written"),
                }
            }
            _ => panic!("{offset:#x} is written"),
        }
        self.forward();
    }
}

impl Model {
    fn new(mode: DeliveryMode) -> Self {
        let source = Source {
            mode: SourceMode::Inactive,
            lacks: None,
            fallback: Fallback::Inactive,
            pending: false,
            enabled: false,
            target: 0,
            wire: false,
            eager: false,
        };

        Self(RefCell::new(State {
            domaincfg: 0,
            mode,
            sources: vec![source; SOURCES + 1],
            idcs: [Idc::default(); HARTS],
            hart_mask: 0x3fff,
            no_targets: false,
            sent: Vec::new(),
            lazy: false,
            moves: None,
            started: false,
        }))
    }

    fn with<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        f(&mut self.0.borrow_mut())
    }

    fn source<T>(&self, source: SourceId, f: impl FnOnce(&mut Source) -> T) -> T {
        self.with(|state| f(&mut state.sources[source.index()]))
    }

    fn wire(&self, source: SourceId, level: bool) {
        self.with(|state| {
            let mode = state.mode;
            let source = &mut state.sources[source.index()];
            let before = source.input();

            source.wire = level;
            source.pending |= !before && source.input() && source.mode != SourceMode::Detached;
            source.settle(mode);
            state.forward();
        });
    }

    fn sent(&self) -> Vec<(usize, u32)> {
        self.with(|state| std::mem::take(&mut state.sent))
    }
}

impl Model {
    /// The registers lose what they held.
    fn lose(&self) {
        let fresh = Self::new(DeliveryMode::Msi).0.into_inner().sources;

        self.with(|state| {
            for (source, fresh) in state.sources.iter_mut().zip(fresh) {
                *source = Source {
                    wire: source.wire,
                    lacks: source.lacks,
                    fallback: source.fallback,
                    ..fresh
                };
            }
            state.domaincfg = 0;
        });
    }

    /// A register has been accessed.
    fn accessed(&self) {
        let moves = self.with(|state| match state.moves.take() {
            Some((0, source)) => Some(source),
            Some((count, source)) => {
                state.moves = Some((count - 1, source));
                None
            }
            None => None,
        });

        if let Some(source) = moves {
            self.wire(source, !self.source(source, |s| s.wire));
        }
    }

    /// `f` runs, and after `count` accesses or at the end of it the wire of `source` changes.
    fn while_it_moves(&self, source: SourceId, count: u32, f: impl FnOnce()) {
        self.with(|state| state.moves = Some((count, source)));
        f();
        while self.with(|state| state.moves.is_some()) {
            self.accessed();
        }
    }
}

impl DomainRegisters for &Model {
    fn read(&self, offset: usize) -> u32 {
        let value = self.0.borrow_mut().read(offset);

        self.accessed();
        value
    }

    fn write(&self, offset: usize, value: u32) {
        self.0.borrow_mut().write(offset, value);
        self.accessed();
    }
}

type Driver<'a> = Domain<&'a Model, Vec<Word>>;

fn words(count: usize) -> Vec<Word> {
    (0..count).map(|_| Word::new(0)).collect()
}

fn take(model: &Model, mode: DeliveryMode) -> Driver<'_> {
    let sources = NrSources::new(SOURCES as u32).unwrap();

    Domain::new(
        model,
        sources,
        mode,
        words(SOURCES + 1),
        words(saved_words(sources)),
    )
    .unwrap()
}

/// A domain that delivers, to all harts.
fn started(model: &Model, mode: DeliveryMode) -> Driver<'_> {
    let domain = take(model, mode);

    domain.choose_mode().unwrap();
    if mode == DeliveryMode::Direct {
        for index in 0..HARTS {
            domain.open_idc(hart(index));
        }
    }
    domain.start().unwrap();
    domain
}

/// Stores a target; returns whether it was taken, as far as can be told.
fn set_target(domain: &Domain<&Model, Vec<Word>>, source: SourceId, target: u32) -> bool {
    domain.set_target(source, target);
    domain.has_taken(source, target)
}

fn source(number: u32) -> SourceId {
    SourceId::new(number).unwrap()
}

fn hart(index: usize) -> HartIndex {
    HartIndex::try_from(index).unwrap()
}

fn claim(domain: &Driver<'_>, index: usize) -> Option<TopInterrupt> {
    TopInterrupt::from_register(domain.read(idc::claimi(hart(index))))
}

fn target(index: usize) -> u32 {
    DirectTarget {
        hart: hart(index),
        iprio: Iprio::DEFAULT,
    }
    .encode()
}

/// Any state that a domain can be in, of sources that lack nothing.
fn any_source() -> impl Strategy<Value = Source> {
    (
        prop::sample::select(&[
            SourceMode::Inactive,
            SourceMode::Detached,
            SourceMode::Edge1,
            SourceMode::Edge0,
            SourceMode::Level1,
            SourceMode::Level0,
        ]),
        any::<(bool, bool, bool, bool)>(),
        0..HARTS as u32,
        1..3_u32,
    )
        .prop_map(|(mode, (pending, enabled, wire, eager), hart, low)| {
            let mut source = Source {
                mode,
                lacks: None,
                fallback: Fallback::Inactive,
                pending: pending && mode.is_active(),
                enabled: enabled && mode.is_active(),
                target: if mode.is_active() {
                    hart << 18 | low
                } else {
                    0
                },
                wire,
                eager,
            };

            source.settle(DeliveryMode::Msi);
            source
        })
}

fn any_state() -> impl Strategy<Value = State> {
    (
        prop::sample::select(&[DeliveryMode::Direct, DeliveryMode::Msi]),
        any::<bool>(),
        prop::collection::vec(any_source(), SOURCES + 1),
        prop::array::uniform3((0..2_u32, 0..2_u32, 0..4_u32)),
    )
        .prop_map(|(mode, on, mut sources, idcs)| {
            sources[0] = Model::new(mode).with(|state| state.sources[0].clone());
            for source in &mut sources {
                source.settle(mode);
            }
            State {
                domaincfg: if on { DomainCfg::IE } else { 0 },
                mode,
                sources,
                idcs: idcs.map(|(idelivery, iforce, ithreshold)| Idc {
                    idelivery,
                    iforce,
                    ithreshold,
                }),
                hart_mask: 0x3fff,
                no_targets: false,
                sent: Vec::new(),
                lazy: false,
                moves: None,
                started: false,
            }
        })
}

proptest! {
    /// Whatever the registers hold, nothing comes of it when the domain delivers again, and all
    /// sources can be used by all harts.
    #[test]
    fn what_was_left_is_gone(state in any_state(), number in 1..=SOURCES as u32) {
        let mode = state.mode;
        let model = Model(RefCell::new(state));
        let domain = started(&model, mode);

        prop_assert_eq!(model.sent(), []);
        for hart in 0..HARTS {
            prop_assert!(!model.with(|state| state.asserted(hart)));
        }
        for other in 1..=SOURCES as u32 {
            domain.unmask(source(other));
        }
        prop_assert_eq!(model.sent(), []);

        let source = source(number);
        for index in 0..HARTS {
            model.wire(source, false);
            domain.mask(source);
            domain.set_target(source, target(index));
            prop_assert_eq!(domain.configure(source, SourceMode::Level1), Ok(()));
            domain.unmask(source);
            model.wire(source, true);
            match mode {
                DeliveryMode::Msi => {
                    prop_assert_eq!(model.sent(), [(source.index(), target(index))]);
                }
                DeliveryMode::Direct => {
                    prop_assert!(model.with(|state| state.asserted(index)));
                    prop_assert_eq!(
                        claim(&domain, index).map(|top| top.source),
                        Some(source)
                    );
                }
            }
        }
    }

    /// A domain that loses its power, and what it held, is what it was afterwards: no edge is lost or
    /// made up, and levels are what their wires are.
    #[test]
    fn power_comes_back(
        state in any_state(),
        uses in prop::collection::vec((0..MODES.len() + 1, any::<(bool, bool)>(), 0..HARTS), SOURCES),
        garbage in any_state(),
        rises in prop::collection::vec(any::<bool>(), SOURCES + 1),
        kept: bool,
    ) {
        let mode = state.mode;
        let model = Model(RefCell::new(state));
        let domain = started(&model, mode);

        for (number, &(which, (enabled, edge), hart)) in (1..).zip(&uses) {
            let source = source(number);
            let Some(&wanted) = MODES.get(which) else { continue };

            domain.set_target(source, target(hart));
            domain.configure(source, wanted).unwrap();
            if edge {
                let level = model.source(source, |s| s.wire);
                model.wire(source, !level);
                model.wire(source, level);
            }
            if enabled {
                domain.unmask(source);
            }
        }
        let _ = model.sent();
        domain.save();
        let before = model.with(|state| state.clone());

        // Nobody looks at the wires while there is no power, or somebody does.
        model.with(|state| {
            if kept {
                return;
            }
            let garbage = garbage.sources.iter().zip(&rises);

            for (source, (other, rises)) in state.sources.iter_mut().zip(garbage) {
                *source = Source { wire: source.wire ^ rises, eager: source.eager, ..other.clone() };
                source.settle(mode);
            }
            state.domaincfg = 0;
            state.idcs = [Idc::default(); HARTS];
        });
        if kept {
            for (number, rises) in (1..=SOURCES as u32).zip(&rises) {
                let source = source(number);
                let level = model.source(source, |s| s.wire);
                model.wire(source, level ^ rises);
            }
        }
        let _ = model.sent();
        let away = model.with(|state| state.clone());
        domain.restore(
            |domain| (0..HARTS).all(|index| mode == DeliveryMode::Msi || domain.is_open(hart(index))),
            |domain| (0..HARTS).for_each(|index| domain.open_idc(hart(index))),
        );

        let after = model.with(|state| state.clone());
        prop_assert_eq!(after.domaincfg, before.domaincfg);
        let mut expected = Vec::new();
        for (number, (was, is)) in before.sources.iter().zip(&after.sources).enumerate() {
            prop_assert_eq!(
                (was.mode, was.target, was.enabled),
                (is.mode, is.target, is.enabled)
            );
            let rises = !was.input() && is.input();
            if kept {
                // What may have met a hart without power.
                let again = match was.mode {
                    mode if mode.is_level() => is.input(),
                    mode => mode.is_edge() && rises,
                };

                if mode == DeliveryMode::Msi && again {
                    if is.enabled {
                        expected.push((number, is.target));
                    }
                    prop_assert_eq!(is.pending, !is.enabled);
                } else {
                    prop_assert_eq!(is.pending, away.sources[number].pending);
                }
                continue;
            }
            let pending = match was.mode.is_level() {
                true => is.input(),
                false => was.pending || rises,
            };
            let leaves = mode == DeliveryMode::Msi && is.enabled;
            prop_assert_eq!(is.pending, pending && !leaves, "{} {:?}", number, is);
            if pending && leaves {
                expected.push((number, is.target));
            }
        }
        prop_assert_eq!(model.sent(), expected);
        if mode == DeliveryMode::Direct {
            for index in 0..HARTS {
                prop_assert!(domain.is_open(hart(index)));
            }
        }
    }

    /// A change that fails changes nothing, from any mode to any other, whatever the source makes
    /// of it.
    #[test]
    fn failed_change_leaves_the_former_mode(
        state in any_state(),
        from in prop::sample::select(&MODES),
        to in prop::sample::select(&MODES),
        fallback in prop::sample::select(&[Fallback::Keep, Fallback::Inactive, Fallback::Detached]),
        pending: bool,
    ) {
        prop_assume!(from != to);
        let mode = state.mode;
        let model = Model(RefCell::new(state));
        let domain = started(&model, mode);
        let (source, goes) = (source(7), target(1));
        // The level at which it is asserted, or after its edge.
        let active = matches!(from, SourceMode::Edge1 | SourceMode::Level1);

        model.wire(source, !active);
        model.source(source, |s| (s.lacks, s.fallback) = (Some(to), fallback));
        domain.set_target(source, goes);
        prop_assert_eq!(domain.configure(source, from), Ok(()));
        if pending {
            model.wire(source, active);
        }

        prop_assert_eq!(domain.configure(source, to), Err(Unsupported));
        prop_assert_eq!(model.source(source, |s| (s.mode, s.target)), (from, goes));
        prop_assert_eq!(model.sent(), []);

        domain.unmask(source);
        let came = |model: &Model| match mode {
            DeliveryMode::Msi => model.sent() == [(source.index(), goes)],
            DeliveryMode::Direct => claim(&domain, 1).is_some(),
        };
        prop_assert_eq!(came(&model), pending);
        model.wire(source, !active);
        model.wire(source, active);
        prop_assert!(came(&model));
    }
}

#[test]
fn a_domain_of_the_other_mode_is_refused_and_quiet() {
    for (has, wanted) in [
        (DeliveryMode::Msi, DeliveryMode::Direct),
        (DeliveryMode::Direct, DeliveryMode::Msi),
    ] {
        let model = Model::new(has);
        let domain = take(&model, wanted);
        let written = DomainCfg::new(false, wanted).get();
        let read = 0x8000_0000 | DomainCfg::new(false, has).get();

        assert_eq!(domain.choose_mode(), Err(WrongMode { written, read }));
        assert!(domain.start().is_err());
        assert!(!model.with(|state| state.is_on()));
    }
}

#[test]
fn delivers_from_start_to_stop() {
    let model = Model::new(DeliveryMode::Msi);
    let domain = take(&model, DeliveryMode::Msi);
    let source = source(9);

    domain.choose_mode().unwrap();
    domain.set_target(source, 5);
    domain.configure(source, SourceMode::Edge1).unwrap();
    domain.unmask(source);
    model.wire(source, true);
    assert_eq!(model.sent(), []);
    domain.start().unwrap();
    assert_eq!(model.sent(), [(9, 5)]);
    domain.stop();
    model.wire(source, false);
    model.wire(source, true);
    assert_eq!(model.sent(), []);
}

#[test]
fn a_target_is_kept_for_when_the_source_is_active() {
    let model = Model::new(DeliveryMode::Direct);
    let domain = started(&model, DeliveryMode::Direct);
    let source = source(32);

    // Read-only zero: it cannot be told whether it would be taken.
    assert!(set_target(&domain, source, target(2)));
    assert_eq!(model.source(source, |s| s.target), 0);
    domain.configure(source, SourceMode::Edge0).unwrap();
    assert_eq!(model.source(source, |s| s.target), target(2));

    domain.configure(source, SourceMode::Inactive).unwrap();
    assert!(set_target(&domain, source, target(0)));
    domain.configure(source, SourceMode::Edge0).unwrap();
    assert_eq!(model.source(source, |s| s.target), target(0));
}

#[test]
fn a_target_that_is_not_taken_is_told() {
    let model = Model::new(DeliveryMode::Direct);
    let domain = started(&model, DeliveryMode::Direct);
    let source = source(1);

    model.with(|state| state.hart_mask = 1);
    domain.configure(source, SourceMode::Edge1).unwrap();
    assert!(set_target(&domain, source, target(1)));
    assert!(!set_target(&domain, source, target(2)));
}

/// Reads of a device take long.
#[test]
fn what_targets_have_taken_is_not_read_back_again() {
    let model = Model::new(DeliveryMode::Msi);
    let domain = started(&model, DeliveryMode::Msi);
    let (one, other) = (source(1), source(40));

    for source in [one, other] {
        domain.configure(source, SourceMode::Edge1).unwrap();
    }
    assert!(set_target(&domain, one, 0x0008_0005));
    assert!(set_target(&domain, one, 0x0004_0002));
    model.with(|state| state.no_targets = true);
    for target in [0x000c_0007, 0x0008_0003, 0] {
        assert!(set_target(&domain, other, target));
        assert_eq!(model.source(other, |s| s.target), target);
    }
    // A bit that has not been seen yet.
    model.with(|state| (state.no_targets, state.hart_mask) = (false, 3));
    assert!(!set_target(&domain, other, 0x0014_0005));
}

#[test]
fn levels_come_again_as_long_as_they_are_there() {
    let model = Model::new(DeliveryMode::Msi);
    let domain = started(&model, DeliveryMode::Msi);
    let source = source(3);

    // Asserted before it is configured.
    domain.set_target(source, 6);
    domain.configure(source, SourceMode::Level0).unwrap();
    domain.unmask(source);
    assert_eq!(model.sent(), [(3, 6)]);
    domain.retrigger(source, SourceMode::Level0);
    assert_eq!(model.sent(), [(3, 6)]);
    model.wire(source, true);
    domain.retrigger(source, SourceMode::Level0);
    assert_eq!(model.sent(), []);

    // An edge is no level.
    domain.configure(source, SourceMode::Edge1).unwrap();
    domain.retrigger(source, SourceMode::Edge1);
    assert_eq!(model.sent(), []);
}

#[test]
fn a_hart_is_interrupted_while_its_idc_is_open() {
    let model = Model::new(DeliveryMode::Direct);
    let domain = started(&model, DeliveryMode::Direct);
    let source = source(40);

    domain.set_target(source, target(1));
    domain.configure(source, SourceMode::Level1).unwrap();
    model.wire(source, true);
    assert!(!model.with(|state| state.asserted(1)));
    domain.unmask(source);
    assert!(model.with(|state| state.asserted(1)));
    domain.close_idc(hart(1));
    assert!(!model.with(|state| state.asserted(1)));
    domain.open_idc(hart(1));
    domain.mask(source);
    assert!(!model.with(|state| state.asserted(1)));
    assert_eq!(claim(&domain, 1), None);
}

#[test]
fn needs_a_word_for_each_source() {
    let model = Model::new(DeliveryMode::Msi);
    let sources = NrSources::new(SOURCES as u32 + 1).unwrap();

    let domain = |targets, saved| {
        Domain::new(
            &model,
            sources,
            DeliveryMode::Msi,
            words(targets),
            words(saved),
        )
    };
    let (targets, saved) = (SOURCES + 2, saved_words(sources));

    assert!(domain(targets - 1, saved).is_none());
    assert!(domain(targets + 1, saved).is_none());
    assert!(domain(targets, saved - 1).is_none());
    assert!(!model.with(|state| state.started));
    let domain = domain(targets, saved).unwrap();

    for number in [0, 1, SOURCES + 1, SOURCES + 2, 1 << 32 | 1, usize::MAX] {
        let exists = (1..=SOURCES + 1).contains(&number);

        assert_eq!(
            domain.source(number).map(SourceId::index),
            exists.then_some(number)
        );
    }
}

/// The power domain is off when the system goes to sleep, and still is when that wakes up.
#[test]
fn registers_that_are_gone_are_not_looked_at() {
    let model = Model::new(DeliveryMode::Msi);
    let domain = started(&model, DeliveryMode::Msi);
    let source = source(3);

    domain.set_target(source, 6);
    domain.configure(source, SourceMode::Edge1).unwrap();
    domain.unmask(source);
    domain.save();
    let before = model.with(|state| {
        let before = state.clone();

        *state = State {
            started: true,
            ..Model::new(DeliveryMode::Msi).0.into_inner()
        };
        before
    });
    let lost = model.with(|state| format!("{state:?}"));

    domain.save();
    domain.restore(|_| true, |_| ());
    assert_eq!(model.with(|state| format!("{state:?}")), lost);
    domain.restore(|_| true, |_| ());
    assert_eq!(
        model.with(|state| format!("{state:?}")),
        format!("{before:?}")
    );
    // Once too often.
    domain.restore(|_| true, |_| ());
    assert!(set_target(&domain, source, 7));
    assert_eq!(model.source(source, |s| s.target), 7);
}

/// Wherever it comes: the input is low before and high afterwards.
#[test]
fn an_edge_in_the_middle_of_save_or_restore_is_kept() {
    for (count, eager) in (0..400).flat_map(|count| [(count, false), (count, true)]) {
        for in_save in [false, true] {
            let model = Model::new(DeliveryMode::Msi);
            let domain = started(&model, DeliveryMode::Msi);
            let source = source(33);

            model.source(source, |s| s.eager = eager);
            domain.set_target(source, 6);
            domain.configure(source, SourceMode::Edge1).unwrap();
            let restore = || domain.restore(|_| true, |_| ());
            if in_save {
                model.while_it_moves(source, count, || domain.save());
                model.lose();
                restore();
            } else {
                domain.save();
                model.lose();
                model.while_it_moves(source, count, restore);
            }
            domain.unmask(source);
            assert_eq!(model.sent(), [(33, 6)], "{count} {in_save} {eager}");
        }
    }
}

#[test]
fn an_edge_in_the_middle_of_a_change_that_fails_is_kept() {
    for count in 0..20 {
        for fallback in [Fallback::Keep, Fallback::Inactive, Fallback::Detached] {
            let model = Model::new(DeliveryMode::Msi);
            let domain = started(&model, DeliveryMode::Msi);
            let source = source(7);

            model.source(source, |s| {
                (s.lacks, s.fallback) = (Some(SourceMode::Level0), fallback);
            });
            domain.set_target(source, 6);
            domain.configure(source, SourceMode::Edge1).unwrap();
            model.while_it_moves(source, count, || {
                assert_eq!(
                    domain.configure(source, SourceMode::Level0),
                    Err(Unsupported)
                );
            });
            domain.unmask(source);
            assert_eq!(model.sent(), [(7, 6)], "{count} {fallback:?}");
        }
    }
}

/// The registers are kept, but the MSI may have met a hart without power.
#[test]
fn an_edge_that_left_after_save_is_sent_again() {
    let model = Model::new(DeliveryMode::Msi);
    let domain = started(&model, DeliveryMode::Msi);
    let source = source(40);

    domain.set_target(source, 6);
    domain.configure(source, SourceMode::Edge1).unwrap();
    domain.unmask(source);
    model.with(|state| state.lazy = true);
    model.wire(source, true);
    domain.save();
    model.with(|state| {
        state.lazy = false;
        state.forward();
    });
    assert_eq!(model.sent(), [(40, 6)]);
    domain.restore(|_| true, |_| ());
    assert_eq!(model.sent(), [(40, 6)]);
}

/// No MSI can have taken it along.
#[test]
fn an_edge_that_only_lost_its_pending_bit_is_claimed() {
    for enabled in [false, true] {
        let model = Model::new(DeliveryMode::Direct);
        let domain = started(&model, DeliveryMode::Direct);
        let source = source(40);

        domain.set_target(source, target(1));
        domain.configure(source, SourceMode::Edge1).unwrap();
        if enabled {
            domain.unmask(source);
        }
        model.wire(source, true);
        domain.save();
        model.source(source, |s| s.pending = false);
        domain.restore(|_| true, |_| ());
        domain.unmask(source);
        assert_eq!(claim(&domain, 1).map(|top| top.source), Some(source));
    }
}

type Deed = fn(&Domain<&'static Model, Watched>);

/// A domain to which something happens when somebody looks at its words.
struct Shared {
    domain: OnceCell<Domain<&'static Model, Watched>>,
    /// After how many looks, and what.
    deed: Cell<Option<(u32, Deed)>>,
}

struct Watched(Vec<Word>, Weak<Shared>);

impl Deref for Watched {
    type Target = [Word];

    fn deref(&self) -> &[Word] {
        if let Some(shared) = self.1.upgrade() {
            match shared.deed.take() {
                Some((0, deed)) => deed(shared.domain.get().unwrap()),
                Some((looks, deed)) => shared.deed.set(Some((looks - 1, deed))),
                None => {}
            }
        }
        &self.0
    }
}

/// A domain that delivers MSIs, with an edge-sensitive source 9.
fn shared() -> (&'static Model, Rc<Shared>) {
    let model: &'static Model = Box::leak(Box::new(Model::new(DeliveryMode::Msi)));
    let sources = NrSources::new(SOURCES as u32).unwrap();
    let shared = Rc::new(Shared {
        domain: OnceCell::new(),
        deed: Cell::new(None),
    });
    let watched = |count| Watched(words(count), Rc::downgrade(&shared));
    let (all, saved) = (watched(SOURCES + 1), watched(saved_words(sources)));
    let domain = Domain::new(model, sources, DeliveryMode::Msi, all, saved).unwrap();

    domain.choose_mode().unwrap();
    domain.set_target(source(9), 6);
    domain.configure(source(9), SourceMode::Edge1).unwrap();
    domain.start().unwrap();
    assert!(shared.domain.set(domain).is_ok());
    (model, shared)
}

/// A source is configured while power comes back.
#[test]
fn a_change_that_fails_as_power_comes_back_leaves_the_former_mode() {
    for (looks, lacks) in (0..12).flat_map(|looks| [(looks, false), (looks, true)]) {
        let (model, shared) = shared();
        let domain = shared.domain.get().unwrap();
        let source = source(9);

        model.source(source, |s| {
            s.lacks = lacks.then_some(SourceMode::Level1);
        });
        domain.save();
        model.lose();
        shared
            .deed
            .set(Some((looks, |domain| domain.restore(|_| true, |_| ()))));
        let done = domain.configure(source, SourceMode::Level1);

        if shared.deed.take().is_some() {
            // Too late: nobody can know what the source has.
            assert!(domain.is_off());
            continue;
        }
        let (wanted, mode) = match lacks {
            true => (Err(Unsupported), SourceMode::Edge1),
            false => (Ok(()), SourceMode::Level1),
        };
        assert_eq!(done, wanted);
        assert_eq!(model.source(source, |s| s.mode), mode, "{looks}");
    }
}

/// The source takes a mode that it does not have for the one that it gets while power comes back.
#[test]
fn a_level_whose_mode_is_there_by_chance_comes() {
    for looks in 0..400 {
        let (model, shared) = shared();
        let domain = shared.domain.get().unwrap();
        let source = source(9);

        model.source(source, |s| {
            (s.lacks, s.fallback) = (Some(SourceMode::Level0), Fallback::Level1);
        });
        domain.save();
        // Nobody can know without power.
        domain.configure(source, SourceMode::Level0).unwrap();
        model.lose();
        model.wire(source, true);
        let deed: Deed = |domain| {
            domain
                .configure(self::source(9), SourceMode::Level1)
                .unwrap()
        };
        shared.deed.set(Some((looks, deed)));
        domain.restore(|_| true, |_| ());
        if let Some((_, deed)) = shared.deed.take() {
            deed(domain);
        }
        domain.unmask(source);
        assert_eq!(model.sent(), [(9, 6)], "{looks}");
    }
}

/// When power is back, sources are in the hands of others, who may be about to change them.
#[test]
fn what_nobody_has_changed_is_left_alone_when_power_is_back() {
    for kept in [false, true] {
        let model = Model::new(DeliveryMode::Msi);
        let domain = started(&model, DeliveryMode::Msi);
        let (changed, other) = (source(3), source(4));

        for source in [changed, other] {
            domain.configure(source, SourceMode::Edge1).unwrap();
        }
        domain.save();
        if !kept {
            model.lose();
        }
        domain.restore(
            |domain| {
                domain.set_target(changed, 7);
                // Somebody who has found power.
                model.source(other, |s| s.target = 8);
                true
            },
            |domain| domain.set_target(changed, 7),
        );
        let target = |source| model.source(source, |s| s.target);

        assert_eq!(target(changed), 7);
        assert_eq!(target(other), if kept { 8 } else { 0 });
    }
}
