// SPDX-License-Identifier: GPL-2.0

//! Concurrency of a guest's APLIC, model-checked: every interleaving and every reordering that C11
//! allows.
//!
//! `RUSTFLAGS="--cfg loom" cargo test --release --test loom_guest_aplic`

#![cfg(loom)]

use aia_core::{
    aplic::target::MsiTarget,
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
use loom::{
    sync::{
        atomic::{
            AtomicU32,
            AtomicUsize,
            Ordering::Relaxed, //
        },
        Arc,
        Mutex, //
    },
    thread, //
};

struct Storage(Vec<Mutex<SourceWord>>);

impl SourceWords for Storage {
    fn count(&self) -> usize {
        self.0.len()
    }

    fn with<R: Send>(&self, word: usize, f: impl FnOnce(&mut SourceWord) -> R + Send) -> Option<R> {
        Some(f(&mut self.0.get(word)?.lock().unwrap()))
    }
}

/// The MSIs in the order of their arrival. Each one can be overtaken before it arrives; that it does
/// orders nothing.
struct Arrived {
    count: AtomicUsize,
    messages: [AtomicU32; 3],
}

impl Arrived {
    fn new() -> Self {
        Self {
            count: AtomicUsize::new(0),
            messages: std::array::from_fn(|_| AtomicU32::new(0)),
        }
    }
}

impl MsiSink for Arrived {
    fn send(&self, target: MsiTarget) {
        let place = self.count.fetch_add(1, Relaxed);

        self.messages[place].store(target.encode(), Relaxed);
    }
}

const IE: u32 = 0x100;
const TARGET: u32 = 0x0004_0005;
const OTHER_HART: u32 = 0x0008_0005;
/// To the hart of `TARGET`.
const GENMSI: u32 = 0x0004_0006;

struct Machine {
    aplic: Aplic<Storage>,
    arrived: Arrived,
}

impl Machine {
    fn write(&self, register: AplicRegister, value: u32) {
        self.aplic.write(register, value, &self.arrived);
    }

    fn arrived(&self) -> Vec<u32> {
        self.arrived
            .messages
            .iter()
            .map(|message| message.load(Relaxed))
            .filter(|message| *message != 0)
            .collect()
    }
}

/// A source of the second word.
fn source() -> SourceId {
    SourceId::new(33).unwrap()
}

/// A domain of two words with one source, edge-sensitive and enabled.
fn machine() -> Arc<Machine> {
    let storage = Storage((0..2).map(|_| Mutex::new(SourceWord::new())).collect());
    let machine = Machine {
        aplic: Aplic::new(NrSources::new(33).unwrap(), storage).unwrap(),
        arrived: Arrived::new(),
    };

    machine.write(AplicRegister::SourceCfg(source()), 4);
    machine.write(AplicRegister::Target(source()), TARGET);
    machine.write(AplicRegister::SetIeNum, source().get());
    Arc::new(machine)
}

/// Lets a rising edge come at any time.
fn edge(machine: &Arc<Machine>) -> thread::JoinHandle<()> {
    let machine = machine.clone();
    thread::spawn(move || {
        machine.aplic.set_input(source(), true, &machine.arrived);
    })
}

/// AP-39: an edge while IE is set is sent, by one of the two, once.
#[test]
fn an_edge_is_sent_once() {
    loom::model(|| {
        let machine = machine();
        let edge = edge(&machine);
        machine.write(AplicRegister::DomainCfg, IE);
        edge.join().unwrap();
        assert_eq!(machine.arrived(), [TARGET]);
    });
}

/// AP-39: what became pending is sent if IE is set in the end, whoever else wrote it meanwhile.
#[test]
fn interrupt_enable_is_not_lost() {
    loom::model(|| {
        let machine = machine();
        machine.aplic.set_input(source(), true, &machine.arrived);
        let other = {
            let machine = machine.clone();
            thread::spawn(move || machine.write(AplicRegister::DomainCfg, IE))
        };
        machine.write(AplicRegister::DomainCfg, 0);
        machine.write(AplicRegister::DomainCfg, IE);
        other.join().unwrap();
        assert_eq!(machine.arrived(), [TARGET]);
    });
}

/// AP-39: an edge and a write to `setie` send one MSI.
#[test]
fn enabled_in_time_or_not() {
    loom::model(|| {
        let machine = machine();
        machine.write(AplicRegister::ClrIeNum, source().get());
        machine.write(AplicRegister::DomainCfg, IE);
        let edge = edge(&machine);
        machine.write(AplicRegister::SetIeNum, source().get());
        edge.join().unwrap();
        assert_eq!(machine.arrived(), [TARGET]);
    });
}

/// AP-26, AP-43: once IE is off, no MSI comes after that of `genmsi`.
#[test]
fn genmsi_is_the_last_after_ie_was_cleared() {
    loom::model(|| {
        let machine = machine();
        machine.write(AplicRegister::DomainCfg, IE);
        let edge = edge(&machine);
        machine.write(AplicRegister::DomainCfg, 0);
        machine.write(AplicRegister::GenMsi, GENMSI);
        edge.join().unwrap();
        assert_eq!(machine.arrived().last(), Some(&GENMSI));
    });
}

/// AP-26, AP-43: once a source has another target, the old one gets none after that of `genmsi`.
#[test]
fn genmsi_is_the_last_after_a_change_of_target() {
    loom::model(|| {
        let machine = machine();
        machine.write(AplicRegister::DomainCfg, IE);
        let edge = edge(&machine);
        machine.write(AplicRegister::Target(source()), OTHER_HART);
        machine.write(AplicRegister::GenMsi, GENMSI);
        edge.join().unwrap();
        let arrived = machine.arrived();
        assert_eq!(arrived.len(), 2);
        let position = |target| arrived.iter().position(|&t| t == target);
        if let Some(late) = position(TARGET) {
            assert!(position(GENMSI) > Some(late));
        }
    });
}

/// AP-26: who reads that `genmsi` is not busy with a value finds its MSI.
#[test]
fn genmsi_that_is_not_busy_has_arrived() {
    loom::model(|| {
        let machine = machine();
        let other = {
            let machine = machine.clone();
            thread::spawn(move || machine.write(AplicRegister::GenMsi, GENMSI))
        };
        if machine.aplic.read(AplicRegister::GenMsi) == GENMSI {
            assert_eq!(machine.arrived(), [GENMSI]);
        }
        other.join().unwrap();
    });
}
