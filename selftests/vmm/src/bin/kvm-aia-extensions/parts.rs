// SPDX-License-Identifier: GPL-2.0

//! The state of the APLIC, or of the interrupt file of a vCPU, by itself.

use crate::{
    get::ready,
    snapshot::{
        self,
        request,
        Snapshot,
        HEADER, //
    },
    sys::Device, //
};
use libc::{
    E2BIG,
    EINVAL,
    ENODEV, //
};
use vmm::{
    ext::{
        self,
        imsic_state,
        APLIC_STATE, //
    },
    fixture::{
        page,
        Fixture, //
    },
    refused,
    regs::imsic,
    same,
    Config,
    Context,
    Guest,
    Machine,
    Mode,
    Result, //
};

/// Each is the part of the whole that it says, behind a header of its own.
pub(crate) fn same_as_whole(m: &Machine) -> Result<()> {
    let (f, device) = ready(m, 3, 127, 40)?;

    for n in 0..3 {
        f.msi(page(n), 5 + n as u32).context("MSI")?;
        f.aia
            .set_imsic(n, imsic::EITHRESHOLD, 7 + n as u64)
            .context("eithreshold")?;
    }
    f.line(36, true).context("KVM_IRQ_LINE")?;
    let whole = Snapshot::take(&device)?;
    let part = |attr, sources, vcpus, from: usize, to: usize| {
        let part = Snapshot::take_part(&device, attr)?;

        for (field, wanted) in [
            (snapshot::VERSION, 1),
            (snapshot::SIZE, part.0.len() as u32),
            (snapshot::NR_IDS, 127),
            (snapshot::NR_SOURCES, sources),
            (snapshot::NR_VCPUS, vcpus),
            (snapshot::RESERVED, 0),
        ] {
            same(part.u32(field), wanted, || {
                format!("field {field} of {attr:#x}")
            })?;
        }
        same(part.0[HEADER..] == whole.0[from..to], true, || {
            format!("the part {attr:#x}")
        })
    };

    part(APLIC_STATE, 40, 0, HEADER, whole.vcpu(0))?;
    for n in 0..3 {
        part(
            imsic_state(n as u64),
            0,
            1,
            whole.vcpu(n),
            whole.vcpu(n + 1),
        )?;
    }
    Ok(())
}

/// There is no such part.
pub(crate) fn missing(m: &Machine) -> Result<()> {
    let (f, device) = Device::of(|| Fixture::new(m, 1))?;
    let none = |attr, when: &str| {
        for version in [0, 1] {
            let (got, _) = device.get_part(attr, &request(version, HEADER as u32, 0))?;

            refused(got, ENODEV, || format!("GET of {attr:#x} {when}"))?;
        }
        refused(
            device.set_part(attr, &request(1, HEADER as u32, 0)),
            ENODEV,
            || format!("SET of {attr:#x} {when}"),
        )
    };

    f.aia
        .has(ext::GROUP, APLIC_STATE)
        .context("HAS of the APLIC's")?;
    for attr in [APLIC_STATE, imsic_state(0)] {
        none(attr, "before INIT")?;
    }
    refused(f.aia.has(ext::GROUP, imsic_state(0)), ENODEV, || {
        "HAS of a vCPU's before INIT".into()
    })?;
    f.configure(63, 0)?;
    f.aia.init().context("INIT")?;
    let _late = f.vm.create_vcpu(1).context("vCPU 1, after INIT")?;

    none(APLIC_STATE, "without an APLIC")?;
    f.aia
        .has(ext::GROUP, imsic_state(0))
        .context("HAS of vCPU 0")?;
    for id in [1, 2, 1023, 1024, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff] {
        none(imsic_state(id), "without an interrupt file")?;
        refused(f.aia.has(ext::GROUP, imsic_state(id)), ENODEV, || {
            format!("HAS of vCPU {id:#x}")
        })?;
    }
    Ok(())
}

/// What is no state of that part is refused, and nothing changes.
pub(crate) fn wrong(m: &Machine) -> Result<()> {
    let (f, device) = ready(m, 2, 63, 40)?;

    f.msi(page(1), 9).context("MSI")?;
    let whole = Snapshot::take(&device)?;
    let aplic = Snapshot::take_part(&device, APLIC_STATE)?;
    let files = [0, 1].map(|id| Snapshot::take_part(&device, imsic_state(id)));
    let [Ok(first), Ok(second)] = files else {
        return Err(vmm::Error::new("no state of a vCPU"));
    };
    let bad = |attr, state: &Snapshot, what: &str| {
        refused(device.set_part(attr, &state.0), EINVAL, || what.into())
    };

    bad(imsic_state(0), &second, "that of another vCPU")?;
    bad(imsic_state(1), &first, "that of another vCPU")?;
    bad(imsic_state(0), &aplic, "the APLIC's for a vCPU")?;
    bad(APLIC_STATE, &first, "a vCPU's for the APLIC")?;
    for (attr, state) in [
        (imsic_state(0), &first),
        (imsic_state(1), &second),
        (APLIC_STATE, &aplic),
    ] {
        bad(attr, &whole, "that of all")?;
        bad(ext::SNAPSHOT, state, "a part for all")?;
        for (field, value) in [
            (snapshot::VERSION, 0),
            (snapshot::VERSION, 2),
            (snapshot::SIZE, state.0.len() as u32 - 8),
            (snapshot::NR_IDS, 127),
            (snapshot::NR_SOURCES, 39),
            (snapshot::NR_VCPUS, 2),
            (snapshot::RESERVED, 1),
        ] {
            bad(attr, &state.with(field, value), "header")?;
        }
        // Too little memory: the header says how much it takes.
        let (got, header) = device.get_part(attr, &request(1, HEADER as u32, 0))?;

        refused(got, E2BIG, || "GET into the header".into())?;
        same(header[..] == state.0[..HEADER], true, || "header".into())?;
    }
    let file = HEADER;

    bad(
        imsic_state(0),
        &first.with(file + snapshot::EIDELIVERY, 2),
        "eidelivery",
    )?;
    // Identities that the machine does not have are not dropped silently.
    bad(imsic_state(0), &first.with(file + snapshot::EIP, 1), "eip")?;
    bad(
        APLIC_STATE,
        &aplic.with(snapshot::WORD + snapshot::ENABLED, 1),
        "source 0",
    )?;
    whole.check(&device, "in the end")
}

/// That of a vCPU which does not run can be had and set while another one runs, and the APLIC's.
pub(crate) fn running(m: &Machine) -> Result<()> {
    let (mut guest, device) = Device::of(|| {
        Guest::new(
            m.kvm(),
            Config {
                sources: 4,
                ..Config::new(2, Mode::Emul)
            },
        )
    })?;

    guest.boot(0, &[m.cpu(0)])?;
    guest.signal_msi(1, 9)?;
    for attr in [imsic_state(1), APLIC_STATE] {
        let state = Snapshot::take_part(&device, attr)?;

        device
            .set_part(attr, &state.0)
            .context(format!("SET of {attr:#x}"))?;
    }
    same(guest.aia().imsic(1, imsic::EIP0).ok(), Some(1 << 9), || {
        "eip0 of vCPU 1".into()
    })?;
    guest.send_from_host(0, 1, 63, 2, Guest::signal_msi)
}
