// SPDX-License-Identifier: GPL-2.0

//! The guest's devices: a UART and a clock, wired to the APLIC in KVM, and a PCI bus.

use crate::{
    pci::{
        self,
        Pci,
        PciState, //
    }, //
};
use serde::{
    Deserialize,
    Serialize, //
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
    serial::{
        NoEvents,
        SerialState, //
    },
    Serial,
    Trigger, //
};
use vmm::{
    Bus,
    Context,
    Error,
    Guest,
    Result, //
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

/// An interrupt line.
struct Line(EventFd);

impl Trigger for Line {
    type E = io::Error;

    fn trigger(&self) -> io::Result<()> {
        self.0.write(1)
    }
}

/// What writes the guest's console.
pub type Output = Box<dyn io::Write + Send>;

type Uart = Serial<Line, NoEvents, Output>;

/// The bit of the UART's IIR that is clear while it has an interrupt.
const IIR_NONE: u8 = 1;

/// A UART, to be sent to another process.
#[derive(Deserialize, Serialize)]
#[serde(remote = "SerialState")]
struct SerialFields {
    baud_divisor_low: u8,
    baud_divisor_high: u8,
    interrupt_enable: u8,
    interrupt_identification: u8,
    line_control: u8,
    line_status: u8,
    modem_control: u8,
    modem_status: u8,
    scratch: u8,
    in_buffer: Vec<u8>,
}

/// What all devices are.
#[derive(Deserialize, Serialize)]
pub struct DevicesState {
    #[serde(with = "SerialFields")]
    uart: SerialState,
    pub pci: PciState,
}

/// All of them.
#[derive(Clone)]
pub struct Devices {
    uart: Arc<Mutex<Uart>>,
    pci: Arc<Mutex<Pci>>,
}

fn locked<T>(device: &Mutex<T>) -> Result<std::sync::MutexGuard<'_, T>> {
    device
        .lock()
        .map_err(|_| Error::new("a vCPU panicked in a device"))
}

impl Devices {
    /// With what raises the UART's wire, and what tells that the guest has handled its interrupt and the
    /// wire is low again; as they were elsewhere, or new.
    pub fn new(
        raise: EventFd,
        handled: Option<EventFd>,
        output: Output,
        pci: Pci,
        state: Option<&DevicesState>,
    ) -> Result<Self> {
        let new = SerialState::default();
        let state = state.map_or(&new, |s| &s.uart);
        let uart = Serial::from_state(state, Line(raise), NoEvents, output)
            .map_err(|e| Error::new(format!("UART: {e:?}")))?;
        let uart = Arc::new(Mutex::new(uart));

        if let Some(handled) = handled {
            let uart = Arc::clone(&uart);

            thread::spawn(move || raise_again(&uart, &handled));
        }
        Ok(Self {
            uart,
            pci: Arc::new(Mutex::new(pci)),
        })
    }

    /// What they are now.
    pub fn state(&self) -> Result<DevicesState> {
        Ok(DevicesState {
            uart: locked(&self.uart)?.state(),
            pci: locked(&self.pci)?.state(),
        })
    }

    /// Gives the machine the lines of the PCI bus. Raises wires that are to be high, which the machine
    /// has by now.
    pub fn plug(&self, guest: &Guest) -> Result<()> {
        locked(&self.pci)?.plug(guest)?;
        raise_if_due(&*locked(&self.uart)?).context("UART")
    }

    /// Takes them away.
    pub fn unplug(&self, guest: &Guest) -> Result<()> {
        locked(&self.pci)?.unplug(guest)
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
        } else if let Some(reg) = offset(addr, pci::CONFIG, pci::CONFIG_SIZE) {
            return self
                .pci
                .lock()
                .map(|pci| pci.load_config(reg, data))
                .is_ok();
        } else if let Some(reg) = offset(addr, pci::MEMORY, pci::MEMORY_SIZE) {
            return self.pci.lock().map(|mut pci| pci.load(reg, data)).is_ok();
        }
        false
    }

    fn store(&self, addr: u64, data: &[u8]) -> bool {
        if let Some(reg) = offset(addr, UART, UART_SIZE) {
            if let (Ok(mut uart), [byte]) = (self.uart.lock(), data) {
                return uart.write(reg as u8, *byte).is_ok();
            }
        } else if let Some(reg) = offset(addr, pci::CONFIG, pci::CONFIG_SIZE) {
            return self
                .pci
                .lock()
                .map(|mut pci| pci.store_config(reg, data))
                .is_ok();
        } else if let Some(reg) = offset(addr, pci::MEMORY, pci::MEMORY_SIZE) {
            return self
                .pci
                .lock()
                .is_ok_and(|mut pci| pci.store(reg, data).is_ok());
        }
        offset(addr, RTC, RTC_SIZE).is_some()
    }
}
