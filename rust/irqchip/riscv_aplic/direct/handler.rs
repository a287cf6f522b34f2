// SPDX-License-Identifier: GPL-2.0

//! The harts' external interrupt.

use kernel::{
    cpu::CpuId,
    interrupt::LocalInterruptDisabled,
    prelude::*, //
};
use kernel_ext::{
    arch::riscv,
    irq::chained, //
};

use super::published::{
    APLICS,
    PARENT, //
};

/// How often all APLICs are asked while the external interrupt stays asserted: much longer than a
/// signal travels.
const PATIENCE: u32 = 1_000;

/// The handler of the harts' external interrupt.
pub(super) struct IdcHandler;

impl chained::ChainedHandler for IdcHandler {
    #[inline(always)]
    fn handle(flow: &chained::ChainedContext<'_>) {
        for round in 0.. {
            if handle_all(flow) || !is_still_asserted(round, flow.irqs_off()) {
                return;
            }
        }
    }
}

/// Handles everything that is pending for this hart; returns whether anything was.
#[inline(always)]
fn handle_all(flow: &chained::ChainedContext<'_>) -> bool {
    let mut any = false;

    for aplic in APLICS.iter() {
        any |= aplic.handle(flow);
    }
    any
}

/// The external interrupt has arrived, and no APLIC has had one for this hart so far: returns
/// whether to ask again.
///
/// It may have been late, and goes away (AIA 4.8.2). If it stays asserted all the time, it comes
/// from something else, which would keep the CPU from everything: it is switched off here.
#[cold]
fn is_still_asserted(round: u32, irqs_off: &LocalInterruptDisabled) -> bool {
    if !riscv::is_external_asserted(irqs_off) {
        return false;
    }
    if round < PATIENCE {
        return true;
    }

    if let Some(parent) = PARENT.as_ref() {
        parent.disable(irqs_off);
    }
    pr_err!(
        "CPU {}: the external interrupt is asserted, but by no APLIC that is set up: switched off. Is one disabled in the device tree?\n",
        CpuId::current().as_u32()
    );
    false
}
