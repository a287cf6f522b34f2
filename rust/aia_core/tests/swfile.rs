// SPDX-License-Identifier: GPL-2.0

//! Properties of an interrupt file in memory, against a model with one flag for each identity.

#![cfg(not(loom))]

use aia_core::{
    eix::EixWord,
    ids::{
        Eiid,
        NrIds, //
    },
    isel::{
        IndirectRegister, //
        Isel,
    },
    swfile::{
        Image,
        SwFile, //
    },
};
use proptest::prelude::*;

/// An interrupt file as the specification describes it, identity by identity.
struct Model {
    nr_ids: u32,
    pending: Vec<bool>,
    enabled: Vec<bool>,
    threshold: u64,
    delivery: u64,
}

/// Replaces the lowest `bits` bits of a register.
fn rmw(register: &mut u64, bits: u32, value: u64, mask: u64) -> u64 {
    let old = *register;
    for bit in (0..bits).filter(|bit| mask >> bit & 1 != 0) {
        *register = *register & !(1 << bit) | (value >> bit & 1) << bit;
    }
    old
}

/// Replaces flags `first..first + 64`, as far as they are an identity's.
fn rmw_flags(flags: &mut [bool], first: usize, value: u64, mask: u64) -> u64 {
    let mut old = 0;
    for bit in 0..64 {
        let id = first + bit;
        if id == 0 {
            continue;
        }
        if let Some(flag) = flags.get_mut(id) {
            old |= u64::from(*flag) << bit;
            if mask >> bit & 1 != 0 {
                *flag = value >> bit & 1 != 0;
            }
        }
    }
    old
}

impl Model {
    fn new(nr_ids: NrIds) -> Self {
        let flags = vec![false; nr_ids.index() + 1];
        Self {
            nr_ids: nr_ids.get(),
            pending: flags.clone(),
            enabled: flags,
            threshold: 0,
            delivery: 0,
        }
    }

    /// Whether it was not pending.
    fn pend(&mut self, id: u32) -> bool {
        id <= self.nr_ids && !std::mem::replace(&mut self.pending[id as usize], true)
    }

    fn top(&self) -> Option<u32> {
        (1..=self.nr_ids).find(|&id| {
            self.pending[id as usize]
                && self.enabled[id as usize]
                && (self.threshold == 0 || u64::from(id) < self.threshold)
        })
    }

    fn claim(&mut self) -> Option<u32> {
        let id = self.top()?;
        self.pending[id as usize] = false;
        Some(id)
    }

    fn access(&mut self, isel: u64, value: u64, mask: u64) -> Option<u64> {
        match isel {
            0x70 => Some(rmw(&mut self.delivery, 1, value, mask)),
            0x72 => Some(rmw(&mut self.threshold, 11, value, mask)),
            0x71 | 0x73..=0x7f => Some(0),
            0x80..=0xbf => {
                let first = (isel as usize - 0x80) * 32;
                Some(rmw_flags(&mut self.pending, first, value, mask))
            }
            0xc0..=0xff => {
                let first = (isel as usize - 0xc0) * 32;
                Some(rmw_flags(&mut self.enabled, first, value, mask))
            }
            _ => None,
        }
    }

    fn take_pending(&mut self, image: &mut Image) {
        for (word, eip) in image.eip.iter_mut().enumerate() {
            *eip |= rmw_flags(&mut self.pending, word * 64, 0, !0);
        }
    }

    fn take(&mut self, image: &mut Image) {
        image.eip = [0; EixWord::COUNT];
        self.take_pending(image);
        for (word, eie) in image.eie.iter_mut().enumerate() {
            *eie = rmw_flags(&mut self.enabled, word * 64, 0, !0);
        }
        image.eithreshold = std::mem::take(&mut self.threshold);
        image.eidelivery = std::mem::take(&mut self.delivery);
    }

    fn merge(&mut self, image: &Image) {
        for word in 0..EixWord::COUNT {
            rmw_flags(&mut self.pending, word * 64, !0, image.eip[word]);
            rmw_flags(&mut self.enabled, word * 64, image.eie[word], !0);
        }
        self.threshold = image.eithreshold & 0x7ff;
        self.delivery = image.eidelivery & 1;
    }
}

#[derive(Clone, Debug)]
enum Step {
    Pend(u32),
    Claim,
    Access(u64, u64, u64),
    Take,
    TakePending,
    Merge,
    Reset,
}

/// Identities that meet often, and any others.
fn identity() -> impl Strategy<Value = u32> {
    prop_oneof![3 => 60..70_u32, 1 => 1..=2047_u32]
}

/// Numbers of registers, mostly of words that are used.
fn isel() -> impl Strategy<Value = u64> {
    prop_oneof![
        4 => prop::sample::select(vec![0x80_u64, 0x82, 0xc0, 0xc2]),
        2 => prop::sample::select(vec![0x70_u64, 0x72]),
        2 => 0x70..=0xff_u64,
        1 => 0x30..=0x3f_u64,
    ]
}

fn bits() -> impl Strategy<Value = u64> {
    prop_oneof![
        2 => Just(!0),
        1 => Just(0),
        2 => (0..64_u32).prop_map(|bit| 1 << bit),
        1 => 0..=130_u64,
        2 => any::<u64>(),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => identity().prop_map(Step::Pend),
        5 => Just(Step::Claim),
        8 => (isel(), bits(), bits()).prop_map(|(n, value, mask)| Step::Access(n, value, mask)),
        1 => Just(Step::Take),
        1 => Just(Step::TakePending),
        1 => Just(Step::Merge),
        1 => Just(Step::Reset),
    ];
    prop::collection::vec(step, 1..100)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn the_file_is_what_the_specification_says(
        k in prop_oneof![1..=4_u32, 1..=32_u32],
        steps in steps(),
    ) {
        let nr_ids = NrIds::new(64 * k - 1).unwrap();
        let file = SwFile::new(nr_ids);
        let mut model = Model::new(nr_ids);
        // One image for each, which keeps what was taken.
        let mut image = Image::default();
        let mut model_image = Image::default();

        for step in steps {
            match step {
                Step::Pend(id) => {
                    prop_assert_eq!(file.pend(Eiid::new(id).unwrap()), model.pend(id));
                }
                Step::Claim => {
                    prop_assert_eq!(file.claim().map(Eiid::get), model.claim());
                }
                Step::Access(n, value, mask) => {
                    // Odd numbers of words do not exist.
                    let Some(isel) = Isel::new(n) else {
                        continue;
                    };
                    prop_assert_eq!(
                        file.access(isel.register(), value, mask),
                        model.access(n, value, mask)
                    );
                }
                Step::Take => {
                    file.take(&mut image);
                    model.take(&mut model_image);
                }
                Step::TakePending => {
                    file.take_pending(&mut image);
                    model.take_pending(&mut model_image);
                }
                Step::Merge => {
                    file.merge(&image);
                    model.merge(&model_image);
                }
                Step::Reset => {
                    file.reset();
                    model = Model::new(nr_ids);
                }
            }
            prop_assert_eq!(&image, &model_image);
            prop_assert_eq!(file.top().map(Eiid::get), model.top());
            prop_assert_eq!(
                file.is_asserted(),
                model.delivery == 1 && model.top().is_some()
            );
        }

        for n in 0..0x100 {
            if let Some(isel) = Isel::new(n) {
                prop_assert_eq!(file.access(isel.register(), 0, 0), model.access(n, 0, 0));
            }
        }
    }

    /// Whatever is pending and enabled is claimed once, in the order of its priority.
    #[test]
    fn claims_drain_the_file(
        k in 1..=32_u32,
        ids in prop::collection::btree_set(1..=2047_u32, 0..200),
        threshold in prop_oneof![Just(0), 1..=2047_u32],
    ) {
        let nr_ids = NrIds::new(64 * k - 1).unwrap();
        let file = SwFile::new(nr_ids);
        for word in EixWord::all(nr_ids) {
            prop_assert_eq!(file.access(IndirectRegister::Eie(word), !0, !0), Some(0));
        }
        file.access(IndirectRegister::Eithreshold, threshold.into(), !0);
        for &id in ids.iter().rev() {
            prop_assert_eq!(file.pend(Eiid::new(id).unwrap()), id <= nr_ids.get());
        }

        let claimed: Vec<u32> = std::iter::from_fn(|| file.claim()).map(Eiid::get).collect();
        let expected: Vec<u32> = ids
            .into_iter()
            .filter(|&id| id <= nr_ids.get() && (threshold == 0 || id < threshold))
            .collect();
        prop_assert_eq!(claimed, expected);
    }
}
