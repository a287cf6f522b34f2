// SPDX-License-Identifier: GPL-2.0

//! A machine that is about to boot Linux.

use crate::{
    console::Console,
    devices::{
        self,
        Devices, //
    },
    disk::Disk,
    dtb::{
        self,
        Board,
        Host, //
    }, //
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

/// What the guest shall be like.
#[derive(Debug)]
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

/// The lines of the UART and the disk, of whichever machine has them.
pub struct Lines {
    uart: EventFd,
    /// None with C, which has no way to tell that the guest has handled a level.
    handled: Option<EventFd>,
    disk: EventFd,
    devices: Devices,
    /// Requests that the disk has done.
    pub requests: Arc<AtomicU64>,
}

impl Lines {
    /// Takes them from a machine whose vCPUs do not run.
    pub fn unplug(&self, guest: &Guest) -> Result<()> {
        guest.remove_irqfd(&self.disk, devices::DISK_SOURCE)?;
        guest.remove_irqfd(&self.uart, devices::UART_SOURCE)
    }

    /// Gives them, and the devices, to another one.
    pub fn plug(&self, guest: &Guest) -> Result<()> {
        match &self.handled {
            Some(handled) => {
                guest.attach_resampled(&self.uart, handled, devices::UART_SOURCE)?;
            }
            None => guest.attach_irqfd(&self.uart, devices::UART_SOURCE)?,
        }
        guest.attach_irqfd(&self.disk, devices::DISK_SOURCE)?;
        self.devices.attach(guest.ram());
        Ok(())
    }
}

/// Makes the machine.
pub fn machine(kvm: &Kvm, console: &Arc<Console>, wanted: &Wanted<'_>) -> Result<(Guest, Lines)> {
    let Wanted {
        vcpus,
        mode,
        ids,
        tests,
        args,
    } = *wanted;
    let kernel = fs::read("/guest/Image").context("/guest/Image")?;
    let initrd = fs::read("/guest/initramfs.cpio").context("/guest/initramfs.cpio")?;
    let mut cfg = Config::new(vcpus, mode);

    cfg.ids = Some(ids);
    cfg.sources = 32;
    let levels = kvm.check_extension(Cap::IrqfdResample);
    let board = Board {
        cfg: &cfg,
        ids,
        ram: RAM,
        uart: if levels {
            dtb::LEVEL_HIGH
        } else {
            dtb::EDGE_RISING
        },
        bootargs: format!(
            // Without times, by which our own kernel's messages are known.
            "console=ttyS0 earlycon=uart8250,mmio,{:#x} printk.time=0 panic=-1 \
             kunit.enable=0 aia.run={} {args}",
            devices::UART,
            tests.join(",")
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
    let handled = levels
        .then(|| EventFd::new(0).context("eventfd"))
        .transpose()?;
    let event = || EventFd::new(libc::EFD_NONBLOCK).context("eventfd");
    let clone = |event: &EventFd| event.try_clone().context("eventfd");
    let (uart, disk) = (event()?, event()?);
    let requests = Arc::new(AtomicU64::new(0));
    let devices = Devices::new(
        clone(&uart)?,
        handled.as_ref().map(clone).transpose()?,
        console.clone(),
        Disk::new(clone(&disk)?, requests.clone())?,
    );
    let lines = Lines {
        uart,
        handled,
        disk,
        devices: devices.clone(),
        requests,
    };

    guest.plug(devices)?;
    lines.plug(&guest)?;
    Ok((guest, lines))
}
