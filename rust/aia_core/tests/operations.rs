// SPDX-License-Identifier: GPL-2.0

//! Operations on vectors, on a machine of several harts.

#![cfg(not(loom))]

mod machine;

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
