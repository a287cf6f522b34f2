// SPDX-License-Identifier: GPL-2.0

//! A machine that is about to boot Linux, or to go on with one.

use crate::{
    devices::{
        self,
        Devices,
        DevicesState,
        Output, //
    },
    disk,
    dtb::{
        self,
        Board,
        Host, //
    },
    pci::Pci, //
};
use kvm_ioctls::{
    Cap,
    Kvm, //
};
use std::{
    fs,
    sync::{
        atomic::AtomicU64,
        Arc, //
    }, //
};
use vmm::{
    abi::RAM_BASE,
    Config,
    Context,
    Guest,
    Mode,
    Program,
    Result, //
};
use vmm_sys_util::eventfd::EventFd;

const MIB: u64 = 1 << 20;
const RAM: u64 = 256 * MIB;
/// Offsets in RAM. Linux wants to be aligned to 2 MiB, and its first 2 MiB may be
/// the firmware's.
const KERNEL: u64 = 2 * MIB;
const TREE: u64 = 120 * MIB;
const INITRD: u64 = 128 * MIB;

/// Of the APLIC.
const SOURCES: u32 = 32;

/// What the guest shall be like.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    pub vcpus: usize,
    /// Of its AIA device.
    pub mode: Mode,
    /// Largest interrupt identity.
    pub ids: u32,
    /// Test programs that it runs.
    pub tests: &'a [&'a str],
    /// What its kernel is told, too.
    pub args: &'a str,
}

impl Wanted<'_> {
    fn config(&self) -> Config {
        Config {
            ids: Some(self.ids),
            sources: SOURCES,
            ..Config::new(self.vcpus, self.mode)
        }
    }
}

/// The devices of a machine, with their lines.
pub struct Lines {
    uart: EventFd,
    /// None with C, which has no way to tell that the guest has handled a level.
    handled: Option<EventFd>,
    devices: Devices,
    /// Requests that the disk has done.
    pub requests: Arc<AtomicU64>,
}

impl Lines {
    /// Those of this machine, as they were elsewhere, or new. It has its devices now, but not the lines.
    pub fn new(
        kvm: &Kvm,
        guest: &Guest,
        output: Output,
        state: Option<&DevicesState>,
    ) -> Result<Self> {
        let clone = |event: &EventFd| event.try_clone().context("eventfd");
        let uart = EventFd::new(libc::EFD_NONBLOCK).context("eventfd")?;
        let handled = has_levels(kvm)
            .then(|| EventFd::new(0).context("eventfd"))
            .transpose()?;
        let requests = Arc::new(AtomicU64::new(0));
        let pci = Pci::new(
            guest.ram(),
            guest.router(),
            requests.clone(),
            state.map(|s| &s.pci),
        )?;
        let devices = Devices::new(
            clone(&uart)?,
            handled.as_ref().map(clone).transpose()?,
            output,
            pci,
            state,
        )?;

        guest.plug(devices.clone())?;
        Ok(Self {
            uart,
            handled,
            devices,
            requests,
        })
    }

    /// Gives them to their machine, whose vCPUs do not run.
    pub fn plug(&self, guest: &Guest) -> Result<()> {
        match &self.handled {
            Some(handled) => {
                guest.attach_resampled(&self.uart, handled, devices::UART_SOURCE)?;
            }
            None => guest.attach_irqfd(&self.uart, devices::UART_SOURCE)?,
        }
        self.devices.plug(guest)
    }

    /// Takes them from it.
    pub fn unplug(&self, guest: &Guest) -> Result<()> {
        self.devices.unplug(guest)?;
        guest.remove_irqfd(&self.uart, devices::UART_SOURCE)
    }

    /// What the devices are, whose machine has stopped.
    pub fn state(&self) -> Result<DevicesState> {
        self.devices.state()
    }
}

fn has_levels(kvm: &Kvm) -> bool {
    kvm.check_extension(Cap::IrqfdResample)
}

/// Makes a machine that boots, with the console at `output`.
pub fn machine(kvm: &Kvm, output: Output, wanted: &Wanted<'_>) -> Result<(Guest, Lines)> {
    let kernel = fs::read("/guest/Image").context("/guest/Image")?;
    let initrd = fs::read("/guest/initramfs.cpio").context("/guest/initramfs.cpio")?;
    let cfg = wanted.config();
    let board = Board {
        cfg: &cfg,
        ids: wanted.ids,
        ram: RAM,
        uart: if has_levels(kvm) {
            dtb::LEVEL_HIGH
        } else {
            dtb::EDGE_RISING
        },
        bootargs: format!(
            // Without times, by which our own kernel's messages are known.
            "console=ttyS0 earlycon=uart8250,mmio,{:#x} printk.time=0 panic=-1 \
             kunit.enable=0 aia.run={} {}",
            devices::UART,
            wanted.tests.join(","),
            wanted.args
        ),
        initrd: RAM_BASE + INITRD..RAM_BASE + INITRD + initrd.len() as u64,
    };
    let tree = board.tree(&Host::look()?).context("device tree")?;
    let guest = Guest::with_program(
        kvm,
        cfg,
        &Program {
            ram: RAM,
            parts: &[(KERNEL, &kernel), (TREE, &tree), (INITRD, &initrd)],
            pc: RAM_BASE + KERNEL,
            arg: RAM_BASE + TREE,
        },
    )?;

    disk::blank()?;
    let lines = Lines::new(kvm, &guest, output, None)?;

    lines.plug(&guest)?;
    Ok((guest, lines))
}

/// Makes a machine for one that comes from elsewhere, without devices as yet.
pub fn awaiting(kvm: &Kvm, wanted: &Wanted<'_>) -> Result<Guest> {
    Guest::awaiting(kvm, wanted.config(), wanted.mode, RAM)
}
