// SPDX-License-Identifier: GPL-2.0

//! RISC-V.

use kernel::{
    bindings,
    cpu::CpuId, //
};

pub mod aia;
pub mod hypervisor;

/// The INTC's number of the supervisor external interrupt (machine external in M-mode kernels).
///
/// C header: `arch/riscv/include/asm/csr.h`, `RV_IRQ_EXT`.
pub const IRQ_EXT: u32 = bindings::RV_IRQ_EXT;

/// The logical CPU of hart `hartid`; [`None`] if the kernel does not know that hart.
pub fn cpu_of_hart(hartid: usize) -> Option<CpuId> {
    // SAFETY: The function only looks the number up.
    let cpu = unsafe { bindings::riscv_hartid_to_cpuid(hartid) };

    CpuId::from_i32(cpu)
}
