// SPDX-License-Identifier: GPL-2.0

//! The registers of a guest interrupt file, and how its state gets in and out (AIA 6.1.2).
//!
//! A store to a file's page shows in the file "eventually, but not necessarily immediately", and no
//! fence of any hart changes that. But the stores to one file take effect in the order in which they
//! come in the global memory order (AIA 3.5). So who wants to know that the file has all MSIs that
//! were sent stores one more, a *marker*, and waits until it is there: the file is *settled* then.
//! What has to be sure before is that the others' stores precede the marker in the global memory
//! order, see [`FileRegisters::store`].
//!
//! The marker is an identity that nobody sends: the highest one of the hart's file if the guest was
//! told of fewer. If it has all of them, it is the highest one that it has disabled; its pending bit
//! is kept, but an MSI of the guest with the identity, which has been on its way since before that
//! file was taken from the guest, is mistaken for the marker, and lost. A guest that uses all
//! identities of the hardware, and sends to one that it has disabled, has no better from a hart.

use crate::{
    eix::{
        mask,
        EixWord,
        EIDELIVERY_OFF,
        EITHRESHOLD_NONE, //
    },
    ids::{
        Eiid,
        NrIds, //
    },
    isel::Isel,
    swfile::Image, //
};

/// How often the marker is looked for: some milliseconds, which no store takes.
const PATIENCE: u32 = 100_000;

/// The registers of a guest interrupt file (AIA 3.8), for who runs on its hart, and nobody else
/// there meanwhile.
pub trait FileRegisters {
    /// Reads a register.
    fn read(&self, isel: Isel) -> u64;

    /// Writes a register and returns what it held.
    fn swap(&self, isel: Isel, value: u64) -> u64;

    /// Sets bits of a register.
    fn set(&self, isel: Isel, bits: u64);

    /// Clears bits of a register and returns what it held.
    fn clear(&self, isel: Isel, bits: u64) -> u64;

    /// Stores an MSI to the file. In the global memory order the store comes after those to the file
    /// that this hart has done before, and after those of another hart that this one knows to be
    /// ordered: of which it has read something that the other one has written after a `fence o, w`.
    fn store(&self, eiid: Eiid);

    /// Lets a moment pass.
    fn pause(&self);
}

/// What is known of a file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use]
pub enum Settled {
    /// All MSIs that were sent are in it, or were.
    Yes,
    /// The marker has not arrived: there is something wrong with the hardware.
    NotProven,
}

/// The identity that marks the end of what was sent to a file with `nr_ids` identities, of which the
/// guest knows `guest_ids`, and enables those that the words of `eie` say.
fn marker(nr_ids: NrIds, guest_ids: NrIds, eie: impl Iterator<Item = (EixWord, u64)>) -> Eiid {
    if guest_ids < nr_ids {
        return nr_ids.last();
    }
    eie.filter_map(|(word, eie)| {
        let highest = (!eie & word.valid_bits()).checked_ilog2()?;

        Eiid::new(word.get() * u64::BITS + highest)
    })
    .last()
    // Delivery is off meanwhile.
    .unwrap_or(nr_ids.last())
}

/// Waits until all MSIs that were sent to the file are pending. Returns whether `marker` was pending
/// before, too; its bit stays set.
fn settle(file: &impl FileRegisters, marker: Eiid) -> (bool, Settled) {
    let (register, bit) = (Isel::eip(EixWord::of(marker)), mask(marker));
    let was_pending = file.clear(register, bit) & bit != 0;

    file.store(marker);
    for _ in 0..PATIENCE {
        if file.read(register) & bit != 0 {
            return (was_pending, Settled::Yes);
        }
        file.pause();
    }
    (was_pending, Settled::NotProven)
}

/// As [`settle`], of a file that a vCPU has that does not run; nothing changes but that MSIs are there
/// that were on their way.
pub fn settle_in_use(file: &impl FileRegisters, nr_ids: NrIds, guest_ids: NrIds) -> Settled {
    let eidelivery = file.swap(Isel::EIDELIVERY, EIDELIVERY_OFF);
    let eie = EixWord::all(nr_ids).map(|word| (word, file.read(Isel::eie(word))));
    let marker = marker(nr_ids, guest_ids, eie);
    let (was_pending, settled) = settle(file, marker);

    if !was_pending {
        file.clear(Isel::eip(EixWord::of(marker)), mask(marker));
    }
    file.swap(Isel::EIDELIVERY, eidelivery);
    settled
}

/// Clears everything: nothing is pending, enabled or delivered. A file that is not `settled` may get
/// MSIs of a former owner; they come before that.
pub fn clear(file: &impl FileRegisters, nr_ids: NrIds, settled: bool) -> Settled {
    file.swap(Isel::EIDELIVERY, EIDELIVERY_OFF);
    file.swap(Isel::EITHRESHOLD, EITHRESHOLD_NONE);
    let settled = if settled {
        Settled::Yes
    } else {
        settle(file, nr_ids.last()).1
    };

    for word in EixWord::all(nr_ids) {
        file.swap(Isel::eip(word), 0);
        file.swap(Isel::eie(word), 0);
    }
    settled
}

/// Takes the state out of a file with `nr_ids` identities, of which the guest knows `guest_ids`, and
/// leaves zeroes. Nobody sends to it any more (AIA 6.1.2, steps 1 and 4).
pub fn take(
    file: &impl FileRegisters,
    nr_ids: NrIds,
    guest_ids: NrIds,
    image: &mut Image,
) -> Settled {
    image.eidelivery = file.swap(Isel::EIDELIVERY, EIDELIVERY_OFF);
    image.eithreshold = file.swap(Isel::EITHRESHOLD, EITHRESHOLD_NONE);
    for (word, _, eie) in image.words_mut(nr_ids) {
        *eie = file.swap(Isel::eie(word), 0);
    }
    let eie = image.words(nr_ids).map(|(word, _, eie)| (word, eie));
    let marker = marker(nr_ids, guest_ids, eie);
    let (was_pending, settled) = settle(file, marker);

    for (word, eip, _) in image.words_mut(nr_ids) {
        *eip = file.swap(Isel::eip(word), 0);
        if word == EixWord::of(marker) && !was_pending {
            *eip &= !mask(marker);
        }
    }
    settled
}

/// Copies what a guest that knows of `guest_ids` has in a file with `nr_ids` identities, and leaves it
/// there. The vCPU does not run.
pub fn copy(
    file: &impl FileRegisters,
    nr_ids: NrIds,
    guest_ids: NrIds,
    image: &mut Image,
) -> Settled {
    let settled = settle_in_use(file, nr_ids, guest_ids);

    image.eidelivery = file.read(Isel::EIDELIVERY);
    image.eithreshold = file.read(Isel::EITHRESHOLD);
    for (word, eip, eie) in image.words_mut(guest_ids) {
        *eip = file.read(Isel::eip(word));
        *eie = file.read(Isel::eie(word));
    }
    settled
}

/// Adds the pending and enable bits of `image`, and loads threshold and delivery (AIA 6.1.2, steps 5
/// and 6).
pub fn load(file: &impl FileRegisters, nr_ids: NrIds, image: &Image) {
    for (word, eip, eie) in image.words(nr_ids) {
        if eip != 0 {
            file.set(Isel::eip(word), eip);
        }
        if eie != 0 {
            file.set(Isel::eie(word), eie);
        }
    }
    file.swap(Isel::EITHRESHOLD, image.eithreshold);
    file.swap(Isel::EIDELIVERY, image.eidelivery);
}

/// Adds the pending bits of `image`.
pub fn pend(file: &impl FileRegisters, nr_ids: NrIds, image: &Image) {
    for (word, eip, _) in image.words(nr_ids) {
        if eip != 0 {
            file.set(Isel::eip(word), eip);
        }
    }
}

#[cfg_attr(CONFIG_KUNIT, kernel::macros::kunit_tests(aia_core_guest_file))]
#[cfg_attr(not(CONFIG_KUNIT), cfg(all(test, not(loom))))]
mod tests {
    use super::*;
    use crate::isel::IndirectRegister;
    use core::cell::Cell;

    /// A file with 127 identities, to which stores are on their way: one arrives with each pause.
    #[derive(Default)]
    struct File {
        eip: [Cell<u64>; 2],
        eie: [Cell<u64>; 2],
        eithreshold: Cell<u64>,
        eidelivery: Cell<u64>,
        /// Identities, the oldest first; 0 is none.
        on_their_way: [Cell<u32>; 8],
        /// Nothing arrives any more.
        stuck: Cell<bool>,
        /// How many the driver has stored.
        stored: Cell<u32>,
    }

    const ALL: NrIds = match NrIds::new(127) {
        Some(all) => all,
        None => NrIds::MAX,
    };

    impl File {
        fn with(on_their_way: &[u32]) -> Self {
            let file = Self::default();

            for (place, id) in file.on_their_way.iter().zip(on_their_way) {
                place.set(*id);
            }
            file.eidelivery.set(1);
            file
        }

        fn register(&self, isel: Isel) -> &Cell<u64> {
            match isel.register() {
                IndirectRegister::Eip(word) => &self.eip[word.index()],
                IndirectRegister::Eie(word) => &self.eie[word.index()],
                IndirectRegister::Eithreshold => &self.eithreshold,
                _ => &self.eidelivery,
            }
        }

        fn arrive(&self) {
            if let Some(id) = Eiid::new(self.on_their_way[0].get()) {
                let eip = &self.eip[EixWord::of(id).index()];

                eip.set(eip.get() | mask(id));
            }
            for places in self.on_their_way.windows(2) {
                places[0].set(places[1].get());
            }
            self.on_their_way[7].set(0);
        }

        fn is_settled(&self) -> bool {
            self.on_their_way.iter().all(|id| id.get() == 0)
        }

        fn eip(&self) -> [u64; 2] {
            [self.eip[0].get(), self.eip[1].get()]
        }
    }

    impl FileRegisters for File {
        fn read(&self, isel: Isel) -> u64 {
            self.register(isel).get()
        }

        fn swap(&self, isel: Isel, value: u64) -> u64 {
            self.register(isel).replace(value)
        }

        fn set(&self, isel: Isel, bits: u64) {
            self.swap(isel, self.read(isel) | bits);
        }

        fn clear(&self, isel: Isel, bits: u64) -> u64 {
            self.swap(isel, self.read(isel) & !bits)
        }

        fn store(&self, eiid: Eiid) {
            self.stored.set(self.stored.get() + 1);
            for place in &self.on_their_way {
                if place.get() == 0 {
                    place.set(eiid.get());
                    return;
                }
            }
            panic!("no place for another store");
        }

        fn pause(&self) {
            if !self.stuck.get() {
                self.arrive();
            }
        }
    }

    // VS-9, IM-13
    #[test]
    fn what_is_on_its_way_is_taken() {
        for guest_ids in [NrIds::MIN, ALL] {
            let file = File::with(&[5, 40, 5, 6]);
            let mut image = Image::default();

            file.eip[0].set(1 << 3);
            file.eie[0].set(0xff);
            file.eithreshold.set(9);
            assert_eq!(take(&file, ALL, guest_ids, &mut image), Settled::Yes);
            assert_eq!(image.eip[..2], [1 << 3 | 1 << 5 | 1 << 6 | 1 << 40, 0]);
            assert_eq!(image.eie[..2], [0xff, 0]);
            assert_eq!((image.eithreshold, image.eidelivery), (9, 1));
            // Nothing is left, and nothing comes.
            assert!(file.is_settled());
            assert_eq!(file.eip(), [0, 0]);
            assert_eq!((file.eie[0].get(), file.eidelivery.get()), (0, 0));
        }
    }

    #[test]
    fn the_marker_is_none_of_the_guest() {
        let marker =
            |guest_ids, eie: [u64; 2]| marker(ALL, guest_ids, EixWord::all(ALL).zip(eie)).get();

        // Whatever it has enabled.
        assert_eq!(marker(NrIds::MIN, [!0; 2]), 127);
        assert_eq!(marker(NrIds::MIN, [0; 2]), 127);
        // The highest of those that it has disabled.
        assert_eq!(marker(ALL, [0, 0]), 127);
        assert_eq!(marker(ALL, [0, 1 << 63]), 126);
        assert_eq!(marker(ALL, [0, !0]), 63);
        assert_eq!(marker(ALL, [!0 << 1, !0 << 1]), 64);
        assert_eq!(marker(ALL, [!0 << 8, !0]), 7);
        // Identity 0 does not exist.
        assert_eq!(marker(ALL, [!1, !0]), 127);
        assert_eq!(marker(ALL, [!0, !0]), 127);
    }

    /// An identity of the guest that is the marker keeps its pending bit.
    #[test]
    fn the_marker_leaves_no_trace() {
        for pending in [0, 1 << 63] {
            let mut image = Image::default();
            let file = File::with(&[5]);

            file.eip[1].set(pending);
            file.eie[0].set(!0);
            let _ = copy(&file, ALL, ALL, &mut image);
            assert_eq!(image.eip[..2], [1 << 5, pending]);
            assert_eq!(file.eip(), [1 << 5, pending]);
            assert_eq!((image.eidelivery, file.eidelivery.get()), (1, 1));
            assert_eq!((image.eie[0], file.eie[0].get()), (!0, !0));
            assert_eq!(take(&file, ALL, ALL, &mut image), Settled::Yes);
            assert_eq!(image.eip[..2], [1 << 5, pending]);
        }
    }

    /// FileRegisters of identities that the guest does not know of are no part of its state.
    #[test]
    fn a_copy_is_what_the_guest_knows() {
        let mut image = Image::default();
        let file = File::with(&[5, 70]);

        file.eie[1].set(!0);
        assert_eq!(copy(&file, ALL, NrIds::MIN, &mut image), Settled::Yes);
        assert_eq!(image.eip[..2], [1 << 5, 0]);
        assert_eq!(image.eie[1], 0);
        assert_eq!(file.eip(), [1 << 5, 1 << 6]);
    }

    #[test]
    fn a_new_owner_gets_nothing_of_the_former() {
        let file = File::with(&[5, 6, 7]);

        file.eip[1].set(!0);
        file.eie[0].set(!0);
        assert_eq!(clear(&file, ALL, false), Settled::Yes);
        assert!(file.is_settled());
        assert_eq!(file.eip(), [0, 0]);
        assert_eq!((file.eie[0].get(), file.eidelivery.get()), (0, 0));
        assert_eq!(file.stored.get(), 1);
    }

    #[test]
    fn nobody_waits_for_a_settled_file() {
        let file = File::with(&[]);

        assert_eq!(clear(&file, ALL, true), Settled::Yes);
        assert_eq!(file.stored.get(), 0);
    }

    #[test]
    fn hardware_that_loses_the_marker_does_not_hang() {
        let mut image = Image::default();
        let file = File::with(&[5]);

        file.stuck.set(true);
        file.eip[0].set(1 << 3);
        assert_eq!(take(&file, ALL, ALL, &mut image), Settled::NotProven);
        assert_eq!(image.eip[..2], [1 << 3, 0]);
        assert_eq!(clear(&file, ALL, false), Settled::NotProven);
    }

    #[test]
    fn a_state_is_loaded_and_added() {
        let file = File::with(&[]);
        let mut image = Image::default();

        file.eip[0].set(1 << 2);
        image.eip[0] = 1 << 3;
        image.eie[1] = 0xf0;
        image.eithreshold = 77;
        image.eidelivery = 1;
        load(&file, ALL, &image);
        assert_eq!(file.eip(), [1 << 2 | 1 << 3, 0]);
        assert_eq!(file.eie[1].get(), 0xf0);
        assert_eq!((file.eithreshold.get(), file.eidelivery.get()), (77, 1));

        image.eip[1] = 1;
        image.eie[1] = 0xff;
        pend(&file, ALL, &image);
        assert_eq!(file.eip(), [1 << 2 | 1 << 3, 1]);
        assert_eq!(file.eie[1].get(), 0xf0);
    }
}
