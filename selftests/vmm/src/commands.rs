// SPDX-License-Identifier: GPL-2.0

//! Single accesses of a guest, and what it traps with.

use crate::{
    abi::{
        csr,
        mailbox_address,
        op,
        RAM_BASE, //
    },
    same,
    End,
    Error,
    Guest,
    Result,
    PATIENCE, //
};
use std::{
    thread::sleep,
    time::Duration, //
};

/// The SBI extension that starts and stops harts, and its functions.
const SBI_HSM: u64 = 0x48_534d;
const HSM_START: u64 = 0;
const HSM_STOP: u64 = 1;
const HSM_STATUS: u64 = 2;

/// The SBI extension that sends IPIs, and its function.
const SBI_IPI: u64 = 0x73_5049;
const SEND_IPI: u64 = 0;

/// The SBI extension that lets the system sleep, its function, and what is kept meanwhile.
const SBI_SUSP: u64 = 0x5355_5350;
const SUSP_SUSPEND: u64 = 0;
const SUSPEND_TO_RAM: u64 = 0;

/// A hart's state: it is stopped.
const HSM_STOPPED: u64 = 1;

/// Illegal instruction, of scause.
pub const ILLEGAL: u64 = 2;
/// Access fault of a load, of scause.
pub const LOAD_ACCESS: u64 = 5;
/// Access fault of a store or an AMO, of scause.
pub const STORE_ACCESS: u64 = 7;

/// What an instruction of the guest came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// What it read.
    pub value: u64,
    /// The exception that it took instead, as in scause.
    pub trap: Option<u64>,
    /// What stval was then; 0 without an exception.
    pub tval: u64,
}

impl Outcome {
    /// What it read, if it did not trap.
    pub fn read(self, what: impl Fn() -> String) -> Result<u64> {
        match self.trap {
            None => Ok(self.value),
            Some(cause) => Err(Error::new(format!(
                "{} trapped with scause {cause}",
                what()
            ))),
        }
    }
}

impl Guest {
    /// What a command comes to that runs one instruction.
    fn outcome(&self, vcpu: usize, op: u64, args: &[u64]) -> Result<Outcome> {
        let [value, trap] = self.call(vcpu, op, args)?;
        let trap = trap.checked_sub(1);

        Ok(Outcome {
            value,
            trap,
            tval: trap.map_or(0, |_| self.tval(vcpu)),
        })
    }

    /// A load of `size` bytes by a vCPU.
    pub fn load(&self, vcpu: usize, addr: u64, size: u64) -> Result<Outcome> {
        self.outcome(vcpu, op::LOAD, &[addr, size])
    }

    /// A store.
    pub fn store(&self, vcpu: usize, addr: u64, size: u64, value: u64) -> Result<Outcome> {
        self.outcome(vcpu, op::STORE, &[addr, size, value])
    }

    /// An access to the indirect register `select` by the instruction `how` of [`csr`].
    pub fn ireg(&self, vcpu: usize, select: u32, how: u64, value: u64) -> Result<Outcome> {
        self.outcome(vcpu, op::IREG, &[select.into(), how, value])
    }

    /// Reads an indirect register.
    pub fn ireg_read(&self, vcpu: usize, select: u32) -> Result<u64> {
        self.ireg(vcpu, select, csr::READ, 0)?
            .read(|| format!("reading register {select:#x}"))
    }

    /// Writes an indirect register.
    pub fn ireg_write(&self, vcpu: usize, select: u32, value: u64) -> Result<()> {
        self.ireg(vcpu, select, csr::WRITE, value)?
            .read(|| format!("writing register {select:#x}"))?;
        Ok(())
    }

    /// An access to the CSR `number` by the instruction `how`, both of [`csr`].
    pub fn csr(&self, vcpu: usize, number: u64, how: u64, value: u64) -> Result<Outcome> {
        self.outcome(vcpu, op::CSR, &[number, how, value])
    }

    /// Reads a CSR.
    pub fn csr_read(&self, vcpu: usize, number: u64) -> Result<u64> {
        self.csr(vcpu, number, csr::READ, 0)?
            .read(|| format!("reading CSR {number:#x}"))
    }

    /// Writes a CSR by an instruction of [`csr`]; its old value if that reads it.
    pub fn csr_write(&self, vcpu: usize, number: u64, how: u64, value: u64) -> Result<u64> {
        self.csr(vcpu, number, how, value)?
            .read(|| format!("access {how} to CSR {number:#x}"))
    }

    /// An access to a CSR as by [`Self::csr`], in user mode.
    pub fn user_csr(&self, vcpu: usize, number: u64, how: u64, value: u64) -> Result<Outcome> {
        self.outcome(vcpu, op::USER_CSR, &[number, how, value])
    }

    /// A WFI in user mode.
    pub fn user_wfi(&self, vcpu: usize) -> Result<Outcome> {
        self.outcome(vcpu, op::USER_WFI, &[])
    }

    /// An AMO on the 32-bit word at `addr`.
    pub fn amo(&self, vcpu: usize, addr: u64) -> Result<Outcome> {
        self.outcome(vcpu, op::AMO, &[addr])
    }

    /// A load of the 32-bit word at `addr` by LR.
    pub fn load_reserved(&self, vcpu: usize, addr: u64) -> Result<Outcome> {
        self.outcome(vcpu, op::LOAD_RESERVED, &[addr])
    }

    /// An access to stopei by the instruction `how` of [`csr`].
    pub fn topei(&self, vcpu: usize, how: u64, value: u64) -> Result<u64> {
        self.csr_write(vcpu, csr::STOPEI, how, value)
    }

    /// An SBI call: what it returns.
    pub fn sbi(&self, vcpu: usize, extension: u64, function: u64, args: &[u64]) -> Result<u64> {
        let mut all = [extension, function, 0, 0, 0];

        all[2..2 + args.len()].copy_from_slice(args);
        let [error, value] = self.call(vcpu, op::SBI, &all)?;

        same(error, 0, || {
            format!("error of function {function} of SBI extension {extension:#x}")
        })?;
        Ok(value)
    }

    /// Lets a vCPU stop its hart by the SBI; vCPU `by` sees that it did.
    pub fn hart_stop(&self, vcpu: usize, by: usize) -> Result<()> {
        let id = self.config().number(vcpu).id;

        self.give(vcpu, op::SBI, &[SBI_HSM, HSM_STOP]);
        for _ in 0..PATIENCE.as_millis() {
            if self.sbi(by, SBI_HSM, HSM_STATUS, &[id])? == HSM_STOPPED {
                // It never comes back to that command.
                self.forget(vcpu);
                return Ok(());
            }
            sleep(Duration::from_millis(1));
        }
        Err(Error::new(format!("vCPU {vcpu} does not stop")))
    }

    /// Lets vCPU `by` start the hart of a vCPU by the SBI, at the beginning.
    pub fn hart_start(&self, vcpu: usize, by: usize) -> Result<()> {
        let id = self.config().number(vcpu).id;

        self.sbi(
            by,
            SBI_HSM,
            HSM_START,
            &[id, RAM_BASE, mailbox_address(vcpu)],
        )
        .map(drop)
    }

    /// Lets a vCPU, the only one that is not stopped, ask the SBI for the sleep of the system. It starts at
    /// the beginning when it runs again.
    pub fn suspend(&mut self, vcpu: usize) -> Result<()> {
        self.suspend_until(vcpu, RAM_BASE)
    }

    /// As [`Self::suspend`], to wake up at `resume`.
    pub fn suspend_until(&mut self, vcpu: usize, resume: u64) -> Result<()> {
        self.give(
            vcpu,
            op::SBI,
            &[
                SBI_SUSP,
                SUSP_SUSPEND,
                SUSPEND_TO_RAM,
                resume,
                mailbox_address(vcpu),
            ],
        );
        let end = self.wait_end(vcpu)?;

        same(end, End::SystemSuspend, || "the end of the vCPU".into())?;
        // It never comes back to that command.
        self.forget(vcpu);
        Ok(())
    }

    /// Lets vCPU `by` send an IPI to another one by the SBI.
    pub fn send_ipi(&self, vcpu: usize, by: usize) -> Result<()> {
        let id = self.config().number(vcpu).id;

        self.sbi(by, SBI_IPI, SEND_IPI, &[1, id]).map(drop)
    }

    /// Masks the interrupts of a vCPU.
    pub fn mask(&self, vcpu: usize) -> Result<()> {
        self.call(vcpu, op::IRQ_ENABLE, &[0]).map(drop)
    }

    /// Unmasks them.
    pub fn unmask(&self, vcpu: usize) -> Result<()> {
        self.call(vcpu, op::IRQ_ENABLE, &[1]).map(drop)
    }

    /// Whether an external interrupt is pending in sip.
    pub fn seip(&self, vcpu: usize) -> Result<bool> {
        const SEIP: u64 = 1 << 9;

        Ok(self.csr_read(vcpu, csr::SIP)? & SEIP != 0)
    }

    /// Claims what a vCPU with interrupts masked has pending, until there is
    /// nothing: the identities in this order.
    pub fn claims(&self, vcpu: usize) -> Result<Vec<u32>> {
        let mut ids = Vec::new();

        // More than there can be shows that a claim clears nothing.
        while ids.len() < crate::abi::MAX_IDS {
            match self.topei(vcpu, csr::SWAP, 0)? {
                0 => break,
                topei => ids.push((topei >> 16) as u32),
            }
        }
        Ok(ids)
    }
}
