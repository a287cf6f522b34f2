// SPDX-License-Identifier: GPL-2.0

//! Machines that go while somebody uses them.

use crate::noise::{
    attribute,
    Random, //
};
use std::sync::atomic::{
    AtomicBool,
    Ordering, //
};
use vmm::{
    diag,
    fixture::Fixture,
    Context,
    Error,
    Guest,
    Machine,
    Result,
    TestMemory, //
};

/// The device's file outlives the machine's, and the vCPUs'.
pub(crate) fn device_last(m: &Machine) -> Result<()> {
    let start = std::time::Instant::now();
    let mem = TestMemory::new()?;
    let mut machines = 0;

    while start.elapsed() < crate::duration() {
        let f = Fixture::ready(m, 3, 63, 8)?;
        let done = AtomicBool::new(false);
        let (aia, rest) = f.split();

        std::thread::scope(|s| {
            for thread in 0..2 {
                let (aia, done, mem) = (&aia, &done, &mem);

                s.spawn(move || {
                    let mut r = Random::new(machines * 2 + thread);

                    while !done.load(Ordering::Relaxed) {
                        attribute(aia, mem, &mut r);
                    }
                });
            }
            std::thread::sleep(std::time::Duration::from_micros(machines % 10 * 100));
            drop(rest);
            std::thread::sleep(std::time::Duration::from_micros(machines % 7 * 100));
            done.store(true, Ordering::Relaxed);
        });
        drop(aia);
        machines += 1;
    }
    diag(format!("{machines} machines"));
    Ok(())
}

/// Events of irqfds, of wires and MSIs, come until the machine is gone.
pub(crate) fn irqfds(m: &Machine) -> Result<()> {
    let start = std::time::Instant::now();
    let mut machines = 0u64;

    while start.elapsed() < crate::duration() {
        let guest = Guest::new(
            m.kvm(),
            vmm::Config {
                sources: 4,
                ..vmm::Config::new(2, m.best_mode())
            },
        )?;

        guest.route(&[(0, 5), (1, 6)])?;
        let events = [1, 2, guest.msi_line(0), guest.msi_line(1)]
            .map(|line| guest.irqfd(line))
            .into_iter()
            .collect::<Result<Vec<_>>>()?;
        let done = AtomicBool::new(false);

        std::thread::scope(|s| {
            let sender = s.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    for event in &events {
                        event.write(1).context("eventfd")?;
                        // Nobody reads it when the machine is gone.
                        let _ = event.read();
                    }
                }
                Ok::<(), Error>(())
            });

            std::thread::sleep(std::time::Duration::from_micros(machines % 10 * 100));
            drop(guest);
            done.store(true, Ordering::Relaxed);
            sender.join().map_err(|_| Error::new("a thread panicked"))?
        })?;
        machines += 1;
    }
    diag(format!("{machines} machines"));
    Ok(())
}
