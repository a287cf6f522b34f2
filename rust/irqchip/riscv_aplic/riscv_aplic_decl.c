// SPDX-License-Identifier: GPL-2.0
/*
 * Declarations of the Rust APLIC driver that only the kernel's macros can make.
 */
#include <linux/mod_devicetable.h>
#include <linux/platform_device.h>

#include "../riscv_aia_exports.h"

static const struct of_device_id riscv_aplic_match[] = {
	{ .compatible = "riscv,aplic" },
	{}
};

static struct platform_driver riscv_aplic_driver = {
	.driver = {
		.name			= "riscv-aplic",
		.of_match_table		= riscv_aplic_match,
		.suppress_bind_attrs	= true,
	},
	.probe = riscv_aplic_probe,
};
builtin_platform_driver(riscv_aplic_driver);
