// SPDX-License-Identifier: GPL-2.0
/*
 * Declarations of KVM's AIA in Rust that only the kernel's macros can make.
 */
#include <linux/jump_label.h>
#include <linux/kvm_host.h>

#include "../../irqchip/riscv_aia_exports.h"

#define CREATE_TRACE_POINTS
#define CREATE_RUST_TRACE_POINTS
#include "../kvm_aia_trace.h"

DEFINE_STATIC_KEY_FALSE(kvm_riscv_aia_available);

struct kvm_riscv_aia_quirks kvm_riscv_aia_quirks = {
	.loses_sgei = STATIC_KEY_FALSE_INIT,
};

void kvm_riscv_aia_make_available(void)
{
	static_branch_enable(&kvm_riscv_aia_available);
}

void kvm_riscv_aia_quirk_sgei(void)
{
	static_branch_enable(&kvm_riscv_aia_quirks.loses_sgei);
}
