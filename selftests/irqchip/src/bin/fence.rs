// SPDX-License-Identifier: GPL-2.0

//! Moves of a line of an APLIC that sends MSIs: the CPU that the line leaves asks the APLIC for an MSI
//! that comes last (AIA 4.9.3), and the move is over at once. If that does not arrive, the move waits
//! for some ticks instead, and the kernel says so.
//!
//! For drivers that ask, and a machine in which nothing that the APLIC sends to the last CPU arrives:
//! see `tools/selftest/fence.py`. Last in its machine: once an APLIC has failed, nobody asks again.

use irqtest::{
    aplic::Aplic,
    cpu,
    device::{
        Device,
        Module,
        Vector, //
    },
    dt,
    ensure,
    irqdebug::Irq,
    kmsg,
    sys,
    Result, //
};
use ktap::Tap;
use std::process::ExitCode;

/// A source without a device.
const LINE: u32 = 40;
const EDGE_RISING: u32 = 1;

const ROUNDS: usize = 30;

const FAILED: &str = "does not send extempore MSIs";

/// Moves the line, by the CPU that it leaves; tells whether the move is in flight then.
fn leave(vec: Vector, from: usize, to: usize) -> Result<bool> {
    sys::pin(&[from])?;
    vec.move_to(from)?;
    vec.affine(to)?;
    Ok(Irq::read(vec.irq)?.moving())
}

/// A line and its device; of the first APLIC, which it is on.
fn line(module: &Module) -> Result<(Aplic, Device)> {
    let aplic = Aplic::first()?;
    let device = module.wired(LINE, EDGE_RISING)?;

    device.vecs[0].request()?;
    Ok((aplic, device))
}

/// The line interrupts, once, wherever it is.
fn works(aplic: &Aplic, vec: Vector) -> Result {
    let before = vec.total()?;

    aplic.pend(LINE);
    vec.expect(before + 1, "after a move")
}

/// Each move is over when it is made, whatever the clock says.
fn asked(module: &Module) -> Result {
    let (aplic, device) = line(module)?;
    let vec = device.vecs[0];
    let cpus = cpu::online();
    let mark = kmsg::Mark::now();

    for round in 0..ROUNDS {
        let waits = leave(vec, cpus[round % 2], cpus[1 - round % 2])?;

        ensure(!waits, || {
            format!("round {round}: the move waits, though the APLIC can be asked")
        })?;
        works(&aplic, vec)?;
    }
    ensure(!mark.said(FAILED)?, || "asked in vain".into())
}

/// The APLIC does not answer: a move waits for ticks, which the host may deliver late, or several at
/// once. Then it is not seen to wait.
fn in_vain(module: &Module, deaf: usize) -> Result {
    let (aplic, device) = line(module)?;
    let vec = device.vecs[0];
    let other = cpu::online()[0];
    let mark = kmsg::Mark::now();
    let mut waited = 0;

    cpu::set_online(deaf, true)?;
    for round in 0..ROUNDS {
        waited += u32::from(leave(vec, deaf, other)?);
        works(&aplic, vec)?;
        ensure(mark.said(FAILED)?, || {
            format!("round {round}: the kernel does not say that the APLIC fails")
        })?;
    }
    some(waited)
}

/// After that, no other CPU asks, or has a proof.
fn not_asked(module: &Module) -> Result {
    let (aplic, device) = line(module)?;
    let vec = device.vecs[0];
    let cpus = cpu::online();
    let mut waited = 0;

    for round in 0..ROUNDS {
        waited += u32::from(leave(vec, cpus[round % 2], cpus[1 - round % 2])?);
        works(&aplic, vec)?;
    }
    some(waited)
}

/// Moves were seen to wait.
fn some(waited: u32) -> Result {
    ktap::diag(format!("{waited} of {ROUNDS} moves were seen to wait"));
    ensure(waited > 0, || {
        "no move waits, though nothing is proven".into()
    })
}

fn main() -> ExitCode {
    if dt::mode() != dt::Mode::Msi {
        return Tap::skip_all("no APLIC that sends MSIs");
    }
    let module = match Module::for_imsic() {
        Ok(module) => module,
        Err(exit) => return exit,
    };

    let (online, possible) = (cpu::online(), cpu::possible());
    let Some(deaf) = possible.into_iter().find(|cpu| !online.contains(cpu)) else {
        return Tap::skip_all("all CPUs are online");
    };

    let mut tap = Tap::new(4);
    let mark = kmsg::Mark::now();

    tap.check(asked(&module), "a move of a line is over when it is made");
    tap.check(
        in_vain(&module, deaf),
        "a move of a line waits for a tick if its APLIC cannot be asked",
    );
    tap.check(
        not_asked(&module),
        "so do those that leave other CPUs, once an APLIC has failed",
    );
    tap.check(mark.quiet(), "no complaint of the kernel");
    tap.finish()
}
