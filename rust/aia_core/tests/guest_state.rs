// SPDX-License-Identifier: GPL-2.0

//! Properties of snapshots: what was saved is what is restored, and nothing else is let in.

use aia_core::{
    aplic::{
        regs::SourceWord as WordNr,
        target::MsiTarget, //
    },
    eix::EixWord,
    guest::state::{
        Header,
        Layout,
        Snapshot,
        SnapshotMut, //
    },
    guest_aplic::{
        regs::Register,
        saved::SavedWord,
        word::SourceWord,
        Aplic,
        Sink,
        Words, //
    },
    ids::{
        NrIds,
        NrSources,
        VcpuId, //
    },
    swfile::{
        Image,
        SwFile, //
    },
};
use proptest::{
    collection::{
        btree_map,
        vec, //
    },
    prelude::*,
    sample::{
        select,
        Index, //
    },
};
use std::{
    cell::{
        Cell,
        RefCell, //
    },
    collections::BTreeMap,
    fmt, //
};

/// The words of any APLIC.
#[derive(Default)]
struct AllWords(RefCell<[SourceWord; 32]>);

impl Words for AllWords {
    fn count(&self) -> usize {
        32
    }

    fn with<R>(&self, word: usize, f: impl FnOnce(&mut SourceWord) -> R) -> Option<R> {
        self.0.borrow_mut().get_mut(word).map(f)
    }
}

/// Counts the MSIs.
#[derive(Default)]
struct Count(Cell<u32>);

impl Sink for Count {
    fn send(&self, _: MsiTarget) {
        self.0.set(self.0.get() + 1);
    }
}

/// A virtual machine's interrupt controllers.
struct Machine {
    nr_ids: NrIds,
    aplic: Option<Aplic<AllWords>>,
    files: BTreeMap<u32, SwFile>,
    sent: Count,
}

impl fmt::Debug for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x?}", self.save())
    }
}

impl Machine {
    fn new(nr_ids: NrIds, nr_sources: Option<NrSources>, ids: impl Iterator<Item = u32>) -> Self {
        Self {
            nr_ids,
            aplic: nr_sources.and_then(|nr| Aplic::new(nr, AllWords::default())),
            files: ids.map(|id| (id, SwFile::new(nr_ids))).collect(),
            sent: Count::default(),
        }
    }

    fn layout(&self) -> Layout {
        Layout::new(
            self.nr_ids,
            self.aplic.as_ref().map(Aplic::nr_sources),
            self.files.len() as u32,
        )
        .unwrap()
    }

    /// A fresh machine of the same kind.
    fn another(&self) -> Self {
        Self::new(
            self.nr_ids,
            self.aplic.as_ref().map(Aplic::nr_sources),
            self.files.keys().copied(),
        )
    }

    /// As KVM does.
    fn save(&self) -> Vec<u8> {
        let layout = self.layout();
        let mut bytes = vec![0xa5; layout.size()];
        let mut snapshot = SnapshotMut::new(layout, &mut bytes).unwrap();

        if let Some(aplic) = &self.aplic {
            snapshot.set_domain(&aplic.save_domain()).unwrap();
            for word in layout.words() {
                snapshot
                    .set_word(word, &aplic.save_word(word).unwrap())
                    .unwrap();
            }
        }
        for (position, (&id, file)) in self.files.iter().enumerate() {
            snapshot
                .set_vcpu(position as u32, VcpuId::new(id), &peek(file))
                .unwrap();
        }
        bytes
    }

    /// As KVM does; `false` if the bytes are refused.
    fn restore(&self, bytes: &[u8]) -> bool {
        let layout = self.layout();
        let Ok(snapshot) = Snapshot::open(layout, bytes) else {
            return false;
        };
        let ids = (0..layout.nr_vcpus()).map(|n| snapshot.vcpu_id(n).unwrap().get());
        if !ids.eq(self.files.keys().copied()) {
            return false;
        }

        let mut image = Image::default();
        for (position, file) in self.files.values().enumerate() {
            snapshot.vcpu(position as u32, &mut image).unwrap();
            file.reset();
            file.merge(&image);
        }
        if let Some(aplic) = &self.aplic {
            for word in layout.words() {
                aplic
                    .restore_word(word, &snapshot.word(word).unwrap())
                    .unwrap();
            }
            aplic.restore_domain(&snapshot.domain().unwrap());
        }
        true
    }
}

/// What is in a file, left there.
fn peek(file: &SwFile) -> Image {
    let mut image = Image::default();

    file.take(&mut image);
    file.merge(&image);
    image
}

fn any_machine() -> impl Strategy<Value = Machine> {
    let word = || prop_oneof![Just(0), Just(!0), any::<u64>()];
    let nr_ids = (0..32_u32).prop_map(|n| NrIds::new(64 * n + 63).unwrap());
    let nr_sources = prop_oneof![Just(0), 1..70_u32, 1..1024_u32].prop_map(NrSources::new);
    let file = (0..2_u64, 0..2048_u64, vec((word(), word()), 32));

    (
        nr_ids,
        nr_sources,
        btree_map(any::<u32>(), file, 0..5),
        vec((any::<Index>(), any::<u32>(), any::<bool>()), 0..200),
    )
        .prop_map(|(nr_ids, nr_sources, files, writes)| {
            let machine = Machine::new(nr_ids, nr_sources, files.keys().copied());

            for (file, (eidelivery, eithreshold, words)) in
                machine.files.values().zip(files.values())
            {
                let mut image = Image {
                    eidelivery: *eidelivery,
                    eithreshold: *eithreshold,
                    ..Default::default()
                };
                for (to, (eip, eie)) in image.words_mut(NrIds::MAX).zip(words) {
                    (*to.1, *to.2) = (*eip, *eie);
                }
                file.merge(&image);
            }
            if let Some(aplic) = &machine.aplic {
                let registers: Vec<_> = (0..0x4000_u64)
                    .step_by(4)
                    .filter_map(|offset| Register::decode(offset, aplic.nr_sources()))
                    .collect();
                for (which, value, is_wire) in writes {
                    if is_wire {
                        let source = which.index(aplic.nr_sources().get() as usize) as u32 + 1;
                        let source = aplic.nr_sources().check(source).unwrap();

                        aplic.set_input(source, value & 1 != 0, &machine.sent);
                    } else {
                        aplic.write(*which.get(&registers), value, &machine.sent);
                    }
                }
            }
            machine.sent.0.set(0);
            machine
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Whatever state the controllers are in, it can be saved, and another machine goes on with it
    /// and nothing of its own; no MSI is sent by that.
    #[test]
    fn round_trip(machine in any_machine(), other in any_machine()) {
        let bytes = machine.save();

        // Saving changes nothing.
        prop_assert_eq!(&machine.save(), &bytes);
        let copy = machine.another();
        if let (Some(to), Some(from)) = (&copy.aplic, &other.aplic) {
            to.restore_domain(&from.save_domain());
            for word in WordNr::all(to.nr_sources()) {
                if let Some(saved) = from.save_word(word) {
                    to.restore_word(word, &saved);
                }
            }
        }
        for (to, from) in copy.files.values().zip(other.files.values()) {
            to.merge(&peek(from));
        }
        prop_assert!(copy.restore(&bytes));
        prop_assert_eq!(&copy.save(), &bytes);
        prop_assert_eq!(copy.sent.0.get(), 0);

        // The copy goes on as the original does.
        if let (Some(a), Some(b)) = (&machine.aplic, &copy.aplic) {
            for source in a.nr_sources().iter() {
                for level in [true, false] {
                    a.set_input(source, level, &machine.sent);
                    b.set_input(source, level, &copy.sent);
                    prop_assert_eq!(machine.sent.0.get(), copy.sent.0.get());
                }
            }
        }
        for (a, b) in machine.files.values().zip(copy.files.values()) {
            prop_assert_eq!(a.is_asserted(), b.is_asserted());
            loop {
                let top = a.claim();

                prop_assert_eq!(top, b.claim());
                if top.is_none() {
                    break;
                }
            }
        }
        prop_assert_eq!(machine.save(), copy.save());
    }

    /// Whatever is written over a snapshot: what is refused changes nothing, and what is accepted
    /// is restored to the last bit.
    #[test]
    fn altered(
        machine in any_machine(),
        changes in vec((any::<Index>(), any::<u32>(), any::<bool>()), 1..4),
    ) {
        let original = machine.save();
        let mut bytes = original.clone();

        for (at, value, one_bit) in changes {
            let at = 4 * at.index(bytes.len() / 4);
            let old = u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
            let new = if one_bit { old ^ 1 << (value % 32) } else { value };

            bytes[at..at + 4].copy_from_slice(&new.to_le_bytes());
        }
        if machine.restore(&bytes) {
            prop_assert_eq!(machine.save(), bytes);
        } else {
            prop_assert_eq!(machine.save(), original);
        }
        prop_assert_eq!(machine.sent.0.get(), 0);
    }

    /// A snapshot of one machine is none of another that differs in a number.
    #[test]
    fn other_machines(
        machine in any_machine(),
        nr_ids in select(vec![63, 127, 255, 2047]),
        nr_sources in prop_oneof![Just(0), 1..1024_u32],
        files in 0..5_usize,
    ) {
        let other = Machine::new(
            NrIds::new(nr_ids).unwrap(),
            NrSources::new(nr_sources),
            machine.files.keys().copied().chain(0..).take(files),
        );
        let same = (machine.nr_ids, machine.aplic.as_ref().map(Aplic::nr_sources))
            == (other.nr_ids, other.aplic.as_ref().map(Aplic::nr_sources))
            && machine.files.keys().eq(other.files.keys());

        prop_assert_eq!(other.restore(&machine.save()), same);
    }

    /// Any bytes are refused without a panic, with and without a good header, of any length.
    #[test]
    fn any_bytes(
        machine in any_machine(),
        mut bytes in vec(any::<u8>(), 0..2000),
        resize in any::<bool>(),
        header in any::<bool>(),
    ) {
        let layout = machine.layout();

        if resize {
            bytes.resize(layout.size(), 0);
        }
        if let (true, Some(first)) = (header, bytes.first_chunk_mut()) {
            *first = layout.header().encode();
        }
        let is_ok = machine.restore(&bytes);
        if !(resize && header) {
            prop_assert!(!is_ok);
        }
    }

    /// A word that is accepted is one that a register could have made, or the other way round.
    #[test]
    fn words(pending: u32, enabled: u32, wires: u32, modes in vec(0..8_u32, 32), ie: bool) {
        let machine = Machine::new(NrIds::MIN, NrSources::new(31), 0..0);
        let layout = machine.layout();
        let word = layout.words().next().unwrap();
        let mut bytes = machine.save();
        let mut saved = SavedWord { pending, enabled, wires, ..Default::default() };
        let mut snapshot = SnapshotMut::new(layout, &mut bytes).unwrap();

        saved.sourcecfg.copy_from_slice(&modes);
        saved.sourcecfg[0] = 0;
        // Bit 0 stands for no source.
        (saved.pending, saved.enabled, saved.wires) = (pending & !1, enabled & !1, wires & !1);
        let bits = |has: fn(u32) -> bool| {
            (1..32).filter(|&i| has(modes[i])).fold(0_u32, |bits, i| bits | 1 << i)
        };
        let active = bits(|mode| [1, 4, 5, 6, 7].contains(&mode));
        let low = bits(|mode| mode == 6) & !wires | bits(|mode| mode == 7) & wires;
        let good = bits(|mode| [2, 3].contains(&mode)) == 0
            && (saved.pending | saved.enabled) & !active == 0
            && saved.pending & low == 0
            && !(ie && saved.pending & saved.enabled != 0);
        snapshot.set_word(word, &saved).unwrap();
        bytes[25] = ie.into();

        prop_assert_eq!(machine.restore(&bytes), good);
    }

    #[test]
    fn headers(fields: [u32; 6]) {
        let bytes: Vec<u8> = fields.iter().flat_map(|field| field.to_le_bytes()).collect();
        let header = Header::decode(bytes.first_chunk().unwrap());

        prop_assert_eq!(&header.encode()[..], &bytes[..]);
        prop_assert_eq!(header.check_request().is_ok(), fields[0] == 1 && fields[5] == 0);
    }
}

/// The largest file, whole.
#[test]
fn all_words_of_a_file() {
    let machine = Machine::new(NrIds::MAX, None, 5..6);
    let file = &machine.files[&5];

    for word in EixWord::all(NrIds::MAX) {
        for id in word.ids(word.valid_bits()) {
            file.pend(id);
        }
    }
    let bytes = machine.save();
    let eip: Vec<_> = bytes[48..].chunks(16).map(|eix| &eix[..8]).collect();
    assert_eq!(eip.len(), 32);
    assert_eq!(eip[0][0], 0xfe);
    assert!(eip[1..].iter().all(|eip| *eip == [0xff; 8]));
    assert!(machine.another().restore(&bytes));
}
