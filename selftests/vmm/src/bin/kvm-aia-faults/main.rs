// SPDX-License-Identifier: GPL-2.0

//! Memory that is not there: each allocation of the device, of a vCPU, INIT, snapshots, and of the
//! page tables for a guest file fails once. User space gets ENOMEM, nothing has happened, and it can
//! try again.
//!
//! Needs a kernel that lets allocations fail, and fails on others.

mod faults;
#[path = "../kvm-aia-extensions/sys.rs"]
mod sys;

use faults::each;
use kvm_bindings::{
    KVM_DEV_RISCV_AIA_GRP_APLIC,
    KVM_DEV_RISCV_AIA_GRP_IMSIC, //
};
use kvm_ioctls::VcpuExit;
use libc::{
    EBUSY,
    EEXIST,
    ENODEV,
    ENOMEM, //
};
use std::{
    io,
    process::ExitCode, //
};
use sys::Device;
use vmm::{
    fixture::{
        errno,
        page,
        Fixture, //
    },
    host::pin_self,
    plain::Plain,
    refused,
    regs::{
        aplic,
        imsic, //
    },
    same,
    suite,
    Aia,
    Context,
    Machine,
    Mode,
    Need::{
        Files,
        Nothing, //
    },
    Result,
    Test, //
};

const VCPUS: usize = 3;
const SOURCES: u32 = 12;
const IDS: u32 = 63;

/// sw x0, (x0): leaves for user space once KVM has all that the vCPU needs.
const STORE: u32 = 0x0000_2023;

/// INIT has not happened.
fn nothing(f: &Fixture) -> Result<()> {
    let aplic = f
        .aia
        .has(KVM_DEV_RISCV_AIA_GRP_APLIC, aplic::DOMAINCFG.into());

    refused(aplic, ENODEV, || "HAS of domaincfg".into())?;
    for vcpu in 0..VCPUS {
        let imsic = f.aia.has(
            KVM_DEV_RISCV_AIA_GRP_IMSIC,
            Aia::imsic_attr(vcpu, imsic::EIDELIVERY),
        );

        refused(imsic, ENODEV, || format!("HAS of eidelivery {vcpu}"))?;
    }
    refused(f.line(1, true), EBUSY, || "KVM_IRQ_LINE".into())?;
    refused(f.msi(page(0), 1), EBUSY, || "KVM_SIGNAL_MSI".into())
}

/// Each vCPU gets MSIs, and the APLIC has wires.
fn works(f: &Fixture, vcpus: usize) -> Result<()> {
    f.line(SOURCES, true).context("KVM_IRQ_LINE")?;
    for vcpu in 0..vcpus {
        f.msi(page(vcpu), 5 + vcpu as u32)
            .context("KVM_SIGNAL_MSI")?;
        same(
            f.aia.imsic(vcpu, imsic::EIP0).ok(),
            Some(1 << (5 + vcpu)),
            || format!("eip0 of vCPU {vcpu}"),
        )?;
    }
    Ok(())
}

fn device(m: &Machine) -> Result<()> {
    each(
        // The device, and its file.
        2,
        || m.kvm().create_vm().context("KVM_CREATE_VM"),
        |vm| Aia::new(vm),
        |_| Ok(()),
        |vm, aia| {
            let second = Aia::new(vm);

            drop(aia);
            refused(second, EEXIST, || "a second device".into())
        },
    )
}

fn vcpu(m: &Machine) -> Result<()> {
    each(
        1,
        || Fixture::new(m, 0),
        |f| f.bare_vcpu(0),
        |_| Ok(()),
        |f, _vcpu| {
            f.configure(IDS, SOURCES)?;
            f.aia.set_imsic_addr(0, page(0)).context("IMSIC address")?;
            f.aia.init().context("INIT")?;
            works(f, 1)
        },
    )
}

fn init(m: &Machine) -> Result<()> {
    each(
        // A file for each vCPU, their place on the bus, tables, routes, the APLIC and its place.
        VCPUS as u32 + 10,
        || {
            let f = Fixture::new(m, VCPUS)?;

            f.configure(IDS, SOURCES)?;
            Ok(f)
        },
        |f| f.aia.init(),
        |f| nothing(f),
        |f, ()| works(f, VCPUS),
    )
}

/// A snapshot of a machine that has one of everything.
fn snapshot(f: &Fixture, device: &Device) -> Result<Vec<u8>> {
    /// More than it needs.
    const ROOM: usize = 1 << 16;
    let mut bytes: Vec<u8> = [1, ROOM as u32, 0, 0, 0, 0]
        .iter()
        .flat_map(|field: &u32| field.to_le_bytes())
        .collect();

    works(f, VCPUS)?;
    bytes.resize(ROOM, 0);
    let (result, mut bytes) = device.get(&bytes)?;

    result.context("GET")?;
    bytes.truncate(u32::from_le_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]) as usize);
    Ok(bytes)
}

/// A machine, and a snapshot of it.
fn with_snapshot(m: &Machine) -> Result<(Fixture, Device, Vec<u8>)> {
    let (f, device) = Device::of(|| Fixture::ready(m, VCPUS, IDS, SOURCES))?;
    let bytes = snapshot(&f, &device)?;

    Ok((f, device, bytes))
}

fn get(m: &Machine) -> Result<()> {
    each(
        1,
        || with_snapshot(m),
        |(_, device, bytes)| match device.get(bytes) {
            Ok((result, _)) => result,
            // That was the memory for the snapshot itself.
            Err(_) => Err(io::Error::from_raw_os_error(ENOMEM)),
        },
        |_| Ok(()),
        |(f, device, bytes), ()| {
            same(snapshot(f, device)? == *bytes, true, || {
                "the same snapshot".into()
            })
        },
    )
}

fn set(m: &Machine) -> Result<()> {
    each(
        1,
        || {
            let (_, _, bytes) = with_snapshot(m)?;
            let (f, device) = Device::of(|| Fixture::ready(m, VCPUS, IDS, SOURCES))?;

            Ok((f, device, bytes))
        },
        |(_, device, bytes)| device.set(bytes),
        |(f, _, _)| {
            // None of it.
            for vcpu in 0..VCPUS {
                same(f.aia.imsic(vcpu, imsic::EIP0).ok(), Some(0), || {
                    format!("eip0 of vCPU {vcpu}")
                })?;
            }
            Ok(())
        },
        |(f, device, bytes), ()| {
            same(snapshot(f, device)? == *bytes, true, || {
                "the same snapshot".into()
            })
        },
    )
}

/// What the interrupt file holds, which goes to a guest file, or stays where it is.
const REGISTERS: [(u32, u64); 4] = [
    (imsic::EIDELIVERY, 1),
    (imsic::EITHRESHOLD, 40),
    (imsic::EIP0, 1 << 7),
    (imsic::EIE0, 0xfedc << 20),
];

fn registers(aia: &Aia) -> Result<()> {
    for (register, value) in REGISTERS {
        same(aia.imsic(0, register).ok(), Some(value), || {
            format!("register {register:#x}")
        })?;
    }
    Ok(())
}

fn guest_file(m: &Machine) -> Result<()> {
    pin_self(&[m.cpu(0)])?;
    each(
        1,
        || {
            let guest = Plain::new(m.kvm(), &[STORE])?;
            let aia = Aia::new(guest.vm()).context("KVM_CREATE_DEVICE")?;

            aia.set_mode(Mode::Hwaccel).context("hwaccel")?;
            aia.set_imsic_addr(0, page(0)).context("IMSIC address")?;
            aia.init().context("INIT")?;
            for (register, value) in REGISTERS {
                aia.set_imsic(0, register, value)
                    .context(format!("register {register:#x}"))?;
            }
            Ok((guest, aia))
        },
        |(guest, _)| {
            let exit = guest.vcpu.run().map_err(errno)?;

            Ok(matches!(exit, VcpuExit::MmioWrite(0, _)))
        },
        |(_, aia)| registers(aia),
        |(_, aia), stored| {
            same(stored, true, || "the guest ran".into())?;
            registers(aia)
        },
    )
}

const TESTS: &[Test] = &[
    ("faults: the device", Nothing, device),
    ("faults: a vCPU", Nothing, vcpu),
    ("faults: INIT", Nothing, init),
    ("faults: a snapshot is taken", Nothing, get),
    ("faults: a snapshot is loaded", Nothing, set),
    ("faults: KVM_RUN, guest file", Files(1), guest_file),
];

fn main() -> ExitCode {
    suite::run(TESTS)
}
