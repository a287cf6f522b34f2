// SPDX-License-Identifier: GPL-2.0
/*
 * Declarations of the Rust APLIC driver that only the kernel's macros can make.
 */
#include <linux/acpi.h>
#include <linux/irqchip.h>
#include <linux/mod_devicetable.h>
#include <linux/mutex.h>
#include <linux/platform_device.h>

#include "../riscv_aia_exports.h"

DEFINE_MUTEX(riscv_aplic_setup_lock);

static const struct of_device_id riscv_aplic_match[] = {
	{ .compatible = "riscv,aplic" },
	{}
};

#ifdef CONFIG_ACPI
static const struct acpi_device_id riscv_aplic_acpi_match[] = {
	{ "RSCV0002" },
	{}
};
#endif

static struct platform_driver riscv_aplic_driver = {
	.driver = {
		.name			= "riscv-aplic",
		.of_match_table		= riscv_aplic_match,
		.acpi_match_table	= ACPI_PTR(riscv_aplic_acpi_match),
		.suppress_bind_attrs	= true,
	},
	.probe = riscv_aplic_probe,
};
builtin_platform_driver(riscv_aplic_driver);

#ifdef CONFIG_ACPI
static int __init riscv_aplic_acpi_declared(union acpi_subtable_headers *header,
					    const unsigned long end)
{
	return riscv_aplic_acpi_init(header, end);
}

IRQCHIP_ACPI_DECLARE(riscv_aplic, ACPI_MADT_TYPE_APLIC, NULL, 1,
		     riscv_aplic_acpi_declared);
#endif
