// SPDX-License-Identifier: GPL-2.0

//! The lines that the program writes.

use crate::uart;

/// Enough for what one scenario holds back.
const SIZE: usize = 16 << 10;

/// The trace: a line "trace: SCENARIO", and then "- OPERATION -> RESULT" for each step.
pub(crate) struct Trace {
    /// Whether lines are held back, as the UART is in use.
    held: bool,
    len: usize,
    buffer: [u8; SIZE],
}

impl Trace {
    pub(crate) fn new() -> Self {
        Self {
            held: false,
            len: 0,
            buffer: [0; SIZE],
        }
    }

    /// Begins a scenario.
    pub(crate) fn scenario(&mut self, name: &'static str) {
        self.text("trace: ").text(name).end();
    }

    /// Begins a line.
    pub(crate) fn line(&mut self) -> &mut Self {
        self.text("- ")
    }

    /// Adds text to it.
    pub(crate) fn text(&mut self, text: &str) -> &mut Self {
        for &byte in text.as_bytes() {
            self.buffer[self.len] = byte;
            self.len += 1;
        }
        self
    }

    fn number(&mut self, number: u64, base: u64) -> &mut Self {
        let mut place = 1;

        while number / place >= base {
            place *= base;
        }
        while place != 0 {
            self.buffer[self.len] = b"0123456789abcdef"[(number / place % base) as usize];
            self.len += 1;
            place /= base;
        }
        self
    }

    /// Adds a decimal number.
    pub(crate) fn decimal(&mut self, number: u64) -> &mut Self {
        self.number(number, 10)
    }

    /// Adds a hexadecimal number.
    pub(crate) fn hex(&mut self, number: u64) -> &mut Self {
        self.text("0x").number(number, 16)
    }

    /// Ends the line.
    pub(crate) fn end(&mut self) {
        self.text("\n");
        if !self.held {
            self.flush();
        }
    }

    fn flush(&mut self) {
        uart::print(&self.buffer[..self.len]);
        self.len = 0;
    }

    /// Holds lines back until [`Self::release`].
    pub(crate) fn hold(&mut self) {
        self.held = true;
    }

    /// Takes the wire down and writes what was held back.
    pub(crate) fn release(&mut self) {
        uart::wire(false);
        self.held = false;
        self.flush();
    }
}
