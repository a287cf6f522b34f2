// SPDX-License-Identifier: GPL-2.0

//! The UART, a 16550: the console, and a wire that the program can move.
//!
//! Its interrupt "transmitter empty" is a level, high while it is enabled, nothing
//! is left to send and nobody has asked for the reason of the interrupt.

use core::ptr::{
    read_volatile,
    write_volatile, //
};

const BASE: u64 = 0x1000_0000;

/// Transmit holding register.
const THR: u64 = 0;
/// Interrupt enable register.
const IER: u64 = 1;
const IER_THRE: u8 = 1 << 1;
/// Interrupt identification register.
const IIR: u64 = 2;
/// The transmitter is empty.
pub(crate) const IIR_THRE: u8 = 2;
/// FIFO control register, at the same address.
const FCR: u64 = 2;
const FCR_ENABLE: u8 = 1;
/// Line status register.
const LSR: u64 = 5;
const LSR_THRE: u8 = 1 << 5;

/// Bytes that the FIFO takes when it is empty.
const FIFO: usize = 16;

fn write(register: u64, value: u8) {
    // SAFETY: A register of the UART, which changes no memory.
    unsafe { write_volatile((BASE + register) as *mut u8, value) };
}

fn read(register: u64) -> u8 {
    // SAFETY: See above.
    unsafe { read_volatile((BASE + register) as *const u8) }
}

fn wait_until_empty() {
    while read(LSR) & LSR_THRE == 0 {
        core::hint::spin_loop();
    }
}

/// Takes it over from the firmware.
pub(crate) fn init() {
    write(IER, 0);
    write(FCR, FCR_ENABLE);
}

/// Writes to the console.
pub(crate) fn print(text: &[u8]) {
    for chunk in text.chunks(FIFO) {
        wait_until_empty();
        for &byte in chunk {
            write(THR, byte);
        }
    }
}

/// Says why the program cannot go on, and switches the machine off.
pub(crate) fn die(why: &str, numbers: &[u64]) -> ! {
    wire(false);
    print(b"\ntrace: died: ");
    print(why.as_bytes());
    for number in numbers {
        let mut digits = [b' '; 17];

        for (n, digit) in digits[1..].iter_mut().enumerate() {
            *digit = b"0123456789abcdef"[(number >> (60 - 4 * n)) as usize & 0xf];
        }
        print(&digits);
    }
    print(b"\n");
    crate::shut_down()
}

/// Moves the wire.
pub(crate) fn wire(level: bool) {
    if level {
        wait_until_empty();
    }
    write(IER, if level { IER_THRE } else { 0 });
}

/// Asks for the reason of the interrupt, which takes a high wire down.
pub(crate) fn reason() -> u8 {
    read(IIR) & 0xf
}

/// Sends a byte, after which the wire, if it was down, comes up again.
pub(crate) fn send(byte: u8) {
    write(THR, byte);
}
