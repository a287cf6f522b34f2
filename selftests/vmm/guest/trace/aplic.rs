// SPDX-License-Identifier: GPL-2.0

//! The APLIC's registers while it delivers nothing.

use crate::{
    accesses::{
        set_up,
        APLIC, //
    },
    output::Trace,
    regs::aplic::*, //
};

/// Sources that the machine has.
pub(crate) const SOURCES: u32 = 96;
/// A source whose wire is low and stays so.
const S: u32 = 64;

/// All source modes but the reserved ones.
const MODES: [u32; 6] = [
    sm::INACTIVE,
    sm::DETACHED,
    sm::EDGE1,
    sm::EDGE0,
    sm::LEVEL1,
    sm::LEVEL0,
];

/// Makes all sources inactive and delivers nothing.
pub(crate) fn reset() {
    set_up(DOMAINCFG, 0);
    for source in 1..=SOURCES {
        set_up(TARGET + 4 * source, 0);
        set_up(SOURCECFG + 4 * source, sm::INACTIVE);
    }
}

/// Offset of the word of a source in an array of bits, and its bit.
pub(crate) fn bit(array: u32, source: u32) -> (u32, u32) {
    (array + 4 * (source / 32), 1 << (source % 32))
}

fn domaincfg(t: &mut Trace) {
    t.scenario("domaincfg");
    t.load(&APLIC, DOMAINCFG);
    // DM is not cleared while sources are active.
    for value in [IE | DM, DM, IE, 0, u32::MAX & !1, 0x7f00_0000, 0x80] {
        t.store(&APLIC, DOMAINCFG, value);
        t.load(&APLIC, DOMAINCFG);
    }
    // BE may be read-only; a write that both byte orders understand comes last.
    t.store(&APLIC, DOMAINCFG, 1);
    t.load(&APLIC, DOMAINCFG);
    t.store(&APLIC, DOMAINCFG, 0);
    t.load(&APLIC, DOMAINCFG);
}

fn sourcecfg(t: &mut Trace) {
    t.scenario("sourcecfg");
    for source in [1, 31, 32, SOURCES] {
        for value in [0, 1, 4, 5, 6, 7, D, D | 1, D | 6, 1 << 3, 1 << 9] {
            t.store(&APLIC, SOURCECFG + 4 * source, value);
            t.load(&APLIC, SOURCECFG + 4 * source);
        }
        // Only the low three bits count: a level, and reserved.
        t.store(&APLIC, SOURCECFG + 4 * source, 0xffff_fbfe);
        t.load(&APLIC, SOURCECFG + 4 * source);
        t.store(&APLIC, SOURCECFG + 4 * source, 0xffff_fffe);
        t.load(&APLIC, SOURCECFG + 4 * source);
    }
    reset();
    t.scenario("every-source");
    for source in 1..=SOURCES {
        set_up(SOURCECFG + 4 * source, sm::EDGE1);
    }
    for source in 1..=SOURCES {
        t.load(&APLIC, SOURCECFG + 4 * source);
    }
    reset();
    t.scenario("no-source");
    for source in [SOURCES + 1, 127, 128, 1023] {
        t.store(&APLIC, SOURCECFG + 4 * source, sm::EDGE1);
        t.load(&APLIC, SOURCECFG + 4 * source);
        t.store(&APLIC, TARGET + 4 * source, 1);
        t.load(&APLIC, TARGET + 4 * source);
    }
}

/// Reserved source modes: WARL.
fn reserved_modes(t: &mut Trace) {
    t.scenario("reserved-modes");
    for before in [sm::INACTIVE, sm::EDGE1] {
        for mode in [2, 3] {
            reset();
            set_up(SOURCECFG + 4 * S, before);
            t.store(&APLIC, SOURCECFG + 4 * S, mode);
            t.load(&APLIC, SOURCECFG + 4 * S);
        }
    }
}

/// An inactive source has nothing: pending and enable bit and target.
fn inactive(t: &mut Trace) {
    reset();
    t.scenario("inactive");
    all_zero(t);
    attempts(t);
    t.scenario("made-inactive");
    for how in [sm::INACTIVE, D] {
        set_up(SOURCECFG + 4 * S, sm::EDGE1);
        set_up(TARGET + 4 * S, 5);
        attempts(t);
        t.store(&APLIC, SOURCECFG + 4 * S, how);
        all_zero(t);
        attempts(t);
        reset();
    }
}

/// Whether a source that became active has bits.
fn reactivated(t: &mut Trace) {
    t.scenario("reactivated");
    for mode in MODES {
        reset();
        t.store(&APLIC, SOURCECFG + 4 * S, sm::EDGE1);
        t.store(&APLIC, SETIENUM, S);
        t.store(&APLIC, SETIPNUM, S);
        t.store(&APLIC, SOURCECFG + 4 * S, sm::INACTIVE);
        t.store(&APLIC, SOURCECFG + 4 * S, mode);
        t.load(&APLIC, bit(SETIP, S).0);
        t.load(&APLIC, bit(SETIE, S).0);
    }
}

fn all_zero(t: &mut Trace) {
    for array in [SETIP, IN_CLRIP, SETIE] {
        t.load(&APLIC, bit(array, S).0);
    }
    t.load(&APLIC, TARGET + 4 * S);
}

fn attempts(t: &mut Trace) {
    t.store(&APLIC, TARGET + 4 * S, 7);
    t.load(&APLIC, TARGET + 4 * S);
    for number in [SETIENUM, SETIPNUM, SETIPNUM_LE] {
        t.store(&APLIC, number, S);
    }
    t.load(&APLIC, bit(SETIE, S).0);
    t.load(&APLIC, bit(SETIP, S).0);
    for array in [SETIE, SETIP] {
        let (word, bit) = bit(array, S);

        t.store(&APLIC, word, bit);
        t.load(&APLIC, word);
    }
}

/// Numbers that are no source, or not only.
const NUMBERS: [u32; 9] = [
    0,
    SOURCES + 1,
    127,
    1023,
    1024 | S,
    0x1_0000 | S,
    S << 24,
    0x8000_0000 | S,
    u32::MAX,
];

fn enables(t: &mut Trace) {
    t.scenario("enables");
    reset();
    for source in 1..=SOURCES {
        set_up(SOURCECFG + 4 * source, sm::DETACHED);
    }
    for source in [31, 32, SOURCES] {
        let (word, bit) = bit(SETIE, source);

        for (set, value) in [(SETIENUM, source), (word, bit)] {
            for (clear, value_of_clear) in [(CLRIENUM, source), (word + CLRIE - SETIE, bit)] {
                t.store(&APLIC, set, value);
                t.load(&APLIC, word);
                t.store(&APLIC, word + CLRIE - SETIE, !bit);
                t.load(&APLIC, word);
                t.store(&APLIC, clear, value_of_clear);
                t.load(&APLIC, word);
            }
        }
    }
    for number in NUMBERS {
        t.store(&APLIC, SETIENUM, number);
        t.words(&APLIC, SETIE, 4);
    }
    for word in 0..5 {
        t.store(&APLIC, SETIE + 4 * word, u32::MAX);
        t.load(&APLIC, SETIE + 4 * word);
    }
    for number in NUMBERS {
        t.store(&APLIC, CLRIENUM, number);
        t.words(&APLIC, SETIE, 4);
    }
    for word in 0..5 {
        t.load(&APLIC, CLRIE + 4 * word);
        t.store(&APLIC, CLRIE + 4 * word, 0xffff_0000);
        t.load(&APLIC, SETIE + 4 * word);
        t.store(&APLIC, SETIE + 4 * word, 0);
        t.load(&APLIC, SETIE + 4 * word);
    }
    for number in [SETIENUM, CLRIENUM] {
        t.load(&APLIC, number);
    }
}

/// Pending bits by software, in each mode, while the wire is low.
fn pending(t: &mut Trace, name: &'static str, mode: u32) {
    t.scenario(name);
    reset();
    for source in [31, 32, SOURCES] {
        let (word, bit) = bit(SETIP, source);
        let input = word + IN_CLRIP - SETIP;

        t.store(&APLIC, SOURCECFG + 4 * source, mode);
        t.load(&APLIC, word);
        t.load(&APLIC, input);
        // What a mode made pending.
        t.store(&APLIC, CLRIPNUM, source);
        t.load(&APLIC, word);
        for (set, value) in [
            (SETIPNUM, source),
            (SETIPNUM_LE, source),
            (SETIPNUM_BE, source.swap_bytes()),
            (word, bit),
        ] {
            for (clear, value_of_clear) in [(CLRIPNUM, source), (input, bit)] {
                t.store(&APLIC, set, value);
                t.load(&APLIC, word);
                t.store(&APLIC, input, !bit);
                t.load(&APLIC, word);
                t.store(&APLIC, clear, value_of_clear);
                t.load(&APLIC, word);
            }
        }
    }
}

fn pending_numbers(t: &mut Trace) {
    t.scenario("pending-numbers");
    reset();
    for source in 1..=SOURCES {
        set_up(SOURCECFG + 4 * source, sm::EDGE1);
    }
    for register in [SETIPNUM, SETIPNUM_LE] {
        for number in NUMBERS {
            t.store(&APLIC, register, number);
            t.words(&APLIC, SETIP, 4);
        }
    }
    for number in [0, S, SOURCES + 1, u32::MAX] {
        t.store(&APLIC, SETIPNUM_BE, number);
        t.words(&APLIC, SETIP, 4);
    }
    for word in 0..5 {
        t.store(&APLIC, SETIP + 4 * word, u32::MAX);
        t.load(&APLIC, SETIP + 4 * word);
    }
    for number in NUMBERS {
        t.store(&APLIC, CLRIPNUM, number);
        t.words(&APLIC, SETIP, 4);
    }
    for word in 0..5 {
        t.store(&APLIC, IN_CLRIP + 4 * word, 0xffff_0000);
        t.load(&APLIC, IN_CLRIP + 4 * word);
        t.load(&APLIC, SETIP + 4 * word);
        t.store(&APLIC, SETIP + 4 * word, 0);
        t.load(&APLIC, SETIP + 4 * word);
    }
    for number in [SETIPNUM, SETIPNUM_LE, SETIPNUM_BE, CLRIPNUM] {
        t.load(&APLIC, number);
    }
}

fn targets(t: &mut Trace) {
    t.scenario("target");
    reset();
    for source in [1, SOURCES] {
        t.store(&APLIC, SOURCECFG + 4 * source, sm::EDGE1);
        for value in [
            0,
            1,
            255,
            (1 << 18) | 255,
            // Bits of EIID beyond the identities that there are.
            256,
            2047,
            // Reserved.
            1 << 11,
            // The guest index of harts without guests.
            1 << 12,
            0x3f << 12,
            (1 << 18) | 1,
        ] {
            t.store(&APLIC, TARGET + 4 * source, value);
            t.load(&APLIC, TARGET + 4 * source);
        }
    }
}

fn holes(t: &mut Trace) {
    t.scenario("holes");
    reset();
    for range in [
        SOURCECFG + 4 * (SOURCES + 1)..SETIP,
        SETIP + 4 * 4..SETIPNUM,
        SETIPNUM + 4..IN_CLRIP,
        IN_CLRIP + 4 * 4..CLRIPNUM,
        CLRIPNUM + 4..SETIE,
        SETIE + 4 * 4..SETIENUM,
        SETIENUM + 4..CLRIE,
        CLRIE..CLRIENUM,
        CLRIENUM + 4..SETIPNUM_LE,
        SETIPNUM_BE + 4..GENMSI,
        TARGET + 4 * (SOURCES + 1)..SIZE,
    ] {
        t.zeroes(&APLIC, range);
    }
}

/// Accesses of other sizes, which should fault, and must do nothing.
fn sizes(t: &mut Trace) {
    t.scenario("aplic-sizes");
    reset();
    set_up(SOURCECFG + 4 * S, sm::EDGE1);
    set_up(TARGET + 4 * S, 5);
    for size in [1, 2, 8] {
        for register in [SOURCECFG + 8, TARGET + 8] {
            t.store_sized(&APLIC, register, size, 6);
            t.load(&APLIC, register);
        }
        t.store_sized(&APLIC, SETIPNUM_LE, size, S.into());
        t.load(&APLIC, bit(SETIP, S).0);
        for register in [DOMAINCFG, SOURCECFG + 4 * S, TARGET + 4 * S] {
            t.load_sized(&APLIC, register, size);
        }
    }
}

/// All of it.
pub(crate) fn all(t: &mut Trace) {
    reset();
    domaincfg(t);
    sourcecfg(t);
    reserved_modes(t);
    inactive(t);
    reactivated(t);
    enables(t);
    for (name, mode) in [
        ("pending-inactive", sm::INACTIVE),
        ("pending-detached", sm::DETACHED),
        ("pending-edge1", sm::EDGE1),
        ("pending-edge0", sm::EDGE0),
        ("pending-level1", sm::LEVEL1),
        ("pending-level0", sm::LEVEL0),
    ] {
        pending(t, name, mode);
    }
    pending_numbers(t);
    targets(t);
    holes(t);
    sizes(t);
    reset();
}
