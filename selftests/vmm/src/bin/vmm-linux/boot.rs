// SPDX-License-Identifier: GPL-2.0

//! A machine that is about to boot Linux.

use crate::{
    console::Console,
    devices::{
        self,
        Devices,
        Wire, //
    },
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
    sync::Arc, //
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

pub const VCPUS: usize = 2;
/// Test programs that the guest runs.
pub const TESTS: [&str; 3] = ["topology", "trigger", "ids"];

/// The UART's line, of whichever machine has it.
pub struct Line {
    raise: EventFd,
    /// None with C, which has no way to tell that the guest has handled a level.
    handled: Option<EventFd>,
    wire: Wire,
}

impl Line {
    /// Takes it from a machine whose vCPUs do not run.
    pub fn unplug(&self, guest: &Guest) -> Result<()> {
        guest.remove_irqfd(&self.raise, devices::UART_SOURCE)
    }

    /// Gives it to another one.
    pub fn plug(&self, guest: &Guest) -> Result<()> {
        match &self.handled {
            Some(handled) => {
                guest.attach_resampled(&self.raise, handled, devices::UART_SOURCE)?;
            }
            None => guest.attach_irqfd(&self.raise, devices::UART_SOURCE)?,
        }
        self.wire.catch_up();
        Ok(())
    }
}

/// Makes the machine, with so many identities, in this mode; its kernel gets `args`, too.
pub fn machine(
    kvm: &Kvm,
    console: &Arc<Console>,
    ids: u32,
    mode: Mode,
    args: &str,
) -> Result<(Guest, Line)> {
    let kernel = fs::read("/guest/Image").context("/guest/Image")?;
    let initrd = fs::read("/guest/initramfs.cpio").context("/guest/initramfs.cpio")?;
    let mut cfg = Config::new(VCPUS, mode);

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
            TESTS.join(",")
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
    let raise = EventFd::new(libc::EFD_NONBLOCK).context("eventfd")?;
    let clone = |event: &EventFd| event.try_clone().context("eventfd");
    let devices = Devices::new(
        clone(&raise)?,
        handled.as_ref().map(clone).transpose()?,
        console.clone(),
    );
    let line = Line {
        raise,
        handled,
        wire: devices.wire(),
    };

    guest.plug(devices)?;
    line.plug(&guest)?;
    Ok((guest, line))
}
