// SPDX-License-Identifier: GPL-2.0

//! The guest program: each vCPU enables its interrupt file, counts the
//! interrupts that it takes, and obeys the commands in its mailbox.
//!
//! It runs in VS-mode without translation. While it has nothing to do it polls
//! its mailbox with interrupts on and causes no exit.

#![no_std]
#![no_main]

#[allow(dead_code, reason = "the VMM uses the rest")]
mod abi;
mod hart;
mod probe;
mod sequence;
mod single;
#[allow(dead_code, reason = "the VMM uses the rest")]
mod slot;
mod user;

use abi::*;
use core::{
    arch::{
        asm,
        global_asm, //
    },
    hint::spin_loop,
    ptr::{
        read_volatile,
        write_volatile, //
    },
    sync::atomic::{
        fence,
        Ordering, //
    },
};
use hart::*;
use user::{
    in_user_mode,
    leave_user_mode,
    CAUSE_USER_ECALL, //
};

const SSTATUS_SIE: u64 = 1 << 1;
const EIDELIVERY: u64 = 0x70;
const EITHRESHOLD: u64 = 0x72;
const EIE0: u64 = 0xc0;

global_asm!(
    // Entered with a0 = vCPU index and a1 = address of the vCPU's mailbox.
    ".pushsection .text.start, \"ax\"",
    ".globl _start",
    "_start:",
    "csrw sie, zero",             // nothing interrupts before the handler is set
    "csrci sstatus, 2",           // sstatus.SIE = 0
    "csrw sscratch, a1",          // the handler finds the mailbox there
    "lla t0, trap_entry",         // direct mode: the low bits of the address are 0
    "csrw stvec, t0",
    "li sp, {stacks}",            // sp = end of the stack of this vCPU
    "addi t0, a0, 1",
    "slli t0, t0, 13",            // STACK_SIZE
    "add sp, sp, t0",
    "mv a0, a1",
    "call guest_main",            // does not return
    "1: j 1b",
    ".popsection",
    stacks = const STACKS,
);

/// Runs `f` with interrupts masked. The select and the access of an indirect
/// register, or a test and the WFI after it, must not be torn apart.
fn masked<R>(f: impl FnOnce() -> R) -> R {
    let old: u64;

    // SAFETY: Masking interrupts touches no memory; the old state comes back below.
    unsafe { asm!("csrrci {}, sstatus, 2", out(reg) old, options(nostack)) };
    let ret = f();
    if old & SSTATUS_SIE != 0 {
        // SAFETY: Interrupts were on before.
        unsafe { asm!("csrsi sstatus, 2", options(nostack)) };
    }
    ret
}

fn ireg_read(select: u64) -> u64 {
    masked(|| {
        let value: u64;

        // SAFETY: Accesses the interrupt file only.
        unsafe {
            asm!("csrw 0x150, {}", "csrr {}, 0x151", in(reg) select, out(reg) value,
                 options(nostack))
        };
        value
    })
}

fn ireg_write(select: u64, value: u64) {
    masked(|| {
        // SAFETY: Accesses the interrupt file only.
        unsafe {
            asm!("csrw 0x150, {}", "csrw 0x151, {}", in(reg) select, in(reg) value,
                 options(nostack))
        }
    })
}

fn mailbox(index: u64) -> &'static Mailbox {
    // SAFETY: `index` is below MAX_VCPUS; RAM holds a mailbox there for ever, all of it atomics.
    unsafe { &*(MAILBOXES as *const Mailbox).add(index as usize & (MAX_VCPUS - 1)) }
}

/// Counts one claimed interrupt. Only the vCPU itself writes its counters, and
/// never from two places at once as interrupts are masked.
fn count(mb: &Mailbox, id: u64) {
    if let Some(c) = mb.count.get(id as usize) {
        c.store(c.load(Ordering::Relaxed).wrapping_add(1), Ordering::Release);
    }
    sequence::note(mb, id);
    mb.total
        .store(mb.total.load(Ordering::Relaxed) + 1, Ordering::Release);
}

#[no_mangle]
extern "C" fn guest_trap(mb: &Mailbox, cause: u64, epc: u64, tval: u64) {
    if cause == CAUSE_USER_ECALL {
        return leave_user_mode(epc);
    }
    if cause & CAUSE_IRQ == 0 && probe::trapped(mb, cause, epc) {
        return;
    }
    if cause != CAUSE_IRQ | IRQ_S_EXT {
        fault(mb, cause, epc, tval);
    }
    let mut id = claim();

    if id == 0 {
        mb.empty
            .store(mb.empty.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }
    while id != 0 {
        count(mb, id);
        id = claim();
    }
}

/// Tells the VMM about a trap that nothing expected, and stays there.
fn fault(mb: &Mailbox, cause: u64, epc: u64, tval: u64) -> ! {
    for (cell, value) in mb.trap.iter().zip([cause, epc, tval]) {
        cell.store(value, Ordering::Relaxed);
    }
    loop {
        // SAFETY: No memory is there, the store ends in the VMM.
        unsafe { write_volatile(DOORBELL_FAULT as *mut u32, 1) };
    }
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    let mb: *const Mailbox;

    // SAFETY: Only reads a register, which holds the mailbox since `_start`.
    unsafe { asm!("csrr {}, sscratch", out(reg) mb, options(nomem, nostack)) };
    let line = info.location().map_or(0, |l| l.line());
    // SAFETY: See above.
    fault(unsafe { &*mb }, u64::MAX, line.into(), 0)
}

/// Waits until `cond`; false if the VMM gave up first.
fn wait(mb: &Mailbox, cond: impl Fn() -> bool) -> bool {
    while !cond() {
        if mb.abort.load(Ordering::Relaxed) != 0 {
            return false;
        }
        spin_loop();
    }
    true
}

fn send(mb: &Mailbox, page: u64, target: u64, first: u64, ids: u64, rounds: u64) -> (u64, u64) {
    let count = &mailbox(target).count;
    let mut seen = [0u32; MAX_BATCH as usize + 1];
    let ids = ids.min(MAX_BATCH);
    let mut done = 0;
    let cell = |id: u64| &count[(first + id) as usize & (MAX_IDS - 1)];

    for id in 0..ids {
        seen[id as usize] = cell(id).load(Ordering::Acquire);
    }
    let start = time();
    for _ in 0..rounds {
        for id in 0..ids {
            // SAFETY: The IMSIC page of a vCPU; stores change its interrupt file only.
            unsafe { write_volatile(page as *mut u32, (first + id) as u32) };
        }
        for id in 0..ids {
            let seen = &mut seen[id as usize];

            if !wait(mb, || cell(id).load(Ordering::Acquire) != *seen) {
                return (done, time() - start);
            }
            *seen = seen.wrapping_add(1);
            if cell(id).load(Ordering::Acquire) != *seen {
                // Counted twice: end short of what was asked for.
                return (done, time() - start);
            }
            done += 1;
        }
    }
    (done, time() - start)
}

/// Makes the timer interrupt pending and takes it back, as often as said; ends early, with how often
/// that worked, if the VMM gives up.
fn set_timer(mb: &Mailbox, rounds: u64) -> u64 {
    const STIP: u64 = 1 << 5;
    let is_pending = || {
        let sip: u64;

        // SAFETY: Only reads a register.
        unsafe { asm!("csrr {}, sip", out(reg) sip, options(nomem, nostack)) };
        sip & STIP != 0
    };

    for done in 0..rounds {
        for (time, pending) in [(0, true), (!0, false)] {
            sbi(&[sbi::TIME, sbi::SET_TIMER, time, 0, 0, 0]);
            if !wait(mb, || is_pending() == pending) {
                return done;
            }
        }
    }
    rounds
}

fn touch() {
    let mut page = STACKS;

    while page < RAM_BASE + RAM_SIZE {
        // SAFETY: RAM of this program; adding 0 changes nothing that others see.
        unsafe { asm!("amoadd.w zero, zero, ({})", in(reg) page, options(nostack)) };
        page += 4096;
    }
}

fn command(mb: &Mailbox, op: u64, a: &[u64; 6]) -> (u64, u64) {
    match op {
        op::IMSIC_INIT => {
            // Whole words of 64 identities, less what lies outside first..=last.
            for word in 0..(MAX_IDS as u64 / 64) {
                let (lo, hi) = (word * 64, word * 64 + 63);
                let (first, last) = (a[0].max(lo), a[1].min(hi));

                if first <= last {
                    let mask = (u64::MAX >> (63 - (last - first))) << (first - lo);

                    ireg_write(EIE0 + 2 * word, mask);
                }
            }
            ireg_write(EITHRESHOLD, 0);
            ireg_write(EIDELIVERY, 1);
            // SAFETY: The handler is set.
            unsafe { asm!("csrs sie, {}", in(reg) 1u64 << IRQ_S_EXT, options(nostack)) };
            irq_enable(true);
            (0, 0)
        }
        op::SEND => send(mb, a[0], a[1], a[2], a[3], a[4]),
        op::WFI_UNTIL => {
            let enough = || {
                mb.total.load(Ordering::Relaxed) >= a[0] || mb.abort.load(Ordering::Relaxed) != 0
            };
            let mut waits = 0;

            while !enough() {
                masked(|| {
                    // WFI ends with an interrupt pending even while it is masked.
                    if !enough() {
                        waits += 1;
                        // SAFETY: Only waits.
                        unsafe { asm!("wfi", options(nostack)) };
                    }
                });
            }
            (mb.total.load(Ordering::Relaxed), waits)
        }
        op::IREG_READ => (ireg_read(a[0]), 0),
        op::IREG_WRITE => {
            ireg_write(a[0], a[1]);
            (0, 0)
        }
        // SAFETY: The VMM gives addresses of devices.
        op::READ32 => (unsafe { read_volatile(a[0] as *const u32) }.into(), 0),
        op::WRITE32 => {
            // SAFETY: See above.
            unsafe { write_volatile(a[0] as *mut u32, a[1] as u32) };
            (0, 0)
        }
        op::SBI => sbi(a),
        op::IRQ_ENABLE => {
            irq_enable(a[0] != 0);
            (0, 0)
        }
        op::POLL_CLAIM => {
            let mut claimed = 0;

            masked(|| {
                while claimed < a[0] && mb.abort.load(Ordering::Relaxed) == 0 {
                    let id = claim();

                    if id != 0 {
                        count(mb, id);
                        claimed += 1;
                    } else {
                        spin_loop();
                    }
                }
            });
            (claimed, 0)
        }
        op::TOUCH => {
            touch();
            (0, 0)
        }
        op::LOAD => probe::load(mb, a[0], a[1]),
        op::LOAD_NOWHERE => {
            // SAFETY: The VMM gives addresses of devices; no register changes.
            unsafe { asm!("lw x0, 0({})", in(reg) a[0], options(nostack)) };
            (0, 0)
        }
        op::STORE => probe::store(mb, a[0], a[1], a[2]),
        op::IREG => masked(|| {
            // SAFETY: Any select may be written; what is behind it is up to the access.
            unsafe { asm!("csrw 0x150, {}", in(reg) a[0], options(nostack)) };
            probe::csr(mb, csr::SIREG, a[1], a[2])
        }),
        op::CSR => probe::csr(mb, a[0], a[1], a[2]),
        op::USER_CSR => in_user_mode(|| probe::csr(mb, a[0], a[1], a[2])),
        op::WFI => masked(|| single::wfi(mb)),
        op::USER_WFI => in_user_mode(|| single::wfi(mb)),
        op::AMO => single::amo(mb, a[0]),
        op::LOAD_RESERVED => single::load_reserved(mb, a[0]),
        op::SET_TIMER => (set_timer(mb, a[0]), 0),
        op::SEQUENCE => sequence::send(mb, a),
        _ => (0, 0),
    }
}

#[no_mangle]
extern "C" fn guest_main(mb: &'static Mailbox) -> ! {
    let mut done = mb.done.load(Ordering::Relaxed);

    loop {
        if mb.given.load(Ordering::Acquire) == done {
            spin_loop();
            continue;
        }
        let mut a = [0; 6];

        for (a, cell) in a.iter_mut().zip(&mb.arg) {
            *a = cell.load(Ordering::Relaxed);
        }
        let ret = command(mb, mb.op.load(Ordering::Relaxed), &a);

        // Stores to devices come before what the VMM sees as done.
        fence(Ordering::SeqCst);
        mb.ret[0].store(ret.0, Ordering::Relaxed);
        mb.ret[1].store(ret.1, Ordering::Relaxed);
        done += 1;
        mb.done.store(done, Ordering::Release);
    }
}
