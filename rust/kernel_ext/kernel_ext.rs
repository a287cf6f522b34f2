// SPDX-License-Identifier: GPL-2.0

//! Safe abstractions that the `kernel` crate lacks and that interrupt controller drivers need.
//!
//! Every module stands at the path that it would have in `rust/kernel`, wraps what a C header has,
//! and knows nothing of the drivers. This is the ring of the AIA drivers in which `unsafe` lives.

#[cfg(CONFIG_ACPI)]
pub mod acpi;
pub mod alloc;
pub mod arch;
pub mod cpu_pm;
pub mod cpuhp;
pub mod cpuhplock;
pub mod cpumask;
pub mod fwnode;
pub mod io;
pub mod ioport;
pub mod ipi_mux;
pub mod irq;
pub mod irq_work;
pub mod irqflags;
pub mod module;
pub mod msi;
pub mod nospec;
pub mod of;
pub mod percpu;
pub mod pm_domain;
pub mod preempt;
pub mod smp;
pub mod sync;
pub mod syscore;
pub mod system;
pub mod task;
pub mod time;

const __LOG_PREFIX: &[u8] = b"riscv-aia\0";
