// SPDX-License-Identifier: GPL-2.0

//! Properties of snapshots: what was saved is what is restored, and nothing else is let in.

use aia_core::{
    aplic::{
        regs::WordIndex,
        target::MsiTarget, //
    },
    eix::EixWord,
    guest::state::{
        machine,
        Header,
        Layout,
        Snapshot,
        SnapshotMut, //
    },
    guest_aplic::{
        regs::AplicRegister,
        saved::SavedWord,
        word::SourceWord,
        Aplic,
        MsiSink,
        SourceWords, //
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
    cell::RefCell,
    collections::BTreeMap,
    convert::Infallible,
    fmt,
    rc::Rc,
    sync::atomic::{
        AtomicU32,
        Ordering, //
    }, //
};

/// What is done to the controllers, one step after the other.
type Steps = Rc<RefCell<Vec<&'static str>>>;

/// The words of any APLIC.
#[derive(Default)]
struct AllWords(RefCell<[SourceWord; 32]>, Steps);

impl SourceWords for AllWords {
    fn count(&self) -> usize {
        32
    }

    fn with<R: Send>(&self, word: usize, f: impl FnOnce(&mut SourceWord) -> R + Send) -> Option<R> {
        self.1.borrow_mut().push("aplic");
        self.0.borrow_mut().get_mut(word).map(f)
    }
}

/// Counts the MSIs.
#[derive(Default)]
struct Count(AtomicU32);

impl Count {
    fn get(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

impl MsiSink for Count {
    fn send(&self, _: MsiTarget) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A virtual machine's interrupt controllers.
struct Machine {
    nr_ids: NrIds,
    aplic: Option<Aplic<AllWords>>,
    files: BTreeMap<u32, SwFile>,
    sent: Count,
    steps: Steps,
    /// How often it was asked for a vCPU.
    looked: Count,
}

impl fmt::Debug for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x?}", self.save())
    }
}

impl Machine {
    fn new(nr_ids: NrIds, nr_sources: Option<NrSources>, ids: impl Iterator<Item = u32>) -> Self {
        let steps = Steps::default();
        let words = AllWords(RefCell::default(), steps.clone());

        Self {
            nr_ids,
            aplic: nr_sources.and_then(|nr| Aplic::new(nr, words)),
            files: ids.map(|id| (id, SwFile::new(nr_ids))).collect(),
            sent: Count::default(),
            steps,
            looked: Count::default(),
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

    fn save(&self) -> Vec<u8> {
        let layout = self.layout();
        let mut bytes = vec![0xa5; layout.size()];

        machine::save(&mut &*self, layout, &mut bytes).unwrap();
        bytes
    }

    /// Returns `false` if the bytes are refused.
    fn restore(&self, bytes: &[u8]) -> bool {
        let layout = self.layout();

        Snapshot::open(layout, bytes)
            .is_ok_and(|snapshot| machine::restore(&mut &*self, layout, &snapshot).is_ok())
    }
}

impl machine::Machine for &Machine {
    type Words = AllWords;
    type Error = Infallible;

    fn aplic(&self) -> Option<&Aplic<AllWords>> {
        self.aplic.as_ref()
    }

    fn vcpu_from(&mut self, from: u32) -> Option<VcpuId> {
        self.looked.0.fetch_add(1, Ordering::Relaxed);
        self.files
            .range(from..)
            .next()
            .map(|(id, _)| VcpuId::new(*id))
    }

    fn save(&mut self, vcpu: VcpuId, image: &mut Image) -> Result<(), Infallible> {
        self.steps.borrow_mut().push("file");
        self.files[&vcpu.get()].copy(image);
        Ok(())
    }

    fn restore(&mut self, vcpu: VcpuId, image: &Image) {
        let file = &self.files[&vcpu.get()];

        self.steps.borrow_mut().push("file");
        file.reset();
        file.merge(image);
    }
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
                    .filter_map(|offset| AplicRegister::decode(offset, aplic.nr_sources()))
                    .collect();
                for (which, value, is_wire) in writes {
                    if is_wire {
                        let source = which.index(aplic.nr_sources().get() as usize) as u32 + 1;
                        let source = aplic.nr_sources().check(source).unwrap();
                        let level = value & 1 != 0;

                        match value & 2 != 0 {
                            true => aplic.set_resampled(source, level, &machine.sent),
                            false => aplic.set_input(source, level, &machine.sent),
                        }
                    } else {
                        aplic.write(*which.get(&registers), value, &machine.sent);
                    }
                }
            }
            machine.sent.0.store(0, Ordering::Relaxed);
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
            for word in WordIndex::all(to.nr_sources()) {
                if let Some(saved) = from.save_word(word) {
                    to.restore_word(word, &saved);
                }
            }
        }
        for (to, from) in copy.files.values().zip(other.files.values()) {
            let mut image = Image::default();

            from.copy(&mut image);
            to.merge(&image);
        }
        prop_assert!(copy.restore(&bytes));
        prop_assert_eq!(&copy.save(), &bytes);
        prop_assert_eq!(copy.sent.get(), 0);

        // The copy goes on as the original does.
        if let (Some(a), Some(b)) = (&machine.aplic, &copy.aplic) {
            for source in a.nr_sources().iter() {
                for level in [true, false] {
                    a.set_input(source, level, &machine.sent);
                    b.set_input(source, level, &copy.sent);
                    prop_assert_eq!(machine.sent.get(), copy.sent.get());
                    a.set_resampled(source, level, &machine.sent);
                    b.set_resampled(source, level, &copy.sent);
                    prop_assert_eq!(machine.sent.get(), copy.sent.get());
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
        prop_assert_eq!(machine.sent.get(), 0);
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

/// What the APLIC has sent is in the files that are saved; what it sends finds those that are restored.
#[test]
fn the_aplic_is_saved_first_and_restored_last() {
    let machine = Machine::new(NrIds::MIN, NrSources::new(1), 3..5);

    machine.steps.take();
    let bytes = machine.save();
    assert_eq!(machine.steps.take(), ["aplic", "file", "file"]);
    assert!(machine.restore(&bytes));
    assert_eq!(machine.steps.take(), ["file", "file", "aplic"]);
}

/// A snapshot is of the vCPUs of the machine, all of them and no others; else nothing changes.
#[test]
fn a_snapshot_of_other_vcpus_is_refused() {
    let machine = Machine::new(NrIds::MIN, None, [2, 5].into_iter());
    let bytes = machine.save();

    for ids in [[2, 6], [1, 5], [5, 6], [1, 2]] {
        let other = Machine::new(NrIds::MIN, None, ids.into_iter());

        other.steps.take();
        assert!(!other.restore(&bytes), "{ids:?}");
        assert_eq!(other.steps.take(), [""; 0]);
    }
    assert!(machine.restore(&bytes));

    // There is no ID beyond the last.
    let machine = Machine::new(NrIds::MIN, None, [0, u32::MAX].into_iter());
    assert!(machine.restore(&machine.save()));
}

/// A machine has room for many more IDs than it has vCPUs: none is looked for that is not there.
#[test]
fn as_many_look_ups_as_vcpus() {
    let machine = Machine::new(NrIds::MIN, None, [0, 3, 64].into_iter());
    let bytes = machine.save();

    assert_eq!(machine.looked.get(), 3);
    assert!(machine.restore(&bytes));
    assert_eq!(machine.looked.get(), 6);
}
