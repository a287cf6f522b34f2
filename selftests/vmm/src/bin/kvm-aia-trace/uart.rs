// SPDX-License-Identifier: GPL-2.0

//! As much of a 16550 as the program uses: what is sent, and the interrupt of the
//! empty transmitter, a level. (That of vm-superio is an edge.)

use std::{
    fmt,
    sync::{
        mpsc::{
            Receiver,
            SyncSender, //
        },
        Mutex, //
    },
};
use vmm::{
    abi::{
        APLIC_BASE,
        IMSIC_BASE, //
    },
    Bus, //
};

const BASE: u64 = 0x1000_0000;
const SIZE: u64 = 8;

const THR: u64 = 0;
const IER: u64 = 1;
const IER_THRE: u8 = 1 << 1;
const IIR: u64 = 2;
const IIR_NONE: u8 = 1;
const IIR_THRE: u8 = 2;
const LSR: u64 = 5;
/// Nothing is left to send, not even on the line.
const LSR_EMPTY: u8 = 0x60;

/// The wire, at whose other end somebody moves it and says so.
pub(crate) struct Wire {
    pub(crate) level: SyncSender<bool>,
    pub(crate) moved: Receiver<()>,
}

impl Wire {
    /// Returns when it has moved; false if nobody moves it.
    fn set(&self, level: bool) -> bool {
        self.level.send(level).is_ok() && self.moved.recv().is_ok()
    }
}

struct State {
    wire: Wire,
    /// Takes the lines.
    say: Box<dyn Fn(&str) + Send>,
    high: bool,
    enabled: bool,
    /// The transmitter ran empty, and nobody has asked for the reason yet.
    pending: bool,
    line: Vec<u8>,
}

impl State {
    fn update(&mut self) -> bool {
        let high = self.enabled && self.pending;

        if high == self.high {
            return true;
        }
        self.high = high;
        self.wire.set(high)
    }

    fn send(&mut self, byte: u8) -> bool {
        self.pending = false;
        let lowered = self.update();

        if byte == b'\n' {
            (self.say)(&String::from_utf8_lossy(&self.line));
            self.line.clear();
        } else {
            self.line.push(byte);
        }
        self.pending = true;
        lowered && self.update()
    }

    fn enable(&mut self, on: bool) -> bool {
        // The transmitter always is empty.
        self.pending |= on && !self.enabled;
        self.enabled = on;
        self.update()
    }

    fn reason(&mut self) -> Option<u8> {
        if !self.high {
            return Some(IIR_NONE);
        }
        self.pending = false;
        self.update().then_some(IIR_THRE)
    }
}

/// The UART.
pub(crate) struct Uart(Mutex<State>);

impl Uart {
    /// With its interrupt, and who takes the lines that it sends.
    pub(crate) fn new(wire: Wire, say: impl Fn(&str) + Send + 'static) -> Self {
        Self(Mutex::new(State {
            wire,
            say: Box::new(say),
            high: false,
            enabled: false,
            pending: false,
            line: Vec::new(),
        }))
    }
}

impl fmt::Debug for Uart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Uart")
    }
}

/// The register at an address.
fn register(addr: u64) -> Option<u64> {
    addr.checked_sub(BASE).filter(|&offset| offset < SIZE)
}

/// Whether `addr` belongs to the APLIC or the IMSICs: what KVM leaves to user
/// space there reads as zero, as it does on QEMU.
fn controllers(addr: u64) -> bool {
    [APLIC_BASE, IMSIC_BASE]
        .iter()
        .any(|&base| (base..base + 0x8000).contains(&addr))
}

impl Bus for Uart {
    fn load(&self, addr: u64, data: &mut [u8]) -> bool {
        if controllers(addr) {
            return true;
        }
        let (Some(register), [byte], Ok(mut state)) = (register(addr), data, self.0.lock()) else {
            return false;
        };
        let value = match register {
            IER => Some(if state.enabled { IER_THRE } else { 0 }),
            IIR => state.reason(),
            LSR => Some(LSR_EMPTY),
            _ => Some(0),
        };

        *byte = value.unwrap_or_default();
        value.is_some()
    }

    fn store(&self, addr: u64, data: &[u8]) -> bool {
        let (Some(register), &[byte], Ok(mut state)) = (register(addr), data, self.0.lock()) else {
            return false;
        };

        match register {
            THR => state.send(byte),
            IER => state.enable(byte & IER_THRE != 0),
            // Nothing depends on the rest.
            _ => true,
        }
    }
}
