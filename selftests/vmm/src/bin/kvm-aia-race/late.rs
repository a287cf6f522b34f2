// SPDX-License-Identifier: GPL-2.0

//! vCPUs that come after INIT.

use crate::{
    sys::Device,
    while_running, //
};
use kvm_bindings::{
    KVM_DEV_RISCV_AIA_CONFIG_HART_BITS,
    KVM_DEV_RISCV_AIA_CONFIG_IDS, //
};
use libc::{
    EBUSY,
    EEXIST,
    EINVAL,
    ENODEV,
    ENXIO, //
};
use std::{
    io,
    sync::{
        atomic::{
            AtomicU32,
            Ordering, //
        },
        Mutex, //
    },
};
use vmm::{
    diag,
    ensure,
    ext::{
        self,
        imsic_state, //
    },
    fixture::{
        page,
        Fixture, //
    },
    regs::{
        aplic::{
            DOMAINCFG,
            GENMSI,
            IE, //
        },
        imsic::{
            EIDELIVERY,
            EIP0, //
        },
    },
    same,
    Context,
    Error,
    Machine,
    Result, //
};

/// More memory than the state takes.
const ROOM: usize = 1 << 16;

/// As many as the hart index has room for.
const VCPUS: u32 = 64;

/// `result`, or one of these errors.
fn or(result: io::Result<()>, errors: &[i32], what: &str) -> Result<bool> {
    match result {
        Ok(()) => Ok(true),
        Err(e) if errors.iter().any(|&errno| e.raw_os_error() == Some(errno)) => Ok(false),
        Err(e) => Err(Error::new(format!("{what}: {e}"))),
    }
}

/// They are made, and get their interrupt files from two threads at once, while MSIs, the APLIC, attributes
/// and states go to those that are there or not. In the end each has one, at the address that was given
/// first, and takes MSIs.
pub(crate) fn all(m: &Machine) -> Result<()> {
    let rounds = m.rounds(1);
    let mut ran = Vec::new();

    for _ in 0..rounds {
        let (f, device) = Device::of(|| Fixture::new(m, 0))?;
        let request = {
            let mut bytes = [0; 24];

            bytes[0] = 1;
            bytes
        };
        let made = AtomicU32::new(0);
        let vcpus = Mutex::new(Vec::new());

        f.aia
            .set(ext::GROUP, ext::ENABLE, ext::LATE_VCPUS.into())
            .context("extensions")?;
        f.configure(63, 4)?;
        f.aia
            .set_config(KVM_DEV_RISCV_AIA_CONFIG_HART_BITS, 6)
            .context("hart bits")?;
        f.aia.init().context("INIT")?;
        f.aia.set_aplic(DOMAINCFG, IE).context("IE")?;
        let address = |n: u32| {
            let set = f.aia.set_imsic_addr(n as usize, page(n as usize));

            // Another thread may have been first; and the vCPU may not be there yet.
            or(set, &[EBUSY, ENXIO], "address").map(drop)
        };

        ran = while_running(&[
            &|_| {
                let n = made.load(Ordering::Relaxed);

                if n < VCPUS {
                    let vcpu = f.bare_vcpu(n.into()).context("KVM_CREATE_VCPU")?;

                    vcpus
                        .lock()
                        .map_err(|_| Error::new("a thread panicked"))?
                        .push(vcpu);
                    made.store(n + 1, Ordering::Relaxed);
                }
                Ok(())
            },
            &|r| address(r.below(VCPUS.into()) as u32),
            &|r| address(r.below(VCPUS.into()) as u32),
            &|r| {
                // The address of another one that is there, or that may come to be.
                let n = r.below(VCPUS.into()) as usize;
                let other = page(r.below(VCPUS.into()) as usize);

                if other == page(n) {
                    return Ok(());
                }
                match f.aia.imsic_addr(n) {
                    Ok(u64::MAX) | Err(_) => Ok(()),
                    Ok(_) => or(f.aia.set_imsic_addr(n, other), &[EBUSY, EEXIST], "another")
                        .and_then(|set| same(set, false, || "two addresses".into())),
                }
            },
            &|r| {
                let n = r.below(VCPUS.into()) as usize;

                f.msi(page(n), 5).context("KVM_SIGNAL_MSI")?;
                f.aia
                    .set_aplic(GENMSI, (n as u32) << 18 | 6)
                    .context("genmsi")
            },
            &|r| {
                let n = r.below(VCPUS.into());
                let has = f.aia.has(ext::GROUP, imsic_state(n));

                or(has, &[ENODEV], "HAS of a state")?;
                let read = f.aia.imsic(n as usize, EIDELIVERY);

                or(read.map(drop), &[ENODEV], "GET of eidelivery").map(drop)
            },
            &|_| {
                // The state of those that are there, which may be others when it is set.
                let mut bytes = request;

                bytes[4..8].copy_from_slice(&(ROOM as u32).to_le_bytes());
                let mut bytes = bytes.to_vec();

                bytes.resize(ROOM, 0);
                let (got, mut bytes) = device.get(&bytes)?;

                if or(got, &[EBUSY], "GET")? {
                    let size = u32::from_le_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]);

                    bytes.truncate(size as usize);
                    or(device.set(&bytes), &[EBUSY, EINVAL], "SET")?;
                }
                Ok(())
            },
            &|_| {
                or(
                    f.aia.set_config(KVM_DEV_RISCV_AIA_CONFIG_IDS, 127),
                    &[EBUSY],
                    "IDS",
                )
                .and_then(|set| same(set, false, || "another configuration".into()))
            },
        ])?;
        let made = made.into_inner();
        let mut vcpus = vcpus
            .into_inner()
            .map_err(|_| Error::new("a thread panicked"))?;

        ensure(made > 1, || "hardly a vCPU was late".into())?;
        // Those for which the time was too short.
        for n in made..VCPUS {
            vcpus.push(f.bare_vcpu(n.into()).context("KVM_CREATE_VCPU")?);
        }
        for n in 0..VCPUS as usize {
            let set = f.aia.set_imsic_addr(n, page(n));

            or(set, &[EBUSY], "address in the end")?;
            same(f.aia.imsic_addr(n).ok(), Some(page(n)), || {
                format!("the address of vCPU {n}")
            })?;
            f.aia.set_imsic(n, EIP0, 0).context("eip0")?;
            f.msi(page(n), 9).context("KVM_SIGNAL_MSI")?;
            same(f.aia.imsic(n, EIP0).ok(), Some(1 << 9), || {
                format!("eip0 of vCPU {n}")
            })?;
        }
    }
    diag(format!("{ran:?} times in the last of {rounds} machines"));
    Ok(())
}
