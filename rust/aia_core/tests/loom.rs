// SPDX-License-Identifier: GPL-2.0

//! Concurrency of vectors, model-checked: every interleaving and every reordering that C11 allows.
//!
//! `RUSTFLAGS="--cfg loom" cargo test --release --test loom`

#![cfg(loom)]

use std::{
    cell::Cell,
    ops::Deref,
    sync::Mutex, //
};

use aia_core::{
    ids::{
        Cpu,
        Eiid,
        NrIds, //
    },
    vector::{
        file::{
            File,
            Hart, //
        },
        placement::Placement,
        pool::Pool,
        slot::{
            InFlight,
            Owner,
            Slot, //
        },
        tick::Tick,
        VectorId, //
    },
    word::Word, //
};
use loom::{
    sync::Arc,
    thread, //
};

/// Words on the heap.
struct Words(Vec<Word>);

impl Words {
    fn new(count: usize) -> Self {
        Self((0..count).map(|_| Word::new(0)).collect())
    }
}

impl Deref for Words {
    type Target = [Word];

    fn deref(&self) -> &[Word] {
        &self.0
    }
}

fn file() -> Arc<File<Words>> {
    let bitmap = || Words::new(1);

    Arc::new(
        File::new(
            NrIds::MIN,
            Words::new(64),
            bitmap(),
            bitmap(),
            bitmap(),
            bitmap(),
        )
        .unwrap(),
    )
}

/// The registers of the hart under test, used by one thread; what it sent is for all.
#[derive(Default)]
struct TestHart {
    enabled: Cell<u64>,
    pending: Cell<u64>,
    sent: Mutex<Vec<VectorId>>,
}

impl Hart for TestHart {
    fn enable(&self, eiid: Eiid) {
        self.enabled.set(self.enabled.get() | 1 << eiid.get());
    }

    fn disable(&self, eiid: Eiid) {
        self.enabled.set(self.enabled.get() & !(1 << eiid.get()));
    }

    fn take_pending(&self, eiid: Eiid) -> bool {
        let was = self.pending.get();

        self.pending.set(was & !(1 << eiid.get()));
        was & 1 << eiid.get() != 0
    }

    fn send(&self, to: VectorId) {
        self.sent.lock().unwrap().push(to);
    }

    fn fence(&self) -> bool {
        true
    }

    fn now(&self) -> Tick {
        Tick::new(0)
    }
}

fn id(n: u32) -> Eiid {
    Eiid::new(n).unwrap()
}

fn owner() -> Owner {
    Owner::new(0x1000).unwrap()
}

fn on_cpu(cpu: u32, n: u32) -> VectorId {
    VectorId::new(Cpu::new(cpu), id(n)).unwrap()
}

/// What another CPU wants is applied at the latest by the interrupt that its poke causes.
#[test]
fn a_change_is_seen_by_the_sync_after_the_poke() {
    loom::model(|| {
        let file = file();
        let hart = TestHart::default();
        let _ = file.go_online(&hart);
        let eiid = file.assign(owner()).unwrap();

        let remote = {
            let file = file.clone();
            thread::spawn(move || {
                file.want(eiid, true);
                assert!(file.mark(eiid));
            })
        };
        // An interrupt for another reason, at any time.
        if file.needs_sync() {
            let _ = file.sync(&hart);
        }
        remote.join().unwrap();
        // The poke: ordered after the mark.
        if file.needs_sync() {
            let _ = file.sync(&hart);
        }
        assert_eq!(hart.enabled.get(), 1 << eiid.get());
    });
}

/// A freed identity returns to the pool exactly once, also if its CPU goes offline meanwhile.
#[test]
fn a_freed_identity_comes_back_once() {
    loom::model(|| {
        let file = file();
        let hart = TestHart::default();
        let _ = file.go_online(&hart);
        let eiid = file.assign(owner()).unwrap();
        let before = file.pool().free();

        let remote = {
            let file = file.clone();
            thread::spawn(move || {
                assert!(file.free(eiid, owner()));
                if !file.mark(eiid) {
                    file.retire_away(eiid);
                }
            })
        };
        file.go_offline(&hart);
        remote.join().unwrap();

        assert_eq!(file.slot(eiid), Slot::Free);
        assert_eq!(file.pool().free(), before + 1);
    });
}

/// An MSI that arrived at a forwarder reaches the vector that the interrupt ends up at, also if the
/// first target is left while the MSI is sent on.
#[test]
fn a_retarget_loses_nothing() {
    loom::model(|| {
        let file = file();
        let hart = TestHart::default();
        let (first, second) = (on_cpu(1, 5), on_cpu(2, 6));
        let _ = file.go_online(&hart);
        let eiid = file.assign(owner()).unwrap();
        assert!(file.begin_move(eiid, owner(), first));
        assert!(file.settle(eiid, first, InFlight::Ordered));
        hart.pending.set(1 << eiid.get());
        file.mark(eiid);

        let remote = {
            let file = file.clone();
            thread::spawn(move || file.retarget(eiid, first, second))
        };
        let _ = file.sync(&hart);
        let retargeted = remote.join().unwrap();

        let sent = hart.sent.lock().unwrap();
        assert_eq!(file.slot(eiid), Slot::Free);
        // Retargeted in time: the second one got it. Else the forwarder had ended, and whoever
        // wanted to retarget it knows that the first one did.
        assert_eq!(sent.last(), Some(if retargeted { &second } else { &first }));
    });
}

/// Freed in mid-move: nothing is sent on to the vector once it has been given back.
#[test]
fn an_abandoned_forwarder_ends_once() {
    loom::model(|| {
        let file = file();
        let hart = TestHart::default();
        let to = on_cpu(1, 5);
        let _ = file.go_online(&hart);
        let eiid = file.assign(owner()).unwrap();
        let before = file.pool().free();
        assert!(file.begin_move(eiid, owner(), to));
        assert!(file.settle(eiid, to, InFlight::Ordered));
        file.mark(eiid);

        let remote = {
            let file = file.clone();
            thread::spawn(move || {
                if file.abandon(eiid, to) {
                    file.mark(eiid);
                }
            })
        };
        let _ = file.sync(&hart);
        remote.join().unwrap();
        let _ = file.sync(&hart);

        assert_eq!(file.slot(eiid), Slot::Free);
        assert_eq!(file.pool().free(), before + 1);
    });
}

/// Nobody gets an identity that somebody else has, and none gets lost.
#[test]
fn identities_have_one_owner() {
    loom::model(|| {
        let pool = Arc::new(Pool::new(Words::new(1)).unwrap());

        // All but two are taken.
        for n in 1..=61 {
            assert!(pool.claim(id(n)));
        }
        let other = {
            let pool = pool.clone();
            thread::spawn(move || {
                let eiid = pool.alloc().unwrap();

                pool.release(eiid);
                pool.alloc().unwrap()
            })
        };
        let mine = pool.alloc().unwrap();
        let theirs = other.join().unwrap();

        assert_ne!(mine, theirs);
        assert_eq!(pool.alloc(), None);
        pool.release(mine);
        assert_eq!(pool.alloc(), Some(mine));
    });
}

/// Whatever concurrent changes do, the tree ends up with the best CPU at its root.
#[test]
fn placement_converges() {
    loom::model(|| {
        let tree = Arc::new(Placement::new(Words::new(4)).unwrap());

        tree.update(Cpu::new(0), 5);
        tree.update(Cpu::new(1), 5);
        let other = {
            let tree = tree.clone();
            thread::spawn(move || tree.update(Cpu::new(1), 7))
        };
        tree.update(Cpu::new(0), 6);
        other.join().unwrap();
        assert_eq!(tree.best(), Some(Cpu::new(1)));
    });
}
