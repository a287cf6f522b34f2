// SPDX-License-Identifier: GPL-2.0
/*
 * Declarations of the Rust APLIC driver that only the kernel's macros can make.
 */
#define pr_fmt(fmt) "riscv-aplic: " fmt

#include <linux/acpi.h>
#include <linux/irqchip.h>
#include <linux/mod_devicetable.h>
#include <linux/mutex.h>
#include <linux/platform_device.h>
#include <linux/printk.h>

#include "../riscv_aia_exports.h"

DEFINE_MUTEX(riscv_aplic_setup_lock);

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

#ifdef CONFIG_ACPI
/* APLICs of ACPI systems are not supported yet. */
static int __init riscv_aplic_acpi_init(union acpi_subtable_headers *header,
					const unsigned long end)
{
	struct acpi_madt_aplic *aplic = (struct acpi_madt_aplic *)header;

	pr_err("MADT: APLIC %u not driven, CONFIG_RISCV_AIA_RUST does not support ACPI yet: no wired interrupts\n",
	       aplic->id);
	return -EOPNOTSUPP;
}

IRQCHIP_ACPI_DECLARE(riscv_aplic, ACPI_MADT_TYPE_APLIC, NULL, 1,
		     riscv_aplic_acpi_init);
#endif
