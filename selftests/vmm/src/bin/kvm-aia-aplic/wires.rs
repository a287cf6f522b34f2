// SPDX-License-Identifier: GPL-2.0

//! Source modes: what a wire does in each (AP-17, AP-30, AP-31, AP-33).

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

const S: u32 = 3;
const ID: u32 = 45;
const ONE: &[u32] = &[ID];
const NONE: &[u32] = &[];

/// All that sets the source pending.
const SETS: [(u32, u32); 4] = [
    (SETIPNUM, S),
    (SETIPNUM_LE, S),
    (SETIPNUM_BE, S.swap_bytes()),
    (SETIP, 1 << S),
];

fn domain(m: &Machine, mode: Mode, sm: u32) -> Result<Domain> {
    let d = Domain::new(m, mode, 1, 40)?;

    d.source(S, sm, to(0, ID))?;
    d.deliver(true)?;
    d.came(0, NONE, "before anything happens")?;
    Ok(d)
}

/// Each step of a wire sends an MSI, or not.
fn steps(d: &Domain, steps: &[(bool, bool)]) -> Result<()> {
    for (n, &(level, sends)) in steps.iter().enumerate() {
        d.wire(S, level)?;
        d.came(
            0,
            if sends { ONE } else { NONE },
            &format!("by step {n}, wire {level}"),
        )?;
    }
    Ok(())
}

pub(crate) fn edge1(m: &Machine, mode: Mode) -> Result<()> {
    let d = domain(m, mode, sm::EDGE1)?;

    steps(
        &d,
        &[(false, false), (true, true), (true, false), (false, false)],
    )?;
    for _ in 0..50 {
        steps(&d, &[(true, true), (false, false)])?;
    }
    Ok(())
}

pub(crate) fn edge0(m: &Machine) -> Result<()> {
    let d = domain(m, Mode::Emul, sm::EDGE0)?;

    steps(
        &d,
        &[
            (false, false),
            (true, false),
            (true, false),
            (false, true),
            (false, false),
        ],
    )?;
    for _ in 0..50 {
        steps(&d, &[(true, false), (false, true)])?;
    }
    Ok(())
}

pub(crate) fn level1(m: &Machine, mode: Mode) -> Result<()> {
    let d = domain(m, mode, sm::LEVEL1)?;

    steps(&d, &[(false, false)])?;
    for _ in 0..50 {
        steps(&d, &[(true, true), (false, false)])?;
    }
    Ok(())
}

pub(crate) fn level0(m: &Machine) -> Result<()> {
    let d = domain(m, Mode::Emul, sm::LEVEL0)?;

    for _ in 0..50 {
        steps(&d, &[(true, false), (false, true)])?;
    }
    Ok(())
}

/// A level is sent when it comes; telling KVM again that it is there is no
/// transition (AP-33).
pub(crate) fn level_once(m: &Machine) -> Result<()> {
    let d = domain(m, Mode::Emul, sm::LEVEL1)?;

    steps(
        &d,
        &[(true, true), (true, false), (true, false), (false, false)],
    )?;
    let d = domain(m, Mode::Emul, sm::LEVEL0)?;

    steps(
        &d,
        &[
            (false, false),
            (true, false),
            (false, true),
            (false, false),
            (false, false),
        ],
    )
}

/// What the handler of a level does at its end: the source is sent again if
/// it is still asserted (AP-33, AP-42).
pub(crate) fn rearm(m: &Machine) -> Result<()> {
    for (sm, asserted) in [(sm::LEVEL1, true), (sm::LEVEL0, false)] {
        let d = domain(m, Mode::Emul, sm)?;

        d.wire(S, !asserted)?;
        for (register, value) in SETS {
            let when = format!("by {register:#x} in mode {sm}");

            d.write(register, value)?;
            d.came(0, NONE, &format!("{when}, not asserted"))?;
            d.wire(S, asserted)?;
            d.came(0, ONE, "by the level")?;
            for _ in 0..2 {
                d.write(register, value)?;
                d.came(0, ONE, &format!("{when}, asserted"))?;
            }
            d.wire(S, !asserted)?;
            d.write(register, value)?;
            d.came(0, NONE, &format!("{when}, not asserted any more"))?;
        }
    }
    Ok(())
}

/// A Detached source ignores its wire, an inactive one everything (AP-16, AP-30).
pub(crate) fn detached(m: &Machine) -> Result<()> {
    for (sm, sent) in [(sm::DETACHED, ONE), (sm::INACTIVE, NONE)] {
        let d = domain(m, Mode::Emul, sm)?;

        steps(&d, &[(true, false), (false, false), (true, false)])?;
        for (register, value) in SETS {
            d.write(register, value)?;
            d.came(0, sent, &format!("by {register:#x} in mode {sm}"))?;
        }
    }
    Ok(())
}

/// in_clrip reads rectified inputs (AP-17, AP-22).
fn inputs(m: &Machine, modes: &[(u32, bool, bool)]) -> Result<()> {
    let d = Domain::new(m, Mode::Emul, 1, 40)?;

    for source in [1, 31, 32, 40] {
        for &(sm, low, high) in modes {
            d.write(SOURCECFG + 4 * source, sm)?;
            for _ in 0..2 {
                d.wire(source, false)?;
                d.input(source, low, &format!("in mode {sm}, wire low"))?;
                d.wire(source, true)?;
                d.input(source, high, &format!("in mode {sm}, wire high"))?;
            }
            d.wire(source, false)?;
        }
    }
    Ok(())
}

pub(crate) fn rectified(m: &Machine) -> Result<()> {
    inputs(
        m,
        &[
            (sm::INACTIVE, false, false),
            (sm::EDGE1, false, true),
            (sm::EDGE0, true, false),
            (sm::LEVEL1, false, true),
            (sm::LEVEL0, true, false),
        ],
    )
}

pub(crate) fn rectified_detached(m: &Machine) -> Result<()> {
    inputs(m, &[(sm::DETACHED, false, false)])
}

/// The wire of a source that is set up late is as it was driven before.
pub(crate) fn late(m: &Machine) -> Result<()> {
    let d = Domain::new(m, Mode::Emul, 1, 40)?;

    d.wire(S, true)?;
    d.deliver(true)?;
    d.source(S, sm::LEVEL1, to(0, ID))?;
    d.input(S, true, "after set-up")?;
    // What set-up may have sent (AP-18).
    d.guest().claims(0)?;
    d.write(SETIPNUM, S)?;
    d.came(0, ONE, "by setipnum after set-up")?;
    d.wire(S, false)?;
    d.came(0, NONE, "by the end of the level")
}
