// SPDX-License-Identifier: GPL-2.0

//! INIT while vCPUs are made.

use kvm_bindings::{
    KVM_DEV_RISCV_AIA_CONFIG_HART_BITS,
    KVM_DEV_RISCV_AIA_CONFIG_SRCS, //
};
use kvm_ioctls::VcpuFd;
use libc::{
    EBUSY,
    EINVAL,
    ENODEV, //
};
use std::{
    sync::atomic::{
        AtomicUsize,
        Ordering, //
    },
    thread::{
        scope,
        sleep,
        yield_now, //
    },
    time::Duration, //
};
use vmm::{
    abi::APLIC_BASE,
    diag,
    ensure,
    fixture::{
        page,
        Fixture, //
    },
    refused,
    regs::imsic::EIDELIVERY,
    Context,
    Error,
    Machine,
    Result, //
};

/// vCPUs of each machine.
const VCPUS: usize = 8;

/// Makes all vCPUs but the first. Before it makes one, `begun` is its index, and
/// afterwards `made` is the next one's.
struct Maker {
    begun: AtomicUsize,
    made: AtomicUsize,
}

impl Maker {
    fn new() -> Self {
        Self {
            begun: AtomicUsize::new(0),
            made: AtomicUsize::new(1),
        }
    }

    fn run(&self, add: impl Fn(usize) -> Result<VcpuFd>) -> Result<Vec<VcpuFd>> {
        let all = (1..VCPUS)
            .map(|index| {
                self.begun.store(index, Ordering::SeqCst);
                let vcpu = add(index)?;

                self.made.store(index + 1, Ordering::SeqCst);
                Ok(vcpu)
            })
            .collect();

        // Also after an error: somebody waits for the last one.
        self.made.store(VCPUS, Ordering::SeqCst);
        all
    }

    fn begun(&self) -> usize {
        self.begun.load(Ordering::SeqCst)
    }

    fn made(&self) -> usize {
        self.made.load(Ordering::SeqCst)
    }
}

fn create(f: &Fixture, index: usize) -> Result<VcpuFd> {
    f.vm.create_vcpu(index as u64)
        .context(format!("vCPU {index}"))
}

/// INIT fails as it should while vCPUs are made, and does not stay busy. KVM's core
/// of Linux 7.3 makes each under the lock that INIT takes, so that it is never busy.
pub(crate) fn failing(m: &Machine) -> Result<()> {
    let (mut busy, mut invalid) = (0, 0);

    for _ in 0..m.rounds(40) {
        let f = Fixture::new(m, 1)?;
        let maker = Maker::new();

        f.aia
            .set_config(KVM_DEV_RISCV_AIA_CONFIG_HART_BITS, 3)
            .context("HART_BITS")?;
        f.aia
            .set_config(KVM_DEV_RISCV_AIA_CONFIG_SRCS, 8)
            .context("SRCS")?;
        // Held until the end of the machine.
        let _vcpus = scope(|s| {
            let thread = s.spawn(|| maker.run(|index| create(&f, index)));

            while maker.made() < VCPUS {
                match f.aia.init().map_err(|e| e.raw_os_error()) {
                    Err(Some(EBUSY)) => busy += 1,
                    Err(Some(EINVAL)) => invalid += 1,
                    other => {
                        let text = format!("INIT without the APLIC's address: {other:?}");

                        return Err(Error::new(text));
                    }
                }
            }
            thread.join().map_err(|_| Error::new("a thread panicked"))?
        })?;

        refused(f.aia.init(), EINVAL, || {
            "INIT after all vCPUs were made".into()
        })?;
        f.aia.set_aplic_addr(APLIC_BASE).context("address")?;
        for index in 0..VCPUS {
            f.aia
                .set_imsic_addr(index, page(index))
                .context("address")?;
        }
        f.aia.init().context("INIT with all addresses")?;
    }
    diag(format!(
        "INIT was busy {busy} times, invalid {invalid} times"
    ));
    Ok(())
}

/// Makes a vCPU and gives it its address, if it is not too late.
fn place(f: &Fixture, index: usize) -> Result<VcpuFd> {
    // So that INIT can come between any two.
    sleep(Duration::from_millis(2));
    let vcpu = create(f, index)?;

    match f.aia.set_imsic_addr(index, page(index)) {
        // INIT was faster: this one has no interrupt file.
        Err(e) if e.raw_os_error() == Some(EBUSY) => (),
        other => other.context(format!("address of vCPU {index}"))?,
    }
    Ok(vcpu)
}

/// vCPUs made before INIT have an interrupt file, those made after it have none,
/// and the others have one or not.
pub(crate) fn files(m: &Machine) -> Result<()> {
    let machines = m.rounds(60) as usize;
    let mut seen = [0; VCPUS + 1];

    for round in 0..machines {
        let f = Fixture::new(m, 1)?;
        let maker = Maker::new();

        f.configure(63, 8)?;
        f.aia
            .set_config(KVM_DEV_RISCV_AIA_CONFIG_HART_BITS, 3)
            .context("HART_BITS")?;
        let (before, after, _vcpus) = scope(|s| {
            let thread = s.spawn(|| maker.run(|index| place(&f, index)));

            while maker.made() < 1 + round % VCPUS {
                yield_now();
            }
            let (before, after) = loop {
                let before = maker.made();

                match f.aia.init().map_err(|e| e.raw_os_error()) {
                    Ok(()) => break (before, maker.begun()),
                    // One is being made, or has no address yet.
                    Err(Some(EBUSY | EINVAL)) => (),
                    other => {
                        return Err(Error::new(format!("INIT while vCPUs are made: {other:?}")))
                    }
                }
            };
            let vcpus = thread
                .join()
                .map_err(|_| Error::new("a thread panicked"))??;

            Ok((before, after, vcpus))
        })?;
        let have = (0..VCPUS)
            .take_while(|&index| f.aia.imsic(index, EIDELIVERY).is_ok())
            .count();

        ensure((before..=after + 1).contains(&have), || {
            format!(
                "{have} vCPUs have a file; {before} were there before INIT, {} after it",
                after + 1
            )
        })?;
        for index in have..VCPUS {
            refused(f.aia.imsic(index, EIDELIVERY), ENODEV, || {
                format!("file of vCPU {index} when vCPU {have} has none")
            })?;
        }
        seen[have] += 1;
    }
    diag(format!("machines with so many interrupt files: {seen:?}"));
    Ok(())
}
