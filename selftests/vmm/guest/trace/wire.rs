// SPDX-License-Identifier: GPL-2.0

//! A source whose wire moves: the UART's.

use crate::{
    accesses::APLIC,
    aplic::reset,
    hart::irq_enable,
    imsic,
    interrupts::{
        self,
        enable_external,
        UART_ID,
        UART_SOURCE as S, //
    },
    output::Trace,
    regs::aplic::*,
    uart, //
};

const ID: u32 = 45;

/// What can be seen of the source.
fn look(t: &mut Trace) {
    t.load(&APLIC, IN_CLRIP);
    t.load(&APLIC, SETIP);
    t.claims();
}

/// Moves the wire and looks.
fn step(t: &mut Trace, level: bool) {
    t.wire(level);
    look(t);
}

/// All that can happen to a source in a mode; the wire begins at `idle`.
fn mode(t: &mut Trace, name: &'static str, mode: u32, idle: bool) {
    let active = !idle;

    t.scenario(name);
    reset();
    imsic::init();
    t.hold();
    t.wire(idle);
    t.store(&APLIC, SOURCECFG + 4 * S, mode);
    t.store(&APLIC, TARGET + 4 * S, ID);
    t.store(&APLIC, DOMAINCFG, IE);
    t.store(&APLIC, SETIENUM, S);
    look(t);
    // It comes once, goes, and comes again.
    for level in [active, active, idle, idle, active, idle] {
        step(t, level);
    }
    // Software arms a level again, or makes an edge.
    for (register, value) in [
        (SETIPNUM, S),
        (SETIPNUM_LE, S),
        (SETIPNUM_BE, S.swap_bytes()),
        (SETIP, 1 << S),
    ] {
        t.store(&APLIC, register, value);
        look(t);
        step(t, active);
        t.store(&APLIC, register, value);
        look(t);
        t.store(&APLIC, register, value);
        look(t);
        step(t, idle);
    }
    // While it is not enabled it comes, is cleared, and goes.
    t.store(&APLIC, CLRIENUM, S);
    step(t, active);
    t.store(&APLIC, CLRIPNUM, S);
    look(t);
    t.store(&APLIC, SETIPNUM, S);
    look(t);
    t.store(&APLIC, IN_CLRIP, 1 << S);
    look(t);
    step(t, idle);
    t.store(&APLIC, SETIENUM, S);
    look(t);
    // It comes and goes unseen.
    t.store(&APLIC, CLRIENUM, S);
    step(t, active);
    step(t, idle);
    t.store(&APLIC, SETIENUM, S);
    look(t);
    // The same without IE, but it stays.
    t.store(&APLIC, DOMAINCFG, 0);
    step(t, active);
    t.store(&APLIC, DOMAINCFG, IE);
    look(t);
    step(t, idle);
    t.store(&APLIC, DOMAINCFG, 0);
    step(t, active);
    step(t, idle);
    t.store(&APLIC, DOMAINCFG, IE);
    look(t);
    t.release();
}

/// The mode changes while the wire is high, or low.
fn modes(t: &mut Trace) {
    t.scenario("mode-change");
    imsic::init();
    t.hold();
    for level in [true, false] {
        for from in [sm::INACTIVE, sm::DETACHED, sm::EDGE1, sm::LEVEL1] {
            for to in [
                sm::INACTIVE,
                sm::DETACHED,
                sm::EDGE1,
                sm::EDGE0,
                sm::LEVEL1,
                sm::LEVEL0,
            ] {
                reset();
                t.wire(level);
                t.store(&APLIC, SOURCECFG + 4 * S, from);
                t.store(&APLIC, CLRIPNUM, S);
                t.store(&APLIC, SOURCECFG + 4 * S, to);
                t.load(&APLIC, IN_CLRIP);
                t.load(&APLIC, SETIP);
            }
        }
    }
    t.release();
    t.scenario("mode-change-pending");
    t.hold();
    for level in [true, false] {
        for to in [
            sm::INACTIVE,
            sm::DETACHED,
            sm::EDGE1,
            sm::EDGE0,
            sm::LEVEL1,
            sm::LEVEL0,
        ] {
            reset();
            t.wire(level);
            t.store(&APLIC, SOURCECFG + 4 * S, sm::DETACHED);
            t.store(&APLIC, SETIPNUM, S);
            t.store(&APLIC, SOURCECFG + 4 * S, to);
            t.load(&APLIC, IN_CLRIP);
            t.load(&APLIC, SETIP);
        }
    }
    t.release();
}

/// The UART's interrupt is taken and served, as by a driver.
fn served(t: &mut Trace) {
    t.scenario("uart-taken");
    reset();
    imsic::init();
    t.hold();
    t.store(&APLIC, SOURCECFG + 4 * S, sm::LEVEL1);
    t.store(&APLIC, TARGET + 4 * S, ID);
    t.store(&APLIC, DOMAINCFG, IE);
    t.store(&APLIC, SETIENUM, S);
    enable_external(true);
    irq_enable(true);
    // Nobody asks for the reason: it is armed again by software only.
    t.wire(true);
    t.taken(0, 1);
    t.store(&APLIC, SETIPNUM, S);
    t.taken(0, 1);
    // The reason takes the wire down.
    t.line().text("reason -> ").hex(uart::reason().into()).end();
    t.load(&APLIC, IN_CLRIP);
    t.line().text("reason -> ").hex(uart::reason().into()).end();
    t.store(&APLIC, SETIPNUM, S);
    t.taken(0, 0);
    t.wire(false);
    t.taken(0, 0);
    t.wire(true);
    t.taken(0, 1);
    t.store(&APLIC, TARGET + 4 * S, (1 << 18) | ID);
    t.wire(false);
    t.wire(true);
    t.taken(1, 1);
    t.taken(0, 0);
    t.wire(false);
    t.store(&APLIC, TARGET + 4 * S, UART_ID);
    t.release();
    let sends = interrupts::send_text();

    t.line().text("interrupts served -> ").decimal(sends).end();
    irq_enable(false);
    enable_external(false);
    look(t);
}

/// All of it.
pub(crate) fn all(t: &mut Trace) {
    for (name, sm, idle) in [
        ("wire-inactive", sm::INACTIVE, false),
        ("wire-detached", sm::DETACHED, false),
        ("wire-edge1", sm::EDGE1, false),
        ("wire-edge0", sm::EDGE0, true),
        ("wire-level1", sm::LEVEL1, false),
        ("wire-level0", sm::LEVEL0, true),
    ] {
        mode(t, name, sm, idle);
    }
    modes(t);
    served(t);
    reset();
}
