// SPDX-License-Identifier: GPL-2.0

//! What is to come of an interrupt domain, whatever its registers are: each source has what it was
//! given, and each edge arrives once.
//!
//! Wires move at any time, so that of some edges nobody can tell whether they were seen: those of a
//! source that is about to get another mode, or has no power, unless its input was low before and is
//! high afterwards. These may arrive or not, and others must, or must not.

use super::device::{
    is_edge,
    is_level,
    rectified, //
};

/// What an operation makes of the mode of a source.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Change {
    /// The former mode is written again.
    Same,
    /// The source gets another one that it has.
    Other,
    /// It does not have the other one.
    Failing,
    /// There is no power, and nothing else is under way.
    Asleep,
    /// Power is about to go or come back, or what the source had before was not its mode.
    Loose,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Source {
    pub(super) mode: u32,
    pub(super) enabled: bool,
    pub(super) target: u32,
    /// Targets that the register may still hold, as the new one has not been written yet.
    pub(super) stale: Vec<u32>,
    pub(super) wire: bool,
    /// One caller at a time.
    pub(super) busy: bool,
    /// The mode that is being written, and how.
    pub(super) change: Option<(Change, u32)>,
    /// The mode was recorded without power, and the source does not have it.
    pub(super) broken: bool,
    /// An edge that has to arrive.
    owed: bool,
    /// Something may arrive: of an edge that nobody may have seen, or as the specification lets a
    /// write to `sourcecfg` make an edge (AIA 4.5.2).
    may: bool,
    /// What its input was when power went, or before its mode was written: nobody looks since.
    away: Option<bool>,
    /// It was low, and is high.
    risen: bool,
    /// It rose when it was about to be looked at: if it was seen high, another edge is not seen.
    vague: bool,
    /// There was another edge meanwhile.
    unsure: bool,
    /// The mode has changed without power. Registers that are kept have gone on with the former one.
    shifted: bool,
    /// An edge of the mode that is being written, after the register had it.
    fresh: bool,
    /// An MSI is at the hart.
    pub(super) arrived: bool,
    /// A handler runs.
    pub(super) handling: bool,
}

impl Source {
    pub(super) fn input(&self) -> bool {
        rectified(self.mode, self.wire)
    }

    fn settle(&mut self, sure: bool) {
        self.owed |= self.risen || sure && self.unsure;
        self.may |= self.unsure && !sure;
        (self.away, self.risen, self.unsure) = (None, false, false);
        self.vague = false;
    }

    fn any_edge(&self) -> bool {
        self.owed || self.may || self.risen || self.unsure
    }

    fn forget_edges(&mut self) {
        (self.owed, self.may) = (false, false);
        (self.risen, self.unsure, self.fresh) = (false, false, false);
    }
}

/// The domain.
#[derive(Debug)]
pub(super) struct Model {
    pub(super) msi: bool,
    /// Source 0 is there, and never used.
    pub(super) sources: Vec<Source>,
    /// It delivers.
    pub(super) on: bool,
    /// There is no power, or it is about to go, and harts may have none.
    asleep: bool,
    /// What is to be saved is looked at; the harts are still there.
    leaving: bool,
    waking: bool,
    /// The registers hold what they did, but maybe for pending bits.
    pub(super) alive: bool,
    /// And these.
    pub(super) retained: bool,
    /// Something was written without power.
    pub(super) touched: bool,
    /// The target of an extempore MSI that has to arrive.
    pub(super) genmsi: Option<u32>,
}

impl Model {
    pub(super) fn new(msi: bool, nr_sources: u32) -> Self {
        Self {
            msi,
            sources: vec![Source::default(); nr_sources as usize + 1],
            on: false,
            asleep: false,
            leaving: false,
            waking: false,
            alive: false,
            retained: false,
            touched: false,
            genmsi: None,
        }
    }

    pub(super) fn source(&mut self, number: u32) -> &mut Source {
        &mut self.sources[number as usize]
    }

    /// A wire moves while the register holds `actual`.
    pub(super) fn set_wire(&mut self, number: u32, high: bool, actual: u32) {
        let leaving = self.leaving;
        let source = self.source(number);
        let (before, was) = (source.input(), source.wire);

        source.wire = high;
        let after = source.input();

        match source.change {
            Some((Change::Other, mode)) => {
                let (was, is) = (rectified(mode, was), rectified(mode, high));

                source.unsure |= is || after;
                source.fresh |= actual == mode && !was && is;
                return;
            }
            Some((Change::Same, _)) => source.may |= after,
            _ => {}
        }
        if !is_edge(source.mode) {
            return;
        }
        if after && !before {
            match source.away {
                None => source.owed = true,
                Some(false) => {
                    source.risen = true;
                    source.vague |= leaving;
                }
                Some(true) => source.unsure = true,
            }
        } else if before && !after {
            if std::mem::take(&mut source.risen) {
                // Too short for who looks before and afterwards.
                source.unsure = true;
            }
            if std::mem::take(&mut source.vague) {
                source.away = Some(true);
            }
        }
    }

    /// A mode is about to be written to a source that has it, or not. `stable` if there is power,
    /// `switching` if it goes or comes.
    pub(super) fn begin_change(
        &mut self,
        number: u32,
        mode: u32,
        has: bool,
        stable: bool,
        switching: bool,
    ) {
        let source = self.source(number);
        let input = source.input();
        let change = match () {
            () if mode == source.mode && has && !source.broken => Change::Same,
            () if stable && source.broken => Change::Loose,
            () if stable && has => Change::Other,
            () if stable => Change::Failing,
            () if !switching => Change::Asleep,
            () => Change::Loose,
        };

        source.busy = true;
        source.change = Some((change, mode));
        match change {
            Change::Same => source.may |= input,
            Change::Other => source.unsure |= input || rectified(mode, source.wire),
            Change::Failing => source.away = Some(input),
            Change::Asleep | Change::Loose => {}
        }
    }

    /// The mode was written, or recorded; `stable` if nothing has happened to the power meanwhile.
    pub(super) fn end_change(&mut self, number: u32, has: bool, done: bool, stable: bool) {
        let (asleep, waking) = (self.asleep, self.waking);
        let source = self.source(number);
        let Some((change, mode)) = source.change.take() else {
            return;
        };

        source.busy = false;
        match change {
            Change::Same => {}
            Change::Other if stable => {
                let may = source.any_edge();
                let fresh = source.fresh;

                source.forget_edges();
                (source.owed, source.may) = (fresh, may);
            }
            Change::Failing if stable => source.settle(false),
            // What came before was of the former mode, and nobody looks at the input.
            Change::Asleep if stable => {
                source.forget_edges();
                (source.away, source.shifted) = (Some(true), true);
            }
            _ => {
                source.forget_edges();
                source.may = true;
                source.unsure = asleep || waking;
                source.away = (asleep || waking).then_some(true);
            }
        }
        if !done {
            return;
        }
        source.mode = mode;
        source.broken = !has;
        (source.arrived, source.handling) = (false, false);
        if mode == 0 {
            source.enabled = false;
        }
        if !is_edge(mode) {
            source.forget_edges();
        }
    }

    /// Power is about to go.
    pub(super) fn leave(&mut self) {
        (self.asleep, self.leaving) = (true, true);
        (self.alive, self.retained, self.touched) = (true, true, false);
        for source in &mut self.sources {
            let changing = !matches!(source.change, None | Some((Change::Same, _)));

            source.away = Some(changing || source.input());
            source.unsure |= changing;
        }
    }

    /// All is saved.
    pub(super) fn left(&mut self) {
        self.leaving = false;
    }

    /// Power is back, as is that of the harts, where nothing has arrived.
    pub(super) fn wake(&mut self) {
        self.asleep = false;
        self.waking = true;
        for source in &mut self.sources {
            source.arrived = false;
        }
    }

    /// The domain works again.
    pub(super) fn is_back(&mut self) {
        let exact =
            self.retained && !self.touched && !self.sources.iter().any(|source| source.broken);

        self.waking = false;
        for source in &mut self.sources {
            // What was sent meanwhile may not have arrived.
            source.settle(exact && !(self.msi && source.enabled));
            source.may |= std::mem::take(&mut source.shifted) && self.alive;
            if !source.busy {
                source.stale.clear();
            }
        }
    }

    /// An MSI leaves.
    pub(super) fn sent(&mut self, number: u32, target: u32) {
        if number == 0 {
            assert_eq!(self.genmsi.take(), Some(target), "a wrong extempore MSI");
            return;
        }
        let again = self.leaving || self.waking && self.alive;
        let is_lost = self.asleep && !self.leaving;

        assert!(self.on, "source {number} is sent before delivery is on");
        let source = self.source(number);

        assert!(source.enabled, "source {number} is sent while masked");
        assert!(
            source.target == target || source.stale.contains(&target),
            "source {number} is sent to {target:#x}, not {:#x}",
            source.target
        );
        if is_lost {
            return;
        }
        source.arrived = true;
        if is_edge(source.mode) {
            assert!(source.any_edge(), "source {number} is sent without an edge");
            source.forget_edges();
            source.may = again;
        }
    }

    /// Whether source `number` has an interrupt for `hart` which it can be claimed by, for sure or
    /// maybe.
    fn claimable(&self, number: u32, hart: u32, sure: bool) -> bool {
        let source = &self.sources[number as usize];
        let targets = |target: &u32| target >> 18 == hart;
        let is_pending = match is_level(source.mode) {
            true => source.input(),
            false => source.owed || !sure && source.any_edge(),
        };

        match sure {
            true => source.enabled && !source.busy && targets(&source.target) && is_pending,
            false => {
                source.enabled
                    && (targets(&source.target) || source.stale.iter().any(targets))
                    && is_pending
            }
        }
    }

    fn priority(&self, number: u32) -> (u32, u32) {
        (self.sources[number as usize].target & 0xff, number)
    }

    /// The first source that `hart` has to find when it claims.
    pub(super) fn first(&self, hart: u32) -> Option<u32> {
        (1..self.sources.len() as u32)
            .filter(|number| self.claimable(*number, hart, true))
            .min_by_key(|number| self.priority(*number))
    }

    /// A hart has claimed something, or nothing.
    pub(super) fn claimed(&mut self, hart: u32, claim: u32) {
        let (number, iprio) = (claim >> 16, claim & 0xff);
        let first = self.first(hart);

        if number == 0 {
            assert_eq!(first, None, "hart {hart} finds nothing");
            return;
        }
        assert!(
            self.claimable(number, hart, false),
            "hart {hart} finds source {number}"
        );
        if let Some(first) = first.filter(|first| *first != number) {
            assert!(
                (iprio, number) < self.priority(first),
                "hart {hart} finds source {number} before {first}"
            );
        }
        if is_edge(self.sources[number as usize].mode) {
            self.source(number).forget_edges();
        }
    }

    /// Nothing runs: compares what is pending, and takes what is left to the hardware.
    pub(super) fn settle(&mut self, number: u32, pending: bool) {
        let msi = self.msi;
        let source = self.source(number);

        if source.mode == 0 || source.broken {
            return;
        }
        if is_level(source.mode) {
            let there = pending || msi && (source.arrived || source.handling);

            assert!(there || !source.input(), "source {number}: lost a level");
            return;
        }
        assert!(pending || !source.owed, "source {number}: lost an edge");
        assert!(
            !pending || source.owed || source.may,
            "source {number}: made up an edge"
        );
        (source.owed, source.may) = (pending, false);
    }
}
