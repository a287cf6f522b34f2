// SPDX-License-Identifier: GPL-2.0

//! Wires by irqfd that stay high until the guest has handled the interrupt
//! (`KVM_IRQFD_FLAG_RESAMPLE`), which it shows in one of the ways of AIA 4.9.2.

use crate::domain::{
    to,
    Domain, //
};
use kvm_bindings::KVM_DEV_RISCV_AIA_CONFIG_SRCS;
use kvm_ioctls::Cap;
use std::{
    sync::atomic::{
        AtomicBool,
        Ordering::Relaxed, //
    },
    thread,
};
use vmm::{
    ensure,
    regs::aplic::*,
    same,
    Config,
    Context,
    Guest,
    Machine,
    Mode,
    Result, //
};
use vmm_sys_util::eventfd::EventFd;

const S: u32 = 35;
const ID: u32 = 77;
const ROUNDS: u32 = 20;

/// A device: its interrupt, and what asks it whether it still needs one.
struct Device {
    source: u32,
    raise: EventFd,
    asked: EventFd,
}

impl Device {
    fn new(d: &Domain, source: u32) -> Result<Self> {
        let [raise, asked] = d.guest().resampled_irqfd(source, libc::EFD_NONBLOCK)?;

        Ok(Self {
            source,
            raise,
            asked,
        })
    }

    fn raise(&self) -> Result<()> {
        self.raise.write(1).context("eventfd")
    }

    /// How often it was asked since this was called.
    fn asked(&self, times: u64, when: &str) -> Result<()> {
        same(self.asked.read().unwrap_or(0), times, || {
            format!("questions to source {} {when}", self.source)
        })
    }

    fn remove(self, d: &Domain) -> Result<()> {
        d.guest().remove_irqfd(&self.raise, self.source)
    }
}

fn domain(m: &Machine, mode: Mode) -> Result<Domain> {
    let d = Domain::new(m, mode, 1, 40)?;

    d.source(S, sm::LEVEL1, to(0, ID))?;
    d.deliver(true)?;
    Ok(d)
}

/// A machine can do it if its APLIC is in the kernel; others refuse such an irqfd, so that a VMM that
/// has asked nobody, or the system, does it on its own. But it is taken if user space has said that there
/// are no sources: crosvm has one for each PCI device all the same.
///
/// If it has not said so, and there are none after INIT, no irqfd is taken for a wire: QEMU with
/// kernel-irqchip=split asks for one without the flag, for INTx of a device of VFIO, and would wait for ever.
pub(crate) fn capability(m: &Machine) -> Result<()> {
    let can = |guest: &Guest, wanted: bool, taken: bool, wires: bool, what: &str| {
        same(guest.can(Cap::IrqfdResample), wanted, || {
            format!("KVM_CAP_IRQFD_RESAMPLE of a machine {what}")
        })?;
        same(
            guest.resampled_irqfd(1, libc::EFD_NONBLOCK).is_ok(),
            taken,
            || format!("an irqfd with KVM_IRQFD_FLAG_RESAMPLE of a machine {what}"),
        )?;
        same(guest.irqfd(1).is_ok(), wires, || {
            format!("an irqfd of a machine {what}")
        })
    };
    let with = |sources| Config {
        sources,
        ..Config::new(1, Mode::Emul)
    };
    let without = Config {
        device: false,
        ..with(0)
    };

    ensure(m.kvm().check_extension(Cap::IrqfdResample), || {
        "no KVM_CAP_IRQFD_RESAMPLE of the system".into()
    })?;
    can(
        &Guest::bare(m.kvm(), without)?,
        false,
        false,
        true,
        "without the AIA",
    )?;
    for (sources, told, wanted) in [(0, false, false), (0, true, false), (40, true, true)] {
        let guest = Guest::bare(m.kvm(), with(sources))?;
        let what = format!("with {sources} sources, of which it was told: {told}");

        if told {
            guest
                .aia()
                .set_config(KVM_DEV_RISCV_AIA_CONFIG_SRCS, sources)
                .context("SRCS")?;
        }
        can(&guest, wanted, told, true, &format!("{what}, before INIT"))?;
        guest.ready()?;
        // As QEMU does, also with an APLIC of its own; and a message.
        guest.route_wires(40, &[(guest.config().imsic_page(0), ID)])?;
        can(&guest, wanted, told, told, &what)?;
        guest.irqfd(41).context("an irqfd of a message").map(drop)?;
    }
    Ok(())
}

/// As many MSIs as the device has raised its wire, which falls each time.
fn handled(m: &Machine, mode: Mode, way: impl Fn(&Domain) -> Result<()>) -> Result<()> {
    let d = domain(m, mode)?;
    let device = Device::new(&d, S)?;

    for n in 1..=ROUNDS {
        device.raise()?;
        d.comes(0, &[ID], &format!("by event {n}"))?;
        device.asked(0, "before the guest is through")?;
        way(&d)?;
        device.asked(1, "when the guest is through")?;
        d.came(0, &[], "when nothing is high any more")?;
    }
    d.input(S, false, "at the end")?;
    device.asked(0, "for a low input")
}

pub(crate) fn by_number(m: &Machine, mode: Mode) -> Result<()> {
    handled(m, mode, |d| d.write(SETIPNUM, S))
}

pub(crate) fn by_number_le(m: &Machine) -> Result<()> {
    handled(m, Mode::Emul, |d| d.write(SETIPNUM_LE, S))
}

pub(crate) fn by_number_be(m: &Machine) -> Result<()> {
    handled(m, Mode::Emul, |d| d.write(SETIPNUM_BE, S.swap_bytes()))
}

pub(crate) fn by_word(m: &Machine) -> Result<()> {
    handled(m, Mode::Emul, |d| {
        d.write(SETIP + 4 * (S / 32), 1 << (S % 32))
    })
}

/// Whoever polls the input sees it fall.
pub(crate) fn by_input(m: &Machine) -> Result<()> {
    handled(m, Mode::Emul, |d| d.input(S, false, "when polled"))
}

/// Nobody is asked by what says nothing of the source: other sources and
/// registers, and user space's own accesses.
pub(crate) fn unhandled(m: &Machine) -> Result<()> {
    const EDGE: u32 = 36;
    const LOW: u32 = 37;
    let d = domain(m, Mode::Emul)?;
    let devices = [S, EDGE, LOW].map(|source| Device::new(&d, source));
    let [device, edge, low] = devices;
    let (device, edge, low) = (device?, edge?, low?);

    d.source(EDGE, sm::EDGE1, to(0, 78))?;
    d.source(LOW, sm::LEVEL1, to(0, 79))?;
    device.raise()?;
    d.comes(0, &[ID], "by the event")?;
    edge.raise()?;
    d.comes(0, &[78], "by the edge")?;

    for source in [EDGE, LOW, S - 1, S + 32, 0] {
        d.write(SETIPNUM, source)?;
    }
    // Software made it pending.
    d.came(0, &[78], "by setipnum")?;
    for (offset, value) in [
        (SETIP + 4 * (S / 32), !(1 << (S % 32))),
        (SETIP, !0),
        (IN_CLRIP + 4 * (S / 32), !0),
        (CLRIPNUM, S),
        (CLRIENUM, S),
        (SETIENUM, S),
        (TARGET + 4 * S, to(0, ID)),
    ] {
        d.write(offset, value)?;
    }
    d.read(SETIP + 4 * (S / 32))?;
    d.read(IN_CLRIP)?;
    let aia = d.guest().aia();
    aia.aplic(IN_CLRIP + 4 * (S / 32)).context("IN_CLRIP")?;
    aia.set_aplic(SETIPNUM, S).context("SETIPNUM")?;

    device.asked(0, "by all that")?;
    edge.asked(0, "ever")?;
    low.asked(0, "ever")?;
    d.write(SETIPNUM, S)?;
    device.asked(1, "in the end")
}

/// How a guest masks an interrupt while a thread handles it, and unmasks it again.
#[derive(Clone, Copy)]
enum Mask {
    Number,
    Word,
    Domain,
}

impl Mask {
    fn mask(self, d: &Domain) -> Result<()> {
        match self {
            Self::Number => d.write(CLRIENUM, S),
            Self::Word => d.write(CLRIE + 4 * (S / 32), 1 << (S % 32)),
            Self::Domain => d.deliver(false),
        }
    }

    fn unmask(self, d: &Domain) -> Result<()> {
        match self {
            Self::Number => d.write(SETIENUM, S),
            Self::Word => d.write(SETIE + 4 * (S / 32), 1 << (S % 32)),
            Self::Domain => d.deliver(true),
        }
    }
}

/// An interrupt that is masked, ended, and only then handled, as Linux does it for a handler in a
/// thread (IRQF_ONESHOT): between the end and the handling, the device needs an interrupt. When it is
/// unmasked it may not need it any more; or it does.
///
/// KVM's I/O APIC asks when a source is unmasked, too (fef8f2b90edb).
pub(crate) fn masked(m: &Machine, mode: Mode) -> Result<()> {
    let d = domain(m, mode)?;
    let device = Device::new(&d, S)?;

    for mask in [Mask::Number, Mask::Word, Mask::Domain] {
        for n in 1..=ROUNDS {
            let still = n % 4 == 0;

            device.raise()?;
            d.comes(0, &[ID], &format!("by event {n}"))?;
            mask.mask(&d)?;
            d.write(SETIPNUM_LE, S)?;
            device.asked(1, "at the end of the interrupt")?;
            // Not handled yet.
            device.raise()?;
            d.guest().until(
                |_| d.pending(S, true, "").is_ok(),
                || "the level while it is masked".into(),
            )?;
            d.came(0, &[], "while it is masked")?;

            mask.unmask(&d)?;
            device.asked(1, "when it is unmasked")?;
            d.pending(S, false, "when it is unmasked")?;
            d.came(0, &[], "when it is unmasked, and handled")?;
            if still {
                device.raise()?;
                d.comes(0, &[ID], "when it is unmasked, and not handled")?;
                d.write(SETIPNUM_LE, S)?;
                device.asked(1, "at the end of the second interrupt")?;
            }
            d.came(0, &[], "when all is done")?;
        }
    }
    device.asked(0, "at the end")
}

/// Where nobody can be asked, what is pending comes; and nobody is asked of what is not pending, is
/// no level, or is not masked.
pub(crate) fn masked_others(m: &Machine) -> Result<()> {
    const WIRE: u32 = 36;
    const EDGE: u32 = 37;
    let d = domain(m, Mode::Emul)?;
    let (device, edge) = (Device::new(&d, S)?, Device::new(&d, EDGE)?);

    d.source(WIRE, sm::LEVEL1, to(0, 78))?;
    d.source(EDGE, sm::EDGE1, to(0, 79))?;
    // A wire of KVM_IRQ_LINE is what it is.
    d.write(CLRIENUM, WIRE)?;
    d.wire(WIRE, true)?;
    d.pending(WIRE, true, "by its wire")?;
    d.write(SETIENUM, WIRE)?;
    d.came(0, &[78], "when it is unmasked")?;

    d.write(CLRIENUM, EDGE)?;
    edge.raise()?;
    d.guest().until(
        |_| d.pending(EDGE, true, "").is_ok(),
        || "the edge while it is masked".into(),
    )?;
    d.write(SETIENUM, EDGE)?;
    d.came(0, &[79], "when it is unmasked")?;
    edge.asked(0, "ever")?;

    // Sent already, and not handled.
    device.raise()?;
    d.comes(0, &[ID], "by the event")?;
    d.write(CLRIENUM, S)?;
    d.write(SETIENUM, S)?;
    d.deliver(true)?;
    d.came(0, &[], "when it is unmasked unhandled")?;
    device.asked(0, "for all that")?;
    d.write(SETIPNUM, S)?;
    device.asked(1, "in the end")
}

/// All devices of a wire are asked; it falls with the last one that goes.
pub(crate) fn shared(m: &Machine) -> Result<()> {
    let d = domain(m, Mode::Emul)?;
    let (one, two) = (Device::new(&d, S)?, Device::new(&d, S)?);

    one.raise()?;
    d.comes(0, &[ID], "by the first device")?;
    d.write(SETIPNUM, S)?;
    one.asked(1, "when the guest is through")?;
    two.asked(1, "when the guest is through")?;

    // Only the second one still has something.
    two.raise()?;
    d.comes(0, &[ID], "by the second device")?;
    two.remove(&d)?;
    d.write(SETIPNUM, S)?;
    d.came(0, &[], "when the second device is gone")?;
    one.asked(1, "when the second device is gone")?;

    one.raise()?;
    d.comes(0, &[ID], "by the first device again")?;
    one.remove(&d)?;
    d.input(S, false, "when all devices are gone")
}

/// A device of user space, which says itself what the wire is, and one that is asked share it: neither of
/// them changes what the other one has.
pub(crate) fn beside(m: &Machine) -> Result<()> {
    let d = domain(m, Mode::Emul)?;
    let device = Device::new(&d, S)?;

    for n in 1..=ROUNDS {
        device.raise()?;
        d.comes(0, &[ID], &format!("by event {n}"))?;
        d.wire(S, true)?;
        d.wire(S, false)?;
        device.asked(0, "when user space's device is through")?;
        d.write(SETIPNUM, S)?;
        device.asked(1, "when the guest is through with both")?;
        d.came(0, &[], "when nothing is high any more")?;

        device.raise()?;
        d.comes(0, &[ID], &format!("by another event in round {n}"))?;
        d.wire(S, true)?;
        d.write(SETIPNUM, S)?;
        device.asked(1, "when the guest is through with one")?;
        d.comes(
            0,
            &[ID],
            "by user space's device, which the guest has not looked at",
        )?;
        d.wire(S, false)?;
        d.write(SETIPNUM, S)?;
        d.came(0, &[], "when the guest is through with the other one")?;
    }
    device.raise()?;
    d.comes(0, &[ID], "by the last event")?;
    d.wire(S, true)?;
    device.remove(&d)?;
    d.input(S, true, "when the other device is gone")
}

/// Devices come and go while the guest says that it is through.
pub(crate) fn removed(m: &Machine) -> Result<()> {
    let d = domain(m, Mode::Emul)?;
    let through = AtomicBool::new(false);

    thread::scope(|s| {
        let guest = s.spawn(|| -> Result<()> {
            while !through.load(Relaxed) {
                d.write(SETIPNUM, S)?;
            }
            Ok(())
        });
        let devices = (0..100).try_for_each(|_| {
            let device = Device::new(&d, S)?;

            device.raise()?;
            device.remove(&d)
        });

        through.store(true, Relaxed);
        guest.join().expect("the guest's thread")?;
        devices
    })?;
    d.input(S, false, "when all devices are gone")
}
