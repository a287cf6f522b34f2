// SPDX-License-Identifier: GPL-2.0

//! Concurrency of an interrupt file in memory, model-checked: every interleaving and every
//! reordering that C11 allows, but for two tests of three threads, in which a thread is preempted
//! three times at most.
//!
//! `RUSTFLAGS="--cfg loom" cargo test --release --test loom_swfile`

#![cfg(loom)]

mod guest_machine;
mod interleavings;

use aia_core::{
    eix::EixWord,
    guest::imsic::{
        access,
        inject,
        vcpu::InterruptFile as _, //
    },
    ids::{
        Eiid,
        NrIds, //
    },
    isel::IndirectRegister,
    swfile::{
        Image,
        SwFile, //
    },
};
use loom::{
    sync::{
        atomic::{
            AtomicU64,
            Ordering, //
        },
        Arc, //
    },
    thread, //
};

use guest_machine::Machine;
use interleavings::bounded;

fn id(n: u32) -> Eiid {
    Eiid::new(n).unwrap()
}

fn eip0() -> IndirectRegister {
    IndirectRegister::Eip(EixWord::new(0).unwrap())
}

/// A file that delivers, with all identities enabled and these pending.
fn file(pending: &[u32]) -> Arc<SwFile> {
    let file = SwFile::new(NrIds::MIN);

    file.access(IndirectRegister::Eie(EixWord::new(0).unwrap()), !0, !0);
    file.access(IndirectRegister::Eidelivery, 1, 1);
    for &n in pending {
        file.pend(id(n));
    }
    Arc::new(file)
}

/// Claims all that is left.
fn drain(file: &SwFile, claimed: &mut Vec<u32>) {
    claimed.extend(std::iter::from_fn(|| file.claim()).map(Eiid::get));
}

/// The last identity of a word is claimed while another one of the word comes in.
#[test]
fn a_claim_does_not_hide_what_comes_in() {
    loom::model(|| {
        let file = file(&[1]);
        let remote = {
            let file = file.clone();
            thread::spawn(move || file.pend(id(2)))
        };

        assert_eq!(file.claim(), Some(id(1)));
        assert!(remote.join().unwrap());
        assert_eq!(file.claim(), Some(id(2)));
        assert_eq!(file.claim(), None);
    });
}

/// Two senders and one claimer: each identity is claimed exactly once.
#[test]
fn each_is_claimed_once() {
    loom::model(|| {
        let file = file(&[]);
        let senders = [1, 2].map(|n| {
            let file = file.clone();
            thread::spawn(move || file.pend(id(n)))
        });

        let mut claimed = Vec::new();
        for _ in 0..2 {
            claimed.extend(file.claim().map(Eiid::get));
        }
        for sender in senders {
            sender.join().unwrap();
        }
        drain(&file, &mut claimed);
        claimed.sort();
        assert_eq!(claimed, [1, 2]);
    });
}

/// Two claimers never get the same identity.
#[test]
fn claimers_share() {
    loom::model(|| {
        let file = file(&[1, 2]);
        let other = {
            let file = file.clone();
            thread::spawn(move || file.claim())
        };

        let mine = file.claim().map(Eiid::get);
        let theirs = other.join().unwrap().map(Eiid::get);
        assert!(matches!(
            (mine, theirs),
            (Some(1), Some(2)) | (Some(2), Some(1))
        ));
        assert_eq!(file.claim(), None);
    });
}

/// What comes in while two clear the word is not lost.
#[test]
fn claimers_do_not_hide_what_comes_in() {
    bounded(3, || {
        let file = file(&[1]);
        let sender = {
            let file = file.clone();
            thread::spawn(move || file.pend(id(2)))
        };
        let other = {
            let file = file.clone();
            thread::spawn(move || file.claim())
        };

        let mut claimed = Vec::from_iter(file.claim().map(Eiid::get));
        claimed.extend(other.join().unwrap().map(Eiid::get));
        sender.join().unwrap();
        drain(&file, &mut claimed);
        claimed.sort();
        assert_eq!(claimed, [1, 2]);
    });
}

/// What comes in during a move is in the image or still in the file.
#[test]
fn a_move_loses_nothing() {
    loom::model(|| {
        let old = file(&[1]);
        let new = SwFile::new(NrIds::MIN);
        let sender = {
            let old = old.clone();
            thread::spawn(move || {
                old.pend(id(2));
                old.pend(id(3));
            })
        };

        let mut image = Image::default();
        old.take(&mut image);
        new.merge(&image);
        sender.join().unwrap();

        let mut stragglers = Image::default();
        old.take_pending(&mut stragglers);
        assert_eq!(image.eip[0] & stragglers.eip[0], 0);
        assert_eq!(image.eip[0] | stragglers.eip[0], 0b1110);
        image.eip = stragglers.eip;
        new.merge(&image);

        let mut claimed = Vec::new();
        drain(&new, &mut claimed);
        assert_eq!(claimed, [1, 2, 3]);
    });
}

/// What comes in too late to be moved is there when the file is used again.
#[test]
fn a_straggler_of_a_move_is_not_hidden() {
    loom::model(|| {
        let file = file(&[1]);
        let sender = {
            let file = file.clone();
            thread::spawn(move || file.pend(id(2)))
        };

        let mut image = Image::default();
        file.take(&mut image);
        sender.join().unwrap();
        assert_eq!(file.top(), None);

        let moved = std::mem::take(&mut image.eip)[0];
        file.merge(&image);
        let mut claimed = Vec::new();
        drain(&file, &mut claimed);
        match moved {
            0b010 => assert_eq!(claimed, [2]),
            0b110 => assert_eq!(claimed, []),
            _ => panic!("{moved:#b} moved"),
        }
    });
}

/// The state moves in while interrupts come in directly.
#[test]
fn a_merge_adds_to_what_comes_in() {
    loom::model(|| {
        let file = file(&[]);
        let image = Image {
            eip: std::array::from_fn(|word| if word == 0 { 0b10 } else { 0 }),
            eie: [!0; EixWord::COUNT],
            eithreshold: 0,
            eidelivery: 1,
        };
        let sender = {
            let file = file.clone();
            thread::spawn(move || file.pend(id(2)))
        };

        file.merge(&image);
        sender.join().unwrap();
        let mut claimed = Vec::new();
        drain(&file, &mut claimed);
        assert_eq!(claimed, [1, 2]);
    });
}

/// Instructions on a word of pending bits leave alone what they do not name.
#[test]
fn an_access_keeps_what_comes_in() {
    for (value, mask, left) in [
        // csrrc of the only bit, csrrs, and a mask with both.
        (0, 0b0010, vec![2]),
        (!0, 0b1000, vec![1, 2, 3]),
        (0b1000, 0b1010, vec![2, 3]),
    ] {
        loom::model(move || {
            let file = file(&[1]);
            let sender = {
                let file = file.clone();
                thread::spawn(move || file.pend(id(2)))
            };

            let old = file.access(eip0(), value, mask).unwrap();
            assert!(old == 0b010 || old == 0b110);
            sender.join().unwrap();
            let mut claimed = Vec::new();
            drain(&file, &mut claimed);
            assert_eq!(claimed, left);
        });
    }
}

/// A vCPU whose file delivers, with all identities enabled and these pending.
fn vcpu(pending: &[u32]) -> Arc<Machine> {
    let vcpu = Machine::new();

    access::access(
        &*vcpu,
        IndirectRegister::Eie(EixWord::new(0).unwrap()),
        !0,
        !0,
    );
    access::access(&*vcpu, IndirectRegister::Eidelivery, 1, 1);
    for &n in pending {
        inject::inject(&*vcpu, id(n));
    }
    vcpu
}

fn sender(vcpu: &Arc<Machine>, n: u32) -> thread::JoinHandle<()> {
    let vcpu = vcpu.clone();

    thread::spawn(move || inject::inject(&*vcpu, id(n)))
}

/// The signal ends up right, whoever evaluates it last.
#[test]
fn the_signal_follows_the_state() {
    loom::model(|| {
        let vcpu = vcpu(&[1]);
        let sender = sender(&vcpu, 2);

        assert_eq!(access::claim(&*vcpu), Some(id(1)));
        sender.join().unwrap();
        assert!(vcpu.vseip());
        assert_eq!(access::claim(&*vcpu), Some(id(2)));
        assert!(!vcpu.vseip());
    });
}

/// The signal goes away with the last claim, however that and the sender meet.
#[test]
fn the_signal_goes_away() {
    loom::model(|| {
        let vcpu = vcpu(&[]);
        let sender = sender(&vcpu, 1);

        let claimed = access::claim(&*vcpu).is_some();
        sender.join().unwrap();
        assert_eq!(vcpu.vseip(), !claimed);
    });
}

/// Who only looks changes nothing, and so need not evaluate the signal.
#[test]
fn looking_hides_nothing() {
    bounded(3, || {
        let vcpu = vcpu(&[2]);
        let sender = sender(&vcpu, 1);
        let claimer = {
            let vcpu = vcpu.clone();
            thread::spawn(move || access::claim(&*vcpu))
        };

        (&*vcpu).sw_file().top();
        access::access(&*vcpu, eip0(), 0, 0);
        sender.join().unwrap();
        assert!(claimer.join().unwrap().is_some());
        // One of the two is left.
        assert!(vcpu.vseip());
    });
}

/// Who sees an interrupt pending, sees what its device wrote before.
#[test]
fn data_comes_before_the_interrupt() {
    let looks: [fn(&SwFile) -> bool; 5] = [
        |file| file.claim().is_some(),
        |file| file.top().is_some(),
        |file| file.access(eip0(), 0, 0) != Some(0),
        |file| file.access(eip0(), 0, 0b10) != Some(0),
        |file| {
            let mut image = Image::default();

            file.copy(&mut image);
            image.has_pending()
        },
    ];

    for look in looks {
        loom::model(move || {
            let file = file(&[]);
            let data = Arc::new(AtomicU64::new(0));
            let device = {
                let (file, data) = (file.clone(), data.clone());
                thread::spawn(move || {
                    data.store(1, Ordering::Relaxed);
                    file.pend(id(1));
                })
            };

            if look(&file) {
                assert_eq!(data.load(Ordering::Relaxed), 1);
            }
            device.join().unwrap();
        });
    }
}
