// SPDX-License-Identifier: GPL-2.0

//! The guest's devices: a UART, a clock and a disk, wired to the APLIC in KVM.

use crate::{
    console::{
        Console,
        Writer, //
    },
    disk::Disk, //
};
use std::{
    fmt, io,
    sync::{
        Arc,
        Mutex, //
    },
    thread,
    time::{
        SystemTime,
        UNIX_EPOCH, //
    },
};
use vm_superio::{
    serial::NoEvents,
    Serial,
    Trigger, //
};
use vmm::{
    Bus,
    Ram, //
};
use vmm_sys_util::eventfd::EventFd;

/// Guest-physical address of the UART.
pub const UART: u64 = 0x1001_0000;
/// Size of its registers.
pub const UART_SIZE: u64 = 8;
/// Its source of the APLIC, by high level if KVM tells when the guest has handled it, else by
/// rising edges.
pub const UART_SOURCE: u32 = 10;
/// Guest-physical address of the clock.
pub const RTC: u64 = 0x1002_0000;
/// Size of its registers.
pub const RTC_SIZE: u64 = 0x1000;
/// Its source, which stays low: its alarm never goes off.
pub const RTC_SOURCE: u32 = 11;
/// Guest-physical address of the disk.
pub const DISK: u64 = 0x1003_0000;
/// Size of its registers.
pub const DISK_SIZE: u64 = 0x200;
/// Its source, by rising edges.
pub const DISK_SOURCE: u32 = 12;

/// An interrupt line.
struct Line(EventFd);

impl Trigger for Line {
    type E = io::Error;

    fn trigger(&self) -> io::Result<()> {
        self.0.write(1)
    }
}

type Uart = Serial<Line, NoEvents, Writer>;

/// The bit of the UART's IIR that is clear while it has an interrupt.
const IIR_NONE: u8 = 1;

/// All of them.
#[derive(Clone)]
pub struct Devices {
    uart: Arc<Mutex<Uart>>,
    disk: Arc<Mutex<Disk>>,
}

impl Devices {
    /// With a disk, what raises the UART's wire, and what tells that the guest has handled its interrupt
    /// and the wire is low again.
    pub fn new(
        raise: EventFd,
        handled: Option<EventFd>,
        console: Arc<Console>,
        disk: Disk,
    ) -> Self {
        let uart = Serial::new(Line(raise), Writer::new(console));
        let uart = Arc::new(Mutex::new(uart));

        if let Some(handled) = handled {
            let uart = Arc::clone(&uart);

            thread::spawn(move || raise_again(&uart, &handled));
        }
        Self {
            uart,
            disk: Arc::new(Mutex::new(disk)),
        }
    }

    /// They belong to the machine with this memory now, which has their wires: raises those that are to be
    /// high, which may have been low for some time.
    pub fn attach(&self, ram: Arc<Ram>) {
        if let Ok(mut disk) = self.disk.lock() {
            disk.attach(ram);
        }
        if let Ok(uart) = self.uart.lock() {
            let _ = raise_if_due(&uart);
        }
    }
}

/// Raises the UART's wire if it has an interrupt.
fn raise_if_due(uart: &Uart) -> io::Result<()> {
    if uart.state().interrupt_identification & IIR_NONE == 0 {
        uart.interrupt_evt().trigger()?;
    }
    Ok(())
}

/// Raises the UART's wire each time that a guest has handled its interrupt, and it has one still.
fn raise_again(uart: &Mutex<Uart>, handled: &EventFd) {
    while handled.read().is_ok() {
        let Ok(uart) = uart.lock() else { return };

        if raise_if_due(&uart).is_err() {
            return;
        }
    }
}

impl fmt::Debug for Devices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Devices")
    }
}

fn offset(addr: u64, base: u64, size: u64) -> Option<u64> {
    addr.checked_sub(base).filter(|&offset| offset < size)
}

/// Registers of a goldfish RTC: the time in ns, and an alarm that is off.
fn clock(offset: u64) -> u32 {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| d.as_nanos());

    match offset {
        0 => now as u32,
        4 => (now >> 32) as u32,
        _ => 0,
    }
}

impl Bus for Devices {
    fn load(&self, addr: u64, data: &mut [u8]) -> bool {
        if let Some(reg) = offset(addr, UART, UART_SIZE) {
            if let (Ok(mut uart), [byte]) = (self.uart.lock(), data) {
                *byte = uart.read(reg as u8);
                return true;
            }
        } else if let Some(reg) = offset(addr, RTC, RTC_SIZE) {
            if let Ok(word) = <&mut [u8; 4]>::try_from(data) {
                *word = clock(reg).to_le_bytes();
                return true;
            }
        } else if let Some(reg) = offset(addr, DISK, DISK_SIZE) {
            return self.disk.lock().is_ok_and(|disk| disk.load(reg, data));
        }
        false
    }

    fn store(&self, addr: u64, data: &[u8]) -> bool {
        if let Some(reg) = offset(addr, UART, UART_SIZE) {
            if let (Ok(mut uart), [byte]) = (self.uart.lock(), data) {
                return uart.write(reg as u8, *byte).is_ok();
            }
        } else if let Some(reg) = offset(addr, DISK, DISK_SIZE) {
            return self.disk.lock().is_ok_and(|mut disk| disk.store(reg, data));
        }
        offset(addr, RTC, RTC_SIZE).is_some()
    }
}
