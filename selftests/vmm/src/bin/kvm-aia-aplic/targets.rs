// SPDX-License-Identifier: GPL-2.0

//! Where MSIs go: target and genmsi.

use crate::domain::{
    to,
    Domain, //
};
use kvm_bindings::KVM_DEV_RISCV_AIA_CONFIG_IDS;
use vmm::{
    regs::aplic::*,
    Context,
    Machine,
    Mode,
    Number,
    Result, //
};

/// The guest index of a target: 1, and all of its bits.
const GUEST: u32 = 1 << 12;
const GUESTS: u32 = 0x3f << 12;

/// Hart index and identity of an active source read back, guest index and bit 11 do not: the harts
/// of a guest have no guest files (AP-28).
pub(crate) fn read_back(m: &Machine) -> Result<()> {
    let d = Domain::new(m, Mode::Emul, 1, 40)?;

    for source in [1, 31, 32, 40] {
        d.write(SOURCECFG + 4 * source, sm::EDGE1)?;
        for (value, mask) in [
            (to(0, 1), !0),
            (to(1, 255), !0),
            (to(0x3fff, 0x7ff), !0),
            (to(5, 0) | 0x800, !0x800),
            (to(1, 7) | GUEST, !GUESTS),
            (to(1, 7) | GUESTS, !GUESTS),
            (u32::MAX, !(GUESTS | 0x800)),
        ] {
            d.write(TARGET + 4 * source, value)?;
            d.reads(
                TARGET + 4 * source,
                value & mask,
                &format!("after {value:#x}"),
            )?;
        }
    }
    Ok(())
}

/// What a guest index is written to is sent to the hart itself (AP-28).
pub(crate) fn guest_index(m: &Machine) -> Result<()> {
    let d = Domain::new(m, Mode::Emul, 2, 8)?;

    d.deliver(true)?;
    for guest in [GUEST, 1 << 17, GUESTS] {
        for hart in 0..2 {
            let when = &format!("with guest index {:#x} written", guest >> 12);

            d.source(4, sm::EDGE1, to(hart, 70) | guest)?;
            d.wire(4, true)?;
            d.wire(4, false)?;
            // genmsi has Busy there, and no guest index at all.
            d.write(GENMSI, to(hart, 71) | guest)?;
            d.came(hart as usize, &[70, 71], when)?;
            d.came(1 - hart as usize, &[], when)?;
        }
    }
    Ok(())
}

/// Every source to its own identity, on two harts in turn, exactly once.
pub(crate) fn all(m: &Machine, mode: Mode) -> Result<()> {
    const SOURCES: u32 = 96;
    let d = Domain::new(m, mode, 2, SOURCES)?;
    let hart = |source: u32| (source % 2) as usize;

    for source in 1..=SOURCES {
        d.source(source, sm::EDGE1, to(source % 2, 100 + source))?;
    }
    d.deliver(true)?;
    for source in 1..=SOURCES {
        d.wire(source, true)?;
        d.wire(source, false)?;
        d.came(hart(source), &[100 + source], &format!("by wire {source}"))?;
        d.came(1 - hart(source), &[], &format!("by wire {source}"))?;
    }
    // All at once.
    d.deliver(false)?;
    for source in 1..=SOURCES {
        d.wire(source, true)?;
    }
    d.deliver(true)?;
    for hart in 0..2 {
        let ids: Vec<u32> = (1..=SOURCES)
            .filter(|s| s % 2 == hart)
            .map(|s| 100 + s)
            .collect();

        d.came(hart as usize, &ids, "by all wires")?;
    }
    Ok(())
}

/// vCPUs whose ID, hart index and index are all different. The ID is none of the others' hart index,
/// either, but for one.
const NUMBERS: &[Number] = &[
    Number { id: 9, hart: 2 },
    Number { id: 3, hart: 0 },
    Number { id: 5, hart: 7 },
];

/// A target names a hart by its index, which is that of the page of its IMSIC; neither the ID nor
/// the index of the vCPU (AP-6).
pub(crate) fn numbers(m: &Machine, mode: Mode) -> Result<()> {
    let d = Domain::with_numbers(m, mode, NUMBERS.len(), 40, NUMBERS)?;

    d.deliver(true)?;
    for hart in 0..12 {
        let vcpu = NUMBERS.iter().position(|n| n.hart == u64::from(hart));

        for (n, source) in [1, 31, 32, 40].into_iter().enumerate() {
            let id = 50 + 4 * hart + n as u32;

            d.source(source, sm::EDGE1, to(hart, id))?;
            d.wire(source, true)?;
            d.wire(source, false)?;
            d.write(GENMSI, to(hart, id + 100))?;
            for other in 0..NUMBERS.len() {
                let wanted: &[u32] = if Some(other) == vcpu {
                    &[id, id + 100]
                } else {
                    &[]
                };

                d.came(
                    other,
                    wanted,
                    &format!("by source {source} and genmsi for hart index {hart}"),
                )?;
            }
        }
    }
    Ok(())
}

/// MSIs that nobody takes are sent all the same, and lost (AP-39, IM-10).
pub(crate) fn nobody(m: &Machine) -> Result<()> {
    let d = Domain::new(m, Mode::Emul, 2, 8)?;
    let last = d
        .guest()
        .aia()
        .config(KVM_DEV_RISCV_AIA_CONFIG_IDS)
        .context("IDS")?;
    let mut targets = vec![to(2, 5), to(0x3fff, 5), to(0, 0)];

    if last < 0x7ff {
        targets.extend([to(0, last + 1), to(0, 0x7ff)]);
    }
    d.deliver(true)?;
    for target in targets {
        let when = &format!("with target {target:#x}");

        d.source(1, sm::EDGE1, target)?;
        d.wire(1, true)?;
        d.wire(1, false)?;
        d.came(0, &[], when)?;
        d.came(1, &[], when)?;
        d.pending(1, false, when)?;
        d.write(GENMSI, target)?;
        d.came(0, &[], "by genmsi")?;
        d.came(1, &[], "by genmsi")?;
    }
    // Nothing is broken by that.
    d.source(1, sm::EDGE1, to(1, last))?;
    d.wire(1, true)?;
    d.came(1, &[last], "at the end")
}

/// A target that changes counts for what is sent from then on (AP-28).
pub(crate) fn retarget(m: &Machine) -> Result<()> {
    let d = Domain::new(m, Mode::Emul, 2, 8)?;

    d.source(2, sm::EDGE1, to(0, 60))?;
    d.wire(2, true)?;
    d.pending(2, true, "before delivery")?;
    d.write(TARGET + 8, to(1, 61))?;
    d.deliver(true)?;
    d.came(0, &[], "to the old target")?;
    d.came(1, &[61], "to the new target")
}

/// An extempore MSI, whether or not the domain delivers (AP-26).
pub(crate) fn genmsi(m: &Machine, mode: Mode) -> Result<()> {
    let d = Domain::new(m, mode, 2, 8)?;

    for on in [false, true, false] {
        d.deliver(on)?;
        for (hart, id) in [(0, 1), (1, 63), (1, 32), (0, 64), (0, 33)] {
            let when = &format!("by genmsi, delivery {on}");

            d.write(GENMSI, to(hart, id))?;
            d.came(hart as usize, &[id], when)?;
            d.came(1 - hart as usize, &[], when)?;
            d.reads(GENMSI, to(hart, id), when)?;
        }
    }
    Ok(())
}

/// genmsi has no other fields, and is never seen busy (AP-26).
pub(crate) fn genmsi_bits(m: &Machine) -> Result<()> {
    let d = Domain::new(m, Mode::Emul, 1, 8)?;

    for value in [u32::MAX, to(0x3fff, 0x7ff), to(0x3fff, 0) | 0x3_f800] {
        d.write(GENMSI, value)?;
        d.reads(GENMSI, value & to(0x3fff, 0x7ff), "read back")?;
    }
    Ok(())
}
