// SPDX-License-Identifier: GPL-2.0

//! Pending bits: who sets and clears them while nothing is delivered.

use crate::domain::{
    to,
    Domain, //
};
use vmm::{
    regs::aplic::*,
    Machine,
    Mode,
    Result, //
};

const SOURCES: u32 = 40;
const ACTIVE: [u32; 5] = [
    sm::DETACHED,
    sm::EDGE1,
    sm::EDGE0,
    sm::LEVEL1,
    sm::LEVEL0, //
];

fn domain(m: &Machine) -> Result<Domain> {
    Domain::new(m, Mode::Emul, 1, SOURCES)
}

/// Sets the wire such that the source is asserted in mode `sm`, or is not.
fn assert(d: &Domain, source: u32, sm: u32, asserted: bool) -> Result<()> {
    d.wire(source, asserted != matches!(sm, sm::EDGE0 | sm::LEVEL0))
}

/// By number and by word, in every mode (AP-20 to AP-23, AP-25, AP-30, AP-31, AP-33).
pub(crate) fn set_and_clear(m: &Machine) -> Result<()> {
    let d = domain(m)?;

    for source in [1, 2, 31, 32, 33, SOURCES] {
        let (word, bit) = (4 * (source / 32), 1 << (source % 32));

        for sm in ACTIVE {
            d.write(SOURCECFG + 4 * source, sm)?;
            assert(&d, source, sm, true)?;
            for (set, value) in [
                (SETIPNUM, source),
                (SETIPNUM_LE, source),
                (SETIPNUM_BE, source.swap_bytes()),
                (SETIP + word, bit),
            ] {
                for (clear, clear_value) in [(CLRIPNUM, source), (IN_CLRIP + word, bit)] {
                    let when = |what| format!("in mode {sm} after {what:#x}");

                    d.write(clear, clear_value)?;
                    d.pending(source, false, &when(clear))?;
                    d.write(set, value)?;
                    d.pending(source, true, &when(set))?;
                    // Zeroes change nothing.
                    for zero in [SETIP + word, IN_CLRIP + word] {
                        d.write(zero, !bit)?;
                        d.pending(source, true, &when(zero))?;
                    }
                }
            }
            d.write(CLRIPNUM, source)?;
            assert(&d, source, sm, false)?;
        }
        d.write(SOURCECFG + 4 * source, sm::INACTIVE)?;
    }
    d.came(0, &[], "without delivery")
}

/// Numbers and bits that are no source (AP-20, AP-21, AP-24).
pub(crate) fn no_source(m: &Machine) -> Result<()> {
    let d = domain(m)?;

    for source in 1..=SOURCES {
        d.write(SOURCECFG + 4 * source, sm::DETACHED)?;
    }
    for number in [0, SOURCES + 1, 63, 64, 1023, 1024, 0x1_0001, u32::MAX] {
        for register in [
            SETIPNUM,
            SETIPNUM_LE,
            SETIENUM,
            CLRIPNUM,
            CLRIENUM, //
        ] {
            d.write(register, number)?;
        }
        d.write(SETIPNUM_BE, number.swap_bytes())?;
        for register in [SETIP, SETIP + 4, SETIE, SETIE + 4] {
            d.reads(register, 0, &format!("after number {number}"))?;
        }
    }
    for array in [SETIP, SETIE] {
        let when = "after ones everywhere";

        d.write(array, u32::MAX)?;
        d.write(array + 4, u32::MAX)?;
        d.reads(array, !1, when)?;
        d.reads(array + 4, (1 << (SOURCES - 32 + 1)) - 1, when)?;
    }
    // Write-only registers read as zero.
    for register in [
        SETIPNUM,
        CLRIPNUM,
        SETIENUM,
        CLRIENUM,
        SETIPNUM_LE,
        SETIPNUM_BE,
        CLRIE,
        CLRIE + 4,
    ] {
        d.reads(register, 0, "write-only")?;
    }
    Ok(())
}

/// A level's pending bit goes with the level (AP-33; candidate 10).
pub(crate) fn level_drops(m: &Machine) -> Result<()> {
    let d = domain(m)?;

    for (source, sm) in [(5, sm::LEVEL1), (35, sm::LEVEL0)] {
        assert(&d, source, sm, false)?;
        d.source(source, sm, to(0, source))?;
        d.pending(source, false, "before the level")?;
        assert(&d, source, sm, true)?;
        d.pending(source, true, "while the level is there")?;
        assert(&d, source, sm, false)?;
        d.pending(source, false, "after the level")?;
    }
    d.deliver(true)?;
    d.came(0, &[], "by levels that are gone")
}

/// An edge stays pending, whatever the wire does then (AP-31).
pub(crate) fn edge_stays(m: &Machine) -> Result<()> {
    let d = domain(m)?;

    for (source, sm) in [(5, sm::EDGE1), (35, sm::EDGE0)] {
        assert(&d, source, sm, false)?;
        d.source(source, sm, to(0, source))?;
        for level in [true, false, true, false] {
            assert(&d, source, sm, level)?;
            d.pending(source, true, "after an edge")?;
        }
    }
    // Many edges are one interrupt.
    d.deliver(true)?;
    d.came(0, &[5, 35], "by edges before")
}

/// Another mode that is active does not take the pending bit away (AP-18).
pub(crate) fn other_mode(m: &Machine) -> Result<()> {
    let d = domain(m)?;

    d.write(SOURCECFG + 4 * 6, sm::DETACHED)?;
    d.write(SETIPNUM, 6)?;
    for sm in [sm::EDGE1, sm::DETACHED, sm::EDGE0, sm::DETACHED] {
        d.write(SOURCECFG + 4 * 6, sm)?;
        d.pending(6, true, &format!("after the change to mode {sm}"))?;
    }
    Ok(())
}

/// An inactive source is not pending, not enabled, and has no target, nor gets
/// them back when it is active again (AP-16, AP-18; candidate 10).
pub(crate) fn inactive_clears(m: &Machine) -> Result<()> {
    for off in [sm::INACTIVE, D | 1] {
        let d = domain(m)?;

        for source in [1, 31, 32, SOURCES] {
            let when = &format!("after sourcecfg = {off:#x}");

            d.source(source, sm::DETACHED, to(0, 7))?;
            d.write(SETIPNUM, source)?;
            d.pending(source, true, "before")?;
            d.enabled(source, true, "before")?;
            d.write(SOURCECFG + 4 * source, off)?;
            d.reads(SOURCECFG + 4 * source, 0, when)?;
            d.pending(source, false, when)?;
            d.enabled(source, false, when)?;
            d.reads(TARGET + 4 * source, 0, when)?;
            d.write(SOURCECFG + 4 * source, sm::DETACHED)?;
            d.pending(source, false, "active again")?;
            d.enabled(source, false, "active again")?;
        }
        d.deliver(true)?;
        d.came(0, &[], "by sources that were inactive")?;
    }
    Ok(())
}

/// What is written about an inactive source is lost (AP-16; candidate 10).
pub(crate) fn inactive_ignores(m: &Machine) -> Result<()> {
    let d = domain(m)?;

    d.wire(9, true)?;
    for (register, value) in [
        (SETIPNUM, 9),
        (SETIPNUM_LE, 9),
        (SETIP, 1 << 9),
        (SETIENUM, 9),
        (SETIE, 1 << 9),
        (TARGET + 4 * 9, 7),
    ] {
        let when = &format!("after {register:#x} = {value:#x}");

        d.write(register, value)?;
        d.pending(9, false, when)?;
        d.enabled(9, false, when)?;
        d.reads(TARGET + 4 * 9, 0, when)?;
    }
    Ok(())
}
