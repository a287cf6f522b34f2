// SPDX-License-Identifier: GPL-2.0

//! Boots Linux as a guest with the 2047 interrupt identities that the AIA allows,
//! which QEMU cannot give a machine (a33d16dc874a: no guest had more than 63).
//!
//! The guest is /guest/Image with the initramfs /guest/initramfs.cpio, which runs
//! test programs of its own. This one copies its console, and judges it.

mod console;
mod devices;
mod dtb;

use console::Console;
use devices::Devices;
use dtb::{
    Board,
    Host, //
};
use ktap::Tap;
use kvm_bindings::KVM_SYSTEM_EVENT_SHUTDOWN;
use kvm_ioctls::{
    Cap,
    Kvm, //
};
use std::{
    fs,
    process::ExitCode,
    sync::Arc,
    thread::sleep,
    time::{
        Duration,
        Instant, //
    },
};
use vmm::{
    abi::RAM_BASE,
    ensure,
    Config,
    Context,
    End,
    Error,
    Guest,
    Mode,
    Program,
    Result, //
};

/// Largest identity of the guest's interrupt files.
const IDS: u32 = 2047;
const VCPUS: usize = 2;
/// Test programs that the guest runs.
const TESTS: [&str; 3] = ["topology", "trigger", "ids"];

const MIB: u64 = 1 << 20;
const RAM: u64 = 256 * MIB;
/// Offsets in RAM. Linux wants to be aligned to 2 MiB, and its first 2 MiB may be
/// the firmware's.
const KERNEL: u64 = 2 * MIB;
const TREE: u64 = 120 * MIB;
const INITRD: u64 = 128 * MIB;

/// How long the guest may take, which is emulated on a machine that is emulated.
const LIMIT: Duration = Duration::from_secs(700);

fn start(kvm: &Kvm, console: &Arc<Console>) -> Result<Guest> {
    let kernel = fs::read("/guest/Image").context("/guest/Image")?;
    let initrd = fs::read("/guest/initramfs.cpio").context("/guest/initramfs.cpio")?;
    let mut cfg = Config::new(VCPUS, Mode::Emul);

    cfg.ids = Some(IDS);
    cfg.sources = 32;
    // The C code has no way to tell that the guest has handled a level.
    let levels = kvm.check_extension(Cap::IrqfdResample);
    let board = Board {
        cfg: &cfg,
        ids: IDS,
        ram: RAM,
        uart: if levels {
            dtb::LEVEL_HIGH
        } else {
            dtb::EDGE_RISING
        },
        bootargs: format!(
            // Without times, by which our own kernel's messages are known.
            "console=ttyS0 earlycon=uart8250,mmio,{:#x} printk.time=0 panic=-1 \
             kunit.enable=0 aia.run={}",
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
    let (raise, handled) = if levels {
        let [raise, handled] = guest.resampled_irqfd(devices::UART_SOURCE, 0)?;

        (raise, Some(handled))
    } else {
        (guest.irqfd(devices::UART_SOURCE)?, None)
    };

    guest.plug(Devices::new(raise, handled, console.clone()))?;
    Ok(guest)
}

/// Runs the guest until one of its vCPUs ends.
fn run(guest: &mut Guest) -> Result<()> {
    let begin = Instant::now();

    for vcpu in 0..VCPUS {
        guest.start(vcpu, &[])?;
    }
    while begin.elapsed() < LIMIT {
        if let Some(vcpu) = (0..VCPUS).find(|&v| guest.ended(v)) {
            return match guest.wait_end(vcpu)? {
                End::SystemEvent(KVM_SYSTEM_EVENT_SHUTDOWN) => Ok(()),
                end => Err(Error::new(format!("vCPU {vcpu}: {end:?}"))),
            };
        }
        sleep(Duration::from_millis(50));
    }
    Err(Error::new(format!("not within {} s", LIMIT.as_secs())))
}

fn said(lines: &[String], words: &str) -> Result<()> {
    ensure(lines.iter().any(|l| l.contains(words)), || {
        format!("the guest did not say {words:?}")
    })
}

/// The test ended well, and by its totals something passed.
fn passed(lines: &[String], test: &str) -> Result<()> {
    let begin = format!("# selftest {test}: start");
    let end = format!("# selftest {test}: exit ");
    let mut own = lines.iter().skip_while(|l| !l.contains(&begin));
    let mut some = false;

    let code = own.find_map(|l| {
        some |= l.contains("# Totals: pass:")
            && !l.contains("# Totals: pass:0 ")
            && l.contains(" fail:0 ");
        l.split_once(&end).map(|(_, code)| code)
    });

    ensure(code == Some("0"), || format!("exit code {code:?}"))?;
    ensure(some, || "no totals without a failure".into())
}

fn main() -> ExitCode {
    let mut tap = Tap::new(3 + TESTS.len());
    let kvm = match Kvm::new() {
        Ok(kvm) => kvm,
        Err(e) => tap.bail_out(format!("/dev/kvm: {e}")),
    };
    let console = Arc::new(Console::default());
    let mut guest = match start(&kvm, &console) {
        Ok(guest) => guest,
        Err(e) => tap.bail_out(e),
    };

    tap.check(run(&mut guest), "the guest boots, and switches itself off");
    drop(guest);
    let lines = console.lines();

    tap.check(
        said(&lines, &format!("per-CPU IDs {IDS} at base address")),
        format!("its driver sees {IDS} identities (a33d16dc874a)"),
    );
    // One driver keeps the IPIs', another one also that by which it tells what has arrived.
    let available = [1, 2]
        .map(|kept| VCPUS as u32 * (IDS - kept))
        .map(|total| said(&lines, &format!("total {total} interrupts available")));

    tap.check(
        available
            .into_iter()
            .find(Result::is_ok)
            .unwrap_or_else(|| {
                Err(String::from("not as many interrupts as there are identities").into())
            }),
        "all of each vCPU but those of the driver are available",
    );
    for test in TESTS {
        tap.check(passed(&lines, test), format!("its test passes: {test}"));
    }
    tap.finish()
}
