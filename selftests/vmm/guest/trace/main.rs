// SPDX-License-Identifier: GPL-2.0

//! A program for two harts that uses an APLIC and an IMSIC in every way it can,
//! and writes what came of each access, line by line, to a UART.
//!
//! It runs in S-mode without translation, in the same way on a machine as QEMU's
//! "virt" with `aia=aplic-imsic`, where the firmware starts it, and in a KVM guest
//! of the same layout: the lines can be compared.
//!
//! Hart 0 works; hart 1 only takes interrupts.

#![no_std]
#![no_main]

#[path = "../abi.rs"]
#[allow(dead_code, reason = "the programs that take commands use the rest")]
mod abi;
mod accesses;
mod aplic;
mod forward;
#[path = "../hart.rs"]
mod hart;
mod imsic;
mod interrupts;
mod output;
#[path = "../probe.rs"]
mod probe;
#[path = "../../src/regs.rs"]
#[allow(dead_code, reason = "the VMM uses the rest")]
mod regs;
mod uart;
mod wire;

use accesses::APLIC;
use core::{
    arch::{
        asm,
        global_asm, //
    },
    sync::atomic::{
        AtomicBool,
        Ordering, //
    },
};
use hart::sbi;
use output::Trace;

const HARTS: u64 = 2;

const SBI_HSM: u64 = 0x48_534d;
const SBI_HSM_START: u64 = 0;
const SBI_SRST: u64 = 0x5352_5354;
const SBI_SRST_RESET: u64 = 0;
const SBI_SRST_SHUTDOWN: u64 = 0;

global_asm!(
    // Entered with a0 = hart id, by the firmware or by SBI HSM.
    ".pushsection .text.start, \"ax\"",
    ".globl _start",
    "_start:",
    "csrw sie, zero",             // nothing interrupts before it is asked for
    "csrci sstatus, 2",           // sstatus.SIE = 0
    "lla t0, trap_entry",         // direct mode: the low bits of the address are 0
    "csrw stvec, t0",
    "lla sp, stacks",             // sp = end of the stack of this hart
    "addi t0, a0, 1",
    "slli t0, t0, {shift}",
    "add sp, sp, t0",
    "call hart_main",             // does not return
    "1: j 1b",
    ".popsection",
    ".pushsection .bss.stacks, \"aw\", @nobits",
    ".balign 16",
    "stacks: .skip {harts} << {shift}",
    ".popsection",
    shift = const 15,
    harts = const HARTS,
);

extern "C" {
    fn _start();
}

/// Starts the other hart, if this is the one that the firmware chose.
fn start_other(hart: u64) {
    static STARTED: AtomicBool = AtomicBool::new(false);

    if !STARTED.swap(true, Ordering::Relaxed) {
        let entry = _start as *const () as u64;

        sbi(&[SBI_HSM, SBI_HSM_START, 1 - hart, entry, 0, 0]);
    }
}

/// Switches the machine off.
fn shut_down() -> ! {
    sbi(&[SBI_SRST, SBI_SRST_RESET, SBI_SRST_SHUTDOWN, 0, 0, 0]);
    idle()
}

/// Takes interrupts, if they are on, for ever.
fn idle() -> ! {
    loop {
        // SAFETY: Only waits.
        unsafe { asm!("wfi", options(nostack)) };
    }
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    uart::die(
        "panic in line",
        &[info.location().map_or(0, |l| l.line()).into()],
    )
}

#[no_mangle]
extern "C" fn hart_main(hart: u64) -> ! {
    if hart >= HARTS {
        idle();
    }
    interrupts::init(hart);
    start_other(hart);
    if hart != 0 {
        imsic::init();
        interrupts::ready();
        idle();
    }
    let mut trace = Trace::new();
    let t = &mut trace;

    uart::init();
    interrupts::wait_for_other();
    t.scenario("start");
    aplic::all(t);
    imsic::all(t);
    forward::all(t);
    wire::all(t);
    t.scenario("end");
    t.load(&APLIC, 0);
    shut_down()
}
