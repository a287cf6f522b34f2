// SPDX-License-Identifier: GPL-2.0

//! Blocks of vectors, on a machine of several harts.

#![cfg(not(loom))]

mod machine;

use aia_core::vector::{
    block::BlockOwners,
    operations::MoveError,
    slot::Slot, //
};
use machine::{
    block::{
        owners,
        BlockDevice, //
    },
    id,
    Kind,
    Model, //
};
use std::cell::Cell;

/// So many identities are left on `cpu` when it has looked.
fn free(model: &Model, cpu: u32) -> u32 {
    model.interrupt(cpu);
    model.look(cpu);
    model.hart(cpu).file.pool().free()
}

/// What is free on a CPU without interrupts: 0, the poke and the marker are not.
const ALL: u32 = 64 - 3;

#[test]
fn a_block_is_a_power_of_two() {
    for (count, size) in [(2, 2), (3, 4), (4, 4), (5, 8), (17, 32), (32, 32)] {
        assert_eq!(BlockOwners::new(owners(1, count)).unwrap().size(), size);
    }
    for count in [0, 1, 33, 40] {
        assert!(BlockOwners::new(owners(1, count)).is_none());
    }
}

/// The device sets the lowest bits of the identity itself.
#[test]
fn each_message_raises_the_interrupt_of_its_number() {
    for count in [2, 3, 8, 16] {
        let model = Model::new(2);
        let device = BlockDevice::new(&model, 1, count, &[1]).unwrap();

        assert_eq!(device.current().eiid().get() % device.size(), 0);
        device.unmask_all(0);
        for n in 0..count as usize {
            let mut expected = device.handled();

            expected[n] += 1;
            device.fire(n as u32);
            model.interrupt(1);
            assert_eq!(device.handled(), expected);
        }
        assert_eq!(free(&model, 1), ALL - device.size());
        device.free(0);
        assert_eq!(free(&model, 1), ALL);
    }
}

/// The vectors that it got beyond what it asked for are nobody else's, and quiet.
#[test]
fn what_a_device_did_not_ask_for_hits_nobody() {
    let model = Model::new(2);
    let device = BlockDevice::new(&model, 1, 3, &[0]).unwrap();

    device.unmask_all(0);
    model.interrupt(0);
    device.fire(3);
    model.interrupt(0);
    assert_eq!(device.handled(), [0, 0, 0]);
    device.move_to(0, &[1]).unwrap();
    model.interrupt(0);
    model.interrupt(1);
    assert_eq!(device.handled(), [0, 0, 0]);
    device.free(0);
    assert_eq!((free(&model, 0), free(&model, 1)), (ALL, ALL));
}

/// Each state of the message on the way raises the one interrupt that is meant; also if the identities
/// have to change.
#[test]
fn a_move_loses_nothing_at_any_point() {
    for here in [0, 1] {
        for differs in [false, true] {
            for (point, n) in (0..5).flat_map(|point| (0..4).map(move |n| (point, n))) {
                let model = Model::new(2);
                let device = BlockDevice::new(&model, 1, 4, &[0]).unwrap();
                let filler = differs.then(|| BlockDevice::new(&model, 10, 4, &[1]).unwrap());
                let step = Cell::new(0);

                device.unmask_all(0);
                model.interrupt(0);
                let from = device.current();
                device
                    .move_by(here, &[1], |device| {
                        if step.get() == point {
                            device.fire(n);
                        }
                        step.set(step.get() + 1);
                    })
                    .unwrap();
                assert_eq!(step.get(), if differs { 4 } else { 2 });
                assert_eq!(device.current().eiid() != from.eiid(), differs);
                for cpu in [0, 1, 0, 1] {
                    model.interrupt(cpu);
                }
                let mut expected = vec![0; 4];
                expected[n as usize] = usize::from(point < step.get());
                assert_eq!(device.handled(), expected, "{here} {differs} {point}");
                // Nothing is left of the old block, and of the one on the way.
                assert_eq!(free(&model, 0), ALL);
                assert_eq!(model.counts.duplicates.load(), 0);
                assert_eq!(model.moves(), 1);
                if let Some(filler) = filler {
                    assert_eq!(filler.handled(), [0; 4]);
                }
                device.fire(n);
                model.interrupt(1);
                expected[n as usize] += 1;
                assert_eq!(device.handled(), expected);
            }
        }
    }
}

/// Only what is enabled is delivered, before and after a move; what came meanwhile is not lost.
#[test]
fn what_is_masked_stays_masked() {
    let model = Model::new(2);
    let device = BlockDevice::new(&model, 1, 4, &[0]).unwrap();

    device.unmask(0, 1);
    model.interrupt(0);
    (0..4).for_each(|n| device.fire(n));
    model.interrupt(0);
    assert_eq!(device.handled(), [0, 1, 0, 0]);
    device.move_to(0, &[1]).unwrap();
    model.interrupt(1);
    (0..2).for_each(|n| device.fire(n));
    model.interrupt(1);
    assert_eq!(device.handled(), [0, 2, 0, 0]);
    device.unmask_all(1);
    model.interrupt(1);
    assert_eq!(device.handled(), [1, 2, 1, 1]);
}

/// Of a block, each identity must have a way to go: pieces will not do, and nothing changes.
#[test]
fn a_block_does_not_move_into_pieces() {
    let model = Model::new(2);
    let device = BlockDevice::new(&model, 1, 16, &[0]).unwrap();
    let others: Vec<_> = (0..61)
        .map(|n| model.device(100 + n, &[1], Kind::Pci).unwrap())
        .collect();

    device.unmask_all(0);
    // All but every fourth one.
    for (n, other) in others.into_iter().enumerate() {
        if n % 4 != 0 {
            other.free(1);
        }
    }
    let left = free(&model, 1);
    let (before, message) = (device.vectors.get(), device.message.get());
    assert_eq!(device.move_to(0, &[1]), Err(MoveError::Full));
    assert_eq!(
        (device.vectors.get(), device.message.get()),
        (before, message)
    );
    assert_eq!((free(&model, 0), free(&model, 1)), (ALL - 16, left));
    // Two by two there is room.
    let small = BlockDevice::new(&model, 50, 2, &[0]).unwrap();
    small.unmask_all(0);
    small.move_to(0, &[1]).unwrap();
    small.fire(1);
    device.fire(15);
    model.interrupt(0);
    model.interrupt(1);
    assert_eq!(small.handled(), [0, 1]);
    assert_eq!(device.handled()[15], 1);
}

/// No message raises anything on the CPU that was chosen.
#[test]
fn a_move_that_fails_gives_back_what_it_took() {
    let model = Model::new(2);
    let device = BlockDevice::new(&model, 1, 4, &[0]).unwrap();

    device.unmask_all(0);
    model.mute.set(Some(1));
    assert_eq!(device.move_to(0, &[1]), Err(MoveError::NoMessage));
    device.fire(2);
    model.interrupt(0);
    assert_eq!(device.handled(), [0, 0, 1, 0]);
    assert_eq!((free(&model, 0), free(&model, 1)), (ALL - 4, ALL));
}

/// While anything may be on its way to where it was, it does not move again, and freed it leaves no
/// forwarder behind.
#[test]
fn a_move_in_flight_ends_once() {
    for freed in [false, true] {
        let model = Model::new(3);
        let device = BlockDevice::new(&model, 1, 4, &[0]).unwrap();

        device.unmask_all(0);
        model.interrupt(0);
        device.move_to(2, &[1]).unwrap();
        if freed {
            device.free(2);
            for n in 1..64 {
                let slot = model.hart(0).file.slot(id(n));

                assert!(!matches!(slot, Slot::Forward(..)), "{n}: {slot:?}");
            }
            assert_eq!((free(&model, 0), free(&model, 1)), (ALL, ALL));
        } else {
            assert_eq!(device.move_to(2, &[2]), Err(MoveError::Busy));
            model.interrupt(0);
            device.move_to(2, &[2]).unwrap();
            device.fire(3);
            model.interrupt(2);
            assert_eq!(device.handled(), [0, 0, 0, 1]);
        }
    }
}

/// A CPU goes while the block is on its way from another one to it, by the same identities or others:
/// whichever of the messages on the way was sent, and arrives late.
#[test]
fn a_move_past_a_cpu_that_goes_loses_nothing() {
    for differs in [false, true] {
        for (point, n) in (0..5).flat_map(|point| (0..4).map(move |n| (point, n))) {
            let model = Model::new(3);
            let device = BlockDevice::new(&model, 1, 4, &[0]).unwrap();
            let _filler = differs.then(|| BlockDevice::new(&model, 10, 4, &[1]).unwrap());
            let step = Cell::new(0);

            device.unmask_all(0);
            model.interrupt(0);
            model.slow.set(true);
            device
                .move_by(2, &[1], |device| {
                    if step.get() == point {
                        device.fire(n);
                    }
                    step.set(step.get() + 1);
                })
                .unwrap();
            model.hart(1).online.set(false);
            device.move_to(1, &[2]).unwrap();
            model.offline(1);
            model.slow.set(false);
            for cpu in [0, 2, 0, 2] {
                model.arrive(cpu);
                model.interrupt(cpu);
            }
            // What it sent to the CPU that is gone is there when that is back.
            model.arrive(1);
            model.online(1);
            for cpu in [1, 2] {
                model.interrupt(cpu);
            }
            let mut expected = [0; 4];
            expected[n as usize] = usize::from(point < step.get());
            assert_eq!(device.handled(), expected, "{differs} {point} {n}");
            assert_eq!(device.current().cpu().get(), 2);
            assert_eq!(free(&model, 0), ALL);
            assert_eq!(model.counts.away.load(), 0);
        }
    }
}

/// A CPU goes, and there is no room for the block elsewhere: all that comes is there when it is back.
#[test]
fn a_block_that_cannot_leave_waits_for_its_cpu() {
    let model = Model::new(2);
    let device = BlockDevice::new(&model, 1, 16, &[0]).unwrap();
    let _others = [50, 70].map(|first| BlockDevice::new(&model, first, 16, &[1]).unwrap());

    device.unmask_all(0);
    model.hart(0).online.set(false);
    assert_eq!(device.move_to(0, &[1]), Err(MoveError::Full));
    model.offline(0);
    (0..16).for_each(|n| device.fire(n));
    model.online(0);
    model.interrupt(0);
    assert_eq!(device.handled(), [1; 16]);
}

/// At any load and in any order, nobody gets what is another one's, and all come back.
#[test]
fn blocks_and_others_share_the_identities() {
    let mut random: u64 = 1;
    let mut next = |below: u64| {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % below
    };

    for _ in 0..50 {
        let model = Model::new(2);
        let (mut blocks, mut others) = (Vec::new(), Vec::new());

        for round in 0..400 {
            let cpu = next(2) as u32;

            match next(5) {
                0 | 1 => blocks.extend(BlockDevice::new(
                    &model,
                    1000 * (round + 1),
                    2 << next(4),
                    &[cpu],
                )),
                2 => others.extend(model.device(1000 * (round + 1), &[cpu], Kind::Pci)),
                3 if !blocks.is_empty() => {
                    let block = blocks.swap_remove(next(blocks.len() as u64) as usize);

                    if next(3) == 0 {
                        block.free(cpu);
                    } else {
                        let _ = block.move_to(cpu, &[cpu ^ 1]);
                        blocks.push(block);
                    }
                }
                4 if !others.is_empty() => others
                    .swap_remove(next(others.len() as u64) as usize)
                    .free(cpu),
                _ => {}
            }
            model.look(cpu);
            for cpu in 0..2 {
                let mut ids: Vec<_> = blocks
                    .iter()
                    .filter(|block| block.current().cpu().get() == cpu)
                    .flat_map(BlockDevice::ids)
                    .chain(
                        others
                            .iter()
                            .map(machine::Device::current)
                            .filter(|vector| vector.cpu().get() == cpu)
                            .map(|vector| vector.eiid().get()),
                    )
                    .collect();
                let count = ids.len();

                ids.sort_unstable();
                ids.dedup();
                assert_eq!(ids.len(), count);
            }
        }
        blocks.into_iter().for_each(|block| block.free(0));
        others.into_iter().for_each(|other| other.free(0));
        assert_eq!((free(&model, 0), free(&model, 1)), (ALL, ALL));
    }
}
