// SPDX-License-Identifier: GPL-2.0

//! Single accesses of a guest, and what it traps with.

use crate::{
    abi::{
        csr,
        op, //
    },
    Error,
    Guest,
    Result, //
};

/// Illegal instruction, of scause.
pub const ILLEGAL: u64 = 2;

/// What an instruction of the guest came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// What it read.
    pub value: u64,
    /// The exception that it took instead, as in scause.
    pub trap: Option<u64>,
}

impl Outcome {
    fn new([value, trap]: [u64; 2]) -> Self {
        Self {
            value,
            trap: trap.checked_sub(1),
        }
    }

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
    /// A load of `size` bytes by a vCPU.
    pub fn load(&self, vcpu: usize, addr: u64, size: u64) -> Result<Outcome> {
        self.call(vcpu, op::LOAD, &[addr, size]).map(Outcome::new)
    }

    /// A store.
    pub fn store(&self, vcpu: usize, addr: u64, size: u64, value: u64) -> Result<Outcome> {
        self.call(vcpu, op::STORE, &[addr, size, value])
            .map(Outcome::new)
    }

    /// An access to the indirect register `select` by the instruction `how` of [`csr`].
    pub fn ireg(&self, vcpu: usize, select: u32, how: u64, value: u64) -> Result<Outcome> {
        self.call(vcpu, op::IREG, &[select.into(), how, value])
            .map(Outcome::new)
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

    /// An access to stopei by the instruction `how` of [`csr`].
    pub fn topei(&self, vcpu: usize, how: u64, value: u64) -> Result<u64> {
        self.call(vcpu, op::TOPEI, &[0, how, value])
            .map(Outcome::new)?
            .read(|| "stopei".into())
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

        Ok(self.call(vcpu, op::SIP, &[])?[0] & SEIP != 0)
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
