// SPDX-License-Identifier: GPL-2.0
/*
 * All that a kernel without CONFIG_RISCV_AIA_RUST has of these drivers. Who asked
 * for them may not have got them: CONFIG_RUST has many dependencies.
 */
#define pr_fmt(fmt) "riscv-aia: " fmt

#include <linux/init.h>
#include <linux/printk.h>

static int __init riscv_aia_in_c(void)
{
	pr_notice("CONFIG_RISCV_AIA_RUST is off: IMSIC, APLIC and KVM's AIA are in C\n");
	return 0;
}
core_initcall(riscv_aia_in_c);
