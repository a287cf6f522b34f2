// SPDX-License-Identifier: GPL-2.0
/*
 * Declarations of the Rust IMSIC driver that only the kernel's macros can make.
 */
#include <linux/acpi.h>
#include <linux/export.h>
#include <linux/init.h>
#include <linux/irqchip.h>
#include <linux/irqchip/riscv-imsic.h>
#include <linux/of.h>
#include <linux/pci.h>
#include <linux/platform_device.h>

#include "../riscv_aia_exports.h"

#define CREATE_TRACE_POINTS
#define CREATE_RUST_TRACE_POINTS
#include "../riscv_aia_trace.h"

IRQCHIP_DECLARE(riscv_imsic, "riscv,imsics", riscv_imsic_of_init);

early_param("irqchip.riscv_imsic_noipi", riscv_imsic_noipi);

EXPORT_SYMBOL_GPL(imsic_get_global_config);

static const struct of_device_id riscv_imsic_match[] = {
	{ .compatible = "riscv,imsics" },
	{}
};

static struct platform_driver riscv_imsic_driver = {
	.driver = {
		.name			= "riscv-imsic",
		.of_match_table		= riscv_imsic_match,
		.suppress_bind_attrs	= true,
	},
	.probe = riscv_imsic_probe,
};
builtin_platform_driver(riscv_imsic_driver);

#ifdef CONFIG_ACPI
static int __init riscv_imsic_acpi_declared(union acpi_subtable_headers *header,
					    const unsigned long end)
{
	int ret;

	/* It is gone after the boot, and only C can say so */
	ret = riscv_imsic_acpi_init(header, end, acpi_rintc_get_imsic_mmio_info);
#ifdef CONFIG_PCI
	if (!ret)
		pci_msi_register_fwnode_provider(imsic_acpi_get_fwnode);
#endif
	return ret;
}

IRQCHIP_ACPI_DECLARE(riscv_imsic, ACPI_MADT_TYPE_IMSIC, NULL, 1,
		     riscv_imsic_acpi_declared);

EXPORT_SYMBOL_GPL(imsic_acpi_get_fwnode);
#endif
