// SPDX-License-Identifier: GPL-2.0

//! Interrupts that the harts take: the handler, and what it leaves behind.

use crate::{
    abi::Mailbox,
    accesses::set_up,
    hart::{
        claim,
        time,
        CAUSE_IRQ,
        IRQ_S_EXT, //
    },
    probe,
    regs::aplic,
    uart,
    HARTS, //
};
use core::{
    arch::asm,
    hint::spin_loop,
    mem::zeroed,
    sync::atomic::{
        AtomicBool,
        AtomicU32,
        AtomicU64,
        Ordering, //
    },
};

/// Identity of the UART's interrupts that the handler serves.
pub(crate) const UART_ID: u32 = 201;
/// Source of the UART.
pub(crate) const UART_SOURCE: u32 = 10;

/// Interrupts that are remembered.
const KEPT: usize = 64;
/// How long what shall come is waited for, in ticks of 100 ns: a machine may be
/// emulated on a busy host.
const PATIENCE: u64 = 200_000_000;
/// How long what shall not come is waited for.
const SETTLE: u64 = 20_000;

// SAFETY: Consists of atomics, for which zero is a value.
static MAILBOXES: [Mailbox; HARTS as usize] = unsafe { zeroed() };
/// Identities in the order in which they were taken; Mailbox::total counts them.
static TAKEN: [[AtomicU32; KEPT]; HARTS as usize] =
    [const { [const { AtomicU32::new(0) }; KEPT] }; HARTS as usize];
/// How many of them have been asked for.
static ASKED: [AtomicU64; HARTS as usize] = [const { AtomicU64::new(0) }; HARTS as usize];
/// stopi of hart 0 at the begin of its last interrupt.
static TOP: AtomicU64 = AtomicU64::new(0);
static READY: AtomicBool = AtomicBool::new(false);
/// What the handler still has to send, and how often it was asked to.
static SENDING: AtomicU64 = AtomicU64::new(0);
static SENDS: AtomicU64 = AtomicU64::new(0);
/// What it sends.
static TEXT: &[u8] = b"- sent by interrupts -> ok\n";

/// The mailbox of a hart, of which probes and the count of interrupts are used.
fn mailbox(hart: u64) -> &'static Mailbox {
    &MAILBOXES[hart as usize]
}

/// That of the hart that asks.
pub(crate) fn own() -> &'static Mailbox {
    let mb: *const Mailbox;

    // SAFETY: Only reads a register.
    unsafe { asm!("csrr {}, sscratch", out(reg) mb, options(nomem, nostack)) };
    // SAFETY: The register has the hart's mailbox since init().
    unsafe { &*mb }
}

/// Lets the handler find the hart's mailbox.
pub(crate) fn init(hart: u64) {
    // SAFETY: Only the handler uses the register.
    unsafe { asm!("csrw sscratch, {}", in(reg) mailbox(hart), options(nostack)) };
}

/// Lets the hart take external interrupts, or not.
pub(crate) fn enable_external(on: bool) {
    // SAFETY: The handler is set.
    unsafe {
        if on {
            asm!("csrs sie, {}", in(reg) 1u64 << IRQ_S_EXT, options(nostack))
        } else {
            asm!("csrc sie, {}", in(reg) 1u64 << IRQ_S_EXT, options(nostack))
        }
    }
}

/// Hart 1 takes interrupts from now on.
pub(crate) fn ready() {
    enable_external(true);
    crate::hart::irq_enable(true);
    READY.store(true, Ordering::Release);
}

/// Waits for that.
pub(crate) fn wait_for_other() {
    let begin = time();

    while !READY.load(Ordering::Acquire) {
        if time() - begin > PATIENCE {
            uart::die("hart 1 did not start", &[]);
        }
        spin_loop();
    }
}

/// Waits until a hart has taken so many interrupts that nobody asked for yet.
pub(crate) fn wait(hart: u64, count: u64) {
    let begin = time();
    let wanted = ASKED[hart as usize].load(Ordering::Relaxed) + count;

    while mailbox(hart).total.load(Ordering::Acquire) < wanted && time() - begin < PATIENCE {
        spin_loop();
    }
    // One too many may still be on its way.
    let begin = time();

    while time() - begin < SETTLE {
        spin_loop();
    }
}

/// Asks for the interrupts taken, and how many they are: of more than [`KEPT`] only
/// the last ones are known.
pub(crate) fn drain(hart: u64) -> ([u32; KEPT], usize) {
    let asked = &ASKED[hart as usize];
    let total = mailbox(hart).total.load(Ordering::Acquire);
    let mut ids = [0; KEPT];
    let mut count = 0;

    for n in asked.load(Ordering::Relaxed)..total {
        ids[count % KEPT] = TAKEN[hart as usize][n as usize % KEPT].load(Ordering::Relaxed);
        count += 1;
    }
    asked.store(total, Ordering::Relaxed);
    (ids, count)
}

/// stopi at the begin of hart 0's last interrupt.
pub(crate) fn top() -> u64 {
    TOP.load(Ordering::Relaxed)
}

/// Sends [`TEXT`] by interrupts of the UART, and gives their number.
pub(crate) fn send_text() -> u64 {
    let begin = time();

    SENDS.store(0, Ordering::Relaxed);
    SENDING.store(TEXT.len() as u64, Ordering::Release);
    uart::wire(true);
    // Once for each byte, and once as nothing is left.
    while SENDS.load(Ordering::Acquire) <= TEXT.len() as u64 && time() - begin < PATIENCE {
        spin_loop();
    }
    let begin = time();

    while time() - begin < SETTLE {
        spin_loop();
    }
    uart::wire(false);
    SENDS.load(Ordering::Relaxed)
}

/// Serves the UART as a driver does, and arms the level again.
fn serve_uart() {
    let left = SENDING.load(Ordering::Relaxed);

    SENDS.fetch_add(1, Ordering::Release);
    // The reason takes the wire down; a byte brings it up again once it is sent.
    if uart::reason() == uart::IIR_THRE && left != 0 {
        uart::send(TEXT[TEXT.len() - left as usize]);
        SENDING.store(left - 1, Ordering::Release);
    }
    set_up(aplic::SETIPNUM, UART_SOURCE);
}

fn take(hart: u64, id: u32) {
    let mb = mailbox(hart);
    let n = mb.total.load(Ordering::Relaxed);

    TAKEN[hart as usize][n as usize % KEPT].store(id, Ordering::Relaxed);
    if id == UART_ID {
        serve_uart();
    } else {
        mb.total.store(n + 1, Ordering::Release);
    }
}

#[no_mangle]
extern "C" fn guest_trap(mb: &Mailbox, cause: u64, epc: u64, tval: u64) {
    if cause & CAUSE_IRQ == 0 && probe::trapped(mb, cause, epc) {
        return;
    }
    if cause != CAUSE_IRQ | IRQ_S_EXT {
        uart::die("trap: scause, sepc, stval", &[cause, epc, tval]);
    }
    let hart = u64::from(core::ptr::eq(mb, mailbox(1)));

    if hart == 0 {
        let stopi;

        // SAFETY: Only reads.
        unsafe { asm!("csrr {}, 0xdb0", out(reg) stopi, options(nostack)) };
        TOP.store(stopi, Ordering::Relaxed);
    }
    loop {
        match claim() {
            0 => break,
            id => take(hart, id as u32),
        }
    }
}
