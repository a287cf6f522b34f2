// SPDX-License-Identifier: GPL-2.0

//! Runs the program of `guest/trace` as a KVM guest, in each mode, and prints what
//! it writes as comments "MODE: ...". The harness boots the same image on QEMU,
//! and compares.

mod uart;

use std::{
    process::ExitCode,
    sync::{
        atomic::{
            AtomicBool,
            Ordering, //
        },
        mpsc::{
            channel,
            sync_channel,
            Receiver,
            RecvTimeoutError,
            Sender, //
        },
        Arc, //
    },
    time::{
        Duration,
        Instant, //
    },
};
use uart::{
    Uart,
    Wire, //
};
use vmm::{
    abi::{
        RAM_BASE,
        RAM_SIZE, //
    },
    diag,
    ensure,
    suite,
    Config,
    End,
    Error,
    Guest,
    Machine,
    Mode,
    Need::{
        Files,
        Nothing, //
    },
    Program,
    Result,
    Test, //
};

/// The program, see build.rs.
static IMAGE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/trace.bin"));
/// Its offset in RAM: what lies below is the firmware's elsewhere.
const OFFSET: u64 = 0x20_0000;

const VCPUS: usize = 2;
/// As QEMU's machine has them.
const IDS: u32 = 255;
const SOURCES: u32 = 96;
const UART_SOURCE: u32 = 10;

/// The last scenario.
const LAST: &str = "trace: end";

/// How long the guest may take: the machine may be emulated on a busy host.
const LIMIT: Duration = Duration::from_secs(300);

/// Moves the UART's wire until the program ends.
fn serve(guest: &mut Guest, levels: &Receiver<bool>, moved: &Sender<()>) -> Result<End> {
    let begin = Instant::now();

    while begin.elapsed() < LIMIT {
        match levels.recv_timeout(Duration::from_millis(20)) {
            Ok(level) => {
                guest.irq_line(UART_SOURCE, level)?;
                moved
                    .send(())
                    .map_err(|_| Error::new("the UART has gone"))?;
            }
            Err(RecvTimeoutError::Timeout) if guest.ended(0) => return guest.wait_end(0),
            Err(RecvTimeoutError::Timeout) => (),
            Err(RecvTimeoutError::Disconnected) => return Err(Error::new("the UART has gone")),
        }
        if guest.ended(1) {
            let end = guest.wait_end(1)?;

            return Err(Error::new(format!("vCPU 1: {end:?}")));
        }
    }
    Err(Error::new(format!("not within {} s", LIMIT.as_secs())))
}

fn run(m: &Machine, mode: Mode) -> Result<()> {
    let mut guest = Guest::with_program(
        m.kvm(),
        Config {
            ids: Some(IDS),
            sources: SOURCES,
            lenient: true,
            ..Config::new(VCPUS, mode)
        },
        &Program {
            ram: RAM_SIZE,
            parts: &[(OFFSET, IMAGE)],
            pc: RAM_BASE + OFFSET,
            arg: 0,
        },
    )?;
    let complete = Arc::new(AtomicBool::new(false));
    let seen = complete.clone();
    let (level, levels) = sync_channel(0);
    let (moved, moves) = channel();

    guest.plug(Uart::new(
        Wire {
            level,
            moved: moves,
        },
        move |line| {
            diag(format!("{mode}: {line}"));
            seen.fetch_or(line == LAST, Ordering::Relaxed);
        },
    ))?;
    for vcpu in 0..VCPUS {
        guest.start(vcpu, &[m.cpu(vcpu)])?;
    }
    let end = serve(&mut guest, &levels, &moved)?;

    ensure(
        end == End::SystemEvent(kvm_bindings::KVM_SYSTEM_EVENT_SHUTDOWN),
        || format!("vCPU 0: {end:?}"),
    )?;
    ensure(complete.load(Ordering::Relaxed), || {
        "the program gave up".into()
    })
}

const TESTS: &[Test] = &[
    ("the program runs in mode emul", Nothing, |m| {
        run(m, Mode::Emul)
    }),
    ("the program runs in mode hwaccel", Files(1), |m| {
        run(m, Mode::Hwaccel)
    }),
    ("the program runs in mode auto", Files(1), |m| {
        run(m, Mode::Auto)
    }),
];

fn main() -> ExitCode {
    suite::run(TESTS)
}
