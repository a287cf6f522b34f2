// SPDX-License-Identifier: GPL-2.0

//! Accesses, each of which writes a line.

use crate::{
    abi::{
        csr,
        APLIC_BASE,
        IMSIC_BASE, //
    },
    hart::claim,
    interrupts,
    output::Trace,
    probe,
    uart, //
};
use core::{
    arch::asm,
    ops::Range,
    ptr::write_volatile, //
};

/// sip.SEIP
const SEIP: u64 = 1 << 9;

/// Registers in memory.
pub(crate) struct Device {
    name: &'static str,
    base: u64,
}

/// The APLIC's domain of supervisor level.
pub(crate) const APLIC: Device = Device {
    name: "aplic",
    base: APLIC_BASE,
};

/// The interrupt files of the two harts.
pub(crate) const FILES: [Device; 2] = [
    Device {
        name: "imsic0",
        base: IMSIC_BASE,
    },
    Device {
        name: "imsic1",
        base: IMSIC_BASE + 0x1000,
    },
];

/// Names of the instructions of [`csr`].
const INSTRUCTIONS: [&str; 5] = ["read", "write", "swap", "set", "clear"];

/// Selects an indirect register; what siselect became.
fn select(register: u64) -> u64 {
    let value;

    // SAFETY: Any value may be written; what is behind it is up to the access.
    unsafe {
        asm!("csrw 0x150, {}", "csrr {}, 0x150", in(reg) register, out(reg) value,
             options(nostack))
    };
    value
}

/// Accesses an indirect register: what it read, and scause + 1 or 0. Writes nothing.
pub(crate) fn ireg(how: u64, register: u64, value: u64) -> (u64, u64) {
    select(register);
    probe::csr(interrupts::own(), csr::SIREG, how, value)
}

/// Writes an APLIC register that cannot trap, without a line.
pub(crate) fn set_up(offset: u32, value: u32) {
    // SAFETY: A register of the APLIC.
    unsafe { write_volatile((APLIC_BASE + u64::from(offset)) as *mut u32, value) };
}

impl Trace {
    /// The result of something that may have trapped.
    fn result(&mut self, read: Option<u64>, trap: u64) {
        self.text(" -> ");
        match (trap, read) {
            (0, Some(value)) => self.hex(value),
            (0, None) => self.text("ok"),
            _ => self.text("trap ").decimal(trap - 1),
        }
        .end();
    }

    fn access(&mut self, what: &str, size: u64, device: &Device, offset: u32) -> &mut Self {
        self.line().text(what).decimal(8 * size);
        self.text(" ")
            .text(device.name)
            .text("+")
            .hex(offset.into())
    }

    /// Loads from a register.
    pub(crate) fn load(&mut self, device: &Device, offset: u32) -> u32 {
        self.load_sized(device, offset, 4) as u32
    }

    /// Loads so many bytes.
    pub(crate) fn load_sized(&mut self, device: &Device, offset: u32, size: u64) -> u64 {
        let at = device.base + u64::from(offset);
        let (value, trap) = probe::load(interrupts::own(), at, size);

        self.access("load", size, device, offset)
            .result(Some(value), trap);
        value
    }

    /// Stores to a register.
    pub(crate) fn store(&mut self, device: &Device, offset: u32, value: u32) {
        self.store_sized(device, offset, 4, value.into());
    }

    /// Stores so many bytes.
    pub(crate) fn store_sized(&mut self, device: &Device, offset: u32, size: u64, value: u64) {
        let at = device.base + u64::from(offset);
        let (_, trap) = probe::store(interrupts::own(), at, size, value);

        self.access("store", size, device, offset)
            .text(" = ")
            .hex(value)
            .result(None, trap);
    }

    /// Loads so many registers, in one line.
    pub(crate) fn words(&mut self, device: &Device, offset: u32, count: u32) {
        self.access("words", 4, device, offset).text(" ->");
        for offset in (offset..).step_by(4).take(count as usize) {
            let at = device.base + u64::from(offset);

            self.text(" ").hex(probe::load(interrupts::own(), at, 4).0);
        }
        self.end();
    }

    /// Stores ones to all words of a range and loads them again: a line for each
    /// that is not zero or traps, and one for all.
    pub(crate) fn zeroes(&mut self, device: &Device, range: Range<u32>) {
        let mut wrong = 0;

        for offset in range.clone().step_by(4) {
            let at = device.base + u64::from(offset);
            let (_, stored) = probe::store(interrupts::own(), at, 4, 0xffff_ffff);
            let (value, loaded) = probe::load(interrupts::own(), at, 4);

            if stored != 0 || loaded != 0 || value != 0 {
                wrong += 1;
                self.access("hole", 4, device, offset)
                    .result(Some(value), stored.max(loaded));
            }
        }
        self.access("holes", 4, device, range.start)
            .text("..")
            .hex(range.end.into())
            .result(Some(wrong), 0);
    }

    /// Writes siselect and reads it back.
    pub(crate) fn select(&mut self, register: u64) {
        let value = select(register);

        self.line().text("siselect = ").hex(register);
        self.result(Some(value), 0);
    }

    /// Accesses an indirect register by the instruction `how` of [`csr`].
    pub(crate) fn ireg(&mut self, how: u64, register: u64, value: u64) {
        let (old, trap) = ireg(how, register, value);

        self.csr_access("sireg ", Some(register), how, value, (old, trap));
    }

    /// Accesses stopei.
    pub(crate) fn topei(&mut self, how: u64, value: u64) {
        let result = probe::csr(interrupts::own(), csr::STOPEI, how, value);

        self.csr_access("stopei", None, how, value, result);
    }

    fn csr_access(
        &mut self,
        name: &str,
        register: Option<u64>,
        how: u64,
        value: u64,
        (old, trap): (u64, u64),
    ) {
        self.line().text(name);
        if let Some(register) = register {
            self.hex(register);
        }
        self.text(" ").text(INSTRUCTIONS[how as usize]);
        if how != csr::READ {
            self.text(" ").hex(value);
        }
        self.result((how != csr::WRITE).then_some(old), trap);
    }

    /// Writes an indirect register and reads it back.
    pub(crate) fn write_read(&mut self, register: u64, value: u64) {
        self.ireg(csr::WRITE, register, value);
        self.ireg(csr::READ, register, 0);
    }

    /// Whether sip has an external interrupt.
    pub(crate) fn seip(&mut self) {
        let sip: u64;

        // SAFETY: Only reads.
        unsafe { asm!("csrr {}, sip", out(reg) sip, options(nostack)) };
        self.line().text("sip.SEIP");
        self.result(Some(u64::from(sip & SEIP != 0)), 0);
    }

    /// Reads stopi.
    pub(crate) fn stopi(&mut self) {
        let stopi: u64;

        // SAFETY: Only reads.
        unsafe { asm!("csrr {}, 0xdb0", out(reg) stopi, options(nostack)) };
        self.line().text("stopi");
        self.result(Some(stopi), 0);
    }

    /// Claims what there is until there is nothing.
    pub(crate) fn claims(&mut self) {
        self.line().text("claims ->");
        // More than there can be shows that a claim clears nothing.
        for _ in 0..300 {
            match claim() {
                0 => break,
                id => self.text(" ").decimal(id),
            };
        }
        self.end();
    }

    /// What a hart's handler took since this was asked, of which there should be so
    /// many.
    pub(crate) fn taken(&mut self, hart: u64, count: u64) {
        interrupts::wait(hart, count);
        let (ids, count) = interrupts::drain(hart);

        self.list(hart, count, &ids);
    }

    /// The same for interrupts of which more than one was on its way, so that chance
    /// has a say in their order.
    pub(crate) fn taken_together(&mut self, hart: u64, count: u64) {
        interrupts::wait(hart, count);
        let (mut ids, count) = interrupts::drain(hart);
        let known = count.min(ids.len());

        for n in 1..known {
            for at in (0..n).rev() {
                if ids[at] > ids[at + 1] {
                    ids.swap(at, at + 1);
                }
            }
        }
        self.list(hart, count, &ids);
    }

    fn list(&mut self, hart: u64, count: usize, ids: &[u32]) {
        self.line().text("hart ").decimal(hart).text(" took ->");
        for &id in ids.iter().take(count) {
            self.text(" ").decimal(id.into());
        }
        if count > ids.len() {
            self.text(" of ").decimal(count as u64);
        }
        self.end();
    }

    /// Moves the wire of source 10.
    pub(crate) fn wire(&mut self, level: bool) {
        uart::wire(level);
        self.line().text("wire = ").decimal(level.into());
        self.result(None, 0);
    }
}
