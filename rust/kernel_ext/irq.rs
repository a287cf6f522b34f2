// SPDX-License-Identifier: GPL-2.0

//! What an interrupt controller driver needs of the interrupt core.
//!
//! C headers: [`include/linux/irq.h`](srctree/include/linux/irq.h),
//! [`include/linux/irqdomain.h`](srctree/include/linux/irqdomain.h)

pub mod chained;
pub mod chip;
pub mod data;
pub mod desc;
pub mod domain;
pub mod domain_ops;
pub mod flow;
pub mod fwspec;
mod intc;
pub mod new;
pub mod percpu;
pub mod trigger;

pub use self::{
    chip::Chip,
    data::IrqData,
    desc::Descriptor, //
};
