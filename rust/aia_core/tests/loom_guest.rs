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

use aia_core::{
    guest::{
        binding::BoundTo,
        imsic::{
            evict,
            inject,
            release,
            user,
            vcpu::Event, //
        },
    },
    ids::{
        Cpu,
        Hgei, //
    },
    swfile::Image, //
};
use loom::{
    sync::Arc,
    thread, //
};

use guest_machine::{
    id,
    Harts,
    Machine,
    Wire, //
};

/// Runs `body` in another thread.
fn spawn<R: 'static>(
    machine: &Arc<Machine>,
    body: impl FnOnce(&Machine) -> R + 'static,
) -> thread::JoinHandle<R> {
    let machine = machine.clone();

    thread::spawn(move || body(&machine))
}

/// Checks a model in which no thread is interrupted more than so many times in all.
fn bounded(preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();

    builder.preemption_bound = Some(preemptions);
    builder.check(model);
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
                Event::MsiToFile,
                Event::Moved,
                Event::MsiToFile,
                Event::Evicted,
                Event::MsiToMemory,
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
