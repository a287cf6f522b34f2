// SPDX-License-Identifier: GPL-2.0

//! MSIs that the APLIC sends, by software alone: the wires are low.

use crate::{
    accesses::{
        set_up,
        APLIC, //
    },
    aplic::{
        bit,
        reset,
        SOURCES, //
    },
    hart::irq_enable,
    imsic,
    interrupts::enable_external,
    output::Trace,
    regs::aplic::*, //
};

/// A target register.
fn to(hart: u32, id: u32) -> u32 {
    (hart << 18) | id
}

/// Extempore MSIs.
fn genmsi(t: &mut Trace) {
    t.scenario("genmsi");
    reset();
    imsic::init();
    t.load(&APLIC, GENMSI);
    for ie in [0, IE] {
        t.store(&APLIC, DOMAINCFG, ie);
        for value in [
            to(0, 1),
            to(0, 255),
            // No identity of the file.
            to(0, 0),
            to(0, 256),
            to(0, 2047),
            // Busy, and reserved bits.
            to(0, 5) | (1 << 12),
            to(0, 6) | (1 << 11),
            to(0, 7) | (0x1f << 13),
        ] {
            t.store(&APLIC, GENMSI, value);
            t.load(&APLIC, GENMSI);
            t.claims();
        }
        t.store(&APLIC, GENMSI, to(1, 77));
        t.load(&APLIC, GENMSI);
        t.taken(1, 1);
        t.claims();
    }
}

/// The three conditions, each of which may come last.
fn conditions(t: &mut Trace) {
    for (name, mode) in [
        ("forward-detached", sm::DETACHED),
        ("forward-edge1", sm::EDGE1),
    ] {
        t.scenario(name);
        for source in [1, 31, 32, SOURCES] {
            let (pending, mask) = bit(SETIP, source);
            let enable = bit(SETIE, source).0;

            reset();
            imsic::init();
            t.store(&APLIC, SOURCECFG + 4 * source, mode);
            t.store(&APLIC, TARGET + 4 * source, to(0, 100 + source));
            // Pending comes last.
            t.store(&APLIC, DOMAINCFG, IE);
            t.store(&APLIC, SETIENUM, source);
            for (register, value) in [
                (SETIPNUM, source),
                (SETIPNUM_LE, source),
                (SETIPNUM_BE, source.swap_bytes()),
                (pending, mask),
            ] {
                t.store(&APLIC, register, value);
                t.load(&APLIC, pending);
                t.claims();
            }
            // The enable bit does.
            for (register, value) in [(SETIENUM, source), (enable, mask)] {
                t.store(&APLIC, CLRIENUM, source);
                t.store(&APLIC, SETIPNUM, source);
                t.load(&APLIC, pending);
                t.claims();
                t.store(&APLIC, register, value);
                t.load(&APLIC, pending);
                t.load(&APLIC, enable);
                t.claims();
                t.store(&APLIC, register, value);
                t.claims();
            }
            // IE does.
            t.store(&APLIC, DOMAINCFG, 0);
            t.store(&APLIC, SETIPNUM, source);
            t.load(&APLIC, pending);
            t.claims();
            t.store(&APLIC, DOMAINCFG, IE);
            t.load(&APLIC, pending);
            t.claims();
            // A source that becomes inactive takes its pending bit along.
            t.store(&APLIC, DOMAINCFG, 0);
            t.store(&APLIC, SETIPNUM, source);
            t.store(&APLIC, SOURCECFG + 4 * source, 0);
            t.store(&APLIC, SOURCECFG + 4 * source, mode);
            t.store(&APLIC, TARGET + 4 * source, to(0, 100 + source));
            t.store(&APLIC, DOMAINCFG, IE);
            t.store(&APLIC, SETIENUM, source);
            t.claims();
        }
    }
}

/// Many sources at once, on both harts.
fn many(t: &mut Trace) {
    t.scenario("forward-many");
    reset();
    imsic::init();
    for source in 1..=SOURCES {
        set_up(SOURCECFG + 4 * source, sm::EDGE1);
        // Identities fall as sources rise; every fourth one is for hart 1.
        set_up(
            TARGET + 4 * source,
            to(u32::from(source % 4 == 0), 250 - source),
        );
    }
    for word in 0..4 {
        t.store(&APLIC, SETIP + 4 * word, u32::MAX);
        t.store(&APLIC, SETIE + 4 * word, 0x5555_5555);
    }
    t.claims();
    t.store(&APLIC, DOMAINCFG, IE);
    t.claims();
    t.taken_together(1, 24);
    for word in 0..4 {
        t.load(&APLIC, SETIP + 4 * word);
        t.store(&APLIC, SETIE + 4 * word, 0xaaaa_aaaa);
        t.load(&APLIC, SETIP + 4 * word);
        t.claims();
    }
    // Those of hart 1 come one after the other.
    for source in [4, 96, 60] {
        t.store(&APLIC, SETIPNUM, source);
        t.taken(1, 1);
    }
    // Two sources, one identity.
    t.store(&APLIC, TARGET + 4 * 5, to(0, 66));
    t.store(&APLIC, TARGET + 4 * 6, to(0, 66));
    t.store(&APLIC, SETIP, (1 << 5) | (1 << 6));
    t.claims();
    // Identities that the file does not have are sent, and come to nothing.
    for id in [0, 256, 2047] {
        t.store(&APLIC, TARGET + 4 * 5, to(0, id));
        t.store(&APLIC, SETIPNUM, 5);
        t.load(&APLIC, SETIP);
        t.claims();
    }
}

/// The target of a source that is pending changes.
fn retarget(t: &mut Trace) {
    t.scenario("retarget");
    reset();
    imsic::init();
    t.store(&APLIC, SOURCECFG + 4 * 5, sm::EDGE1);
    t.store(&APLIC, TARGET + 4 * 5, to(0, 50));
    t.store(&APLIC, SETIENUM, 5);
    t.store(&APLIC, SETIPNUM, 5);
    t.store(&APLIC, TARGET + 4 * 5, to(0, 51));
    t.store(&APLIC, DOMAINCFG, IE);
    t.claims();
    t.store(&APLIC, TARGET + 4 * 5, to(1, 52));
    t.claims();
    t.store(&APLIC, SETIPNUM, 5);
    t.claims();
    t.taken(1, 1);
}

/// Interrupts that are taken.
fn taken(t: &mut Trace) {
    t.scenario("forward-taken");
    reset();
    imsic::init();
    for source in [5, 6, 7] {
        t.store(&APLIC, SOURCECFG + 4 * source, sm::DETACHED);
        t.store(&APLIC, TARGET + 4 * source, to(0, 60 - source));
        t.store(&APLIC, SETIENUM, source);
    }
    enable_external(true);
    irq_enable(true);
    t.store(&APLIC, DOMAINCFG, IE);
    for source in [7, 5, 6, 5] {
        t.store(&APLIC, SETIPNUM, source);
        t.taken(0, 1);
    }
    t.store(&APLIC, GENMSI, to(0, 99));
    t.taken(0, 1);
    t.store(&APLIC, DOMAINCFG, 0);
    t.store(&APLIC, SETIP, (1 << 5) | (1 << 6) | (1 << 7));
    t.taken(0, 0);
    irq_enable(false);
    t.store(&APLIC, DOMAINCFG, IE);
    irq_enable(true);
    t.taken(0, 3);
    irq_enable(false);
    enable_external(false);
}

/// All of it.
pub(crate) fn all(t: &mut Trace) {
    genmsi(t);
    conditions(t);
    many(t);
    retarget(t);
    taken(t);
    reset();
}
