// SPDX-License-Identifier: GPL-2.0

//! Reading the state: what is there, when, and in how much memory.

use crate::{
    snapshot::{
        self,
        request,
        Snapshot,
        HEADER, //
    },
    sys::Device, //
};
use kvm_bindings::KVM_DEV_RISCV_AIA_CONFIG_HART_BITS;
use libc::{
    E2BIG,
    EBUSY,
    EFAULT,
    EINVAL,
    ENODEV,
    ENXIO, //
};
use vmm::{
    ext,
    fixture::{
        page,
        Fixture, //
    },
    refused,
    regs,
    same,
    Config,
    Context,
    Guest,
    Machine,
    Mode,
    Place,
    Result,
    TestMemory, //
};

/// A machine that is initialised, and its state.
pub(crate) fn ready(
    m: &Machine,
    vcpus: usize,
    ids: u32,
    sources: u32,
) -> Result<(Fixture, Device)> {
    Device::of(|| Fixture::ready(m, vcpus, ids, sources))
}

pub(crate) fn has(m: &Machine) -> Result<()> {
    let f = Fixture::new(m, 1)?;

    for attr in [3, 0xffff_ffff, 2 << 32] {
        refused(f.aia.has(ext::GROUP, attr), ENXIO, || {
            format!("HAS of {attr}")
        })?;
        refused(f.aia.get(ext::GROUP, attr, 0), ENXIO, || {
            format!("GET of {attr}")
        })?;
        refused(f.aia.set(ext::GROUP, attr, 0), ENXIO, || {
            format!("SET of {attr}")
        })?;
    }
    f.aia
        .has(ext::GROUP, ext::SNAPSHOT)
        .context("HAS before INIT")?;
    f.configure(63, 4)?;
    f.aia.init().context("INIT")?;
    f.aia
        .has(ext::GROUP, ext::SNAPSHOT)
        .context("HAS after INIT")
}

pub(crate) fn before_init(m: &Machine) -> Result<()> {
    let (f, device) = Device::of(|| Fixture::new(m, 1))?;
    let nothing = |when: &str| {
        let (got, bytes) = device.get(&request(1, HEADER as u32, 0))?;

        refused(got, ENODEV, || format!("GET {when}"))?;
        same(&bytes, &request(1, HEADER as u32, 0), || {
            format!("header {when}")
        })?;
        refused(device.set(&bytes), ENODEV, || format!("SET {when}"))
    };

    nothing("at first")?;
    f.configure(63, 4)?;
    nothing("before INIT")
}

pub(crate) fn header(m: &Machine) -> Result<()> {
    let (_f, device) = ready(m, 2, 63, 40)?;
    let size = Snapshot::take(&device)?.0.len() as u32;

    for (version, reserved) in [(0, 1), (2, 0), (u32::MAX, 0), (1, 1), (1, 1 << 31)] {
        let mut bytes = request(version, size, reserved);

        bytes.resize(size as usize, 0xa5);
        let (got, after) = device.get(&bytes)?;

        refused(got, EINVAL, || {
            format!("GET with version {version}, reserved {reserved}")
        })?;
        same(after == bytes, true, || "nothing is written".into())?;
    }
    // Who does not know the version asks for it, and gets no more.
    let mut bytes = request(0, 0, 0);

    bytes.resize(size as usize, 0xa5);
    let (got, after) = device.get(&bytes)?;

    got.context("GET with version 0")?;
    same(
        after[..HEADER] == Snapshot::take(&device)?.0[..HEADER],
        true,
        || "the header".into(),
    )?;
    same(after[HEADER..] == bytes[HEADER..], true, || {
        "nothing behind it is written".into()
    })?;

    // The numbers do not count.
    let mut bytes = request(1, size, 0);

    bytes[8..20].fill(0xff);
    bytes.resize(size as usize, 0xa5);
    device.get(&bytes)?.0.context("GET with any numbers")
}

pub(crate) fn too_small(m: &Machine) -> Result<()> {
    let (_f, device) = ready(m, 3, 63, 40)?;
    let whole = Snapshot::take(&device)?;
    let size = whole.0.len();

    for given in [0, 4, HEADER, HEADER + 1, HEADER + 8, size - 8, size - 1] {
        let mut bytes = request(1, given as u32, 0);

        bytes.resize(given.max(HEADER), 0xa5);
        let (got, after) = device.get(&bytes)?;

        refused(got, E2BIG, || format!("GET of {size} into {given} bytes"))?;
        same(after[..HEADER] == whole.0[..HEADER], true, || {
            format!("the header tells all, with {given} bytes")
        })?;
        same(after[HEADER..].iter().all(|&b| b == 0xa5), true, || {
            format!("nothing behind the header, with {given} bytes")
        })?;
    }
    // More than needed: the rest is left alone.
    let mut bytes = request(1, size as u32 + 100, 0);

    bytes.resize(size + 100, 0xa5);
    let (got, after) = device.get(&bytes)?;

    got.context("GET with room to spare")?;
    same(after[..size] == whole.0[..], true, || {
        "the same state".into()
    })?;
    same(after[size..].iter().all(|&b| b == 0xa5), true, || {
        "nothing behind it".into()
    })
}

pub(crate) fn faults(m: &Machine) -> Result<()> {
    let (f, device) = ready(m, 3, 63, 40)?;
    let mem = TestMemory::new()?;
    let whole = Snapshot::take(&device)?;

    for place in [Place::Nowhere, Place::Short(20)] {
        refused(
            f.aia.get_at(ext::GROUP, ext::SNAPSHOT, &mem, place),
            EFAULT,
            || format!("GET, header {place:?}"),
        )?;
        refused(
            f.aia.set_at(ext::GROUP, ext::SNAPSHOT, &mem, place),
            EFAULT,
            || format!("SET, header {place:?}"),
        )?;
    }
    // A header of zeroes: GET asks for the version, and cannot be told.
    for (result, wanted) in [
        (
            f.aia
                .get_at(ext::GROUP, ext::SNAPSHOT, &mem, Place::ReadOnly),
            EFAULT,
        ),
        (
            f.aia
                .set_at(ext::GROUP, ext::SNAPSHOT, &mem, Place::ReadOnly),
            EINVAL,
        ),
    ] {
        refused(result, wanted, || "zeroes".into())?;
    }
    // A good header, and not as much memory as it says.
    for missing in [1, 8, whole.0.len() - HEADER] {
        let short = &whole.0[..whole.0.len() - missing];

        refused(device.get(short)?.0, EFAULT, || {
            format!("GET, {missing} bytes missing")
        })?;
        refused(device.set(short), EFAULT, || {
            format!("SET, {missing} bytes missing")
        })?;
    }
    whole.check(&device, "after faults")
}

pub(crate) fn layout(m: &Machine) -> Result<()> {
    for (vcpus, ids, sources) in [
        (0, 63, 0),
        (1, 63, 0),
        (1, 63, 1),
        (3, 127, 31),
        (2, 63, 32),
        (2, 127, 63),
    ] {
        let (f, device) = ready(m, vcpus, ids, sources)?;
        let s = Snapshot::take(&device)?;
        let what = |what: &str| format!("{what} with {vcpus} vCPUs, {ids} IDs, {sources} sources");

        for (field, wanted) in [
            (snapshot::VERSION, 1),
            (snapshot::SIZE, s.0.len() as u32),
            (snapshot::NR_IDS, ids),
            (snapshot::NR_SOURCES, sources),
            (snapshot::NR_VCPUS, vcpus as u32),
            (snapshot::RESERVED, 0),
        ] {
            same(s.u32(field), wanted, || what("header"))?;
        }
        same(s.0.len(), s.vcpu(vcpus), || what("size"))?;
        if sources != 0 {
            same(s.u32(snapshot::DOMAINCFG), 0x8000_0004, || {
                what("domaincfg")
            })?;
            let aplic = &s.0[snapshot::GENMSI..s.vcpu(0)];

            same(aplic.iter().all(|&b| b == 0), true, || what("the APLIC"))?;
        }
        for n in 0..vcpus {
            let at = s.vcpu(n);

            same(s.u32(at + snapshot::ID), n as u32, || what("ID"))?;
            same(
                s.0[at + 4..at + s.vcpu_size()].iter().all(|&b| b == 0),
                true,
                || what("the file"),
            )?;
        }

        // Each register is at its place.
        let last_word = (ids / 64) as usize;
        for n in 0..vcpus {
            for (register, value) in [
                (regs::imsic::EIDELIVERY, 1),
                (regs::imsic::EITHRESHOLD, 5),
                (
                    regs::imsic::EIP0 + 2 * last_word as u32,
                    0x8000_0000_0000_0002 + n as u64 * 8,
                ),
                (
                    regs::imsic::EIE0 + 2 * last_word as u32,
                    0x4000_0000_0000_0004,
                ),
            ] {
                f.aia
                    .set_imsic(n, register, value)
                    .context(format!("IMSIC register {register:#x}"))?;
            }
        }
        let s = Snapshot::take(&device)?;

        for n in 0..vcpus {
            let (at, eix) = (s.vcpu(n), 16 * last_word);

            for (field, wanted) in [
                (snapshot::EIDELIVERY, 1),
                (snapshot::EITHRESHOLD, 5),
                (snapshot::EIP + eix, 0x8000_0000_0000_0002 + n as u64 * 8),
                (snapshot::EIE + eix, 0x4000_0000_0000_0004),
            ] {
                same(s.u64(at + field), wanted, || what("register"))?;
            }
        }
    }
    Ok(())
}

/// vCPUs come in the order of their IDs, and only those that have an interrupt file.
pub(crate) fn vcpu_ids(m: &Machine) -> Result<()> {
    let (f, device) = Device::of(|| Fixture::new(m, 0))?;
    let mut vcpus = Vec::new();

    for id in [7, 2, 5] {
        let index = vcpus.len();

        vcpus.push(f.vm.create_vcpu(id).context(format!("vCPU {id}"))?);
        f.aia
            .set_imsic_addr(index, page(index))
            .context("address")?;
    }
    f.aia
        .set_config(KVM_DEV_RISCV_AIA_CONFIG_HART_BITS, 2)
        .context("hart bits")?;
    f.aia.init().context("INIT")?;
    vcpus.push(f.vm.create_vcpu(3).context("vCPU 3, after INIT")?);
    // The page of vCPU 2, which was made second.
    f.msi(page(1), 9).context("MSI")?;

    let s = Snapshot::take(&device)?;
    let ids: Vec<_> = (0..3).map(|n| s.u32(s.vcpu(n))).collect();

    same(s.u32(snapshot::NR_VCPUS), 3, || "number of vCPUs".into())?;
    same(ids, vec![2, 5, 7], || "IDs".into())?;
    for (n, wanted) in [1 << 9, 0, 0].into_iter().enumerate() {
        same(s.u64(s.vcpu(n) + snapshot::EIP), wanted, || {
            format!("pending bits at position {n}")
        })?;
    }
    device.set(&s.0).context("SET")?;
    // A vCPU that is there, but has no file.
    refused(device.set(&s.with(s.vcpu(1), 3).0), EINVAL, || {
        "SET for a vCPU made after INIT".into()
    })?;
    s.check(&device, "in the end")
}

pub(crate) fn busy(m: &Machine) -> Result<()> {
    for running in 0..2 {
        let (mut guest, device) = Device::of(|| Guest::new(m.kvm(), Config::new(2, Mode::Emul)))?;
        let before = Snapshot::take(&device)?;

        guest.boot(running, &[])?;
        refused(device.get(&before.0)?.0, EBUSY, || {
            format!("GET while vCPU {running} runs")
        })?;
        refused(device.set(&before.0), EBUSY, || {
            format!("SET while vCPU {running} runs")
        })?;
        // The size can always be had.
        let (got, header) = device.get(&request(1, HEADER as u32, 0))?;

        refused(got, E2BIG, || "the size while a vCPU runs".into())?;
        same(header[..] == before.0[..HEADER], true, || "header".into())?;
        guest.stop(running)?;
        let after = Snapshot::take(&device)?;

        same(
            after.u64(after.vcpu(running) + snapshot::EIDELIVERY),
            1,
            || "eidelivery: SET has not reset it".into(),
        )?;
    }
    Ok(())
}
