// SPDX-License-Identifier: GPL-2.0

//! Snapshots of a virtual machine's interrupt controllers: blocks of bytes that are right but for a few
//! changes.
//!
//! The model reads them field by field, as Documentation/kvm-extensions.rst has them, and knows what
//! each may be. What is accepted goes into a machine, and has to come out of it unchanged.

use crate::{
    aplic::{
        Model,
        Shared,
        Source,
        Storage, //
    },
    input::Input,
    trace,
};
use aia_core::{
    aplic::regs::WordIndex,
    guest::state::{
        machine::{
            self,
            OtherVcpus,
            SaveError, //
        },
        Header,
        Layout,
        Snapshot,
        SnapshotError, //
    },
    guest_aplic::Aplic,
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
use std::rc::Rc;

const IDS: [u32; 3] = [63, 127, 2047];
const SOURCES: [u32; 6] = [0, 1, 31, 32, 40, 96];

/// The numbers of a virtual machine.
#[derive(Clone, Copy)]
struct Numbers {
    ids: u32,
    sources: u32,
    vcpus: u32,
}

impl Numbers {
    /// The size of a snapshot, which may be larger than any.
    fn size(self) -> u128 {
        let aplic = match self.sources {
            0 => 0,
            n => 8 + u128::from(n / 32 + 1) * 272,
        };

        24 + aplic + u128::from(self.vcpus) * (24 + u128::from((self.ids + 1) / 64) * 16)
    }

    fn layout(self) -> Option<Layout> {
        Layout::new(
            NrIds::new(self.ids).unwrap(),
            NrSources::new(self.sources),
            self.vcpus,
        )
    }
}

fn put32(bytes: &mut Vec<u8>, value: u32) {
    bytes.extend(value.to_le_bytes());
}

fn put64(bytes: &mut Vec<u8>, value: u64) {
    bytes.extend(value.to_le_bytes());
}

/// A snapshot with nothing wrong, and the IDs of its vCPUs.
fn right(input: &mut Input<'_>, numbers: Numbers) -> (Vec<u8>, Vec<u32>) {
    let mut bytes = Vec::new();
    let mut ids = Vec::new();

    for value in [
        1,
        numbers.size() as u32,
        numbers.ids,
        numbers.sources,
        numbers.vcpus,
        0,
    ] {
        put32(&mut bytes, value);
    }
    if numbers.sources != 0 {
        let mut model = Model::new(numbers.sources);

        model.ie = input.flag();
        for _ in 0..input.below(8) {
            let n = 1 + input.below(numbers.sources) as usize;
            let flags = input.u8();
            let mut source = Source {
                mode: [0, 1, 4, 5, 6, 7][usize::from(flags) % 6],
                wire: flags & 0x90 != 0,
                drivers: [flags & 0x80 != 0, flags & 0x10 != 0],
                ..Default::default()
            };

            source.pending = flags & 0x40 != 0 && source.settable();
            source.enabled = flags & 0x20 != 0 && source.mode != 0 && !(model.ie && source.pending);
            if source.mode != 0 {
                source.target = input.word() & 0xfffc_07ff;
            }
            model.sources[n] = source;
        }
        put32(&mut bytes, 0x8000_0004 | u32::from(model.ie) << 8);
        put32(&mut bytes, input.word() & 0xfffc_07ff);
        for word in 0..numbers.sources / 32 + 1 {
            let saved = model.saved(word);

            for value in [saved.pending, saved.enabled, saved.wires, saved.resampled] {
                put32(&mut bytes, value);
            }
            for value in saved.sourcecfg.into_iter().chain(saved.target) {
                put32(&mut bytes, value);
            }
        }
    }
    let mut id = 0;
    for _ in 0..numbers.vcpus {
        id += u32::from(input.u8() % 4);
        ids.push(id);
        put32(&mut bytes, id);
        put32(&mut bytes, 0);
        put64(&mut bytes, u64::from(input.flag()));
        put64(&mut bytes, u64::from(input.u16()) & 0x7ff);
        let filled = input.below(33);
        for word in 0..(numbers.ids + 1) / 64 {
            for _ in 0..2 {
                let bits = if word == filled { input.mask() } else { 0 };

                put64(&mut bytes, if word == 0 { bits & !1 } else { bits });
            }
        }
        id += 1;
    }
    (bytes, ids)
}

/// Changes a few of the bytes, or how many there are.
fn damage(input: &mut Input<'_>, bytes: &mut Vec<u8>) {
    for _ in 0..input.below(4) {
        let len = bytes.len() as u32;

        match input.below(12) {
            0 => bytes.truncate(input.below(len + 1) as usize),
            1 => bytes.extend(input.bytes::<4>()),
            2..=4 if len >= 24 => bytes[input.below(24) as usize] ^= input.u8(),
            // A field, all of it.
            5..=8 if len >= 8 => {
                let at = (input.below(len / 4) * 4) as usize;

                bytes[at..at + 4].copy_from_slice(&input.word().to_le_bytes());
            }
            _ if len > 0 => bytes[input.below(len) as usize] ^= 1 << input.below(8),
            _ => {}
        }
    }
}

/// Fields in a row; zeroes follow.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn next(&mut self, width: usize) -> u64 {
        let mut value = 0;

        for (n, byte) in self.0.iter().take(width).enumerate() {
            value |= u64::from(*byte) << (8 * n);
        }
        self.0 = self.0.get(width..).unwrap_or(&[]);
        value
    }

    fn u32(&mut self) -> u32 {
        self.next(4) as u32
    }

    fn u64(&mut self) -> u64 {
        self.next(8)
    }
}

/// All that is wrong.
fn faults(bytes: &[u8], numbers: Numbers) -> Vec<SnapshotError> {
    let mut faults = Vec::new();
    let mut check = |good: bool, fault| {
        if !good {
            faults.push(fault);
        }
    };
    let mut fields = Fields(bytes);

    check(fields.u32() == 1, SnapshotError::Version);
    check(
        u128::from(fields.u32()) == numbers.size(),
        SnapshotError::Size,
    );
    check(fields.u32() == numbers.ids, SnapshotError::Counts);
    check(fields.u32() == numbers.sources, SnapshotError::Counts);
    check(fields.u32() == numbers.vcpus, SnapshotError::Counts);
    check(fields.u32() == 0, SnapshotError::Reserved);
    check(bytes.len() as u128 == numbers.size(), SnapshotError::Size);

    if numbers.sources != 0 {
        let domaincfg = fields.u32();
        let ie = domaincfg == 0x8000_0104;

        check(ie || domaincfg == 0x8000_0004, SnapshotError::Domain);
        // Bits 31:18 and 10:0.
        check(fields.u32() & 0x3_f800 == 0, SnapshotError::Domain);
        for word in 0..numbers.sources / 32 + 1 {
            let [pending, enabled, wires, resampled] = std::array::from_fn(|_| fields.u32());
            let modes: [u32; 32] = std::array::from_fn(|_| fields.u32());
            let targets: [u32; 32] = std::array::from_fn(|_| fields.u32());

            for n in 0..32 {
                let number = word * 32 + n;
                let bit = |bits: u32| bits >> n & 1 != 0;
                let source = Source {
                    mode: modes[n as usize],
                    wire: bit(wires | resampled),
                    pending: bit(pending),
                    enabled: bit(enabled),
                    target: targets[n as usize],
                    ..Default::default()
                };
                let exists = number != 0 && number <= numbers.sources;
                let quiet = !source.pending && !source.enabled && source.target == 0;
                let is_good = match source.mode {
                    0 if exists => quiet,
                    0 => quiet && !source.wire,
                    1 | 4..=7 => {
                        exists
                            && source.target & 0x3_f800 == 0
                            && (!source.pending || source.settable())
                    }
                    _ => false,
                };

                check(is_good, SnapshotError::Source);
                check(
                    !(ie && source.pending && source.enabled),
                    SnapshotError::Due,
                );
            }
        }
    }
    let mut least = 0;
    for _ in 0..numbers.vcpus {
        let id = u64::from(fields.u32());

        check(id >= least, SnapshotError::VcpuOrder);
        least = id + 1;
        check(fields.u32() == 0, SnapshotError::Reserved);
        check(fields.u64() <= 1, SnapshotError::File);
        check(fields.u64() <= 2047, SnapshotError::File);
        for word in 0..(numbers.ids + 1) / 64 {
            let bits = fields.u64() | fields.u64();

            check(word != 0 || bits & 1 == 0, SnapshotError::File);
        }
    }
    faults
}

/// The controllers of a virtual machine.
struct Vm {
    aplic: Option<Aplic<Shared>>,
    files: Vec<(u32, SwFile)>,
}

impl Vm {
    fn new(numbers: Numbers, ids: &[u32]) -> Self {
        let storage = || Shared(Rc::new(Storage::new(numbers.sources)));

        Self {
            aplic: NrSources::new(numbers.sources).map(|nr| Aplic::new(nr, storage()).unwrap()),
            files: ids
                .iter()
                .map(|id| (*id, SwFile::new(NrIds::new(numbers.ids).unwrap())))
                .collect(),
        }
    }

    fn file(&self, vcpu: VcpuId) -> &SwFile {
        let found = self.files.iter().find(|(id, _)| *id == vcpu.get());

        &found.expect("there is no such vCPU").1
    }
}

impl machine::Machine for Vm {
    type Words = Shared;
    type Error = ();

    fn aplic(&self) -> Option<&Aplic<Shared>> {
        self.aplic.as_ref()
    }

    fn vcpu_from(&mut self, from: u32) -> Option<VcpuId> {
        let ids = self.files.iter().map(|(id, _)| *id);

        ids.filter(|id| *id >= from).min().map(VcpuId::new)
    }

    fn save(&mut self, vcpu: VcpuId, image: &mut Image) -> Result<(), ()> {
        self.file(vcpu).copy(image);
        Ok(())
    }

    fn restore(&mut self, vcpu: VcpuId, image: &Image) {
        self.file(vcpu).reset();
        self.file(vcpu).merge(image);
    }
}

/// A layout of so many vCPUs as user space may have.
fn sizes(input: &mut Input<'_>) {
    let numbers = Numbers {
        ids: input.one_of(&IDS),
        sources: input.one_of(&SOURCES),
        vcpus: input.word(),
    };
    let layout = numbers.layout();

    assert_eq!(layout.is_some(), numbers.size() <= u32::MAX.into());
    if let Some(layout) = layout {
        assert_eq!(layout.size() as u128, numbers.size());
        assert_eq!(layout.nr_vcpus(), numbers.vcpus);
    }
}

/// Opens what `data` is made into, and restores it.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);

    if input.below(32) == 0 {
        return sizes(&mut input);
    }
    let numbers = Numbers {
        ids: input.one_of(&IDS),
        sources: input.one_of(&SOURCES),
        vcpus: input.below(4),
    };
    let layout = numbers.layout().unwrap();
    let (mut bytes, mut ids) = right(&mut input, numbers);
    assert_eq!(layout.size(), bytes.len());
    assert_eq!(faults(&bytes, numbers), []);
    damage(&mut input, &mut bytes);

    let faults = faults(&bytes, numbers);
    let opened = Snapshot::open(layout, &bytes);
    trace!(
        "{numbers:?}: {opened:?}, {faults:?}",
        numbers = (numbers.ids, numbers.sources, numbers.vcpus)
    );
    if let Some(header) = bytes.first_chunk::<{ Header::SIZE }>() {
        assert_eq!(Header::decode(header).encode(), *header);
    }
    let snapshot = match opened {
        Err(error) => {
            assert!(faults.contains(&error), "{error:?}, of {faults:?}");
            return;
        }
        Ok(snapshot) => snapshot,
    };
    assert_eq!(faults, []);

    // It may have other vCPUs than the machine: then nothing changes.
    let named: Vec<_> = (0..numbers.vcpus)
        .map(|n| snapshot.vcpu_id(n).unwrap().get())
        .collect();
    if input.flag() {
        ids.clone_from(&named);
    }
    let mut vm = Vm::new(numbers, &ids);
    let mut before = vec![0; layout.size()];
    machine::save(&mut vm, layout, &mut before).unwrap();
    let restored = machine::restore(&mut vm, layout, &snapshot);
    let mut after = vec![0xa5; layout.size()];
    machine::save(&mut vm, layout, &mut after).unwrap();
    if named == ids {
        assert_eq!(restored, Ok(()));
        assert!(after == bytes, "what comes out is not what went in");
    } else {
        assert_eq!(restored, Err(OtherVcpus));
        assert!(after == before, "something has changed");
    }
    let mut short = vec![0; layout.size() - 1];
    assert_eq!(
        machine::save(&mut vm, layout, &mut short),
        Err(SaveError::Layout)
    );
    assert!(snapshot.vcpu_id(numbers.vcpus).is_none());
    assert!(WordIndex::new(numbers.sources / 32 + 1).is_none_or(|n| snapshot.word(n).is_none()));
}
