// SPDX-License-Identifier: GPL-2.0

//! Operations on vectors, on a machine of several harts.

#![cfg(not(loom))]

mod machine;

use aia_core::{
    ids::{
        Cpu,
        Eiid, //
    },
    vector::{
        access::Fence,
        operations::{
            self,
            Choice,
            MoveError, //
        },
        proof,
        slot::{
            Slot,
            SlotOwner, //
        },
        POKE, //
    },
    word::Word, //
};
use machine::{
    on,
    Device,
    Kind,
    Model, //
};
use std::cell::Cell;

#[test]
fn an_interrupt_is_handled_where_it_is() {
    let model = Model::new(2);
    let device = model.device(1, &[1], Kind::Platform).unwrap();

    device.unmask(0);
    device.fire();
    model.interrupt(0);
    model.interrupt(1);
    assert_eq!((device.handled(0), device.handled(1)), (0, 1));
}

/// Each state of the message on the way raises one interrupt; also if the identity has to change,
/// so that a device may mix the address of one vector with the identity of the other.
#[test]
fn a_move_loses_nothing_at_any_point() {
    for kind in KINDS {
        for differs in [false, true] {
            let mut states = 0;

            for point in 0..4 {
                let model = Model::new(2);
                let device = model.device(1, &[0], kind).unwrap();
                let filler = differs.then(|| model.device(2, &[1], kind).unwrap());
                let step = Cell::new(0);

                device.unmask(0);
                model.interrupt(0);
                device
                    .move_by(0, &[1], |device| {
                        if step.get() == point {
                            device.fire();
                        }
                        step.set(step.get() + 1);
                    })
                    .unwrap();
                model.interrupt(0);
                model.interrupt(1);
                let fired = usize::from(point < step.get());
                assert_eq!((device.handled(0), device.handled(1)), (0, fired));
                device.fire();
                model.interrupt(1);
                assert_eq!(device.total(), fired + 1);
                assert_eq!(model.counts.duplicates.load(), 0);
                if let Some(filler) = filler {
                    assert_ne!(device.current().eiid(), device.old().eiid());
                    assert_eq!(filler.total(), 0, "{kind:?}, {point}");
                }
                assert_eq!(model.moves(), 1);
                // Nothing is left of the old vector, and of the one on the way.
                for _ in 0..2 {
                    model.tick();
                }
                model.interrupt(0);
                assert_eq!(model.hart(0).file.pool().free(), 61);
                states = step.get();
            }
            let expected = match (kind, differs) {
                (Kind::Pci, false) => 2,
                (Kind::Pci, true) => 4,
                _ => 1,
            };
            assert_eq!(states, expected);
        }
    }
}

/// As long as anything forwards to a vector, it belongs to the interrupt that has moved there: else
/// the next owner's MSIs could go astray.
#[test]
fn a_freed_vector_has_no_forwarders_any_more() {
    for kind in [Kind::Pci, Kind::Platform] {
        let model = Model::new(3);
        let others: Vec<_> = (2..6)
            .map(|n| model.device(n, &[1], kind).unwrap())
            .collect();
        let device = model.device(1, &[0], kind).unwrap();

        device.unmask(0);
        model.interrupt(0);
        device.move_to(2, &[1]).unwrap();
        let (vectors, owner) = (device.vectors.get(), device.owner);
        let previous = vectors.previous.unwrap();
        assert!(model
            .hart(0)
            .file
            .forwards_to(previous.eiid(), vectors.current));

        model.watch(move |model| {
            let current = vectors.current;
            let owned = model.hart(1).file.slot(current.eiid()) == Slot::Assigned(owner);

            for n in 2..64 {
                let forwards = model.hart(0).file.forwards_to(machine::id(n), current);

                assert!(owned || !forwards, "{n} forwards to what is given back");
            }
        });
        device.free(2);
        for n in 2..63 {
            let slot = model.hart(0).file.slot(machine::id(n));

            assert!(!matches!(slot, Slot::Forward(..)), "{n}: {slot:?}");
        }
        drop(others);
    }
}

/// A device that may mix two messages keeps its identity if it can, or else gets one that is free on
/// the old CPU, too.
#[test]
fn an_identity_changes_only_if_it_must() {
    let model = Model::new(2);
    let others: Vec<_> = (1..4)
        .map(|n| model.device(n, &[0], Kind::Pci).unwrap())
        .collect();
    let device = model.device(4, &[0], Kind::Pci).unwrap();
    let old = device.current();

    device.move_to(0, &[1]).unwrap();
    assert_eq!(device.current(), on(1, old.eiid()));

    // Identity 2 of the new CPU is free, but the old CPU has it.
    assert_eq!(others[0].current(), on(0, machine::id(2)));
    let device = model.device(5, &[0], Kind::Pci).unwrap();
    assert_eq!(device.current(), old);
    device.move_to(0, &[1]).unwrap();
    assert_eq!(device.current(), on(1, machine::id(old.eiid().get() + 1)));
    assert_eq!(model.counts.duplicates.load(), 0);
}

/// A move that fails leaves everything as it was.
#[test]
fn a_move_that_fails_gives_back_what_it_took() {
    for kind in KINDS {
        let model = Model::new(2);
        let device = model.device(1, &[0], kind).unwrap();
        let stranger = model.device(2, &[0], kind).unwrap();
        let vectors = device.vectors.get();

        device.unmask(0);
        model.interrupt(0);
        model.mute.set(Some(1));
        assert_eq!(device.move_to(0, &[1]), Err(MoveError::NoMessage));
        model.mute.set(None);

        // The vector of somebody else.
        device.vectors.set(stranger.vectors.get());
        assert_eq!(device.move_to(0, &[1]), Err(MoveError::NotOwned));
        device.vectors.set(vectors);

        model.interrupt(1);
        assert_eq!(model.hart(1).file.pool().free(), 61);
        let others = fill(&model, 1, kind);
        assert_eq!(device.move_to(0, &[1]), Err(MoveError::Full));
        assert_eq!(model.moves(), 0);
        device.fire();
        model.interrupt(0);
        assert_eq!(device.handled(0), 1);
        drop(others);
    }
}

/// A vector is masked until it is unmasked, wherever that is done; what comes meanwhile waits.
#[test]
fn nothing_is_delivered_while_it_is_masked() {
    for here in [0, 1] {
        let model = Model::new(2);
        let device = model.device(1, &[1], Kind::Platform).unwrap();

        device.fire();
        model.interrupt(1);
        assert_eq!(device.total(), 0, "new");
        device.unmask(here);
        model.interrupt(1);
        assert_eq!(device.handled(1), 1);
        device.mask(here);
        device.fire();
        model.interrupt(1);
        assert_eq!(device.handled(1), 1, "masked");
        device.unmask(here);
        model.interrupt(1);
        assert_eq!(device.handled(1), 2);

        // It stays masked where it moves to.
        device.mask(here);
        device.move_to(here, &[0]).unwrap();
        device.fire();
        model.interrupt(0);
        assert_eq!(device.total(), 2, "moved");
        device.unmask(here);
        model.interrupt(0);
        assert_eq!(device.handled(0), 1);
    }
}

/// A hart that moves what it has lost looks at what waits for it first.
#[test]
fn an_interrupt_can_move_again_at_its_old_hart() {
    let model = Model::new(3);
    let device = model.device(1, &[0], Kind::Pci).unwrap();

    device.unmask(0);
    model.interrupt(0);
    // By another hart, which has asked this one to look.
    device.move_to(2, &[1]).unwrap();
    assert_eq!(device.move_to(2, &[2]), Err(MoveError::Busy));
    device.move_to(0, &[2]).unwrap();
    device.fire();
    model.interrupt(2);
    assert_eq!(device.handled(2), 1);
}

/// An interrupt that leaves a CPU which goes, while its last move is in flight: that is the move that
/// is in flight afterwards.
#[test]
fn a_move_past_a_cpu_that_goes_is_in_flight() {
    let model = Model::new(4);
    let device = model.device(1, &[0], Kind::Platform).unwrap();

    device.unmask(0);
    model.interrupt(0);
    let first = device.message.get();
    device.move_to(3, &[1]).unwrap();
    model.evacuate(1, &[&device]);
    assert_eq!(device.old(), first);
    let place = device.current().cpu().get();
    for tick in 0..2 {
        assert_eq!(device.move_to(3, &[3]), Err(MoveError::Busy), "{tick}");
        model.store(first);
        model.interrupt(0);
        model.interrupt(place);
        assert_eq!(device.handled(place), tick + 1);
        model.tick();
    }
    model.interrupt(0);
    device.move_to(3, &[3]).unwrap();
}

/// An interrupt that moves on from a CPU which goes, before its last move is over: what its device sent
/// in the middle of that one, with a mixture of two messages, comes along, too.
#[test]
fn a_mixture_moves_past_a_cpu_that_goes() {
    let model = Model::new(3);
    let _filler = model.device(2, &[1], Kind::Pci).unwrap();
    let device = model.device(1, &[0], Kind::Pci).unwrap();

    device.unmask(0);
    model.interrupt(0);
    model.slow.set(true);
    device
        .move_by(2, &[1], |device| {
            let message = device.message.get();

            if message.cpu().get() == 0 && message.eiid() != device.current().eiid() {
                device.fire();
            }
        })
        .unwrap();
    let mixture = on(0, device.current().eiid());
    assert!(model
        .hart(0)
        .file
        .forwards_to(mixture.eiid(), device.current()));
    model.evacuate(1, &[&device]);
    for _ in 0..3 {
        for cpu in 0..3 {
            model.arrive(cpu);
            model.interrupt(cpu);
        }
    }
    assert!(device.total() > 0, "lost");
    assert_eq!(model.hart(0).file.slot(mixture.eiid()), Slot::Free);
}

/// A device may raise an identity in the middle of a move that was given back, but at which its hart has
/// not looked: that is not dropped.
#[test]
fn a_mixture_at_an_identity_that_is_given_back() {
    let model = Model::new(2);
    let freed = model.device(1, &[0], Kind::Pci).unwrap();
    let device = model.device(2, &[0], Kind::Pci).unwrap();
    let mut others = fill(&model, 1, Kind::Pci);

    device.unmask(0);
    model.interrupt(0);
    // One identity is left, which is in use at the old CPU.
    let mixture = freed.current();
    others.remove(0).free(1);
    model.look(1);
    freed.free(1);
    assert_eq!(model.hart(0).file.slot(mixture.eiid()), Slot::Drain);
    device
        .move_by(0, &[1], |device| {
            if device.message.get() == mixture {
                device.fire();
            }
        })
        .unwrap();
    assert_eq!(device.current().eiid(), mixture.eiid());
    model.interrupt(0);
    model.interrupt(1);
    assert!(device.handled(1) > 0, "lost");
}

/// The CPU with most free identities gets the next interrupt; those that were freed are free when it
/// has looked.
#[test]
fn interrupts_go_where_most_is_free() {
    let model = Model::new(2);
    let devices: Vec<_> = (1..4)
        .map(|n| model.device(n, &[0], Kind::Platform).unwrap())
        .collect();
    let place = |owner| {
        let device = model.device(owner, &[0, 1], Kind::Platform).unwrap();

        device.current().cpu().get()
    };

    assert_eq!(place(4), 1);
    for device in devices {
        device.free(1);
    }
    assert_eq!(place(5), 1, "not yet");
    model.look(0);
    assert_eq!(place(6), 0);
}

/// Only CPU 1; while that is asked, CPU 0 comes up.
struct Late<'a>(&'a Model);

impl Choice for Late<'_> {
    fn is_any(&self) -> bool {
        let is_any = self.0.cpus() == [1];

        self.0.online(0);
        is_any
    }

    fn cpus(&self) -> impl Iterator<Item = Cpu> {
        [Cpu::new(1)].into_iter()
    }
}

/// A CPU that has just come up is not one that may be chosen.
#[test]
fn a_cpu_that_comes_up_was_not_chosen() {
    let model = Model::new(2);
    let _here = model.device(1, &[1], Kind::Platform).unwrap();

    model.offline(0);
    let owner = SlotOwner::new(0x2000).unwrap();
    let vector = operations::alloc(&model.on(1), &Late(&model), owner).unwrap();
    assert_eq!(vector.cpu().get(), 1);
}

/// An identity that is switched off is one less to give.
#[test]
fn what_is_switched_off_is_not_free() {
    let model = Model::new(2);

    model.storm.set(true);
    model.store(on(0, machine::id(40)));
    model.interrupt(0);
    assert_eq!(model.hart(0).file.slot(machine::id(40)), Slot::Off);
    let device = model.device(1, &[0, 1], Kind::Platform).unwrap();
    assert_eq!(device.current().cpu().get(), 1);
}

/// What only forwards for a while is not free, either.
#[test]
fn what_forwards_is_not_free() {
    let model = Model::new(3);
    let _others = [1, 2].map(|cpu| model.device(1, &[cpu], Kind::Platform).unwrap());
    let device = model.device(2, &[0], Kind::Pci).unwrap();

    // The old CPU has an identity more in use from now on.
    model.slow.set(true);
    device.move_to(1, &[2]).unwrap();
    assert_ne!(device.current().eiid(), device.old().eiid());
    assert_eq!(model.hart(0).file.pool().free(), 59);
    assert_eq!(model.hart(1).file.pool().free(), 60);
    let next = model.device(3, &[0, 1, 2], Kind::Platform).unwrap();
    assert_eq!(next.current().cpu().get(), 1);
}

/// A line whose device posts its messages can move again after two ticks, not sooner, however often
/// that is tried. What the device sent with the old message till then arrives.
#[test]
fn a_posted_line_moves_again_after_two_ticks() {
    for here in [0, 2] {
        let model = Model::new(3);
        let device = model.device(1, &[0], Kind::Platform).unwrap();

        device.unmask(0);
        model.interrupt(0);
        let old = device.message.get();
        device.move_to(here, &[1]).unwrap();
        model.interrupt(0);
        for tick in 0..2 {
            for _ in 0..4 {
                assert_eq!(device.move_to(here, &[2]), Err(MoveError::Busy), "{tick}");
                model.interrupt(0);
            }
            model.store(old);
            model.interrupt(0);
            model.interrupt(1);
            assert_eq!((device.handled(0), device.handled(1)), (0, tick + 1));
            model.tick();
        }
        device.move_to(here, &[2]).unwrap();
        device.fire();
        model.interrupt(2);
        assert_eq!(device.handled(2), 1);
    }
}

const KINDS: [Kind; 3] = [Kind::Pci, Kind::Wired, Kind::Platform];

/// Devices that have all identities of `cpu`, unmasked.
fn fill<'a>(model: &'a Model, cpu: u32, kind: Kind) -> Vec<Device<'a>> {
    let devices: Vec<_> = (0..)
        .map_while(|n| model.device(1 + u64::from(100 * cpu) + n, &[cpu], kind))
        .collect();

    for device in &devices {
        device.unmask(0);
    }
    model.interrupt(cpu);
    devices
}

/// However many lines leave a CPU that goes, their senders are asked once; what was pending goes along.
#[test]
fn a_cpu_that_goes_asks_the_senders_once() {
    let model = Model::new(2);
    let lines: Vec<_> = (1..=20)
        .map(|n| model.device(n, &[1], Kind::Wired).unwrap())
        .collect();

    for line in &lines {
        line.unmask(1);
        line.fire();
    }
    model.evacuate(1, &lines.iter().collect::<Vec<_>>());
    assert_eq!(model.asked.get(), 1);
    model.interrupt(0);
    for line in &lines {
        assert_eq!((line.handled(0), line.total()), (1, 1));
    }
}

/// An interrupt that has nowhere to go stays at the CPU that goes, and gets its MSIs when that is
/// back; also if it has found a place elsewhere in between, and another one.
#[test]
fn nothing_is_lost_while_a_cpu_is_away() {
    for kind in KINDS {
        let model = Model::new(3);
        let mut zero = fill(&model, 0, kind);
        let one = fill(&model, 1, kind);
        let two = fill(&model, 2, kind);
        let stuck: Vec<_> = one.iter().collect();

        model.evacuate(1, &stuck);
        for device in &stuck {
            device.fire();
            assert_eq!(device.current().cpu().get(), 1, "no place, but it moved");
        }

        // Room for two: one of them moves on to another CPU.
        for device in zero.drain(..2) {
            device.free(0);
        }
        model.interrupt(0);
        for device in &stuck[..2] {
            device.move_to(2, &[0]).unwrap();
            device.fire();
            model.interrupt(0);
            assert_eq!((device.handled(0), device.total()), (1, 1));
        }
        let mut two = two;
        two.pop().unwrap().free(0);
        model.interrupt(2);
        stuck[0].move_to(0, &[2]).unwrap();
        model.interrupt(0);
        stuck[0].fire();
        model.interrupt(2);
        assert_eq!((stuck[0].handled(2), stuck[0].total()), (1, 2));

        model.online(1);
        model.interrupt(1);
        for device in &stuck {
            assert_eq!(device.handled(1), 1, "{kind:?}");
        }
        // The way of the last ones is over.
        for _ in 0..2 {
            model.tick();
        }
        model.interrupt(1);
        assert_eq!(model.counts.away.load(), 0);
        assert_eq!(model.hart(1).file.pool().free(), 2);
    }
}

/// What was for an interrupt that is gone reaches nobody.
#[test]
fn what_is_away_ends_with_its_interrupt() {
    for kind in KINDS {
        let model = Model::new(2);
        let one = fill(&model, 1, kind);
        let zero = fill(&model, 0, kind);
        let all: Vec<_> = one.iter().collect();

        model.evacuate(1, &all);
        for device in &one {
            device.fire();
        }
        for device in zero {
            device.free(0);
        }
        model.interrupt(0);
        one[0].move_to(0, &[0]).unwrap();
        assert_eq!(model.counts.away.load(), 1);
        for device in one {
            device.free(0);
        }
        assert_eq!(model.counts.away.load(), 0);
        model.online(1);
        model.interrupt(1);

        let next = fill(&model, 1, kind);
        model.interrupt(1);
        assert!(next.iter().all(|device| device.total() == 0));
        assert_eq!(next.len(), 61);
    }
}

/// A CPU goes while something may still arrive at what has moved away from it.
#[test]
fn stragglers_of_a_cpu_that_goes_are_delivered_when_it_is_back() {
    let model = Model::new(2);
    let device = model.device(1, &[1], Kind::Platform).unwrap();

    device.unmask(0);
    model.interrupt(1);
    let old = device.message.get();
    device.move_to(0, &[0]).unwrap();
    model.interrupt(1);
    model.offline(1);
    model.store(old);
    // Nothing is in flight for the core: it can go anywhere.
    device.fire();
    model.interrupt(0);
    model.online(1);
    let settle = || {
        model.interrupt(1);
        model.tick();
        model.tick();
    };
    settle();
    for _ in 0..2 {
        device.move_to(0, &[1]).unwrap();
        device.fire();
        settle();
        device.move_to(0, &[0]).unwrap();
        settle();
    }
    assert_eq!((device.handled(0), device.handled(1)), (1, 3));
    assert_eq!(model.counts.away.load(), 0);
}

/// MSIs that take their time: the hart of the old vector looks at it before they have arrived.
#[test]
fn a_move_loses_nothing_that_travels() {
    for kind in [Kind::Pci, Kind::Wired] {
        for here in [0, 2] {
            let model = Model::new(3);
            let device = model.device(1, &[0], kind).unwrap();
            // An identity that is nobody's any more, and whose MSI comes late.
            let late = model.device(2, &[0], kind).unwrap();

            device.unmask(0);
            late.unmask(0);
            model.interrupt(0);
            model.slow.set(true);
            late.fire();
            late.free(0);
            device.fire();
            device.move_to(here, &[1]).unwrap();
            model.look(0);
            model.arrive(0);
            model.arrive(1);
            model.interrupt(0);
            model.interrupt(1);
            assert_eq!((device.handled(0), device.handled(1)), (0, 1));
        }
    }
}

/// What another CPU has just sent on to a CPU that goes, for a vector that leaves it: it leaves, too,
/// or if it comes later, it is there when the CPU is back.
#[test]
fn what_was_sent_on_to_a_cpu_that_goes_is_not_lost() {
    for (kind, stuck) in KINDS
        .into_iter()
        .flat_map(|kind| [(kind, false), (kind, true)])
    {
        let model = Model::new(3);
        let device = model.device(1, &[0], kind).unwrap();

        device.unmask(0);
        model.interrupt(0);
        device.fire();
        // The first hart has interrupts off, but takes the MSI in the end.
        device.move_to(2, &[1]).unwrap();
        model.slow.set(true);
        model.interrupt(0);
        model.stuck.set(stuck);
        model.evacuate(1, &[&device]);
        model.stuck.set(false);
        model.slow.set(false);
        for cpu in 0..3 {
            model.arrive(cpu);
        }
        for _ in 0..2 {
            model.tick();
            model.interrupt(0);
            model.interrupt(2);
        }
        assert_eq!(device.total(), usize::from(!stuck), "{kind:?}");
        model.online(1);
        model.interrupt(1);
        assert_eq!((device.handled(1), device.total()), (stuck.into(), 1));
    }
}

/// No identity is free on both CPUs: what a device sends in the middle of a move may arrive at another
/// interrupt's identity. Both are raised then, and the moved one also if nobody can look.
#[test]
fn a_move_between_full_cpus_loses_nothing() {
    // MSIs to the old CPU may also be on their way still, for as long as the hart waits or longer.
    for (here, slow, stuck) in [
        (0, false, false),
        (0, true, false),
        (0, true, true),
        (1, false, false),
    ] {
        for point in 0..5 {
            let model = Model::new(2);
            let zero = fill(&model, 0, Kind::Pci);
            let mut one = fill(&model, 1, Kind::Pci);
            let device = &zero[0];
            one.remove(20).free(1);
            model.interrupt(1);
            let step = Cell::new(0);

            model.slow.set(slow);
            model.stuck.set(stuck);
            device
                .move_by(here, &[1], |device| {
                    if step.get() == point {
                        device.fire();
                    }
                    step.set(step.get() + 1);
                })
                .unwrap();
            assert_eq!(step.get(), 4);
            model.slow.set(false);
            for cpu in 0..2 {
                model.arrive(cpu);
            }
            let temporary = on(0, device.current().eiid());
            let other = zero.iter().find(|d| d.current() == temporary).unwrap();
            model.interrupt(0);
            model.interrupt(1);
            let hit = point == 1;
            // If nobody can tell, it is raised in any case, which may be once too often.
            let blind = here == 1 || stuck;
            let total = usize::from(point < 4 || blind);
            assert_eq!(device.total(), total, "{here}, {point}");
            assert_eq!(other.total(), usize::from(hit));
            assert_eq!(model.counts.duplicates.load(), u64::from(hit || blind));
            device.fire();
            model.interrupt(1);
            assert_eq!(device.total(), total + 1);
        }
    }
}

fn pokes(model: &Model) -> Vec<u32> {
    model.harts.iter().map(|hart| hart.pokes.take()).collect()
}

/// Nobody is disturbed but the CPU that an interrupt leaves, and one at which it is unmasked.
#[test]
fn no_cpu_is_poked_without_need() {
    for kind in KINDS {
        let model = Model::new(3);

        for n in 1..30 {
            let device = model.device(n, &[1], kind).unwrap();
            assert_eq!(pokes(&model), [0, 0, 0]);
            device.unmask(0);
            assert_eq!(pokes(&model), [0, 1, 0]);
            device.move_to(2, &[0]).unwrap();
            assert_eq!(pokes(&model), [0, 1, 0]);
            model.interrupt(1);
            model.interrupt(0);
            // What it owns is enabled there without a look.
            device.fire();
            model.interrupt(0);
            assert_eq!(device.handled(0), 1);
            device.mask(0);
            for _ in 0..2 {
                model.tick();
            }
            device.move_to(0, &[1]).unwrap();
            assert_eq!(pokes(&model), [0, 0, 0]);
            device.fire();
            model.interrupt(1);
            assert_eq!(device.handled(1), 0, "masked");
            device.free(0);
            assert_eq!(pokes(&model), [0, 0, 0]);
            for _ in 0..2 {
                model.interrupt(1);
                model.tick();
            }
            model.look(0);
        }
        assert!(model.harts.iter().all(|hart| hart.file.pool().free() == 61));
    }
}

/// Identities that were freed come back when their CPU has a reason to look; it is told to when it has
/// few others.
#[test]
fn a_cpu_with_few_identities_gets_the_freed_ones_back() {
    let model = Model::new(2);
    let mut devices = fill(&model, 1, Kind::Platform);

    pokes(&model);
    while let Some(device) = devices.pop() {
        let free = model.hart(1).file.pool().free();

        device.free(0);
        // A quarter of all is not few.
        assert_eq!(pokes(&model), [0, u32::from(free < 15)]);
        if free < 15 {
            model.interrupt(1);
            assert_eq!(model.hart(1).file.pool().free(), free + 1);
        }
    }
    let file = &model.hart(1).file;
    assert_eq!((file.in_use(), file.pool().free()), (2, 15));

    // It is told once more when those that are left get few, and when there are none.
    let mut told = 0;
    while model.device(1, &[1], Kind::Platform).is_some() {
        told += pokes(&model)[1];
    }
    assert_eq!((told, pokes(&model)[1]), (1, 1));
    model.interrupt(1);
    assert_eq!(model.hart(1).file.pool().free(), 46);
}

#[test]
fn what_only_waits_for_this_cpu_can_be_had() {
    let model = Model::new(2);
    let devices = fill(&model, 0, Kind::Platform);

    for device in devices {
        // By another CPU, which cannot look.
        device.free(1);
    }
    let file = &model.hart(0).file;
    assert_eq!((file.in_use(), file.pool().free()), (2, 0));
    assert_eq!(fill(&model, 0, Kind::Platform).len(), 61);
}

/// Nobody gets a vector of a CPU that goes, nor of one that has no interrupt file.
#[test]
fn interrupts_go_where_they_are_taken() {
    let model = Model::new(4);
    let _one = model.device(1, &[0], Kind::Platform).unwrap();

    // It goes, but is not gone yet.
    model.hart(1).online.set(false);
    assert!(model.device(2, &[1], Kind::Platform).is_none());
    // It is there, but its file is not.
    model.offline(2);
    model.hart(2).online.set(true);
    assert!(model.device(2, &[2], Kind::Platform).is_none());

    let device = model.device(2, &[0, 1, 3], Kind::Platform).unwrap();
    assert_eq!(device.current().cpu().get(), 3, "most is free there");
    assert_eq!(device.move_to(0, &[1, 2]), Err(MoveError::Full));
}

/// A CPU that is offline has nothing to give, whatever it does in the end.
#[test]
fn a_cpu_that_went_has_nothing_to_give() {
    let model = Model::new(2);
    let device = model.device(1, &[1], Kind::Platform).unwrap();
    let _less_is_free_here = model.device(2, &[0], Kind::Platform).unwrap();

    model.offline(1);
    device.free(0);
    model.look(1);
    assert_eq!(model.hart(1).file.pool().free(), 61);
    assert_eq!(model.placement.best(), Some(on(0, machine::id(2)).cpu()));
}

/// What a sender does when it is asked.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Answer {
    Sends,
    /// It says so, but nothing arrives.
    Claims,
    Refuses,
    /// It has no power, or loses it as it is asked.
    IsOff,
    GoesOff,
}

struct Asked<'a> {
    model: &'a Model,
    marker: Eiid,
    answer: Answer,
    off: Cell<bool>,
    count: &'a Cell<u32>,
}

impl proof::Sender for Asked<'_> {
    fn send(&self) -> bool {
        self.count.set(self.count.get() + 1);
        match self.answer {
            Answer::Sends => self.model.store(on(0, self.marker)),
            Answer::GoesOff => self.off.set(true),
            _ => {}
        }
        matches!(self.answer, Answer::Sends | Answer::Claims)
    }

    fn is_off(&self) -> bool {
        self.off.get()
    }
}

/// All senders that have power have to answer, each with a marker of its own; the first that does not ends
/// it, and nobody is asked any more, unless it has just lost its power.
#[test]
fn senders_are_asked_until_one_does_not_answer() {
    use Answer::*;
    use Fence::*;

    for (senders, outcome, asked, fails) in [
        (&[][..], NotAsked, 0, false),
        (&[Sends], Proven, 1, false),
        (&[Sends, Sends, Sends], Proven, 3, false),
        (&[Refuses, Sends], NotAsked, 1, true),
        (&[Sends, Refuses], NotAsked, 2, true),
        (&[Claims, Sends], Lost, 1, true),
        (&[Sends, Claims, Sends], Lost, 2, true),
        (&[IsOff, Sends], Proven, 1, false),
        (&[IsOff], NotAsked, 0, false),
        (&[GoesOff, Sends], NotAsked, 1, false),
    ] {
        let model = Model::new(1);
        let marker = model.hart(0).file.marker();
        let count = Cell::new(0);
        let failed = Word::default();
        let ask = || {
            let senders = senders.iter().map(|&answer| Asked {
                model: &model,
                marker,
                answer,
                off: Cell::new(answer == IsOff),
                count: &count,
            });

            proof::ask_all(&model.on(0), marker, senders, &failed)
        };

        // Markers take their time, and one from nowhere is nobody's answer.
        model.store(on(0, marker));
        model.slow.set(true);
        let expected = if fails {
            proof::Asked::Failed(outcome)
        } else {
            proof::Asked::All(outcome)
        };

        assert_eq!((ask(), count.take()), (expected, asked), "{senders:?}");
        assert!(asked == 0 || !model.hart(0).is_pending(marker));
        if fails {
            assert_eq!((ask(), count.take()), (proof::Asked::All(NotAsked), 0));
        } else {
            assert_eq!((ask(), count.take()), (expected, asked));
        }
    }
}

/// What happens to a device while its hart is in a state that loses its registers.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Meanwhile {
    Nothing,
    Masked,
    Unmasked,
    Moved,
    Freed,
}

/// A hart loses its registers, or does not: what was pending is, for whose it is now, and enabled is
/// what its owner wants to be.
#[test]
fn a_hart_that_loses_its_registers_loses_no_interrupt() {
    use Meanwhile::*;

    for kind in KINDS {
        for lost in [None, Some((0, 0)), Some((0x1234, 0))] {
            for meanwhile in [Nothing, Masked, Unmasked, Moved, Freed] {
                for pending in [true, false] {
                    let model = Model::new(2);
                    let device = model.device(1, &[1], kind).unwrap();
                    let other = model.device(2, &[1], kind).unwrap();

                    if meanwhile != Unmasked {
                        device.unmask(1);
                    }
                    other.unmask(1);
                    model.interrupt(1);
                    if pending {
                        device.fire();
                    }
                    other.fire();
                    model.doze(1);
                    match meanwhile {
                        Nothing => {}
                        Masked => device.mask(0),
                        Unmasked => device.unmask(0),
                        Moved => device.move_to(0, &[0]).unwrap(),
                        Freed => device.free(0),
                    }
                    model.wake(1, lost);
                    model.interrupt(1);
                    model.interrupt(0);

                    let case = (kind, lost, meanwhile, pending);
                    let owner = SlotOwner::new(0x1000).unwrap();
                    let handled = |cpu| {
                        let handled = model.hart(cpu).handled.borrow();

                        handled.iter().filter(|one| **one == owner).count()
                    };
                    let times = usize::from(pending);
                    let expected = match meanwhile {
                        Nothing | Unmasked => (0, times),
                        Moved => (times, 0),
                        Masked | Freed => (0, 0),
                    };

                    assert_eq!(other.handled(1), 1, "{case:?}");
                    assert_eq!((handled(0), handled(1)), expected, "{case:?}");
                }
            }
        }
    }
}

/// An interrupt that was masked, and comes while the hart is away with its registers kept, is delivered
/// when it is unmasked.
#[test]
fn what_a_masked_interrupt_has_pending_outlives_a_state_that_loses_it() {
    let model = Model::new(2);
    let device = model.device(1, &[1], Kind::Pci).unwrap();

    model.interrupt(1);
    device.fire();
    model.doze(1);
    model.wake(1, Some((0, 0)));
    model.interrupt(1);
    assert_eq!(device.total(), 0);
    device.unmask(0);
    model.interrupt(1);
    assert_eq!(device.handled(1), 1);
}

/// IPIs are recorded in memory; the MSI that says so may be lost.
#[test]
fn a_hart_that_comes_back_looks_for_ipis() {
    let model = Model::new(2);

    model.doze(1);
    model.wake(1, Some((0, 0)));
    assert!(model.hart(1).is_pending(POKE));
}

/// Waking up is not time that passes.
#[test]
fn waking_up_ends_no_forwarder_early() {
    let model = Model::new(2);
    let device = model.device(1, &[1], Kind::Platform).unwrap();

    device.unmask(1);
    model.interrupt(1);
    let old = device.message.get();
    device.move_to(1, &[0]).unwrap();
    for _ in 0..8 {
        model.doze(1);
        model.wake(1, Some((0, 0)));
        model.interrupt(1);
    }
    model.store(old);
    model.interrupt(1);
    model.interrupt(0);
    assert_eq!((device.handled(0), device.handled(1)), (1, 0));

    // The timer ends it in time.
    for _ in 0..2 {
        model.tick();
    }
    assert_eq!(model.hart(1).file.slot(old.eiid()), Slot::Free);
}
