// SPDX-License-Identifier: GPL-2.0

//! domaincfg, sourcecfg, enable bits.

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

/// The fixed bits of domaincfg: little-endian, delivery by MSIs.
const FIXED: u32 = 0x8000_0000 | DM;

/// Only IE can be written (AP-9).
pub(crate) fn domaincfg(m: &Machine) -> Result<()> {
    let d = Domain::new(m, Mode::Emul, 1, 4)?;

    for (value, wanted) in [
        (0, FIXED),
        (IE, FIXED | IE),
        (u32::MAX, FIXED | IE),
        (!IE, FIXED),
        (0x0100_0000 | IE, FIXED | IE),
    ] {
        d.write(DOMAINCFG, value)?;
        d.reads(DOMAINCFG, wanted, &format!("after {value:#x}"))?;
    }
    Ok(())
}

/// Each mode reads back, other bits do not, and there is no delegation (AP-13 to AP-15).
pub(crate) fn sourcecfg(m: &Machine) -> Result<()> {
    let d = Domain::new(m, Mode::Emul, 1, 40)?;

    for source in [1, 31, 32, 40] {
        let register = SOURCECFG + 4 * source;

        for (value, wanted) in [
            (sm::DETACHED, sm::DETACHED),
            (sm::EDGE1, sm::EDGE1),
            (sm::EDGE0, sm::EDGE0),
            (sm::LEVEL1, sm::LEVEL1),
            (sm::LEVEL0, sm::LEVEL0),
            (sm::INACTIVE, sm::INACTIVE),
            (0xffff_fbf8 | sm::EDGE1, sm::EDGE1),
            (D, 0),
            (sm::EDGE1, sm::EDGE1),
            (D | 0x3ff, 0),
            (sm::LEVEL0, sm::LEVEL0),
            (u32::MAX, 0),
        ] {
            d.write(register, value)?;
            d.reads(register, wanted, &format!("after {value:#x}"))?;
        }
    }
    Ok(())
}

/// Reserved modes do not stick (AP-15; candidate 10).
pub(crate) fn reserved_modes(m: &Machine) -> Result<()> {
    let d = Domain::new(m, Mode::Emul, 1, 4)?;

    for old in [sm::INACTIVE, sm::EDGE1, sm::LEVEL0] {
        for reserved in [2, 3] {
            d.write(SOURCECFG + 4, old)?;
            d.write(SOURCECFG + 4, reserved)?;
            let got = d.read(SOURCECFG + 4)?;

            vmm::ensure(got != reserved, || {
                format!("the reserved mode {reserved} sticks")
            })?;
        }
    }
    Ok(())
}

/// Enable bits by word and by number (AP-24).
pub(crate) fn enables(m: &Machine) -> Result<()> {
    let d = Domain::new(m, Mode::Emul, 1, 40)?;

    for source in 1..=40 {
        d.write(SOURCECFG + 4 * source, sm::DETACHED)?;
    }
    for source in [1, 2, 31, 32, 40] {
        let (word, bit) = (4 * (source / 32), 1 << (source % 32));

        for (set, value) in [(SETIENUM, source), (SETIE + word, bit)] {
            for (clear, clear_value) in [(CLRIENUM, source), (CLRIE + word, bit)] {
                d.write(set, value)?;
                d.reads(SETIE + word, bit, &format!("after {set:#x}"))?;
                d.reads(SETIE + (word ^ 4), 0, &format!("after {set:#x}"))?;
                d.write(CLRIE + word, !bit)?;
                d.enabled(source, true, "after zeroes")?;
                d.write(clear, clear_value)?;
                d.reads(SETIE + word, 0, &format!("after {clear:#x}"))?;
            }
        }
    }
    Ok(())
}

/// What is pending is sent once it is enabled (AP-39).
pub(crate) fn enable_later(m: &Machine) -> Result<()> {
    let d = Domain::new(m, Mode::Emul, 1, 40)?;

    d.deliver(true)?;
    for source in [1, 31, 32, 40] {
        let (word, bit) = (4 * (source / 32), 1 << (source % 32));

        for (register, value) in [(SETIENUM, source), (SETIE + word, bit)] {
            d.source(source, sm::DETACHED, to(0, source))?;
            d.write(CLRIENUM, source)?;
            d.write(SETIPNUM, source)?;
            d.came(0, &[], "while it is disabled")?;
            d.pending(source, true, "while it is disabled")?;
            d.write(register, value)?;
            d.came(0, &[source], "once it is enabled")?;
            d.pending(source, false, "once it is sent")?;
            d.write(register, value)?;
            d.came(0, &[], "enabled again")?;
        }
    }
    Ok(())
}

/// IE gates delivery, and changes nothing else (AP-10, AP-39).
pub(crate) fn gate(m: &Machine) -> Result<()> {
    let d = Domain::new(m, Mode::Emul, 1, 40)?;
    let sources = [1, 7, 31, 32, 40];

    for source in sources {
        d.source(source, sm::EDGE1, to(0, source + 10))?;
    }
    // Active and pending, but not enabled.
    d.source(20, sm::EDGE1, to(0, 5))?;
    d.write(CLRIENUM, 20)?;
    for round in 0..2 {
        let when = &format!("in round {round}, off");

        for source in sources.into_iter().chain([20]) {
            d.wire(source, true)?;
            d.wire(source, false)?;
            d.pending(source, true, when)?;
            d.enabled(source, source != 20, when)?;
        }
        d.came(0, &[], when)?;
        d.deliver(true)?;
        d.came(0, &sources.map(|s| s + 10), "once it is on")?;
        for source in sources {
            d.pending(source, false, "once it is on")?;
            d.enabled(source, true, "once it is on")?;
        }
        d.pending(20, true, "disabled")?;
        d.deliver(true)?;
        d.came(0, &[], "on again")?;
        d.deliver(false)?;
    }
    Ok(())
}
