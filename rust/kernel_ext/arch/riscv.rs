// SPDX-License-Identifier: GPL-2.0

//! RISC-V.

use core::arch::asm;

use kernel::{
    bindings,
    cpu::CpuId,
    interrupt::LocalInterruptDisabled, //
};

pub mod aia;
pub mod hypervisor;
pub mod isa;

/// The INTC's number of the supervisor external interrupt (machine external in M-mode kernels).
///
/// C header: `arch/riscv/include/asm/csr.h`, `RV_IRQ_EXT`.
pub const IRQ_EXT: u32 = bindings::RV_IRQ_EXT;

/// Whether the external interrupt of this hart is asserted, be it enabled or not.
///
/// # Examples
///
/// ```
/// use kernel::interrupt::local_interrupt_disable;
/// use kernel_ext::arch::riscv;
///
/// let anything_left = riscv::is_external_asserted(&local_interrupt_disable());
/// ```
#[inline]
pub fn is_external_asserted(_irqs_off: &LocalInterruptDisabled) -> bool {
    let pending: usize;

    // SAFETY: Every hart has the CSR, `sip`, or `mip` in M-mode kernels; it is only read.
    unsafe {
        asm!(
            "csrr {pending}, {csr}",
            pending = out(reg) pending,
            csr = const bindings::CSR_IP,
            options(nostack),
        )
    };
    pending & (1 << IRQ_EXT) != 0
}

/// What all harts count alike (CSR `time`), in units of the time base: for who wants to know which of two
/// things came first, at the cost of one instruction. Any context.
///
/// # Examples
///
/// ```
/// use kernel_ext::arch::riscv;
///
/// let before = riscv::time();
/// assert!(riscv::time() >= before);
/// ```
#[inline(always)]
pub fn time() -> u64 {
    let time: u64;

    // SAFETY: The kernel's own clock reads it on every hart; nothing else happens.
    unsafe { asm!("csrr {time}, time", time = out(reg) time, options(nostack)) };
    time
}

/// The logical CPU of hart `hartid`; [`None`] if the kernel does not know that hart.
///
/// # Examples
///
/// ```
/// use kernel::{cpu::CpuId, prelude::*};
/// use kernel_ext::arch::riscv;
///
/// /// The CPUs of those of the harts that the kernel uses.
/// fn cpus(hartids: &[usize]) -> impl Iterator<Item = CpuId> + '_ {
///     hartids.iter().filter_map(|hartid| riscv::cpu_of_hart(*hartid))
/// }
/// ```
pub fn cpu_of_hart(hartid: usize) -> Option<CpuId> {
    // SAFETY: The function only looks the number up.
    let cpu = unsafe { bindings::riscv_hartid_to_cpuid(hartid) };

    CpuId::from_i32(cpu)
}
