// SPDX-License-Identifier: GPL-2.0

//! The registers of an interrupt domain, as AIA 4.5 to 4.9 have them, that takes every liberty which
//! these give: what is UNSPECIFIED is anything, what is *WARL* has few legal values.
//!
//! It panics at what a driver has no business with: reserved bytes and values, sources and harts that
//! do not exist, registers without power.

/// Bits of `domaincfg`.
const IE: u32 = 1 << 8;
const DM: u32 = 1 << 2;
const BE: u32 = 1 << 0;

/// The value of `mmsiaddrcfg` with which MSIs arrive.
pub(super) const ADDRESS: u32 = 0x28000;

/// What an implementation is free to choose.
#[derive(Clone, Debug)]
pub(super) struct Features {
    pub(super) direct: bool,
    pub(super) msi: bool,
    /// Whether BE can be 0, and 1.
    pub(super) little: bool,
    pub(super) big: bool,
    pub(super) hart_bits: u32,
    pub(super) iprio_bits: u32,
    pub(super) eiid_bits: u32,
    /// Of four writes to `sourcecfg`, how many make a source pending whose input is high.
    pub(super) eager: u64,
    /// MSIs are sent some time later.
    pub(super) lazy: bool,
    /// It has `mmsiaddrcfg`.
    pub(super) machine_level: bool,
}

impl Features {
    /// What a target register of an active source holds after a write of `value`.
    pub(super) fn target(&self, msi: bool, value: u32) -> u32 {
        let low = |bits: u32| value & ((1 << bits) - 1);
        let hart = (value >> 18) & ((1 << self.hart_bits) - 1);

        match msi {
            true => hart << 18 | low(self.eiid_bits),
            false => hart << 18 | low(self.iprio_bits).max(1),
        }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) mode: u32,
    pub(super) pending: bool,
    pub(super) enabled: bool,
    pub(super) target: u32,
    wire: bool,
    /// A bit for each mode that it has, and which of them becomes of the others; [`None`] if it is
    /// the one that it was.
    pub(super) modes: u32,
    pub(super) fallback: Option<u32>,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Idc {
    pub(super) idelivery: u32,
    pub(super) iforce: u32,
    pub(super) ithreshold: u32,
}

#[derive(Debug)]
pub(super) struct Device {
    pub(super) features: Features,
    /// Source 0 is there, and never used.
    pub(super) sources: Vec<Source>,
    pub(super) ie: bool,
    pub(super) dm: bool,
    be: bool,
    /// Software can know BE.
    be_known: bool,
    /// By the harts' index numbers.
    pub(super) idcs: Vec<Option<Idc>>,
    pub(super) address: u32,
    genmsi: u32,
    /// How often `genmsi` is still read as busy.
    busy: u32,
    /// Sources and targets of MSIs; source 0 is `genmsi`.
    sent: Vec<(u32, u32)>,
    pub(super) powered: bool,
    pub(super) accesses: u64,
    random: u64,
}

/// AIA 4.5.2.
pub(super) fn rectified(mode: u32, wire: bool) -> bool {
    match mode {
        4 | 6 => wire,
        5 | 7 => !wire,
        _ => false,
    }
}

pub(super) fn is_edge(mode: u32) -> bool {
    mode == 4 || mode == 5
}

pub(super) fn is_level(mode: u32) -> bool {
    mode == 6 || mode == 7
}

impl Source {
    fn input(&self) -> bool {
        rectified(self.mode, self.wire)
    }

    pub(super) fn has(&self, mode: u32) -> bool {
        self.modes >> mode & 1 != 0
    }

    /// A level is never pending when it is low; without MSIs it always is when it is high (AIA 4.7).
    fn follow(&mut self, msi: bool) {
        if is_level(self.mode) {
            self.pending = self.input() && (!msi || self.pending);
        }
    }

    /// A write that sets the pending bit, if possible (AIA 4.7).
    fn set_pending(&mut self, msi: bool) {
        self.pending |= match is_level(self.mode) {
            true => msi && self.input(),
            false => self.mode != 0,
        };
    }

    fn clear_pending(&mut self, msi: bool) {
        self.pending = false;
        self.follow(msi);
    }
}

impl Device {
    /// With anything in its registers; `harts` are index numbers of harts.
    pub(super) fn new(features: Features, nr_sources: u32, harts: &[u32], random: u64) -> Self {
        let source = Source {
            mode: 0,
            pending: false,
            enabled: false,
            target: 0,
            wire: false,
            modes: 0b1111_0011,
            fallback: None,
        };
        let last = harts.iter().max().map_or(0, |hart| *hart as usize + 1);
        let mut device = Self {
            features,
            sources: vec![source; nr_sources as usize + 1],
            ie: false,
            dm: false,
            be: false,
            be_known: false,
            idcs: vec![None; last],
            address: 0,
            genmsi: 0,
            busy: 0,
            sent: Vec::new(),
            powered: true,
            accesses: 0,
            random,
        };

        for hart in harts {
            device.idcs[*hart as usize] = Some(Idc::default());
        }
        device
    }

    fn random(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }

    fn random_target(&mut self) -> u32 {
        let any = self.random() as u32;

        self.features.target(self.dm, any)
    }

    /// All registers hold anything, but that is valid and consistent (AIA 4.6).
    pub(super) fn scramble(&mut self, seed: u64, ie: bool) {
        self.random = seed << 1 | 1;
        let any = self.random() >> 8;
        let features = &self.features;

        self.ie = ie;
        self.dm = features.msi && (!features.direct || any & 1 != 0);
        self.be = features.big && (!features.little || any & 2 != 0);
        self.be_known = false;
        self.address = any as u32;
        (self.genmsi, self.busy) = (0, 0);
        for number in 1..self.sources.len() {
            let any = self.random() >> 16;
            let target = self.random_target();
            let msi = self.dm;
            let source = &mut self.sources[number];
            let mode = (any & 7) as u32;

            source.mode = if source.has(mode) { mode } else { 0 };
            let active = source.mode != 0;

            source.pending = active && any & 8 != 0;
            source.enabled = active && any & 16 != 0;
            source.target = if active { target } else { 0 };
            source.follow(msi);
        }
        for hart in 0..self.idcs.len() {
            let any = self.random() >> 16;
            let iprio = (any >> 2) as u32 & ((1 << self.features.iprio_bits) - 1);

            if let Some(idc) = &mut self.idcs[hart] {
                *idc = Idc {
                    idelivery: any as u32 & 1,
                    iforce: (any >> 1) as u32 & 1,
                    ithreshold: iprio,
                };
            }
        }
        self.forward();
    }

    /// No source is pending any more, but for levels.
    pub(super) fn lose_pending(&mut self) {
        for source in &mut self.sources {
            source.clear_pending(self.dm);
        }
    }

    /// What the driver has brought about, and the harts can see.
    pub(super) fn take_sent(&mut self) -> Vec<(u32, u32)> {
        std::mem::take(&mut self.sent)
    }

    /// Sends what is due (AIA 4.9).
    pub(super) fn forward(&mut self) {
        if !self.ie || !self.dm {
            return;
        }
        for (number, source) in (0..).zip(&mut self.sources) {
            if source.pending && source.enabled {
                source.pending = false;
                self.sent.push((number, source.target));
            }
        }
    }

    fn forward_soon(&mut self) {
        if !self.features.lazy {
            self.forward();
        }
    }

    pub(super) fn set_wire(&mut self, number: u32, high: bool) {
        let msi = self.dm;
        let source = &mut self.sources[number as usize];
        let before = source.input();

        source.wire = high;
        source.pending |= !before && source.input();
        source.follow(msi);
        self.forward_soon();
    }

    /// The value of `topi` (AIA 4.8.1).
    fn top(&self, hart: usize) -> u32 {
        let threshold = self.idcs[hart].map_or(0, |idc| idc.ithreshold);

        (0..)
            .zip(&self.sources)
            .filter(|(_, s)| s.pending && s.enabled && (s.target >> 18) as usize == hart)
            .map(|(number, s)| (s.target & 0xff, number))
            .filter(|(iprio, _)| threshold == 0 || *iprio < threshold)
            .min()
            .map_or(0, |(iprio, number): (u32, u32)| number << 16 | iprio)
    }

    fn claim(&mut self, hart: usize) -> u32 {
        let top = self.top(hart);
        let source = &mut self.sources[(top >> 16) as usize];

        if top == 0 {
            if let Some(idc) = &mut self.idcs[hart] {
                idc.iforce = 0;
            }
        } else if !is_level(source.mode) {
            source.pending = false;
        }
        top
    }

    /// Whether the external interrupt of a hart is asserted (AIA 4.8.2).
    pub(super) fn signals(&self, hart: u32) -> bool {
        let hart = hart as usize;
        let Some(idc) = self.idcs[hart] else {
            return false;
        };

        !self.dm && self.ie && idc.idelivery == 1 && (idc.iforce == 1 || self.top(hart) != 0)
    }

    /// Checks an access; returns the byte order of the register.
    fn access(&mut self, offset: usize) -> bool {
        assert!(self.powered, "{offset:#x} is accessed without power");
        assert!(offset % 4 == 0, "{offset:#x} is misaligned");
        assert!(
            offset == 0 || self.be_known,
            "{offset:#x} is accessed in any byte order"
        );
        self.accesses += 1;
        self.be && offset != 0x2000
    }

    /// The field Hart Index is *WLRL*; identity 0 goes nowhere.
    fn check_hart(&self, target: u32) {
        let hart = self.idcs.get((target >> 18) as usize);

        assert!(
            hart.is_some_and(Option::is_some) || self.dm && target & 0x7ff == 0,
            "there is no hart {}",
            target >> 18
        );
    }

    fn existing(&self, number: usize) -> usize {
        assert!(
            (1..self.sources.len()).contains(&number),
            "there is no source {number}"
        );
        number
    }

    /// The first source of a word of bits, of which there is one.
    fn first_of(&self, word: usize) -> usize {
        assert!(32 * word < self.sources.len(), "there is no word {word}");
        32 * word
    }

    fn bits(&self, word: usize, of: impl Fn(&Source) -> bool) -> u32 {
        let first = self.first_of(word);

        (0..32)
            .filter(|bit| {
                let number = first + bit;

                number != 0 && self.sources.get(number).is_some_and(&of)
            })
            .fold(0, |bits, bit| bits | 1 << bit)
    }

    /// Reads a register.
    pub(super) fn read(&mut self, offset: usize) -> u32 {
        let swapped = self.access(offset);
        let value = self.get(offset);

        self.be_known = true;
        match swapped {
            true => value.swap_bytes(),
            false => value,
        }
    }

    fn get(&mut self, offset: usize) -> u32 {
        let bit = |flag, bit| if flag { bit } else { 0 };

        match offset {
            0 => 0x8000_0000 | bit(self.ie, IE) | bit(self.dm, DM) | bit(self.be, BE),
            0x0004..=0x0fff => self.sources[self.existing(offset / 4)].mode,
            0x1bc0 if self.features.machine_level => self.address,
            0x1c00..=0x1c7f => self.bits((offset - 0x1c00) / 4, |s| s.pending),
            0x1d00..=0x1d7f => self.bits((offset - 0x1d00) / 4, Source::input),
            0x1e00..=0x1e7f => self.bits((offset - 0x1e00) / 4, |s| s.enabled),
            0x3000 if self.dm => self.read_genmsi(),
            0x3004..=0x3fff => self.sources[self.existing((offset - 0x3000) / 4)].target,
            0x4000.. if self.features.direct => {
                let hart = (offset - 0x4000) / 32;
                let idc = self.idcs[hart].expect("an IDC of no hart");

                match offset % 32 {
                    0x00 => idc.idelivery,
                    0x04 => idc.iforce,
                    0x08 => idc.ithreshold,
                    0x18 => self.top(hart),
                    0x1c => self.claim(hart),
                    _ => panic!("{offset:#x} is reserved"),
                }
            }
            _ => panic!("{offset:#x} is reserved, or cannot be read"),
        }
    }

    /// The extempore MSI leaves some time later (AIA 4.5.15).
    fn read_genmsi(&mut self) -> u32 {
        match self.busy {
            0 => return self.genmsi,
            1 => {
                let msi = (0, self.genmsi);

                self.forward();
                self.sent.push(msi);
            }
            _ => {}
        }
        self.busy -= 1;
        self.genmsi | u32::from(self.busy != 0) << 12
    }

    /// Writes a register.
    pub(super) fn write(&mut self, offset: usize, value: u32) {
        let swapped = self.access(offset);
        let value = match swapped {
            true => value.swap_bytes(),
            false => value,
        };

        assert!(
            self.be_known || value == value.swap_bytes(),
            "domaincfg is written in any byte order"
        );
        self.set(offset, value);
        self.forward_soon();
    }

    fn set(&mut self, offset: usize, value: u32) {
        let msi = self.dm;

        match offset {
            0 => self.write_domaincfg(value),
            0x0004..=0x0fff => self.write_sourcecfg(self.existing(offset / 4), value),
            0x1bc0 if self.features.machine_level => self.address = value,
            0x1c00..=0x1c7f => self.each((offset - 0x1c00) / 4, value, |s| s.set_pending(msi)),
            0x1d00..=0x1d7f => self.each((offset - 0x1d00) / 4, value, |s| s.clear_pending(msi)),
            0x1e00..=0x1e7f => self.each((offset - 0x1e00) / 4, value, |s| {
                s.enabled = s.mode != 0;
            }),
            0x1f00..=0x1f7f => self.each((offset - 0x1f00) / 4, value, |s| s.enabled = false),
            0x1cdc | 0x2000 => self.one(value, |s| s.set_pending(msi)),
            0x1ddc => self.one(value, |s| s.clear_pending(msi)),
            0x1edc => self.one(value, |s| s.enabled = s.mode != 0),
            0x1fdc => self.one(value, |s| s.enabled = false),
            0x3000 if msi => {
                assert_eq!(value & 0x3f800, 0, "genmsi has no bits {value:#x}");
                self.check_hart(value);
                if self.busy == 0 {
                    self.genmsi = self.features.target(true, value);
                    self.busy = 1 + (self.random() >> 16) as u32 % 4;
                }
            }
            0x3004..=0x3fff => self.write_target(self.existing((offset - 0x3000) / 4), value),
            0x4000.. if self.features.direct => {
                let hart = (offset - 0x4000) / 32;
                let idc = self.idcs[hart].as_mut().expect("an IDC of no hart");
                let (register, most) = match offset % 32 {
                    0x00 => (&mut idc.idelivery, 1),
                    0x04 => (&mut idc.iforce, 1),
                    0x08 => (&mut idc.ithreshold, (1 << self.features.iprio_bits) - 1),
                    _ => panic!("{offset:#x} is reserved"),
                };

                assert!(value <= most, "{offset:#x} does not take {value:#x}");
                *register = value;
            }
            _ => panic!("{offset:#x} is reserved"),
        }
    }

    fn each(&mut self, word: usize, value: u32, f: impl Fn(&mut Source)) {
        let first = self.first_of(word);

        for bit in (0..32).filter(|bit| value >> bit & 1 != 0) {
            let number = self.existing(first + bit);

            f(&mut self.sources[number]);
        }
    }

    fn one(&mut self, number: u32, f: impl Fn(&mut Source)) {
        let number = self.existing(number as usize);

        f(&mut self.sources[number]);
    }

    /// AIA 4.5.1.
    fn write_domaincfg(&mut self, value: u32) {
        // The highest byte is read-only: who meets a domain of the other byte order writes it.
        assert_eq!(
            value & 0xffffff & !(IE | DM | BE),
            0,
            "domaincfg has no {value:#x}"
        );
        let Features {
            direct,
            msi,
            little,
            big,
            ..
        } = self.features;
        let dm = msi && (!direct || value & DM != 0);

        self.ie = value & IE != 0;
        self.be = big && (!little || value & BE != 0);
        self.be_known = true;
        if dm == self.dm {
            return;
        }
        self.dm = dm;
        for number in 1..self.sources.len() {
            let target = self.random_target();
            let source = &mut self.sources[number];

            source.follow(dm);
            if source.mode != 0 {
                source.target = target;
            }
        }
    }

    /// AIA 4.5.2.
    fn write_sourcecfg(&mut self, number: usize, value: u32) {
        assert!(
            matches!(value, 0 | 1 | 4..=7),
            "sourcecfg of {number} has no {value:#x}"
        );
        let (target, eager) = (self.random_target(), self.random() >> 16 & 3);
        let (msi, eager) = (self.dm, eager < self.features.eager);
        let source = &mut self.sources[number];
        let former = source.mode;

        source.mode = match source.has(value) {
            true => value,
            false => source.fallback.unwrap_or(former),
        };
        if source.mode == 0 {
            (source.pending, source.enabled, source.target) = (false, false, 0);
        } else if former == 0 {
            source.target = target;
        }
        source.pending |= eager && source.input();
        source.follow(msi);
    }

    /// AIA 4.5.16.
    fn write_target(&mut self, number: usize, value: u32) {
        let reserved = if self.dm { 0x800 } else { 0x3ff00 };

        assert_eq!(value & reserved, 0, "target of {number}: {value:#x}");
        self.check_hart(value);
        if self.sources[number].mode != 0 {
            self.sources[number].target = self.features.target(self.dm, value);
        }
    }
}
