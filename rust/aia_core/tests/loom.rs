// SPDX-License-Identifier: GPL-2.0

//! Concurrency of vectors, model-checked: every interleaving and every reordering that C11 allows.
//!
//! `RUSTFLAGS="--cfg loom" cargo test --release --test loom`

#![cfg(loom)]

use std::{
    ops::Deref,
    sync::atomic::Ordering::{
        Relaxed,
        Release,
        SeqCst, //
    }, //
};

use aia_core::{
    eix::EixWord,
    ids::{
        Cpu,
        Eiid,
        NrIds, //
    },
    vector::{
        file::{
            Arrival,
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
    sync::{
        atomic::{
            fence,
            AtomicU64, //
        },
        Arc, //
    },
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

/// A hart: its registers, used by one thread, but for its pending bits, which others set by MSIs.
///
/// An MSI is a store that orders what was done before it, as `writel()`; to see it orders nothing.
struct TestHart {
    enabled: std::sync::atomic::AtomicU64,
    pending: AtomicU64,
    /// A bit for each vector that an MSI was sent to, by its identity.
    sent: AtomicU64,
    away: Word,
}

impl TestHart {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            enabled: 0.into(),
            pending: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            away: Word::new(0),
        })
    }

    fn enabled(&self) -> u64 {
        self.enabled.load(Relaxed)
    }

    /// Whether an MSI that was sent to `vector` has arrived there; once for each.
    fn arrived(&self, vector: VectorId) -> bool {
        let mask = 1 << vector.eiid().get();

        self.sent.fetch_and(!mask, Relaxed) & mask != 0
    }
}

impl Hart for TestHart {
    fn enable(&self, eiid: Eiid) {
        self.enabled.fetch_or(1 << eiid.get(), Relaxed);
    }

    fn disable(&self, eiid: Eiid) {
        self.enabled.fetch_and(!(1 << eiid.get()), Relaxed);
    }

    fn is_pending(&self, eiid: Eiid) -> bool {
        self.pending.load(Relaxed) & 1 << eiid.get() != 0
    }

    fn take_pending(&self, eiid: Eiid) -> bool {
        self.pending.fetch_and(!(1 << eiid.get()), Relaxed) & 1 << eiid.get() != 0
    }

    fn clear_pending(&self, _word: EixWord, mask: u64) {
        self.pending.fetch_and(!mask, Relaxed);
    }

    fn send(&self, to: VectorId) {
        fence(Release);
        let twice = self.sent.fetch_or(1 << to.eiid().get(), Relaxed) & 1 << to.eiid().get();

        assert_eq!(twice, 0, "sent twice");
    }

    fn send_here(&self, eiid: Eiid) {
        fence(Release);
        self.pending.fetch_or(1 << eiid.get(), Relaxed);
    }

    fn barrier(&self) {
        fence(SeqCst);
    }

    fn fence(&self) -> bool {
        true
    }

    fn now(&self) -> Tick {
        Tick::new(0)
    }

    fn away(&self) -> &Word {
        &self.away
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
        let hart = TestHart::new();
        let _ = file.go_online(&*hart);
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
            let _ = file.sync(&*hart);
        }
        remote.join().unwrap();
        // The poke: ordered after the mark.
        if file.needs_sync() {
            let _ = file.sync(&*hart);
        }
        assert_eq!(hart.enabled(), 1 << eiid.get());
    });
}

/// A freed identity returns to the pool exactly once, also if its CPU goes offline meanwhile: then
/// when it is back.
#[test]
fn a_freed_identity_comes_back_once() {
    loom::model(|| {
        let file = file();
        let hart = TestHart::new();
        let _ = file.go_online(&*hart);
        let eiid = file.assign(owner()).unwrap();
        let before = file.pool().free();

        let remote = {
            let file = file.clone();
            thread::spawn(move || {
                assert!(file.free(eiid, owner()));
                file.mark(eiid);
            })
        };
        file.go_offline(&*hart, |_| None);
        let _ = file.go_online(&*hart);
        remote.join().unwrap();
        let _ = file.sync(&*hart);

        assert_eq!(file.slot(eiid), Slot::Free);
        assert_eq!(file.pool().free(), before + 1);
    });
}

/// An interrupt that is stuck on a hart that comes back leaves it, or is freed, at that very moment:
/// what was pending is delivered once, or not at all.
///
/// With more than three preemptions it takes too long.
fn back_again(freed: bool) {
    let mut builder = loom::model::Builder::new();

    builder.preemption_bound = Some(3);
    builder.check(move || {
        let file = file();
        let hart = TestHart::new();
        let to = on_cpu(1, 5);
        let _ = file.go_online(&*hart);
        let eiid = file.assign(owner()).unwrap();
        let before = file.pool().free();
        file.go_offline(&*hart, |_| None);
        hart.send_here(eiid);

        let remote = {
            let (file, hart) = (file.clone(), hart.clone());
            thread::spawn(move || {
                assert!(file.begin_move(eiid, owner(), to));
                assert!(file.settle(eiid, to, InFlight::Ordered));
                if !file.mark(eiid) {
                    file.depart(&*hart, eiid, owner(), to);
                }
                if freed {
                    if file.abandon(eiid, to) {
                        file.mark(eiid);
                    }
                    if hart.away().load_acquire() != 0 {
                        file.abandon_away(&*hart, owner());
                    }
                }
            })
        };
        let _ = file.go_online(&*hart);
        remote.join().unwrap();
        let _ = file.sync(&*hart);

        let mut delivered = u32::from(hart.arrived(to));
        if hart.take_pending(eiid) {
            match file.slot(eiid) {
                Slot::Free => {}
                _ => match file.forward(&*hart, eiid) {
                    Arrival::For(_) => delivered += 1,
                    other => assert!(freed, "{other:?}"),
                },
            }
        }
        if !freed {
            assert_eq!(delivered, 1);
        }
        let _ = file.sync(&*hart);
        assert_eq!(file.slot(eiid), Slot::Free);
        assert_eq!((hart.away.load(), file.pool().free()), (0, before + 1));
    });
}

#[test]
fn what_is_pending_is_delivered_when_the_hart_is_back() {
    back_again(false);
}

#[test]
fn what_is_freed_ends_when_the_hart_is_back() {
    back_again(true);
}

/// An MSI that arrived at a forwarder reaches the vector that the interrupt ends up at, also if the
/// first target is left while the MSI is sent on: it is there when whoever leaves it looks, or it is
/// sent to the second one. (Maybe both.)
#[test]
fn a_retarget_loses_nothing() {
    loom::model(|| {
        let file = file();
        let hart = TestHart::new();
        let (first, second) = (on_cpu(1, 5), on_cpu(2, 6));
        let _ = file.go_online(&*hart);
        let eiid = file.assign(owner()).unwrap();
        assert!(file.begin_move(eiid, owner(), first));
        assert!(file.settle(eiid, first, InFlight::Ordered));
        hart.send_here(eiid);
        file.mark(eiid);

        let remote = {
            let (file, hart) = (file.clone(), hart.clone());
            thread::spawn(move || {
                let retargeted = file.retarget(eiid, first, second);

                hart.barrier();
                (retargeted, hart.arrived(first))
            })
        };
        let _ = file.sync(&*hart);
        let (retargeted, seen) = remote.join().unwrap();

        assert_eq!(file.slot(eiid), Slot::Free);
        if retargeted {
            assert!(seen || hart.arrived(second));
        } else {
            // The forwarder had ended, and whoever wanted to retarget it knows that.
            assert!(seen || hart.arrived(first));
        }
    });
}

/// Freed in mid-move: nothing is sent on to the vector once it has been given back.
#[test]
fn an_abandoned_forwarder_ends_once() {
    loom::model(|| {
        let file = file();
        let hart = TestHart::new();
        let to = on_cpu(1, 5);
        let _ = file.go_online(&*hart);
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
        let _ = file.sync(&*hart);
        remote.join().unwrap();
        let _ = file.sync(&*hart);

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
