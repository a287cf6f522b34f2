// SPDX-License-Identifier: GPL-2.0

//! Boots Linux as a guest with the 2047 interrupt identities that the AIA allows,
//! which QEMU cannot give a machine (a33d16dc874a: no guest had more than 63). With
//! `vmm_migrations=N` one with 255 instead, which goes on in a machine of another process, in
//! another mode, N times while it works. With `vmm_bench=N` guests with N vCPUs, for `make bench`.
//!
//! The guest is /guest/Image with the initramfs /guest/initramfs.cpio, which runs
//! test programs of its own. This one copies its console, and judges it.

mod bench;
mod boot;
mod console;
mod devices;
mod disk;
mod dtb;
mod moves;
mod msix;
mod pci;
mod process;
mod work;

use boot::Wanted;
use console::{
    Console,
    Writer, //
};
use ktap::Tap;
use kvm_bindings::KVM_SYSTEM_EVENT_SHUTDOWN;
use kvm_ioctls::Kvm;
use std::{
    process::ExitCode,
    sync::Arc,
    thread::sleep,
    time::{
        Duration,
        Instant, //
    },
};
use vmm::{
    ensure,
    suite,
    End,
    Error,
    Guest,
    Mode,
    Result, //
};

/// Largest identity of the interrupt files of a guest that does not move.
const IDS: u32 = 2047;

const VCPUS: usize = 2;
/// Test programs that the guest runs.
const TESTS: [&str; 4] = ["disk", "topology", "trigger", "ids"];

/// How long the guest may take, which is emulated on a machine that is emulated.
const LIMIT: Duration = Duration::from_secs(700);

fn start(guest: &mut Guest) -> Result<()> {
    (0..guest.config().vcpus).try_for_each(|vcpu| guest.start(vcpu, &[]))
}

/// Whether the guest has switched itself off. Fails if one of its vCPUs ended otherwise.
fn finished(guest: &mut Guest) -> Result<bool> {
    match (0..guest.config().vcpus).find(|&v| guest.ended(v)) {
        None => Ok(false),
        Some(vcpu) => match guest.wait_end(vcpu)? {
            End::SystemEvent(KVM_SYSTEM_EVENT_SHUTDOWN) => Ok(true),
            end => Err(Error::new(format!("vCPU {vcpu}: {end:?}"))),
        },
    }
}

/// Runs the guest until it switches itself off.
fn run(guest: &mut Guest) -> Result<()> {
    let begin = Instant::now();

    while begin.elapsed() < LIMIT {
        if finished(guest)? {
            return Ok(());
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
    if let Some(orders) = process::orders() {
        return match work::work(&orders) {
            Ok(()) => ExitCode::SUCCESS,
            // Nobody listens any more.
            Err(_) => ExitCode::FAILURE,
        };
    }
    let kvm = Kvm::new().map_err(|e| format!("/dev/kvm: {e}"));
    let told = || Ok::<_, Error>((suite::told("vmm_migrations")?, suite::told("vmm_bench")?));
    let (kvm, (moves, vcpus)) =
        match kvm.and_then(|kvm| Ok((kvm, told().map_err(|e| e.to_string())?))) {
            Ok(both) => both,
            Err(e) => Tap::new(1).bail_out(e),
        };

    match vcpus {
        Some(vcpus) => bench::run_all(&kvm, vcpus as usize),
        None => test(&kvm, moves),
    }
}

/// Boots a guest that stays in its machine, and waits until it switches itself off.
fn stay(kvm: &Kvm, console: &Arc<Console>) -> Result<()> {
    let wanted = Wanted {
        vcpus: VCPUS,
        mode: Mode::Emul,
        ids: IDS,
        tests: &TESTS,
        args: "",
    };
    let output = Box::new(Writer::new(console.clone()));
    let (mut guest, _lines) = boot::machine(kvm, output, &wanted)?;

    start(&mut guest)?;
    run(&mut guest)
}

/// Boots a guest, which moves so many times, if it does.
fn test(kvm: &Kvm, moves: Option<u32>) -> ExitCode {
    let mut tap = Tap::new(3 + TESTS.len());
    let console = Arc::new(Console::default());
    let (ids, begun) = match moves {
        Some(count) => (moves::IDS, moves::go(&console, count)),
        None => (IDS, stay(kvm, &console)),
    };

    tap.check(
        begun,
        match moves {
            Some(count) => format!("the guest boots, moves {count} times, switches itself off"),
            None => "the guest boots, and switches itself off".into(),
        },
    );
    let lines = console.lines();

    tap.check(
        said(&lines, &format!("per-CPU IDs {ids} at base address")),
        format!("its driver sees {ids} identities (a33d16dc874a)"),
    );
    // One driver keeps the IPIs', another one also that by which it tells what has arrived.
    let available = [1, 2]
        .map(|kept| VCPUS as u32 * (ids - kept))
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
