// SPDX-License-Identifier: GPL-2.0
/*
 * Test devices come and go, with MSIs or with a line of the APLIC.
 */

#include <linux/acpi.h>
#include <linux/cpumask.h>
#include <linux/err.h>
#include <linux/interrupt.h>
#include <linux/irq.h>
#include <linux/irqchip/riscv-imsic.h>
#include <linux/irqdomain.h>
#include <linux/kernel.h>
#include <linux/msi.h>
#include <linux/of.h>
#include <linux/of_irq.h>
#include <linux/percpu.h>
#include <linux/platform_device.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "aia_test.h"

#define AIA_MAX_VECS		32768

static LIST_HEAD(aia_devs);
static struct aia_dev *aia_last;
static struct irq_domain *aia_domain;

DEFINE_XARRAY_ALLOC(aia_vecs);

/* The node of the supervisor level is the one that has an MSI domain */
void aia_find_domain(void)
{
	struct device_node *np;

	for_each_compatible_node(np, NULL, "riscv,imsics") {
		aia_domain = irq_find_matching_fwnode(of_fwnode_handle(np),
						      DOMAIN_BUS_PLATFORM_MSI);
		if (aia_domain) {
			of_node_put(np);
			break;
		}
	}
	if (!aia_domain && imsic_acpi_get_fwnode(NULL))
		aia_domain = irq_find_matching_fwnode(imsic_acpi_get_fwnode(NULL),
						      DOMAIN_BUS_PLATFORM_MSI);
}

struct irq_domain *aia_msi_domain(void)
{
	return aia_domain;
}

static void aia_free(struct aia_dev *adev)
{
	u32 i;

	if (aia_last == adev)
		aia_last = NULL;

	for (i = 0; i < adev->nr_vecs; i++) {
		aia_stop(&adev->vecs[i]);
		aia_release(&adev->vecs[i]);
	}

	if (adev->msis)
		platform_device_msi_free_irqs_all(&adev->pdev->dev);
	if (adev->wired)
		irq_dispose_mapping(adev->vecs[0].irq);
	if (adev->pci)
		aia_pci_free(adev->pci);
	for (i = 0; adev->wires && i < adev->nr_vecs; i++) {
		if (adev->vecs[i].irq > 0)
			aia_wires_unmap(&adev->vecs[i]);
	}

	for (i = 0; i < adev->nr_vecs; i++) {
		if (adev->vecs[i].hits)
			xa_erase(&aia_vecs, adev->vecs[i].nr);
		free_percpu(adev->vecs[i].hits);
	}

	list_del(&adev->node);
	platform_device_unregister(adev->pdev);
	kvfree(adev);
}

void aia_free_all(void)
{
	struct aia_dev *adev, *tmp;

	list_for_each_entry_safe(adev, tmp, &aia_devs, node)
		aia_free(adev);
}

static int aia_alloc_vecs(struct aia_dev *adev)
{
	struct aia_vec *vec;
	u32 i;
	int rc;

	for (i = 0; i < adev->nr_vecs; i++) {
		vec = &adev->vecs[i];
		vec->adev = adev;
		vec->inject_at = -1;
		raw_spin_lock_init(&vec->lock);
		init_waitqueue_head(&vec->wait);

		vec->hits = alloc_percpu(u64);
		if (!vec->hits)
			return -ENOMEM;

		rc = xa_alloc(&aia_vecs, &vec->nr, vec, XA_LIMIT(0, AIA_MAX_VECS - 1),
			      GFP_KERNEL);
		if (rc) {
			free_percpu(vec->hits);
			vec->hits = NULL;
			return rc;
		}
	}

	return 0;
}

static struct aia_dev *aia_new(u32 nr_vecs)
{
	struct platform_device *pdev;
	struct aia_dev *adev;
	int rc;

	adev = kvzalloc_flex(*adev, vecs, nr_vecs);
	if (!adev)
		return ERR_PTR(-ENOMEM);
	adev->nr_vecs = nr_vecs;

	pdev = platform_device_register_simple("aia-test", PLATFORM_DEVID_AUTO, NULL, 0);
	if (IS_ERR(pdev)) {
		kvfree(adev);
		return ERR_CAST(pdev);
	}
	adev->pdev = pdev;
	platform_set_drvdata(pdev, adev);
	list_add_tail(&adev->node, &aia_devs);

	rc = aia_alloc_vecs(adev);
	if (rc) {
		aia_free(adev);
		return ERR_PTR(rc);
	}

	return adev;
}

static int aia_alloc(u32 nr_vecs, bool stepwise, bool deferred, bool unlazy)
{
	struct aia_dev *adev;
	u32 i;
	int rc;

	if (!aia_domain)
		return -ENODEV;
	if (!nr_vecs || nr_vecs > AIA_MAX_VECS)
		return -EINVAL;

	adev = aia_new(nr_vecs);
	if (IS_ERR(adev))
		return PTR_ERR(adev);
	adev->stepwise = stepwise || deferred;
	adev->unlazy = unlazy;

	dev_set_msi_domain(&adev->pdev->dev, aia_domain);
	rc = platform_device_msi_init_and_alloc_irqs(&adev->pdev->dev, nr_vecs, aia_write_msg);
	/* The domain of the device is there even if its interrupts are not; but with -ENODEV */
	adev->msis = rc != -ENODEV;
	if (rc) {
		aia_free(adev);
		return rc;
	}

	for (i = 0; i < nr_vecs; i++) {
		struct aia_vec *vec = &adev->vecs[i];

		vec->irq = msi_get_virq(&adev->pdev->dev, i);
		if (deferred)
			irq_get_chip(vec->irq)->flags |= IRQCHIP_MOVE_DEFERRED;
		if (unlazy)
			irq_set_status_flags(vec->irq, IRQ_DISABLE_UNLAZY);
	}

	aia_last = adev;
	return 0;
}

static int aia_alloc_wires(u32 nr_vecs)
{
	struct aia_dev *adev;
	u32 i;
	int irq;

	if (!nr_vecs || nr_vecs > AIA_MAX_VECS)
		return -EINVAL;

	adev = aia_new(nr_vecs);
	if (IS_ERR(adev))
		return PTR_ERR(adev);
	adev->wires = true;

	for (i = 0; i < nr_vecs; i++) {
		irq = aia_wires_map(&adev->vecs[i]);
		if (irq < 0) {
			aia_free(adev);
			return irq;
		}
		adev->vecs[i].irq = irq;
	}

	aia_last = adev;
	return 0;
}

static int aia_alloc_multi(u32 nr_vecs)
{
	struct aia_pci *pci;
	struct aia_dev *adev;
	u32 i;

	if (!nr_vecs || nr_vecs > AIA_MAX_VECS)
		return -EINVAL;

	adev = aia_new(nr_vecs);
	if (IS_ERR(adev))
		return PTR_ERR(adev);

	pci = aia_pci_alloc(nr_vecs);
	if (IS_ERR(pci)) {
		aia_free(adev);
		return PTR_ERR(pci);
	}
	adev->pci = pci;
	for (i = 0; i < nr_vecs; i++)
		adev->vecs[i].irq = aia_pci_irq(pci, i);

	aia_last = adev;
	return 0;
}

/* The APLIC at an address, or the first one that has a domain */
static struct device_node *aia_aplic(u64 addr)
{
	struct device_node *np;

	if (addr)
		return aia_find_aplic(addr);

	for_each_compatible_node(np, NULL, "riscv,aplic") {
		/* An APLIC of the machine level has no domain here */
		if (irq_find_matching_fwnode(of_fwnode_handle(np), DOMAIN_BUS_ANY))
			return np;
	}

	return NULL;
}

/* A device of one vector, an interrupt that is mapped already */
static int aia_alloc_line(int irq)
{
	struct aia_dev *adev;

	if (irq <= 0)
		return irq ?: -ENODEV;

	adev = aia_new(1);
	if (IS_ERR(adev)) {
		irq_dispose_mapping(irq);
		return PTR_ERR(adev);
	}

	adev->wired = true;
	adev->vecs[0].irq = irq;
	adev->vecs[0].level = irq_get_trigger_type(irq) & IRQ_TYPE_LEVEL_MASK;

	aia_last = adev;
	return 0;
}

struct aia_dev *aia_find_dev(u32 id)
{
	struct aia_dev *adev;

	list_for_each_entry(adev, &aia_devs, node) {
		if (adev->pdev->id == id)
			return adev;
	}

	return NULL;
}

int aia_write_alloc(char *buf)
{
	bool stepwise = strstr(buf, "stepwise"), deferred = strstr(buf, "deferred");
	bool unlazy = strstr(buf, "unlazy");
	u32 n;

	buf[strcspn(buf, " ")] = '\0';
	if (kstrtou32(strim(buf), 0, &n))
		return -EINVAL;

	return aia_alloc(n, stepwise, deferred, unlazy);
}

void aia_show_alloc(struct seq_file *m)
{
	if (aia_last)
		seq_printf(m, "%d %u\n", aia_last->pdev->id, aia_last->vecs[0].nr);
}

int aia_write_free(char *buf)
{
	struct aia_dev *adev;
	u32 id;

	if (strstr(buf, "all")) {
		aia_free_all();
		return 0;
	}

	if (kstrtou32(strim(buf), 0, &id))
		return -EINVAL;
	adev = aia_find_dev(id);
	if (!adev)
		return -ENODEV;

	aia_free(adev);
	return 0;
}

int aia_write_move_free(char *buf)
{
	struct aia_dev *adev;
	u32 id, cpu, i;
	int rc = 0;

	if (sscanf(buf, "%i %i", &id, &cpu) != 2 || cpu >= nr_cpu_ids)
		return -EINVAL;
	adev = aia_find_dev(id);
	if (!adev)
		return -ENODEV;

	for (i = 0; i < adev->nr_vecs && !rc; i++)
		rc = irq_set_affinity(adev->vecs[i].irq, cpumask_of(cpu));
	aia_free(adev);

	return rc;
}

#ifdef CONFIG_ACPI
/* Line @line of the first APLIC, whose interrupts ACPI counts from 0 */
static int aia_acpi_line(u32 line, u32 type)
{
	bool level = type & IRQ_TYPE_LEVEL_MASK;
	bool low = type & (IRQ_TYPE_LEVEL_LOW | IRQ_TYPE_EDGE_FALLING);

	return acpi_register_gsi(NULL, line,
				 level ? ACPI_LEVEL_SENSITIVE : ACPI_EDGE_SENSITIVE,
				 low ? ACPI_ACTIVE_LOW : ACPI_ACTIVE_HIGH);
}
#else
static int aia_acpi_line(u32 line, u32 type)
{
	return -ENODEV;
}
#endif

int aia_write_wired(char *buf)
{
	struct irq_fwspec fwspec = { .param_count = 2 };
	struct device_node *np;
	u64 addr = 0;
	int irq = 0;

	if (sscanf(buf, "%i %i %lli", &fwspec.param[0], &fwspec.param[1], &addr) < 2)
		return -EINVAL;

	if (!acpi_disabled)
		return aia_alloc_line(aia_acpi_line(fwspec.param[0],
						    fwspec.param[1]));

	np = aia_aplic(addr);
	if (np) {
		fwspec.fwnode = of_fwnode_handle(np);
		irq = irq_create_fwspec_mapping(&fwspec);
		of_node_put(np);
	}

	return aia_alloc_line(irq);
}

int aia_write_line(char *buf)
{
	struct device_node *np;
	int index, irq;

	if (kstrtoint(strim(buf), 0, &index))
		return -EINVAL;

	np = of_find_compatible_node(NULL, NULL, "aia-test,lines");
	irq = of_irq_get(np, index);
	of_node_put(np);

	return aia_alloc_line(irq);
}

int aia_write_wires(char *buf)
{
	u32 n;

	if (kstrtou32(strim(buf), 0, &n))
		return -EINVAL;

	return aia_alloc_wires(n);
}

int aia_write_multi(char *buf)
{
	u32 n;

	if (kstrtou32(strim(buf), 0, &n))
		return -EINVAL;

	return aia_alloc_multi(n);
}
