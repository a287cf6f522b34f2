// SPDX-License-Identifier: GPL-2.0

//! What KVM calls.
//!
//! C header: `arch/riscv/include/asm/kvm_aia.h`

mod insn;
mod kvm;
mod one_reg;
mod vcpu;
mod vm;
