// SPDX-License-Identifier: GPL-2.0

//! The interrupt file of a vCPU, model-checked: in every interleaving, no MSI is lost, nobody gets one
//! that was not for him, nobody touches a guest file at the same time as another or after its hart has
//! gone, nor a vCPU that is gone.
//!
//! What runs is the code that the kernel runs; the machine below it is the model. Of stores to an
//! interrupt file's page it promises what the specification does and no more: they take effect at any
//! later time, in the order in which they come in the global memory order (AIA 3.5). A thread, the
//! wire, decides when. Where all interleavings would take too long, the number of preemptions is
//! bounded ([`bounded`]): switches of the running thread at a point where it could go on. All those
//! where a thread waits, or ends, are explored in any case.
//!
//! `RUSTFLAGS="--cfg loom" cargo test --release --test loom_guest`

#![cfg(loom)]

mod guest_machine;
mod interleavings;

use aia_core::{
    guest::{
        binding::BoundTo,
        imsic::{
            access,
            evict,
            inject,
            release,
            user,
            vcpu::Event, //
        },
        victim::Demand,
    },
    ids::{
        Cpu,
        Hgei, //
    },
    isel::Isel,
    swfile::Image, //
};
use loom::{
    sync::Arc,
    thread, //
};

use guest_machine::{
    id,
    Entered,
    Harts,
    Machine,
    Wire, //
};
use interleavings::bounded;

/// Runs `body` in another thread.
fn spawn<R: 'static>(
    machine: &Arc<Machine>,
    body: impl FnOnce(&Machine) -> R + 'static,
) -> thread::JoinHandle<R> {
    let machine = machine.clone();

    thread::spawn(move || body(&machine))
}

/// VS-9: MSIs that arrive during a move between files are all in the new one, those of the host and
/// those of vCPUs, however long they take.
#[test]
fn a_move_loses_nothing() {
    bounded(3, || {
        let machine = Machine::on_hart_0(&[3]);
        let wire = Wire::to(&machine, 0, 3);
        let host = spawn(&machine, |machine| inject::inject(machine, id(1)));
        let guest = spawn(&machine, |machine| machine.guest_stores(id(2)));

        assert!(machine.follow(1).is_ok());
        host.join().unwrap();
        guest.join().unwrap();
        wire.end();

        assert_eq!(machine.state(), [1, 2, 3]);
        assert_eq!(machine.file(1), [1, 2, 3]);
        assert_eq!(machine.harts.in_use(0), 0);
    });
}

/// Who looks at the machine sees where MSIs went, and what became of the guest file.
#[test]
fn what_happens_is_counted() {
    loom::model(|| {
        let machine = Machine::on_hart_0(&[]);

        inject::inject(&*machine, id(1));
        assert!(machine.follow(1).is_ok());
        inject::inject(&*machine, id(2));
        machine.offline(1);
        inject::inject(&*machine, id(3));

        assert_eq!(
            machine.events(),
            [
                Event::MsiToFile(id(1)),
                Event::Moved(Hgei::MIN),
                Event::MsiToFile(id(2)),
                Event::Evicted(Hgei::MIN),
                Event::MsiToMemory(id(3)),
            ]
        );
        assert_eq!(machine.memory_file(), [1, 2, 3]);
    });
}

/// The same where the guest has all identities of the hart, so that none is left for the marker.
#[test]
fn a_move_with_all_identities_loses_nothing() {
    loom::model(|| {
        let machine = Machine::on_hart_0_with(&[3], 63);
        let wire = Wire::to(&machine, 0, 2);
        let guest = spawn(&machine, |machine| machine.guest_stores(id(2)));

        assert!(machine.follow(1).is_ok());
        guest.join().unwrap();
        wire.end();

        assert_eq!(machine.file(1), [2, 3]);
    });
}

/// The first move of all comes from memory.
#[test]
fn a_move_from_memory_loses_nothing() {
    bounded(3, || {
        let machine = Machine::new();

        inject::inject(&*machine, id(3));
        let wire = Wire::to(&machine, 0, 3);
        let host = spawn(&machine, |machine| inject::inject(machine, id(1)));
        let guest = spawn(&machine, |machine| machine.guest_stores(id(2)));

        assert!(machine.follow(0).is_ok());
        host.join().unwrap();
        guest.join().unwrap();
        wire.end();

        assert_eq!(machine.file(0), [1, 2, 3]);
        assert_eq!(machine.state(), [1, 2, 3]);
        assert!(!machine.vseip());
    });
}

/// A move that ends in memory, since there are no more guest files.
#[test]
fn a_move_to_memory_loses_nothing() {
    bounded(3, || {
        let machine = Machine::on_hart_0(&[3]);
        let wire = Wire::to(&machine, 0, 3);
        let host = spawn(&machine, |machine| inject::inject(machine, id(1)));
        let guest = spawn(&machine, |machine| machine.guest_stores(id(2)));

        machine.release();
        host.join().unwrap();
        guest.join().unwrap();
        wire.end();

        assert_eq!(machine.memory_file(), [1, 2, 3]);
        assert!(machine.vseip());
        assert_eq!(machine.harts.in_use(0), 0);
    });
}

/// A page that cannot be mapped: the state is where it was, and gets what comes.
#[test]
fn a_move_that_fails_changes_nothing() {
    loom::model(|| {
        let machine = Machine::on_hart_0(&[3]);
        let wire = Wire::to(&machine, 0, 2);
        let host = spawn(&machine, |machine| inject::inject(machine, id(1)));
        let guest = spawn(&machine, |machine| machine.guest_stores(id(2)));

        machine.let_maps_fail();
        assert!(machine.follow(1).is_err());
        host.join().unwrap();
        guest.join().unwrap();
        wire.end();

        assert_eq!(machine.file(0), [1, 2, 3]);
        assert_eq!(machine.harts.in_use(1), 0);
    });
}

/// Candidate 9b: a vCPU leaves a hart that goes offline at that time. Each takes the file or waits for
/// the other, and the state arrives with what is sent meanwhile.
#[test]
fn offline_and_a_move_lose_nothing() {
    bounded(3, || {
        let machine = Machine::on_hart_0(&[3]);
        let wire = Wire::to(&machine, 0, 2);
        let offline = spawn(&machine, |machine| machine.offline(0));
        let host = spawn(&machine, |machine| inject::inject(machine, id(1)));

        assert!(machine.follow(1).is_ok());
        offline.join().unwrap();
        host.join().unwrap();
        wire.end();

        assert_eq!(machine.file(1), [1, 3]);
        assert_eq!(machine.state(), [1, 3]);
        assert_eq!(machine.harts.in_use(0), 0);
        assert_eq!(
            BoundTo::unpack(machine.bound_to.load()),
            Some((Cpu::new(1), Hgei::MIN))
        );
    });
}

/// The same, and another vCPU sends.
#[test]
fn offline_and_a_move_lose_no_store_of_a_guest() {
    bounded(3, || {
        let machine = Machine::on_hart_0(&[]);
        let wire = Wire::to(&machine, 0, 2);
        let offline = spawn(&machine, |machine| machine.offline(0));
        let guest = spawn(&machine, |machine| machine.guest_stores(id(2)));

        assert!(machine.follow(1).is_ok());
        offline.join().unwrap();
        guest.join().unwrap();
        wire.end();

        assert_eq!(machine.state(), [2]);
    });
}

/// A move fails while the hart of the old file goes offline: the state is in memory in the end, and
/// not in a file of a hart that has gone.
#[test]
fn offline_and_a_move_that_fails_lose_nothing() {
    bounded(3, || {
        let machine = Machine::on_hart_0(&[3]);
        let wire = Wire::to(&machine, 0, 2);
        let offline = spawn(&machine, |machine| machine.offline(0));
        let host = spawn(&machine, |machine| inject::inject(machine, id(1)));

        machine.let_maps_fail();
        assert!(machine.follow(1).is_err());
        offline.join().unwrap();
        host.join().unwrap();
        wire.end();

        assert_eq!(machine.memory_file(), [1, 3]);
        assert_eq!(machine.bound_to.load(), 0);
        assert_eq!(machine.harts.in_use(0), 0);
    });
}

/// A hart goes offline, and the vCPU has nowhere else to go.
#[test]
fn offline_and_a_move_to_memory_lose_nothing() {
    bounded(3, || {
        let machine = Machine::on_hart_0(&[3]);
        let wire = Wire::to(&machine, 0, 2);
        let offline = spawn(&machine, |machine| machine.offline(0));
        let host = spawn(&machine, |machine| inject::inject(machine, id(1)));

        machine.release();
        offline.join().unwrap();
        host.join().unwrap();
        wire.end();

        assert_eq!(machine.memory_file(), [1, 3]);
        assert!(machine.vseip());
        assert_eq!(machine.harts.in_use(0), 0);
    });
}

/// The vCPU's thread finds that a hart which goes offline has moved the state to memory: all of it is
/// there.
#[test]
fn what_a_hart_that_goes_has_moved_is_there() {
    loom::model(|| {
        let machine = Machine::on_hart_0(&[3]);
        let offline = spawn(&machine, |machine| machine.offline(0));

        machine.release();
        assert_eq!(machine.memory_file(), [3]);
        offline.join().unwrap();
    });
}

/// A vCPU that sleeps is woken up by what the hart that goes offline had for it.
#[test]
fn offline_loses_nothing() {
    bounded(3, || {
        let machine = Machine::on_hart_0(&[3]);
        let wire = Wire::to(&machine, 0, 3);
        let host = spawn(&machine, |machine| inject::inject(machine, id(1)));
        let guest = spawn(&machine, |machine| machine.guest_stores(id(2)));

        machine.offline(0);
        host.join().unwrap();
        guest.join().unwrap();
        wire.end();

        assert_eq!(machine.memory_file(), [1, 2, 3]);
        assert!(machine.vseip());
    });
}

/// Candidate 9a: a vCPU goes away while a hart that goes offline has found it as an owner.
#[test]
fn offline_uses_no_vcpu_that_is_gone() {
    loom::model(|| {
        let machine = Machine::on_hart_0(&[3]);
        let wire = Wire::to(&machine, 0, 1);
        let offline = spawn(&machine, |machine| machine.offline(0));

        machine.destroy();
        offline.join().unwrap();
        wire.end();

        assert_eq!(machine.harts.in_use(0), 0);
    });
}

/// An interrupt of its file wakes up a vCPU that goes away while a hart that goes offline has it.
#[test]
fn an_interrupt_wakes_no_vcpu_that_is_gone() {
    bounded(3, || {
        let machine = Machine::on_hart_0(&[]);
        let offline = spawn(&machine, |machine| machine.offline(0));
        let interrupt = spawn(&machine, |machine| machine.wake_owner(0));

        machine.destroy();
        offline.join().unwrap();
        interrupt.join().unwrap();
    });
}

/// User space reads and writes registers where they are: in a guest file, and in memory.
#[test]
fn user_space_accesses_registers() {
    loom::model(|| {
        let machine = Machine::on_hart_0(&[3]);
        let eip = Isel::new(0x80).unwrap();
        let mut wire = Some(Wire::to(&machine, 0, 2));

        for _ in 0..2 {
            assert_eq!(user::access(&*machine, eip, None), Ok(Some(1 << 3)));
            assert_eq!(user::access(&*machine, eip, Some(1 << 5)), Ok(Some(1 << 3)));
            assert_eq!(user::access(&*machine, eip, Some(1 << 3)), Ok(Some(1 << 5)));
            if let Some(wire) = wire.take() {
                machine.offline(0);
                wire.end();
            }
        }
        assert_eq!(machine.memory_file(), [3]);
        // There is no such register in memory.
        let iprio0 = Isel::new(0x30).unwrap();

        assert_eq!(user::access(&*machine, iprio0, None), Ok(None));
    });
}

/// User space reads a register while the hart that has it goes offline: it ends, and finds it.
#[test]
fn user_space_finds_the_state_of_a_hart_that_goes() {
    loom::model(|| {
        let machine = Machine::on_hart_0(&[3]);
        let wire = Wire::to(&machine, 0, 2);
        let offline = spawn(&machine, |machine| machine.offline(0));
        let mut image = Image::default();

        assert_eq!(user::save(&*machine, &mut image), Ok(()));
        assert_eq!(image.eip[0], 1 << 3);
        offline.join().unwrap();
        wire.end();

        assert_eq!(machine.memory_file(), [3]);
    });
}

/// A reset that meets a hart that goes offline: the state is in memory, and empty.
#[test]
fn a_reset_while_a_hart_goes() {
    loom::model(|| {
        let machine = Machine::on_hart_0(&[3]);
        let wire = Wire::to(&machine, 0, 1);
        let offline = spawn(&machine, |machine| machine.offline(0));

        release::reset(&*machine);
        offline.join().unwrap();
        wire.end();

        assert_eq!(machine.state(), []);
        assert_eq!(machine.bound_to.load(), 0);
        assert_eq!(machine.harts.in_use(0), 0);
    });
}

/// Somebody starts a hart: of what is in memory, what was sent before is gone, and what is sent afterwards
/// is there.
#[test]
fn a_start_forgets_what_came_before() {
    loom::model(|| {
        let machine = Machine::of(&Harts::new(63));

        inject::inject(&*machine, id(3));
        let meanwhile = spawn(&machine, |machine| inject::inject(machine, id(2)));

        assert!(release::reset_in_memory(&*machine));
        inject::inject(&*machine, id(1));
        meanwhile.join().unwrap();

        let left = machine.memory_file();

        assert!(left == [1] || left == [1, 2], "{left:?}");
    });
}

/// What is in a guest file is left to the vCPU's thread.
#[test]
fn a_start_leaves_a_guest_file_alone() {
    loom::model(|| {
        let machine = Machine::on_hart_0(&[3]);
        let offline = spawn(&machine, |machine| machine.offline(0));
        let in_memory = release::reset_in_memory(&*machine);

        offline.join().unwrap();
        if in_memory {
            assert_eq!(machine.state(), []);
        } else {
            assert_eq!(machine.state(), [3]);
        }
    });
}

/// A snapshot has all that was sent before, and leaves everything as it is.
#[test]
fn a_snapshot_has_what_is_on_its_way() {
    for hart_ids in [63, 127] {
        loom::model(move || {
            let machine = Machine::on_hart_0_with(&[3], hart_ids);
            let mut image = Image::default();

            machine.guest_stores(id(2));
            inject::inject(&*machine, id(1));
            let wire = Wire::to(&machine, 0, 3);

            assert_eq!(user::save(&*machine, &mut image), Ok(()));
            assert_eq!(image.eip[0], 0b1110);
            wire.end();

            assert_eq!(machine.file(0), [1, 2, 3]);
        });
    }
}

/// What was sent to a vCPU that does not need it any more is not for the next owner of the file.
#[test]
fn the_next_owner_gets_nothing_of_the_former() {
    bounded(3, || {
        let harts = Harts::new(127);
        let former = Machine::of(&harts);
        let next = Machine::of(&harts);
        // Two clear the file first, who does not know what comes to it.
        let wire = Wire::to(&former, 0, 4);

        assert!(former.follow(0).is_ok());
        let guest = spawn(&former, |machine| machine.guest_stores(id(2)));
        let host = spawn(&former, |machine| inject::inject(machine, id(1)));

        release::discard(&*former);
        assert!(next.follow(0).is_ok());
        guest.join().unwrap();
        host.join().unwrap();
        wire.end();

        assert_eq!(next.file(0), []);
    });
}

/// A move leaves nothing behind for which the next owner would have to wait.
#[test]
fn a_file_that_was_moved_from_is_settled() {
    loom::model(|| {
        let machine = Machine::on_hart_0(&[3]);
        let wire = Wire::to(&machine, 0, 2);
        let guest = spawn(&machine, |machine| machine.guest_stores(id(2)));

        assert!(machine.follow(1).is_ok());
        assert!(machine.harts.is_settled(0));
        guest.join().unwrap();
        wire.end();
        assert_eq!(machine.harts.pending(0), []);
    });
}

/// Nor does it have anything to clear, unless the hart was without power in between.
#[test]
fn a_settled_file_is_not_cleared_again() {
    for without_power in [false, true] {
        loom::model(move || {
            let machine = Machine::on_hart_0(&[3]);

            assert!(machine.follow(1).is_ok());
            if without_power {
                machine.harts.lose_free(0);
            }
            let before = machine.harts.words_replaced(0);

            assert!(machine.follow(0).is_ok());
            // Two words, and what is pending and enabled in them.
            let expected = if without_power { 4 } else { 0 };

            assert_eq!(machine.harts.words_replaced(0) - before, expected);
            assert_eq!(machine.file(0), [3]);
        });
    }
}

/// A hart sleeps, and its guest files lose what they hold.
#[test]
fn a_file_outlives_the_sleep_of_its_hart() {
    loom::model(|| {
        let machine = Machine::on_hart_0(&[3]);

        machine.guest_stores(id(2));
        let wire = Wire::to(&machine, 0, 2);

        evict::park(&machine.owners(0), Cpu::new(0), Hgei::MIN);
        wire.end();
        machine.harts.lose(0);
        evict::unpark(&machine.owners(0), Cpu::new(0), Hgei::MIN);

        assert_eq!(machine.file(0), [2, 3]);
        assert_eq!(machine.memory_file(), []);
        assert!(machine.harts.delivers(0));
        assert!(!machine.vseip());
    });
}

/// The state goes to and fro while MSIs come; the last signal in memory is right.
#[test]
fn the_signal_is_right_after_all() {
    bounded(3, || {
        let machine = Machine::on_hart_0(&[]);
        let wire = Wire::to(&machine, 0, 3);
        let host = spawn(&machine, |machine| inject::inject(machine, id(1)));

        machine.release();
        assert!(machine.follow(0).is_ok());
        machine.release();
        host.join().unwrap();
        wire.end();

        assert_eq!(machine.memory_file(), [1]);
        assert!(machine.vseip());
    });
}

/// The host sends an identity twice, and the vCPU claims meanwhile: it gets it, or is told that it is
/// pending. Who finds it pending tells nobody.
#[test]
fn the_signal_of_one_that_comes_twice() {
    bounded(3, || {
        let machine = Machine::on_hart_0(&[]);

        machine.release();
        let hosts = [(); 2].map(|()| spawn(&machine, |machine| inject::inject(machine, id(1))));
        let claimed = access::claim(&*machine);

        for host in hosts {
            host.join().unwrap();
        }
        let pending = machine.memory_file();

        assert!(claimed.is_some() || pending == [1]);
        assert_eq!(machine.vseip(), pending == [1]);
    });
}

/// Two vCPUs, 1 and 2, of two machines; the state of 2, with these pending, is in the file of hart 0.
fn two(pending: &[u32]) -> (Arc<Machine>, Arc<Machine>) {
    let harts = Harts::new(127);
    let (thief, victim) = (Machine::numbered(&harts, 1), Machine::numbered(&harts, 2));

    victim.put_on(0, pending);
    (thief, victim)
}

/// A vCPU takes the file of one that does not run, to which the host and another vCPU send meanwhile: it
/// has them all in memory, and is woken up; the thief has nothing of it.
#[test]
fn a_victim_loses_nothing() {
    bounded(2, || {
        let (thief, victim) = two(&[3]);
        let wire = Wire::to(&victim, 0, 3);
        let host = spawn(&victim, |machine| inject::inject(machine, id(1)));
        let guest = spawn(&victim, |machine| machine.guest_stores(id(2)));

        assert_eq!(thief.enter(0, &[&victim], Demand::Must), Entered::Moved);
        host.join().unwrap();
        guest.join().unwrap();
        wire.end();

        assert_eq!(victim.memory_file(), [1, 2, 3]);
        assert!(victim.vseip());
        assert_eq!(victim.bound_to.load(), 0);
        assert_eq!(thief.file(0), []);
        assert_eq!(thief.state(), []);
    });
}

/// Those that the thief gets while it steals are all in the file.
#[test]
fn a_thief_loses_nothing() {
    bounded(2, || {
        let (thief, victim) = two(&[3]);

        inject::inject(&*thief, id(4));
        let wire = Wire::to(&thief, 0, 3);
        let host = spawn(&thief, |machine| inject::inject(machine, id(1)));
        let guest = spawn(&thief, |machine| machine.guest_stores(id(2)));

        assert_eq!(thief.enter(0, &[&victim], Demand::Must), Entered::Moved);
        host.join().unwrap();
        guest.join().unwrap();
        wire.end();

        assert_eq!(thief.file(0), [1, 2, 4]);
        assert_eq!(thief.state(), [1, 2, 4]);
        assert!(!thief.vseip());
        assert_eq!(victim.memory_file(), [3]);
    });
}

/// What becomes of both is counted; the victim's MSIs go to memory from then on.
#[test]
fn a_steal_is_counted() {
    loom::model(|| {
        let (thief, victim) = two(&[]);

        assert_eq!(thief.enter(0, &[&victim], Demand::May), Entered::Moved);
        inject::inject(&*victim, id(1));
        assert_eq!(
            thief.events(),
            [Event::Stole(Hgei::MIN), Event::Moved(Hgei::MIN)]
        );
        assert_eq!(
            victim.events(),
            [Event::Robbed(Hgei::MIN), Event::MsiToMemory(id(1))]
        );
    });
}

/// Who may do without a file does if it has not been its owner's for long; who may not gets it.
#[test]
fn a_file_stays_for_its_tenure() {
    loom::model(|| {
        let (thief, victim) = two(&[3]);

        assert_eq!(thief.enter(0, &[&victim], Demand::Must), Entered::Moved);
        assert_eq!(
            victim.enter(0, &[&thief], Demand::May),
            Entered::WithoutFile
        );
        assert_eq!(victim.memory_file(), [3]);
        assert_eq!(victim.enter(0, &[&thief], Demand::Must), Entered::Moved);
        assert_eq!(victim.file(0), [3]);
    });
}

/// A victim that runs is none: either it has the file while it runs, or it finds before that it has
/// none, and takes it again.
#[test]
fn nobody_takes_the_file_of_one_that_runs() {
    bounded(2, || {
        let (thief, victim) = two(&[3]);
        let other = {
            let thief = thief.clone();

            spawn(&victim, move |victim| victim.must_enter(0, &[&thief]))
        };

        thief.must_enter(0, &[&victim]);
        other.join().unwrap();

        // Whoever came last has it.
        let states = [thief.bound_to.load(), victim.bound_to.load()].map(BoundTo::unpack);

        assert_eq!(states.iter().flatten().count(), 1);
        assert_eq!(victim.state(), [3]);
        assert_eq!(thief.state(), []);
    });
}

/// The victim moves to another hart at that time: it takes its state from the file, or from memory when
/// the thief has moved it there.
#[test]
fn a_steal_and_a_move_lose_nothing() {
    bounded(2, || {
        let (thief, victim) = two(&[3]);
        let wire = Wire::to(&victim, 0, 3);
        let moves = spawn(&victim, |victim| victim.must_enter(1, &[]));
        let host = spawn(&victim, |machine| inject::inject(machine, id(1)));

        thief.must_enter(0, &[&victim]);
        moves.join().unwrap();
        host.join().unwrap();
        wire.end();

        assert_eq!(victim.file(1), [1, 3]);
        assert_eq!(victim.state(), [1, 3]);
        assert_eq!(thief.file(0), []);
    });
}

/// The same, and another vCPU sends.
#[test]
fn a_steal_and_a_move_lose_no_store_of_a_guest() {
    bounded(2, || {
        let (thief, victim) = two(&[]);
        let wire = Wire::to(&victim, 0, 3);
        let moves = spawn(&victim, |victim| victim.must_enter(1, &[]));
        let guest = spawn(&victim, |machine| machine.guest_stores(id(2)));

        thief.must_enter(0, &[&victim]);
        moves.join().unwrap();
        guest.join().unwrap();
        wire.end();

        assert_eq!(victim.file(1), [2]);
        assert_eq!(thief.file(0), []);
    });
}

/// Two vCPUs swap between harts that are full: both arrive, with all that was theirs.
#[test]
fn two_that_swap_between_full_harts_arrive() {
    bounded(2, || {
        let (first, second) = two(&[3]);

        first.put_on(1, &[4]);
        let other = {
            let first = first.clone();

            spawn(&second, move |second| second.must_enter(1, &[&first]))
        };
        let host = spawn(&second, |machine| inject::inject(machine, id(1)));

        first.must_enter(0, &[&second]);
        other.join().unwrap();
        host.join().unwrap();

        assert_eq!(first.file(0), [4]);
        assert_eq!(second.file(1), [1, 3]);
        assert_eq!(first.state(), [4]);
        assert_eq!(second.state(), [1, 3]);
    });
}

/// The victim's vCPU goes away: nobody uses it afterwards, and the thief gets the file.
#[test]
fn a_thief_uses_no_vcpu_that_is_gone() {
    bounded(2, || {
        let (thief, victim) = two(&[3]);
        let wire = Wire::to(&victim, 0, 2);
        let ends = spawn(&victim, |victim| victim.destroy());

        thief.must_enter(0, &[&victim]);
        ends.join().unwrap();
        wire.end();

        assert_eq!(thief.file(0), []);
        assert_eq!(thief.harts.in_use(0), Hgei::MIN.bit());
    });
}

/// The victim is reset: it is empty, wherever the reset finds the state.
#[test]
fn a_victim_that_is_reset_is_empty() {
    bounded(2, || {
        let (thief, victim) = two(&[3]);
        // The thief does not know what comes to a file that was given up unread.
        let wire = Wire::to(&victim, 0, 2);
        let reset = spawn(&victim, |victim| release::reset(victim));

        thief.must_enter(0, &[&victim]);
        reset.join().unwrap();
        wire.end();

        assert_eq!(victim.state(), []);
        assert!(!victim.vseip());
        assert_eq!(thief.file(0), []);
    });
}

/// User space reads the state of a vCPU whose file is taken: it ends, and has all.
#[test]
fn user_space_finds_the_state_of_a_victim() {
    bounded(2, || {
        let (thief, victim) = two(&[3]);
        let wire = Wire::to(&victim, 0, 3);
        let steals = {
            let victim = victim.clone();

            spawn(&thief, move |thief| thief.must_enter(0, &[&victim]))
        };
        let mut image = Image::default();

        assert_eq!(user::save(&*victim, &mut image), Ok(()));
        assert_eq!(image.eip[0], 1 << 3);
        steals.join().unwrap();
        wire.end();

        assert_eq!(victim.memory_file(), [3]);
        assert_eq!(thief.file(0), []);
    });
}

/// User space replaces the state meanwhile.
#[test]
fn a_victim_that_is_restored_has_what_it_was_given() {
    bounded(2, || {
        let (thief, victim) = two(&[3]);
        let wire = Wire::to(&victim, 0, 2);
        let restores = spawn(&victim, |victim| {
            let mut image = Image::default();

            image.eip[0] = 1 << 5;
            user::restore(victim, &image);
        });

        thief.must_enter(0, &[&victim]);
        restores.join().unwrap();
        wire.end();

        assert_eq!(victim.memory_file(), [5]);
        assert_eq!(thief.file(0), []);
    });
}

/// The thief moves away from a hart that goes offline, and takes a file of the other.
#[test]
fn a_thief_leaves_a_hart_that_goes() {
    bounded(2, || {
        let (thief, victim) = two(&[3]);

        thief.put_on(1, &[4]);
        let offline = spawn(&thief, |thief| thief.offline(1));
        let host = spawn(&thief, |machine| inject::inject(machine, id(1)));

        thief.must_enter(0, &[&victim]);
        offline.join().unwrap();
        host.join().unwrap();

        assert_eq!(thief.file(0), [1, 4]);
        assert_eq!(victim.memory_file(), [3]);
        assert_eq!(thief.harts.in_use(1), 0);
    });
}

/// An interrupt in the file wakes its owner up while it becomes somebody else's: nobody who has gone.
#[test]
fn an_interrupt_wakes_no_victim_that_is_gone() {
    bounded(2, || {
        let (thief, victim) = two(&[]);
        let ends = spawn(&victim, |victim| victim.destroy());
        let interrupt = spawn(&victim, |victim| victim.wake_owner(0));

        thief.must_enter(0, &[&victim]);
        ends.join().unwrap();
        interrupt.join().unwrap();
    });
}

/// The model of a hart is worth something: without its fence, a guest's store is lost.
#[test]
#[should_panic(expected = "left == right")]
fn without_the_fence_of_a_hart_a_store_is_lost() {
    loom::model(|| {
        let machine = Machine::on_hart_0(&[]);
        let wire = Wire::to(&machine, 0, 2);
        let guest = spawn(&machine, |machine| {
            machine.guest_stores_without_fence(id(2))
        });

        assert!(machine.follow(1).is_ok());
        guest.join().unwrap();
        wire.end();

        assert_eq!(machine.state(), [2]);
    });
}
