// SPDX-License-Identifier: GPL-2.0

//! What races with INIT.

use crate::{
    noise::{
        attribute,
        injection,
        Random, //
    },
    while_running, //
};
use kvm_bindings::*;
use libc::{
    EBUSY,
    EINVAL,
    ENOSPC, //
};
use std::sync::atomic::{
    AtomicBool,
    AtomicU64,
    Ordering, //
};
use vmm::{
    abi::{
        op,
        DOORBELL, //
    },
    diag,
    ensure,
    fixture::{
        page,
        Fixture, //
    },
    refused,
    regs::{
        aplic,
        imsic, //
    },
    same,
    Config,
    Context,
    Error,
    Guest,
    Machine,
    Number,
    Result,
    TestMemory, //
};

/// Attributes of all groups while INIT fails half-way, again and again. With
/// the last address there it works (721ead775712, 7120a9d9e023).
pub(crate) fn failing(m: &Machine) -> Result<()> {
    let f = Fixture::new(m, 3)?;
    let mem = TestMemory::new()?;

    f.configure(63, 4)?;
    // The first two are set up and taken down each time.
    f.aia
        .set_imsic_addr(2, page(2) + (1 << 40))
        .context("address")?;
    let runs = while_running(&[
        &|_| refused(f.aia.init(), EINVAL, || "INIT".into()),
        &|r| {
            // HAS and GET alone: nothing that would make INIT work.
            let group = 3 + r.below(2) as u32;
            let attr = match group {
                KVM_DEV_RISCV_AIA_GRP_APLIC => 4 * r.below(0x1000),
                _ => vmm::Aia::imsic_attr(r.below(3) as usize, 0x70 + r.below(0x90) as u32),
            };

            ensure(
                f.aia.has(group, attr).is_err() && f.aia.get(group, attr, 0).is_err(),
                || format!("attribute {attr:#x} of group {group} before INIT"),
            )
        },
        &|r| {
            injection(&f, r);
            Ok(())
        },
        &|r| {
            let _ = f.aia.set_at(
                3 + r.below(2) as u32,
                4 * r.below(0x1000),
                &mem,
                vmm::Place::Nowhere,
            );
            Ok(())
        },
    ])?;

    diag(format!("{runs:?} times"));
    f.aia.set_imsic_addr(2, page(2)).context("address")?;
    f.aia.init().context("INIT")?;
    f.msi(page(2), 5).context("KVM_SIGNAL_MSI")?;
    same(f.aia.imsic(2, 0x80).ok(), Some(1 << 5), || "eip0".into())
}

/// INIT fails at the end of its work, when the I/O bus has no room for the last interrupt file, while
/// vCPUs run that user space interrupts itself. With room it works.
pub(crate) fn late(m: &Machine) -> Result<()> {
    const VCPUS: usize = 3;
    let mut guest = Guest::bare(
        m.kvm(),
        Config {
            sources: 4,
            // Apart from each other: their pages are not one stretch.
            numbers: &[
                Number { id: 0, hart: 0 },
                Number { id: 1, hart: 2 },
                Number { id: 2, hart: 4 },
            ],
            ..Config::new(VCPUS, m.best_mode())
        },
    )?;

    for n in 0..VCPUS {
        guest.start(n, &[m.cpu(n)])?;
        guest.call(n, op::NOP, &[])?;
        guest.interrupt(n, true)?;
    }
    // Room for the APLIC and for all files but one.
    guest.crowd_bus(VCPUS as u32)?;
    let runs = while_running(&[
        &|_| refused(guest.aia().init(), ENOSPC, || "INIT".into()),
        &|r| {
            let n = r.below(VCPUS as u64) as usize;

            ensure(guest.aia().imsic(n, imsic::EIDELIVERY).is_err(), || {
                "a file before INIT".into()
            })
        },
        &|r| {
            let _ = guest.signal_msi(r.below(VCPUS as u64) as usize, 5);
            Ok(())
        },
        // Each is an exit, and an entry.
        &|_| guest.call(0, op::WRITE32, &[DOORBELL, 0]).map(drop),
        &|_| guest.call(1, op::WRITE32, &[DOORBELL, 0]).map(drop),
    ])?;

    diag(format!("{runs:?} times"));
    guest.clear_bus()?;
    guest.ready()?;
    for n in 0..VCPUS {
        guest.interrupt(n, false)?;
        guest.signal_msi(n, 5)?;
        guest.call(n, op::IMSIC_INIT, &[1, 63])?;
        guest.until(|g| g.count(n, 5) == 1, || format!("an MSI of vCPU {n}"))?;
    }
    Ok(())
}

/// A configuration that changes until INIT and not after it: what the
/// controllers have is what CONFIG reads.
pub(crate) fn consistent(m: &Machine) -> Result<()> {
    let mut seen = [0; 2];

    for n in 0..100u64 {
        let f = Fixture::new(m, 2)?;
        let ready = AtomicBool::new(false);
        let toggled = AtomicU64::new(0);

        f.configure(63, 4)?;
        std::thread::scope(|s| {
            let toggles = s.spawn(|| {
                let mut sources = 8;

                while !ready.load(Ordering::Relaxed) {
                    let _ = f.aia.set_config(KVM_DEV_RISCV_AIA_CONFIG_SRCS, sources);
                    sources = 12 - sources;
                    toggled.fetch_add(1, Ordering::Relaxed);
                }
            });

            while toggled.load(Ordering::Relaxed) < n && !toggles.is_finished() {
                std::hint::spin_loop();
            }
            let init = f.aia.init();

            ready.store(true, Ordering::Relaxed);
            toggles
                .join()
                .map_err(|_| Error::new("a thread panicked"))?;
            init.context("INIT")
        })?;
        let sources = f
            .aia
            .config(KVM_DEV_RISCV_AIA_CONFIG_SRCS)
            .context("SRCS")?;

        for source in 1..=9 {
            same(
                f.aia.aplic(aplic::TARGET + 4 * source).is_ok(),
                source <= sources,
                || format!("source {source} of {sources}"),
            )?;
            same(f.line(source, true).is_ok(), source <= sources, || {
                format!("line {source} of {sources}")
            })?;
        }
        refused(f.aia.init(), EBUSY, || "INIT again".into())?;
        seen[(sources / 4 - 1) as usize] += 1;
    }
    diag(format!("4 sources: {} times, 8: {}", seen[0], seen[1]));
    Ok(())
}

/// Many threads want INIT: one gets it.
pub(crate) fn twice(m: &Machine) -> Result<()> {
    for _ in 0..m.rounds(200) {
        let f = Fixture::new(m, 3)?;

        f.configure(63, 8)?;
        let good = std::thread::scope(|s| {
            let threads: Vec<_> = (0..3).map(|_| s.spawn(|| f.aia.init())).collect();

            threads
                .into_iter()
                .filter_map(|t| t.join().ok())
                .filter(|init| match init {
                    Ok(()) => true,
                    Err(e) => e.raw_os_error() != Some(EBUSY),
                })
                .count()
        });

        same(good, 1, || "threads for which INIT was not busy".into())?;
    }
    Ok(())
}

/// vCPUs are made, addresses set, INIT tried, interrupts sent, and attributes
/// of all kinds read and written, all at once, in many machines.
pub(crate) fn vcpus(m: &Machine) -> Result<()> {
    let mut machines = 0;
    let mut ready = 0;
    let start = std::time::Instant::now();
    let mem = TestMemory::new()?;

    while start.elapsed() < crate::duration() {
        let f = Fixture::new(m, 1)?;
        let done = AtomicBool::new(false);
        let seed = machines;

        f.configure(63, 8)?;
        f.aia
            .set_config(KVM_DEV_RISCV_AIA_CONFIG_HART_BITS, 3)
            .context("HART_BITS")?;
        let made = std::thread::scope(|s| {
            let maker = s.spawn(|| {
                let made: Result<Vec<_>> = (1..5)
                    .map(|id| {
                        let vcpu = f.vm.create_vcpu(id).context(format!("vCPU {id}"));
                        let _ = f.aia.set_imsic_addr(id as usize, page(id as usize));

                        vcpu
                    })
                    .collect();

                done.store(true, Ordering::Relaxed);
                made
            });

            for thread in 0..2u64 {
                let (f, done, mem) = (&f, &done, &mem);

                s.spawn(move || {
                    let mut r = Random::new(seed * 4 + thread);

                    while !done.load(Ordering::Relaxed) {
                        attribute(&f.aia, mem, &mut r);
                        injection(f, &mut r);
                    }
                });
            }
            s.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let _ = f.aia.init();
                }
            });
            maker.join().map_err(|_| Error::new("a thread panicked"))?
        })?;

        ready += u32::from(f.aia.init().is_ok());
        machines += 1;
        // The vCPUs go before their machine this time, and after it the next.
        if machines % 2 == 0 {
            drop(made);
            drop(f);
        } else {
            drop(f);
            drop(made);
        }
    }
    diag(format!(
        "{machines} machines, in {ready} of them INIT came last"
    ));
    Ok(())
}
