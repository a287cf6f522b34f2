// SPDX-License-Identifier: GPL-2.0

//! Extensions that all harts have.
//!
//! C header: [`arch/riscv/include/asm/cpufeature.h`](srctree/arch/riscv/include/asm/cpufeature.h)

use kernel::bindings;

/// Whether all harts have Sscofpmf.
///
/// # Examples
///
/// ```
/// use kernel_ext::arch::riscv::isa;
///
/// /// The interrupts that a guest gets through `hvien`.
/// fn filtered() -> usize {
///     if isa::has_sscofpmf() {
///         1 << 13
///     } else {
///         0
///     }
/// }
/// ```
pub fn has_sscofpmf() -> bool {
    // SAFETY: Only reads the bitmap of extensions.
    unsafe { bindings::riscv_has_sscofpmf() }
}
