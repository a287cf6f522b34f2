// SPDX-License-Identifier: GPL-2.0

//! The interrupt file.

use crate::{
    abi::csr::*,
    accesses::{
        ireg,
        FILES, //
    },
    hart::irq_enable,
    interrupts::{
        self,
        enable_external, //
    },
    output::Trace,
    regs::imsic, //
};

/// Largest identity of the machine.
const IDS: u64 = 255;

const EIDELIVERY: u64 = imsic::EIDELIVERY as u64;
const EITHRESHOLD: u64 = imsic::EITHRESHOLD as u64;
const EIP0: u64 = imsic::EIP0 as u64;
const EIE0: u64 = imsic::EIE0 as u64;
const SETEIPNUM_LE: u32 = imsic::SETEIPNUM_LE as u32;
const SETEIPNUM_BE: u32 = imsic::SETEIPNUM_BE as u32;

/// Makes all identities enabled and none pending.
pub(crate) fn init() {
    set_up(&[]);
    for word in 0..=IDS / 64 {
        write(EIE0 + 2 * word, u64::MAX);
    }
}

fn write(register: u64, value: u64) {
    ireg(WRITE, register, value);
}

/// No threshold, delivery on, and these of the first 64 identities enabled.
fn set_up(enabled: &[u64]) {
    write(EIDELIVERY, 1);
    write(EITHRESHOLD, 0);
    for word in 0..=IDS / 64 {
        write(EIP0 + 2 * word, 0);
        write(EIE0 + 2 * word, 0);
    }
    write(EIE0, enabled.iter().fold(0, |bits, id| bits | (1 << id)));
}

fn registers(t: &mut Trace) {
    t.scenario("eidelivery");
    init();
    for value in [
        0,
        1,
        2,
        3,
        0x4000_0000,
        0x4000_0001,
        1 << 32,
        u64::MAX,
        0,
        1,
    ] {
        t.write_read(EIDELIVERY, value);
    }
    for (how, value) in [
        (CLEAR, 1),
        (SET, 1),
        (SWAP, 0),
        (SET, 0),
        (SWAP, 1),
        (READ, 0),
    ] {
        t.ireg(how, EIDELIVERY, value);
    }
    t.scenario("eithreshold");
    for value in [0, 1, 5, 127, 128, 254, 255] {
        t.write_read(EITHRESHOLD, value);
    }
    for (how, value) in [
        (CLEAR, 1),
        (SET, 1),
        (SWAP, 8),
        (SET, 3),
        (SWAP, 0),
        (READ, 0),
    ] {
        t.ireg(how, EITHRESHOLD, value);
    }
    // WLRL: no value that software should write.
    for value in [256, 257, 2047, 2048, u64::MAX] {
        t.write_read(EITHRESHOLD, value);
    }
    t.write_read(EITHRESHOLD, 0);
}

fn arrays(t: &mut Trace, name: &'static str, first: u64) {
    t.scenario(name);
    set_up(&[]);
    for number in 0..64 {
        t.write_read(first + number, u64::MAX);
    }
    for number in [0, 2, 6, 8, 62] {
        for (how, value) in [
            (CLEAR, 0xff),
            (SET, 0xf),
            (SWAP, 0x5555_5555_5555_5555),
            (SET, 0),
            (WRITE, 0),
            (READ, 0),
        ] {
            t.ireg(how, first + number, value);
        }
    }
    set_up(&[]);
}

/// Numbers for siselect that have no register, or another one's.
fn selects(t: &mut Trace) {
    t.scenario("siselect");
    for register in [0, 0x30, 0x70, 0xff, 0x100, 0x170, 0xfff] {
        t.select(register);
    }
    t.scenario("reserved-selects");
    for register in [0x71].into_iter().chain(0x73..0x80) {
        t.write_read(register, u64::MAX);
    }
    t.scenario("other-selects");
    for register in [0, 0x2f, 0x40, 0x6f] {
        t.write_read(register, u64::MAX);
    }
    t.scenario("iprio");
    for register in 0x30..0x40 {
        t.write_read(register, u64::MAX);
        t.write_read(register, 0);
    }
}

fn top(t: &mut Trace) {
    t.topei(READ, 0);
    t.seip();
    t.stopi();
}

/// What is on top, and what takes it away.
fn topei(t: &mut Trace) {
    t.scenario("topei");
    set_up(&[1, 2, 5, 40, 63]);
    top(t);
    // Of an empty file nothing is taken.
    for how in [WRITE, SWAP, SET, CLEAR] {
        t.topei(how, u64::MAX);
    }
    for id in [63, 5, 7, 40, 1] {
        t.store(&FILES[0], SETEIPNUM_LE, id);
        top(t);
    }
    t.ireg(READ, EIP0, 0);
    // A write claims whatever it writes.
    t.topei(WRITE, 0);
    top(t);
    t.topei(SWAP, 0x3f_003f);
    top(t);
    t.topei(SET, 1);
    top(t);
    t.topei(CLEAR, 1);
    top(t);
    t.ireg(READ, EIP0, 0);
    // Enabled later, and taken away by its bit.
    t.ireg(SET, EIE0, 1 << 7);
    top(t);
    t.ireg(CLEAR, EIE0, 1 << 7);
    top(t);
    t.ireg(SET, EIE0, 1 << 7);
    t.ireg(CLEAR, EIP0, 1 << 7);
    top(t);
    // Made pending by bits.
    t.ireg(SET, EIP0, (1 << 5) | (1 << 40) | (1 << 41));
    top(t);
    t.claims();
    t.ireg(READ, EIP0, 0);
    // csrrs and csrrc of x0 would not write. Those of other registers do, whatever these hold.
    t.scenario("topei-no-bits");
    init();
    for id in [5, 40, 63] {
        t.store(&FILES[0], SETEIPNUM_LE, id);
    }
    for how in [SET, CLEAR] {
        t.topei(how, 0);
        t.topei(READ, 0);
    }
    t.claims();
    t.scenario("topei-order");
    init();
    for id in [255, 64, 200, 63, 1, 128, 127, 2, 192, 65, 254, 3] {
        t.store(&FILES[0], SETEIPNUM_LE, id);
        t.topei(READ, 0);
    }
    t.claims();
    top(t);
}

fn threshold(t: &mut Trace) {
    t.scenario("threshold");
    init();
    for id in [5, 6, 100, 255] {
        t.store(&FILES[0], SETEIPNUM_LE, id);
    }
    for value in [1, 4, 5, 6, 7, 100, 101, 255, 0] {
        t.write_read(EITHRESHOLD, value);
        top(t);
    }
    for value in [6, 101, 255] {
        t.write_read(EITHRESHOLD, value);
        t.claims();
        top(t);
    }
    t.write_read(EITHRESHOLD, 0);
    t.claims();
}

fn delivery(t: &mut Trace) {
    t.scenario("delivery");
    init();
    t.store(&FILES[0], SETEIPNUM_LE, 9);
    top(t);
    t.write_read(EIDELIVERY, 0);
    top(t);
    t.store(&FILES[0], SETEIPNUM_LE, 4);
    top(t);
    t.write_read(EIDELIVERY, 1);
    top(t);
    t.write_read(EIDELIVERY, 0);
    t.claims();
    t.write_read(EIDELIVERY, 1);
    top(t);
}

/// The page in memory.
fn page(t: &mut Trace) {
    t.scenario("page");
    init();
    for value in [
        0,
        1,
        255,
        256,
        511,
        2047,
        2048,
        0x1_0005,
        0x8000_0005,
        5 << 24,
        u32::MAX,
    ] {
        t.store(&FILES[0], SETEIPNUM_LE, value);
        t.claims();
    }
    t.load(&FILES[0], SETEIPNUM_LE);
    t.load(&FILES[0], SETEIPNUM_BE);
    t.zeroes(&FILES[0], 8..0x1000);
    t.claims();
    t.scenario("page-big-endian");
    for value in [0, 5, 5 << 24, 255 << 24, 1 << 16, u32::MAX] {
        t.store(&FILES[0], SETEIPNUM_BE, value);
        t.claims();
    }
}

/// Interrupts that are taken.
fn taken(t: &mut Trace) {
    t.scenario("taken");
    init();
    irq_enable(true);
    for id in [199, 7, 255, 1] {
        t.store(&FILES[0], SETEIPNUM_LE, id);
        t.taken(0, 0);
    }
    // sie lets them in, in their order.
    enable_external(true);
    t.taken(0, 4);
    t.line().text("stopi then -> ").hex(interrupts::top()).end();
    t.seip();
    for id in [255, 1, 64] {
        t.store(&FILES[0], SETEIPNUM_LE, id);
        t.taken(0, 1);
    }
    // sstatus does.
    irq_enable(false);
    for id in [9, 3, 199, 64] {
        t.store(&FILES[0], SETEIPNUM_LE, id);
    }
    t.taken(0, 0);
    irq_enable(true);
    t.taken(0, 4);
    // The file does.
    t.write_read(EIDELIVERY, 0);
    t.store(&FILES[0], SETEIPNUM_LE, 20);
    t.taken(0, 0);
    t.write_read(EIDELIVERY, 1);
    t.taken(0, 1);
    t.write_read(EITHRESHOLD, 20);
    for id in [21, 20, 19] {
        t.store(&FILES[0], SETEIPNUM_LE, id);
        t.taken(0, u64::from(id == 19));
    }
    t.write_read(EITHRESHOLD, 0);
    t.taken(0, 2);
    t.ireg(CLEAR, EIE0, 1 << 30);
    t.store(&FILES[0], SETEIPNUM_LE, 30);
    t.taken(0, 0);
    t.ireg(SET, EIE0, 1 << 30);
    t.taken(0, 1);
    // Software makes one pending.
    t.ireg(SET, EIP0, 1 << 31);
    t.taken(0, 1);
    // As many as there can be at once.
    irq_enable(false);
    for id in 1..=50 {
        t.store(&FILES[0], SETEIPNUM_LE, 5 * id % 251);
    }
    irq_enable(true);
    t.taken(0, 50);
    t.seip();
    irq_enable(false);
    enable_external(false);
}

/// The other hart takes what it is sent.
fn other(t: &mut Trace) {
    t.scenario("other-hart");
    for id in [1, 2, 63, 64, 255, 1] {
        t.store(&FILES[1], SETEIPNUM_LE, id);
        t.taken(1, 1);
    }
    for id in [0, 256, u32::MAX] {
        t.store(&FILES[1], SETEIPNUM_LE, id);
        t.taken(1, 0);
    }
    t.load(&FILES[1], SETEIPNUM_LE);
    t.claims();
}

/// All of it.
pub(crate) fn all(t: &mut Trace) {
    registers(t);
    arrays(t, "eip", EIP0);
    arrays(t, "eie", EIE0);
    selects(t);
    topei(t);
    threshold(t);
    delivery(t);
    page(t);
    taken(t);
    other(t);
    init();
}
