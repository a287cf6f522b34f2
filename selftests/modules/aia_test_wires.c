// SPDX-License-Identifier: GPL-2.0
/*
 * A controller that turns wires into MSIs, as the one of RPMI's system MSIs
 * does. It is none that can tell when all that it sent has arrived.
 */

#include <linux/cleanup.h>
#include <linux/err.h>
#include <linux/irq.h>
#include <linux/irqdomain.h>
#include <linux/kernel.h>
#include <linux/msi.h>
#include <linux/spinlock.h>

#include "aia_test.h"

#define AIA_MAX_WIRES		64

static struct irq_domain *aia_wires;

static void aia_wires_write(struct irq_data *d, struct msi_msg *msg)
{
	aia_update(irq_data_get_irq_chip_data(d), msg);
}

static struct irq_chip aia_wires_chip = {
	.name			= "AIA-TEST-WIRES",
	.irq_mask		= irq_chip_mask_parent,
	.irq_unmask		= irq_chip_unmask_parent,
	.irq_set_affinity	= irq_chip_set_affinity_parent,
	.irq_write_msi_msg	= aia_wires_write,
	.flags			= IRQCHIP_SKIP_SET_WAKE,
};

static int aia_wires_alloc(struct irq_domain *d, unsigned int virq, unsigned int count,
			   void *arg)
{
	struct aia_vec *vec = arg;
	int rc;

	rc = irq_domain_alloc_irqs_parent(d, virq, count, NULL);
	if (!rc)
		irq_domain_set_info(d, virq, vec->nr, &aia_wires_chip, vec,
				    handle_simple_irq, NULL, "simple");

	return rc;
}

static int aia_wires_activate(struct irq_domain *d, struct irq_data *data, bool reserve)
{
	struct irq_data *parent = data->parent_data;
	struct msi_msg msg = {};

	parent->chip->irq_compose_msi_msg(parent, &msg);
	aia_wires_write(data, &msg);

	return 0;
}

static void aia_wires_deactivate(struct irq_domain *d, struct irq_data *data)
{
	struct msi_msg msg = {};

	aia_wires_write(data, &msg);
}

static const struct irq_domain_ops aia_wires_ops = {
	.alloc		= aia_wires_alloc,
	.free		= irq_domain_free_irqs_common,
	.activate	= aia_wires_activate,
	.deactivate	= aia_wires_deactivate,
};

/* Made when it is first wanted; no MSI parent itself */
struct irq_domain *aia_wires_domain(void)
{
	struct irq_domain_info info = {
		.size		= AIA_MAX_WIRES,
		.hwirq_max	= AIA_MAX_WIRES,
		.bus_token	= DOMAIN_BUS_WIRED_TO_MSI,
		.ops		= &aia_wires_ops,
		.parent		= aia_msi_domain(),
	};

	if (aia_wires || !info.parent)
		return aia_wires;

	info.fwnode = irq_domain_alloc_named_fwnode("aia-test-wires");
	if (!info.fwnode)
		return NULL;
	aia_wires = irq_domain_instantiate(&info);
	if (IS_ERR(aia_wires)) {
		irq_domain_free_fwnode(info.fwnode);
		aia_wires = NULL;
	}

	return aia_wires;
}

int aia_wires_map(struct aia_vec *vec)
{
	struct irq_domain *domain = aia_wires_domain();

	if (!domain)
		return -ENODEV;
	if (vec->nr >= AIA_MAX_WIRES)
		return -ENOSPC;

	return irq_domain_alloc_irqs(domain, 1, NUMA_NO_NODE, vec);
}

void aia_wires_unmap(struct aia_vec *vec)
{
	irq_domain_free_irqs(vec->irq, 1);
}

void aia_wires_remove(void)
{
	struct fwnode_handle *fwnode;

	if (!aia_wires)
		return;
	fwnode = aia_wires->fwnode;
	irq_domain_remove(aia_wires);
	irq_domain_free_fwnode(fwnode);
}
