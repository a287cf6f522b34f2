// SPDX-License-Identifier: GPL-2.0

//! A page of a guest is translated otherwise, model-checked: whoever runs a vCPU, begins to run one, or
//! has run one, stores nothing by the former translation once that is done.
//!
//! `RUSTFLAGS="--cfg loom" cargo test --release --test loom_shootdown`

#![cfg(loom)]

mod interleavings;

use std::{
    cell::RefCell,
    mem,
    sync::atomic as plain, //
};

use aia_core::{
    addr::{
        Guest,
        PhysAddr, //
    },
    guest::shootdown::{
        shoot_down,
        HartTranslations,
        LoadedHarts,
        StalePages, //
    },
    ids::Cpu,
    word::Word, //
};
use loom::{
    sync::{
        atomic::{
            fence,
            AtomicUsize,
            Ordering::{
                Relaxed,
                SeqCst, //
            }, //
        },
        Arc,
        Mutex, //
    },
    thread, //
};

use interleavings::bounded;

/// What a page is translated to at first. It is translated otherwise once.
const FORMER: usize = 0;
const NEW: usize = 1;

const PAGES: usize = 2;
const HARTS: usize = 2;

/// Not loaded.
const NOWHERE: usize = HARTS;

fn page(n: usize) -> PhysAddr<Guest> {
    PhysAddr::from_ppn(n as u64 + 1).unwrap()
}

/// What a hart remembers.
#[derive(Default)]
struct Hart {
    translations: [Option<usize>; PAGES],
    /// Stores by a former translation that may come any time later.
    stores_under_way: bool,
}

/// The hart that executes something, which nobody interrupts.
struct Here(RefCell<Hart>);

impl HartTranslations for Here {
    fn forget(&self, stale: PhysAddr<Guest>) {
        let n = (0..PAGES).find(|&n| page(n) == stale).expect("a page");

        self.0.borrow_mut().translations[n] = None;
    }

    fn forget_all(&self) {
        self.0.borrow_mut().translations = [None; PAGES];
    }

    fn order_stores(&self) {
        self.0.borrow_mut().stores_under_way = false;
    }
}

struct Machine {
    stale: StalePages<Vec<Word>>,
    page_table: [AtomicUsize; PAGES],
    /// Where each vCPU is loaded.
    loaded: [AtomicUsize; 2],
    /// Held while the hart does something that no interrupt comes between.
    harts: [Mutex<Hart>; HARTS],
    /// The former translation is of no use any more.
    gone: [plain::AtomicBool; PAGES],
}

impl Machine {
    /// All harts have run the guest, and remember what they saw.
    fn new() -> Arc<Self> {
        let hart = || {
            Mutex::new(Hart {
                translations: [Some(FORMER); PAGES],
                stores_under_way: false,
            })
        };

        Arc::new(Self {
            stale: StalePages::new((0..HARTS).map(|_| Word::new(0)).collect()),
            page_table: [AtomicUsize::new(FORMER), AtomicUsize::new(FORMER)],
            loaded: [AtomicUsize::new(NOWHERE), AtomicUsize::new(NOWHERE)],
            harts: [hart(), hart()],
            gone: Default::default(),
        })
    }

    fn on(&self, hart: usize, f: impl FnOnce(&Here)) {
        let mut hart = self.harts[hart].lock().unwrap();
        let here = Here(RefCell::new(mem::take(&mut hart)));

        f(&here);
        *hart = here.0.into_inner();
    }

    /// A vCPU is loaded on `hart`, as KVM does.
    fn load(&self, vcpu: usize, hart: usize) {
        let cpu = Cpu::new(hart as u32);

        self.loaded[vcpu].store(hart, Relaxed);
        // That of `kvm_check_request()`.
        fence(SeqCst);
        if self.stale.is_behind(cpu) {
            self.on(hart, |here| self.stale.catch_up(cpu, here));
        }
    }

    /// A vCPU that is loaded stores to a page.
    fn store(&self, hart: usize, n: usize) {
        let mut hart = self.harts[hart].lock().unwrap();
        let walked = self.page_table[n].load(Relaxed);

        if *hart.translations[n].get_or_insert(walked) == FORMER {
            assert!(
                !self.gone[n].load(plain::Ordering::SeqCst),
                "a store to page {n} by the former translation"
            );
            hart.stores_under_way = true;
        }
    }

    /// A vCPU is not loaded any more.
    fn put(&self, vcpu: usize, hart: usize) {
        self.on(hart, |here| here.order_stores());
        self.loaded[vcpu].store(NOWHERE, Relaxed);
    }

    fn run(&self, vcpu: usize, hart: usize, pages: &[usize]) {
        self.load(vcpu, hart);
        for &n in pages {
            self.store(hart, n);
        }
        self.put(vcpu, hart);
    }

    /// A page is translated otherwise.
    fn change(&self, n: usize) {
        self.page_table[n].store(NEW, Relaxed);
        shoot_down(self, page(n));
        self.gone[n].store(true, plain::Ordering::SeqCst);
    }
}

impl LoadedHarts for &Machine {
    type Storage = Vec<Word>;
    type Hart<'a> = Here;

    fn stale_pages(&self) -> &StalePages<Vec<Word>> {
        &self.stale
    }

    /// Whoever is asked by an interrupt executes it between two of its own instructions.
    fn call_on_loaded(self, f: impl Fn(Cpu, &Here) + Sync) {
        fence(SeqCst);

        let loaded = [0, 1].map(|vcpu| self.loaded[vcpu].load(Relaxed));

        for hart in (0..HARTS).filter(|hart| loaded.contains(hart)) {
            self.on(hart, |here| f(Cpu::new(hart as u32), here));
        }
    }
}

/// Runs `body` in another thread.
fn spawn(machine: &Arc<Machine>, body: impl FnOnce(&Machine) + 'static) -> thread::JoinHandle<()> {
    let machine = machine.clone();

    thread::spawn(move || body(&machine))
}

/// A vCPU comes, runs and goes, and a page changes.
#[test]
fn nobody_who_begins_to_run_uses_the_former_page() {
    loom::model(|| {
        let machine = Machine::new();
        let guest = spawn(&machine, |machine| machine.run(0, 0, &[0, 0]));

        machine.change(0);
        guest.join().unwrap();
    });
}

/// It runs already.
#[test]
fn nobody_who_runs_uses_the_former_page() {
    loom::model(|| {
        let machine = Machine::new();

        machine.load(0, 0);
        let guest = spawn(&machine, |machine| {
            machine.store(0, 0);
            machine.store(0, 0);
            machine.put(0, 0);
        });

        machine.change(0);
        guest.join().unwrap();
    });
}

/// Two pages change at a time: each of them is forgotten, in whatever order they become known.
#[test]
fn pages_that_change_at_the_same_time_are_all_forgotten() {
    bounded(3, || {
        let machine = Machine::new();
        let guest = spawn(&machine, |machine| machine.run(0, 0, &[0, 1]));
        let other = spawn(&machine, |machine| machine.change(1));

        machine.change(0);
        guest.join().unwrap();
        other.join().unwrap();
    });
}

/// A vCPU goes from hart to hart, also back to where another one was meanwhile.
#[test]
fn a_vcpu_that_moves_meets_no_former_page() {
    bounded(3, || {
        let machine = Machine::new();
        let guest = spawn(&machine, |machine| {
            machine.run(0, 0, &[0]);
            machine.run(0, 1, &[0, 1]);
            machine.run(1, 0, &[1]);
        });

        machine.change(0);
        machine.change(1);
        guest.join().unwrap();
    });
}

/// Two vCPUs run on two harts.
#[test]
fn all_harts_forget_the_former_page() {
    bounded(3, || {
        let machine = Machine::new();
        let guests = [0, 1].map(|n| spawn(&machine, move |machine| machine.run(n, n, &[0])));

        machine.change(0);
        for guest in guests {
            guest.join().unwrap();
        }
    });
}

/// What a vCPU has stored by the former translation, on a hart where it runs or has run, is on its way no
/// more.
#[test]
fn stores_to_the_former_page_come_first() {
    loom::model(|| {
        let machine = Machine::new();
        let guest = spawn(&machine, |machine| {
            machine.load(0, 0);
            machine.store(0, 0);
        });

        machine.change(0);
        for hart in &machine.harts {
            assert!(!hart.lock().unwrap().stores_under_way);
        }
        guest.join().unwrap();
    });
}
