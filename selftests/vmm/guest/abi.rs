// SPDX-License-Identifier: GPL-2.0

//! What the guest program and the VMM agree on: the guest's memory map and the
//! mailbox through which the VMM gives each vCPU commands.
//!
//! Both sides talk by memory alone, so that a command costs no exit. Every
//! field is an atomic: either side may look at any time.

use core::sync::atomic::{
    AtomicU32,
    AtomicU64, //
};

/// Guest-physical start of RAM, where the image is loaded and entered.
pub const RAM_BASE: u64 = 0x8000_0000;
/// Size of RAM.
pub const RAM_SIZE: u64 = 0x40_0000;
/// Stacks of the vCPUs, [`STACK_SIZE`] each.
pub const STACKS: u64 = RAM_BASE + 0x8_0000;
/// Size of one vCPU's stack; the entry code knows that it is 8 KiB.
pub const STACK_SIZE: u64 = 0x2000;
/// The mailboxes, one [`Mailbox`] per vCPU.
pub const MAILBOXES: u64 = RAM_BASE + 0x10_0000;
/// Largest number of vCPUs.
pub const MAX_VCPUS: usize = 64;
/// Largest number of interrupt identities, with the unused 0.
pub const MAX_IDS: usize = 2048;

/// Guest-physical address of the in-kernel APLIC.
pub const APLIC_BASE: u64 = 0x0d00_0000;
/// Guest-physical address of the first vCPU's IMSIC page.
pub const IMSIC_BASE: u64 = 0x2800_0000;
/// Guest-physical address of a word that nothing backs: a store ends in the VMM.
pub const DOORBELL: u64 = 0x1000_1000;
/// A store here tells the VMM that the guest took a trap it did not expect.
pub const DOORBELL_FAULT: u64 = DOORBELL + 8;

/// Largest number of identities that one [`op::SEND`] uses.
pub const MAX_BATCH: u64 = 255;

/// Commands. `a` are the arguments, `r` the results.
pub mod op {
    /// Nothing; shows that the vCPU runs.
    pub const NOP: u64 = 0;
    /// Enables the interrupt file and identities a0..=a1, and external interrupts.
    pub const IMSIC_INIT: u64 = 1;
    /// Stores identities a2..a2+a3 to the IMSIC page a0 of vCPU a1, waits until
    /// that vCPU counted each of them, and starts over, a4 times in all.
    /// r0 = stores counted by the target, r1 = time taken in timer ticks.
    pub const SEND: u64 = 2;
    /// Waits with WFI until a0 interrupts were counted in all.
    pub const WFI_UNTIL: u64 = 3;
    /// Reads IMSIC register a0. r0 = value.
    pub const IREG_READ: u64 = 4;
    /// Writes a1 to IMSIC register a0.
    pub const IREG_WRITE: u64 = 5;
    /// Loads the 32-bit word at a0. r0 = value.
    pub const READ32: u64 = 6;
    /// Stores the 32-bit value a1 at a0.
    pub const WRITE32: u64 = 7;
    /// SBI call: extension a0, function a1, arguments a2 to a4. r0, r1 = error, value.
    pub const SBI: u64 = 8;
    /// Masks (a0 = 0) or unmasks (a0 = 1) interrupts in sstatus.
    pub const IRQ_ENABLE: u64 = 9;
    /// Claims a0 interrupts by polling stopei, counting them as the handler does.
    pub const POLL_CLAIM: u64 = 10;
    /// Stores to every page of RAM that the guest uses, so that none faults later.
    pub const TOUCH: u64 = 11;
    /// Loads a1 bytes at a0. r0 = value, zero-extended, r1 = what it trapped with.
    ///
    /// Here and below: 0, or scause + 1 of the exception.
    pub const LOAD: u64 = 12;
    /// Stores the a1 low bytes of a2 at a0. r1 = what it trapped with.
    pub const STORE: u64 = 13;
    /// Accesses indirect register a0 by the instruction a1, see [`super::csr`],
    /// with the operand a2. r0 = old value, r1 = what it trapped with.
    pub const IREG: u64 = 14;
    /// The same with the CSR a0, of [`super::csr`].
    pub const CSR: u64 = 15;
    /// Loads the 32-bit word at a0 into x0.
    pub const LOAD_NOWHERE: u64 = 17;
    /// As [`CSR`], in user mode.
    pub const USER_CSR: u64 = 18;
    /// WFI, with interrupts masked. r1 = what it trapped with.
    pub const WFI: u64 = 19;
    /// WFI in user mode. r1 = what it trapped with.
    pub const USER_WFI: u64 = 20;
    /// Adds 0 to the 32-bit word at a0 by an AMO. r0 = value, r1 = what it trapped with.
    pub const AMO: u64 = 21;
    /// Loads the 32-bit word at a0 by LR. r0 = value, r1 = what it trapped with.
    pub const LOAD_RESERVED: u64 = 22;
    /// Sets the timer by the SBI to what is over, and to never, a0 times each, and waits in between
    /// until sip tells. r0 = how often it did.
    pub const SET_TIMER: u64 = 23;
    /// Sends MSIs with sequence numbers, see sequence.rs for the arguments.
    /// r0 = MSIs sent, r1 = time taken in timer ticks.
    pub const SEQUENCE: u64 = 16;
}

/// Instructions that access a CSR, and the CSRs.
pub mod csr {
    /// csrr: reads only.
    pub const READ: u64 = 0;
    /// csrw: writes only.
    pub const WRITE: u64 = 1;
    /// csrrw: reads and writes.
    pub const SWAP: u64 = 2;
    /// csrrs: reads, and sets bits.
    pub const SET: u64 = 3;
    /// csrrc: reads, and clears bits.
    pub const CLEAR: u64 = 4;

    /// A source of entropy, with Zkr.
    pub const SEED: u64 = 0x015;
    /// Interrupts that are enabled.
    pub const SIE: u64 = 0x104;
    /// Counters that user mode may read.
    pub const SCOUNTEREN: u64 = 0x106;
    /// Interrupts that are pending.
    pub const SIP: u64 = 0x144;
    /// Selects the indirect register.
    pub const SISELECT: u64 = 0x150;
    /// The indirect register that is selected.
    pub const SIREG: u64 = 0x151;
    /// The top external interrupt.
    pub const STOPEI: u64 = 0x15c;
    /// The top interrupt.
    pub const STOPI: u64 = 0xdb0;
    /// Cycles.
    pub const CYCLE: u64 = 0xc00;
    /// The time.
    pub const TIME: u64 = 0xc01;
    /// Instructions.
    pub const INSTRET: u64 = 0xc02;
    /// A counter of events.
    pub const HPMCOUNTER3: u64 = 0xc03;
}

/// What guests call of the SBI.
pub mod sbi {
    /// The extension that sets the timer.
    pub const TIME: u64 = 0x5449_4d45;
    /// Its function: the time at which the timer interrupt is pending from then on.
    pub const SET_TIMER: u64 = 0;
}

/// Guest-physical address of a vCPU's mailbox.
pub const fn mailbox_address(vcpu: usize) -> u64 {
    MAILBOXES + (vcpu * size_of::<Mailbox>()) as u64
}

/// One vCPU's mailbox.
#[repr(C, align(4096))]
pub struct Mailbox {
    /// Number of commands given; raised by the VMM after it filled `op` and `arg`.
    pub given: AtomicU64,
    /// Number of commands done; set to `given` by the guest.
    pub done: AtomicU64,
    /// The command, of [`op`].
    pub op: AtomicU64,
    /// Its arguments.
    pub arg: [AtomicU64; 6],
    /// Its results.
    pub ret: [AtomicU64; 2],
    /// Not zero: give up waiting, the VMM has.
    pub abort: AtomicU64,
    /// External interrupts of which stopei knew nothing.
    pub empty: AtomicU64,
    /// For the guest's own use: not zero while an instruction may trap.
    pub probe: AtomicU64,
    /// stval of the last exception that an instruction took which may trap.
    pub tval: AtomicU64,
    /// scause, sepc and stval of an unexpected trap, after which the vCPU halts.
    pub trap: [AtomicU64; 3],
    /// For the guest's own use: interrupts counted in all.
    pub total: AtomicU64,
    /// Interrupts counted by identity.
    pub count: [AtomicU32; MAX_IDS],
}
