// SPDX-License-Identifier: GPL-2.0

//! Writing the state: whatever no machine of that kind can have is refused, and changes nothing.

use crate::{
    get::ready,
    snapshot::{
        self,
        Snapshot, //
    },
    sys::Device,
};
use libc::EINVAL;
use vmm::{
    fixture::{
        page,
        Fixture, //
    },
    refused,
    regs::{
        aplic::{
            self,
            sm, //
        },
        imsic, //
    },
    same,
    Context,
    Machine,
    Result, //
};

fn write(f: &Fixture, register: u32, value: u32) -> Result<()> {
    f.aia
        .set_aplic(register, value)
        .context(format!("APLIC {register:#x} = {value:#x}"))
}

/// Three vCPUs, 40 sources; a level-sensitive source 4 is pending, an edge-sensitive one 5 enabled.
fn machine(m: &Machine) -> Result<(Fixture, Device, Snapshot)> {
    let (f, device) = ready(m, 3, 63, 40)?;

    write(&f, aplic::SOURCECFG + 4 * 4, sm::LEVEL1)?;
    write(&f, aplic::SOURCECFG + 4 * 5, sm::EDGE1)?;
    write(&f, aplic::TARGET + 4 * 5, 15)?;
    write(&f, aplic::SETIENUM, 5)?;
    write(&f, aplic::DOMAINCFG, aplic::IE)?;
    f.line(4, true).context("wire 4")?;
    f.msi(page(1), 9).context("MSI")?;
    let snapshot = Snapshot::take(&device)?;

    device.set(&snapshot.0).context("SET of its own state")?;
    snapshot.check(&device, "after SET of its own state")?;
    Ok((f, device, snapshot))
}

/// None of `values` at `at` is accepted.
fn bad(device: &Device, good: &Snapshot, at: usize, values: &[u32], what: &str) -> Result<()> {
    for &value in values {
        // Something that would be seen if it got through.
        let other = good.vcpu(0) + snapshot::EIP;
        let bytes = good.with(other, 1 << 30).with(at, value).0;

        refused(device.set(&bytes), EINVAL, || {
            format!("SET with {value:#x} as {what}")
        })?;
    }
    good.check(device, &format!("after bad values as {what}"))
}

/// All of `values` at `at` are accepted.
fn good(device: &Device, base: &Snapshot, at: usize, values: &[u32], what: &str) -> Result<()> {
    for &value in values {
        let changed = base.with(at, value);

        device
            .set(&changed.0)
            .context(format!("SET with {value:#x} as {what}"))?;
        changed.check(device, &format!("after {value:#x} as {what}"))?;
    }
    device.set(&base.0).context("SET")
}

pub(crate) fn header(m: &Machine) -> Result<()> {
    let (_f, d, s) = machine(m)?;
    let size = s.0.len() as u32;

    bad(&d, &s, snapshot::VERSION, &[0, 2, u32::MAX], "version")?;
    bad(
        &d,
        &s,
        snapshot::SIZE,
        &[0, 24, size - 8, size - 1, size + 1, size + 8, u32::MAX],
        "size",
    )?;
    bad(&d, &s, snapshot::NR_IDS, &[0, 62, 127], "identities")?;
    bad(&d, &s, snapshot::NR_SOURCES, &[0, 39, 41], "sources")?;
    bad(&d, &s, snapshot::NR_VCPUS, &[0, 2, 4, u32::MAX], "vCPUs")?;
    bad(&d, &s, snapshot::RESERVED, &[1, 1 << 31], "reserved field")
}

pub(crate) fn aplic(m: &Machine) -> Result<()> {
    let (_f, d, s) = machine(m)?;
    let word = Snapshot::word(0);
    let second = Snapshot::word(1);
    let sourcecfg = |n: usize| word + snapshot::SOURCECFG + 4 * n;
    let target = |n: usize| word + snapshot::TARGET + 4 * n;

    good(
        &d,
        &s,
        snapshot::DOMAINCFG,
        &[0x8000_0004, 0x8000_0104],
        "domaincfg",
    )?;
    bad(
        &d,
        &s,
        snapshot::DOMAINCFG,
        &[0, 0x104, 0x8000_0100, 0x8000_0105, u32::MAX],
        "domaincfg",
    )?;
    good(&d, &s, snapshot::GENMSI, &[0, 0xfffc_07ff], "genmsi")?;
    bad(
        &d,
        &s,
        snapshot::GENMSI,
        &[1 << 11, 1 << 12, 1 << 17],
        "genmsi",
    )?;

    good(&d, &s, word + snapshot::PENDING, &[0, 1 << 4], "pending")?;
    // Source 0 does not exist, 9 is inactive, 5 would have been sent.
    bad(
        &d,
        &s,
        word + snapshot::PENDING,
        &[1, 1 << 9, 1 << 5],
        "pending",
    )?;
    good(&d, &s, word + snapshot::ENABLED, &[0, 1 << 5], "enabled")?;
    bad(
        &d,
        &s,
        word + snapshot::ENABLED,
        &[1, 1 << 9, 1 << 4],
        "enabled",
    )?;
    good(&d, &s, word + snapshot::WIRES, &[1 << 4, !1], "wires")?;
    // Without its wire source 4 is not pending.
    bad(&d, &s, word + snapshot::WIRES, &[0, 1 << 4 | 1], "wires")?;
    good(
        &d,
        &s,
        word + snapshot::RESAMPLED,
        &[0, 1 << 4 | 1 << 9],
        "resampled",
    )?;
    bad(&d, &s, word + snapshot::RESAMPLED, &[1], "resampled")?;
    good(&d, &s, sourcecfg(6), &[0, 1, 4, 5, 6, 7], "sourcecfg")?;
    bad(&d, &s, sourcecfg(6), &[2, 3, 8, 1 << 10], "sourcecfg")?;
    bad(&d, &s, sourcecfg(0), &[1], "sourcecfg of no source")?;
    bad(&d, &s, sourcecfg(4), &[0, 7], "sourcecfg of a pending one")?;
    good(&d, &s, target(5), &[0, 0xfffc_07ff], "target")?;
    bad(&d, &s, target(5), &[1 << 11, 1 << 12, 1 << 17], "target")?;
    bad(&d, &s, target(6), &[1], "target of an inactive one")?;
    // Sources 32 to 40.
    good(&d, &s, second + snapshot::WIRES, &[0x1ff], "wires")?;
    bad(&d, &s, second + snapshot::WIRES, &[0x200], "wires")
}

pub(crate) fn vcpus(m: &Machine) -> Result<()> {
    let (_f, d, s) = machine(m)?;
    let at = |n, field| s.vcpu(n) + field;

    // vCPUs 0 to 2: each once, in that order, and no other.
    for (n, ids) in [
        (0, &[1, 2, 3, u32::MAX][..]),
        (1, &[0, 2, 3][..]),
        (2, &[0, 1, 3, 1 << 10, 1 << 31, u32::MAX][..]),
    ] {
        bad(&d, &s, at(n, snapshot::ID), ids, "ID")?;
    }
    let swapped = s.with(at(0, snapshot::ID), 1).with(at(1, snapshot::ID), 0);

    refused(d.set(&swapped.0), EINVAL, || "SET of swapped vCPUs".into())?;
    s.check(&d, "after swapped vCPUs")?;
    for n in 0..3 {
        bad(&d, &s, at(n, snapshot::VCPU_RESERVED), &[1], "reserved")?;
        good(&d, &s, at(n, snapshot::EIDELIVERY), &[0, 1], "eidelivery")?;
        bad(
            &d,
            &s,
            at(n, snapshot::EIDELIVERY),
            &[2, 0x4000_0000],
            "eidelivery",
        )?;
        bad(&d, &s, at(n, snapshot::EIDELIVERY) + 4, &[1], "eidelivery")?;
        good(&d, &s, at(n, snapshot::EITHRESHOLD), &[1, 63], "threshold")?;
        bad(&d, &s, at(n, snapshot::EITHRESHOLD), &[2048], "threshold")?;
        bad(&d, &s, at(n, snapshot::EITHRESHOLD) + 4, &[1], "threshold")?;
        for eix in [snapshot::EIP, snapshot::EIE] {
            good(&d, &s, at(n, eix), &[0, !1], "bits of identities")?;
            bad(&d, &s, at(n, eix), &[1, !0], "bits of identities")?;
            good(&d, &s, at(n, eix) + 4, &[!0], "bits of identities")?;
        }
    }
    Ok(())
}

/// A state fits only a machine with the same numbers.
pub(crate) fn others(m: &Machine) -> Result<()> {
    let mut states = Vec::new();

    for (vcpus, ids, sources) in [
        (2, 63, 40),
        (1, 63, 40),
        (3, 63, 40),
        (2, 127, 40),
        (2, 63, 41),
        (2, 63, 64 - 1),
        (2, 63, 0),
    ] {
        let (f, device) = ready(m, vcpus, ids, sources)?;

        states.push((Snapshot::take(&device)?, f, device));
    }
    for (a, (state, ..)) in states.iter().enumerate() {
        for (b, (own, _, device)) in states.iter().enumerate() {
            let result = device.set(&state.0);

            if a == b {
                result.context("SET of its own state")?;
            } else {
                refused(result, EINVAL, || {
                    format!("SET of state {a} to machine {b}")
                })?;
            }
            own.check(device, "afterwards")?;
        }
    }
    Ok(())
}

/// What waits for IE waits on, and goes out by IE, once.
pub(crate) fn silent(m: &Machine) -> Result<()> {
    let (f, device, _) = machine(m)?;

    write(&f, aplic::DOMAINCFG, 0)?;
    f.line(5, true).context("wire 5")?;
    let held = Snapshot::take(&device)?;

    same(
        held.u32(Snapshot::word(0) + snapshot::PENDING),
        1 << 4 | 1 << 5,
        || "pending sources".into(),
    )?;
    // The same machine, and another.
    let (g, other) = ready(m, 3, 63, 40)?;

    for (f, device) in [(&f, &device), (&g, &other)] {
        for _ in 0..2 {
            device.set(&held.0).context("SET")?;
            held.check(device, "after SET")?;
        }
        same(f.aia.imsic(0, imsic::EIP0).ok(), Some(0), || {
            "pending identities before IE".into()
        })?;
        write(f, aplic::DOMAINCFG, aplic::IE)?;
        same(f.aia.imsic(0, imsic::EIP0).ok(), Some(1 << 15), || {
            "pending identities after IE".into()
        })?;
        same(f.aia.aplic(aplic::SETIP).ok(), Some(1 << 4), || {
            "pending sources after IE".into()
        })?;
        // The wire is still high: telling so again is no edge, lowering and raising it is one.
        f.line(5, true).context("wire 5")?;
        same(f.aia.imsic(0, imsic::EIP0).ok(), Some(1 << 15), || {
            "pending identities".into()
        })?;
        f.aia.set_imsic(0, imsic::EIP0, 0).context("eip0")?;
        f.line(5, true).context("wire 5")?;
        same(f.aia.imsic(0, imsic::EIP0).ok(), Some(0), || {
            "pending identities, no edge".into()
        })?;
        f.line(5, false).context("wire 5")?;
        f.line(5, true).context("wire 5")?;
        same(f.aia.imsic(0, imsic::EIP0).ok(), Some(1 << 15), || {
            "pending identities, an edge".into()
        })?;
    }
    Ok(())
}
