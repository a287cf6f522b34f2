// SPDX-License-Identifier: GPL-2.0

//! Each allocation asks to be charged.

use crate::{
    sys::Device,
    trace::{
        allocations,
        Allocation, //
    },
    SOURCES, //
};
use kvm_ioctls::VcpuExit;
use vmm::{
    diag,
    ensure,
    ext,
    fixture::{
        page,
        Fixture, //
    },
    plain::Plain,
    Aia,
    Context,
    Machine,
    Mode,
    Result, //
};

/// The most identities of an interrupt file.
const IDS: u32 = 2047;

/// `sw x0, 0(x0)`: where there is no memory.
const STORE: u32 = 0x2023;

/// vCPUs whose files are looked for.
const VCPUS: usize = 16;

/// How many allocations are shown that should not be.
const SHOWN: usize = 8;

/// Fails if one of `all` is not accounted, or if fewer than `least` are.
fn judge<'a>(all: impl Iterator<Item = &'a Allocation>, least: usize) -> Result<()> {
    let (accounted, others): (Vec<_>, Vec<_>) = all.partition(|a| a.accounted);

    for allocation in others.iter().take(SHOWN) {
        diag(allocation);
    }
    ensure(others.is_empty(), || {
        format!("{} allocations are not charged to anybody", others.len())
    })?;
    ensure(accounted.len() >= least, || {
        format!("only {} allocations are seen", accounted.len())
    })
}

/// What INIT leaves, that of `f`.
fn init(f: &Fixture) -> Result<Vec<Allocation>> {
    let ((), all) = allocations(|| f.aia.init().context("INIT"))?;

    Ok(all.into_iter().filter(|a| a.lasts).collect())
}

pub(crate) fn device(m: &Machine) -> Result<()> {
    let vm = m.kvm().create_vm().context("KVM_CREATE_VM")?;
    let (_aia, all) = allocations(|| Aia::new(&vm).context("KVM_CREATE_DEVICE"))?;

    judge(all.iter().filter(|a| a.lasts), 1)
}

/// A machine before INIT, all in software: with all identities, hence all sources, on any host.
pub(crate) fn machine(m: &Machine, vcpus: usize, sources: u32) -> Result<Fixture> {
    let f = Fixture::new(m, vcpus)?;

    f.aia.set_mode(Mode::Emul).context("emul")?;
    f.aia.set_extensions(ext::EMUL_IDS).context("extensions")?;
    f.configure(IDS, sources)?;
    Ok(f)
}

pub(crate) fn vcpus(m: &Machine) -> Result<()> {
    let all = init(&machine(m, VCPUS, 0)?)?;

    // Files, and their place on the bus.
    judge(all.iter(), VCPUS + 1)
}

pub(crate) fn sources(m: &Machine) -> Result<()> {
    let all = init(&machine(m, 1, SOURCES)?)?;

    // Routes, and words.
    judge(all.iter(), 1 + SOURCES as usize)
}

pub(crate) fn snapshots(m: &Machine) -> Result<()> {
    let (f, device) = Device::of(|| machine(m, VCPUS, SOURCES))?;

    f.aia.init().context("INIT")?;
    let request = |size: u32| -> Vec<u8> {
        [1, size, 0, 0, 0, 0]
            .iter()
            .flat_map(|field: &u32| field.to_le_bytes())
            .collect()
    };
    // More than it needs.
    let mut bytes = request(1 << 16);

    bytes.resize(1 << 16, 0);
    let ((result, got), all) = allocations(|| device.get(&bytes))?;

    result.context("GET")?;

    ensure(got.len() >= 8, || "no header".into())?;
    let size = u32::from_le_bytes(got[4..8].try_into().context("size")?);

    // The memory for it does not last, but may be much.
    judge(all.iter().filter(|a| a.bytes >= size.into()), 1).context("GET")?;
    let ((), all) = allocations(|| device.set(&got[..size as usize]).context("SET"))?;

    drop(f);
    judge(all.iter().filter(|a| a.bytes >= size.into()), 1).context("SET")
}

pub(crate) fn page_tables(m: &Machine) -> Result<()> {
    let mut guest = Plain::new(m.kvm(), &[STORE])?;
    let aia = Aia::new(guest.vm()).context("KVM_CREATE_DEVICE")?;

    aia.set_mode(Mode::Hwaccel).context("hwaccel")?;
    aia.set_imsic_addr(0, page(0)).context("IMSIC address")?;
    aia.init().context("INIT")?;
    let (stored, all) = allocations(|| {
        let exit = guest.vcpu.run().context("KVM_RUN")?;

        Ok(matches!(exit, VcpuExit::MmioWrite(0, _)))
    })?;

    ensure(stored, || "the guest did not run".into())?;
    judge(all.iter().filter(|a| a.lasts), 1)?;
    // Those for the guest file are made with preemption off, those for its memory are not.
    judge(all.iter().filter(|a| a.lasts && a.is_by("GFP_ATOMIC")), 1)
}
