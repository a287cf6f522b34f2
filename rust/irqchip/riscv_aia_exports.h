/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the Rust drivers define for their C declaration shims, and one thing
 * that a shim does for them. The bindings include it too, so that `#[export]`
 * checks each signature.
 */
#ifndef _RISCV_AIA_EXPORTS_H
#define _RISCV_AIA_EXPORTS_H

#include <linux/jump_label.h>
#include <linux/mutex.h>

union acpi_subtable_headers;
struct device;
struct device_node;
struct fwnode_handle;
struct platform_device;
struct resource;

int riscv_imsic_of_init(struct device_node *node, struct device_node *parent);
int riscv_imsic_acpi_init(union acpi_subtable_headers *header,
			  unsigned long end,
			  int (*find)(u32 index, struct resource *res));
int riscv_imsic_noipi(char *arg);
int riscv_imsic_probe(struct platform_device *pdev);
int riscv_aplic_acpi_init(union acpi_subtable_headers *header,
			  unsigned long end);
int riscv_aplic_probe(struct platform_device *pdev);
extern struct mutex riscv_aplic_setup_lock;

void kvm_riscv_aia_make_available(void);

/* A static key in a structure, as Rust's static_branch_unlikely!() wants it */
struct kvm_riscv_aia_quirks {
	struct static_key_false loses_sgei;
};

extern struct kvm_riscv_aia_quirks kvm_riscv_aia_quirks;
void kvm_riscv_aia_quirk_sgei(void);

#endif
