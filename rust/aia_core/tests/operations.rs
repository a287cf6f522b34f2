// SPDX-License-Identifier: GPL-2.0

//! Operations on vectors, on a machine of several harts.

#![cfg(not(loom))]

mod machine;

use aia_core::vector::{
    operations::MoveError,
    slot::Slot, //
};
use machine::{
    Kind,
    Model, //
};

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

/// Each state of the message on the way raises one interrupt.
#[test]
fn a_move_loses_nothing_at_any_point() {
    for kind in [Kind::Pci, Kind::Wired, Kind::Platform] {
        for point in 0..4 {
            let model = Model::new(2);
            let device = model.device(1, &[0], kind).unwrap();
            let step = std::cell::Cell::new(0);

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
            assert_eq!(device.handled(0) + device.handled(1), fired);
            device.fire();
            model.interrupt(1);
            assert_eq!(device.handled(1), fired + 1);
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
        drop(others);
    }
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
